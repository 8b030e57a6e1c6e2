"""An echo server of the distribution's python3-websockets, as an independent server. Prints its port; /no is refused."""

import asyncio
import http

import websockets


async def echo(ws):
    async for message in ws:
        if message == b"bye":
            await ws.close(4001, "as you wish")
            return
        if message == b"fragments":
            await ws.send([b"a", b"b", b"c"])
            await ws.ping()
        else:
            await ws.send(message)


async def refuse(path, headers):
    if path.startswith("/no"):
        return http.HTTPStatus.UNAUTHORIZED, [], b""
    return None


async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, process_request=refuse, subprotocols=["v1"]) as server:
        print("port", server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()


asyncio.run(main())
