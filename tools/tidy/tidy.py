"""Rules of this repository that no compiler checks. Each names what to do instead.

usage: tidy.py                    check the tree; exit 1 if a rule is broken
       tidy.py --list .cc .h      print the files of the tree with these endings

Each rule is tested by self_test.py, with a planted case that it must find and one that it must not.
"""

import ast
import fnmatch
import os
import pathlib
import posixpath
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

LINES_MAX = 800
BYTES_MAX = 1 << 20
LONG_FILES = "tools/tidy/long_files.txt"

CODE = (".cc", ".h", ".proto", ".fbs", ".lua", ".bzl", ".py", ".sh", ".go")
BUILT = (".cc", ".h", ".proto", ".fbs", ".lua")
# A workspace of its own, whose BUILD files show what users write.
CONSUMER = "integration/consumer/"


def words(*parts):
    """Joins what must not stand in this file as one word."""
    return "".join(parts)


def scrub(text, strings):
    """C++ text with comments blanked, and with string literals emptied if asked. Lines stay where they are."""

    def replace(match):
        token = match.group(0)
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return '""' + "\n" * token.count("\n") if strings and token.startswith(('"', "R")) else token

    raw = r'R"(\w*)\(.*?\)\1"'
    return re.sub(raw + r'|"(?:\\.|[^"\\\n])*"|' + r"'(?:\\.|[^'\\\n])'" + r"|//[^\n]*|/\*.*?\*/", replace, text, flags=re.S)


class File:
    """One file of the tree, with the views of it that rules look at."""

    def __init__(self, path, data):
        self.path = path
        self.data = data
        self.dir, self.name = posixpath.split(path)
        self.text = None if b"\0" in data[:8000] else data.decode("utf-8", "replace")
        self.is_cpp = path.endswith((".cc", ".h"))
        self.is_header = path.endswith(".h")
        self.is_build = self.name in ("BUILD", "BUILD.bazel")
        self.is_test = path.endswith(("_test.cc", "_fuzz.cc")) or re.search(r"(^|/)(testing|integration)/", path) is not None
        self.bare = scrub(self.text, strings=True) if self.is_cpp and self.text else ""
        self.code = scrub(self.text, strings=False) if self.is_cpp and self.text else ""

    def includes(self):
        """(line, what is between the quotes or brackets, quoted?)"""
        for number, line in enumerate(self.code.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
            if match:
                yield number, match.group(1) or match.group(2), match.group(1) is not None


class Target:
    """One macro call of a BUILD file."""

    def __init__(self, build, call):
        self.kind = call.func.id
        self.line = call.lineno
        self.build = build
        self.arguments = {k.arg: k.value for k in call.keywords}

    def strings(self, *names):
        return [s for name in names if name in self.arguments for s in strings_of(self.arguments[name])]

    def flag(self, name):
        value = self.arguments.get(name)
        return isinstance(value, ast.Constant) and value.value is True


def strings_of(node):
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


class Tree:
    """All files, and what the BUILD files say of them. `files`: path -> bytes."""

    def __init__(self, files):
        self.files = {path: File(path, data) for path, data in files.items()}
        self.problems = []
        self.targets = []
        self.build_strings = {}  # directory of a BUILD file -> string literals in it
        for file in self.files.values():
            if file.is_build:
                self._read_build(file)

    def _read_build(self, file):
        try:
            # Starlark's syntax is Python's, as far as BUILD files go.
            module = ast.parse(file.text)
        except SyntaxError as error:
            self.say(file.path, error.lineno or 1, "cannot be parsed: %s" % error.msg)
            return
        self.build_strings[file.dir] = strings_of(module)
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                self.targets.append(Target(file, node))

    def say(self, path, line, text):
        self.problems.append("%s:%d: %s" % (path, line, text))

    def package_of(self, path):
        """The directory of the nearest BUILD file at or above a file."""
        directory = posixpath.dirname(path)
        while directory not in self.build_strings:
            if not directory:
                return None
            directory = posixpath.dirname(directory)
        return directory

    def built(self, path):
        """Whether a string in some BUILD file names this file, directly or by a glob."""
        package = self.package_of(path)
        if package is None:
            return False
        relative = posixpath.relpath(path, package or ".")
        for string in self.build_strings[package]:
            if string.lstrip(":") == relative or ("*" in string and fnmatch.fnmatch(relative, string.replace("**/", "*"))):
                return True
        label = "//%s:%s" % (package, relative)
        return any(label in strings for strings in self.build_strings.values())


# Rules that look for a pattern in lines: (name, which files, which view, pattern, message).
# Views: text as it is, code without comments, bare without comments and strings.
PATTERNS = [
    (
        "detached", lambda f: f.is_cpp and not f.path.startswith("base/task_group"), "bare",
        r"\b(asio|net)::detached\b",
        "a detached coroutine outlives its owner unseen; spawn it in a wayport::TaskGroup",
    ),
    (
        "sleep", lambda f: f.is_cpp and f.is_test, "bare",
        r"(?<!co_await )\b(sleep_for|sleep_until)\b|\b(usleep|nanosleep)\b|(?<![\w.>])sleep\(",
        "a test does not sleep; drive a ManualClock, or wait for the event itself",
    ),
    (
        "thread-detach", lambda f: f.is_cpp, "bare",
        r"thread\w*(\([^;]*\)|\{[^;]*\})?\s*(\.|->)detach\(|\}\s*\)\.detach\(\)",
        "a detached thread cannot be waited for; keep a std::jthread",
    ),
    (
        "leftover", lambda f: f.text is not None, "text",
        r"\b(%s)\b" % "|".join([words("FIX", "ME"), words("TO", "DO"), words("X", "XX")]),
        "finish it now, or open an issue and leave the words out",
    ),
    (
        "disabled", lambda f: f.is_cpp, "bare",
        r"\b%s\w" % words("DISABLED", "_"),
        "a test that does not run proves nothing; mend it or delete it",
    ),
    (
        "skip", lambda f: f.is_cpp, "code",
        r'\bGTEST_SKIP\(\)(?!\s*<<\s*"[^"]*(?i:privilege|permission|CAP_|EPERM|namespace))',
        'skip only where the system denies something: GTEST_SKIP() << "needs the privilege to ..."',
    ),
    (
        "using-namespace", lambda f: f.is_header, "bare",
        r"^\s*using\s+namespace\b",
        "it leaks into everyone who includes this; name what you use",
    ),
    (
        "machine-path", lambda f: f.text is not None, "text",
        r"(?<![\w.\-/:])/(root|work|home/[a-z]\w*)/",
        "a path of one machine; use a relative path, $HOME or a temporary directory",
    ),
    (
        "asio-everything", lambda f: f.is_header, "code",
        r"#\s*include\s*<boost/(asio|beast)\.hpp>",
        "costs every includer seconds; include the one header you need, or forward declare",
    ),
    (
        "assert", lambda f: f.is_cpp, "bare",
        r"(?<![\w.:>])assert\(",
        "it vanishes in optimised builds; use WAYPORT_ASSERT",
    ),
    (
        "tab", lambda f: f.path.endswith((".cc", ".h", ".proto", ".fbs", ".lua", ".bzl", ".py")) or f.is_build, "text",
        r"\t",
        "a tab; indent with spaces, write \\t in strings",
    ),
    (
        "trailing-space", lambda f: f.path.endswith(CODE) or f.is_build, "text",
        r"[ \t\r]+$",
        "blanks at the end of the line",
    ),
]

# What a core (bytes and `now` in, outputs out) must not touch. tools/bazel/core.bzl looks at what it links.
CORE = [
    (r"#\s*include\s*<boost/(asio|beast)\b", "no Asio in a core; give it bytes, and do the I/O in its driver"),
    (r"#\s*include\s*<(sys/socket|sys/epoll|netinet/in|unistd)\.h>", "no system calls in a core; they belong to its driver"),
    (r"#\s*include\s*<(thread|mutex|condition_variable|future)>", "no threads in a core; one loop owns it"),
    (r"\w*[cC]lock::now\(", "no clock in a core; take `now` as a parameter"),
    (r"\b(random_device|getrandom)\b", "no hidden randomness in a core; take a random source as a parameter"),
]


def check_patterns(tree):
    for file in tree.files.values():
        for _, applies, view, pattern, message in PATTERNS:
            if not applies(file):
                continue
            for match in re.finditer(pattern, getattr(file, view), flags=re.M):
                tree.say(file.path, getattr(file, view).count("\n", 0, match.start()) + 1, message)


def check_cores(tree):
    for target in tree.targets:
        if target.kind != "wayport_library" or not target.flag("core"):
            continue
        for name in target.strings("srcs", "hdrs"):
            file = tree.files.get(posixpath.join(target.build.dir, name.lstrip(":")))
            if not file or not file.is_cpp:
                continue
            for pattern, message in CORE:
                for match in re.finditer(pattern, file.bare, flags=re.M):
                    tree.say(file.path, file.bare.count("\n", 0, match.start()) + 1, message)


def check_headers(tree):
    for file in tree.files.values():
        if file.is_header and not re.search(r"^#pragma once$", file.text, flags=re.M):
            tree.say(file.path, 1, "a header starts with #pragma once")


def check_includes(tree):
    for file in tree.files.values():
        if not file.is_cpp or file.path.startswith(CONSUMER):
            continue
        includes = list(file.includes())
        for line, what, quoted in includes:
            if quoted and not what.startswith("wayport/"):
                tree.say(file.path, line, 'write "wayport/<package>/<file>.h": the layers are checked by that path')
        match = re.fullmatch(r"(\w+?)(_test)?\.cc", file.name)
        own = match and posixpath.join(file.dir, match.group(1) + ".h")
        if own in tree.files and (not includes or includes[0][1] != "wayport/" + own):
            tree.say(file.path, 1, 'includes "wayport/%s" first, which proves that header complete' % own)


def check_dead_files(tree):
    for path in tree.files:
        if path.endswith(BUILT) and not tree.built(path):
            tree.say(path, 1, "no BUILD file names it; build it or delete it")


def check_raw_rules(tree):
    for target in tree.targets:
        if target.build.path.startswith(CONSUMER) or target.build.dir == "tools/bazel":
            continue
        if target.kind in ("cc_library", "cc_binary", "cc_test", "proto_library", "cc_proto_library"):
            macro = target.kind.replace("cc_proto", "proto").replace("cc_", "")
            macro = "wayport_" + macro
            tree.say(target.build.path, target.line, "use %s, which checks the layers" % macro)


def check_fuzz(tree):
    directories = {posixpath.dirname(p) for p in tree.files}
    claimed = set()
    for target in tree.targets:
        if target.kind == "fuzz_target" and "corpus" not in target.arguments:
            for name in target.strings("name"):
                corpus = posixpath.join(target.build.dir, re.sub("_fuzz$", "", name) + "_corpus")
                claimed.add(corpus)
                if corpus not in directories:
                    tree.say(target.build.path, target.line, "%s needs seeds in %s/, named for what they reach" % (name, corpus))
    for path in sorted(directories - claimed):
        if path.endswith("_corpus") and not tree.built(posixpath.join(path, "x")):
            tree.say(path, 1, "a corpus that no fuzz_target names")


def check_sizes(tree):
    allowed = {}
    if LONG_FILES in tree.files:
        for line in tree.files[LONG_FILES].text.splitlines():
            if line and not line.startswith("#"):
                path, _, reason = line.partition(" ")
                allowed[path] = reason.strip()
    for path, reason in allowed.items():
        if not reason:
            tree.say(LONG_FILES, 1, "%s needs a reason after its name" % path)
    for path, file in tree.files.items():
        lines = file.text.count("\n") if file.text is not None else 0
        if path.endswith(CODE) and lines > LINES_MAX and path not in allowed:
            tree.say(path, LINES_MAX, "%d lines; which second concept is hiding here? (or give a reason in %s)" % (lines, LONG_FILES))
        if path in allowed and lines <= LINES_MAX:
            tree.say(LONG_FILES, 1, "%s is no longer long; take it off the list" % path)
        if len(file.data) > BYTES_MAX and not path.startswith("spec/vectors/"):
            tree.say(path, 1, "%d bytes; generate it, or keep it outside the repository" % len(file.data))
    for path in allowed:
        if path not in tree.files:
            tree.say(LONG_FILES, 1, "%s is gone; take it off the list" % path)


def check_features(tree):
    tests = set()
    for file in tree.files.values():
        if file.path.endswith("_test.cc"):
            tests.update("%s.%s" % pair for pair in re.findall(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", file.code))
    for file in tree.files.values():
        if file.name != "FEATURES.md":
            continue
        for number, line in enumerate(file.text.splitlines(), 1):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if not line.startswith("|") or set(line) <= set("|-: ") or cells[1:] == ["header", "test"]:
                continue
            if len(cells) != 3 or not all(cells):
                tree.say(file.path, number, "a row has a feature, its header and the test that proves it")
                continue
            for header in re.split(r",\s*", cells[1]):
                if header not in tree.files:
                    tree.say(file.path, number, "there is no header %s" % header)
            for test in re.split(r",\s*", cells[2]):
                if test not in tests:
                    tree.say(file.path, number, "there is no test %s" % test)


CHECKS = [
    check_patterns,
    check_cores,
    check_headers,
    check_includes,
    check_dead_files,
    check_raw_rules,
    check_fuzz,
    check_features,
    check_sizes,
]


def problems_of(files):
    tree = Tree(files)
    for check in CHECKS:
        check(tree)
    return sorted(tree.problems)


def paths():
    """The files of the tree: what git knows or would add; everything, where there is no repository."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True,
        ).stdout.decode().split("\0")
        # An unpacked archive may lie inside someone else's repository, which then lists nothing of it.
        if "WORKSPACE" in listed:
            return sorted({p for p in listed if p and (ROOT / p).is_file()})
    except (OSError, subprocess.CalledProcessError):
        pass
    found = []
    for directory, subdirectories, names in os.walk(ROOT):
        subdirectories[:] = [d for d in subdirectories if d not in (".git", "__pycache__", "node_modules") and not d.startswith("bazel-")]
        found += [pathlib.Path(directory, n).relative_to(ROOT).as_posix() for n in names if not n.startswith("bazel-")]
    return sorted(p for p in found if (ROOT / p).is_file())


def main(arguments):
    if arguments and arguments[0] == "--list":
        print("\n".join(p for p in paths() if p.endswith(tuple(arguments[1:]))))
        return 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    files = {path: (ROOT / path).read_bytes() for path in paths()}
    problems = problems_of(files)
    for problem in problems:
        print(problem)
    print("tidy: %d files, %d problems" % (len(files), len(problems)), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
