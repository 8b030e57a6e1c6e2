"""The container engine: loads images, makes containers that have no privileges, and removes what it made, and only that.

Everything that is made here has the label MARK with the process that made it, or is of a compose project that is named after
it. A run that was ended before it could clean up leaves what a process that is gone has made; the next run removes that.
"""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import debian

MARK = "wayport.image-check"
PROJECT = "wayport-image-check"
PATIENCE = 60  # seconds for whatever the engine does


def command():
    return shlex.split(os.environ.get("DOCKER", "docker"))


def run(*arguments, may_fail=False):
    """What the engine prints; with may_fail the finished process."""
    try:
        done = subprocess.run(command() + list(arguments), capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise debian.Problem("%s %s: %s" % (command()[0], arguments[0], error))
    if may_fail:
        return done
    if done.returncode != 0:
        raise debian.Problem("%s %s: %s" % (command()[0], " ".join(arguments), done.stderr.strip()))
    return done.stdout.strip()


def answers():
    try:
        return run("info", "--format", "{{.ServerVersion}}", may_fail=True).returncode == 0
    except debian.Problem:
        return False


def load(archive):
    run("load", "--quiet", "--input", str(archive))


def mark():
    """This process, and when it started: its number alone may be another's by and by."""
    return "%d.%s" % (os.getpid(), started(os.getpid()))


def project():
    """The name of this process's compose project, network and containers."""
    return "%s-%s" % (PROJECT, mark().replace(".", "-"))


def started(pid):
    """In clock ticks since the machine started; None if there is no such process."""
    try:
        text = pathlib.Path("/proc/%d/stat" % pid).read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]


def is_left_over(value):
    """Of a mark: whether its process is gone."""
    pid, _, ticks = value.partition(".")
    return not pid.isdigit() or started(int(pid)) != ticks


def mark_of(label, project):
    """From the label MARK and the name of a compose project; None: it was not made here."""
    if label:
        return label
    own = re.fullmatch(PROJECT + r"-(\d+)-(\d+)", project)
    return "%s.%s" % own.groups() if own else None


def remove_left_overs():
    """Of runs that were interrupted."""
    removed = []
    for kind, remove in (("container", ["rm", "--force", "--volumes"]), ("network", ["network", "rm"])):
        listing = ["ps", "--all"] if kind == "container" else ["network", "ls"]
        shown = run(*listing, "--format", '{{.ID}}|{{.Label "%s"}}|{{.Label "com.docker.compose.project"}}' % MARK)
        for line in shown.splitlines():
            identifier, label, project = line.split("|")
            made_by = mark_of(label, project)
            if made_by and is_left_over(made_by):
                run(*remove, identifier)
                removed.append("%s %s" % (kind, identifier))
    return removed


class Made:
    """Containers and a network, gone at the end of the block, also if a signal ends the program."""

    def __init__(self):
        self.name = project()
        self.containers = []
        self.network = None

    def __enter__(self):
        self.before = {s: signal.signal(s, self._interrupted) for s in (signal.SIGTERM, signal.SIGHUP)}
        self.network = self.name
        try:
            run("network", "create", "--internal", "--label", "%s=%s" % (MARK, mark()), self.name)
        except BaseException:
            self.__exit__()
            raise
        return self

    @staticmethod
    def _interrupted(number, _):
        raise SystemExit(128 + number)

    def create(self, image, *options):
        """A container as operators should run it, not started."""
        name = "%s-%d" % (self.name, len(self.containers))
        self.containers.append(name)
        run("create", "--name", name, "--label", "%s=%s" % (MARK, mark()), "--network", self.name, "--read-only",
            "--user", "65532:65532", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", *options, image)
        return name

    def __exit__(self, *_):
        for number in self.before:
            signal.signal(number, signal.SIG_IGN)  # a second one must not leave anything behind
        for name in self.containers:
            self._try("rm", "--force", "--volumes", name)
        if self.network:
            self._try("network", "rm", self.network)
        for number, handler in self.before.items():
            signal.signal(number, handler)

    @staticmethod
    def _try(*arguments):
        try:
            run(*arguments, may_fail=True)
        except debian.Problem as problem:
            print("tools/image: %s; it is removed by the next --check" % problem, file=sys.stderr)


def inspect(name, what):
    return json.loads(run("inspect", "--format", "{{json %s}}" % what, name))


def wait_for_health(container, since):
    """What the engine says first but "starting"; from its events, so that nothing is asked again and again."""
    # `events` prints what was as well as what comes until then.
    shown = subprocess.Popen(
        command() + ["events", "--since", str(since), "--until", str(since + PATIENCE), "--filter", "container=" + container,
                     "--filter", "event=health_status", "--format", "{{.Status}}"],
        stdout=subprocess.PIPE, text=True)
    try:
        return shown.stdout.readline().strip().partition(": ")[2]
    finally:
        shown.kill()
        shown.wait()
        shown.stdout.close()


def compose_command():
    """None: there is none."""
    for known in (["docker-compose"], command() + ["compose"]):
        try:
            if subprocess.run(known + ["version"], capture_output=True, timeout=PATIENCE).returncode == 0:
                return known
        except (OSError, subprocess.TimeoutExpired):
            pass
    return None
