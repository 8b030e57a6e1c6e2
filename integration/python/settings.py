"""The variables of ../CONTRACT.md."""

import dataclasses
import os

from address import NotSupported

SEED_MAX = (1 << 32) - 1


class Mistake(Exception):
    """A variable is missing, or is no number."""


@dataclasses.dataclass
class Settings:
    role: str
    case: str
    address: str
    seed: int
    timeout: float
    version: str
    codec: str
    header: str
    gzip: int
    count: int
    bytes: int
    key: bytes
    id: int
    server_address: str
    max_packet: int


def number(environment, name, default=None, lowest=0, highest=None):
    text = environment.get("INTEROP_" + name, default)
    if text is None:
        raise Mistake(f"INTEROP_{name} is not set")
    try:
        value = int(text)
    except ValueError as error:
        raise Mistake(f"INTEROP_{name} is {text!r}, not a number") from error
    if value < lowest or (highest is not None and value > highest):
        raise NotSupported(f"INTEROP_{name}={value}")
    return value


def word(environment, name, default=None, among=None):
    text = environment.get("INTEROP_" + name, default)
    if text is None:
        raise Mistake(f"INTEROP_{name} is not set")
    if among is not None and text not in among:
        raise NotSupported(f"INTEROP_{name}={text}")
    return text


def seconds(environment):
    text = word(environment, "TIMEOUT")
    try:
        return float(text)
    except ValueError as error:
        raise Mistake(f"INTEROP_TIMEOUT is {text!r}, not a number") from error


def read(environment=os.environ):
    return Settings(
        role=word(environment, "ROLE"),
        case=word(environment, "CASE"),
        address=word(environment, "ADDRESS"),
        seed=number(environment, "SEED", highest=SEED_MAX),
        timeout=seconds(environment),
        version=word(environment, "VERSION", "2.5", ["2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]),
        codec=word(environment, "CODEC", "json", ["json", "protobuf", "plain"]),
        header=word(environment, "HEADER", "json", ["json", "protobuf"]),
        gzip=number(environment, "GZIP", "0", lowest=-2, highest=9),
        count=number(environment, "COUNT", "10", lowest=1),
        bytes=number(environment, "BYTES", "1000"),
        key=word(environment, "KEY", "").encode("utf-8", "surrogateescape"),
        id=number(environment, "ID", "1", highest=0xFFFFFFFF),
        server_address=word(environment, "SERVER_ADDRESS", ""),
        max_packet=number(environment, "MAX_PACKET", "524288", lowest=16),
    )
