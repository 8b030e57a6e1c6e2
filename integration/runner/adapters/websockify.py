"""websockify: messages of websockets become bytes of tcp, and the other way round."""

from program import listens, not_supported, run, setting

listen = int(setting("BRIDGE_LISTEN"))
target = setting("BRIDGE_TARGET")
transport = setting("BRIDGE_TRANSPORT")
words = {"ws": [], "wss": ["--cert=/certs/cert.pem", "--key=/certs/key.pem", "--ssl-only"]}.get(transport)
if words is None:
    not_supported(transport)
run([["websockify", *words, "0.0.0.0:%d" % listen, target]], lambda: listens(listen))
