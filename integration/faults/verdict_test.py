#!/usr/bin/env python3
"""That a verdict is red for each kind of broken promise, and only then."""

import copy
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from verdict import Verdict  # noqa: E402

CLIENT = {"begun": 100, "replied": 97, "wrong": 0, "failed": {"101 in doubt": 2, "503 not executed": 1}, "without_outcome": 0,
          "dials": 21, "repeated": 3, "longest_stall_ms": 900, "stalls_ms": {"<50": 90, "<1000": 7}}
SERVER = {"executed": 98, "doubled": 0}


def judged(change=lambda client, server: None, may_fail=True):
    client, server = copy.deepcopy(CLIENT), dict(SERVER)
    change(client, server)
    verdict = Verdict("a fault", "a promise")
    verdict.outcomes(client, [server], may_fail)
    verdict.stall(client, 1000)
    return verdict.result()


class VerdictTest(unittest.TestCase):
    def test_what_fits_holds(self):
        result = judged()
        self.assertTrue(result.passed, result.detail)
        self.assertEqual(result.measured["replied"], 97)
        self.assertEqual(result.measured["stalls ms"], {"<1000": 7})

    def test_each_broken_promise_is_red_and_named(self):
        planted = {
            "no call was answered": lambda client, server: client.update(replied=0) or server.update(executed=1),
            "have no outcome": lambda client, server: client.update(without_outcome=1),
            "are wrong": lambda client, server: client.update(wrong=1),
            "executed twice": lambda client, server: server.update(doubled=1),
            "do not fit": lambda client, server: server.update(executed=96),
            "do not fit ": lambda client, server: server.update(executed=100),
            "failed with 404 in doubt": lambda client, server: client["failed"].update({"404 in doubt": 1}),
            "for 1001 ms": lambda client, server: client.update(longest_stall_ms=1001),
        }
        for text, change in planted.items():
            with self.subTest(text):
                result = judged(change)
                self.assertFalse(result.passed)
                self.assertIn(text.strip(), result.detail)

    def test_failures_are_red_where_none_may_be(self):
        self.assertIn("3 calls failed", judged(may_fail=False).detail)
        nothing = judged(lambda client, server: client.update(failed={}) or server.update(executed=97), may_fail=False)
        self.assertTrue(nothing.passed, nothing.detail)

    def test_a_server_that_was_killed_cannot_be_asked(self):
        self.assertTrue(judged(lambda client, server: server.update(executed=0, lost=True)).passed)


if __name__ == "__main__":
    unittest.main()
