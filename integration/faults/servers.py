"""What happens to the servers behind it all: one of two is killed, one leaves as its operator wants it."""

import time

from integration.faults.rig import Rig
from integration.faults.verdict import Verdict


def killed(engine, images, directory):
    """SIGKILL to one of two servers that clients know."""
    verdict = Verdict("server killed", "calls that were under way there end with a typed error, all others with their reply; back within 5 s")
    with Rig(engine, images, directory, "sv-killed") as rig:
        one = rig.load_server("tcp://0.0.0.0:9000", name="one")
        two = rig.load_server("tcp://0.0.0.0:9000", name="two")
        load = rig.load("tcp://one:9000", "tcp://two:9000", seconds=8)
        time.sleep(3)
        one.kill("KILL")
        outcome = rig.outcome(load)
        # What the dead one executed, nobody knows.
        verdict.outcomes(outcome, [rig.outcome(two), {"executed": 0, "doubled": 0, "lost": True}], may_fail=True)
        verdict.stall(outcome, 5000)
        verdict.expect(sum(outcome["failed"].values()) <= 80, "more calls failed than were under way")
        verdict.expect(outcome["dials"] > 20, "nobody had to move: nothing was tested")
    return verdict.result()


def left(engine, images, directory):
    """SIGTERM to one of two: it says which calls it will not execute, and they are made again elsewhere."""
    verdict = Verdict("server ended by SIGTERM", "no call fails, none runs twice")
    with Rig(engine, images, directory, "sv-left") as rig:
        one = rig.load_server("tcp://0.0.0.0:9000", name="one")
        two = rig.load_server("tcp://0.0.0.0:9000", name="two")
        load = rig.load("tcp://one:9000", "tcp://two:9000", seconds=8)
        time.sleep(3)
        told = rig.outcome(one)
        outcome = rig.outcome(load)
        verdict.outcomes(outcome, [told, rig.outcome(two)], may_fail=False)
        verdict.expect(outcome["dials"] > 20, "nobody had to move: nothing was tested")
    return verdict.result()


SCENARIOS = [killed, left]
for scenario in SCENARIOS:
    scenario.needs_root = False
