"""Addresses (spec/address.md) of the transports that are here: tcp and tls."""

import asyncio
import contextlib
import dataclasses
import re
import socket
import ssl
import urllib.parse

CERTIFICATES = "/certs"

PARAMETERS = {
    ("tcp", "listen"): {"nodelay"},
    ("tcp", "dial"): {"nodelay"},
    ("tls", "listen"): {"nodelay", "cert", "key"},
    ("tls", "dial"): {"nodelay", "ca", "name", "insecure"},
}
BOOLEANS = {"0": False, "1": True}
HOST_PORT = re.compile(r"(?:\[([^\]]+)\]|([^:/\[\]]*)):([0-9]{1,5})$")


class NotSupported(Exception):
    """A transport, parameter or value that is not here."""


@dataclasses.dataclass
class Address:
    scheme: str
    host: str
    port: int
    parameters: dict

    def flag(self, name, default):
        text = self.parameters.get(name)
        if text is None:
            return default
        if text not in BOOLEANS:
            raise NotSupported(f"{name}={text}")
        return BOOLEANS[text]


def parse(text, use):
    """use is "listen" or "dial"."""
    layers, separator, rest = text.partition("://")
    if not separator:
        layers, rest = "tcp", text
    if layers.endswith("+tcp"):
        layers = layers[: -len("+tcp")]
    if (layers, use) not in PARAMETERS:
        raise NotSupported(layers)
    place, _, query = rest.partition("?")
    match = HOST_PORT.match(place)
    if not match:
        raise NotSupported(place)
    parameters = {}
    for pair in filter(None, query.split("&")):
        key, _, value = pair.partition("=")
        if key not in PARAMETERS[layers, use]:
            raise NotSupported(f"parameter {key}")
        parameters[key] = urllib.parse.unquote(value)
    return Address(layers, match.group(1) or match.group(2), int(match.group(3)), parameters)


def listen_tls(address):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(
        address.parameters.get("cert", f"{CERTIFICATES}/cert.pem"), address.parameters.get("key", f"{CERTIFICATES}/key.pem"))
    return context


def dial_tls(address):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if address.flag("insecure", False):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(address.parameters.get("ca", f"{CERTIFICATES}/ca.pem"))
    return context


def set_nodelay(writer, address):
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, address.flag("nodelay", True))


async def listen(text, serve):
    """An asyncio server that calls serve(reader, writer) for each connection."""
    address = parse(text, "listen")
    context = listen_tls(address) if address.scheme == "tls" else None

    async def accepted(reader, writer):
        set_nodelay(writer, address)
        # Cancelled only when the loop ends, of which asyncio would print a page for each connection.
        with contextlib.suppress(asyncio.CancelledError):
            await serve(reader, writer)

    return await asyncio.start_server(accepted, address.host or None, address.port, ssl=context)


async def dial(text):
    """(reader, writer) of a new connection."""
    address = parse(text, "dial")
    tls = {}
    if address.scheme == "tls":
        tls = {"ssl": dial_tls(address), "server_hostname": address.parameters.get("name", address.host)}
    reader, writer = await asyncio.open_connection(address.host, address.port, **tls)
    set_nodelay(writer, address)
    return reader, writer
