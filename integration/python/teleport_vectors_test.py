#!/usr/bin/env python3
"""The Teleport peer against the recorded bytes of spec/vectors/teleport.json."""

import asyncio
import contextlib
import functools
import os
import sys
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import vectors
from teleport import body, gzipped, header, packet
from teleport.body import Shape
from teleport.errors import WireError
from teleport.packet import Packet
from teleport.session import Options, Route, Router, Session

VECTORS = vectors.load("teleport.json")
ENTRIES = {kind: [v for v in VECTORS if v["kind"] == kind] for kind in ("packet", "defect_stream", "malformed")}
BODY_CODECS = {"json": body.JSON, "protobuf": body.PROTOBUF, "string": body.PLAIN}
SECONDS = 60.0
PROBE = 777_777

# Where the original reads on or hangs, and this peer ends the session without an answer (13).
STRICTER = {
    "gzip_trailing_garbage",
    "gzip_truncated_mid_block",
    "gzip_header_only_10_bytes",
    "gzip_bomb_200MiB_string",
    "limit1M_gzip_bomb_200MiB",
    "header_json_seq_negative",
    "header_json_seq_float",
    "header_unknown_codec_id_x",
    "header_unknown_codec_id_0",
    "tls_client_hello_prefix",
    "http_get_request",
}
# The original leaves these without the answer they should get, or with a broken one.
ANSWERED_HERE = {
    "client_FIN_while_handler_runs": ["slept"],
    "gzip_level_99_request": ["echo:full stream with trailer", "echo:probe"],
    "gzip_level_-3_request": ["echo:full stream with trailer"],
}
# What they need is no part of this peer: a read time-out, a handler for unknown routes, nil pointers, arguments that are messages in
# JSON or JSON of any type, or bytes of any codec.
ELSEWHERE = ("rt1s_", "unknown_handler_", "nilptr_", "slowloris_", "body_codec_type_mismatch_json_to_proto",
             "body_codec_type_mismatch_string_to_json", "gzip_bomb_to_raw_bytes")


def read_all(data, limit=packet.READ_LIMIT):
    """The packets of a stream, up to its end or to what breaks it."""

    async def run():
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        found = []
        while (arrived := await packet.read(reader, limit)) is not None:
            found.append(arrived)
        return found

    return asyncio.run(run())


@functools.cache
def bomb():
    """200 MiB of 0x41."""
    stream = zlib.compressobj(9, zlib.DEFLATED, gzipped.GZIP_WINDOW)
    return b"".join(stream.compress(b"\x41" * (1 << 20)) for _ in range(200)) + stream.flush()


class PacketTest(unittest.TestCase):
    def each(self, kind):
        for vector in ENTRIES[kind]:
            with self.subTest(vector["name"]):
                yield vector, bytes.fromhex(vector["hex"])

    def test_there_are_as_many_as_the_readme_says(self):
        self.assertEqual({kind: len(entries) for kind, entries in ENTRIES.items()}, {"packet": 349, "defect_stream": 3, "malformed": 90})

    def test_a_packet_decodes_to_its_fields(self):
        for vector, data in self.each("packet"):
            (found,) = read_all(data)
            self.assertEqual(vars(found.header), vector["header"])
            self.assertEqual(found.header_codec, header.CODECS[vector["header_codec"]])
            form = vector["body_form"]
            self.assertEqual(found.body_codec is None, form == "empty")
            self.assertEqual(found.body == b"", form in ("empty", "codec_only"))
            if form in ("plain", "gzip"):
                self.assertEqual(found.body_codec, BODY_CODECS[vector["body_codec"]])
                self.assertEqual(body.unpack(found).hex(), vector["body_hex"])

    def test_a_header_encodes_back_to_the_same_bytes(self):
        for vector, data in self.each("packet"):
            found = header.Header(**vector["header"])
            encoded = header.encode(found, header.CODECS[vector["header_codec"]])
            self.assertEqual(encoded.hex(), data[5 : 4 + vector["header_length"]].hex())

    def test_a_packet_that_is_not_compressed_encodes_back_to_the_same_bytes(self):
        for _, data in self.each("packet"):
            (found,) = read_all(data)
            self.assertEqual(packet.encode(found).hex(), data.hex())

    def test_a_body_compressed_here_is_a_whole_member_and_reads_as_before(self):
        for vector, _ in self.each("packet"):
            if vector["body_form"] == "gzip":
                data = bytes.fromhex(vector["body_hex"])
                compressed = gzipped.compress(data, vector["header"]["gzip"])
                self.assertFalse(compressed.endswith(gzipped.FLUSHED_END))
                self.assertEqual(gzipped.inflate(compressed), data)

    def test_a_packet_cut_anywhere_is_refused(self):
        for _, data in self.each("packet"):
            for size in {1, 3, 4, 5, len(data) // 2, len(data) - 1}:
                with self.assertRaises(WireError):
                    read_all(data[:size])

    def test_streams_of_the_originals_defects_are_survived(self):
        for _, data in self.each("defect_stream"):
            try:
                for found in read_all(data):
                    body.decode(found, Shape.ANY)
            except WireError:
                pass

    def test_an_empty_compressed_json_body_is_refused_and_an_empty_string_is_one(self):
        (found,) = read_all(bytes.fromhex(next(v["hex"] for v in ENTRIES["defect_stream"] if "empty_member" in v["name"])))
        with self.assertRaises(WireError):
            body.decode(found, Shape.TEXT)
        found.body_codec = body.PLAIN
        self.assertEqual(body.decode(found, Shape.TEXT), "")


class LimitTest(unittest.TestCase):
    def test_a_packet_of_the_limit_is_read_and_one_byte_more_is_not(self):
        found = Packet(header.Header(seq=1, type=1, uri="/x"), header.JSON, body.PLAIN, b"y" * 10)
        size = len(packet.encode(found))
        self.assertEqual(read_all(packet.encode(found), size), [found])
        with self.assertRaises(WireError):
            read_all(packet.encode(found), size - 1)

    def test_a_header_of_the_limit_without_body_is_read_and_one_byte_more_is_not(self):
        found = Packet(header.Header(seq=1, type=1, uri="/x"), header.PROTOBUF)
        size = len(packet.encode(found)) - 4
        self.assertEqual(read_all(packet.encode(found), size), [found])
        with self.assertRaises(WireError):
            read_all(packet.encode(found), size - 1)

    def test_inflating_stops_at_its_limit(self):
        data = gzipped.compress(b"a" * 1000, 9)
        self.assertEqual(gzipped.inflate(data, 1000), b"a" * 1000)
        with self.assertRaises(WireError):
            gzipped.inflate(data, 999)

    def test_unknown_keys_of_a_json_header_nest_as_deep_as_the_limit(self):
        for depth in (header.DEPTH_MAX, header.DEPTH_MAX + 1):
            data = b'{"seq":1,"x":' + b"[" * depth + b"]" * depth + b"}"
            if depth == header.DEPTH_MAX:
                self.assertEqual(header.decode(data, header.JSON).seq, 1)
            else:
                with self.assertRaises(WireError):
                    header.decode(data, header.JSON)


class MalformedTest(unittest.IsolatedAsyncioTestCase):
    """Each `malformed` entry to a fresh server with the routes of spec/vectors/README.md."""

    async def asyncSetUp(self):
        self.release = asyncio.Event()
        self.pushed = []

        async def sleep(call, text):
            """Ends when the probe was answered, which is what two seconds are for in the recording."""
            await self.release.wait()
            return "slept"

        def probe(call, text):
            asyncio.get_running_loop().call_soon(self.release.set)
            return "probe"

        self.router = Router(
            pulls={
                "/home/str": Route(Shape.TEXT, lambda call, text: "echo:" + text),
                "/home/json": Route(Shape.ANY, lambda call, data: data or b"null"),
                "/home/proto": Route(Shape.ANY, lambda call, data: data),
                "/home/sleep": Route(Shape.TEXT, sleep),
                "/probe": Route(Shape.ANY, probe),
            },
            pushes={"/push/str": Route(Shape.TEXT, lambda call, text: self.pushed.append(text))},
        )

    async def converse(self, vector):
        """(packets that came back, whether a pull sent after it was answered)."""
        sessions = []

        async def serve(reader, writer):
            sessions.append(Session(reader, writer, self.router, Options(read_limit=vector.get("server_read_limit", packet.READ_LIMIT))))
            await sessions[0].run()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(self.bytes_of(vector))
        if vector.get("client_half_closes_after_sending"):
            self.release.set()
        else:
            writer.write(packet.encode(Packet(header.Header(seq=PROBE, type=1, uri="/probe"), header.JSON)))
        # A server that waits for the rest of something ends here.
        with contextlib.suppress(OSError):
            writer.write_eof()
        came = await asyncio.wait_for(self.replies(reader), SECONDS)
        writer.close()
        server.close()
        await asyncio.wait_for(sessions[0].ended.wait(), SECONDS)
        return [p for p in came if p.header.seq != PROBE], any(p.header.seq == PROBE for p in came)

    @staticmethod
    def bytes_of(vector):
        data = bytes.fromhex(vector["hex"])
        if "200MiB" in vector["name"]:
            start = data.index(b"\x1f\x8b")
            data = data[:start] + bomb()
            length = len(data) - start + 1
            return data[: start - 5] + length.to_bytes(4, "big") + data[start - 1 :]
        return data

    @staticmethod
    async def replies(reader):
        """Up to the end, however it comes."""
        found = []
        with contextlib.suppress(WireError, OSError):
            while (arrived := await packet.read(reader)) is not None:
                found.append(arrived)
        return found

    @staticmethod
    def readable(packets):
        """Fields and bodies, whatever the compression, and in any order: replies come as handlers finish."""
        return sorted((p.header_codec, list(vars(p.header).values()), p.body_codec or 0, body.unpack(p)) for p in packets)

    async def test_each_has_the_reaction_that_the_page_asks_for(self):
        tried = 0
        for vector in ENTRIES["malformed"]:
            name = vector["name"].removeprefix("malformed/")
            if name.startswith(ELSEWHERE):
                continue
            with self.subTest(name):
                await self.asyncSetUp()
                tried += 1
                came, answered = await self.converse(vector)
                if name in ANSWERED_HERE:
                    self.assertEqual([body.decode(p, Shape.TEXT) for p in came], ANSWERED_HERE[name])
                elif name in STRICTER:
                    self.assertEqual((came, answered), ([], False))
                else:
                    self.assertEqual(self.readable(came), self.readable(await self.recorded(vector)))
                    self.assertEqual(answered, "same connection: answered" in vector["go_behaviour"], vector["go_behaviour"])
        self.assertGreater(tried, 75)

    async def recorded(self, vector):
        reader = asyncio.StreamReader()
        reader.feed_data(bytes.fromhex(vector["reply_hex"]))
        reader.feed_eof()
        return await self.replies(reader)


if __name__ == "__main__":
    unittest.main()
