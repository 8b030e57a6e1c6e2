"""Talks to an echo server with the distribution's python3-websockets, as an independent client: URL [CA file]."""

import asyncio
import ssl
import sys

import websockets


async def main(url, ca):
    context = ssl.create_default_context(cafile=ca) if ca else None
    async with websockets.connect(url + "/echo?x=1", ssl=context, subprotocols=["other", "v1"]) as ws:
        assert ws.subprotocol == "v1", ws.subprotocol
        for size in (0, 1, 125, 126, 65535, 65536, 300000):
            sent = bytes(i * 7 % 251 for i in range(size))
            await ws.send(sent)
            got = await ws.recv()
            assert got == sent, (size, len(got))
        await ws.send([b"one", b"two", b"three"])  # three fragments
        assert await ws.recv() == b"onetwothree"
        await asyncio.wait_for(await ws.ping(b"are you there"), 20)
        for _ in range(200):
            await ws.send(b"x" * 100)
        for _ in range(200):
            assert await ws.recv() == b"x" * 100
        await ws.close(1000, "done")
        assert ws.close_code == 1000, ws.close_code

    async with websockets.connect(url + "/echo", ssl=context) as ws:
        await ws.send("text")
        try:
            await ws.recv()
            raise AssertionError("text was taken")
        except websockets.ConnectionClosedError as closed:
            assert closed.rcvd.code == 1003, closed

    async with websockets.connect(url + "/echo", ssl=context) as ws:
        await ws.send(b"x" * (1024 * 1024 + 1))
        try:
            await ws.recv()
            raise AssertionError("a large message was taken")
        except websockets.ConnectionClosedError as closed:
            assert closed.rcvd.code == 1009, closed

    for path, status in (("/401", 401), ("/403", 403), ("/404", 404), ("/502", 502)):
        try:
            await websockets.connect(url + path, ssl=context)
            raise AssertionError("it was accepted: " + path)
        except websockets.InvalidStatusCode as refused:
            assert refused.status_code == status, refused
    try:
        await websockets.connect(url + "/echo", ssl=context, origin="https://evil.example")
        raise AssertionError("another origin was accepted")
    except websockets.InvalidStatusCode as refused:
        assert refused.status_code == 403, refused
    print("all as it should be")


asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None))
