#!/usr/bin/env python3
"""Tests coverage.py: which files count, what the table says, and when it is too little."""

import contextlib
import io
import os
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import coverage

BUILD = """
wayport_library(name = "a", srcs = ["a.cc"], hdrs = ["a.h"], core = True)
wayport_library(name = "driver", srcs = ["driver.cc"])
wayport_library(name = "double", testonly = True, srcs = ["double.cc"], core = True)
wayport_test(name = "a_test", srcs = ["a_test.cc"], deps = [":a"])
"""


def file(lines, hit, branches=0, branches_hit=0, segments=()):
    summary = {"lines": {"count": lines, "covered": hit}, "branches": {"count": branches, "covered": branches_hit}}
    return {"summary": summary, "segments": list(segments)}


class CoverageTest(unittest.TestCase):
    def test_cores_count_and_drivers_only_if_asked(self):
        builds = [("framing", BUILD), ("framing/testing", BUILD), ("rpc", BUILD)]
        self.assertEqual(coverage.sources(builds, False), {"framing/a.cc": "framing", "framing/a.h": "framing"})
        self.assertEqual(set(coverage.sources(builds, True)), {"framing/a.cc", "framing/a.h", "framing/driver.cc"})

    def test_paths_of_the_compiler_are_paths_of_the_tree(self):
        self.assertEqual(coverage.tree_path("/proc/self/cwd/framing/a.cc"), "framing/a.cc")
        self.assertEqual(coverage.tree_path("/proc/self/cwd/bazel-out/k8/bin/framing/_virtual_includes/a/wayport/framing/a.h"),
                         "framing/a.h")
        self.assertEqual(coverage.tree_path("/proc/self/cwd/fuzz/framing/a.cc"), "fuzz/framing/a.cc")

    def test_an_area_is_the_sum_of_its_files(self):
        files = {"framing/a.cc": "framing", "framing/b.cc": "framing", "framing/b.h": "framing"}
        text, areas = coverage.report(files, {"framing/a.cc": file(30, 30, 4, 1), "framing/b.cc": file(10, 6)})
        self.assertEqual(areas, {"framing": (90.0, [])}, "a header without code is no gap")
        rows = [line.split() for line in text.splitlines()]
        self.assertIn(["framing/a.cc", "30", "100.0%", "4", "25.0%"], rows)
        self.assertIn(["=", "framing", "40", "90.0%", "4", "25.0%"], rows)

    def test_too_little_is_said_by_area(self):
        self.assertEqual(coverage.below({"framing": (90.0, [])}, 90), [])
        self.assertEqual(coverage.below({"framing": (89.9, [])}, 90), ["framing: 89.9 % of its lines, less than 90 %"])

    def test_a_core_that_nothing_links_is_too_little(self):
        files = {"framing/a.cc": "framing", "framing/b.cc": "framing"}
        text, areas = coverage.report(files, {"framing/a.cc": file(10, 10)})
        self.assertIn("nothing links it", text)
        self.assertEqual(coverage.below(areas, 90), ["framing: no target links framing/b.cc"])

    def main(self, *arguments, build=BUILD, bazel="exit 0", reached=()):
        """main() in a tree of framing and transport/kcp, with such a Bazel; what llvm-cov says is `reached`."""
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for area, text in (("framing", BUILD), ("transport/kcp", build)):
                (root / area).mkdir(parents=True)
                (root / area / "BUILD").write_text(text)
            (root / "bazel").write_text("#!/bin/sh\n" + bazel + "\n")
            (root / "bazel").chmod(0o755)
            out, err = io.StringIO(), io.StringIO()
            with contextlib.ExitStack() as stack:
                # What it runs writes to the real one.
                err.fileno = stack.enter_context(open(os.devnull, "w")).fileno
                for context in (unittest.mock.patch.multiple(coverage, ROOT=root, AREAS=["framing", "transport/kcp"],
                                                             export=lambda *_: dict(reached)),
                                unittest.mock.patch.dict(os.environ, BAZEL=str(root / "bazel"), XDG_CACHE_HOME=directory),
                                contextlib.redirect_stdout(out), contextlib.redirect_stderr(err)):
                    stack.enter_context(context)
                return coverage.main(list(arguments)), out.getvalue(), err.getvalue()

    REACHED = {"framing/a.cc": file(10, 10), "transport/kcp/a.cc": file(10, 10)}

    def test_enough_is_0_and_too_little_1(self):
        self.assertEqual(self.main("--at-least", "90", reached=self.REACHED)[0], 0)
        status, out, _ = self.main("--at-least", "90", reached=dict(self.REACHED, **{"framing/a.cc": file(10, 8)}))
        self.assertEqual(status, 1)
        self.assertIn("BELOW: framing: 80.0 %", out)

    def test_an_area_without_cores_does_not_pass(self):
        driver = 'wayport_library(name = "driver", srcs = ["driver.cc"])'
        status, _, err = self.main("--at-least", "90", "transport", build=driver, reached=self.REACHED)
        self.assertEqual((status, err), (2, "tools/coverage: transport/kcp has no core, nothing of it can be measured\n"))

    def test_a_word_that_is_no_area_does_not_pass_beside_one_that_is(self):
        status, _, err = self.main("--at-least", "90", "framing", "transport/kpc", reached=self.REACHED)
        self.assertEqual((status, err), (2, "tools/coverage: transport/kpc is no area; there are framing, transport/kcp\n"))

    def test_tests_that_fail_do_not_pass(self):
        for more in ((), ("--at-least", "90")):
            status, out, _ = self.main(*more, bazel='[ "$1" != test ] || exit 3', reached=self.REACHED)
            self.assertEqual(status, 1)
            self.assertIn("FAILED: some tests", out)

    def test_what_keeps_it_from_running_is_one_line_and_2(self):
        for bazel, wanted in (('[ "$1" = info ] && echo no server >&2 && exit 37; exit 0', "exits with 37: no server"),
                              ('[ "$1" != test ] || exit 1', "the tests could not be built"),
                              ('rm "$0"', "FileNotFoundError: ")):
            status, _, err = self.main(bazel=bazel, reached=self.REACHED)
            self.assertEqual(status, 2)
            self.assertRegex(err.splitlines()[-1], "^tools/coverage: .*" + wanted)
            self.assertNotIn("Traceback", err)

    def test_missed_lines_are_ranges(self):
        segments = [[1, 1, 5, True, True, False], [3, 1, 0, True, True, False], [5, 2, 5, True, False, False],
                    [9, 1, 0, True, True, False], [9, 9, 0, False, False, False]]
        self.assertEqual(coverage.missed_lines(file(9, 5, segments=segments)), ["3-5", "9"])


if __name__ == "__main__":
    unittest.main()
