"""What fault scenarios are made of: gateways, servers that remember calls, clients that know the outcome of each. verdict.py judges.

A load is `wayport load`: clients that call all the time, dial again by themselves, and say at their end how each call ended and how long
they had no reply; servers that say which calls they executed, and which of them twice. Between the two nothing can be lost or doubled
without showing.
"""

import json
import pathlib
import subprocess
import time

from integration.runner.engine import EngineError, Output, TimedOut

KEY = "interop"
SERVER_ID = 7
# From the end of a load's time to its RESULT: calls under way have their time-out.
OUTCOME_SECONDS_MAX = 60
START_SECONDS_MAX = 30


class Rig:
    """One scenario's networks and containers. Leaving it removes them, unless the engine keeps them. Not for two threads."""

    def __init__(self, engine, images, directory, prefix):
        self.engine = engine
        self.images = images
        self.directory = pathlib.Path(directory)
        self.prefix = prefix
        self._containers = []
        self._networks = []
        self._links = []
        self.network = self.add_network("net")
        (self.directory / "secrets").mkdir(parents=True, exist_ok=True)
        (self.directory / "secrets/key").write_text(KEY)
        (self.directory / "secrets/key").chmod(0o644)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        for link in self._links:
            link.stop()
        if self.engine.keep:
            return
        self.engine.remove(self._containers)
        for network in self._networks:
            network.remove()

    def add_network(self, name, subnet=None):
        network = self.engine.network(self.prefix + "-" + name, subnet=subnet)
        self._networks.append(network)
        return network

    def run(self, name, recipe, command, **options):
        """A container with the host name `name`."""
        options.setdefault("networks", [self.network])
        options["aliases"] = (name, *options.get("aliases", ()))
        container = self.engine.run(self.prefix + "-" + name, self.images.recipe(recipe), command, directory=self.directory, **options)
        self._containers.append(container)
        return container

    def remove(self, container):
        self.engine.remove([container])
        self._containers.remove(container)

    # --- what there is in nearly every scenario ---

    def link_gateway(self, name="gateway", client="tcp://0.0.0.0:4900", flags=(), wait=True, **options):
        container = self.run(name, "wayport-gateway", [
            "fastway", "-ClientAddr=" + client, "-ServerAddr=tcp://0.0.0.0:4901", "-ServerAuthKey=" + KEY, "-ClientMaxConn=0",
            "-AdminAddr=tcp://0.0.0.0:9100", "-PidFile=", *flags], read_only=True, drop_caps=True, **options)
        if wait:
            container.wait_line("ready pid=", START_SECONDS_MAX)
        return container

    def file(self, name, text):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def route_gateway(self, listen, allow, options="", name="gateway", **more):
        path = self.file(name + ".toml", '[[route]]\nlisten = %s\nallow = %s\n%s\n[admin]\naddress = "0.0.0.0:9100"\n[process]\npid_file = ""\n'
                         % (json.dumps(listen), json.dumps(allow), options))
        container = self.run(name, "wayport-gateway", ["--config", "/config.toml"], volumes={str(path): "/config.toml"}, **more)
        container.wait_line("ready pid=", START_SECONDS_MAX)
        return container

    def servers_at(self, *gateways):
        """The addresses of a server behind these gateways."""
        return ["link+tcp://%s:4901/%d?key_file=/secrets/key" % (gateway, SERVER_ID) for gateway in gateways]

    def load_server(self, *addresses, name="server", registered_at=(), **options):
        container = self.run(name, "wayport", ["load", "serve", *addresses],
                             volumes={str(self.directory / "secrets"): "/secrets"}, **options)
        container.wait_line("^READY", START_SECONDS_MAX)
        for gateway in registered_at:
            self.wait_metric(gateway, 'wayport_link_connections{kind="server"}', lambda value: value >= 1)
        return container

    def load(self, *addresses, name="client", seconds=10, clients=20, outstanding=4, pause="2ms", timeout="30s", padding=0, **options):
        """Begins a load that runs for that time; `outcome` waits for its end."""
        container = self.run(name, "wayport", [
            "load", "run", "--time", "%gs" % seconds, "--clients", str(clients), "--outstanding", str(outstanding), "--pause", pause,
            "--timeout", timeout, "--padding", str(padding), *addresses], **options)
        container.due = time.monotonic() + seconds + OUTCOME_SECONDS_MAX
        return container

    def outcome(self, container):
        """The RESULT of a load, or of a server that is told to end now."""
        if hasattr(container, "due"):
            container.wait(max(1, container.due - time.monotonic()))
        elif container.running():
            container.stop(20)
        for line in container.output.lines("out"):
            if line.startswith("RESULT "):
                return json.loads(line.removeprefix("RESULT "))
        raise TimedOut("%s said no RESULT; its last lines: %s" % (container.name, " | ".join(container.output.lines()[-5:])))

    def wait_ready(self, gateway, seconds=START_SECONDS_MAX):
        """Until its admin listener says that it is ready."""
        deadline = time.monotonic() + seconds
        while True:
            answer = gateway.exec(["/usr/bin/wayport-gateway", "health", "http://127.0.0.1:9100"], check=False)
            if answer.returncode == 0:
                return
            if time.monotonic() > deadline:
                raise TimedOut("%s is not ready: %s" % (gateway.name, answer.stderr.strip() or answer.stdout.strip()))
            time.sleep(0.1)

    def metric(self, container, name):
        """A value of /metrics of a gateway. One that cannot be read is an error, and no 0: that would pass for a good one."""
        program = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9100/metrics', timeout=5).read().decode())"
        answer = container.in_network(["python3", "-c", program], check=False)
        for line in answer.stdout.splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        said = answer.stderr.strip().splitlines() or ["it has no such row"]
        raise EngineError("%s: no %s in /metrics: %s" % (container.name, name, said[-1]))

    def wait_metric(self, container, name, is_right, seconds=START_SECONDS_MAX):
        """Until it is right; until then it may also be that nobody answers."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                value = self.metric(container, name)
                if is_right(value):
                    return value
                seen = "%s: %s is %g" % (container.name, name, value)
            except EngineError as error:
                seen = str(error)
            if time.monotonic() > deadline:
                raise TimedOut(seen)
            time.sleep(0.1)

    # --- links ---

    def emulate(self, endpoint, words):
        """Leads all packets of a running container through an emulated link (integration/emulator), and returns it."""
        link = EmulatedLink(self.images.program("wayport-link-emulator", "//integration/emulator:wayport-link-emulator"), endpoint, words,
                            self.directory)
        self._links.append(link)
        return link


class EmulatedLink:
    """The link emulator in the network of a container. It runs on this machine, so an image needs nothing for it."""

    def __init__(self, program, endpoint, words, directory):
        self._program = str(program)
        self._endpoint = endpoint
        self._output = Output("link", directory)
        self._process = endpoint.start_in_network([self._program, "attach", "--both", words])
        self._output.follow("out", self._process.stdout)
        self._output.follow("err", self._process.stderr)
        try:
            self._output.wait_for("^ready", START_SECONDS_MAX, alive=lambda: self._process.poll() is None)
        except BaseException:
            # Also of an interrupt: nobody else knows of it yet, and it would hold the container's network.
            self.stop()
            raise

    def stats(self):
        """Counters of both directions together."""
        stats = json.loads(self._endpoint.in_network([self._program, "ctl", "stats"]).stdout)
        total = {}
        for direction in stats.values():
            if isinstance(direction, dict):
                for name, value in direction.items():
                    if type(value) is int:
                        total[name] = total.get(name, 0) + value
        return total

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
