"""Gateway: the wayport-gateway program, run by a test in Python. Standard library, Python 3.8 or later, Linux.

    from wayport_harness import Gateway, port_of

    with Gateway('''
        [link]
        client_address = "127.0.0.1:0"
        server_address = "127.0.0.1:0"
        server_auth_key = "key"
    ''') as gateway:
        client = socket.create_connection(("127.0.0.1", port_of(gateway.link_clients[0])))
        ...
        assert gateway.stop() == 0, gateway.log()

The configuration is that of the program (gateway/README.md), with ports 0 where the test does not care. Where it listens is read
from its log, so its [log] has no `file`, no `json`, and no level above info. It runs in a directory of its own, which goes at the
end of the `with`. A thread reads its output all the time. Methods may be called from any thread.
"""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading

PROGRAM_VARIABLE = "WAYPORT_GATEWAY"
PATIENCE_SECONDS = 30.0
LOG_BYTES_MAX = 8 * 1024 * 1024  # its first and last bytes are kept

_MARKS = {
    "link_clients": re.compile(r"setup client listener at - (\S+)"),
    "link_servers": re.compile(r"setup server listener at - (\S+)"),
    "routes": re.compile(r"route gateway listens .*?address=(\S+)"),
    "admin": re.compile(r"admin listener at - (\S+)"),
}
_HIDES = (
    (re.compile(r"^\s*json\s*=\s*true\b"), "json = true"),
    (re.compile(r"""^\s*level\s*=\s*["'](?:warning|error|off)["']"""), "level above info"),
    (re.compile(r"""^\s*file\s*=\s*["'][^"']"""), "file"),
)


class HarnessError(Exception):
    """What could not be done, with the program's log where it has one."""


def port_of(address):
    """The port of an address as Gateway gives it, such as "127.0.0.1:4900" and "tcp://[::1]:7788"."""
    return int(address.rpartition(":")[2])


def _runfile(path):
    """`path` as Bazel's $(rootpath ...) gives it, from the working directory of a test."""
    if os.path.exists(path):
        return os.path.abspath(path)
    root, workspace = os.environ.get("TEST_SRCDIR", ""), os.environ.get("TEST_WORKSPACE", "")
    inside = path[len("external/"):] if path.startswith("external/") else os.path.join(workspace, path)
    found = os.path.join(root, inside)
    if not os.path.exists(found):
        raise HarnessError(f"there is no program {path}")
    return os.path.abspath(found)


def _check_log_settings(config):
    section = None
    for line in config.splitlines():
        if header := re.match(r"\s*\[+\s*([^\]\s]+)", line):
            section = header[1]
        for hides, what in _HIDES if section == "log" else ():
            if hides.match(line):
                raise HarnessError(f"the harness reads from the log where the gateway listens, so [log] must have no {what}")


class Gateway:
    """A gateway that serves from the end of the constructor on, and is killed at the end of the `with`."""

    def __init__(self, config, *, program=None, environment=None, ready_seconds=PATIENCE_SECONDS):
        """`config`: TOML. `program`: else $WAYPORT_GATEWAY, which wayport_gateway_test() sets. `environment`: on top of ours."""
        _check_log_settings(config)
        program = program or os.environ.get(PROGRAM_VARIABLE)
        if not program:
            raise HarnessError(f"${PROGRAM_VARIABLE} names no program (integration/harness/defs.bzl sets it)")
        program = _runfile(program)
        self.link_clients = []
        self.link_servers = []
        self.routes = []  # whole addresses: "tcp://127.0.0.1:7788"
        self.admin = None
        self._head = b""
        self._tail = b""
        self._ready = threading.Event()
        self._ended = False
        self._changed = threading.Condition()
        self._process = None
        self._reader = None
        self.directory = tempfile.mkdtemp(prefix="gateway-", dir=os.environ.get("TEST_TMPDIR"))
        try:
            with open(os.path.join(self.directory, "gateway.toml"), "w", encoding="utf-8") as file:
                file.write(config)
            self._process = subprocess.Popen(
                [program, "--config", "gateway.toml"],
                cwd=self.directory,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
            with self._changed:
                self._changed.wait_for(lambda: self._ready.is_set() or self._ended, ready_seconds)
            if not self._ready.is_set():
                why = "it has ended" if self._ended else f"not within {ready_seconds} s"
                raise HarnessError(f"the gateway does not serve ({why}); its log is:\n{self.log()}")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def addresses(self):
        """Where it listens, by kind, in the order of the configuration, with the ports that it got."""
        return {"link_clients": self.link_clients, "link_servers": self.link_servers, "routes": self.routes, "admin": self.admin}

    def log(self):
        with self._changed:
            return (self._head + self._tail).decode("utf-8", "replace")

    def stop(self, seconds=PATIENCE_SECONDS):
        """SIGTERM: it drains as configured, and ends; its exit code, or minus the signal that ended it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise HarnessError(f"the gateway did not end and was killed; its log is:\n{self.log()}") from None
        self._reader.join(seconds)
        return code

    def kill(self):
        """As if it crashed: the kernel ends its connections at once. pause() comes near a host that died."""
        self._process.kill()  # a paused one, too
        self._process.wait()

    def pause(self):
        """As if its host hung: connections stay, nothing moves."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self):
        self._process.send_signal(signal.SIGCONT)

    def close(self):
        """Kills it, and removes its directory."""
        if self._process is not None:
            self.kill()
            if self._reader is not None:
                self._reader.join(PATIENCE_SECONDS)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _read(self):
        with self._process.stdout as output:
            for line in output:
                with self._changed:
                    self._take(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take(self, line):
        room = LOG_BYTES_MAX // 4
        if len(self._head) < room:
            self._head += line
        else:
            self._tail += line
            if len(self._tail) > LOG_BYTES_MAX - room:
                self._tail = b"[... the log was cut here ...]\n" + self._tail[-room:]
        if self._ready.is_set():
            return
        text = line.decode("utf-8", "replace")
        for name, mark in _MARKS.items():
            if found := mark.search(text):
                if name == "admin":
                    self.admin = found[1]
                else:
                    getattr(self, name).append(found[1])
        if "info  ready" in text:
            self._ready.set()
