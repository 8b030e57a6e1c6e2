#!/usr/bin/env python3
"""A Teleport v2.5 client in one file, written from spec/teleport.md: pulls one route with a JSON body and prints the reply's body.

    echo_client.py HOST PORT /route BODY        for instance: echo_client.py 127.0.0.1 9090 /echo '{"a":1}'

Exits 0 if the peer answered 200, 1 for any other answer, 2 if the connection or the format broke. (N) is a section of the page.
"""

import json
import socket
import struct
import sys
import zlib

PULL, REPLY = 1, 2  # (3)
JSON, PROTOBUF, PLAIN = ord("j"), ord("p"), ord("s")  # codec ids (1)
LIMIT = 64 << 20  # of a packet (8), and of what a body inflates to (5)
TIMEOUT = 30.0  # seconds for the connection, and between two pieces of the reply
ZERO = {"seq": 0, "type": 0, "uri": "", "gzip": 0, "status_code": 0, "status": ""}  # the fields of a header (2)


def counted(codec, data):
    return struct.pack(">IB", len(data) + 1, codec) + data  # the length counts the codec id, not itself (1)


def read_counted(stream, before=0):
    """(codec id, the rest) of a header or body, 0 if there is none. The length is judged as soon as it is there (8)."""
    word = stream.read(4)
    length = int.from_bytes(word, "big")
    if length and before + 4 + length > LIMIT:
        raise ValueError(f"a length of {length}")
    data = stream.read(length)
    if len(word) + len(data) < 4 + length:
        raise ValueError("the peer closed the connection without a whole reply")
    return data[0] if data else 0, data[1:]


def json_header(**fields):
    """Zero values are left out, and what Go escapes is escaped (2); none of these characters occurs outside of strings."""
    text = json.dumps({key: value for key, value in fields.items() if value}, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return counted(JSON, text.encode())


def decode_json(data):
    """Keys come in any order and letter case; null and absent are zero, unknown ones are skipped (2)."""
    present = {key.lower(): value for key, value in dict(json.loads(data.decode("utf-8", "replace"))).items() if value is not None}
    header = {key: present.get(key, zero) for key, zero in ZERO.items()}
    if any(type(header[key]) is not type(zero) for key, zero in ZERO.items()):
        raise ValueError("a header field has the wrong type")
    return header


def varint(data, at):
    """A protobuf number, and where the next thing begins."""
    size = next(i for i in range(1, 11) if data[at + i - 1] < 128)
    return sum((byte & 127) << 7 * i for i, byte in enumerate(data[at : at + size])), at + size


def protobuf_type(data):
    """Field 2 of a protobuf header, the last if there are several; the others are skipped (2)."""
    kind = at = 0
    while at < len(data):
        key, at = varint(data, at)
        value, at = varint(data, at) if key & 7 in (0, 2) else ({1: 8, 5: 4}[key & 7], at)
        kind = value & 0xFFFFFFFF if key == 2 << 3 else kind
        at += value if key & 7 else 0
    if at > len(data):
        raise ValueError("a protobuf header is cut")
    return kind


def inflate(data):
    """Whole members, or one that was flushed and not finished, as the originals leave it (5)."""
    out = b""
    while data:
        stream = zlib.decompressobj(31)
        out += stream.decompress(data, LIMIT)
        if stream.unconsumed_tail or not (stream.eof or data.endswith(b"\x00\x00\xff\xff")):
            raise ValueError("gzip data that is cut or too long")
        data = stream.unused_data
    return out


def pull(sock, uri, body):
    """(status code, status text, body codec, body) of the reply. We have no routes: pulls of the peer get 404 (7), pushes nothing."""
    sock.sendall(json_header(type=PULL, uri=uri) + counted(JSON, body.encode()))  # seq is 0, so it is left out (4)
    stream = sock.makefile("rb")
    while True:
        codec, data = read_counted(stream)
        if codec not in (JSON, PROTOBUF):
            raise ValueError(f"header codec {codec}")
        header = decode_json(data) if codec == JSON else {**ZERO, "type": protobuf_type(data)}
        body_codec, reply = read_counted(stream, len(data) + 5)
        if header["type"] == PULL and codec == JSON:
            sock.sendall(json_header(**{**header, "type": REPLY, "status_code": 404, "status": "Not Found"}) + bytes(4))
        elif header["type"] == PULL:  # of duplicate fields the last one counts (2), so type, code and text go behind the request
            sock.sendall(counted(PROTOBUF, data + b"\x10\x02\x28\x94\x03\x32\x09Not Found") + bytes(4))
        elif header["type"] == REPLY and codec == JSON and header["seq"] == 0:  # a reply has the header codec of its request (1)
            return header["status_code"], header["status"], body_codec, inflate(reply) if header["gzip"] else reply


def main(host, port, uri, body):
    json.loads(body)  # the peer would refuse what this refuses
    with socket.create_connection((host, int(port)), TIMEOUT) as sock:
        code, status, codec, reply = pull(sock, uri, body)
    if code != 200:  # success is exactly 200 (6)
        print(code, status, file=sys.stderr)
    elif reply:
        print(reply.decode() if codec in (JSON, PLAIN) else f"codec {codec:#x}: {reply.hex()}")
    return 0 if code == 200 else 1


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]) if len(sys.argv) == 5 else __doc__)
    except (OSError, TypeError, ValueError, LookupError, StopIteration, RecursionError, zlib.error) as problem:
        print(f"echo_client: {problem or type(problem).__name__}", file=sys.stderr)
        sys.exit(2)
