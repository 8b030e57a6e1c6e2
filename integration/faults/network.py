"""What happens on the way: cut connections, another address, loss, delay, reordering, duplicates, little rate, a frozen host."""

import time

from integration.faults.rig import SERVER_ID, Rig
from integration.faults.verdict import Verdict

SNET_LISTEN = "snet+tcp://0.0.0.0:4900"
SNET_CLIENT = "link+snet+tcp://gateway:4900/%d" % SERVER_ID
BALANCER = """
global
  log stdout format raw local0
defaults
  mode tcp
  timeout connect 3s
  timeout client 300s
  timeout server 300s
frontend front
  bind 0.0.0.0:4900
  default_backend back
backend back
  balance source
%s
"""


def cut(engine, images, directory):
    """The middle box that connections run through dies three times; gateways hold the streams of snet meanwhile."""
    verdict = Verdict("connections cut, snet", "no call is lost or fails, none runs twice; back within 5 s")
    with Rig(engine, images, directory, "net-cut") as rig:
        gateway = rig.link_gateway(client=SNET_LISTEN)
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        config = rig.file("haproxy.cfg", BALANCER % "  server one gateway:4900")
        balancer = rig.run("balancer", "peers", ["haproxy", "-db", "-f", "/haproxy.cfg"], volumes={str(config): "/haproxy.cfg"})
        time.sleep(1)
        load = rig.load("link+snet+tcp://balancer:4900/%d" % SERVER_ID, seconds=12)
        for _ in range(3):
            time.sleep(2)
            balancer.kill("KILL")
            balancer.wait(10)
            balancer.start()
        outcome = rig.outcome(load)
        verdict.outcomes(outcome, [rig.outcome(server)], may_fail=False)
        verdict.stall(outcome, 5000)
        verdict.expect(outcome["dials"] == 20, "clients had to dial again: %d dials" % outcome["dials"])
        verdict.expect(outcome["longest_stall_ms"] >= 50, "no cut was felt: nothing was tested")
    return verdict.result()


def moved(engine, images, directory):
    """The clients' host gets another address, as a phone between two networks does."""
    verdict = Verdict("client's address changes, snet", "no call is lost or fails, none runs twice; back within 20 s")
    with Rig(engine, images, directory, "net-moved") as rig:
        other = rig.add_network("other")
        gateway = rig.link_gateway(client=SNET_LISTEN, networks=[rig.network, other])
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        load = rig.load(SNET_CLIENT + "?ping=1s&ping_timeout=1s", seconds=25)
        time.sleep(3)
        before = load.address(rig.network)
        load.disconnect(rig.network)
        load.connect(other)
        verdict.measured["address"] = "%s, then %s" % (before, load.address(other))
        outcome = rig.outcome(load)
        verdict.outcomes(outcome, [rig.outcome(server)], may_fail=False)
        verdict.stall(outcome, 20000)
        verdict.expect(outcome["dials"] == 20, "clients had to dial again: %d dials" % outcome["dials"])
        verdict.expect(outcome["longest_stall_ms"] >= 300, "the change was not felt: nothing was tested")
    return verdict.result()


def _over_link(engine, images, directory, name, prefix, words, transport, stall_max, parameters="", **load):
    verdict = Verdict(name, "no call is lost or fails, none runs twice; no stall above %g s" % (stall_max / 1000))
    with Rig(engine, images, directory, prefix) as rig:
        server = rig.load_server(transport + "://0.0.0.0:9000" + parameters, sysctls={"net.ipv4.ip_early_demux": "0"})
        link = rig.emulate(server, words)
        client = rig.load(transport + "://server:9000" + parameters, seconds=10, timeout="60s", **load)
        outcome = rig.outcome(client)
        stats = link.stats()
        verdict.outcomes(outcome, [rig.outcome(server)], may_fail=False)
        verdict.stall(outcome, stall_max)
        verdict.measured["packets"] = {key: stats[key] for key in ("packets_in", "lost", "duplicated", "queue_dropped") if key in stats}
        verdict.expect(stats["packets_in"] > 100, "nothing went over the link: nothing was tested")
        verdict.expect("loss" not in words or stats["lost"] > 0, "the link lost nothing: nothing was tested")
        verdict.expect("rate" not in words or stats["queue_dropped"] > 0, "the queue was never full: nothing was tested")
    return verdict.result()


def lossy_tcp(engine, images, directory):
    return _over_link(engine, images, directory, "loss 3 %, delay 20 ms, tcp", "net-loss-tcp", "delay=20ms jitter=2ms loss=3%", "tcp", 15000)


def lossy_kcp(engine, images, directory):
    return _over_link(engine, images, directory, "loss 5 %, duplicates, reordering, kcp", "net-loss-kcp",
                      "delay=20ms loss=5% duplicate=1% reorder=2%/10ms", "kcp", 8000, parameters="?mode=fast", outstanding=1)


def narrow(engine, images, directory):
    return _over_link(engine, images, directory, "1 Mbit/s with a queue of 4 KiB, tcp", "net-narrow", "rate=1Mbit queue=4KiB delay=10ms",
                      "tcp", 15000)


def frozen_client(engine, images, directory):
    """One host of clients stops in the middle of its calls and reads nothing any more; the others do not notice."""
    verdict = Verdict("one host of clients is frozen", "the others' calls do not fail, no stall of theirs is above 3 s, the gateway keeps at most 24 MiB")
    with Rig(engine, images, directory, "net-frozen") as rig:
        # So little fits into the kernels that the gateway has to hold what is under way to the frozen ones.
        gateway = rig.link_gateway(sysctls={"net.ipv4.tcp_wmem": "4096 16384 65536"})
        server = rig.load_server(*rig.servers_at("gateway"), registered_at=[gateway])
        frozen = rig.load("link+tcp://gateway:4900/%d" % SERVER_ID, name="frozen", seconds=30, clients=4, outstanding=24, pause="0ms",
                          padding=30000, sysctls={"net.ipv4.tcp_rmem": "4096 65536 65536"})
        load = rig.load("link+tcp://gateway:4900/%d" % SERVER_ID, seconds=8)
        time.sleep(2)
        read = rig.metric(gateway, 'wayport_link_connections{kind="client"}')
        frozen.pause()
        most = 0.0
        while load.running() and time.monotonic() < load.due:
            most = max(most, rig.metric(gateway, "wayport_link_queued_bytes"))
            time.sleep(0.5)
        verdict.measured["queued KiB at most"] = int(most / 1024)
        # Four virtual connections with 1 MiB in each direction, and their clients' queues of 4 MiB.
        verdict.expect(most <= 4 * (2 + 4) << 20, "the gateway kept %d bytes for the frozen ones" % most)
        outcome = rig.outcome(load)
        verdict.expect(most > 512 << 10, "hardly anything was queued for the frozen ones: nothing was tested")
        verdict.expect(read >= 24, "only %d clients were there: nothing was tested" % read)
        verdict.expect(frozen.running(), "the frozen one has ended: nothing was tested")
        rig.remove(frozen)
        told = rig.outcome(server)
        told["lost"] = True  # what the frozen one was told
        verdict.outcomes(outcome, [told], may_fail=False)
        verdict.stall(outcome, 3000)
    return verdict.result()


SCENARIOS = [cut, moved, lossy_tcp, lossy_kcp, narrow, frozen_client]
