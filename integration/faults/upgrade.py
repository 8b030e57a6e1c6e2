"""The gateway's program is replaced under load (SIGUSR2), in its container, three times."""

import pathlib
import re
import shutil
import subprocess
import time

from integration.faults.rig import KEY, SERVER_ID, START_SECONDS_MAX, Rig
from integration.faults.verdict import Verdict

HOLDER = pathlib.Path(__file__).resolve().parent / "holder.py"


def _program(rig):
    """A directory with the program and the libraries that the image of other programs lacks."""
    program = rig.images.program("wayport-gateway", "//gateway:wayport-gateway")
    directory = rig.directory / "program"
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, directory / "wayport-gateway")
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"=> (/\S+)", listed):
        if not re.search(r"/(libc|libm|ld-linux[^/]*)\.so", path):
            shutil.copy(path, directory)
    return directory


def in_place(engine, images, directory):
    verdict = Verdict("gateway upgraded in place under load", "nobody is refused: calls end with a reply or, on connections of a predecessor "
                      "whose drain time is over, a typed error; none runs twice; no stall above 5 s")
    with Rig(engine, images, directory, "upgrade") as rig:
        gateway = rig.run("gateway", "peers", [
            "python3", "/holder.py", "/tmp/gateway.pid", "/program/wayport-gateway", "fastway", "-ClientAddr=tcp://0.0.0.0:4900",
            "-ServerAddr=tcp://0.0.0.0:4901", "-ServerAuthKey=" + KEY, "-ClientMaxConn=0", "-AdminAddr=tcp://0.0.0.0:9100",
            "-PidFile=/tmp/gateway.pid", "-DrainTime=1s"],
            env={"LD_LIBRARY_PATH": "/program"}, tmpfs=["/tmp"], volumes={str(HOLDER): "/holder.py", str(_program(rig)): "/program"})
        gateway.wait_line("ready pid=", START_SECONDS_MAX)
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        load = rig.load("link+tcp://gateway:4900/%d" % SERVER_ID, seconds=16)
        for _ in range(3):
            time.sleep(3)
            seen = gateway.output.count()
            gateway.kill("USR2")
            gateway.wait_line("ready pid=", START_SECONDS_MAX, after=seen)
            gateway.wait_line(r"process \d+ ended with 0", START_SECONDS_MAX, after=seen)
        outcome = rig.outcome(load)
        verdict.outcomes(outcome, [rig.outcome(server)], may_fail=True)
        verdict.stall(outcome, 5000)
        verdict.expect(outcome["dials"] > 20, "nobody had to move: nothing was tested")
    return verdict.result()


SCENARIOS = [in_place]
