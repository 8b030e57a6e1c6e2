"""The part of the protobuf encoding that headers and bodies need: varints and bytes."""

from .errors import WireError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MASK64 = (1 << 64) - 1


def varint(value):
    """A negative number goes out as its 64 bits: ten bytes."""
    value &= MASK64
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def varint_field(number, value):
    """Nothing at all for zero, as proto3 has it."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def bytes_field(number, value):
    return varint(number << 3 | BYTES) + varint(len(value)) + value if value else b""


def signed(value, bits):
    """The low bits of a varint as two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def read_varint(data, at):
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise WireError("protobuf: cut inside a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & MASK64, at
    raise WireError("protobuf: a number of more than ten bytes")


def fields(data):
    """Yields (number, wire type, value) of each field; value is an int, or bytes."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise WireError("protobuf: field 0")
        if wire_type == VARINT:
            value, at = read_varint(data, at)
        else:
            if wire_type == BYTES:
                size, at = read_varint(data, at)
            elif wire_type in (FIXED64, FIXED32):
                size = 8 if wire_type == FIXED64 else 4
            else:
                raise WireError(f"protobuf: wire type {wire_type}")
            if size > len(data) - at:
                raise WireError("protobuf: cut inside a field")
            value = data[at : at + size]
            at += size
        yield number, wire_type, value
