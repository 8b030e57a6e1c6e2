"""etcd with one entry, which it has before it says READY."""

import base64
import json
import urllib.error
import urllib.request

from program import run, setting

PORT = 2379


def call(path, body):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (PORT, path), json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def answers():
    try:
        call("/v3/maintenance/status", {})
        return True
    except (OSError, urllib.error.URLError):
        return False


def put():
    encoded = {name: base64.b64encode(setting("REGISTRY_" + name.upper()).encode()).decode() for name in ("key", "value")}
    call("/v3/kv/put", encoded)


run([["etcd", "--data-dir", "/tmp/etcd", "--listen-client-urls", "http://0.0.0.0:%d" % PORT,
      "--advertise-client-urls", "http://registry:%d" % PORT, "--listen-peer-urls", "http://127.0.0.1:2380",
      "--initial-advertise-peer-urls", "http://127.0.0.1:2380", "--initial-cluster", "default=http://127.0.0.1:2380",
      "--log-level", "warn"]], answers, put)
