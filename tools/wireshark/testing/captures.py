"""Captures written packet by packet, and what tshark makes of them with wayport.lua."""

import json
import os
import re
import struct
import subprocess
import tempfile

# The distribution's own, whatever else the PATH offers.
TSHARK = "/usr/bin/tshark"
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"


class Capture:
    """Frames in order. `flows[n]` says whose frame n + 1 is: (connection, to_server)."""

    def __init__(self):
        self.records = []
        self.flows = []
        self.next = {}  # (connection, to_server) -> TCP sequence number

    def _frame(self, to_server, protocol, payload, flow, cut=0):
        source, target = (CLIENT, SERVER) if to_server else (SERVER, CLIENT)
        address = [bytes(map(int, a.split("."))) for a in (source, target)]
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + address[0] + address[1]
        self.records.append((bytes(12) + b"\x08\x00" + ip + payload, cut))
        self.flows.append(flow)

    def tcp(self, port, connection, to_server, data, flags=0x18, cut=0):
        """One segment. The first of a connection is preceded by the two SYNs. `cut`: bytes that the capture leaves away."""
        if (connection, to_server) not in self.next:
            for side, syn in ((True, 0x02), (False, 0x12)):
                self.next[(connection, side)] = 1000
                self._segment(port, connection, side, b"", syn, 0)
                self.next[(connection, side)] += 1
        self._segment(port, connection, to_server, data, flags, cut)

    def _segment(self, port, connection, to_server, data, flags, cut):
        client = 10000 + connection
        ports = (client, port) if to_server else (port, client)
        flow = (connection, to_server)
        header = struct.pack(">HHIIBBHHH", *ports, self.next[flow], self.next.get((connection, not to_server), 0) if flags & 0x10 else 0,
                             0x50, flags, 65535, 0, 0)
        self.next[flow] += len(data)
        self._frame(to_server, 6, header + data, flow, cut)

    def stream(self, port, connection, to_server, data, sizes):
        """`data` in segments of these sizes, the last one again and again."""
        sizes, at = iter(sizes), 0
        size = None
        while at < len(data):
            size = next(sizes, size)
            self.tcp(port, connection, to_server, data[at : at + size])
            at += size

    def udp(self, port, connection, to_server, data):
        ports = (10000 + connection, port) if to_server else (port, 10000 + connection)
        self._frame(to_server, 17, struct.pack(">HHHH", *ports, 8 + len(data), 0) + data, (connection, to_server))

    def bytes(self):
        out = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 20, 1)]
        for number, (record, cut) in enumerate(self.records):
            out.append(struct.pack("<IIII", 1700000000 + number // 1000, number % 1000 * 1000, len(record) - cut, len(record)))
            out.append(record[: len(record) - cut])
        return b"".join(out)


class Pairs(list):
    """A JSON object with its keys in order, some of them several times."""

    def all(self, key):
        return [value for name, value in self if name == key]

    def get(self, key, default=None):
        return next(iter(self.all(key)), default)

    def walk(self):
        """All keys and values at any depth."""
        for name, value in self:
            yield name, value
            for inner in value if isinstance(value, list) and not isinstance(value, Pairs) else [value]:
                if isinstance(inner, Pairs):
                    yield from inner.walk()


class Message:
    """A protocol layer that tshark shows: its fields without the protocol's prefix, the last of each name."""

    def __init__(self, protocol, pairs, flow, frame):
        self.flow = flow
        self.frame = frame
        self.fields = {}
        self.experts = []
        self.inner = [Message(protocol, p, flow, frame) for p in pairs.all(protocol) if isinstance(p, Pairs)]
        for name, value in Pairs(p for p in pairs if p[0] != protocol).walk():
            if name == "_ws.expert":
                self.experts += [n for n, _ in value if n.startswith(protocol)] if isinstance(value, Pairs) else []
            elif name.startswith(protocol + ".") and isinstance(value, str):
                self.fields.setdefault(name[len(protocol) + 1 :], value)

    def number(self, name):
        value = self.fields.get(name)
        return None if value is None else int(value, 0)

    def octets(self, name):
        value = self.fields.get(name)
        return None if value is None else bytes.fromhex(value.replace(":", ""))


class Tshark:
    def __init__(self, script):
        self.script = script

    def run(self, capture, preferences, more=()):
        """The standard output of one run. AssertionError: it failed, or a Lua error showed."""
        data = capture if isinstance(capture, bytes) else capture.bytes()
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "capture.pcap")
            with open(path, "wb") as file:
                file.write(data)
            arguments = [TSHARK, "-n", "-r", path, "-X", "lua_script:" + self.script]
            for name, value in preferences.items():
                arguments += ["-o", "wayport.%s:%s" % (name, value)]
            # A place of its own for preferences: those of who runs the test do not count.
            environment = dict(os.environ, HOME=directory, XDG_CONFIG_HOME=directory, LC_ALL="C.UTF-8")
            result = subprocess.run(arguments + list(more), capture_output=True, env=environment, timeout=240)
        err = result.stderr.decode("utf-8", "replace")
        out = result.stdout.decode("utf-8", "replace")
        if result.returncode != 0:
            raise AssertionError("tshark exits with %d: %s" % (result.returncode, err))
        found = re.search(r"^.*\blua\b.*\berror\b.*$|^.*(?<!_)\bwayport\.lua:\d+:.*$", err + out, flags=re.I | re.M)
        if found:
            raise AssertionError("a Lua error: " + found.group(0)[:500])
        return out

    def messages(self, capture, protocol, preferences, more=()):
        """All layers of this protocol, in the order of the capture."""
        out = self.run(capture, preferences, ["-T", "json", "-J", "frame " + protocol, "-Y", protocol, *more])
        found = []
        for packet in json.loads(out, object_pairs_hook=Pairs):
            layers = packet.get("_source").get("layers")
            frame = int(layers.get("frame").get("frame.number"))
            found += [Message(protocol, p, capture.flows[frame - 1], frame) for p in layers.all(protocol) if isinstance(p, Pairs)]
        return found
