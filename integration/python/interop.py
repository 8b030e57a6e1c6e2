#!/usr/bin/env python3
"""One end of one cell of the interop matrix; ../CONTRACT.md says what the variables mean, and README.md how to run one by hand."""

import asyncio
import json
import sys

import address
import settings as variables
from address import NotSupported
from roles import Failed, link_client, link_gateway, link_server, stream_client, stream_server, teleport_client, teleport_server

PASSED, FAILED, NOT_SUPPORTED = 0, 1, 127

# Where each role listens or dials is judged before anything is printed.
ROLES = {
    "server": (teleport_server, "listen"),
    "client": (teleport_client, "dial"),
    "gateway": (link_gateway, "listen"),
    "link-server": (link_server, "dial"),
    "link-client": (link_client, "dial"),
    "stream-server": (stream_server, "listen"),
    "stream-client": (stream_client, "dial"),
}
# These end by themselves, and have to do so in time.
ENDING = {"client", "link-client", "stream-client"}


async def run(role, settings):
    is_ending = settings.role in ENDING or settings.case == "link-key" and settings.role == "link-server"
    try:
        return await asyncio.wait_for(role.run(settings), settings.timeout if is_ending else None)
    except asyncio.TimeoutError as error:
        raise Failed(f"expected the end of the case in {settings.timeout} s, it goes on") from error


def main():
    try:
        settings = variables.read()
        if settings.role not in ROLES or settings.case not in ROLES[settings.role][0].CASES:
            raise NotSupported(f"{settings.role} {settings.case}")
        role, use = ROLES[settings.role]
        address.parse(settings.address, use)
        if settings.role == "gateway":
            address.parse(settings.server_address, use)
        outcome = asyncio.run(run(role, settings))
    except NotSupported as error:
        print(f"not supported: {error}", file=sys.stderr)
        return NOT_SUPPORTED
    except (Failed, OSError, EOFError, variables.Mistake) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return FAILED
    if outcome is not None:
        print("RESULT " + json.dumps(outcome))
    return PASSED


if __name__ == "__main__":
    sys.exit(main())
