"""The gateway's program is replaced under load (SIGUSR2), in its container, three times."""

import pathlib
import re
import shutil
import subprocess
import time

from integration.faults.rig import KEY, SERVER_ID, START_SECONDS_MAX, Rig
from integration.faults.verdict import Verdict

# Somebody who connects all the time: those of a load only dial once their old connection is gone, and do not say that they had to wait.
KNOCKER = """
import json, socket, sys, time
tried, refused, end = 0, [], time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    tried += 1
    try:
        socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
    except OSError as error:
        refused.append(str(error))
    time.sleep(0.005)
print("RESULT " + json.dumps({"tried": tried, "refused": len(refused), "first": refused[:1]}), flush=True)
"""
# By a gateway that has taken the connection, and does not know the server yet.
UNKNOWN = 'wayport_link_dials_refused_total{reason="absent"}'
SECONDS = 16
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
    verdict = Verdict("gateway upgraded in place under load", "no connection is refused; calls end with a reply or, on connections of a "
                      "predecessor whose drain time is over, a typed error; none runs twice; no stall above 5 s")
    with Rig(engine, images, directory, "upgrade") as rig:
        gateway = rig.run("gateway", "peers", [
            "python3", "/holder.py", "/tmp/gateway.pid", "/program/wayport-gateway", "fastway", "-ClientAddr=tcp://0.0.0.0:4900",
            "-ServerAddr=tcp://0.0.0.0:4901", "-ServerAuthKey=" + KEY, "-ClientMaxConn=0", "-AdminAddr=tcp://0.0.0.0:9100",
            "-PidFile=/tmp/gateway.pid", "-DrainTime=1s"],
            env={"LD_LIBRARY_PATH": "/program"}, tmpfs=["/tmp"], volumes={str(HOLDER): "/holder.py", str(_program(rig)): "/program"})
        gateway.wait_line("ready pid=", START_SECONDS_MAX)
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        load = rig.load("link+tcp://gateway:4900/%d" % SERVER_ID, seconds=SECONDS)
        knocker = rig.run("knocker", "peers", ["python3", "-c", KNOCKER, "gateway", "4900", str(SECONDS)])
        knocker.due = load.due
        unknown = 0
        for _ in range(3):
            time.sleep(3)
            unknown += rig.metric(gateway, UNKNOWN)
            seen = gateway.output.count()
            gateway.kill("USR2")
            gateway.wait_line("ready pid=", START_SECONDS_MAX, after=seen)
            gateway.wait_line(r"process \d+ ended with 0", START_SECONDS_MAX, after=seen)
        outcome = rig.outcome(load)
        unknown += rig.metric(gateway, UNKNOWN)
        knocked = rig.outcome(knocker)
        verdict.measured["connections"] = "%d, %d refused" % (knocked["tried"], knocked["refused"])
        verdict.expect(knocked["tried"] > 100, "only %d connections were tried: nothing was tested" % knocked["tried"])
        verdict.expect(knocked["refused"] == 0, "%d connections were refused: %s" % (knocked["refused"], knocked["first"]))
        verdict.measured["dials failed"] = outcome["dials_failed"]
        # A client may be back before its server is.
        verdict.expect(outcome["dials_failed"] == unknown, "%d dials failed, and only %d because the server was not there yet"
                       % (outcome["dials_failed"], unknown))
        verdict.outcomes(outcome, [rig.outcome(server)], may_fail=True)
        verdict.stall(outcome, 5000)
        verdict.expect(outcome["dials"] > 20, "nobody had to move: nothing was tested")
    return verdict.result()


SCENARIOS = [in_place]
