"""Where one cell is played: a network, the containers of its parties, and the directory of its logs."""

import json
import re

from integration.runner.engine import TimedOut
from integration.runner.results import State

NOT_SUPPORTED = 127
READY_SECONDS_MAX = 30
# Beyond the time that a client was given; then it is ended.
GRACE_SECONDS = 10
STOP_SECONDS_MAX = 10
# Recipes whose images are made for a root that nobody can write to and for no capabilities: they are run as operators run them.
CONFINED = frozenset(["wayport-gateway"])


class Ended(Exception):
    """The cell is decided: `state`, and why."""

    def __init__(self, state, reason):
        super().__init__(reason)
        self.state = state
        self.reason = reason


class Stage:
    """One cell on one network. Not for two threads."""

    def __init__(self, engine, network, images, implementations, certificates, directory, prefix):
        self.engine = engine
        self.network = network
        self.directory = directory
        self._images = images
        self._implementations = implementations
        self._certificates = certificates
        self._prefix = prefix
        self._parties = []  # (party, implementation, container)
        self._decided = set()  # containers that ended by themselves, as they should, and were judged
        self.measured = {}

    def start(self, party, name, role, env, extra_env=None, substitutes=None, wait=True, aliases=()):
        """Starts one party, and waits until it accepts if asked."""
        implementation = self._implementations[name]
        part = implementation.part(role)
        values = {key.lower().removeprefix("interop_"): str(value) for key, value in env.items()} | (substitutes or {})
        volumes = {str(self._certificates): "/certs"}
        if part.files:
            config = self.directory / (party + "-config")
            config.mkdir(parents=True, exist_ok=True)
            for path, text in part.files.items():
                (config / path).write_text(fill(text, values))
                (config / path).chmod(0o644)
            volumes[str(config)] = "/config"
        is_confined = part.build in CONFINED
        container = self.engine.run(
            self._prefix + party, self._images.reference(part), [fill(word, values) for word in part.command],
            env={key: str(value) for key, value in {**env, **(extra_env or {})}.items()}, networks=[self.network],
            aliases=(party, *aliases), volumes=volumes, directory=self.directory, tmpfs=("/tmp",),
            read_only=is_confined, drop_caps=is_confined)
        self._parties.append((party, implementation, container))
        if wait:
            self._wait_ready(party, container, part.ready)
        return container

    def start_adapter(self, party, program, env):
        """Starts one of runner/adapters as a party that is nobody's implementation."""
        container = self.engine.run(
            self._prefix + party, self._images.adapters(), ["python3", "/interop/adapters/" + program],
            env={key: str(value) for key, value in env.items()}, networks=[self.network], aliases=(party,), directory=self.directory)
        self._parties.append((party, None, container))
        self._wait_ready(party, container, "^READY")
        return container

    def lines(self, party):
        return self._container(party).output.lines()

    def address(self, party):
        return self._container(party).address(self.network)

    def _container(self, party):
        return next(container for name, _, container in self._parties if name == party)

    def wait_client(self, container, timeout):
        """Until the deciding party has ended by itself; Ended unless it passed."""
        try:
            status = container.wait(timeout + GRACE_SECONDS)
        except TimedOut as error:
            raise Ended(State.red, str(error)) from None
        self._decided.add(container)
        for line in container.output.lines("out"):
            match = re.match(r"RESULT (\{.*\})$", line)
            if match:
                try:
                    self.measured.update(json.loads(match[1]))
                except ValueError:
                    raise Ended(State.red, "%s: RESULT is no JSON: %s" % (container.name, line)) from None
        if status == NOT_SUPPORTED:
            raise unsupported(container.name, container)
        if status != 0:
            raise Ended(State.red, "%s: status %d: %s" % (container.name, status, last_line(container)))

    def stop(self):
        """Ends the servers as their operator would: who was started last, first, as it may depend on the others.

        A contract's server ends with 0, or says that a promise was broken. Nobody but who decides ends before that.
        """
        others = [entry for entry in reversed(self._parties) if entry[2] not in self._decided]
        # Before the first is told to end: the others may notice that.
        for party, _, container in others:
            if not container.running():
                raise Ended(State.red, "%s: ended with status %d before it was told to: %s"
                            % (party, container.wait(STOP_SECONDS_MAX), last_line(container)))
        for party, implementation, container in others:
            container.kill("TERM")
            try:
                status = container.wait(STOP_SECONDS_MAX)
            except TimedOut:
                raise Ended(State.red, "%s: does not end at SIGTERM" % party) from None
            if status != 0 and implementation is not None and not implementation.is_program:
                raise Ended(State.red, "%s: status %d at its end: %s" % (party, status, last_line(container)))

    def clear(self):
        if not self.engine.keep:
            self.engine.remove([container for _, _, container in self._parties])

    def _wait_ready(self, party, container, pattern):
        try:
            container.wait_line(pattern, READY_SECONDS_MAX)
        except TimedOut as error:
            if not container.running():
                status = container.wait(STOP_SECONDS_MAX)
                if status == NOT_SUPPORTED:
                    raise unsupported(party, container) from None
                raise Ended(State.red, "%s: ended with status %d before it was ready: %s"
                            % (party, status, last_line(container))) from None
            raise Ended(State.red, "%s: not ready: %s" % (party, error)) from None


def unsupported(name, container):
    """What the status for "not supported" says: nothing of the kind if it comes after the program has begun (CONTRACT.md)."""
    if container.output.lines("out"):
        return Ended(State.red, "%s: status %d after it had printed %s: %s" % (
            name, NOT_SUPPORTED, container.output.lines("out")[0][:100], last_line(container)))
    return Ended(State.unsupported, "%s: %s" % (name, last_line(container)))


def fill(text, values):
    """Puts values where their names stand in braces. Other braces stay as they are."""
    return re.sub(r"\{([a-z_]+)\}", lambda match: values.get(match[1], match[0]), text)


def last_line(container):
    lines = [line for line in container.output.lines("err") if line.strip()] or container.output.lines("out")
    return lines[-1][:500] if lines else "it said nothing"
