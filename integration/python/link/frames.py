"""Frames and commands (2, 3)."""

import dataclasses
import enum
import struct

MAX_PACKET = 524_288
ID_BYTES = 4


class LinkError(Exception):
    """The other side broke the format, or refused, or went away."""


class Type(enum.IntEnum):
    DIAL = 0
    ACCEPT = 1
    CONNECT = 2
    REFUSE = 3
    CLOSE = 4
    PING = 5


ARGUMENTS = {Type.DIAL: 1, Type.ACCEPT: 2, Type.CONNECT: 2, Type.REFUSE: 1, Type.CLOSE: 1, Type.PING: 0}


@dataclasses.dataclass(frozen=True)
class Command:
    type: Type
    arguments: tuple = ()


def encode(connection, message):
    return struct.pack("<II", ID_BYTES + len(message), connection) + message


def encode_command(command):
    return encode(0, struct.pack(f"<B{len(command.arguments)}I", command.type, *command.arguments))


def check_length(length, max_packet):
    if not ID_BYTES <= length <= max_packet:
        raise LinkError(f"frame length {length}, it has to be {ID_BYTES} to {max_packet}")


def decode_command(message):
    """Bytes behind the arguments are ignored, missing ones are an error."""
    if not message or message[0] not in ARGUMENTS:
        raise LinkError(f"command type {message[0] if message else 'missing'}")
    kind = Type(message[0])
    try:
        return Command(kind, struct.unpack_from(f"<{ARGUMENTS[kind]}I", message, 1))
    except struct.error as error:
        raise LinkError(f"{kind.name} is cut short") from error


async def read(reader, max_packet=MAX_PACKET):
    """(connection id, message) of the next frame, or None at an end between frames."""
    word = await reader.read(4)
    if not word:
        return None
    try:
        word += await reader.readexactly(4 - len(word))
        (length,) = struct.unpack("<I", word)
        check_length(length, max_packet)
        frame = await reader.readexactly(length)
    except EOFError as error:
        raise LinkError("the stream ended inside a frame") from error
    return struct.unpack_from("<I", frame)[0], frame[ID_BYTES:]
