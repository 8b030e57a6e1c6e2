"""What Wireshark shows of streams in TLS: each decrypted record begins at offset 0, also several in one frame."""

import os
import random
import ssl
import struct
import tempfile

from captures import Capture
from vectors_check import ROUTE

TELEPORT = 9006
# Needs no certificate.
CIPHER = "AECDH-AES128-SHA:@SECLEVEL=0"


class Conversation:
    """A TLS connection between two ends in memory, each flight of the handshake in a segment of its own."""

    def __init__(self, capture, port, connection, keylog):
        self.send = lambda to_server, data: data and capture.tcp(port, connection, to_server, data)
        self.wires = {True: ssl.MemoryBIO(), False: ssl.MemoryBIO()}  # to_server -> bytes on their way
        self.ends = {}
        for to_server, side in ((True, ssl.PROTOCOL_TLS_CLIENT), (False, ssl.PROTOCOL_TLS_SERVER)):
            context = ssl.SSLContext(side)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(CIPHER)
            if to_server:
                context.keylog_filename = keylog
            self.ends[to_server] = [context, ssl.MemoryBIO()]
        for to_server, (context, out) in self.ends.items():
            self.ends[to_server] = (context.wrap_bio(self.wires[not to_server], out, server_side=not to_server), out)
        for _ in range(3):
            for to_server in (True, False):
                try:
                    self.ends[to_server][0].do_handshake()
                except ssl.SSLWantReadError:
                    pass
                data = self.ends[to_server][1].read()
                self.wires[to_server].write(data)
                self.send(to_server, data)

    def records(self, to_server, pieces):
        """The bytes of a record for each piece."""
        end, out = self.ends[to_server]
        found = []
        for piece in pieces:
            end.write(piece)
            found.append(out.read())
        return found


def messages(tshark, make, protocol, port, more):
    """What is shown of the capture that make(capture, keylog) writes."""
    with tempfile.TemporaryDirectory() as directory:
        keylog = os.path.join(directory, "keys")
        capture = Capture()
        make(capture, keylog)
        return tshark.messages(capture, "wayport." + protocol, {}, [
            "-o", "tls.keylog_file:" + keylog, "-d", "tcp.port==%d,tls" % port,
            "-d", "tls.port==%d,wayport.%s" % (port, protocol), *more])


def pieces_of(dice, data, sizes):
    at = 0
    while at < len(data):
        size = dice.choice(sizes)
        yield data[at : at + size]
        at += size


def check_route(tshark, more):
    """All that one side sends in one segment: identify and data in records of their own, the identify also in two.

    Conversations, and problems.
    """
    target = b"example.com:80"
    identify = struct.pack("<I", len(target)) + target

    identifies = ([identify], [identify[:9], identify[9:]])

    def make(capture, keylog):
        for connection, pieces in enumerate(identifies):
            conversation = Conversation(capture, ROUTE, connection, keylog)
            conversation.send(True, b"".join(conversation.records(True, pieces + [b"hello", b"more"])))
            conversation.send(False, b"".join(conversation.records(False, [bytes(4), b"answer"])))

    wanted = [(True, {"offset": 0, "identify": target}), (True, {"offset": 18, "data": b"hello"}),
              (True, {"offset": 23, "data": b"more"}), (False, {"offset": 0, "length": 0}),
              (False, {"offset": 4, "data": b"answer"})]
    shown = []
    for message in messages(tshark, make, "route", ROUTE, more):
        fields = {"offset": message.number("offset")}
        if "identify" in message.fields:
            fields["identify"] = message.fields["identify"].encode()
        elif "data" in message.fields:
            fields["data"] = message.octets("data")
        else:
            fields["length"] = message.number("length")
        shown.append((message.flow[1], fields))
    right = shown == wanted * len(identifies)
    return len(identifies), [] if right else ["route, %s: shows %r" % (more, shown)]


def check_teleport(tshark, vectors, more):
    """Packets joined, cut into records, and these into segments. Conversations, and problems."""
    count, problems = 0, []
    packets = [bytes.fromhex(v["hex"]) for v in vectors["teleport"]
               if v["kind"] == "packet" and v["direction"] == "client_to_server"]
    small = (3, 20, 100)
    for records, segments in ((None, None), (None, (1460,)), (small, (7, 60, 300)), (small, (1460,))):
        dice = random.Random(20)
        count += 1

        def make(capture, keylog):
            conversation = Conversation(capture, TELEPORT, 0, keylog)
            pieces = pieces_of(dice, b"".join(packets), records) if records else packets
            sealed = conversation.records(True, pieces)
            pairs = [b"".join(sealed[i : i + 2]) for i in range(0, len(sealed), 2)]
            for segment in pieces_of(dice, b"".join(sealed), segments) if segments else pairs:
                conversation.send(True, segment)

        wanted, at = [], 0
        for packet in packets:
            wanted.append((at, len(packet)))
            at += len(packet)
        shown = [(m.number("offset"), m.number("size")) for m in messages(tshark, make, "teleport", TELEPORT, more)]
        if shown != wanted:
            both = min(len(shown), len(wanted))
            wrong = next((i for i in range(both) if shown[i] != wanted[i]), both)
            problems.append("teleport, records of %s in segments of %s, %s: %d packets instead of %d, "
                            "from %d on %r instead of %r"
                            % (records or "a packet", segments or "two records", more, len(shown), len(wanted), wrong,
                               shown[wrong:][:2], wanted[wrong:][:2]))
    return count, problems


def check(tshark, vectors):
    counts, problems = [], []
    for more in ([], ["-2"]):
        for count, found in (check_route(tshark, more), check_teleport(tshark, vectors, more)):
            counts.append(count)
            problems += found
    return "%d conversations, half of them shown twice" % sum(counts), problems
