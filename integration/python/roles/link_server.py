"""Role `link-server`: registers at the gateway, and answers each message with the same message."""

import asyncio

import address
from link import endpoint as endpoints
from link import frames
from link.frames import LinkError
from roles import Failed, expect, serving
from sample import Sample

CASES = {"link-echo", "link-max", "link-many", "link-unknown", "link-close", "link-key", "link-dialed"}
DIALED_MESSAGES = 10
# Whatever key it was given, this is another.
WRONG = b"-wrong"


class Server:
    def __init__(self, settings):
        self.settings = settings
        self.sample = Sample(settings.seed)
        self.promises = serving.Promises()

    async def register(self, key):
        reader, writer = await address.dial(self.settings.address)
        await endpoints.register(reader, writer, key, self.settings.id)
        return endpoints.Endpoint(reader, writer, self.serve, self.settings.max_packet)

    async def serve(self, virtual):
        while True:
            message = await virtual.receive()
            if self.settings.case == "link-close" and message == b"close":
                virtual.close()
                return
            if self.settings.case == "link-dialed" and message == b"dial":
                with serving.noted(self.promises, (Failed, LinkError, asyncio.TimeoutError)):
                    await self.dial_back(virtual)
                    message = b"dialed"
            await virtual.send(message)

    async def dial_back(self, virtual):
        other = await virtual.endpoint.dial(virtual.remote)
        for _ in range(DIALED_MESSAGES):
            message = self.sample.bytes(1 + self.sample.length(self.settings.bytes))
            message = message[: self.settings.max_packet - frames.ID_BYTES]
            await other.send(message)
            expect("echo of the dialed client", message, await asyncio.wait_for(other.receive(), self.settings.timeout))
        other.close()

    async def run(self):
        terminated = serving.until_terminated()
        endpoint = await self.register(self.settings.key)
        await endpoint.ping()  # only one that was taken gets an answer
        serving.ready()
        waits = [asyncio.ensure_future(event.wait()) for event in (terminated, endpoint.ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not terminated.is_set():
            raise Failed(f"the gateway ended the connection: {endpoint.failure or 'end of stream'}")
        await endpoint.close()
        self.promises.check()

    async def be_refused(self):
        endpoint = await self.register(self.settings.key + WRONG)
        try:
            await endpoint.ping()
        except LinkError:
            if endpoint.ended.is_set():
                return
            raise
        finally:
            await endpoint.close()
        raise Failed("a wrong key: expected the end of the connection, came the answer to a ping")


async def run(settings):
    server = Server(settings)
    try:
        await (server.be_refused() if settings.case == "link-key" else server.run())
    except LinkError as error:
        raise Failed(str(error)) from error
