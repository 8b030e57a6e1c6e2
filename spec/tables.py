"""Tables of the pages against the vectors, and against each other."""

import json
import re

from page import table_below
from quotes import bytes_of


def read_varint(data, at):
    value, shift = 0, 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def protobuf_fields(data):
    """{field number: last value} of varints and strings."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            value, at = data[at: at + value], at + value
        fields[tag >> 3] = value
    return fields


def check_teleport(page, packets):
    packets = [p for p in packets if p["kind"] == "packet"]
    codecs = {row[1].lower(): int(row[0].split()[-1], 16) for row in table_below(page, "1. Packet", ["id", "codec"]) if "0x" in row[0]}
    codecs["string"] = codecs.get("bytes as they are")
    fields = {}
    for row in table_below(page, "2. Header", ["protobuf", "JSON key"]):
        fields[row[1].strip("`")] = int(row[0].split(",")[0])
    texts = {int(row[0]): row[1] for row in table_below(page, "6. Status", ["code", "text"])}
    types = table_below(page, "3. Types", ["type", "v2.0"])
    push = {version: next((int(row[0]) for row in types if row[column] == "push"), None) for version, column in (("v2.0", 1), ("v2.5", 2))}
    for packet in packets:
        raw, header = bytes.fromhex(packet["hex"]), packet["header"]
        if raw[4] != codecs.get(packet["header_codec"]):
            yield "1. Packet", "codec %s is 0x%02x in %s" % (packet["header_codec"], raw[4], packet["name"])
        body = raw[8 + packet["header_length"]:]
        if packet["body_codec"] and packet["body_form"] != "raw" and body[0] != codecs.get(packet["body_codec"]):
            yield "1. Packet", "codec %s is 0x%02x in %s" % (packet["body_codec"], body[0], packet["name"])
        if packet["header_codec"] == "protobuf":
            sent = protobuf_fields(raw[5: 4 + packet["header_length"]])
            for key, value in header.items():
                there = sent.get(fields.get(key), b"" if isinstance(value, str) else 0)
                there = there.decode("utf-8", "replace") if isinstance(there, bytes) else there
                if there != (value % 2**64 if isinstance(value, int) else value):
                    yield "2. Header", "%s is not field %s in %s" % (key, fields.get(key), packet["name"])
        elif not set(json.loads(raw[5: 4 + packet["header_length"]])) <= set(fields):
            yield "2. Header", "a key that the table does not have, in %s" % packet["name"]
        code = header["status_code"]
        if header["type"] == 2 and code in texts and re.match(r"[A-Z]", texts[code]) and header["status"] != texts[code]:
            yield "6. Status", "%d is %r in %s" % (code, header["status"], packet["name"])
        if ".push_" in packet["name"] and header["type"] != push.get(packet["version"], header["type"]):
            yield "3. Types", "push is %d in %s" % (header["type"], packet["name"])


def check_link(page, data):
    commands = {row[1].lower(): (int(row[0]), int(row[3])) for row in table_below(page, "3. Commands", ["type", "name"])}
    seen = set()
    for vector in data["vectors"]:
        fields = vector["fields"]
        if "command" in fields:
            seen.add(fields["command"])
            if commands.get(fields["command"]) != (fields["type"], fields["length"]):
                yield "3. Commands", "%s is type %d, length %d in %s" % (
                    fields["command"], fields["type"], fields["length"], vector["name"])
    for command in set(commands) ^ seen:
        yield "3. Commands", "%s is only in the table, or only in the vectors" % command


def check_snet(page, data):
    rows = {row[0]: row[1] for row in table_below(page, "1. Constants", ["name", "value"])}
    if "`%s`, %d" % (data["dh64"]["p"], data["dh64"]["g"]) not in rows.get("p, g", ""):
        yield "1. Constants", "p, g are %s, %d in the vectors" % (data["dh64"]["p"], data["dh64"]["g"])
    first = {bytes_of(s) for x in data["scenarios"] for s in x["steps"] if s.get("what", "").startswith("type byte")}
    said = {rows.get("first byte of a new session", "").strip("`"), rows.get("first byte of a reconnect", "").strip("`")}
    if first != said:
        yield "1. Constants", "first bytes are %s in the vectors" % ", ".join(sorted(first))


def check_kcp(page, data):
    text = page.text
    commands = dict((name, int(number)) for number, name in re.findall(r"\b(8\d) (push|ack|wask|wins)\b", text))
    for segment in data["segments"]:
        name = segment["name"].split("_")[0]
        if name in commands and segment["cmd"] != commands[name]:
            yield "2. Segments", "%s is %d in %s" % (name, segment["cmd"], segment["name"])
    if set(commands) != {"push", "ack", "wask", "wins"}:
        yield "2. Segments", "the commands are not all there"
    rows = [m["matrix_rows"] if "matrix_rows" in m else m for m in data["reed_solomon"]["parity_matrices"]]
    ten_three = [m for m in rows if isinstance(m, dict) and m.get("data") == 10 and m.get("parity") == 3]
    for matrix in ten_three:
        for row in next(v for v in matrix.values() if isinstance(v, list)):
            row = row if isinstance(row, str) else bytes(row).hex()
            if "`%s`" % row not in text:
                yield "6. FEC", "the parity row %s of 10+3 is missing" % row
    if not ten_three:
        yield "6. FEC", "the vectors have no matrix of 10+3"
    if data["crypt"]["cfb_iv_16"] not in text:
        yield "7. Encryption", "the IV is %s in the vectors" % data["crypt"]["cfb_iv_16"]
    yield from check_extension(page)


def spread(value):
    """splitmix64's step and finalizer, the f of kcp.md 8."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
    return value ^ value >> 31


def check_extension(page):
    """The worked bytes of the extension, which is ours: no original has sent any."""
    rows = re.findall(r"^ {4}((?:[0-9a-f]{2,16} +)+) {2,}(push|hello|confirm|close|closed)\b", page.text, flags=re.M)
    kinds = {}
    for row in table_below(page, "8. Extension", ["kind", "value"]):
        kinds.update({name: int(number) for number, name in re.findall(r"(\d) (\w+)", row[0])})
    for name in ("push", "hello", "confirm", "close", "closed"):
        sent = next((bytes.fromhex(words.replace(" ", "")) for words, what in rows if what == name), b"")
        conv = int.from_bytes(sent[:4], "little")
        mark, start = spread(0x7761790000000000 | conv), spread(0x61736B0000000000 | conv) % 2**32
        if name == "push":
            right = sent[8:12] == start.to_bytes(4, "little") and "%08x" % start in page.text and "%016x" % mark in page.text
        else:
            right = sent[8:16] == (mark >> 32).to_bytes(4, "little") + (mark % 2**32).to_bytes(4, "little")
            right = right and len(sent) == 40 and sent[20:24] == bytes([16, 0, 0, 0]) and sent[24:26] == bytes([1, kinds.get(name, 0)])
        if not right:
            yield "8. Extension", "the bytes of %s are others" % name


def check_route(page, data):
    word = int.from_bytes(b"erro", "little")
    for section, text in (("1. On the wire", format(word, ",").replace(",", " ")), ("9. Conformance", format(word, ","))):
        if text not in page.text:
            yield section, "the word of a refusal is %s" % text
    if format(data["clock"], ",").replace(",", " ") not in page.text:
        yield "3.4 Tokens", "the clock is %d in the vectors" % data["clock"]
    longest = next(v["fields"]["length"] for v in data["vectors"] if v["name"] == "identify-max")
    limits = {row[0]: row[1] for row in table_below(page, "3.1 Limits", ["what", "default"])}
    if limits.get("identify") != "1 to %d bytes" % longest:
        yield "3.1 Limits", "an identify has at most %d bytes in the vectors" % longest


CONSTANTS = {
    "kcp.md": check_kcp,
    "link.md": check_link,
    "route.md": check_route,
    "snet.md": check_snet,
    "teleport.md": check_teleport,
}


def words(cell):
    return [word.strip(" `") for word in re.split(r"[,;]", cell) if word.strip()]


def check_status(pages):
    """The tables of status.md say what those of the protocols' pages say."""
    if not {"status.md", "ws.md", "route.md", "teleport.md"} <= set(pages):
        return
    status = pages["status.md"]
    sent, received = {}, {}
    for row in table_below(pages["ws.md"], "5. Ends", ["reason", "code sent"]):
        sent.update({reason: row[1] for reason in words(row[0])})
        received.update({code: words(row[4])[0] for code in words(row[3])})
    sent.pop("", None)
    there = table_below(status, "6. Websocket", ["code", "sent for"])
    for row in there:
        for code in words(row[0]):
            if received.get(code) != row[2].split(",")[0]:
                yield "6. Websocket", "%s is received as %s in ws.md" % (code, received.get(code))
        for reason in words(row[1]):
            if sent.get(reason, row[0]) != row[0]:
                yield "6. Websocket", "%s is sent as %s in ws.md" % (reason, sent[reason])
    said = {reason for row in there for reason in words(row[1])}
    for reason in sorted(set(sent) - said):
        yield "6. Websocket", "%s is missing" % reason
    codes = {row[0].strip("`"): row[2] for row in table_below(pages["route.md"], "3.5 Answers", ["code", "meaning"])}
    rows = {row[0].strip("`"): row[2] for row in table_below(status, "5. Route", ["code, inside"])}
    for code in codes:
        shown = "dial_refused" if code in ("unauthorized", "forbidden") else code
        if code not in rows:
            yield "5. Route", "%s is missing" % code
        elif rows[code] != codes[shown]:
            yield "5. Route", "%s is %s in route.md" % (code, codes[shown])
    listed = {row[0] for row in table_below(status, "2. Replies", ["code", "text"])}
    listed |= {row[0] for row in table_below(status, "3. Outcomes", ["code", "when"])}
    for row in table_below(pages["teleport.md"], "6. Status", ["code", "text"]):
        if row[0] not in listed:
            yield "2. Replies", "%s of teleport.md is missing" % row[0]


def check_counts(page, vectors):
    """The table of vectors/README.md: file, list, entries."""
    rows = table_below(page, "Files", ["file", "list", "entries"])
    said = {(row[0].strip("`"), row[1].strip("`")): row[2] for row in rows}
    there = {}
    for file, data in vectors.items():
        if isinstance(data, list):
            for kind in {e["kind"] for e in data}:
                there[file, kind] = sum(e["kind"] == kind for e in data)
            continue
        for key, value in data.items():
            if isinstance(value, list):
                there[file, key] = len(value)
            elif isinstance(value, dict):
                lists = {k: v for k, v in value.items() if isinstance(v, list) and isinstance(v[0], dict)}
                there.update({(file, "%s.%s" % (key, k)): len(v) for k, v in lists.items()})
    for key in sorted(set(said) | set(there)):
        if str(there.get(key)) != said.get(key):
            yield 1, "%s %s: %s entries there, the table says %s" % (*key, there.get(key, "no"), said.get(key, "nothing"))


# Lists whose entries have keys of their own, and a view that repeats what the bytes say.
FREE = ["behaviours", "decoded", "claims"]


def keys_of(data):
    if isinstance(data, dict):
        return set(data).union(*(keys_of(v) for k, v in data.items() if k not in FREE))
    return set().union(*(keys_of(v) for v in data)) if isinstance(data, list) else set()


def check_keys(page, vectors):
    """vectors/README.md explains each key of a file, in its section or in the first one."""
    parts = re.split(r"^## ", page.text, flags=re.M)
    common = parts[1] if len(parts) > 1 else ""
    for file, data in vectors.items():
        section = next((part for part in parts if part.startswith(file)), None)
        if section is None:
            yield 1, "has no section %s" % file
            continue
        for key in sorted(keys_of(data)):
            if "`%s`" % key not in section + common:
                yield 1, "%s: nothing is said of the key %s" % (file, key)
