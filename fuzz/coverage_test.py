#!/usr/bin/env python3
"""Tests coverage.py: which files count, what the table says, and when it is too little."""

import os
import sys
import unittest

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

    def test_missed_lines_are_ranges(self):
        segments = [[1, 1, 5, True, True, False], [3, 1, 0, True, True, False], [5, 2, 5, True, False, False],
                    [9, 1, 0, True, True, False], [9, 9, 0, False, False, False]]
        self.assertEqual(coverage.missed_lines(file(9, 5, segments=segments)), ["3-5", "9"])


if __name__ == "__main__":
    unittest.main()
