"""Role `link-client`: a case is a coroutine function of one that runs them."""

import asyncio
import contextlib

import address
from link import frames
from link.endpoint import Closed, Endpoint
from link.frames import LinkError
from roles import Failed, expect
from sample import Sample

REFUSED_SECONDS = 5.0
MANY_MESSAGES = 10


class Client:
    def __init__(self, settings):
        self.settings = settings
        self.sample = Sample(settings.seed)
        self.message_max = settings.max_packet - frames.ID_BYTES

    @contextlib.asynccontextmanager
    async def endpoint(self, connected=None):
        reader, writer = await address.dial(self.settings.address)
        endpoint = Endpoint(reader, writer, connected, self.settings.max_packet)
        try:
            yield endpoint
        finally:
            await endpoint.close()

    def message(self):
        """1 to BYTES bytes."""
        most = max(1, min(self.settings.bytes, self.message_max))
        return self.sample.bytes(1 + self.sample.length(most - 1))

    async def check_echo(self, virtual, message):
        await virtual.send(message)
        expect(f"echo of {len(message)} bytes", message, await virtual.receive())

    async def echo(self):
        async with self.endpoint() as endpoint:
            virtual = await endpoint.dial(self.settings.id)
            for _ in range(self.settings.count):
                await self.check_echo(virtual, self.message())

    async def max(self):
        async with self.endpoint() as endpoint:
            virtual = await endpoint.dial(self.settings.id)
            await self.check_echo(virtual, self.sample.bytes(self.message_max))

    async def many(self):
        """Each message names its virtual connection, so that a stranger's is recognised."""
        async with self.endpoint() as endpoint:
            dials = [endpoint.dial(self.settings.id) for _ in range(self.settings.count)]
            virtuals = await asyncio.gather(*dials)
            expect("connection ids that differ", len(virtuals), len({virtual.identity for virtual in virtuals}))
            await asyncio.gather(*[self.talk(name, virtual) for name, virtual in enumerate(virtuals)])

    async def talk(self, name, virtual):
        sent = [b"connection %d, message %d" % (name, turn) for turn in range(MANY_MESSAGES)]
        for message in sent:
            await virtual.send(message)
        expect(f"messages of connection {name}", sent, [await virtual.receive() for _ in sent])

    async def unknown(self):
        async with self.endpoint() as endpoint:
            unknown = (self.settings.id + 1) & 0xFFFFFFFF
            try:
                await asyncio.wait_for(endpoint.dial(unknown), REFUSED_SECONDS)
            except LinkError as error:
                expect("the refusal", f"the dial of {unknown} was refused", str(error))
            else:
                raise Failed(f"dial of {unknown}: expected Refuse, came Accept")
            await self.check_echo(await endpoint.dial(self.settings.id), self.message())

    async def close(self):
        async with self.endpoint() as endpoint:
            first, second = await endpoint.dial(self.settings.id), await endpoint.dial(self.settings.id)
            await self.check_echo(first, b"before")
            await first.send(b"close")
            try:
                raise Failed(f"expected Close, came the message {await first.receive()!r}")
            except Closed:
                pass
            expect("end of the physical connection", False, endpoint.ended.is_set())
            await self.check_echo(second, self.message())

    async def dialed(self):
        accepted = []

        async def echo(virtual):
            accepted.append(virtual.remote)
            while True:
                await virtual.send(await virtual.receive())

        async with self.endpoint(echo) as endpoint:
            virtual = await endpoint.dial(self.settings.id)
            await virtual.send(b"dial")
            expect("answer to dial", b"dialed", await virtual.receive())
            expect("who dialed", [self.settings.id], accepted)


CASES = {
    "link-echo": Client.echo,
    "link-max": Client.max,
    "link-many": Client.many,
    "link-unknown": Client.unknown,
    "link-close": Client.close,
    "link-dialed": Client.dialed,
}


async def run(settings):
    try:
        await CASES[settings.case](Client(settings))
    except LinkError as error:
        raise Failed(f"expected the connection to go on, came: {error}") from error
