"""What happens to a link gateway: killed, paused, ended by its operator, full log disk, no descriptors."""

import contextlib
import os
import time

from integration.faults.rig import SERVER_ID, Rig
from integration.faults.verdict import Verdict

CLIENT = "link+tcp://gateway:4900/%d" % SERVER_ID


def _comes_back(rig, verdict, gateway, server, load):
    """The gateway is started again: clients and servers return, and nothing ran twice."""
    seen = gateway.output.count()
    gateway.start()
    gateway.wait_line("ready pid=", 20, after=seen)
    outcome = rig.outcome(load)
    verdict.outcomes(outcome, [rig.outcome(server)], may_fail=True)
    verdict.stall(outcome, 15000)
    verdict.expect(outcome["dials"] > 20, "no client dialed again")


def killed(engine, images, directory):
    """SIGKILL under load; it is back after a second."""
    verdict = Verdict("gateway killed", "each call ends with its reply or a typed error, none runs twice; clients and servers are back within 15 s")
    with Rig(engine, images, directory, "gw-killed") as rig:
        gateway = rig.link_gateway()
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        load = rig.load(CLIENT, seconds=12)
        time.sleep(3)
        gateway.kill("KILL")
        gateway.wait(10)
        time.sleep(1)
        _comes_back(rig, verdict, gateway, server, load)
    return verdict.result()


def paused(engine, images, directory):
    """Frozen for three seconds, as by a hypervisor. Streams of snet and plain ones go on where they were."""
    verdict = Verdict("gateway paused", "no call fails, none runs twice; the stall is the pause and at most 4 s more")
    with Rig(engine, images, directory, "gw-paused") as rig:
        gateway = rig.link_gateway()
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        load = rig.load(CLIENT, seconds=10)
        time.sleep(3)
        gateway.pause()
        time.sleep(3)
        gateway.unpause()
        outcome = rig.outcome(load)
        verdict.outcomes(outcome, [rig.outcome(server)], may_fail=False)
        verdict.stall(outcome, 7000)
        verdict.expect(outcome["longest_stall_ms"] >= 2500, "the pause was not felt: nothing was tested")
    return verdict.result()


def ended(engine, images, directory):
    """SIGTERM with connections open: it says so to nobody's loss but typed ones, and exits 0."""
    verdict = Verdict("gateway ended by SIGTERM", "exit status 0 within 10 s, with a drain time of 2 s; calls end with a reply or a typed error, none runs twice")
    with Rig(engine, images, directory, "gw-ended") as rig:
        gateway = rig.link_gateway(flags=["-DrainTime=2s"])
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        load = rig.load(CLIENT, seconds=12, timeout="10s")
        time.sleep(3)
        began = time.monotonic()
        gateway.kill("TERM")
        status = gateway.wait(20)
        verdict.measured["seconds to its end"] = round(time.monotonic() - began, 2)
        verdict.expect(status == 0, "exit status %d" % status)
        verdict.expect(verdict.measured["seconds to its end"] <= 10, "it took longer than its drain time and what closing takes")
        _comes_back(rig, verdict, gateway, server, load)
    return verdict.result()


def log_disk_full(engine, images, directory):
    """Its log goes to a file system of 64 KiB, which is full at once."""
    verdict = Verdict("disk of the gateway's log is full", "no call fails; the gateway stays ready")
    with Rig(engine, images, directory, "gw-disk") as rig:
        gateway = rig.link_gateway(flags=["-LogFile=/log/gateway.log", "-LogLevel=debug"], wait=False, tmpfs=["/log:size=64k,mode=1777"])
        rig.wait_ready(gateway)
        # What others wrote fills a disk as well as what we wrote.
        with open("/proc/%d/root/log/other" % gateway.pid(), "wb", buffering=0) as other, contextlib.suppress(OSError):
            for _ in range(256):
                other.write(bytes(4096))
        verdict.expect(os.statvfs("/proc/%d/root/log" % gateway.pid()).f_bavail == 0, "the disk is not full: nothing was tested")
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        outcome = rig.outcome(rig.load(CLIENT, seconds=6))
        verdict.outcomes(outcome, [rig.outcome(server)], may_fail=False)
        rig.wait_ready(gateway)
    return verdict.result()


def no_descriptors(engine, images, directory):
    """It may open 64 files; 100 clients come, and some leave again."""
    verdict = Verdict("gateway out of file descriptors", "who is in goes on without a failure; who waits gets in when others leave; none runs twice")
    with Rig(engine, images, directory, "gw-files") as rig:
        gateway = rig.link_gateway(ulimits={"nofile": "64:64"})
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        first = rig.load(CLIENT, name="first", seconds=14, clients=10)
        rig.wait_metric(gateway, 'wayport_link_connections{kind="client"}', lambda value: value >= 10)
        crowd = rig.load(CLIENT, name="crowd", seconds=5, clients=100, outstanding=1, timeout="2s")
        gateway.wait_line("Too many open files", 20)
        crowd_outcome = rig.outcome(crowd)
        late = rig.load(CLIENT, name="late", seconds=3, clients=5)
        outcomes = [rig.outcome(first), rig.outcome(late)]
        told = rig.outcome(server)
        verdict.measured["crowd"] = "%d replied, failed %s" % (crowd_outcome["replied"], crowd_outcome["failed"] or 0)
        for name, outcome in zip(("first", "late"), outcomes):
            verdict.expect(not outcome["failed"], "%s: calls failed: %s" % (name, outcome["failed"]))
            verdict.expect(outcome["replied"] > 0, "%s: no call was answered" % name)
        verdict.expect(told["doubled"] == 0, "%d calls were executed twice" % told["doubled"])
        verdict.expect(crowd_outcome["without_outcome"] == 0, "calls without outcome")
    return verdict.result()


SCENARIOS = [killed, paused, ended, log_disk_full, no_descriptors]
