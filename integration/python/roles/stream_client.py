"""Role `stream-client`: sends bytes made from the seed, and compares every byte that comes back."""

import asyncio
import time

import address
from address import NotSupported
from roles import Failed, expect
from sample import Sample

CASES = {"stream", "stream-half", "stream-slow"}
PIECE = 64 << 10
SLOW_RATE = 64 << 10
SLOW_SECONDS = 2.0
# What a slow reader takes at once; small, so that the socket's buffer fills.
SLOW_PIECE = 4 << 10


async def send(writer, settings):
    sample = Sample(settings.seed)
    left = settings.bytes
    while left:
        piece = sample.bytes(min(PIECE, left))
        writer.write(piece)
        await writer.drain()
        left -= len(piece)


async def receive(reader, settings, slow_seconds=0.0):
    """Compares up to the last byte; the first slow_seconds long at SLOW_RATE."""
    sample = Sample(settings.seed)
    start = time.monotonic()
    count = 0
    while count < settings.bytes:
        is_slow = time.monotonic() - start < slow_seconds
        piece = await reader.read(SLOW_PIECE if is_slow else PIECE)
        if not piece:
            raise Failed(f"expected {settings.bytes} bytes, came the end after {count}")
        expected = sample.bytes(len(piece))
        if piece != expected:
            at = next(i for i, pair in enumerate(zip(piece, expected)) if pair[0] != pair[1])
            raise Failed(f"byte {count + at}: expected {expected[at]:#04x}, came {piece[at]:#04x}")
        count += len(piece)
        if is_slow:
            await asyncio.sleep(max(0.0, start + count / SLOW_RATE - time.monotonic()))


async def run(settings):
    if settings.case == "stream-half" and address.parse(settings.address, "dial").scheme != "tcp":
        raise NotSupported("stream-half needs a transport that ends one direction")
    started = time.monotonic()
    reader, writer = await address.dial(settings.address)
    try:
        if settings.case == "stream-half":
            await asyncio.gather(half(writer, settings), receive(reader, settings))
            expect("what follows the last byte", b"", await reader.read(1))
        else:
            slow_seconds = SLOW_SECONDS if settings.case == "stream-slow" else 0.0
            await asyncio.gather(send(writer, settings), receive(reader, settings, slow_seconds))
    finally:
        writer.close()
    return {"bytes": settings.bytes, "seconds": round(time.monotonic() - started, 6)}


async def half(writer, settings):
    await send(writer, settings)
    writer.write_eof()
