#!/usr/bin/env python3
"""That a check of an image is never left alone, and that its complaints are told."""

import os
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.faults import image

# Says through a pipe that it is there, waits, and removes what it made however it ends.
CHECK = """
import signal, sys
print("  FAIL  it is small", flush=True)
try:
    open(sys.argv[1], "w").write("x")
    signal.pause()
finally:
    open(sys.argv[2], "w").write("removed")
"""


class Interrupted(BaseException):
    pass


class CheckTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def test_an_interrupt_or_its_limit_lets_it_remove_what_it_made(self):
        for error in (Interrupted(), subprocess.TimeoutExpired("check", 300)):
            there, removed = self.directory / "there", self.directory / "removed"
            os.mkfifo(there)
            started = []

            class Checking(subprocess.Popen):
                def __init__(self, *words, **options):
                    super().__init__(*words, **options)
                    started.append(self)

                def wait(self, timeout=None):
                    if timeout == image.CHECK_SECONDS_MAX:
                        there.read_text()
                        raise error
                    return super().wait(timeout)

            with mock.patch.object(image.subprocess, "Popen", Checking), self.assertRaises(type(error)):
                image._check([sys.executable, "-c", CHECK, str(there), str(removed)], self.directory / "check.log")
            self.assertEqual(removed.read_text(), "removed")
            self.assertIsNotNone(started[0].returncode)
            there.unlink()
            removed.unlink()

    def test_one_that_does_not_end_is_ended(self):
        process = mock.Mock()
        process.wait.side_effect = [Interrupted(), subprocess.TimeoutExpired("check", 60), -9]
        with mock.patch.object(image.subprocess, "Popen", return_value=process), self.assertRaises(Interrupted):
            image._check(["check"], self.directory / "check.log")
        process.kill.assert_called_once_with()

    def test_a_status_is_told_with_its_complaints(self):
        images = types.SimpleNamespace(recipe=lambda name: recipes.append(name), binaries_words=lambda: [])

        def check(words, log):
            log.write_text("wayport-gateway:checked\n  ok    there is no shell\n  FAIL  it is smaller than 25 MB (26.1 MB)\n1 failed\n")
            (self.directory / "image.json").write_text('{"runs": 10}')
            return status

        for status, passed, detail in ((0, True, None), (1, False, "FAIL  it is smaller than 25 MB (26.1 MB)")):
            recipes = []
            with mock.patch.object(image, "_check", check):
                result = image.runs_without_privileges(None, images, self.directory)
            self.assertEqual((result.passed, recipes), (passed, ["wayport-gateway"]))
            self.assertEqual(result.detail, detail or "FAIL  it is smaller than 25 MB (26.1 MB)" * (not passed))

    def test_why_it_could_not_run_is_a_complaint(self):
        self.assertEqual(image._complaints("loaded x\ntools/image: no disk\n        FAILURES are rare\n"), ["tools/image: no disk"])


if __name__ == "__main__":
    unittest.main()
