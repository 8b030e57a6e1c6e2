#!/usr/bin/env python3
"""Frames, proofs of the key, and the gateway against the recorded bytes of spec/vectors/fastway.json."""

import asyncio
import contextlib
import hashlib
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import address
import vectors
from link import auth, endpoint, frames
from link.frames import Command, LinkError, Type
from link.gateway import Gateway

RECORDED = vectors.load("fastway.json")
FRAMES = [v for v in RECORDED["vectors"] if "challenge_hex" not in v["fields"]]
ANSWERS = [v for v in RECORDED["vectors"] if "challenge_hex" in v["fields"]]
CLOSE_1 = frames.encode_command(Command(Type.CLOSE, (1,))).hex()
SECONDS = 60.0


def read_all(data, max_packet=frames.MAX_PACKET):
    async def run():
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        found = []
        while (frame := await frames.read(reader, max_packet)) is not None:
            found.append(frame)
        return found

    return asyncio.run(run())


def payload(count):
    """What payload_rule says."""
    return bytes((i * 7 + 3) % 256 for i in range(count))


def bytes_of(vector):
    if vector["hex"] is not None:
        return bytes.fromhex(vector["hex"])
    fields = vector["fields"]
    return frames.encode(fields["conn_id"], payload(fields["payload_length"]))


class FrameTest(unittest.TestCase):
    def test_there_are_as_many_as_the_readme_says(self):
        self.assertEqual((len(FRAMES), len(ANSWERS)), (24, 24))

    def test_a_frame_decodes_to_its_fields_and_encodes_back(self):
        for vector in FRAMES:
            with self.subTest(vector["name"]):
                fields, data = vector["fields"], bytes_of(vector)
                if vector["hex"] is None:
                    self.assertEqual((len(data), hashlib.sha256(data).hexdigest()), (vector["total_bytes"], vector["sha256"]))
                ((connection, message),) = read_all(data, fields["length"])
                self.assertEqual((connection, len(message)), (fields["conn_id"], fields["length"] - frames.ID_BYTES))
                self.assertEqual(frames.encode(connection, message), data)
                if connection == 0:
                    command = frames.decode_command(message)
                    arguments = [fields[k] for k in ("new_conn_id", "remote_id", "closed_conn_id") if k in fields]
                    self.assertEqual((command.type.name.lower(), list(command.arguments)), (fields["command"], arguments))
                    self.assertEqual(frames.encode_command(command), data)
                elif fields.get("payload_rule"):
                    self.assertEqual(message, payload(fields["payload_length"]))
                else:
                    self.assertEqual(message.hex(), fields["payload_hex"])

    def test_a_length_is_judged_by_its_word(self):
        for length, max_packet in ((3, 256), (257, 256), (0xFFFFFFFF, frames.MAX_PACKET)):
            with self.assertRaisesRegex(LinkError, str(length)):
                read_all(length.to_bytes(4, "little"), max_packet)
        self.assertEqual(len(read_all(frames.encode(1, bytes(252)), 256)), 1)

    def test_a_frame_cut_anywhere_is_refused(self):
        for size in range(1, 13):
            with self.assertRaises(LinkError):
                read_all(frames.encode_command(Command(Type.DIAL, (7,)))[:size])


class AnswerTest(unittest.TestCase):
    def test_it_is_the_recorded_one_and_is_taken(self):
        for vector in ANSWERS:
            fields = vector["fields"]
            with self.subTest(vector["name"]):
                challenge, key = bytes.fromhex(fields["challenge_hex"]), bytes.fromhex(fields["key_hex"])
                data = auth.answer(challenge, key, fields["server_id"])
                self.assertEqual(data.hex(), vector["hex"])
                self.assertEqual(auth.accepted_id(challenge, key, data), fields["server_id"])
                self.assertIsNone(auth.accepted_id(challenge, key + b"x", data))


class GatewayTest(unittest.IsolatedAsyncioTestCase):
    """Behaviours of one client and server 1, as `sender`, `sent` and what each received tell them."""

    async def asyncSetUp(self):
        self.gateway = Gateway()
        serves = (self.gateway.serve_client, self.gateway.serve_server)
        self.listeners = [await address.listen("tcp://127.0.0.1:0", serve) for serve in serves]
        self.writers = []

    async def asyncTearDown(self):
        for closing in self.writers + self.listeners:
            closing.close()

    async def connect(self, which):
        reader, writer = await asyncio.open_connection(*self.listeners[which].sockets[0].getsockname())
        self.writers.append(writer)
        return reader, writer

    async def frame(self, reader):
        connection, message = await asyncio.wait_for(frames.read(reader), SECONDS)
        return frames.encode(connection, message)

    async def until_ping(self, reader, writer):
        """The frames up to the answer to a ping, and whether there was one; then all before it are there."""
        ping = frames.encode_command(Command(Type.PING))
        with contextlib.suppress(OSError):
            writer.write(ping)
            found = []
            while (frame := await asyncio.wait_for(frames.read(reader), SECONDS)) is not None:
                if (data := frames.encode(*frame)) == ping:
                    return found, "open"
                found.append(data.hex())
        return found, "eof"

    async def reaction(self, behaviour):
        server_reader, server = await self.connect(1)
        await endpoint.register(server_reader, server, b"", 1)
        await self.until_ping(server_reader, server)
        client_reader, client = await self.connect(0)
        told = behaviour["sender_received"] + behaviour["server_received"]
        if CLOSE_1 in told or "conn 1" in behaviour["notes"]:
            client.write(frames.encode_command(Command(Type.DIAL, (1,))))
            await self.frame(client_reader)
            await self.frame(server_reader)
        client.write(bytes.fromhex(behaviour["sent"]))
        client_came, client_state = await self.until_ping(client_reader, client)
        server_came, server_state = await self.until_ping(server_reader, server)
        return client_came, client_state, server_came, server_state

    async def test_it_reacts_as_recorded(self):
        tried = 0
        for behaviour in RECORDED["behaviours"]:
            is_whole = "..." not in str(behaviour.get("sent"))
            if behaviour.get("sender") != "client" or behaviour.get("flags") or "ping" in behaviour["name"] or not is_whole:
                continue
            with self.subTest(behaviour["name"]):
                tried += 1
                await self.asyncTearDown()
                await self.asyncSetUp()
                came = await self.reaction(behaviour)
                names = ("sender_received", "sender_state", "server_received", "server_state")
                self.assertEqual(came, tuple(behaviour[name] for name in names))
        self.assertGreater(tried, 20)

    async def test_a_wrong_key_ends_the_connection_without_a_byte(self):
        reader, writer = await self.connect(1)
        await endpoint.register(reader, writer, b"wrong", 1)
        self.assertEqual(await asyncio.wait_for(reader.read(), SECONDS), b"")
        self.assertEqual(self.gateway.servers, {})

    async def test_the_newer_of_two_servers_is_dialed_and_the_older_is_not_put_back(self):
        servers = []
        for _ in range(2):
            reader, writer = await self.connect(1)
            await endpoint.register(reader, writer, b"", 1)
            await self.until_ping(reader, writer)
            servers.append((reader, writer))
        client_reader, client = await self.connect(0)
        client.write(frames.encode_command(Command(Type.DIAL, (1,))))
        self.assertEqual(await self.frame(client_reader), frames.encode_command(Command(Type.ACCEPT, (1, 1))))
        self.assertEqual(await self.frame(servers[1][0]), frames.encode_command(Command(Type.CONNECT, (1, 1))))
        self.assertEqual(await self.until_ping(*servers[0]), ([], "open"))
        servers[1][1].close()
        self.assertEqual(await self.frame(client_reader), frames.encode_command(Command(Type.CLOSE, (1,))))
        client.write(frames.encode_command(Command(Type.DIAL, (1,))))
        self.assertEqual(await self.frame(client_reader), frames.encode_command(Command(Type.REFUSE, (1,))))


if __name__ == "__main__":
    unittest.main()
