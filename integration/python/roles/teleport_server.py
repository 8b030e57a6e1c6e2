"""Role `server`."""

from roles import serving, teleport_routes
from teleport.errors import WireError
from teleport.session import Session

CASES = {"echo", "large", "concurrent", "order", "push", "status", "not-found", "bad-body", "query", "back", "limit"}
# Here the client breaks the format on purpose.
HOSTILE = {"bad-body", "limit"}


async def run(settings):
    router = teleport_routes.router()
    promises = serving.Promises()

    async def serve(reader, writer):
        session = Session(reader, writer, router, teleport_routes.options(settings))
        await session.run()
        if isinstance(session.failure, WireError) and settings.case not in HOSTILE:
            promises.broken.append(str(session.failure))

    await serving.run([(settings.address, serve)], promises)
