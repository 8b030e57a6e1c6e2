"""What a scenario needs of whatever runs its programs: containers.py has it for a container engine, namespaces.py for network namespaces.

An engine makes networks and starts programs on them. All that it makes carries the id of its run and of its owner, so that the next
run can remove what an interrupted one left behind. Threads: the methods of an engine and of what it made may be called from any thread.
"""

import os
import pathlib
import re
import subprocess
import threading
import time

# Output that is kept in memory for waiting and for reports; the file of a log has all of it.
LINES_MAX = 20000
LINE_BYTES_MAX = 64 << 10
# A call of an engine that takes longer than this hangs. Building images has its own limit.
CALL_SECONDS_MAX = 120


class EngineError(Exception):
    """The engine could not do what was asked. The text says what it answered."""


class TimedOut(EngineError):
    """Something did not happen in its time."""


class Owner:
    """The process that a run belongs to: its id, start and boot, which together are never used twice."""

    def __init__(self, pid, start, boot, pids):
        self.pid = pid
        self.start = start
        self.boot = boot
        self.pids = pids  # the namespace in which the id means something

    @staticmethod
    def current():
        return Owner(os.getpid(), _start_of(os.getpid()), _boot(), _pid_namespace())

    @staticmethod
    def parse(text):
        """None if the text is not one of ours."""
        match = re.fullmatch(r"(\d+):(\d+):([0-9a-f-]*):(\d+)", text or "")
        return Owner(int(match[1]), int(match[2]), match[3], match[4]) if match else None

    def __str__(self):
        return "%d:%d:%s:%s" % (self.pid, self.start, self.boot, self.pids)

    def gone(self):
        """True only if it surely is: what lives in another process namespace cannot be seen from here."""
        if self.boot != _boot():
            return True
        if self.pids != _pid_namespace():
            return False
        return _start_of(self.pid) != self.start


def _start_of(pid):
    """The start time of a process in ticks since boot, 0 if there is none."""
    try:
        stat = pathlib.Path("/proc/%d/stat" % pid).read_text()
    except OSError:
        return 0
    # The name, in brackets, may contain anything.
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])


def _boot():
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace():
    try:
        return re.sub(r"\D", "", os.readlink("/proc/self/ns/pid")) or "0"
    except OSError:
        return "0"


def cache_directory():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")


def own(directory):
    """Makes a directory that says whose it is."""
    directory.mkdir(parents=True)
    (directory / "owner").write_text(str(Owner.current()))


def left_behind(parent):
    """The directories in it whose owner is gone."""
    found = []
    for place in sorted(parent.glob("*")):
        owner = Owner.parse((place / "owner").read_text()) if (place / "owner").is_file() else None
        if owner is not None and owner.gone():
            found.append(place)
    return found


def bound(words):
    """A command that is told to end when the thread that starts it does, however that came: also SIGKILL leaves nothing running."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *words]


class Output:
    """The lines of a program, as they come. One thread for each pipe adds them, any may wait for one.

    With a directory, `NAME.log` there has every line with its time and the pipe it came from.
    """

    def __init__(self, name, directory=None):
        self._changed = threading.Condition()
        self._lines = []  # (pipe, text)
        self._dropped = 0
        self._open = 0
        self._began = time.monotonic()
        self._file = None
        if directory is not None:
            self.path = pathlib.Path(directory) / (name + ".log")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a", encoding="utf-8", errors="replace")

    def follow(self, pipe, file):
        """Reads the file to its end in a thread of its own."""
        with self._changed:
            self._open += 1
        threading.Thread(target=self._read, args=(pipe, file), daemon=True).start()

    def note(self, text):
        """Adds a line of the runner's own, so that a log tells what was done to the program."""
        self._add("run", text)

    def lines(self, pipe=None):
        with self._changed:
            return [text for p, text in self._lines if pipe is None or p == pipe]

    def count(self):
        """How many lines there were. Given to wait_for as `after`, only later ones count."""
        with self._changed:
            return self._dropped + len(self._lines)

    def wait_for(self, pattern, timeout, after=0, pipe=None, alive=lambda: True):
        """The match of the first line that contains the pattern. TimedOut if none comes, or none can come any more."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout
        with self._changed:
            seen = after
            while True:
                for p, text in self._lines[max(0, seen - self._dropped):]:
                    match = expression.search(text) if pipe in (None, p) else None
                    if match:
                        return match
                seen = max(seen, self._dropped + len(self._lines))
                left = deadline - time.monotonic()
                if self._open == 0 and not alive():
                    raise TimedOut("ended without the line %r" % pattern)
                if left <= 0:
                    raise TimedOut("no line %r within %g s" % (pattern, timeout))
                self._changed.wait(min(left, 0.5))

    def wait_end(self, timeout):
        """Until all pipes were read to their ends."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._open and time.monotonic() < deadline:
                self._changed.wait(max(0.01, deadline - time.monotonic()))
            return self._open == 0

    def close(self):
        """No more lines; what there is stays readable."""
        with self._changed:
            if self._file:
                self._file.close()
                self._file = None

    def _read(self, pipe, file):
        try:
            for line in iter(lambda: file.readline(LINE_BYTES_MAX), b""):
                self._add(pipe, line.decode("utf-8", "replace").rstrip("\r\n"))
        finally:
            file.close()
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _add(self, pipe, text):
        with self._changed:
            self._lines.append((pipe, text))
            if len(self._lines) > LINES_MAX:
                half = LINES_MAX // 2
                del self._lines[:half]
                self._dropped += half
            if self._file:
                print("%9.3f %s %s" % (time.monotonic() - self._began, pipe, text), file=self._file, flush=True)
            self._changed.notify_all()


class Running:
    """A program that an engine started: what does not depend on how. Its lines, also those of earlier starts, are in `output`."""

    def __init__(self, name, directory):
        self.name = name
        self.output = Output(name, directory)
        self._attached = None  # the process on this machine whose pipes are the program's

    def wait_line(self, pattern, timeout, after=0, pipe=None):
        """The match of the first line with the pattern, of the lines from number `after` on (output.count() before an action)."""
        try:
            return self.output.wait_for(pattern, timeout, after, pipe, alive=self.running)
        except TimedOut as error:
            raise TimedOut("%s: %s; last lines: %s" % (self.name, error, " | ".join(self.output.lines()[-5:]))) from None

    def running(self):
        return self._attached is not None and self._attached.poll() is None

    def finish(self):
        """Reads its output to the end, once it has ended or was removed."""
        if self._attached is not None:
            self._reap()
            self.output.wait_end(5)
        self.output.close()

    def _follow(self, process):
        self._reap()
        self._attached = process
        self.output.follow("out", process.stdout)
        self.output.follow("err", process.stderr)

    def _reap(self):
        """Until the process on this machine, if there is one, has ended."""
        if self._attached is not None:
            try:
                self._attached.wait(CALL_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                raise TimedOut("%s: not gone after %g s" % (self.name, CALL_SECONDS_MAX)) from None

    def _wait(self, timeout):
        """The status of the process on this machine."""
        try:
            status = self._attached.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimedOut("%s: still runs after %g s" % (self.name, timeout)) from None
        self.output.wait_end(5)
        return status
