"""What operators pull: the gateway's image without privileges, with a read-only root, and how quickly it is there."""

import json
import pathlib
import subprocess

from integration.faults.verdict import Verdict

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECK_SECONDS_MAX = 300


def runs_without_privileges(engine, images, directory):
    verdict = Verdict("gateway image", "below 25 MB; non-root, read-only, no capability; healthy by its own check; its process takes "
                      "the first connection within 100 ms; ends with 0")
    if engine.kind != "containers":
        verdict.name += " (not run: it needs a container engine)"
        return verdict.result()
    measured = directory / "image.json"
    words = [str(ROOT / "tools/image"), "--check", "--tag", "checked", "--output", str(directory), "--json", str(measured), *images.binaries_words()]
    checked = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=CHECK_SECONDS_MAX, cwd=ROOT)
    (directory / "check.log").write_text(checked.stdout + checked.stderr)
    if measured.exists():
        verdict.measured.update(json.loads(measured.read_text()))
    lines = [line for line in (checked.stdout + checked.stderr).splitlines() if "FAILED" in line or "failed" in line]
    verdict.expect(checked.returncode == 0, "; ".join(lines[-5:]) or "status %d" % checked.returncode)
    verdict.expect(verdict.measured, "nothing was measured")
    return verdict.result()


SCENARIOS = [runs_without_privileges]
