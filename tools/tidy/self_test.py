"""Tests tidy.py with planted files, count_tests.py with planted events, and the layer table of tools/bazel/layers.bzl.

A rule that finds nothing looks exactly like a clean tree; hence each has a case that it must find (BAD, with a part of
its message) and one that comes close but is right (GOOD).
"""

import json
import sys
import types

import count_tests
import tidy
from tidy import words

BUILD = 'wayport_library(name = "a", srcs = ["a.cc"], hdrs = ["a.h"])\nwayport_test(name = "a_test", srcs = ["a_test.cc"])\n'
CORE = BUILD.replace('["a.h"]', '["a.h"], core = True')
FUZZ = 'fuzz_target(name = "a_fuzz", srcs = ["a_fuzz.cc"])\n'
OWN = '#include "wayport/base/a.h"\n'
LATER = words("TO", "DO")


def header(text):
    return {"base/BUILD": BUILD, "base/a.h": "#pragma once\n" + text, "base/a.cc": OWN, "base/a_test.cc": OWN}


def source(text, build=BUILD):
    return dict(header(""), **{"base/a.cc": OWN + text, "base/BUILD": build})


def test(text):
    return dict(header(""), **{"base/a_test.cc": OWN + text})


def file(path, text):
    return {path: text}


FEATURES = "| feature | header | test |\n|---|---|---|\n"

BAD = [
    (dict(test("TEST(A, Works) {}\n"), **file("base/FEATURES.md", FEATURES + "| f | base/b.h | A.Works |\n")), "no header base/b.h"),
    (dict(test("TEST(A, Works) {}\n"), **file("base/FEATURES.md", FEATURES + "| f | base/a.h | A.Fails |\n")), "no test A.Fails"),
    (dict(test("TEST(A, Works) {}\n"), **file("base/FEATURES.md", FEATURES + "| f | base/a.h | |\n")), "a row has a feature"),
    (source("asio::co_spawn(x, f(), asio::detached);\n"), "TaskGroup"),
    (source("boost::asio::detached\n"), "TaskGroup"),
    (test("std::this_thread::sleep_for(1ms);\n"), "does not sleep"),
    (test("::usleep(3);\n"), "does not sleep"),
    (test("  sleep(1);\n"), "does not sleep"),
    ({"integration/BUILD": 'x(srcs = ["x.cc"])', "integration/x.cc": "nanosleep(&t, nullptr);\n"}, "does not sleep"),
    (source("std::thread([] { run(); }).detach();\n"), "jthread"),
    (source("worker_thread.detach();\n"), "jthread"),
    (source("std::thread([] {\n  run();\n}).detach();\n"), "jthread"),
    (source("// %s: later\n" % LATER), "finish it now"),
    (file("README.md", words("FIX", "ME") + "\n"), "finish it now"),
    (test("TEST(A, %sWorks) {}\n" % words("DISABLED", "_")), "proves nothing"),
    (test("GTEST_SKIP();\n"), "skip only where"),
    (test('GTEST_SKIP() << "flaky";\n'), "skip only where"),
    (header("using namespace std;\n"), "leaks into everyone"),
    ({"base/BUILD": BUILD, "base/a.h": "int x;\n", "base/a.cc": OWN, "base/a_test.cc": OWN}, "#pragma once"),
    (file("README.md", "see %s/x\n" % words("/wo", "rk")), "one machine"),
    (file("tools/x.sh", "cd %s/joe/src\n" % words("/ho", "me")), "one machine"),
    (header("#include <boost/asio.hpp>\n"), "one header you need"),
    (source("assert(x > 1);\n"), "WAYPORT_ASSERT"),
    (source("\tint x;\n"), "spaces"),
    (source("int x; \n"), "end of the line"),
    (source("int x;\r\n"), "end of the line"),
    (source("#include <boost/asio/ip/tcp.hpp>\n", CORE), "no Asio in a core"),
    (source("#include <sys/socket.h>\n", CORE), "no system calls in a core"),
    (source("#include <mutex>\n", CORE), "no threads in a core"),
    (source("auto t = std::chrono::steady_clock::now();\n", CORE), "no clock in a core"),
    (source("std::random_device seed;\n", CORE), "hidden randomness"),
    (source('#include "a_internal.h"\n'), "the layers are checked by that path"),
    (source('#include "base/a.h"\n'), "the layers are checked by that path"),
    (dict(header(""), **{"base/a.cc": "#include <vector>\n" + OWN}), "first, which proves"),
    (dict(header(""), **{"base/a_test.cc": "#include <vector>\n" + OWN}), "first, which proves"),
    (dict(header(""), **{"base/b.cc": "int x;\n"}), "no BUILD file names it"),
    (dict(header(""), **{"base/sub/b.proto": ""}), "no BUILD file names it"),
    (file("tools/x.lua", ""), "no BUILD file names it"),
    (file("base/BUILD", 'cc_library(name = "x")\n'), "use wayport_library"),
    (file("base/BUILD", 'cc_test(name = "x")\n'), "use wayport_test"),
    (file("base/BUILD", 'proto_library(name = "x")\n'), "use wayport_proto_library"),
    (file("base/BUILD", "wayport_library(\n"), "cannot be parsed"),
    ({"fuzz/BUILD": FUZZ, "fuzz/a_fuzz.cc": ""}, "needs seeds in fuzz/a_corpus/"),
    ({"fuzz/BUILD": FUZZ, "fuzz/a_fuzz.cc": "", "fuzz/a_corpus/x": "", "fuzz/b_corpus/x": ""}, "a corpus that no fuzz_target names"),
    (source("int x;\n" * 801), "which second concept"),
    (dict(source("int x;\n"), **{tidy.LONG_FILES: "base/a.cc it is a table\n"}), "no longer long"),
    (dict(source("int x;\n"), **{tidy.LONG_FILES: "base/gone.cc it was a table\n"}), "is gone"),
    (dict(source("int x;\n" * 801), **{tidy.LONG_FILES: "base/a.cc\n"}), "needs a reason"),
    (file("docs/film.bin", "\0" * (tidy.BYTES_MAX + 1)), "outside the repository"),
]

GOOD = [
    dict(test("TEST(A, Works) {}\n"), **file("base/FEATURES.md", FEATURES + "| f | base/a.h | A.Works |\n")),
    source("// asio::detached only inside the task group\n"),
    {"base/BUILD": 'x(srcs = ["task_group.cc"])', "base/task_group.cc": "asio::co_spawn(x, f(), asio::detached);\n"},
    source("loop.sleep_until_woken = 1; std::this_thread::sleep_for(1ms);\n"),
    test("co_await sleep_for(loop, 5ms);  // on the loop's clock\n"),
    test('call("/sleep"); router.sleep(3); clock->sleep(1); my_sleep(2);  // never sleep_for\n'),
    source("auto socket = stream->detach();\nstd::thread t(run); t.join(); socket.detach();\n"),
    source('char name[] = "%s";\n' % (words("X", "XX") * 2)),
    test('GTEST_SKIP() << "needs the privilege to create a namespace";\n'),
    test('GTEST_SKIP()\n    << "no permission to raise the limit";\n'),
    source("using namespace std::chrono_literals;\n"),
    header("// using namespace std;\n"),
    source('route("/home/sum"); get("https://host/work/x"); run("tools/work/x");\n'),
    header("#include <boost/asio/awaitable.hpp>\n"),
    source("static_assert(x); my.assert(x); WAYPORT_ASSERT(x);\n"),
    file("tools/peer/x.go", "\tx := 1\n"),
    file("README.md", "two blanks break a line  \n"),
    source("// #include <boost/asio.hpp> is for the driver; so is steady_clock::now()\n", CORE),
    source("#include <boost/json.hpp>\n#include <chrono>\nusing Clock = int; TimePoint now();\n", CORE),
    source("#include <mutex>\n#include <boost/asio/ip/tcp.hpp>\nauto t = std::chrono::steady_clock::now();\n"),
    source("// prose\n/* more\n   prose */\n#include <vector>\n"),
    dict(header(""), **{"base/BUILD": BUILD + 'x(srcs = glob(["parts/**/*.cc"]))', "base/parts/b.cc": "", "base/parts/c/d.cc": ""}),
    dict(header(""), **{"base/BUILD": BUILD + 'x(srcs = ["sub/b.cc"])', "base/sub/b.cc": ""}),
    dict(header(""), **{"base/BUILD": BUILD + 'x(srcs = [":b.cc"])', "base/b.cc": ""}),
    {"base/BUILD": 'exports_files(["b.fbs"])', "base/b.fbs": ""},
    {"base/BUILD": "", "base/b.fbs": "", "rpc/BUILD": 'x(data = ["//base:b.fbs"])'},
    {"integration/consumer/BUILD": 'cc_test(name = "x", srcs = ["x.cc"])', "integration/consumer/x.cc": '#include "x.h"\n'},
    {"fuzz/BUILD": FUZZ, "fuzz/a_fuzz.cc": "", "fuzz/a_corpus/empty": ""},
    {"fuzz/BUILD": 'fuzz_target(name = "a_fuzz", srcs = ["a_fuzz.cc"], corpus = glob(["shared_corpus/*"]))', "fuzz/a_fuzz.cc": "", "fuzz/shared_corpus/x": ""},
    source("int x;\n" * 799),
    dict(source("int x;\n" * 801), **{tidy.LONG_FILES: "# path reason\nbase/a.cc a table\n"}),
    file("README.md", "line\n" * 900),
    file("spec/vectors/big.json", "x" * (tidy.BYTES_MAX + 1)),
    file("docs/small.bin", "\0" * 100),
]

# (package, dependency, is it a test?, allowed?)
LAYERS = [
    ("base", "base/sub", False, True),
    ("base", "framing", False, False),
    ("framing/teleport", "base", False, True),
    ("framing", "transport", True, False),
    ("transport", "rpc", False, False),
    ("transport/ws", "transport", False, True),
    ("transport/ws", "transport/tcp", False, False),
    ("transport/ws", "transport/tcp", True, True),
    ("transport/ws", "transport/testing", False, True),
    ("transport", "transport/tcp", False, True),
    ("rpc", "gateway", False, False),
    ("gateway/link", "rpc", False, False),
    ("gateway/link", "rpc/discovery", False, True),
    ("gateway/link", "gateway/route", False, False),
    ("gateway/link", "gatewayx", False, False),
    ("rpc", "fuzz", True, False),
    ("rpc", "tools/bench", True, False),
    ("base", "tools/bazel/fuzz", True, True),
    ("base", "spec/vectors", True, True),
    ("fuzz/rpc", "rpc", True, True),
    ("tools/wayport", "integration", False, True),
    ("new_thing", "base", False, False),
]


def layer_problem():
    """The function of layers.bzl: that part of Starlark is Python."""
    path = tidy.ROOT / "tools/bazel/layers.bzl"
    scope = types.ModuleType("layers").__dict__
    exec(compile(path.read_text(), str(path), "exec"), scope)
    return scope["layer_problem"]


def event(kind, label, **result):
    return json.dumps(dict({"id": {kind: {"label": label}}}, **result))


EVENTS = [
    event("targetCompleted", "//a", completed={"success": True}),
    event("testSummary", "//a", testSummary={"overallStatus": "PASSED"}),
    event("testSummary", "//b", testSummary={"overallStatus": "FAILED"}),
    event("testSummary", "//c", testSummary={"overallStatus": "FLAKY"}),
    event("targetCompleted", "//d", completed={"failureDetail": {}}),
    event("targetCompleted", "//e", aborted={"reason": "ANALYSIS_FAILURE"}),
    event("targetCompleted", "//f", aborted={"reason": "SKIPPED"}),
    '{"id": {"buildFinished": {}}}',
    '{"id": {"test',
]
COUNTED = (1, ["//b", "//c", "//d (does not build)", "//e (does not build)"])


def problems_of(files):
    return tidy.problems_of({path: text.encode() for path, text in files.items()})


def failures():
    for number, (files, message) in enumerate(BAD):
        problems = problems_of(files)
        if not [p for p in problems if message in p]:
            yield "BAD[%d] was not found: %s\n  %r\n  got %s" % (number, message, files, problems)
        elif len({p.partition(": ")[2] for p in problems}) > 1:
            yield "BAD[%d] broke more than one rule: %s" % (number, problems)
    for number, files in enumerate(GOOD):
        for problem in problems_of(files):
            yield "GOOD[%d]: %s\n  %r" % (number, problem, files)
    every = [message for _, _, _, _, message in tidy.PATTERNS] + [message for _, message in tidy.CORE]
    for message in every:
        if not [m for _, m in BAD if m in message]:
            yield "no BAD case for the rule: " + message
    problem = layer_problem()
    for package, to, testonly, allowed in LAYERS:
        if (problem(package, to, testonly) is None) != allowed:
            yield "layers: %s -> %s should be %s" % (package, to, "allowed" if allowed else "refused")
    if count_tests.count(EVENTS) != COUNTED:
        yield "count_tests: %r" % (count_tests.count(EVENTS),)


def main():
    found = list(failures())
    for failure in found:
        print(failure)
    print("tidy's self test: %d cases, %d failures" % (len(BAD) + len(GOOD) + len(LAYERS) + 1, len(found)), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
