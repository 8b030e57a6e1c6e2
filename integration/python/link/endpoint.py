"""A client's or server's end of the physical connection to a gateway, and the virtual connections within it (5, 6)."""

import asyncio
import collections
import contextlib

from . import auth, frames
from .frames import Command, LinkError, Type

QUEUE_BYTES_MAX = 16 << 20
QUEUE_MESSAGES_MAX = 1024
DIAL_SECONDS = 5.0
PING_SECONDS = 10.0


class Closed(LinkError):
    """The virtual connection is gone."""


class VirtualConnection:
    """Messages in both directions, to and from `remote`. Bounded: one that is not read closes itself."""

    def __init__(self, endpoint, identity, remote):
        self.endpoint = endpoint
        self.identity = identity
        self.remote = remote
        self.messages = collections.deque()
        self.bytes = 0
        self.closed = False
        self.changed = asyncio.Event()

    async def send(self, message):
        if self.closed:
            raise Closed(f"connection {self.identity} is closed")
        if len(message) > self.endpoint.max_packet - frames.ID_BYTES:
            raise LinkError(f"a message of {len(message)} bytes is longer than MaxPacket - {frames.ID_BYTES}")
        self.endpoint.writer.write(frames.encode(self.identity, message))
        await self.endpoint.writer.drain()

    async def receive(self):
        """The next message; Closed once all that came before the end are taken."""
        while not self.messages:
            if self.closed:
                raise Closed(f"connection {self.identity} is closed")
            self.changed.clear()
            await self.changed.wait()
        message = self.messages.popleft()
        self.bytes -= len(message)
        return message

    def close(self):
        """What comes after it is dropped."""
        if not self.closed:
            self.endpoint.forget(self)
            self.endpoint.command(Type.CLOSE, self.identity)

    def deliver(self, message):
        if len(self.messages) == QUEUE_MESSAGES_MAX or self.bytes + len(message) > QUEUE_BYTES_MAX:
            self.close()
            return
        self.messages.append(message)
        self.bytes += len(message)
        self.changed.set()


class Endpoint:
    """`connected(virtual)` is a coroutine function that serves each virtual connection that the other side dials."""

    def __init__(self, reader, writer, connected=None, max_packet=frames.MAX_PACKET):
        self.reader = reader
        self.writer = writer
        self.connected = connected
        self.max_packet = max_packet
        self.virtual = {}
        self.dials = collections.defaultdict(collections.deque)
        self.pings = collections.deque()
        self.tasks = set()
        self.closing = set()
        self.failure = None
        self.ended = asyncio.Event()
        self.start(self.run())
        self.start(self.keep_alive())

    def start(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def command(self, kind, *arguments):
        if not self.writer.is_closing():
            self.writer.write(frames.encode_command(Command(kind, arguments)))

    async def dial(self, remote):
        """A virtual connection to the id, or LinkError if it is refused or not answered in time."""
        future = asyncio.get_running_loop().create_future()
        if self.ended.is_set():
            raise LinkError("the gateway closed the connection")
        self.dials[remote].append(future)
        self.command(Type.DIAL, remote)
        # A dial that is given up keeps its place, as answers come in the order of the dials; what is accepted then gets closed.
        try:
            return await asyncio.wait_for(future, DIAL_SECONDS)
        except asyncio.TimeoutError as error:
            raise LinkError(f"no answer to a dial of {remote} in {DIAL_SECONDS} s") from error

    async def ping(self, seconds=DIAL_SECONDS):
        """Waits for the gateway's answer."""
        future = asyncio.get_running_loop().create_future()
        if self.ended.is_set():
            raise LinkError("the gateway closed the connection")
        self.pings.append(future)
        self.command(Type.PING)
        try:
            await asyncio.wait_for(future, seconds)
        except asyncio.TimeoutError as error:
            raise LinkError(f"no answer to a ping in {seconds} s") from error

    async def keep_alive(self):
        with contextlib.suppress(LinkError):
            while True:
                await asyncio.sleep(PING_SECONDS)
                await self.ping(PING_SECONDS)
        self.writer.close()

    async def run(self):
        try:
            while (frame := await frames.read(self.reader, self.max_packet)) is not None:
                connection, message = frame
                if connection == 0:
                    self.take_command(frames.decode_command(message))
                elif connection in self.virtual:
                    self.virtual[connection].deliver(message)
                elif connection not in self.closing:
                    self.command(Type.CLOSE, connection)
        except (LinkError, OSError) as error:
            self.failure = error
        finally:
            self.end()

    def end(self):
        self.ended.set()
        self.writer.close()
        for virtual in list(self.virtual.values()):
            self.forget(virtual)
        waiting = [future for queue in self.dials.values() for future in queue] + list(self.pings)
        for future in waiting:
            if not future.done():
                future.set_exception(LinkError("the gateway closed the connection"))
        self.dials.clear()
        self.pings.clear()

    async def close(self):
        self.writer.close()
        await self.ended.wait()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def forget(self, virtual):
        """Data of it that is under way will be dropped until the gateway's Close comes."""
        self.virtual.pop(virtual.identity, None)
        self.closing.add(virtual.identity)
        virtual.closed = True
        virtual.changed.set()

    def take_command(self, command):
        kind, arguments = command.type, command.arguments
        if kind is Type.ACCEPT:
            self.accept(*arguments)
        elif kind is Type.CONNECT:
            self.connect(*arguments)
        elif kind is Type.REFUSE:
            future = self.next_dial(arguments[0])
            if not future.done():
                future.set_exception(LinkError(f"the dial of {arguments[0]} was refused"))
        elif kind is Type.CLOSE:
            if arguments[0] in self.virtual:
                self.forget(self.virtual[arguments[0]])
            self.closing.discard(arguments[0])
        elif kind is Type.PING:
            if self.pings:
                future = self.pings.popleft()
                if not future.done():
                    future.set_result(None)
        else:
            raise LinkError("the gateway dials")

    def next_dial(self, remote):
        if not self.dials.get(remote):
            raise LinkError(f"an answer to a dial of {remote} that nobody made")
        return self.dials[remote].popleft()

    def open(self, identity, remote):
        if identity == 0 or identity in self.virtual:
            raise LinkError(f"connection id {identity} is 0 or already in use")
        self.closing.discard(identity)
        virtual = self.virtual[identity] = VirtualConnection(self, identity, remote)
        return virtual

    def accept(self, identity, remote):
        future = self.next_dial(remote)
        virtual = self.open(identity, remote)
        if future.done():
            virtual.close()
        else:
            future.set_result(virtual)

    def connect(self, identity, remote):
        virtual = self.open(identity, remote)
        if self.connected is None:
            virtual.close()
        else:
            self.start(self.serve(virtual))

    async def serve(self, virtual):
        with contextlib.suppress(LinkError, OSError):
            await self.connected(virtual)
        virtual.close()


async def register(reader, writer, key, server_id):
    """A server's answer to the challenge. The gateway says nothing to a right one: ping to learn that it was taken."""
    challenge = await asyncio.wait_for(reader.readexactly(auth.CHALLENGE_BYTES), auth.SECONDS)
    writer.write(auth.answer(challenge, key, server_id))
