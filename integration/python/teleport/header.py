"""Headers of packets in both codecs (2).

uri and status are str. Bytes that are no UTF-8 stand in them as Python's surrogate escapes, so that a protobuf header passes them on.
"""

import dataclasses

from . import gojson, protobuf
from .errors import WireError

JSON, PROTOBUF = ord("j"), ord("p")
CODECS = {"json": JSON, "protobuf": PROTOBUF}

# Of unknown keys, below the header itself.
DEPTH_MAX = 64

INT_BITS = {"type": 32, "gzip": 32, "status_code": 32}


@dataclasses.dataclass
class Header:
    """The fields in the order in which they are written."""

    seq: int = 0
    type: int = 0
    uri: str = ""
    gzip: int = 0
    status_code: int = 0
    status: str = ""


NAMES = [field.name for field in dataclasses.fields(Header)]


def encode(header, codec):
    """The bytes behind the codec id."""
    values = [(name, getattr(header, name)) for name in NAMES]
    if codec == JSON:
        return gojson.encode({name: value for name, value in values if value}).encode()
    out = b""
    for number, (_, value) in enumerate(values, 1):
        if isinstance(value, str):
            out += protobuf.bytes_field(number, value.encode("utf-8", "surrogateescape"))
        else:
            out += protobuf.varint_field(number, value)
    return out


def decode(data, codec):
    if codec == JSON:
        return decode_json(data)
    if codec == PROTOBUF:
        return decode_protobuf(data)
    raise WireError(f"header: unknown codec {codec:#04x}")


def decode_protobuf(data):
    header = Header()
    for number, wire_type, value in protobuf.fields(data):
        if number > len(NAMES):
            continue
        name = NAMES[number - 1]
        is_text = isinstance(getattr(header, name), str)
        if wire_type != (protobuf.BYTES if is_text else protobuf.VARINT):
            raise WireError(f"header: {name} has wire type {wire_type}")
        if is_text:
            value = value.decode("utf-8", "surrogateescape")
        elif name in INT_BITS:
            value = protobuf.signed(value, INT_BITS[name])
        setattr(header, name, value)
    return header


def decode_json(data):
    try:
        pairs = gojson.decode(data, DEPTH_MAX + 1, pairs=True)
    except (ValueError, RecursionError) as error:
        raise WireError(f"header: {error}") from error
    if not isinstance(pairs, gojson.Pairs):
        raise WireError("header: not an object")
    header = Header()
    for key, value in pairs:
        name = key.lower()
        if name in NAMES and value is not None:
            check_json(name, value)
            setattr(header, name, value)
    return header


def check_json(name, value):
    if name in ("uri", "status"):
        good = isinstance(value, str)
    elif name in INT_BITS:
        half = 1 << (INT_BITS[name] - 1)
        good = type(value) is int and -half <= value < half
    else:
        good = type(value) is int and 0 <= value <= protobuf.MASK64
    if not good:
        raise WireError(f"header: the value of {name} is out of its range or of another type")
