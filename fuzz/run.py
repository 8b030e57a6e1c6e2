"""Runs the fuzz engines for a while and says what they found.

usage: tools/fuzz [--minutes N] [options] [target ...]

A target is a name of one, or a package of them: jwt_fuzz, framing/jwt_fuzz, //fuzz/framing:jwt_fuzz, framing.
Without any, all of them run.

  --minutes N        wall minutes for all targets together, shared evenly (5); building and merging come on top
  --jobs N           engines at the same time (one for each core)
  --corpus DIR       where new inputs are kept ($XDG_CACHE_HOME/wayport-fuzz/corpus)
  --findings DIR     where inputs that break something, and the engines' output, are kept (.../wayport-fuzz/findings)
  --update-corpus    new inputs go into the tree too; give them names for what they reach before you commit them
  --engines DIR      do not build; the engines are DIR/fuzz/framing/jwt_fuzz and so on
  --list             print the targets, and do nothing

  tools/fuzz --minutes 5
  tools/fuzz --minutes 1 teleport_packet_fuzz jwt_fuzz
  tools/fuzz --minutes 60 --update-corpus transport

What earlier runs left in DIR of --findings is run again first: it is found again, or mended, and then renamed.

Exits 1 if something was found, and prints the command that shows it again; 2 if a target could not run.
$BAZEL is the command for Bazel, by default "bazel".
"""

import argparse
import ast
import concurrent.futures
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[1]

# One input: longer than any replay takes, shorter than a run.
INPUT_SECONDS_MAX = 20
MEMORY_MB_MAX = 2048
# An engine ends by itself; this bounds one that hangs outside of an input.
GRACE_SECONDS = 120
# What libFuzzer calls inputs that break something. Not slow-unit-: slower than others, within the limit.
ARTIFACT_KINDS = ("crash-", "oom-", "timeout-", "leak-")
MENDED = "mended-"


class Problem(Exception):
    """What the user has to mend."""


def said(error):
    """One line. A traceback would end with 1, which says that something was found."""
    text = str(error) if isinstance(error, Problem) else "%s: %s" % (type(error).__name__, error)
    return " ".join(text.split())


class Target:
    def __init__(self, package, name, dictionary):
        self.package = package  # "fuzz/framing"
        self.name = name
        self.dictionary = ROOT / package / dictionary if dictionary else None
        self.seeds = ROOT / package / (re.sub("_fuzz$", "", name) + "_corpus")

    @property
    def label(self):
        return "//%s:%s" % (self.package, self.name)

    @property
    def short(self):
        return "%s/%s" % (self.package.partition("/")[2], self.name)

    def is_meant_by(self, word):
        word = word.rstrip("/")
        if word.startswith("//"):
            word = word[2:].replace(":", "/").removesuffix("/...")
        word = word.removeprefix("fuzz/")
        package = self.package.partition("/")[2]
        return word in (self.name, self.short, package, self.name.removesuffix("_fuzz"), "fuzz")


def targets_of(build_files):
    """The fuzz_target calls of BUILD files; (package, text) of each."""
    found = []
    for package, text in build_files:
        for node in ast.walk(ast.parse(text)):  # Starlark's syntax is Python's, as far as BUILD files go
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "fuzz_target":
                given = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
                found.append(Target(package, given["name"], given.get("dict")))
    return sorted(found, key=lambda t: t.short)


def all_targets():
    files = sorted(p for p in (ROOT / "fuzz").rglob("BUILD"))
    return targets_of((p.parent.relative_to(ROOT).as_posix(), p.read_text()) for p in files)


def chosen(targets, words):
    for word in words:
        if not any(t.is_meant_by(word) for t in targets):
            raise Problem("%s is no fuzz target and no package of them; tools/fuzz --list shows them" % word)
    return [t for t in targets if not words or any(t.is_meant_by(w) for w in words)]


def shared_seconds(minutes, targets, jobs):
    """Whole seconds for each of `targets`, so that all of them end within `minutes`."""
    rounds = -(-targets // jobs)
    seconds = int(minutes * 60 / rounds)
    if seconds < 1:
        raise Problem("%g minutes are less than a second for each of %d targets; give more, or name some" % (minutes, targets))
    return seconds


def build(targets):
    """Builds the engines; the directory that they are in."""
    bazel = shlex.split(os.environ.get("BAZEL", "bazel"))
    cache = cache_home() / "wayport-bazel"
    cache.mkdir(parents=True, exist_ok=True)
    flags = ["--config=fuzz", "--experimental_convenience_symlinks=ignore"]
    quiet = ["--show_result=0", "--ui_event_filters=-info", "--noshow_loading_progress"]
    if not sys.stderr.isatty():
        quiet.append("--noshow_progress")
    print("tools/fuzz: building %d engines (minutes at first, then seconds)" % len(targets), file=sys.stderr)
    command = bazel + ["build", "--disk_cache=%s" % cache] + flags + quiet + ["--"] + [t.label for t in targets]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise Problem("the engines could not be built")
    where = subprocess.run(bazel + ["info"] + flags + ["bazel-bin"], cwd=ROOT, capture_output=True, text=True)
    if where.returncode != 0:
        raise Problem("bazel info bazel-bin exits with %d: %s" % (where.returncode, where.stderr))
    return pathlib.Path(where.stdout.strip())


def cache_home():
    home = os.environ.get("HOME", tempfile.gettempdir())
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"))


def numbers_of(output):
    """(runs, edges) of what an engine printed; the last word on each counts."""
    runs = re.findall(r"^stat::number_of_executed_units:\s+(\d+)", output, flags=re.M)
    runs = runs or re.findall(r"^#(\d+)\s", output, flags=re.M)
    edges = re.findall(r"\bcov: (\d+)", output)
    return int(runs[-1]) if runs else 0, int(edges[-1]) if edges else 0


class Outcome:
    def __init__(self, target):
        self.target = target
        self.runs = self.edges = 0
        self.cpu_seconds = 0.0
        self.new = []       # paths in the local corpus
        self.findings = []  # (what, command that shows it again)
        self.mended = []    # paths of inputs that broke something in an earlier run
        self.problem = ""   # why it did not run to its end


def files_of(directory):
    return {p for p in directory.iterdir() if p.is_file()} if directory.is_dir() else set()


def artifacts_of(directory):
    """{path: when it was written}"""
    return {p: p.stat().st_mtime_ns for p in sorted(files_of(directory)) if p.name.startswith(ARTIFACT_KINDS)}


def environment():
    result = dict(os.environ)
    result.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    symbolizer = shutil.which("llvm-symbolizer-19")
    if symbolizer:
        result.setdefault("ASAN_SYMBOLIZER_PATH", symbolizer)
    return result


class Runner:
    """One run of the tool. Its directories may be used by one run at a time."""

    def __init__(self, engines, corpus, findings, seconds, update_tree):
        self.engines = pathlib.Path(engines)
        self.corpus = pathlib.Path(corpus)
        self.findings = pathlib.Path(findings)
        self.seconds = seconds
        self.update_tree = update_tree

    def run(self, target):
        outcome = Outcome(target)
        try:
            self._run(target, outcome)
        except Exception as error:  # the other targets still count, and so does what this one has found
            outcome.problem = said(error)
        return outcome

    def _run(self, target, outcome):
        engine = self.engines / target.package / target.name
        if not os.access(engine, os.X_OK):
            raise Problem("%s is no engine; leave --engines out to build it" % engine)
        local = self.corpus / target.short
        kept = self.findings / target.short
        local.mkdir(parents=True, exist_ok=True)
        kept.mkdir(parents=True, exist_ok=True)
        self._run_again(outcome, engine, kept)
        before = artifacts_of(kept)
        with tempfile.TemporaryDirectory(prefix="wayport-fuzz-") as scratch:
            new = pathlib.Path(scratch, "new")
            new.mkdir()
            command = [str(engine), "-max_total_time=%d" % self.seconds, *self._limits(), "-print_final_stats=1",
                       "-artifact_prefix=%s/" % kept]
            if target.dictionary:
                command.append("-dict=%s" % target.dictionary)
            directories = [str(local), str(target.seeds)]
            status, output, outcome.cpu_seconds = self._call(command + [str(new), *directories],
                                                             self.seconds + GRACE_SECONDS)
            outcome.runs, outcome.edges = numbers_of(output)
            written = [path for path, time in artifacts_of(kept).items() if before.get(path) != time]
            for path in written:
                if path not in before:  # else it is a finding by now
                    self._found(outcome, engine, path)
            log = kept / "engine.log"
            log.write_text(output)
            if status != 0 and not written:
                # Without the directory for new inputs, which ends with this run: they go into the local corpus.
                outcome.findings.append(("exit %s, see %s" % (status, log), shlex.join(command + directories)))
            if status == 0 and not written:
                self._keep(outcome, engine, pathlib.Path(scratch), new, local)

    def _run_again(self, outcome, engine, kept):
        """What earlier runs found, or were killed over: it fails still, or gets a name that says it does not."""
        for path in artifacts_of(kept):
            status, _, _ = self._call([str(engine), *self._limits(), str(path)], INPUT_SECONDS_MAX + GRACE_SECONDS)
            if status != 0:
                self._found(outcome, engine, path)
            else:
                outcome.mended.append(path.replace(path.with_name(MENDED + path.name)))

    @staticmethod
    def _limits():
        return ["-timeout=%d" % INPUT_SECONDS_MAX, "-rss_limit_mb=%d" % MEMORY_MB_MAX]

    def _found(self, outcome, engine, path):
        again = [str(engine), *self._limits(), str(path)]
        outcome.findings.append((path.name.partition("-")[0], shlex.join(again)))

    def _keep(self, outcome, engine, scratch, new, local):
        """The local corpus becomes the few inputs that reach what the tree's own do not."""
        merged = scratch / "merged"
        if outcome.target.seeds.is_dir():
            shutil.copytree(outcome.target.seeds, merged)
        else:
            merged.mkdir()
        seeds = {p.name for p in files_of(merged)}
        command = [str(engine), "-merge=1", *self._limits(), str(merged), str(local), str(new)]
        status, output, _ = self._call(command, None)
        if status != 0:
            log = self.findings / outcome.target.short / "merge.log"
            log.write_text(output)
            outcome.findings.append(("merge, exit %s, see %s" % (status, log), shlex.join([str(engine), "-runs=0", str(local)])))
            return
        had = {p.name for p in files_of(local)}
        added = {p.name: p for p in files_of(merged) if p.name not in seeds}
        for name in had - set(added):
            (local / name).unlink()
        for name, path in sorted(added.items()):
            if name not in had:
                shutil.copy(path, local / name)
                outcome.new.append(local / name)
            if self.update_tree:
                shutil.copy(path, outcome.target.seeds / ("found_" + name[:12]))

    @staticmethod
    def _call(command, seconds_max):
        """(status, output, CPU seconds); it is killed after seconds_max, None: never."""
        with tempfile.TemporaryFile() as output:
            child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment(),
                                     stdin=subprocess.DEVNULL)
            late = threading.Event()
            timer = threading.Timer(seconds_max, lambda: (late.set(), os.kill(child.pid, signal.SIGKILL))) if seconds_max else None
            if timer:
                timer.start()
            # Not reaped before the timer can do no harm any more.
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            if timer:
                timer.cancel()
                timer.join()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
            said = "none after %d s" % seconds_max if late.is_set() else child.returncode
            return said, text, usage.ru_utime + usage.ru_stime


def crashes_of(outcome):
    return "-" if outcome.problem and not outcome.findings else str(len(outcome.findings))


def table(outcomes):
    rows = [("target", "runs", "cpu s", "edges", "new inputs", "crashes")]
    for o in outcomes:
        rows.append((o.target.short, str(o.runs), "%.0f" % o.cpu_seconds, str(o.edges), str(len(o.new)), crashes_of(o)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join([row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]) for row in rows]
    return "\n".join(lines)


def summary(outcomes):
    """What is said about findings and what was mended, and the exit status."""
    lines = ["mended: %s" % path for outcome in outcomes for path in outcome.mended]
    found = False
    for outcome in outcomes:
        for what, command in outcome.findings:
            found = True
            lines.append("FOUND by %s: %s\n  again:  %s" % (outcome.target.short, what, command))
    if found:
        lines.append("Make the input smaller with -minimize_crash=1 -runs=100000; mend the cause; then the input goes, under the\n"
                     "name of what it reaches, into the target's corpus.")
    return "\n".join(lines), 1 if found else 2 if any(o.problem for o in outcomes) else 0


def main(arguments):
    state = cache_home() / "wayport-fuzz"
    parser = argparse.ArgumentParser(prog="tools/fuzz", usage=argparse.SUPPRESS, add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--corpus", default=state / "corpus")
    parser.add_argument("--findings", default=state / "findings")
    parser.add_argument("--update-corpus", action="store_true")
    parser.add_argument("--engines")
    parser.add_argument("targets", nargs="*")
    options = parser.parse_args(arguments)
    if options.help:
        print(__doc__.strip())
        return 0
    try:
        targets = chosen(all_targets(), options.targets)
        if options.list:
            print("\n".join(t.short for t in targets))
            return 0
        if options.jobs < 1:
            raise Problem("--jobs has to be at least 1")
        jobs = min(options.jobs, len(targets))
        seconds = shared_seconds(options.minutes, len(targets), jobs)
        engines = pathlib.Path(options.engines).resolve() if options.engines else build(targets)
        runner = Runner(engines, pathlib.Path(options.corpus).resolve(), pathlib.Path(options.findings).resolve(), seconds,
                        options.update_corpus)
        print("tools/fuzz: %d targets, %d s each, %d at a time" % (len(targets), seconds, jobs), file=sys.stderr)
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            outcomes = list(pool.map(runner.run, targets))
    except Exception as error:
        print("tools/fuzz: %s" % said(error), file=sys.stderr)
        return 2
    print(table(outcomes))
    text, status = summary(outcomes)
    if text:
        print(text)
    if status == 0 and any(o.new for o in outcomes):
        print("new inputs are in %s" % runner.corpus)
    for outcome in outcomes:
        if outcome.problem:
            print("tools/fuzz: %s: %s" % (outcome.target.short, outcome.problem), file=sys.stderr)
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # tools/fuzz --list | head
    sys.exit(main(sys.argv[1:]))
