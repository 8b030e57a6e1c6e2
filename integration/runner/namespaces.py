"""Programs in network namespaces, with the interface of containers.py, for machines where no container engine answers. Needs root.

A network is a bridge in a namespace of its own, so nothing on it reaches this machine or the outside. A program has a namespace with
a cable to each of its networks, its own process and mount namespaces, and an image's files as its root, on which it writes to memory only.
Limits of memory and processors need a container engine, and capabilities stay those of root. Images are directories below
$XDG_CACHE_HOME/wayport-integration/roots.
"""

import contextlib
import functools
import json
import os
import pathlib
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import threading
import time

from integration.runner.engine import (CALL_SECONDS_MAX, EngineError, Running, TimedOut, bound, cache_directory, left_behind,
                                       own)

# What runs made is written down here, so that the next one can remove it: a directory for each run.
STATE = pathlib.Path("/run/wayport-it")
PREFIX = "wayport-it-"
TOOLS = ("ip", "unshare", "nsenter", "setpriv", "mount", "chroot", "tar", "cp")
NETWORKS_MAX = 250


def available():
    """None if programs can be started here, else why not."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return "needs %s" % ", ".join(missing)
    if os.geteuid() != 0:
        return "needs the privileges of root"
    probe = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
    return None if probe.returncode == 0 else probe.stderr.strip() or "unshare fails"


def call(words, check=True, timeout=CALL_SECONDS_MAX):
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=timeout, errors="replace", stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise TimedOut("%s: not done within %g s" % (words[0], timeout)) from None
    if check and answer.returncode != 0:
        raise EngineError("%s: %s" % (" ".join(words), answer.stderr.strip() or "status %d" % answer.returncode))
    return answer


class Engine:
    """One run. Leaving it as a context removes all that was made."""

    kind = "namespaces"
    # A program ends with the process that made its namespaces, whose pipes are ours.
    keep = False

    def __init__(self, run=None, directory=None, state=STATE):
        self.id = run or "%s-%s" % (os.getpid(), secrets.token_hex(3))
        self.directory = directory
        self.state = pathlib.Path(state) / self.id
        self.roots = cache_directory() / "wayport-integration/roots"
        self.lock = threading.RLock()
        self.containers = []
        self._networks = 0
        self._closed = False

    def __enter__(self):
        self.sweep()
        own(self.state)
        return self

    def __exit__(self, *unused):
        self.close()

    def sweep(self):
        """Removes what runs left whose owner is gone. Returns their ids."""
        for place in left_behind(self._unfinished.parent):
            shutil.rmtree(place, ignore_errors=True)
        runs = left_behind(self.state.parent)
        for place in runs:
            remove_run(place)
        return [place.name for place in runs]

    def close(self):
        with self.lock:
            self._closed = True
            containers, self.containers = self.containers, []
        remove_run(self.state)
        for container in containers:
            container.finish()
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def network(self, name, subnet=None, internal=True):
        with self.lock:
            self._check()
            self._networks += 1
            if self._networks > NETWORKS_MAX:
                raise EngineError("more than %d networks" % NETWORKS_MAX)
            network = Network(self, name, subnet or "10.213.%d.0/24" % self._networks)
        call(["ip", "netns", "add", network.full])
        call(["ip", "-n", network.full, "link", "add", "bridge", "type", "bridge"])
        call(["ip", "-n", network.full, "link", "set", "bridge", "up"])
        return network

    def run(self, name, image, command=(), env=None, networks=(), aliases=(), addresses=None, entrypoint=None, user=None,
            caps=(), drop_caps=False, read_only=False, tmpfs=(), volumes=None, devices=(), ulimits=None, sysctls=None,
            memory=None, cpus=None, hosts=None, init=False, start=True, directory=None):
        """Starts a program as containers.Engine.run does."""
        if memory or cpus:
            raise EngineError("limits of memory and processors need a container engine")
        known = self.image(image)
        if known is None:
            raise EngineError("there is no image %s" % image)
        # Its age is that of its last use: another run shall not think that nobody needs it any more.
        os.utime(self._place_of(image) / "config.json")
        if entrypoint is not None:
            known = {**known, "Entrypoint": [entrypoint] if isinstance(entrypoint, str) else list(entrypoint), "Cmd": []}
        words = list(known["Entrypoint"]) + (list(command) or list(known["Cmd"]))
        plan = {"words": words, "env": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})},
                "user": user or known["User"], "read_only": read_only, "tmpfs": tmpfs, "volumes": volumes or {},
                "ulimits": ulimits or {}, "sysctls": sysctls or {}, "hosts": hosts or {}, "root": known["Root"]}
        with self.lock:
            self._check()
            container = Container(self, name, [name, *aliases], plan, directory or self.directory)
            container.make()
            self.containers.append(container)
        for network in networks:
            container.connect(network, (addresses or {}).get(network))
        if start:
            container.start()
        return container

    def remove(self, containers):
        with self.lock:
            self.containers = [container for container in self.containers if container not in containers]
        for container in containers:
            container.end()
            container.finish()
        self.write_hosts()

    def write_hosts(self):
        """The names that each program knows: those of everybody on its networks."""
        with self.lock:
            for container in self.containers:
                lines = ["127.0.0.1 localhost", "::1 localhost"]
                lines += ["%s %s" % (address, name) for name, address in container.plan["hosts"].items()]
                for other in self.containers:
                    shared = [address for network, address in other.places.items() if network in container.places]
                    lines += ["%s %s" % (address, " ".join(other.names)) for address in shared]
                container.write_hosts("\n".join(lines) + "\n")

    # --- images ---

    def _place_of(self, reference):
        return self.roots / re.sub(r"[^A-Za-z0-9._-]", "_", reference)

    def image(self, reference):
        path = self._place_of(reference) / "config.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def images(self, label):
        key, _, value = label.partition("=")
        found = [json.loads(path.read_text()) for path in self.roots.glob("*/config.json")]
        return [one["Reference"] for one in found if key in one["Labels"] and value in ("", one["Labels"][key])]

    def import_image(self, archive, reference, changes=(), labels=None):
        """The tag says what is in it: if there is one of this reference already, it stays."""
        with self._new_place() as place:
            call(["tar", "-xpf", str(archive), "--numeric-owner", "-C", str(place / "root")], timeout=600)
            self._finish(place, reference, self._configured({"Entrypoint": [], "Cmd": [], "User": ""}, changes), labels)

    def build_image(self, context, reference, labels=None):
        """Of a Dockerfile with one FROM, and COPY."""
        context = pathlib.Path(context)
        lines = [line.split() for line in (context / "Dockerfile").read_text().splitlines() if line.strip()]
        base = self.image(lines[0][1]) if lines[0][0] == "FROM" else None
        if base is None or any(line[0] != "COPY" for line in lines[1:]):
            raise EngineError("%s: only FROM a known image and COPY can be done without a container engine" % reference)
        with self._new_place() as place:
            call(["cp", "-a", base["Root"] + "/.", str(place / "root")], timeout=600)
            for _, source, target in lines[1:]:
                to = place / "root" / target.lstrip("/")
                to.parent.mkdir(parents=True, exist_ok=True)
                copy = functools.partial(shutil.copytree, dirs_exist_ok=True) if (context / source).is_dir() else shutil.copy
                copy(context / source, to)
            self._finish(place, reference, {key: base[key] for key in ("Entrypoint", "Cmd", "User")}, labels)

    def tags(self, repository):
        """The references of the images of one name, "NAME:TAG"."""
        found = [json.loads(path.read_text())["Reference"] for path in self.roots.glob("*/config.json")]
        return [reference for reference in found if reference.startswith(repository + ":")]

    def image_age(self, reference):
        path = self._place_of(reference) / "config.json"
        return time.time() - path.stat().st_mtime if path.is_file() else 0

    def remove_image(self, reference):
        # At once for everybody else, however long it takes.
        with self._new_place() as place, contextlib.suppress(FileNotFoundError):
            self._place_of(reference).rename(place / "removed")

    @property
    def _unfinished(self):
        return self.roots / ".unfinished" / self.id

    @contextlib.contextmanager
    def _new_place(self):
        """A directory of this run, for what nobody else shall see before it is whole."""
        with self.lock:
            if not self._unfinished.is_dir():
                own(self._unfinished)
        place = self._unfinished / secrets.token_hex(6)
        (place / "root").mkdir(parents=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @staticmethod
    def _configured(config, changes):
        for change in changes:
            word, _, value = change.partition(" ")
            if word in ("ENTRYPOINT", "CMD"):
                config["Entrypoint" if word == "ENTRYPOINT" else "Cmd"] = json.loads(value)
            elif word == "USER":
                config["User"] = value
        return config

    def _finish(self, place, reference, config, labels):
        final = self._place_of(reference)
        config.update(Reference=reference, Root=str(final / "root"), Labels=labels or {}, Id=reference)
        (place / "config.json").write_text(json.dumps(config))
        if final.is_dir() and self.image(reference) is None:
            self.remove_image(reference)
        try:
            place.rename(final)
        except OSError:
            # Another run was quicker.
            if self.image(reference) is None:
                raise

    def _check(self):
        if self._closed:
            raise EngineError("the run is over")


def remove_run(state):
    """Ends the programs of a run and removes its namespaces, by what its directory says."""
    names = [path.name for path in pathlib.Path("/run/netns").glob(PREFIX + state.name + "-*")]
    for name in names:
        kill_all(name, signal.SIGKILL)
    for name in names:
        call(["ip", "netns", "del", name], check=False)
    shutil.rmtree(state, ignore_errors=True)


def kill_all(namespace, number):
    for pid in call(["ip", "netns", "pids", namespace], check=False).stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), number)


class Network:
    """A bridge in a namespace of its own."""

    def __init__(self, engine, name, subnet):
        self.engine = engine
        self.name = name
        self.full = PREFIX + engine.id + "-net-" + name
        self._subnet = subnet
        self._last = 1

    def subnet(self):
        return self._subnet

    def bridge(self):
        return "bridge"

    def capture_words(self):
        """What stands in front of a command that captures on the bridge."""
        return ["nsenter", "--net=/run/netns/" + self.full]

    def next_address(self):
        base, _, bits = self._subnet.partition("/")
        if bits != "24":
            raise EngineError("%s: only networks with 24 bits have addresses to give" % self._subnet)
        self._last = self._last % 250 + 1
        return "%s.%d" % (base.rpartition(".")[0], self._last + 1)

    def remove(self):
        call(["ip", "netns", "del", self.full])


class Container(Running):
    """A program in namespaces of its own."""

    def __init__(self, engine, name, names, plan, directory):
        super().__init__(name, directory)
        self.engine = engine
        self.names = names
        self.plan = plan
        self.full = PREFIX + engine.id + "-" + name
        self.place = engine.state / name
        self.places = {}  # Network -> address
        self._cables = 0
        self._devices = {}
        self._hosts = b""
        self._was_killed = False

    def make(self):
        for part in ("root", "work"):
            (self.place / part).mkdir(parents=True)
        (self.place / "hosts").touch()
        call(["ip", "netns", "add", self.full])
        call(["ip", "-n", self.full, "link", "set", "lo", "up"])
        for key, value in self.plan["sysctls"].items():
            self.in_network(["sysctl", "-w", "%s=%s" % (key, value)])

    def write_hosts(self, text):
        """In place, as the file is mounted; and never empty for a moment, as somebody may be reading it."""
        data = text.encode()
        if data == self._hosts:
            return
        with open(self.place / "hosts", "r+b", buffering=0) as file:
            file.write(data)
            file.truncate(len(data))
        self._hosts = data

    def start(self):
        self._was_killed = False
        script = self.place / "start.sh"
        script.write_text(self._script())
        words = ["nsenter", "--net=/run/netns/" + self.full, "--", "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork",
                 "--kill-child", "--propagation", "private", "sh", str(script)]
        self._follow(subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      start_new_session=True))

    def _script(self):
        plan, root = self.plan, str(self.place / "root")
        quote = shlex.quote
        lines = ["set -e", "hostname %s" % quote(self.name), "mount -t tmpfs tmpfs %s" % quote(str(self.place / "work")),
                 "mkdir %s/u %s/w" % ((quote(str(self.place / "work")),) * 2),
                 "mount -t overlay overlay -o lowerdir=%s,upperdir=%s/u,workdir=%s/w %s" % (
                     quote(plan["root"]), self.place / "work", self.place / "work", quote(root)),
                 "mkdir -p %s/proc %s/dev %s/tmp %s/etc %s/sys" % ((root,) * 5),
                 "mount -t proc proc %s/proc" % root, "mount --rbind /dev %s/dev" % root,
                 "touch %s/etc/hosts" % root, "mount --bind %s %s/etc/hosts" % (self.place / "hosts", root)]
        given = {path: options for path, _, options in (one.partition(":") for one in ["/tmp", *plan["tmpfs"]])}
        for path, options in given.items():
            lines += ["mkdir -p %s%s" % (root, quote(path)),
                      "mount -t tmpfs -o %s tmpfs %s%s" % (quote("mode=1777" + ("," + options if options else "")), root, quote(path))]
        for source, target in plan["volumes"].items():
            path, _, mode = target.partition(":")
            lines += ["%s %s%s" % ("mkdir -p" if os.path.isdir(source) else "touch", root, quote(path)),
                      "mount --bind %s %s%s" % (quote(source), root, quote(path))]
            lines += [] if mode == "rw" else ["mount -o remount,ro,bind %s%s" % (root, quote(path))]
        if plan["read_only"]:
            lines.append("mount -o remount,ro %s" % root)
        for name, value in plan["ulimits"].items():
            option = {"nofile": "-n", "nproc": "-p", "core": "-c", "fsize": "-f"}.get(name)
            if option is None:
                raise EngineError("no limit %s without a container engine" % name)
            lines.append("ulimit %s %s" % (option, str(value).partition(":")[0]))
        env = " ".join(quote("%s=%s" % pair) for pair in plan["env"].items())
        user = "--userspec=%s " % quote(plan["user"]) if plan["user"] else ""
        lines.append("exec env -i %s %s %s%s %s" % (env, shutil.which("chroot"), user, root, " ".join(map(quote, plan["words"]))))
        return "\n".join(lines) + "\n"

    def wait(self, timeout):
        status = self._wait(timeout)
        if status < 0:
            return 128 - status
        said = self.output.lines("err")[-1:]
        if status in (126, 127) and said and re.match(r"\S*chroot: failed to run command ", said[0]):
            raise EngineError("%s: does not start: %s" % (self.name, said[0]))
        # unshare passes a signal that ended its child on to itself, but for this one.
        return 137 if self._was_killed and status == 1 else status

    def pid(self):
        """The program itself: the child of the one that made its namespaces."""
        if not self.running():
            return 0
        children = pathlib.Path("/proc/%d/task/%d/children" % (self._attached.pid, self._attached.pid))
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and self.running():
            with contextlib.suppress(OSError):
                pids = children.read_text().split()
                if pids:
                    return int(pids[0])
            time.sleep(0.01)
        return 0

    def kill(self, signal_name="KILL"):
        self.output.note("kill %s" % signal_name)
        pid = self.pid()
        if pid:
            self._was_killed = signal_name.removeprefix("SIG") == "KILL"
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, getattr(signal, "SIG" + signal_name.removeprefix("SIG")))

    def stop(self, timeout=10):
        self.kill("TERM")
        try:
            return self.wait(timeout)
        except TimedOut:
            self.end()
            return 137

    def end(self):
        """Ends everything in it at once, and removes its namespace and files."""
        kill_all(self.full, signal.SIGCONT)
        self.kill("KILL")
        self._reap()
        call(["ip", "netns", "del", self.full], check=False)
        shutil.rmtree(self.place, ignore_errors=True)

    def pause(self):
        self.output.note("pause")
        kill_all(self.full, signal.SIGSTOP)

    def unpause(self):
        self.output.note("unpause")
        kill_all(self.full, signal.SIGCONT)

    def connect(self, network, address=None):
        with self.engine.lock:
            address = address or network.next_address()
            device = "eth%d" % self._cables
            self._cables += 1
            far = "v%s" % secrets.token_hex(5)
            bits = network.subnet().partition("/")[2]
            call(["ip", "-n", network.full, "link", "add", far, "type", "veth", "peer", "name", device, "netns", self.full])
            call(["ip", "-n", network.full, "link", "set", far, "master", "bridge", "up"])
            call(["ip", "-n", self.full, "address", "add", "%s/%s" % (address, bits), "dev", device])
            call(["ip", "-n", self.full, "link", "set", device, "up"])
            self.places[network] = address
            self._devices[network] = device
        self.engine.write_hosts()

    def disconnect(self, network):
        self.output.note("disconnect %s" % network.name)
        with self.engine.lock:
            del self.places[network]
            call(["ip", "-n", self.full, "link", "del", self._devices.pop(network)])
        self.engine.write_hosts()

    def address(self, network):
        return self.places.get(network, "")

    def health(self):
        return ""

    def exec(self, words, timeout=60, user=None, check=True):
        who = ["--setuid", user.partition(":")[0]] if user else []
        command = ["nsenter", "--target", str(self.pid()), "--mount", "--net", "--pid", "--root", "--wd", *who, "--", *words]
        return call(command, check, timeout)

    def in_network(self, words, timeout=60, check=True):
        self.output.note("in its network: %s" % " ".join(words))
        return call(["nsenter", "--net=/run/netns/" + self.full, "--", *words], check, timeout)

    def start_in_network(self, words):
        self.output.note("in its network: %s" % " ".join(words))
        return subprocess.Popen(bound(["nsenter", "--net=/run/netns/" + self.full, "--", *words]), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def copy_out(self, path, target):
        call(["cp", "-a", "/proc/%d/root%s" % (self.pid(), path), str(target)])

    def remove(self):
        self.engine.remove([self])
