"""What Wireshark shows of Teleport packets, against `wayport decode --json` on the same captures."""

import json
import random
import re
import subprocess
import tempfile
import zlib

from captures import Capture

PORT = 9090
NUMBERS = ("offset", "size", "type", "gzip", "status_code", "header_bytes", "body_bytes", "inflated_bytes")
TEXTS = ("uri", "status", "body")
# What `wayport decode` says at the end of its input, and Wireshark, which waits for more, does not.
UNFINISHED = "the stream ends inside a packet"


def whole(vector):
    """The bytes of a vector; those that are too long to be written out are made as their `generator` says."""
    data = bytes.fromhex(vector["hex"])
    if not vector.get("hex_truncated"):
        return data
    if "0x20 repeated" in vector["generator"]:
        return data
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(packer.compress(bytes([0x41]) * (1 << 20)) for _ in range(200)) + packer.flush()
    header = 4 + int.from_bytes(data[:4], "big")
    return data[: header + 5] + body + bytes(vector["total_bytes"] - header - 5 - len(body))


def decoded(program, capture, limit):
    with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
        file.write(capture.bytes())
        file.flush()
        more = ["--read-limit", str(limit)] if limit else []
        result = subprocess.run([program, "decode", "teleport", "--json", "--in", "pcap", *more, file.name],
                                capture_output=True, text=True, timeout=240)
    if result.returncode not in (0, 1) or not result.stdout:
        raise AssertionError("wayport decode exits with %d: %s" % (result.returncode, result.stderr))
    streams = {}
    for line in result.stdout.splitlines():
        entry = json.loads(line)
        ports = [int(p) for p in re.findall(r":(\d+)", entry["stream"])]
        flow = (max(ports) - 10000, ports[1] == PORT)
        streams.setdefault(flow, []).append(entry)
    return streams


def text_of(source, name, octets):
    if name + "_hex" in source:
        return octets(source[name + "_hex"])
    return source[name].encode() if name in source else None


def differences(entry, message):
    """Between a line of `wayport decode` and a layer of Wireshark."""
    fields = message.fields
    found = []

    def same(name, want, got):
        if want != got:
            found.append("%s is %r, wayport decode has %r" % (name, got, want))

    if "error" in entry:
        same("error.code", entry["error"]["code"], fields.get("error.code"))
        same("offset", entry["offset"], message.number("offset"))
        if not message.experts:
            found.append("no expert information")
        return found
    for name in NUMBERS:
        same(name, entry.get(name), message.number(name))
    same("seq", str(entry["seq"]), fields.get("seq"))
    for name in ("type_name", "header_codec", "body_codec"):
        same(name, entry.get(name), fields.get(name))
    for name in TEXTS:
        if name == "body" and fields.get("body_note", "").startswith("not inflated here"):
            continue
        same(name, text_of(entry, name, bytes.fromhex), text_of(fields, name, lambda h: bytes.fromhex(h.replace(":", ""))))
    note, shown = entry.get("body_note"), fields.get("body_note")
    if (note is None) != (shown is None) or (note == "not compressed") != (shown == "not compressed"):
        found.append("body_note is %r, wayport decode has %r" % (shown, note))
    if shown and shown.startswith("malformed") and "wayport.teleport.body_malformed" not in message.experts:
        found.append("no expert information for a body that does not inflate")
    marks = {
        "type_unsupported": entry["type"] not in (1, 2, 3, 4),
        "codec_unknown": (entry["body_codec"] or "").startswith(("0x", "none")),
        "status_error": entry["type"] == 2 and entry["status_code"] != 200,
    }
    for mark, wanted in marks.items():
        if ("wayport.teleport." + mark in message.experts) != wanted:
            found.append("marked %s: %s" % (message.experts, mark + (" is missing" if wanted else " is too much")))
    return found


def compare(tshark, program, capture, label, limit=0, more=()):
    """How many lines were compared, and the problems."""
    preferences = {"teleport.ports": PORT}
    if limit:
        preferences["teleport.read_limit"] = limit
    shown = {}
    for message in tshark.messages(capture, "wayport.teleport", preferences, more):
        if "unread" not in message.fields:
            shown.setdefault(message.flow, []).append(message)
    wanted = decoded(program, capture, limit)
    problems, count = [], 0
    for flow in sorted(set(wanted) | set(shown)):
        entries = [e for e in wanted.get(flow, []) if not e.get("error", {}).get("detail", "").startswith(UNFINISHED)]
        messages = shown.get(flow, [])
        if len(entries) != len(messages):
            problems.append("%s, stream %s: %d packets, wayport decode has %d" % (label, flow, len(messages), len(entries)))
        for index, (entry, message) in enumerate(zip(entries, messages)):
            count += 1
            problems += ["%s, stream %s, packet %d, frame %d: %s" % (label, flow, index, message.frame, d)
                         for d in differences(entry, message)]
    return count, problems


def folded_keys():
    """Packets with keys that Go's encoding/json takes for others, letter case and U+017F, and some that it does not."""
    for keys in ("SEQ type uri gzip Status_Code STATUS", "\u017feq type uri gzip \u017ftatus_code \u017ftatus",
                 "seq type uri gzip \u017fTATU\u017f_CODE sTatu\u017f",
                 "\u017f\u017feq tYpe ur\u0131 gz\u0130p status\u017fcode \u212a"):
        for escaped in (True, False):
            header = dict(zip(keys.split(), (7, 2, "/home/str", 0, 404, "none")))
            text = b"j" + json.dumps(header, ensure_ascii=escaped, separators=(",", ":")).encode()
            yield {"direction": "server_to_client"}, len(text).to_bytes(4, "big") + text + bytes(4)


def check_packets(tshark, program, vectors):
    packets = [(v, bytes.fromhex(v["hex"])) for v in vectors["teleport"] if v["kind"] == "packet"] + list(folded_keys())
    dice = random.Random(20)
    problems, lines = [], []
    for label in ("a segment each", "single bytes", "joined in segments of 1460", "joined at random", "shown twice"):
        capture = Capture()
        for number, (vector, data) in enumerate(packets):
            to_server = vector["direction"] == "client_to_server"
            if label == "a segment each":
                capture.tcp(PORT, number, to_server, data)
            elif label == "single bytes":
                capture.stream(PORT, number, to_server, data, [1] * 400 + [37])
        if label[0] not in "as" or label == "shown twice":
            for to_server in (True, False):
                data = b"".join(d for v, d in packets if (v["direction"] == "client_to_server") == to_server)
                sizes = [1460] if "1460" in label else [dice.choice((1, 3, 4, 5, 9, 50, 700)) for _ in range(len(data))]
                capture.stream(PORT, 0, to_server, data, sizes)
        count, found = compare(tshark, program, capture, label, more=["-2"] if label == "shown twice" else [])
        if count != len(packets):
            found.append("%s: %d packets instead of %d" % (label, count, len(packets)))
        problems += found
        lines.append(label)
    return "%d packets, %d segmentations" % (len(packets), len(lines)), problems


def check_malformed(tshark, program, vectors):
    chosen = [v for v in vectors["teleport"] if v["kind"] != "packet" and v["hex"]]
    problems, count, marked = [], 0, 0
    for limit in sorted({v.get("server_read_limit", 0) for v in chosen}):
        capture = Capture()
        for number, vector in enumerate(v for v in chosen if v.get("server_read_limit", 0) == limit):
            capture.stream(PORT, number, True, whole(vector), [60000])
            count += 1
        problems += compare(tshark, program, capture, "read limit %d" % limit, limit)[1]
        messages = tshark.messages(capture, "wayport.teleport", {"teleport.ports": PORT})
        marked += sum(1 for m in messages if m.experts)
    return "%d malformed and defect vectors, %d layers with expert information" % (count, marked), problems


def check_cut(tshark, vectors):
    """A frame that the capture cut off, and what comes after it; a message in two segments with reassembly off."""
    data = next(bytes.fromhex(v["hex"]) for v in vectors["teleport"] if v["kind"] == "packet")
    problems = []
    for what, cut, more in (("a cut frame", 5, []), ("reassembly off", 0, ["-o", "tcp.desegment_tcp_streams:FALSE"])):
        capture = Capture()
        capture.tcp(PORT, 0, True, data)
        capture.tcp(PORT, 0, True, data + (data if cut else data[:9]), cut=cut)
        capture.tcp(PORT, 0, True, data if cut else data[9:])
        shown = [(m.fields.get("error.code"), "unread" in m.fields)
                 for m in tshark.messages(capture, "wayport.teleport", {"teleport.ports": PORT}, more)]
        wanted = [(None, False), (None, False), ("cut", False), (None, True)]
        if shown != wanted:
            problems.append("%s: shows %r instead of %r" % (what, shown, wanted))
    return "2 captures", problems


def check_drain(tshark, _):
    """The drain notice of spec/teleport 12, and what is none."""
    capture, wanted = Capture(), []
    for seq, uri, status_code, drain_from in (
        (2**64 - 1, "/wayport/drain?from=0", 503, 0),
        (2**64 - 1, "/wayport/drain?from=18446744073709551615", 503, 2**64 - 1),
        (2**64 - 1, "/wayport/drain?from=18446744073709551616", 503, None),
        (2**64 - 1, "/wayport/drain?from=5&x", 503, None),
        (2**64 - 1, "/wayport/drain?from=", 503, None),
        (2**64 - 1, "/wayport/drain?from=5", 200, None),
        (2**64 - 2, "/wayport/drain?from=5", 503, None),
    ):
        header = {"seq": seq, "type": 2, "uri": uri, "status_code": status_code, "status": "draining"}
        text = b"j" + json.dumps(header, separators=(",", ":")).encode()
        capture.tcp(PORT, 0, False, len(text).to_bytes(4, "big") + text + bytes(4))
        wanted.append(drain_from)
    shown = [m.number("drain_from") for m in tshark.messages(capture, "wayport.teleport", {"teleport.ports": PORT})]
    return "%d packets" % len(wanted), [] if shown == wanted else ["drain_from is %r instead of %r" % (shown, wanted)]
