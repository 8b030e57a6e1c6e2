"""Role `client`: a case is a coroutine function of one that runs them."""

import asyncio
import contextlib
import urllib.parse

import address
from roles import Failed, expect, teleport_routes
from sample import Sample
from teleport import body, errors
from teleport.body import Shape
from teleport.errors import Status, WireError
from teleport.header import Header
from teleport.packet import Packet
from teleport.session import PULL, Session

BAD_BODY_SECONDS = 5.0
UNDER_LIMIT, OVER_LIMIT = 60_000, 70_000
QUERIES = ["plain", "", "50% of a&b=c d", "a+b/c?d#e;f", "gr\u00fc\u00dfe \u4f60\u597d \U0001f600"]
SLOW_MILLISECONDS = 300


class Client:
    def __init__(self, settings):
        self.settings = settings
        self.sample = Sample(settings.seed)
        self.options = teleport_routes.options(settings)

    @contextlib.asynccontextmanager
    async def session(self):
        reader, writer = await address.dial(self.settings.address)
        session = Session(reader, writer, teleport_routes.router(), self.options)
        task = asyncio.get_running_loop().create_task(session.run())
        try:
            yield session
        finally:
            await session.close()
            await task

    async def check_echo(self, session, length):
        text = self.sample.text(length)
        reply = await session.pull_packet("/interop/echo", text)
        if text:
            expect("codec of the echo", self.options.body_codec, reply.body_codec)
        check(f"echo of {length} bytes", text, reply, Shape.TEXT)

    async def echo(self):
        async with self.session() as session:
            for _ in range(self.settings.count):
                await self.check_echo(session, self.sample.length(self.settings.bytes))

    async def large(self):
        async with self.session() as session:
            await self.check_echo(session, self.settings.bytes)

    async def concurrent(self):
        async with self.session() as session:
            texts = [self.sample.text(length) for length in range(1, self.settings.count + 1)]
            pulls = [session.start_pull("/interop/length", text) for text in texts]
            for length, reply in enumerate(await asyncio.gather(*pulls), 1):
                check("length", length, reply, Shape.NUMBER)

    async def order(self):
        async with self.session() as session:
            finished = []
            pulls = {}
            for milliseconds in (SLOW_MILLISECONDS, 0):
                pulls[milliseconds] = session.start_pull("/interop/slow", milliseconds)
                pulls[milliseconds].add_done_callback(lambda _, which=milliseconds: finished.append(which))
            for milliseconds, reply in zip(pulls, await asyncio.gather(*pulls.values())):
                check("answer of /interop/slow", milliseconds, reply, Shape.NUMBER)
            await asyncio.sleep(0)
            expect("order of the answers", [0, SLOW_MILLISECONDS], finished)

    async def push(self):
        async with self.session() as session:
            for _ in range(self.settings.count):
                session.push("/interop/note", self.sample.text(self.sample.length(self.settings.bytes)))
                await session.writer.drain()
            expect("notes", self.settings.count, await session.pull("/interop/notes", "", Shape.NUMBER))

    async def status(self):
        async with self.session() as session:
            for code in (1001, 599, -7):
                status = await failure(session.pull("/interop/fail", code))
                expect("status", (code, "interop"), (status.code, status.text))
            await self.check_echo(session, 10)

    async def not_found(self):
        async with self.session() as session:
            status = await failure(session.pull("/interop/absent", "x"))
            expect("status code", errors.NOT_FOUND, status.code)
            await self.check_echo(session, 10)

    async def bad_body(self):
        """Every plain text can be read, so there it is gzip data that cannot."""
        codec = self.options.body_codec
        level, data = {body.JSON: (0, b'{"cut'), body.PROTOBUF: (0, b"\x0a\x7fcut"), body.PLAIN: (1, b"no gzip")}[codec]
        async with self.session() as session:
            seq, pull = session.expect_reply()
            header = Header(seq, PULL, "/interop/length", level)
            session.write_packet(Packet(header, self.options.header_codec, codec, data))
            try:
                reply = await asyncio.wait_for(pull, BAD_BODY_SECONDS)
            except Status:
                return
            except asyncio.TimeoutError as error:
                raise Failed(f"bad body: expected a status or the end of the session, nothing came in {BAD_BODY_SECONDS} s") from error
            raise Failed(f"bad body: expected a status or the end of the session, came success and {reply.body!r}")

    async def query(self):
        async with self.session() as session:
            for value in QUERIES:
                uri = "/interop/query?" + urllib.parse.urlencode({"q": value})
                expect("decoded query", value, await session.pull(uri, ""))

    async def back(self):
        async with self.session() as session:
            for _ in range(self.settings.count):
                text = self.sample.text(self.sample.length(self.settings.bytes))
                expect("what came back", text, await session.pull("/interop/back", text))

    async def limit(self):
        """Without compression, as the limit is of compressed bytes."""
        self.options.gzip = 0
        async with self.session() as session:
            await self.check_echo(session, UNDER_LIMIT)
            status = await failure(session.pull("/interop/echo", self.sample.text(OVER_LIMIT)))
            expect("end of the session", errors.CONNECTION_CLOSED, status.code)
        async with self.session() as session:
            await self.check_echo(session, UNDER_LIMIT)


def check(what, expected, reply, shape):
    """Of a reply with status 200."""
    try:
        came = body.decode(reply, shape)
    except WireError as error:
        raise Failed(f"{what}: expected a body that can be read, came: {error}") from error
    expect(what, expected, came)


async def failure(pull):
    """The Status that a pull ends with."""
    try:
        came = await pull
    except Status as status:
        return status
    raise Failed(f"expected a status other than 200, came success and {came!r}")


CASES = {
    "echo": Client.echo,
    "large": Client.large,
    "concurrent": Client.concurrent,
    "order": Client.order,
    "push": Client.push,
    "status": Client.status,
    "not-found": Client.not_found,
    "bad-body": Client.bad_body,
    "query": Client.query,
    "back": Client.back,
    "limit": Client.limit,
}


async def run(settings):
    try:
        await CASES[settings.case](Client(settings))
    except Status as status:
        raise Failed(f"expected success, came status {status}") from status
