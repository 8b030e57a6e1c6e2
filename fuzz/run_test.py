#!/usr/bin/env python3
"""Tests run.py with fake engines: small programs that print what libFuzzer prints."""

import contextlib
import io
import os
import pathlib
import re
import shlex
import stat
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import run

BUILD = """
fuzz_target(
    name = "a_fuzz",
    srcs = ["a_fuzz.cc"],
    dict = "a.dict",
)
fuzz_target(name = "b_fuzz", srcs = ["b_fuzz.cc"])
wayport_library(name = "c")
"""

# Notes its arguments, finds one input (or what `trouble` says), merges by copying, and replays a file.
ENGINE = """#!/usr/bin/env python3
import os, pathlib, shutil, sys
options = dict(a[1:].partition("=")[::2] for a in sys.argv[1:] if a.startswith("-"))
directories = [pathlib.Path(a) for a in sys.argv[1:] if not a.startswith("-")]
with open(sys.argv[0] + ".calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
if "merge" in options:
    for directory in directories[1:]:
        for path in directory.iterdir():
            if path.read_bytes() not in [p.read_bytes() for p in directories[0].iterdir()]:
                shutil.copy(path, directories[0] / path.name)
    sys.exit(TROUBLE == "merge")
if directories[0].is_file():
    sys.exit(77 if TROUBLE in ("crash", "not mended") else 0)
(directories[0] / "0123456789abcdef").write_text("new")
(directories[0] / "fedcba9876543210").write_text("seed")
print("#2\\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb")
print("#500\\tDONE   cov: 42 ft: 50 corp: 2/9b exec/s: 250 rss: 30Mb")
print("stat::number_of_executed_units: 500")
if TROUBLE == "crash":
    pathlib.Path(options["artifact_prefix"] + "crash-abc").write_text("bad")
    sys.exit(77)
if TROUBLE == "slow":
    pathlib.Path(options["artifact_prefix"] + "slow-unit-abc").write_text("slow")
if TROUBLE == "start":
    sys.exit(3)
"""


class RunTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        (self.root / "fuzz/x/a_corpus").mkdir(parents=True)
        (self.root / "fuzz/x/b_corpus").mkdir()
        (self.root / "fuzz/x/BUILD").write_text(BUILD)
        (self.root / "fuzz/x/a_corpus/named").write_text("seed")
        (self.root / "fuzz/x/b_corpus/named").write_text("seed")
        real, run.ROOT = run.ROOT, self.root
        self.addCleanup(setattr, run, "ROOT", real)
        self.engine("a_fuzz")
        self.engine("b_fuzz")

    def engine(self, name, trouble=""):
        path = self.root / "engines/fuzz/x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ENGINE.replace("TROUBLE", repr(trouble)))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def calls(self, name):
        return (self.root / "engines/fuzz/x" / (name + ".calls")).read_text().splitlines()

    def run_tool(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run.main(["--engines", str(self.root / "engines"), "--corpus", str(self.root / "corpus"),
                               "--findings", str(self.root / "findings"), *arguments])
        return status, out.getvalue(), err.getvalue()

    def test_a_table_has_a_row_for_each_target(self):
        status, out, _ = self.run_tool()
        self.assertEqual(status, 0)
        rows = [line.split() for line in out.splitlines()]
        self.assertEqual(rows[0], ["target", "runs", "cpu", "s", "edges", "new", "inputs", "crashes"])
        for row, name in zip(rows[1:3], ["x/a_fuzz", "x/b_fuzz"]):
            self.assertEqual(row[:2] + row[3:], [name, "500", "42", "1", "0"])
            self.assertTrue(row[2].isdigit(), row)

    def test_a_crash_ends_with_1_and_the_command_that_shows_it_again(self):
        self.engine("b_fuzz", "crash")
        status, out, _ = self.run_tool()
        self.assertEqual(status, 1)
        artifact = self.root / "findings/x/b_fuzz/crash-abc"
        self.assertIn("FOUND by x/b_fuzz: crash\n  again:  %s -timeout=20 -rss_limit_mb=2048 %s\n"
                      % (self.root / "engines/fuzz/x/b_fuzz", artifact), out)
        self.assertEqual(artifact.read_text(), "bad")
        self.assertNotIn("FOUND by x/a_fuzz", out)
        self.assertEqual(out.splitlines()[2].split()[-1], "1")

    def found_earlier(self, name):
        path = self.root / "findings/x/a_fuzz" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("bad")
        return path

    def test_what_a_killed_run_found_is_found_by_the_next(self):
        artifact = self.found_earlier("timeout-abc")
        self.engine("a_fuzz", "not mended")
        status, out, _ = self.run_tool("a_fuzz")
        self.assertEqual(status, 1)
        again = [str(self.root / "engines/fuzz/x/a_fuzz"), "-timeout=20", "-rss_limit_mb=2048", str(artifact)]
        self.assertIn("FOUND by x/a_fuzz: timeout\n  again:  %s\n" % shlex.join(again), out)
        self.assertEqual(self.calls("a_fuzz")[0].split(), again[1:], "before anything else")
        self.assertTrue(artifact.exists())
        self.assertTrue((self.root / "corpus/x/a_fuzz/0123456789abcdef").exists(), "this run was a good one")

    def test_a_crash_that_is_found_again_is_one_finding(self):
        self.engine("a_fuzz", "crash")
        for _ in range(2):
            status, out, _ = self.run_tool("a_fuzz")
            self.assertEqual(status, 1)
            self.assertEqual(out.count("FOUND by x/a_fuzz: crash"), 1, out)
            self.assertNotIn("exit 77", out)

    def test_a_failure_without_an_input_is_not_hidden_by_an_old_finding(self):
        self.found_earlier("leak-abc")
        path = self.root / "engines/fuzz/x/a_fuzz"
        self.engine("a_fuzz", "start")
        path.write_text(path.read_text().replace("sys.exit(77 if", "sys.exit(77 if True or"))
        status, out, _ = self.run_tool("a_fuzz")
        self.assertEqual(status, 1)
        self.assertIn("FOUND by x/a_fuzz: leak\n", out)
        self.assertIn("FOUND by x/a_fuzz: exit 3, see", out)

    def test_a_crash_that_is_mended_is_said_once_and_renamed(self):
        artifact = self.found_earlier("crash-abc")
        status, out, _ = self.run_tool("a_fuzz")
        self.assertEqual(status, 0)
        mended = artifact.with_name("mended-crash-abc")
        self.assertIn("mended: %s\n" % mended, out)
        self.assertNotIn("FOUND", out)
        self.assertEqual(mended.read_text(), "bad")
        self.assertFalse(artifact.exists())
        self.assertNotIn("mended", self.run_tool("a_fuzz")[1])

    def test_a_slow_input_is_not_run_again(self):
        self.found_earlier("slow-unit-abc")
        self.engine("a_fuzz", "not mended")
        self.assertEqual(self.run_tool("a_fuzz")[0], 0)

    def test_an_engine_that_fails_without_an_input_is_a_finding(self):
        self.engine("a_fuzz", "start")
        status, out, _ = self.run_tool("a_fuzz")
        self.assertEqual(status, 1)
        self.assertIn("exit 3, see %s" % (self.root / "findings/x/a_fuzz/engine.log"), out)
        again = shlex.split(re.search(r"^  again:  (.*)$", out, flags=re.M).group(1))
        self.assertEqual(subprocess.run(again, stdout=subprocess.DEVNULL).returncode, 3, "it runs as printed")
        self.assertTrue(all(os.path.isdir(a) for a in again[1:] if not a.startswith("-")), again)

    def test_a_target_that_cannot_run_takes_nothing_from_the_others(self):
        (self.root / "engines/fuzz/x/a_fuzz").unlink()
        status, out, err = self.run_tool()
        self.assertEqual(status, 2)
        self.assertEqual([line.split()[::5] for line in out.splitlines()[1:3]], [["x/a_fuzz", "-"], ["x/b_fuzz", "0"]])
        self.assertRegex(err, r"tools/fuzz: x/a_fuzz: \S+ is no engine")
        self.engine("b_fuzz", "crash")
        status, out, err = self.run_tool()
        self.assertEqual(status, 1)
        self.assertIn("FOUND by x/b_fuzz: crash", out)
        self.assertRegex(err, r"tools/fuzz: x/a_fuzz: \S+ is no engine")

    def test_what_a_target_found_before_it_could_not_go_on_counts(self):
        self.found_earlier("oom-abc")
        (self.root / "findings/x/a_fuzz/engine.log").mkdir()
        self.engine("a_fuzz", "crash")
        status, out, err = self.run_tool("a_fuzz")
        self.assertEqual(status, 1)
        self.assertEqual(re.findall(r"FOUND by x/a_fuzz: (\w+)", out), ["oom", "crash"])
        self.assertIn("tools/fuzz: x/a_fuzz: IsADirectoryError: ", err)

    def test_what_keeps_it_from_building_is_one_line_and_2(self):
        bazel = self.root / "bazel"
        for script, wanted in ((None, "FileNotFoundError: .*/bazel"),
                               ("exit 1", "the engines could not be built"),
                               ('[ "$1" = info ] && echo no server >&2 && exit 37; exit 0', "exits with 37: no server")):
            if script:
                bazel.write_text("#!/bin/sh\n" + script + "\n")
                bazel.chmod(0o755)
            err = io.StringIO()
            environment = {"BAZEL": str(bazel), "XDG_CACHE_HOME": str(self.root / "cache")}
            with unittest.mock.patch.dict(os.environ, environment), contextlib.redirect_stderr(err):
                self.assertEqual(run.main(["a_fuzz"]), 2)
            self.assertRegex(err.getvalue().splitlines()[-1], "^tools/fuzz: .*" + wanted)
            self.assertLessEqual(len(err.getvalue().splitlines()), 2, "the line about building, and this")

    def test_a_merge_that_fails_is_a_finding(self):
        self.engine("a_fuzz", "merge")
        status, out, _ = self.run_tool("a_fuzz")
        self.assertEqual(status, 1)
        self.assertIn("merge, exit 1", out)

    def test_a_slow_input_is_none(self):
        self.engine("a_fuzz", "slow")
        self.assertEqual(self.run_tool("a_fuzz")[0], 0)

    def test_the_time_of_an_engine_is_what_it_used(self):
        busy = "import time\nwhile time.process_time() < 0.3: pass"
        status, _, seconds = run.Runner._call([sys.executable, "-c", busy], None)
        self.assertEqual(status, 0)
        self.assertGreaterEqual(seconds, 0.3)

    def test_an_engine_that_hangs_is_ended(self):
        hangs = "import signal\nsignal.pause()"
        status, _, _ = run.Runner._call([sys.executable, "-c", hangs], 1)
        self.assertEqual(status, "none after 1 s")

    def test_time_is_shared_by_the_targets(self):
        self.assertEqual(run.shared_seconds(5, 50, 2), 12)
        self.assertEqual(run.shared_seconds(1, 3, 2), 30)
        self.assertEqual(run.shared_seconds(1, 1, 1), 60)
        with self.assertRaisesRegex(run.Problem, "less than a second for each of 100"):
            run.shared_seconds(0.5, 100, 2)
        self.run_tool("--minutes", "1", "--jobs", "1")
        self.run_tool("--minutes", "1", "--jobs", "8", "b_fuzz")
        self.assertIn("-max_total_time=30 ", self.calls("a_fuzz")[0])
        self.assertEqual([c.split()[0] for c in self.calls("b_fuzz") if "-max_total" in c],
                         ["-max_total_time=30", "-max_total_time=60"])

    def test_only_what_the_tree_lacks_is_kept(self):
        self.run_tool("a_fuzz")
        kept = self.root / "corpus/x/a_fuzz"
        self.assertEqual([p.name for p in kept.iterdir()], ["0123456789abcdef"])
        self.assertEqual([p.name for p in (self.root / "fuzz/x/a_corpus").iterdir()], ["named"])
        _, out, _ = self.run_tool("a_fuzz")
        self.assertEqual(out.splitlines()[1].split()[-2:], ["0", "0"], "found before: not new")
        (self.root / "fuzz/x/a_corpus/reaches_it").write_text("new")
        self.run_tool("a_fuzz")
        self.assertEqual(list(kept.iterdir()), [], "and no longer kept once the tree has it")

    def test_the_tree_is_written_only_when_asked(self):
        self.run_tool("--update-corpus", "a_fuzz")
        self.assertEqual((self.root / "fuzz/x/a_corpus/found_0123456789ab").read_text(), "new")

    def test_a_dictionary_is_given_to_its_engine(self):
        self.run_tool()
        self.assertIn("-dict=%s" % (self.root / "fuzz/x/a.dict"), self.calls("a_fuzz")[0])
        self.assertNotIn("-dict", self.calls("b_fuzz")[0])

    def test_targets_are_named_in_every_usual_way(self):
        targets = run.all_targets()
        self.assertEqual([t.short for t in targets], ["x/a_fuzz", "x/b_fuzz"])
        for word in ["a_fuzz", "a", "x/a_fuzz", "fuzz/x/a_fuzz", "//fuzz/x:a_fuzz"]:
            self.assertEqual([t.short for t in run.chosen(targets, [word])], ["x/a_fuzz"], word)
        for word in ["x", "fuzz/x", "//fuzz/x/...", "//fuzz/..."]:
            self.assertEqual(len(run.chosen(targets, [word])), 2, word)
        status, _, err = self.run_tool("c_fuzz")
        self.assertEqual(status, 2)
        self.assertIn("c_fuzz is no fuzz target", err)

    def test_the_last_line_of_an_engine_counts_without_its_statistics(self):
        self.assertEqual(run.numbers_of("#2\tINITED cov: 3 ft: 4\n#64\tpulse  cov: 5 ft: 6\n==1== ERROR"), (64, 5))
        self.assertEqual(run.numbers_of(""), (0, 0))


if __name__ == "__main__":
    unittest.main()
