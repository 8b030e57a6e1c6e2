"""Containers and networks of one run, by the docker command line. Nothing else in this tree calls it.

    with Engine(directory="/somewhere/out") as engine:      # removes what interrupted runs left
        net = engine.network("front")
        server = engine.run("server", "wayport:latest", ["interop"], env={"INTEROP_ROLE": "server"}, networks=[net])
        server.wait_line("^READY$", timeout=10)
        server.pause(); server.unpause(); server.disconnect(net); server.connect(net)
        server.stop()                                        # the exit status
                                                             # at the end all of it is removed

Every container and network is labelled with the run and its owner, and named wayport-it-RUN-NAME; NAME is also its host name on
networks. Networks are internal: nothing in them reaches the outside. Other containers of this engine are not touched.
"""

import calendar
import json
import os
import re
import secrets
import subprocess
import threading
import time

from integration.runner.engine import CALL_SECONDS_MAX, EngineError, Owner, Running, TimedOut, bound

RUN_LABEL = "wayport.integration"
OWNER_LABEL = "wayport.integration.owner"
NAME_PREFIX = "wayport-it-"

# What docker itself may exit with when there is no exit status of the program: it failed, or found nothing to run.
DOCKER_STATUSES = (1, 125, 126, 127)


def available(docker="docker"):
    """None if a container engine answers, else why not."""
    try:
        answer = subprocess.run([docker, "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if answer.returncode == 0 else (answer.stderr.strip().splitlines() or ["docker does not answer"])[-1]


class Engine:
    """One run. Use it as a context: leaving it, also by an exception, removes all that was made."""

    kind = "containers"

    def __init__(self, run=None, directory=None, docker="docker", keep=False):
        self.id = run or "%s-%s" % (os.getpid(), secrets.token_hex(3))
        self.directory = directory  # where logs go; None: nowhere
        self.keep = keep  # containers and networks stay, for looking into them; the next run removes them
        self._docker = docker
        self._owner = Owner.current()
        self._lock = threading.Lock()
        self._closed = False
        self._containers = []  # those whose output is still followed

    def __enter__(self):
        self.sweep()
        return self

    def __exit__(self, *unused):
        self.close()

    def sweep(self):
        """Removes what runs left whose owner is gone. Returns the names."""
        removed = []
        for kind in ("container", "network"):
            names = [name for name, run, owner in self._labelled(kind) if run != self.id and owner is not None and owner.gone()]
            removed += self._remove(kind, names)
        return removed

    def close(self):
        """Removes what this run made; nothing can be made afterwards."""
        with self._lock:
            self._closed = True
        if self.keep:
            for container in self._followed():
                container.leave()
            return
        # A call that was under way in another thread may still make one: until there is none left.
        for _ in range(5):
            containers = [name for name, run, _ in self._labelled("container") if run == self.id]
            self._remove("container", containers)
            networks = [name for name, run, _ in self._labelled("network") if run == self.id]
            self._remove("network", networks)
            for container in self._followed():
                container.finish()
            if not containers and not networks:
                return
            time.sleep(0.1)

    def _followed(self):
        with self._lock:
            followed, self._containers = self._containers, []
            return followed

    def network(self, name, subnet=None, internal=True):
        """A network of its own. `subnet` ("10.77.1.0/24") is needed where containers want fixed addresses."""
        full = NAME_PREFIX + self.id + "-" + name
        options = ["--internal"] if internal else []
        if subnet:
            options += ["--subnet", subnet]
        self._make(["network", "create", *self._labels(), *options, full])
        return Network(self, name, full)

    def run(self, name, image, command=(), env=None, networks=(), aliases=(), addresses=None, entrypoint=None, user=None,
            caps=(), drop_caps=False, read_only=False, tmpfs=(), volumes=None, devices=(), ulimits=None, sysctls=None,
            memory=None, cpus=None, hosts=None, init=False, start=True, directory=None):
        """Starts a container and follows its output.

        `aliases` are further host names; `addresses` {Network: "10.77.1.5"} fixes addresses; `volumes` {"/host/path": "/path"} are
        mounted read only ("/path:rw" is not); `tmpfs` are paths, with options behind a colon; `ulimits` {"nofile": 64}; `hosts`
        {"name": "address"} are lines of /etc/hosts. Without networks it has none but loopback. `start=False` only makes it. The log
        goes to `directory`, by default the engine's.
        """
        full = NAME_PREFIX + self.id + "-" + name
        names = [name, *aliases]
        words = ["create", "--name", full, "--hostname", name, *self._labels()]
        networks = list(networks)
        if networks:
            words += ["--network", networks[0].full, *_attachment(names, (addresses or {}).get(networks[0]))]
        else:
            words += ["--network", "none"]
        for key, value in (env or {}).items():
            words += ["--env", "%s=%s" % (key, value)]
        for source, target in (volumes or {}).items():
            words += ["--volume", "%s:%s" % (source, target if target.endswith((":ro", ":rw")) else target + ":ro")]
        for path in tmpfs:
            words += ["--tmpfs", path]
        for device in devices:
            words += ["--device", device]
        for key, value in (ulimits or {}).items():
            words += ["--ulimit", "%s=%s" % (key, value)]
        for key, value in (sysctls or {}).items():
            words += ["--sysctl", "%s=%s" % (key, value)]
        for key, value in (hosts or {}).items():
            words += ["--add-host", "%s:%s" % (key, value)]
        words += ["--cap-drop", "ALL"] if drop_caps else []
        for cap in caps:
            words += ["--cap-add", cap]
        words += ["--read-only"] if read_only else []
        words += ["--init"] if init else []
        words += ["--user", user] if user else []
        words += ["--memory", memory] if memory else []
        words += ["--cpus", str(cpus)] if cpus else []
        command = list(command)
        if entrypoint is not None:
            entrypoint = [entrypoint] if isinstance(entrypoint, str) else list(entrypoint)
            words += ["--entrypoint", entrypoint[0]]
            command = entrypoint[1:] + command
        self._make([*words, image, *command])
        container = Container(self, name, full, names, directory or self.directory)
        with self._lock:
            self._containers.append(container)
        for network in networks[1:]:
            container.connect(network, address=(addresses or {}).get(network))
        if start:
            container.start()
        return container

    def import_image(self, archive, reference, changes=(), labels=None):
        """Makes an image of a tar archive of its root. `changes` are lines as in a Dockerfile. Images outlive the run."""
        words = ["import"]
        for change in [*changes, *("LABEL %s=%s" % (k, json.dumps(str(v))) for k, v in (labels or {}).items())]:
            words += ["--change", change]
        self.call([*words, str(archive), reference], timeout=600)

    def remove(self, containers):
        """Ends several at once and removes them, in one call. Their output stays readable."""
        self._remove("container", [container.full for container in containers])
        for container in containers:
            container.finish()
        with self._lock:
            self._containers = [container for container in self._containers if container not in containers]

    def image(self, reference):
        """What the engine knows about an image (Id, Size, Config), None if it has none of this name."""
        answer = self.call(["image", "inspect", reference], check=False)
        return json.loads(answer.stdout)[0] if answer.returncode == 0 else None

    def export_image(self, reference, archive):
        """Writes the whole root directory of an image as a tar archive."""
        full = NAME_PREFIX + self.id + "-export-" + secrets.token_hex(3)
        self._make(["create", "--name", full, "--network", "none", *self._labels(), reference, "unused"])
        try:
            self.call(["export", "--output", str(archive), full], timeout=600)
        finally:
            self._remove("container", [full])

    def build_image(self, context, reference, labels=None):
        """Makes an image of a directory with a Dockerfile, without any registry."""
        words = ["build", "--quiet", "--network", "none", "--tag", reference]
        for key, value in (labels or {}).items():
            words += ["--label", "%s=%s" % (key, value)]
        self.call([*words, str(context)], timeout=600)

    def images(self, label):
        """The references of the images with a label, "KEY" or "KEY=VALUE"."""
        words = ["image", "ls", "--filter", "label=" + label, "--format", "{{.Repository}}:{{.Tag}}"]
        return [line for line in self.call(words).stdout.split() if "<none>" not in line]

    def tags(self, repository):
        """The references of the images of one name, "NAME:TAG"."""
        lines = self.call(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository]).stdout.split()
        return [line for line in lines if line.startswith(repository + ":") and "<none>" not in line]

    def image_age(self, reference):
        """Seconds since it was made here, or named; 0 if that cannot be known."""
        known = self.image(reference) or {}
        named = (known.get("Metadata") or {}).get("LastTagTime", "")
        if not named or named.startswith("0001"):
            return 0
        return time.time() - calendar.timegm(time.strptime(named[:19], "%Y-%m-%dT%H:%M:%S"))

    def remove_image(self, reference):
        self.call(["image", "rm", reference], check=False)

    def call(self, words, check=True, timeout=CALL_SECONDS_MAX):
        """One command of the engine, with its output as text."""
        try:
            # The classic builder: the other one is a plug-in that may be missing.
            answer = subprocess.run([self._docker, *words], capture_output=True, text=True, timeout=timeout, start_new_session=True,
                                    errors="replace", env={**os.environ, "DOCKER_BUILDKIT": "0"})
        except subprocess.TimeoutExpired:
            raise TimedOut("docker %s: no answer within %g s" % (words[0], timeout)) from None
        except OSError as error:
            raise EngineError(str(error)) from error
        if check and answer.returncode != 0:
            raise EngineError("docker %s: %s" % (" ".join(words[:2]), answer.stderr.strip() or "status %d" % answer.returncode))
        return answer

    def attach(self, words):
        """A command of the engine that runs on, with pipes for its output. A signal to our group does not reach it."""
        return subprocess.Popen([self._docker, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True)

    def _make(self, words):
        with self._lock:
            if self._closed:
                raise EngineError("the run is over")
        return self.call(words)

    def _labels(self):
        return ["--label", "%s=%s" % (RUN_LABEL, self.id), "--label", "%s=%s" % (OWNER_LABEL, self._owner)]

    def _labelled(self, kind):
        """(name, run, owner) of all of ours, of any run."""
        template = '{{.Name}}' if kind == "network" else '{{.Names}}'
        template += '\t{{.Label "%s"}}\t{{.Label "%s"}}' % (RUN_LABEL, OWNER_LABEL)
        words = ["network", "ls"] if kind == "network" else ["ps", "--all"]
        answer = self.call([*words, "--filter", "label=" + RUN_LABEL, "--format", template])
        result = []
        for line in answer.stdout.splitlines():
            name, _, rest = line.partition("\t")
            run, _, owner = rest.partition("\t")
            # Who labels something of their own like this does not want it removed by us.
            if name.startswith(NAME_PREFIX):
                result.append((name, run, Owner.parse(owner)))
        return result

    def _remove(self, kind, names):
        if names:
            words = ["network", "rm"] if kind == "network" else ["rm", "--force", "--volumes"]
            self.call([*words, *names], check=False)
        return names


class Network:
    """A network that the run made. Its bridge on this machine is `bridge()`, for captures."""

    def __init__(self, engine, name, full):
        self.engine = engine
        self.name = name
        self.full = full

    def bridge(self):
        return "br-" + self.engine.call(["network", "inspect", "--format", "{{.Id}}", self.full]).stdout.strip()[:12]

    def capture_words(self):
        """What stands in front of a command that captures on the bridge."""
        return []

    def subnet(self):
        """Its IPv4 network, "172.18.0.0/16"."""
        template = "{{range .IPAM.Config}}{{.Subnet}} {{end}}"
        subnets = self.engine.call(["network", "inspect", "--format", template, self.full]).stdout.split()
        return next(subnet for subnet in subnets if ":" not in subnet)

    def remove(self):
        self.engine.call(["network", "rm", self.full])


class Container(Running):
    """A container that the run made."""

    def __init__(self, engine, name, full, names, directory):
        super().__init__(name, directory)
        self.engine = engine
        self.full = full
        self._names = names

    def start(self):
        """Starts it, also again after it has ended. Lines of the new start follow those of the last one."""
        self._follow(self.engine.attach(["start", "--attach", self.full]))

    def leave(self):
        """Follows its output no longer; it runs on."""
        if self._attached is not None:
            self._attached.kill()
        self.finish()

    def wait(self, timeout):
        """The exit status. TimedOut if it still runs then."""
        status = self._wait(timeout)
        if status in DOCKER_STATUSES or status < 0:
            state = self._state()
            if state["Error"] or state["StartedAt"].startswith("0001"):
                raise EngineError("%s: does not start: %s" % (self.name, state["Error"] or " | ".join(self.output.lines("err")[-2:])))
            status = state["ExitCode"]
        return status

    def stop(self, timeout=10):
        """SIGTERM, and SIGKILL after the time. Returns the exit status, 137 if it had to be killed."""
        self.output.note("stop")
        self.engine.call(["stop", "--time", str(int(timeout)), self.full], timeout=timeout + CALL_SECONDS_MAX)
        return self.wait(CALL_SECONDS_MAX)

    def kill(self, signal="KILL"):
        """Sends a signal; to one that has ended already, none."""
        self.output.note("kill %s" % signal)
        answer = self.engine.call(["kill", "--signal", signal, self.full], check=False)
        if answer.returncode != 0 and "is not running" not in answer.stderr:
            raise EngineError("%s: kill: %s" % (self.name, answer.stderr.strip()))

    def pause(self):
        self.output.note("pause")
        self.engine.call(["pause", self.full])

    def unpause(self):
        self.output.note("unpause")
        self.engine.call(["unpause", self.full])

    def disconnect(self, network):
        self.output.note("disconnect %s" % network.name)
        self.engine.call(["network", "disconnect", network.full, self.full])

    def connect(self, network, address=None):
        """With the host names that it was made with, and with another address unless one is given."""
        self.output.note("connect %s" % network.name)
        self.engine.call(["network", "connect", *_attachment(self._names, address, short=False), network.full, self.full])

    def address(self, network):
        """Its address on a network as text, empty while it has none."""
        networks = self._inspect("{{json .NetworkSettings.Networks}}")
        return (networks.get(network.full) or {}).get("IPAddress", "")

    def pid(self):
        """The first process, as seen from this machine; 0 if it does not run."""
        return self._state()["Pid"]

    def health(self):
        """"healthy", "unhealthy" or "starting"; empty if the image has no check."""
        return (self._state().get("Health") or {}).get("Status", "")

    def exec(self, words, timeout=60, user=None, check=True):
        """Runs a program of its image inside of it."""
        answer = self.engine.call(["exec", *(["--user", user] if user else []), self.full, *words], check=False, timeout=timeout)
        if check and answer.returncode != 0:
            raise EngineError("%s: %s: %s" % (self.name, words[0], answer.stderr.strip() or "status %d" % answer.returncode))
        return answer

    def in_network(self, words, timeout=60, check=True):
        """Runs a program of this machine (ip, tc, nft, ss) in its network namespace. Needs root."""
        self.output.note("in its network: %s" % " ".join(words))
        command = ["nsenter", "--net=/proc/%d/ns/net" % self.pid(), "--", *words]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout, errors="replace")
        except subprocess.TimeoutExpired:
            raise TimedOut("%s: %s: not done within %g s" % (self.name, words[0], timeout)) from None
        if check and answer.returncode != 0:
            raise EngineError("%s: %s: %s" % (self.name, " ".join(words), answer.stderr.strip() or "status %d" % answer.returncode))
        return answer

    def start_in_network(self, words):
        """The same for a program that runs on, with pipes for its output. It ends with the thread that starts it."""
        self.output.note("in its network: %s" % " ".join(words))
        command = ["nsenter", "--net=/proc/%d/ns/net" % self.pid(), "--", *words]
        return subprocess.Popen(bound(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True)

    def copy_out(self, path, target):
        """Copies a file or directory of the container, running or not, to this machine."""
        self.engine.call(["cp", "%s:%s" % (self.full, path), str(target)])

    def remove(self):
        """Ends it at once and removes it. Its output stays readable."""
        self.engine.remove([self])

    def _inspect(self, template):
        return json.loads(self.engine.call(["inspect", "--format", template, self.full]).stdout)

    def _state(self):
        return self._inspect("{{json .State}}")


def _attachment(names, address, short=True):
    words = []
    for name in names:
        words += ["--network-alias" if short else "--alias", name]
    if address:
        words += ["--ip", address]
    return words


def valid_name(name):
    """Whether a name can be that of a container and a host."""
    return re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?", name) is not None
