"""Chromium with integration/browser/echo.html: a page that talks to a backend through a route gateway.

What the page says comes back from a backend that echoes; the page wants "echo: " in front, so it says that itself.
"""

import http.server
import pathlib
import re
import subprocess
import sys
import threading
import urllib.parse

from program import not_supported, setting

PAGE = pathlib.Path("/interop/browser/echo.html")
SAID = "echo: from a page"
# Runs in the page: what a reader would see, once it no longer changes.
REPORT = """<script>
const state = document.getElementById('state');
new MutationObserver(() => {
  if (!['done', 'failed'].includes(state.textContent)) return;
  fetch('/seen', {method: 'POST', body: state.textContent + '\\n' + document.getElementById('output').textContent});
}).observe(state, {childList: true, characterData: true, subtree: true});
</script>"""

seen = []
is_settled = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (PAGE.read_text() + REPORT).encode() if self.path.startswith("/echo.html") else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        seen.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()
        is_settled.set()

    def log_message(self, *arguments):
        pass


match = re.fullmatch(r"route\+ws://([^/]+)/(.+)", setting("INTEROP_ADDRESS"))
if not match or setting("INTEROP_CASE") != "stream":
    not_supported(setting("INTEROP_ADDRESS"))
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
query = urllib.parse.urlencode({"gateway": "ws://%s/" % match[1], "backend": match[2], "say": SAID}, quote_via=urllib.parse.quote)
# Its own sandbox wants privileges that a container has not; the page is ours.
browser = subprocess.Popen([
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--user-data-dir=/tmp/profile",
    "http://127.0.0.1:%d/echo.html?%s" % (server.server_address[1], query)], stdin=subprocess.DEVNULL)
has_settled = is_settled.wait(float(setting("INTEROP_TIMEOUT")))
browser.terminate()
try:
    browser.wait(5)
except subprocess.TimeoutExpired:
    browser.kill()
print(seen)
if not has_settled:
    sys.exit("expected a page that settles, it goes on")
if not seen[0].startswith("done\n") or SAID not in seen[0]:
    sys.exit("expected %r, the page shows %r" % (SAID, seen[0]))
