"""How the parties of each shape of cell are started, and what decides (model.SHAPES has who they are)."""

import json
import random
import zlib

from integration.runner import model
from integration.runner.results import State
from integration.runner.stage import Ended

LINK_CLIENTS_PORT, LINK_SERVERS_PORT = 4900, 4901
LINK_ID = 77
LINK_KEY = "the key of interop"
ROUTE_PORT = 7788
PATH_PORT = 9005


def play(stage, cell, transports, seed):
    """Runs the cell. Raises Ended unless it passed."""
    _PLAYS[cell.case.shape](_Play(stage, cell, transports[cell.transport], seed))
    stage.stop()


class _Play:
    """One cell while it is played."""

    def __init__(self, stage, cell, transport, seed):
        self.stage = stage
        self.cell = cell
        self.case = cell.case
        self.transport = transport
        # Each cell has its own seed, the same in every run with the same one.
        self.seed = random.Random(seed ^ zlib.crc32(cell.id.encode())).getrandbits(32)

    def start(self, party, address, wait=True, more=None, extra_env=None, substitutes=None, aliases=()):
        role = model.SHAPES[self.case.shape][party]
        env = {
            "INTEROP_ROLE": "gateway" if role.endswith("-gateway") else role,
            "INTEROP_CASE": self.case.name,
            "INTEROP_ADDRESS": address,
            "INTEROP_SEED": self.seed,
            "INTEROP_TIMEOUT": self.case.timeout,
            **{"INTEROP_" + name.upper(): value for name, value in self.cell.parameters},
            **{"INTEROP_" + name: value for name, value in self.case.env.items()},
            **(more or {}),
        }
        return self.stage.start(party, self.cell.implementation(party), role, env, extra_env, substitutes, wait, aliases)

    def listen(self, port):
        return self.transport["listen"].format(port=port)

    def gateway_listen(self, port):
        return self.transport.get("gateway_listen", self.transport["listen"]).format(port=port)

    def dial(self, host, port, backend=""):
        return self.transport["dial"].format(host=host, port=port, backend=backend)

    def decide(self, container):
        self.stage.wait_client(container, self.case.timeout)


def _peers(play):
    port = play.case.port
    play.start("server", play.listen(port))
    play.decide(play.start("client", play.dial("server", port), wait=False))


def _link_gateway(play):
    limits = {"INTEROP_KEY": LINK_KEY, "INTEROP_ID": LINK_ID, "INTEROP_MAX_PACKET": 524288}
    listening = {**limits, "INTEROP_SERVER_ADDRESS": play.gateway_listen(LINK_SERVERS_PORT)}
    play.start("gateway", play.gateway_listen(LINK_CLIENTS_PORT), more=listening)
    return limits


def _link(play):
    limits = _link_gateway(play)
    play.start("server", play.dial("gateway", LINK_SERVERS_PORT), more=limits)
    play.decide(play.start("client", play.dial("gateway", LINK_CLIENTS_PORT), wait=False, more=limits))


def _link_key(play):
    limits = _link_gateway(play)
    play.decide(play.start("server", play.dial("gateway", LINK_SERVERS_PORT), wait=False, more=limits))


def _stream(play):
    port = play.case.port
    cuts = play.case.extras.get("cuts", 0)
    play.start("server", play.listen(port))
    host = "server"
    if cuts:
        host, port = "path", PATH_PORT
        play.stage.start_adapter("path", "path.py", {
            "PATH_LISTEN": port, "PATH_TARGET": "server:%d" % play.case.port, "PATH_CUTS": cuts,
            "PATH_BYTES": play.case.env["BYTES"]})
    play.decide(play.start("client", play.dial(host, port), wait=False))
    if cuts:
        made = len([line for line in play.stage.lines("path") if line.startswith("cut")])
        play.stage.measured["cuts"] = made
        if made != cuts:
            raise Ended(State.red, "the path was to be cut %d times, and was %d times" % (cuts, made))


def _start_bridge(play, listen):
    port = play.case.port
    env = {"BRIDGE_LISTEN": listen, "BRIDGE_TARGET": "server:%d" % port, "BRIDGE_TRANSPORT": play.cell.transport}
    return play.start("bridge", "tcp://0.0.0.0:%d" % listen, extra_env={**env, **play.case.extras.get("bridge_env", {})})


def _bridge(play):
    port = play.case.port
    play.start("server", "tcp://0.0.0.0:%d" % port)
    _start_bridge(play, port)
    play.decide(play.start("client", play.dial("bridge", port), wait=False))


def _start_route_gateway(play):
    port = play.case.extras.get("allow_port", play.case.port)
    rules = ["%s:%d" % (play.stage.network.subnet(), port)]
    substitutes = {"allow_list": json.dumps(rules), "options": play.case.extras.get("gateway_options", "")}
    return play.start("gateway", play.gateway_listen(ROUTE_PORT), more={"INTEROP_ALLOW": ",".join(rules)}, substitutes=substitutes)


def _route(play, backend="server"):
    _start_route_gateway(play)
    address = play.dial("gateway", ROUTE_PORT, "%s:%d" % (backend, play.case.port))
    play.decide(play.start("client", address, wait=False))


def _plain_route(play):
    play.start("server", "tcp://0.0.0.0:%d" % play.case.port)
    _route(play)


def _route_bridge(play):
    play.start("server", "tcp://0.0.0.0:%d" % play.case.port)
    bridge = _start_bridge(play, play.case.port)
    _route(play, "bridge")
    if play.case.extras.get("proxied"):
        # Only client and gateway connect: what the program saw is the client's address, or the gateway's own.
        match = bridge.wait_line(r"client=(\S+)", 5)
        gateway = play.stage.address("gateway")
        play.stage.measured["client_seen"] = match[1]
        if match[1] == gateway or not match[1].startswith(gateway.rpartition(".")[0] + "."):
            raise Ended(State.red, "the backend was told of the client %s; the gateway is %s" % (match[1], gateway))


def _route_registry(play):
    identify = play.case.extras["identify"]
    play.start("server", "tcp://0.0.0.0:%d" % play.case.port)
    entry = {"REGISTRY_KEY": "/wayport/routes/" + identify, "REGISTRY_VALUE": "server:%d" % play.case.port}
    play.start("registry", "tcp://0.0.0.0:2379", extra_env=entry)
    _start_route_gateway(play)
    address = play.dial("gateway", ROUTE_PORT, "").rstrip("/") + "?identify=" + identify
    play.decide(play.start("client", address, wait=False))


_PLAYS = {
    "peers": _peers,
    "link": _link,
    "link-key": _link_key,
    "stream": _stream,
    "bridge": _bridge,
    "route": _plain_route,
    "route-bridge": _route_bridge,
    "route-tunnel": _route_bridge,
    "route-registry": _route_registry,
}
