"""HAProxy in front of a stream server: takes tcp or tls, and the PROXY header if asked, and says which client each connection is of."""

import pathlib

from program import listens, not_supported, run, setting

listen = int(setting("BRIDGE_LISTEN"))
target = setting("BRIDGE_TARGET")
transport = setting("BRIDGE_TRANSPORT")
words = []
if transport == "tls":
    # It wants both in one file.
    both = pathlib.Path("/certs/cert.pem").read_text() + pathlib.Path("/certs/key.pem").read_text()
    pathlib.Path("/tmp/both.pem").write_text(both)
    words = ["ssl", "crt", "/tmp/both.pem"]
elif transport not in ("tcp", "route-tcp"):
    not_supported(transport)
if setting("BRIDGE_PROXY", "none") != "none":
    words.append("accept-proxy")
pathlib.Path("/tmp/haproxy.cfg").write_text("""
global
  log stdout format raw local0
defaults
  mode tcp
  log global
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
frontend front
  bind 0.0.0.0:%d %s
  log-format "client=%%ci port=%%cp bytes=%%B ended=%%ts"
  default_backend back
backend back
  server one %s
""" % (listen, " ".join(words), target))
run([["haproxy", "-db", "-f", "/tmp/haproxy.cfg"]], lambda: listens(listen))
