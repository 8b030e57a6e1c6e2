"""What roles that listen have in common: READY, and the end at SIGTERM."""

import asyncio
import contextlib
import signal

import address
from roles import Failed


class Promises:
    """What the peers broke; a server that saw any exits 1."""

    def __init__(self):
        self.broken = []

    def check(self):
        if self.broken:
            raise Failed(f"{len(self.broken)} broken promises, the first: {self.broken[0]}")


def until_terminated():
    """An event that SIGTERM sets."""
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    return terminated


def ready(places=()):
    print("READY", *places, flush=True)


async def listen(places):
    """Servers of each (address, serve), where serve(reader, writer) is a coroutine function."""
    return [await address.listen(place, serve) for place, serve in places]


def where(place, server):
    """The address of the first socket, as port 0 is any."""
    host, port = server.sockets[0].getsockname()[:2]
    return f"{address.parse(place, 'listen').scheme}://" + (f"[{host}]:{port}" if ":" in host else f"{host}:{port}")


async def run(places, promises=None):
    terminated = until_terminated()
    servers = await listen(places)
    ready([where(place, server) for (place, _), server in zip(places, servers)])
    await terminated.wait()
    for server in servers:
        server.close()
    if promises:
        promises.check()


@contextlib.contextmanager
def noted(promises, kinds):
    """Turns errors of a peer into a broken promise."""
    try:
        yield
    except kinds as error:
        promises.broken.append(f"{type(error).__name__}: {error}")
