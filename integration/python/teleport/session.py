"""A symmetric session: either end pulls and pushes, either end answers (3, 4, 6, 12, 13)."""

import asyncio
import contextlib
import dataclasses
import functools
import inspect
import traceback

from . import body, errors, gzipped, packet, uri
from . import header as headers
from .errors import Status, WireError
from .packet import Packet

PULL, REPLY = 1, 2
HANDLERS_MAX = 10_000
UNSENT_MAX = 64 << 20
PULL_TIMEOUT = 30.0


def push_type(version):
    return 4 if version == "2.0" else 3


@dataclasses.dataclass
class Options:
    version: str = "2.5"
    header_codec: int = headers.JSON
    body_codec: int = body.JSON
    gzip: int = 0
    read_limit: int = packet.READ_LIMIT
    pull_timeout: float = PULL_TIMEOUT


@dataclasses.dataclass(frozen=True)
class Route:
    """handler(call, value) gives the reply's value, None for no body, or raises Status; it may be a coroutine function."""

    shape: body.Shape
    handler: object


@dataclasses.dataclass
class Router:
    pulls: dict = dataclasses.field(default_factory=dict)
    pushes: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Call:
    """A request under way: what a handler may ask beside its argument."""

    session: object
    packet: Packet
    query: dict


class Session:
    """One connection. `run` reads it until it ends; everything happens on the loop that runs it.

    Handlers that are no coroutine functions run in the order in which their requests came, the others beside each other. With
    HANDLERS_MAX under way, or UNSENT_MAX bytes unsent, pulls get 503 and pushes are dropped. While the peer does not take what is
    written the session is not read, unless it owes us replies: two peers must not wait for each other (17).
    """

    def __init__(self, reader, writer, router, options):
        self.reader = reader
        self.writer = writer
        self.router = router
        self.options = options
        self.notes = []
        self.failure = None
        self.next_pull = 0
        self.next_push = 0
        self.pulls = {}
        self.handlers = set()
        self.ended = asyncio.Event()

    async def run(self):
        """Until the stream ends; never raises for what a peer does. What broke the session is in `failure`."""
        try:
            while (arrived := await packet.read(self.reader, self.options.read_limit)) is not None:
                self.receive(arrived)
                if not self.pulls:
                    await self.writer.drain()
            # The peer has ended its direction; it still gets the replies of running handlers.
            self.end_pulls()
            while self.handlers:
                await asyncio.wait(self.handlers)
        except (WireError, OSError) as error:
            self.failure = error
        finally:
            self.end_pulls()
            for task in self.handlers:
                task.cancel()
            self.writer.close()
            self.ended.set()

    def end_pulls(self):
        pulls, self.pulls = self.pulls, None
        for future in (pulls or {}).values():
            if not future.done():
                future.set_exception(Status(errors.CONNECTION_CLOSED, "Connection Closed"))

    async def close(self):
        self.writer.close()
        await self.ended.wait()

    # Requests of ours.

    def send(self, header, codec, value):
        """A request in this session's codecs; value None is no body."""
        header.gzip = self.options.gzip
        self.write(header, self.options.header_codec, self.options.body_codec if codec is None else codec, value)

    def write(self, header, header_codec, codec, value):
        out = Packet(header, header_codec)
        if value is not None:
            data = body.encode(value, codec)
            # A codec id alone says "zero value" in every codec, so there is nothing to compress.
            out.body_codec, out.body = codec, gzipped.compress(data, header.gzip) if header.gzip and data else data
        self.write_packet(out)

    def write_packet(self, out):
        if not self.writer.is_closing():
            self.writer.write(packet.encode(out))

    def expect_reply(self):
        """(seq, future) of the next pull; the future gives the reply's packet, or raises Status."""
        future = asyncio.get_running_loop().create_future()
        seq, self.next_pull = self.next_pull, self.next_pull + 1
        if self.pulls is None:
            future.set_exception(Status(errors.CONNECTION_CLOSED, "Connection Closed"))
        else:
            self.pulls[seq] = future
        return seq, future

    def start_pull(self, path, value=None, codec=None):
        """Writes the request at once."""
        seq, future = self.expect_reply()
        self.send(headers.Header(seq, PULL, path), codec, value)
        return future

    async def pull_packet(self, path, value=None, codec=None):
        future = self.start_pull(path, value, codec)
        try:
            return await asyncio.wait_for(future, self.options.pull_timeout)
        except asyncio.TimeoutError as error:
            raise Status(errors.TIMED_OUT, f"no reply in {self.options.pull_timeout} s") from error

    async def pull(self, path, value=None, shape=body.Shape.TEXT):
        """The value of the reply, or Status."""
        return result(await self.pull_packet(path, value), shape)

    def push(self, path, value=None):
        seq, self.next_push = self.next_push, self.next_push + 1
        self.send(headers.Header(seq, push_type(self.options.version), path), None, value)

    # Packets of the peer.

    def receive(self, arrived):
        kind = arrived.header.type
        if kind == REPLY:
            self.take_reply(arrived)
        elif kind == PULL:
            self.take_pull(arrived)
        elif kind == push_type(self.options.version):
            self.take_push(arrived)
        else:
            self.refuse_type(arrived)

    def refuse_type(self, arrived):
        if self.options.version > "2.4":
            raise WireError(f"unsupported type {arrived.header.type}")
        if arrived.header.type != 0:  # two peers that answer type 0 never stop
            answer = headers.Header(status_code=errors.UNSUPPORTED_TYPE, status="Unsupported transaction type")
            self.write_packet(Packet(answer, arrived.header_codec))

    def take_reply(self, arrived):
        future = self.pulls.pop(arrived.header.seq, None) if self.pulls else None
        if future is None or future.done():
            return
        if arrived.header.status_code == errors.OK:
            future.set_result(arrived)
        else:
            future.set_exception(Status(arrived.header.status_code, arrived.header.status))

    def take_pull(self, arrived):
        try:
            path, query = uri.parse(arrived.header.uri)
        except uri.BadUri as error:
            self.reply_status(arrived, Status(errors.BAD_URI, str(error)))
            return
        route = self.router.pulls.get(path)
        if route is None:
            self.reply_status(arrived, Status(errors.NOT_FOUND, "Not Found"))
            return
        value = body.decode(arrived, route.shape)
        self.execute(route, Call(self, arrived, uri.query_values(query)), value, functools.partial(self.reply, arrived))

    def take_push(self, arrived):
        try:
            path, query = uri.parse(arrived.header.uri)
        except uri.BadUri:
            return
        route = self.router.pushes.get(path)
        if route is not None:
            value = body.decode(arrived, route.shape)
            self.execute(route, Call(self, arrived, uri.query_values(query)), value, lambda outcome: None)

    def execute(self, route, call, value, done):
        """Runs a handler, and gives its value or Status to `done`."""
        if len(self.handlers) >= HANDLERS_MAX or self.writer.transport.get_write_buffer_size() > UNSENT_MAX:
            done(Status(errors.OVERLOAD, "too many requests"))
            return
        if not inspect.iscoroutinefunction(route.handler):
            with answered(done):
                done(route.handler(call, value))
            return
        task = asyncio.get_running_loop().create_task(self.execute_later(route, call, value, done))
        self.handlers.add(task)
        task.add_done_callback(self.handlers.discard)

    async def execute_later(self, route, call, value, done):
        with answered(done):
            done(await route.handler(call, value))

    def reply(self, request, outcome):
        if isinstance(outcome, Status):
            self.reply_status(request, outcome)
            return
        codec = request.body_codec if request.body_codec in body.CODECS.values() else self.options.body_codec
        self.write(self.reply_header(request, errors.OK, "OK"), request.header_codec, codec, outcome)

    def reply_status(self, request, status):
        self.write(self.reply_header(request, status.code, status.text), request.header_codec, None, None)

    def reply_header(self, request, code, text):
        level = request.header.gzip if request.header.gzip in gzipped.LEVELS else 0
        return headers.Header(request.header.seq, REPLY, request.header.uri, level, code, text)


@contextlib.contextmanager
def answered(done):
    """A handler that raises, and a value that cannot be encoded, are answered too."""
    try:
        yield
    except Status as status:
        done(status)
    except Exception:
        traceback.print_exc()
        done(Status(errors.INTERNAL_ERROR, "Internal Server Error"))


def result(reply, shape):
    """The value of a reply; what does not fit ends this call only (6)."""
    try:
        return body.decode(reply, shape)
    except WireError as error:
        raise Status(errors.BAD_REPLY, str(error)) from error
