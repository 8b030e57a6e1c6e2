"""What operators pull: the gateway's image without privileges, with a read-only root, and how quickly it is there."""

import json
import pathlib
import re
import signal
import subprocess
import sys

from integration.faults.verdict import Verdict

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHECK_SECONDS_MAX = 300
# For removing what it made.
END_SECONDS_MAX = 60


def _check(words, log):
    """The status of a check of an image. However this ends, the check ends first: what it made, nobody else knows how to remove."""
    with open(log, "w", encoding="utf-8") as said:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
    try:
        return process.wait(CHECK_SECONDS_MAX)
    except BaseException:
        # As Ctrl-C, after which it removes everything, wherever it is.
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise


def _complaints(text):
    """The lines of a check that say what did not hold, or why it could not be tried."""
    return [line.strip() for line in text.splitlines() if re.match(r"\s*FAIL\b|tools/image: ", line)]


def runs_without_privileges(engine, images, directory):
    verdict = Verdict("gateway image", "below 25 MB; non-root, read-only, no capability; healthy by its own check; its process takes "
                      "the first connection within 100 ms; ends with 0")
    # Building has its own limit.
    images.recipe("wayport-gateway")
    measured, log = directory / "image.json", directory / "check.log"
    status = _check([sys.executable, str(ROOT / "tools/images/image.py"), "--check", "--tag", "checked", "--output", str(directory),
                     "--json", str(measured), *images.binaries_words()], log)
    if measured.exists():
        verdict.measured.update(json.loads(measured.read_text()))
    verdict.expect(status == 0, "; ".join(_complaints(log.read_text(errors="replace"))[-5:]) or "status %d" % status)
    verdict.expect(verdict.measured, "nothing was measured")
    return verdict.result()


runs_without_privileges.engines = ("containers",)
runs_without_privileges.needs_root = False
SCENARIOS = [runs_without_privileges]
