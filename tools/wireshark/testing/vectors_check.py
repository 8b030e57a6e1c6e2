"""What Wireshark shows of link, snet, route and KCP, against the fields that the golden vectors give."""

import hashlib
import random
import struct

from captures import Capture

LINK, LINK_SERVER, SNET, KCP, ROUTE = 9001, 9002, 9003, 9004, 9005
PORTS = {"link.ports": LINK, "link_server.ports": LINK_SERVER, "snet.ports": SNET, "kcp.ports": KCP, "route.ports": ROUTE}
SPLITS = {"a segment each": None, "single bytes": 1, "segments of 7": 7}


class Wanted:
    """A capture, and for each of its messages the fields that it has to show."""

    def __init__(self):
        self.capture = Capture()
        self.messages = []  # (flow, label, {name: value}, expert or None)

    def want(self, connection, to_server, label, fields, expert=None):
        self.messages.append(((connection, to_server), label, fields, expert))

    def problems(self, shown, what):
        """In each flow the messages are the wanted ones, in order."""
        by_flow, found = {}, []
        for message in shown:
            by_flow.setdefault(message.flow, []).append(message)
        for flow, label, fields, expert in self.messages:
            queue = by_flow.get(flow)
            if not queue:
                found.append("%s, %s: not shown" % (what, label))
                continue
            message = queue.pop(0)
            for name, value in fields.items():
                got = message.fields.get(name)
                if value is None:
                    if got is not None:
                        found.append("%s, %s: shows %s %r" % (what, label, name, got))
                elif isinstance(value, bytes):
                    if message.octets(name) != value:
                        found.append("%s, %s: %s is %r, the vector has %r" % (what, label, name, got, value.hex()))
                elif isinstance(value, bool):
                    if (got in ("1", "True")) != value:
                        found.append("%s, %s: %s is %r, the vector has %r" % (what, label, name, got, value))
                elif isinstance(value, int):
                    if message.number(name) != value:
                        found.append("%s, %s: %s is %r, the vector has %r" % (what, label, name, got, value))
                elif got != value:
                    found.append("%s, %s: %s is %r, the vector has %r" % (what, label, name, got, value))
            malformed = [e for e in message.experts if e.endswith(("malformed", "too_large"))]
            if expert is None and malformed:
                found.append("%s, %s: marked %s" % (what, label, malformed))
            if expert and expert not in [e.split(".", 2)[2] for e in message.experts]:
                found.append("%s, %s: not marked %s, only %s" % (what, label, expert, message.experts))
        for flow, queue in by_flow.items():
            if queue:
                found.append("%s, flow %s: %d messages more than wanted" % (what, flow, len(queue)))
        return found


def run(tshark, make, protocol, preferences=None):
    """make(wanted, split) for each way to split. How many messages a way has, and the problems of all."""
    count, problems = 0, []
    for label, size in SPLITS.items():
        wanted = Wanted()
        make(wanted, size)
        count = len(wanted.messages)
        shown = tshark.messages(wanted.capture, "wayport." + protocol, dict(PORTS, **(preferences or {})), ["-2"] if size == 7 else [])
        problems += wanted.problems(shown, label)
    return count, problems


def send(wanted, port, connection, to_server, data, size):
    # Long messages in single bytes only show that there are many.
    if size and len(data) > 2000:
        size = 1399
    wanted.capture.stream(port, connection, to_server, data, [size or 60000])


# --- link ---

def link_bytes(entry):
    if entry.get("hex"):
        return bytes.fromhex(entry["hex"])
    prefix = bytes.fromhex(entry["hex_prefix"])
    rest = entry["total_bytes"] - 8
    return prefix[:8] + bytes((i * 7 + 3) % 256 for i in range(rest))


def link_fields(fields):
    names = {"length": "length", "conn_id": "id", "type": "type", "remote_id": "remote_id", "new_conn_id": "connection_id",
             "closed_conn_id": "connection_id", "payload_length": "message_bytes", "server_id": "server_id"}
    octets = {"payload_hex": "message", "challenge_hex": "challenge", "md5_hex": "md5"}
    wanted = {}
    for name, value in fields.items():
        if name in names and value is not None:
            wanted[names[name]] = value
        elif name in octets and value:
            wanted[octets[name]] = bytes.fromhex(value)
        elif name == "command":
            wanted["command"] = value.capitalize()
    return wanted


CHALLENGE = bytes.fromhex("0102030405060708")


def link_login(wanted, connection):
    """The beginning of a connection of a server."""
    answer = hashlib.md5(CHALLENGE).digest() + struct.pack("<I", 7)
    wanted.capture.tcp(LINK_SERVER, connection, False, CHALLENGE)
    wanted.want(connection, False, "challenge", {"challenge": CHALLENGE})
    wanted.capture.tcp(LINK_SERVER, connection, True, answer)
    wanted.want(connection, True, "answer", {"md5": answer[:16], "server_id": 7})


def check_link(tshark, vectors):
    fastway = vectors["fastway"]
    whole = len(fastway["vectors"]) + sum(len(t["steps"]) for t in fastway["transcripts"])

    def make(wanted, size):
        number = 0
        for vector in fastway["vectors"]:
            fields, data = vector["fields"], link_bytes(vector)
            to_server = vector["direction"].endswith("->gateway")
            if "md5_hex" in fields:
                challenge = bytes.fromhex(fields["challenge_hex"])
                send(wanted, LINK_SERVER, number, False, challenge, size)
                wanted.want(number, False, vector["name"], {"challenge": challenge})
                send(wanted, LINK_SERVER, number, True, data, size)
                wanted.want(number, True, vector["name"], {"md5": bytes.fromhex(fields["md5_hex"]), "server_id": fields["server_id"]})
            else:
                server_side = "server" in vector["direction"]
                if server_side:
                    link_login(wanted, number)
                over = fields["length"] > 524288
                # Nothing is looked at behind a length that is over the limit.
                send(wanted, LINK_SERVER if server_side else LINK, number, to_server, data[:4] if over else data, size)
                wanted.want(number, to_server, vector["name"], {} if over else link_fields(fields), "too_large" if over else None)
            number += 1
        for transcript in fastway["transcripts"]:
            links = {}
            for step in transcript["steps"]:
                if "hex" not in step:
                    continue
                if step["link"] not in links:
                    links[step["link"]] = number
                    number += 1
                    if step["link"] == "server" and "challenge_hex" not in step["fields"]:
                        link_login(wanted, links["server"])
                to_server = step["direction"].endswith("->gateway")
                port = LINK_SERVER if step["link"] == "server" else LINK
                send(wanted, port, links[step["link"]], to_server, link_bytes(step), size)
                wanted.want(links[step["link"]], to_server, transcript["name"], link_fields(step["fields"]))

    count, problems = run(tshark, make, "link")
    if count < whole:
        problems.append("%d messages, but the vectors have %d" % (count, whole))
    return "%d vectors, %d steps of transcripts" % (len(fastway["vectors"]), whole - len(fastway["vectors"])), problems


REFUSED = ("length-", "command-type-", "dial-truncated", "close-truncated")


def check_link_malformed(tshark, vectors):
    chosen = [b for b in vectors["fastway"]["behaviours"]
              if isinstance(b.get("sent"), str) and "..." not in b["sent"] and b["sent"] and b.get("sender") == "client"]
    refused = [b for b in chosen if b["name"].startswith(REFUSED)]

    def make(wanted, size):
        for number, behaviour in enumerate(chosen):
            data = bytes.fromhex(behaviour["sent"])
            send(wanted, LINK, number, True, data, size)
            if behaviour in refused:
                large = int.from_bytes(data[:4], "little") > 524288
                wanted.want(number, True, behaviour["name"], {"error.code": "too_large" if large else "malformed"},
                            "too_large" if large else "malformed")
                # What is behind the length word that was refused, in segments of its own.
                if size == 1 and int.from_bytes(data[:4], "little") < 4:
                    for _ in data[4:]:
                        wanted.want(number, True, behaviour["name"], {"error.code": None})
            else:
                at = 0
                while at < len(data):
                    length = int.from_bytes(data[at : at + 4], "little")
                    wanted.want(number, True, behaviour["name"], {"length": length, "error.code": None})
                    at += 4 + length

    count, problems = run(tshark, make, "link")

    def limited(wanted, _):
        for number, vector in enumerate(v for v in vectors["fastway"]["vectors"] if "packet-256" in v["name"]):
            wanted.capture.tcp(LINK, number, True, link_bytes(vector))
            over = vector["name"] == "data-over-max-packet-256"
            wanted.want(number, True, vector["name"], {"error.code": "too_large" if over else None}, "too_large" if over else None)

    problems += run(tshark, limited, "link", {"link.max_packet": 256})[1]
    if len(refused) < 14:
        problems.append("only %d refused inputs" % len(refused))
    return "%d inputs, %d of them refused" % (len(chosen), len(refused)), problems


# --- snet ---

def check_snet(tshark, vectors):
    scenarios = vectors["snet"]["scenarios"]
    steps_seen = set()

    def octets_le(text):
        return int(text, 16)

    def make(wanted, size):
        number = 0
        for scenario in scenarios:
            connections, first = {}, {}
            for index, step in enumerate(scenario["steps"]):
                if not step["tcp"] or "hex" not in step or step["what"] == "LOST":
                    continue
                number = connections.setdefault(step["tcp"], len(wanted.capture.next) + number + 1)
                to_server, data, fields = step["dir"] == "client->server", bytes.fromhex(step["hex"]), step.get("fields", {})
                steps_seen.add((scenario["name"], index))
                label = "%s, %s" % (scenario["name"], step["what"])
                send(wanted, SNET, number, to_server, data, size)
                if step["what"].startswith("type byte"):
                    first[number] = data[0]
                elif step["what"] == "client public key":
                    wanted.want(number, True, label, {"type": first[number], "client_public": octets_le(fields["public"])})
                elif step["what"] == "handshake response":
                    wanted.want(number, False, label, {
                        "server_public": octets_le(fields["server_public"]),
                        "hidden_id": bytes.fromhex(fields["encrypted_conn_id_hex"]),
                        "challenge": bytes.fromhex(fields["challenge_hex"])})
                elif step["what"] in ("handshake md5", "reconnect md5"):
                    wanted.want(number, True, label, {"proof": data})
                elif step["what"] == "reconnect request":
                    wanted.want(number, True, label, {
                        "type": first[number], "id": fields["conn_id"], "written": fields["write_count"],
                        "received": fields["read_count"], "proof": bytes.fromhex(fields["md5_hex"])})
                elif step["what"] == "reconnect response":
                    wanted.want(number, False, label, {
                        "written": fields["write_count"], "received": fields["read_count"],
                        "challenge": bytes.fromhex(fields["challenge_hex"]), "refused": fields["refused"]},
                        "refusal" if fields["refused"] else None)
                else:
                    for at in range(0, len(data), size or len(data)):
                        wanted.want(number, to_server, label, {"stream": data[at : at + (size or len(data))]})

    count, problems = run(tshark, make, "snet")
    return "%d steps of %d scenarios" % (len(steps_seen), len(scenarios)), problems


def check_snet_malformed(tshark, vectors):
    behaviours = {b["name"]: b for b in vectors["snet"]["behaviours"]}

    def make(wanted, size):
        send(wanted, SNET, 1, True, bytes.fromhex(behaviours["first-byte-0x01"]["sent"]), size)
        wanted.want(1, True, "first-byte-0x01", {"error.code": "malformed"}, "malformed")
        keys = [bytes.fromhex(behaviours["handshake-public-key-zero"]["sent"])[1:]]
        keys += [struct.pack("<Q", k) for k in (1, 2**64 - 60, 2**64 - 59, 2**64 - 58, 2**64 - 1)]
        for number, key in enumerate(keys, 2):
            send(wanted, SNET, number, True, b"\0" + key, size)
            wanted.want(number, True, "public key " + key.hex(), {"client_public": int.from_bytes(key, "little")}, "weak_key")
        send(wanted, SNET, 20, True, b"\0" + struct.pack("<Q", 2**64 - 61), size)
        wanted.want(20, True, "the largest good key", {"client_public": 2**64 - 61})
        request = bytes.fromhex(behaviours["reconnect-unknown-id"]["request"])
        send(wanted, SNET, 21, True, request, size)
        wanted.want(21, True, "reconnect-unknown-id", {"type": 0xFF, "id": int.from_bytes(request[1:9], "little"), "proof": request[25:]})
        send(wanted, SNET, 21, False, bytes.fromhex(behaviours["reconnect-unknown-id"]["response"]), size)
        wanted.want(21, False, "reconnect-unknown-id", {"refused": True}, "refusal")
        request = bytes.fromhex(behaviours["reconnect-huge-write-count"]["request"])
        send(wanted, SNET, 22, True, request, size)
        wanted.want(22, True, "reconnect-huge-write-count", {"written": int.from_bytes(request[9:17], "little")})
        wanted.capture.tcp(SNET, 23, False, bytes(24))
        wanted.want(23, False, "a server that speaks first", {"error.code": "malformed"}, "malformed")

    count, problems = run(tshark, make, "snet")
    return "%d inputs" % count, problems


# --- route ---

def check_route(tshark, vectors):
    frames, transcripts = vectors["route"]["vectors"], [t for t in vectors["route"]["transcripts"] if t["name"].startswith("tcp-")]

    def identify_fields(data):
        host, _, port = data[4:].decode().rpartition(":")
        return {"length": len(data) - 4, "identify": data[4:].decode(), "host": host, "port": int(port)}

    def make(wanted, size):
        for number, vector in enumerate(frames):
            data = bytes.fromhex(vector["hex"] or vector["hex_prefix"])
            if not vector["hex"]:
                data += data[-1:] * (vector["total_bytes"] - len(data))
            to_server, name, fields = vector["direction"] == "client->gateway", vector["name"], vector["fields"]
            send(wanted, ROUTE, number, to_server, data, size)
            if name in ("identify-zero-length", "identify-length-ffffffff", "identify-over-max", "identify-big-endian-mistake"):
                code = "malformed" if "zero" in name else "too_large"
                wanted.want(number, to_server, name, {"error.code": code}, code)
                if size == 7 and len(data) > 7 or size == 1:
                    for _ in range(4 if size == 1 else 7, len(data), size):
                        wanted.want(number, to_server, name, {"error.code": None})
            elif name == "identify-max" or name.startswith("identify-bad"):
                wanted.want(number, to_server, name, {"length": len(data) - 4, "host": None}, "identify_malformed")
            elif to_server:
                wanted.want(number, True, name, dict(identify_fields(data), identify=fields["identify"]))
            elif name == "failure":
                # Whatever follows the word belongs to it.
                wanted.want(number, False, name, {"refused": fields["text"]}, "refusal")
            else:
                wanted.want(number, False, name, {"length": fields["length"], "message": bytes.fromhex(fields["message_hex"])}
                            if fields["message_hex"] else {"length": 0})
        for number, transcript in enumerate(transcripts, 100):
            streams = {True: [], False: []}
            for step in transcript["steps"]:
                to_server = step["direction"] == "client->gateway"
                if step.get("hex") and step["direction"] in ("client->gateway", "gateway->client"):
                    send(wanted, ROUTE, number, to_server, bytes.fromhex(step["hex"]), size)
                    streams[to_server].append(bytes.fromhex(step["hex"]))
            client, gateway = b"".join(streams[True]), b"".join(streams[False])
            end = 4 + int.from_bytes(client[:4], "little")
            wanted.want(number, True, transcript["name"], identify_fields(client[:end]))
            pieces = [client[end:]] if end < len(client) else []
            if size == 1:
                pieces = [client[i : i + 1] for i in range(end, len(client))]
            for piece in pieces:
                wanted.want(number, True, transcript["name"], {"data": piece})
            if gateway[:4] == b"erro":
                wanted.want(number, False, transcript["name"], {"refused": "error"}, "refusal")
                continue
            end = 4 + int.from_bytes(gateway[:4], "little")
            wanted.want(number, False, transcript["name"], {"message": gateway[4:end]})
            pieces = [gateway[end:]] if end < len(gateway) else []
            if size == 1:
                pieces = [gateway[i : i + 1] for i in range(end, len(gateway))]
            for piece in pieces:
                wanted.want(number, False, transcript["name"], {"data": piece})

    count, problems = run(tshark, make, "route")
    return "%d vectors, %d transcripts" % (len(frames), len(transcripts)), problems


# --- kcp ---

COMMANDS = {"push": 81, "ack": 82, "wask": 83, "wins": 84}
SEGMENT_NAMES = ("conv", "cmd", "frg", "wnd", "ts", "sn", "una", "len")


def split_segments(data):
    """The whole segments at the start of a datagram, by the rules of spec/kcp 2."""
    found, at, conv = [], 0, None
    while len(data) - at >= 24:
        values = dict(zip(SEGMENT_NAMES, struct.unpack_from("<IBBHIIII", data, at)))
        conv = values["conv"] if conv is None else conv
        if values["conv"] != conv or not 81 <= values["cmd"] <= 84 or values["len"] > len(data) - at - 24:
            return found, True
        values["payload"] = data[at + 24 : at + 24 + values["len"]]
        found.append(values)
        at += 24 + values["len"]
    return found, not found


def kcp_datagrams(vectors):
    """(label, bytes, {field: value} of the datagram, [{field: value} of each segment])"""
    kcp = vectors["kcp"]
    for entry in kcp["segments"]:
        data = bytes.fromhex(entry["bytes"])
        fields = [{n: entry[n] for n in SEGMENT_NAMES}] if "conv" in entry else split_segments(data)[0]
        yield entry["name"], data, {}, fields
    for entry in kcp["fragmented_send"]:
        for datagram in entry["datagrams"]:
            yield entry["name"], bytes.fromhex(datagram), {}, split_segments(bytes.fromhex(datagram))[0]
    for group in kcp["fec"]["encode_groups"]:
        for index, packet in enumerate(group["fec_packets"]):
            data = bytes.fromhex(packet)
            fields = {"fec.seqid": group["first_seqid"] + index, "fec.type": "data" if index < group["data"] else "parity"}
            segments = []
            if index < group["data"]:
                fields["fec.size"] = len(data) - 6
                segments = split_segments(data[8:])[0]
            else:
                fields["fec.parity"] = data[6:]
            yield group["name"], data, fields, segments
    for transcript in kcp["transcripts"]:
        for datagram in transcript["datagrams"]:
            decoded = datagram["decoded"]
            data = bytes.fromhex(decoded.get("clear", datagram["hex"]))
            fields = {"fec." + n: v for n, v in decoded.get("fec", {}).items()}
            if "oob" in decoded:
                fields["conv"] = decoded["oob"]["conv"]
                fields["oob"] = bytes.fromhex(decoded["oob"]["payload"]) or None
            segments = [dict(s, cmd=COMMANDS[s["cmd"]]) for s in decoded.get("segments", [])]
            yield transcript["name"], data, fields, segments


def compare_kcp(messages, wanted):
    problems = []
    if len(messages) != len(wanted):
        return ["%d datagrams shown, there are %d" % (len(messages), len(wanted))]
    for message, (label, _, fields, segments) in zip(messages, wanted):
        problem = Wanted()
        problem.want(*message.flow, label, fields, None)
        for segment in segments:
            problem.want(*message.flow, label, {n: v for n, v in segment.items() if v != b""}, None)
        problems += problem.problems([message] + message.inner, "kcp")
    return problems


def check_kcp(tshark, vectors):
    wanted = list(kcp_datagrams(vectors))
    capture = Capture()
    for number, (_, data, _, _) in enumerate(wanted):
        capture.udp(KCP, number % 100, number % 2 == 0, data)
    problems = compare_kcp(tshark.messages(capture, "wayport.kcp", PORTS), wanted)
    count = len(wanted)
    for mode in vectors["kcp"]["crypt"]["modes"]:
        capture, wanted = Capture(), []
        for packet in mode["packets"]:
            clear = bytes.fromhex(packet["clear_packet"])
            data = bytes.fromhex(packet["wire_packet"]) if mode["name"] == "none" else clear
            fields = {"nonce": clear[:16], "crc": int.from_bytes(clear[16:20], "little")}
            capture.udp(KCP, 1, True, data)
            wanted.append((mode["name"], data, fields, split_segments(clear[20:])[0]))
        count += len(wanted)
        shown = tshark.messages(capture, "wayport.kcp", dict(PORTS, **{"kcp.layers": "nonce and CRC-32 in the clear (the cipher called none)"}))
        problems += compare_kcp(shown, wanted)
        problems += ["%s: a wrong CRC-32" % mode["name"] for m in shown if "wayport.kcp.crc_wrong" in m.experts]
    return "%d datagrams" % count, problems
