"""A gateway between clients and servers (1, 5 to 9): one loop, so what it does for one frame is done before the next."""

import asyncio
import contextlib
import os

from . import auth, frames
from .frames import Command, LinkError, Type

CLIENT_QUEUE = 4 << 20
SERVER_QUEUE = 64 << 20
COMMAND_RESERVE = 64 << 10
IDLE_SECONDS = 30.0
CLIENT_MAX_CONN = 1024
VIRTUAL_MAX = 1_000_000
ID_MAX = 0xFFFFFFFF


class Physical:
    """A connection of a client or a server; `queue` bounds the bytes that wait for it."""

    def __init__(self, identity, writer, is_server):
        self.identity = identity
        self.writer = writer
        self.is_server = is_server
        self.queue = SERVER_QUEUE if is_server else CLIENT_QUEUE
        self.virtual = set()

    def waiting(self):
        return self.writer.transport.get_write_buffer_size()

    def command(self, kind, *arguments):
        if self.waiting() > self.queue + COMMAND_RESERVE:
            self.writer.transport.abort()
        elif not self.writer.is_closing():
            self.writer.write(frames.encode_command(Command(kind, arguments)))


class Gateway:
    def __init__(self, key=b"", max_packet=frames.MAX_PACKET, idle_seconds=IDLE_SECONDS, client_max_conn=CLIENT_MAX_CONN):
        self.key = key
        self.max_packet = max_packet
        self.idle_seconds = idle_seconds
        self.client_max_conn = client_max_conn
        self.clients = {}
        self.servers = {}
        self.virtual = {}  # id -> (who dialed, who was dialed)
        self.last_client = 0
        self.last_virtual = 0

    async def serve_client(self, reader, writer):
        self.last_client += 1
        await self.serve(reader, Physical(self.last_client, writer, False), self.clients)

    async def serve_server(self, reader, writer):
        challenge = os.urandom(auth.CHALLENGE_BYTES)
        writer.write(challenge)
        server_id = None
        with contextlib.suppress(EOFError, OSError, asyncio.TimeoutError):
            answer = await asyncio.wait_for(reader.readexactly(auth.ANSWER_BYTES), auth.SECONDS)
            server_id = auth.accepted_id(challenge, self.key, answer)
        if server_id is None:
            writer.close()
        else:
            await self.serve(reader, Physical(server_id, writer, True), self.servers)

    async def serve(self, reader, sender, side):
        """Whatever is wrong closes the sender without a byte; its peers get Close."""
        side[sender.identity] = sender
        try:
            while (frame := await asyncio.wait_for(frames.read(reader, self.max_packet), self.idle_seconds)) is not None:
                self.take(sender, *frame)
        except (LinkError, OSError, asyncio.TimeoutError):
            pass
        finally:
            if side.get(sender.identity) is sender:  # a newer server may have taken the id
                del side[sender.identity]
            for identity in list(sender.virtual):
                self.end_virtual(identity, but=sender)
            sender.writer.close()

    def take(self, sender, identity, message):
        if identity != 0:
            self.pass_on(sender, identity, message)
            return
        command = frames.decode_command(message)
        if command.type is Type.DIAL:
            self.dial(sender, command.arguments[0])
        elif command.type is Type.CLOSE:
            if sender in self.virtual.get(command.arguments[0], ()):
                self.end_virtual(command.arguments[0])
        elif command.type is Type.PING:
            sender.command(Type.PING)
        else:
            raise LinkError(f"an endpoint sent {command.type.name}")

    def pass_on(self, sender, identity, message):
        ends = self.virtual.get(identity)
        if ends is None:
            sender.command(Type.CLOSE, identity)
            return
        if sender not in ends:
            raise LinkError("data on somebody else's connection")
        receiver = ends[1] if ends[0] is sender else ends[0]
        if receiver.waiting() > receiver.queue:
            self.end_virtual(identity)
        elif not receiver.writer.is_closing():
            receiver.writer.write(frames.encode(identity, message))

    def dial(self, sender, remote):
        receiver = (self.clients if sender.is_server else self.servers).get(remote)
        full = len(self.virtual) >= VIRTUAL_MAX or self.client_is_full(sender)
        if receiver is None or receiver.writer.is_closing() or full:
            sender.command(Type.REFUSE, remote)
            return
        identity = self.next_virtual()
        self.virtual[identity] = (sender, receiver)
        sender.virtual.add(identity)
        receiver.virtual.add(identity)
        sender.command(Type.ACCEPT, identity, remote)
        receiver.command(Type.CONNECT, identity, sender.identity)

    def client_is_full(self, sender):
        """0 is no limit; a client that a server dials has no say."""
        return not sender.is_server and 0 < self.client_max_conn <= len(sender.virtual)

    def next_virtual(self):
        while True:
            self.last_virtual = self.last_virtual % ID_MAX + 1
            if self.last_virtual not in self.virtual:
                return self.last_virtual

    def end_virtual(self, identity, but=None):
        for end in self.virtual.pop(identity):
            end.virtual.discard(identity)
            if end is not but:
                end.command(Type.CLOSE, identity)
