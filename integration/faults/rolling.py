"""Three gateways behind an L4 balancer are restarted one after the other under load; servers dial all of them."""

import time

from integration.faults.network import BALANCER
from integration.faults.rig import SERVER_ID, Rig
from integration.faults.verdict import Verdict

GATEWAYS = ("one", "two", "three")


def _configuration(engine, names):
    """Of HAProxy, for gateways that it asks for again and again, as each may come back with another address."""
    if engine.kind == "namespaces":
        # Addresses stay, and names are in /etc/hosts only.
        init, resolvers = "init-addr libc", ""
    else:
        init, resolvers = "init-addr none resolvers dns", "resolvers dns\n  parse-resolv-conf\n  hold valid 1s\n"
    lines = "\n".join("  server %s %s:4900 check inter 200ms fall 1 rise 1 %s" % (name, name, init) for name in names)
    return BALANCER.replace("balance source", "balance roundrobin") % lines + resolvers


def restart(engine, images, directory):
    verdict = Verdict("rolling restart of three gateways behind HAProxy",
                      "every call has a reply or a typed error, none runs twice; clients dial again by themselves, back within 15 s")
    with Rig(engine, images, directory, "rolling") as rig:
        gateways = [rig.link_gateway(name, client="snet+tcp://0.0.0.0:4900", flags=["-DrainTime=1s"]) for name in GATEWAYS]
        server = rig.load_server(*rig.servers_at(*GATEWAYS), registered_at=gateways)
        config = rig.file("haproxy.cfg", _configuration(engine, GATEWAYS))
        rig.run("balancer", "peers", ["haproxy", "-db", "-f", "/haproxy.cfg"], volumes={str(config): "/haproxy.cfg"})
        time.sleep(2)
        load = rig.load("link+snet+tcp://balancer:4900/%d" % SERVER_ID, seconds=24, clients=60, outstanding=2)
        for gateway in gateways:
            time.sleep(3)
            gateway.kill("TERM")
            status = gateway.wait(20)
            verdict.expect(status == 0, "a gateway ended with status %d" % status)
            seen = gateway.output.count()
            gateway.start()
            gateway.wait_line("ready pid=", 20, after=seen)
            rig.wait_metric(gateway, 'wayport_link_connections{kind="server"}', lambda value: value >= 1)
        outcome = rig.outcome(load)
        verdict.outcomes(outcome, [rig.outcome(server)], may_fail=True)
        verdict.stall(outcome, 15000)
        verdict.expect(outcome["dials"] > 60, "nobody had to move: nothing was tested")
    return verdict.result()


def balancer_restart(engine, images, directory):
    """The balancer is replaced; clients of snet return to the gateway that holds their stream."""
    verdict = Verdict("balancer restarted, three gateways, snet", "clients return to the gateway that holds them: no call is lost or fails")
    with Rig(engine, images, directory, "balancer") as rig:
        gateways = [rig.link_gateway(name, client="snet+tcp://0.0.0.0:4900") for name in GATEWAYS]
        server = rig.load_server(*rig.servers_at(*GATEWAYS), registered_at=gateways)
        lines = "\n".join("  server %s %s:4900" % (name, name) for name in GATEWAYS)
        config = rig.file("haproxy.cfg", BALANCER % lines)
        balancer = rig.run("balancer", "peers", ["haproxy", "-db", "-f", "/haproxy.cfg"], volumes={str(config): "/haproxy.cfg"})
        time.sleep(1)
        # Each host of clients has one gateway, by its address.
        loads = [rig.load("link+snet+tcp://balancer:4900/%d" % SERVER_ID, name="client-%d" % n, seconds=12, clients=10) for n in range(4)]
        for _ in range(2):
            time.sleep(3)
            balancer.kill("KILL")
            balancer.wait(10)
            balancer.start()
        outcomes = [rig.outcome(load) for load in loads]
        told = rig.outcome(server)
        total = {key: sum(outcome[key] for outcome in outcomes) for key in ("begun", "replied", "wrong", "without_outcome", "dials", "repeated")}
        total["failed"] = {how: sum(o["failed"].get(how, 0) for o in outcomes) for o in outcomes for how in o["failed"]}
        total["stalls_ms"] = {name: sum(o["stalls_ms"][name] for o in outcomes) for name in outcomes[0]["stalls_ms"]}
        total["longest_stall_ms"] = max(outcome["longest_stall_ms"] for outcome in outcomes)
        verdict.outcomes(total, [told], may_fail=False)
        verdict.stall(total, 8000)
        verdict.expect(total["dials"] == 40, "clients had to dial again: %d dials" % total["dials"])
        verdict.expect(total["longest_stall_ms"] >= 50, "the restart was not felt: nothing was tested")
    return verdict.result()


SCENARIOS = [restart, balancer_restart]
