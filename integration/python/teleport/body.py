"""Bodies of the three codecs (5).

A shape says what a handler wants: TEXT (str), NUMBER (int), or ANY (the bytes as they came, once it is known that they decode).
With protobuf both live in one message, `{ string data = 1; int64 number = 2; }`.
"""

import enum

from . import gojson, gzipped, protobuf
from .errors import WireError

JSON, PROTOBUF, PLAIN = ord("j"), ord("p"), ord("s")
CODECS = {"json": JSON, "protobuf": PROTOBUF, "plain": PLAIN}

DEPTH_MAX = 64


class Shape(enum.Enum):
    TEXT = enum.auto()
    NUMBER = enum.auto()
    ANY = enum.auto()


ZERO = {Shape.TEXT: "", Shape.NUMBER: 0, Shape.ANY: b""}


def encode(value, codec):
    """Of a str or an int; bytes go out as they are."""
    if isinstance(value, bytes):
        return value
    is_text = isinstance(value, str)
    if codec == JSON:
        return gojson.encode(value).encode()
    if codec == PLAIN:
        return str(value).encode("utf-8", "surrogateescape")
    if codec == PROTOBUF:
        return protobuf.bytes_field(1, value.encode()) if is_text else protobuf.varint_field(2, value)
    raise WireError(f"body: unknown codec {codec:#04x}")


def unpack(packet):
    """The body of a packet, inflated if its header says so."""
    if packet.header.gzip and packet.body:
        return gzipped.inflate(packet.body)
    return packet.body


def decode(packet, shape):
    """The value of a packet's body; the zero value if there is none, or a codec id alone."""
    if not packet.body:
        return ZERO[shape]
    if packet.body_codec not in CODECS.values():
        raise WireError(f"body: unknown codec {packet.body_codec:#04x}")
    data = unpack(packet)
    if packet.body_codec == JSON:
        return decode_json(data, shape)
    if packet.body_codec == PROTOBUF:
        return decode_message(data, shape)
    return decode_plain(data, shape)


def decode_json(data, shape):
    try:
        value = gojson.decode(data, DEPTH_MAX)
    except (ValueError, RecursionError) as error:
        raise WireError(f"body: {error}") from error
    if shape is Shape.ANY:
        return data
    if value is None:
        return ZERO[shape]
    if type(value) is not type(ZERO[shape]):
        raise WireError(f"body: JSON of another type than {shape.name}")
    return value


def decode_message(data, shape):
    values = {Shape.TEXT: b"", Shape.NUMBER: 0}
    for number, wire_type, value in protobuf.fields(data):
        if number in (1, 2):
            if wire_type != (protobuf.BYTES if number == 1 else protobuf.VARINT):
                raise WireError(f"body: field {number} has wire type {wire_type}")
            values[Shape.TEXT if number == 1 else Shape.NUMBER] = value
    try:
        values[Shape.TEXT] = values[Shape.TEXT].decode()
    except ValueError as error:
        raise WireError(f"body: {error}") from error
    values[Shape.NUMBER] = protobuf.signed(values[Shape.NUMBER], 64)
    return data if shape is Shape.ANY else values[shape]


def decode_plain(data, shape):
    if shape is Shape.ANY:
        return data
    text = data.decode("utf-8", "surrogateescape")
    if shape is Shape.TEXT:
        return text
    try:
        return int(text)
    except ValueError as error:
        raise WireError("body: the text is no number") from error
