"""What happens to etcd, which a route gateway asks for its backends: killed, cut off, back again with news."""

import base64
import json
import time

from integration.faults.rig import Rig
from integration.faults.verdict import Verdict

OPTIONS = """
resolver = "etcd"
dial_timeout = "2s"
[route.resolver_settings]
endpoints = ["http://registry:2379"]
probe_interval = "500ms"
request_timeout = "1s"
"""
# One call of a fresh client through the gateway: exits 0 if it was answered.
ONE_CALL = ["load", "run", "--time", "300ms", "--clients", "1", "--timeout", "3s"]


def _put(registry, key, value):
    body = json.dumps({"key": base64.b64encode(("/wayport/routes/" + key).encode()).decode(), "value": base64.b64encode(value.encode()).decode()})
    program = "import sys, urllib.request as u; u.urlopen('http://127.0.0.1:2379/v3/kv/put', sys.argv[1].encode(), timeout=5).read()"
    registry.in_network(["python3", "-c", program, body])


def _answered(rig, key, tries=1):
    """Whether a client that comes now reaches the backend of a key."""
    for attempt in range(tries):
        probe = rig.run("probe-%s-%d" % (key, time.monotonic_ns() % 10**9), "wayport", [*ONE_CALL, "route+tcp://gateway:7788/?token=" + key])
        outcome = next((json.loads(line.removeprefix("RESULT ")) for line in _lines(probe) if line.startswith("RESULT ")), None)
        rig.remove(probe)
        if outcome and outcome["replied"] > 0 and not outcome["failed"]:
            return True
        if attempt + 1 < tries:
            time.sleep(0.5)
    return False


def _lines(probe):
    probe.wait(30)
    return probe.output.lines("out")


def _stage(rig):
    registry = rig.run("registry", "peers", ["python3", "/interop/adapters/etcd.py"],
                       env={"REGISTRY_KEY": "/wayport/routes/first", "REGISTRY_VALUE": "server:9000"})
    registry.wait_line("^READY", 30)
    server = rig.load_server("tcp://0.0.0.0:9000")
    gateway = rig.route_gateway(["tcp://0.0.0.0:7788"], ["server:9000", "0.0.0.0/0:9000"], OPTIONS)
    return registry, server, gateway


def killed(engine, images, directory):
    verdict = Verdict("etcd killed", "calls go on; new clients are served from the table read last; changes are seen within 10 s once it is back")
    with Rig(engine, images, directory, "etcd-killed") as rig:
        registry, server, gateway = _stage(rig)
        verdict.expect(_answered(rig, "first", 10), "no client was served before the fault")
        load = rig.load("route+tcp://gateway:7788/?token=first", seconds=12)
        time.sleep(2)
        registry.kill("KILL")
        registry.wait(10)
        time.sleep(1)
        verdict.expect(_answered(rig, "first"), "a new client was refused while etcd was away")
        seen = registry.output.count()
        registry.start()
        registry.wait_line("^READY", 30, after=seen)
        _put(registry, "second", "server:9000")
        began = time.monotonic()
        verdict.expect(_answered(rig, "second", 20), "a key that was added afterwards is not seen")
        verdict.measured["seconds until news"] = round(time.monotonic() - began, 1)
        verdict.expect(verdict.measured["seconds until news"] <= 10, "news came late")
        outcome = rig.outcome(load)
        told = rig.outcome(server)
        told["lost"] = True  # calls of the probes are in it
        verdict.outcomes(outcome, [told], may_fail=False)
    return verdict.result()


def cut_off(engine, images, directory):
    verdict = Verdict("etcd cut off from the gateway", "calls go on; new clients are served from the table read last; changes are seen once the network heals")
    with Rig(engine, images, directory, "etcd-cut") as rig:
        registry, server, gateway = _stage(rig)
        verdict.expect(_answered(rig, "first", 10), "no client was served before the fault")
        load = rig.load("route+tcp://gateway:7788/?token=first", seconds=14)
        registry.disconnect(rig.network)
        _put(registry, "second", "server:9000")
        time.sleep(2)
        verdict.expect(_answered(rig, "first"), "a new client was refused while etcd was away")
        verdict.expect(not _answered(rig, "second"), "news came through a network that is cut: nothing was tested")
        registry.connect(rig.network)
        began = time.monotonic()
        verdict.expect(_answered(rig, "second", 30), "a key that was added meanwhile is not seen")
        verdict.measured["seconds until news"] = round(time.monotonic() - began, 1)
        outcome = rig.outcome(load)
        told = rig.outcome(server)
        told["lost"] = True
        verdict.outcomes(outcome, [told], may_fail=False)
    return verdict.result()


SCENARIOS = [killed, cut_off]
