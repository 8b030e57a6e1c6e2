"""One packet as bytes (1), and the read limit (8)."""

import dataclasses
import struct

from . import header as headers
from .errors import WireError

READ_LIMIT = 64 << 20


@dataclasses.dataclass
class Packet:
    """body is what travels behind the body codec id, compressed or not; no codec id means no body at all."""

    header: headers.Header
    header_codec: int
    body_codec: int | None = None
    body: bytes = b""


def encode(packet):
    head = headers.encode(packet.header, packet.header_codec)
    out = struct.pack(">IB", len(head) + 1, packet.header_codec) + head
    if packet.body_codec is None:
        return out + struct.pack(">I", 0)
    return out + struct.pack(">IB", len(packet.body) + 1, packet.body_codec) + packet.body


def check_header_length(length, limit):
    if length < 1:
        raise WireError("header length 0")
    if limit and length + 4 > limit:
        raise WireError(f"header length {length} is over the limit of {limit}")


def check_body_length(header_length, length, limit):
    if limit and length and header_length + length + 8 > limit:
        raise WireError(f"body length {length} is over the limit of {limit}")


async def read(reader, limit=READ_LIMIT):
    """The next packet of an asyncio.StreamReader, or None at an end between packets."""
    word = await reader.read(4)
    if not word:
        return None
    try:
        word += await reader.readexactly(4 - len(word))
        (header_length,) = struct.unpack(">I", word)
        check_header_length(header_length, limit)
        codec = (await reader.readexactly(1))[0]
        if codec not in headers.CODECS.values():
            raise WireError(f"header: unknown codec {codec:#04x}")
        header = headers.decode(await reader.readexactly(header_length - 1), codec)
        (body_length,) = struct.unpack(">I", await reader.readexactly(4))
        check_body_length(header_length, body_length, limit)
        body = await reader.readexactly(body_length)
    except EOFError as error:
        raise WireError("the stream ended inside a packet") from error
    return Packet(header, codec, body[0] if body else None, body[1:])
