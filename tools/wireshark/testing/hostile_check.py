"""Bytes that nobody should send: marked, and never a Lua error."""

import random
import struct

import vectors_check
from captures import Capture
from vectors_check import KCP, LINK, LINK_SERVER, PORTS, ROUTE, SNET

TELEPORT = 9006
ALL_PORTS = dict(PORTS, **{"teleport.ports": TELEPORT})
LAYERS = {"plain": "nothing", "none": "nonce and CRC-32 in the clear (the cipher called none)", "classic": "a classic cipher", "gcm": "aes-*-gcm"}


def mark_of(conv):
    """spec/kcp 8, as its page has it."""
    value, mask = (0x7761790000000000 | conv) + 0x9E3779B97F4A7C15, 2**64 - 1
    value &= mask
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
    value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
    return value ^ value >> 31


def check_kcp_malformed(tshark, vectors):
    wanted, problems = [], []
    for entry in vectors["kcp"]["segment_inputs"]:
        data = bytes.fromhex(entry["bytes"])
        segments, stopped = vectors_check.split_segments(data)
        wanted.append((entry["name"], data, segments, "malformed" if stopped else None))
    good = bytes.fromhex(vectors["kcp"]["segments"][0]["bytes"])
    for name, data in (
        ("an empty FEC packet", struct.pack("<IHH", 1, 0xF1, 2)),
        ("a parity packet without a byte", struct.pack("<IH", 1, 0xF2)),
        ("an FEC header of 7 bytes", struct.pack("<IHB", 1, 0xF1, 2)),
        ("an FEC size of 1", struct.pack("<IHH", 1, 0xF1, 1) + good),
        ("an FEC size beyond the datagram", struct.pack("<IHH", 1, 0xF1, len(good) + 3) + good),
        ("out-of-band data without conv", struct.pack("<IHH", 1, 0xF3, 5) + good[:3]),
        ("one byte", b"x"),
    ):
        malformed = "parity" not in name and name != "an empty FEC packet"
        wanted.append((name, data, [], "malformed" if malformed else None))
    capture = Capture()
    for _, data, _, _ in wanted:
        capture.udp(KCP, 0, True, data)
    shown = tshark.messages(capture, "wayport.kcp", PORTS)
    if len(shown) != len(wanted):
        problems.append("%d datagrams shown, there are %d" % (len(shown), len(wanted)))
    for message, (name, _, segments, expert) in zip(shown, wanted):
        if [{n: m.number(n) for n in vectors_check.SEGMENT_NAMES} for m in message.inner] != [
            {n: s[n] for n in vectors_check.SEGMENT_NAMES} for s in segments
        ]:
            problems.append("%s: other segments are shown" % name)
        if ("wayport.kcp.malformed" in message.experts) != (expert is not None):
            problems.append("%s: marked %s" % (name, message.experts))
    return "%d inputs" % len(wanted), problems + encrypted(tshark, vectors, good)


def encrypted(tshark, vectors, good):
    problems = []
    none = next(m for m in vectors["kcp"]["crypt"]["modes"] if m["name"] == "none")
    packet = bytearray(bytes.fromhex(none["packets"][0]["wire_packet"]))
    packet[-1] ^= 1
    gcm = bytes.fromhex(vectors["kcp"]["crypt"]["aead_newer_versions"][0]["packets"][0]["wire_packet"])
    for layers, data, fields, expert in (
        ("none", bytes(packet), {"nonce": bytes(packet[:16])}, "crc_wrong"),
        ("none", bytes(19), {}, "malformed"),
        ("classic", gcm, {"ciphertext": gcm}, None),
        ("classic", gcm[:19], {}, "malformed"),
        ("gcm", gcm, {"nonce": gcm[:12], "ciphertext": gcm[12:-16], "tag": gcm[-16:]}, None),
        ("gcm", gcm[:27], {}, "malformed"),
    ):
        capture = Capture()
        capture.udp(KCP, 0, True, data)
        for message in tshark.messages(capture, "wayport.kcp", dict(PORTS, **{"kcp.layers": LAYERS[layers]})):
            if not all(message.octets(n) == v for n, v in fields.items()):
                problems.append("%s, %d bytes: shows %r" % (layers, len(data), message.fields))
            if [e for e in message.experts] != (["wayport.kcp." + expert] if expert else []):
                problems.append("%s, %d bytes: marked %s" % (layers, len(data), message.experts))
            break
        else:
            problems.append("%s, %d bytes: not shown" % (layers, len(data)))
    return problems


def check_kcp_extension(tshark, _):
    capture, wanted, problems = Capture(), [], []
    for number, name in enumerate(("hello", "confirm", "ask_alive", "alive", "close", "closed", "reset"), 1):
        conv = 0x9ABCDEF0 + number
        mark = mark_of(conv)
        header = struct.pack("<IBBHIIII", conv, 84, 0, 32, mark >> 32, mark & 0xFFFFFFFF, 5, 16)
        payload = struct.pack("<BBHIQ", 1, number, 0, 1000 + number, 2**63 + number)
        capture.udp(KCP, 0, True, header + payload)
        wanted.append({"extension.kind": number, "extension.value": 1000 + number, "extension.cookie": 2**63 + number})
        # The same without the mark is what kcp-go takes all of them for.
        capture.udp(KCP, 0, True, header[:8] + bytes(8) + header[16:] + payload)
        wanted.append({"extension.kind": None, "extension.value": None, "extension.cookie": None})
    shown = [m.inner[0] for m in tshark.messages(capture, "wayport.kcp", PORTS) if m.inner]
    if len(shown) != len(wanted):
        problems.append("%d segments shown, there are %d" % (len(shown), len(wanted)))
    for index, (message, fields) in enumerate(zip(shown, wanted)):
        got = {n: message.number(n) for n in fields}
        if got != fields:
            problems.append("segment %d shows %r instead of %r" % (index, got, fields))
    return "%d segments" % len(wanted), problems


def seeds(vectors):
    """(port, to_server, bytes) of everything that the vectors have and that is not too long."""
    for vector in vectors["teleport"]:
        yield TELEPORT, True, bytes.fromhex(vector["hex"])
    for vector in vectors["fastway"]["vectors"]:
        if vector.get("hex"):
            yield (LINK_SERVER if "md5_hex" in vector["fields"] else LINK), vector["direction"].endswith("gateway"), bytes.fromhex(vector["hex"])
    for scenario in vectors["snet"]["scenarios"]:
        for to_server in (True, False):
            direction = "client->server" if to_server else "server->client"
            steps = [s for s in scenario["steps"] if s["tcp"] and s["dir"] == direction and "hex" in s]
            yield SNET, to_server, b"".join(bytes.fromhex(s["hex"]) for s in steps)
    for vector in vectors["route"]["vectors"]:
        yield ROUTE, vector["direction"] == "client->gateway", bytes.fromhex(vector["hex"] or vector["hex_prefix"])
    for _, data, _, _ in vectors_check.kcp_datagrams(vectors):
        yield KCP, True, data


def mutated(dice, data):
    data = bytearray(data)
    for _ in range(dice.randrange(4)):
        if not data:
            break
        at = dice.randrange(len(data))
        action = dice.randrange(5)
        if action == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif action == 1:
            data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif action == 2:
            del data[at : at + dice.randrange(1, 9)]
        elif action == 3:
            data[at:at] = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 9)))
        else:
            data[at : at + 4] = dice.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\4", b"\4\0\0\0", b"\0\0\x10\0"))
    return bytes(data)


def check_mutations(tshark, vectors, seed=20, rounds=3):
    """Every vector with a few of its bytes changed, split at random, sometimes cut off by the capture."""
    sent = [s for s in seeds(vectors) if s[2] and len(s[2]) <= 4096]
    dice = random.Random(seed)
    problems, count = [], 0
    for layers in list(LAYERS)[:rounds]:
        capture = Capture()
        for number, (port, to_server, data) in enumerate(sent):
            data = mutated(dice, data)
            connection = number % 50000
            if port == KCP:
                capture.udp(port, connection, to_server, data)
            elif port == SNET and not to_server:
                capture.tcp(port, connection, True, mutated(dice, b"\0" + bytes(range(1, 9))))
                capture.tcp(port, connection, False, data)
            elif dice.randrange(8) == 0:
                capture.tcp(port, connection, to_server, data, cut=dice.randrange(len(data) + 1))
                capture.tcp(port, connection, to_server, data)
            else:
                capture.stream(port, connection, to_server, data, [dice.randrange(1, 60) for _ in range(8)] + [1000])
            count += 1
        preferences = dict(ALL_PORTS, **{"kcp.layers": LAYERS[layers]})
        try:
            out = tshark.run(capture, preferences, ["-2", "-V"])
        except AssertionError as error:
            problems.append("seed %d, %s: %s" % (seed, layers, error))
            continue
        for protocol in ("Teleport", "Link", "Snet", "Route", "KCP"):
            if "\n" + protocol not in out:
                problems.append("seed %d, %s: no %s in it" % (seed, layers, protocol))
    return "%d streams and datagrams, seed %d" % (count, seed), problems


def check_ports(tshark, vectors):
    """Nothing is claimed unless it is asked for, and what was asked for is given up again."""
    capture, problems = Capture(), []
    for number, (port, to_server, data) in enumerate(s for s in seeds(vectors) if s[2] and len(s[2]) < 1000):
        if port == KCP:
            capture.udp(port, number, to_server, data)
        else:
            capture.tcp(port, number, to_server, data)
    if "Wayport" in tshark.run(capture, {}, ["-V"]):
        problems.append("ports are claimed without a preference")
    names = {TELEPORT: "teleport", LINK: "link", SNET: "snet", ROUTE: "route"}
    for port, name in names.items():
        out = tshark.run(capture, {}, ["-d", "tcp.port==%d,wayport.%s" % (port, name), "-T", "fields", "-e", "frame.protocols"])
        if "wayport." + name not in out:
            problems.append("Decode As does not work for " + name)
    if "wayport.kcp" not in tshark.run(capture, {}, ["-d", "udp.port==%d,wayport.kcp" % KCP, "-T", "fields", "-e", "frame.protocols"]):
        problems.append("Decode As does not work for kcp")
    return "%d frames" % len(capture.records), problems
