"""nginx stream in front of a stream server: takes tcp or tls, and the PROXY header if asked, and says whose each connection is."""

import pathlib

from program import listens, not_supported, run, setting

listen = int(setting("BRIDGE_LISTEN"))
target = setting("BRIDGE_TARGET")
transport = setting("BRIDGE_TRANSPORT")
words, lines = [], []
if transport == "tls":
    words.append("ssl")
    lines = ["ssl_certificate /certs/cert.pem;", "ssl_certificate_key /certs/key.pem;"]
elif transport not in ("tcp", "route-tcp"):
    not_supported(transport)
has_proxy = setting("BRIDGE_PROXY", "none") != "none"
if has_proxy:
    words.append("proxy_protocol")
pathlib.Path("/tmp/nginx.conf").write_text("""
load_module modules/ngx_stream_module.so;
worker_processes 1;
daemon off;
pid /tmp/nginx.pid;
error_log stderr warn;
events {}
stream {
  log_format ended 'client=$%s bytes=$bytes_sent status=$status';
  access_log /dev/stdout ended;
  server {
    listen 0.0.0.0:%d %s;
    %s
    proxy_pass %s;
  }
}
""" % ("proxy_protocol_addr" if has_proxy else "remote_addr", listen, " ".join(words), " ".join(lines), target))
run([["nginx", "-c", "/tmp/nginx.conf", "-e", "stderr"]], lambda: listens(listen))
