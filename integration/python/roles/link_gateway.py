"""Role `gateway` of the link cases."""

from link.gateway import Gateway
from roles import link_server, serving

CASES = link_server.CASES


async def run(settings):
    gateway = Gateway(settings.key, settings.max_packet, client_max_conn=0)
    await serving.run([(settings.address, gateway.serve_client), (settings.server_address, gateway.serve_server)])
