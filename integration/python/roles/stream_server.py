"""Role `stream-server`: echoes the bytes of each connection until its end."""

import contextlib

from roles import serving

CASES = {"stream", "stream-half", "stream-slow"}
PIECE = 64 << 10


async def echo(reader, writer):
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def run(settings):
    await serving.run([(settings.address, echo)])
