"""The routes that both ends of a Teleport session offer."""

import asyncio

from teleport import body, header, packet, session
from teleport.body import Shape
from teleport.errors import Status
from teleport.session import Route, Router

LIMIT = 65_536


def options(settings):
    return session.Options(
        version=settings.version,
        header_codec=header.CODECS[settings.header],
        body_codec=body.CODECS[settings.codec],
        gzip=settings.gzip,
        read_limit=LIMIT if (settings.case, settings.role) == ("limit", "server") else packet.READ_LIMIT,
        pull_timeout=settings.timeout,
    )


def length(call, text):
    return len(text.encode("utf-8", "surrogateescape"))


def fail(call, code):
    raise Status(code, "interop")


def query(call, _):
    return call.query.get("q", [""])[0]


async def slow(call, milliseconds):
    await asyncio.sleep(max(milliseconds, 0) / 1000)
    return milliseconds


def note(call, text):
    call.session.notes.append(text)


def notes(call, _):
    return len(call.session.notes)


async def back(call, data):
    """The caller echoes what it sent."""
    codec = call.packet.body_codec if call.packet.body_codec in body.CODECS.values() else None
    reply = await call.session.pull_packet("/interop/echo", data if call.packet.body_codec is not None else None, codec)
    return session.result(reply, Shape.ANY) if reply.body_codec is not None else None


def echo(call, data):
    return data if call.packet.body_codec is not None else None


def router():
    return Router(
        pulls={
            "/interop/echo": Route(Shape.ANY, echo),
            "/interop/length": Route(Shape.TEXT, length),
            "/interop/fail": Route(Shape.NUMBER, fail),
            "/interop/query": Route(Shape.ANY, query),
            "/interop/slow": Route(Shape.NUMBER, slow),
            "/interop/notes": Route(Shape.ANY, notes),
            "/interop/back": Route(Shape.ANY, back),
        },
        pushes={"/interop/note": Route(Shape.TEXT, note)},
    )
