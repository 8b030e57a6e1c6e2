#!/usr/bin/env python3
"""Tests containers.py and engine.py without an engine: a fake docker command that keeps its containers and networks in a file."""

import io
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.runner import containers, engine

# Knows create, start, ps, network, rm, kill and pause as far as they are asked here, and notes every call but start, which nobody
# waits for.
DOCKER = """#!%s -SE
import json, pathlib, sys
state_path = pathlib.Path(sys.argv[0]).with_suffix(".json")
state = json.loads(state_path.read_text()) if state_path.exists() else {"container": {}, "network": {}, "calls": []}
words = sys.argv[1:]
state["calls"].append(words)

def labels():
    return dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--label")

def show(kind):
    for name, given in state[kind].items():
        if "wayport.integration" in given:
            print("\\t".join([name, given["wayport.integration"], given.get("wayport.integration.owner", "")]))

status = 0
if words[0] == "create":
    state["container"][words[words.index("--name") + 1]] = labels()
elif words[:2] == ["network", "create"]:
    state["network"][words[-1]] = labels()
elif words[:2] == ["image", "ls"]:
    print("\\n".join(["wayport:interop-1", "wayport:latest", "wayport:<none>", "other/wayport:1"]))
elif words[0] == "ps":
    show("container")
elif words[:2] == ["network", "ls"]:
    show("network")
elif words[0] == "rm":
    for name in words[3:]:
        state["container"].pop(name, None)
elif words[:2] == ["network", "rm"]:
    for name in words[2:]:
        state["network"].pop(name, None)
elif words[0] == "start":
    print("READY", flush=True)
    print("trouble", file=sys.stderr)
    sys.exit(3)
elif words[0] == "kill":
    print("Error: Container x is not running", file=sys.stderr)
    status = 1
elif words[0] == "pause":
    print("no such thing", file=sys.stderr)
    status = 1
state_path.write_text(json.dumps(state))
sys.exit(status)
"""


class FakeDocker(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        self.docker = self.directory / "docker"
        self.docker.write_text(DOCKER % sys.executable)
        self.docker.chmod(0o755)

    def state(self):
        return json.loads((self.directory / "docker.json").read_text())

    def engine(self, **more):
        return containers.Engine(docker=str(self.docker), directory=self.directory, **more)

    def plant(self, kind, name, run, owner):
        path = self.directory / "docker.json"
        state = json.loads(path.read_text()) if path.exists() else {"container": {}, "network": {}, "calls": []}
        state[kind][name] = {containers.RUN_LABEL: run, containers.OWNER_LABEL: owner}
        path.write_text(json.dumps(state))


def gone_owner():
    """Of a process that has ended."""
    ended = subprocess.Popen(["true"])
    owner = engine.Owner(ended.pid, engine._start_of(ended.pid) or 1, engine._boot(), engine._pid_namespace())
    ended.wait()
    return str(owner)


class LeftoversTest(FakeDocker):
    def test_of_a_run_whose_owner_is_gone_are_removed_at_the_start_of_the_next(self):
        self.plant("container", "wayport-it-old-server", "old", gone_owner())
        self.plant("network", "wayport-it-old-cells0", "old", gone_owner())
        with self.engine() as new:
            self.assertEqual(self.state()["container"], {})
            self.assertEqual(self.state()["network"], {})
            self.assertEqual(new.sweep(), [])

    def test_of_a_run_that_goes_on_stay(self):
        self.plant("container", "wayport-it-other-server", "other", str(engine.Owner.current()))
        with self.engine():
            pass
        self.assertEqual(list(self.state()["container"]), ["wayport-it-other-server"])

    def test_that_others_labelled_or_named_stay(self):
        self.plant("container", "somebody-elses", "old", gone_owner())
        self.plant("container", "wayport-it-unknown-owner", "old", "no owner of ours")
        with self.engine():
            pass
        self.assertEqual(sorted(self.state()["container"]), ["somebody-elses", "wayport-it-unknown-owner"])

    def test_of_this_run_are_removed_at_its_end_also_by_an_exception(self):
        with self.assertRaises(KeyboardInterrupt):
            with self.engine() as run:
                run.run("server", "image", networks=[run.network("front")], start=False)
                self.assertEqual(len(self.state()["container"]), 1)
                self.assertEqual(len(self.state()["network"]), 1)
                raise KeyboardInterrupt
        self.assertEqual((self.state()["container"], self.state()["network"]), ({}, {}))

    def test_stay_with_keep(self):
        with self.engine(keep=True) as run:
            server = run.run("server", "image", networks=[run.network("front")])
        self.assertEqual((len(self.state()["container"]), len(self.state()["network"])), (1, 1))
        self.assertFalse(server.running())  # nobody follows it any more

    def test_nothing_is_made_after_the_end(self):
        run = self.engine()
        run.close()
        with self.assertRaisesRegex(engine.EngineError, "over"):
            run.network("front")


class OwnerTest(unittest.TestCase):
    def test_survives_being_written_down(self):
        self.assertEqual(str(engine.Owner.parse(str(engine.Owner.current()))), str(engine.Owner.current()))
        self.assertFalse(engine.Owner.current().gone())

    def test_is_gone_after_another_start_of_the_same_number(self):
        owner = engine.Owner.current()
        owner.start += 1
        self.assertTrue(owner.gone())

    def test_is_gone_after_a_boot(self):
        owner = engine.Owner.current()
        owner.boot = "0-0"
        self.assertTrue(owner.gone())

    def test_in_another_process_namespace_is_not_known_to_be_gone(self):
        owner = engine.Owner(1 << 30, 1, engine.Owner.current().boot, "1")
        self.assertFalse(owner.gone())

    def test_that_cannot_be_read_is_none(self):
        for text in ("", "1:2", "1:2:x:y", None):
            self.assertIsNone(engine.Owner.parse(text))


class OwnedDirectoryTest(unittest.TestCase):
    def test_is_left_behind_once_its_owner_is_gone(self):
        with tempfile.TemporaryDirectory() as directory:
            parent = pathlib.Path(directory)
            for name in ("ours", "left"):
                engine.own(parent / name)
            (parent / "left/owner").write_text(gone_owner())
            (parent / "of-nobody").mkdir()
            (parent / "file").touch()
            self.assertEqual(engine.left_behind(parent), [parent / "left"])
            self.assertEqual(engine.left_behind(parent / "absent"), [])


class BoundTest(unittest.TestCase):
    def test_ends_with_whoever_started_it_also_by_sigkill(self):
        script = ("import os, subprocess, sys; sys.path.insert(0, %r); from integration.runner.engine import bound\n"
                  "started = subprocess.Popen(bound(['sh', '-c', 'echo up; exec sleep 600']), stdout=subprocess.PIPE, start_new_session=True)\n"
                  "started.stdout.readline(); print(started.pid, flush=True); sys.stdin.readline(); os.kill(os.getpid(), 9)\n") % sys.path[0]
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
            process = os.pidfd_open(int(starter.stdout.readline()))
            self.assertEqual(select.select([process], [], [], 0)[0], [])
            starter.stdin.write(b"\n")
            starter.stdin.close()
            self.assertEqual(select.select([process], [], [], 20)[0], [process])
            os.close(process)

    def test_has_its_own_status(self):
        self.assertEqual(subprocess.run(engine.bound(["sh", "-c", "exit 5"])).returncode, 5)


class ContainerTest(FakeDocker):
    def test_lines_of_both_pipes_and_the_status_are_there(self):
        with self.engine() as run:
            server = run.run("server", "image", env={"A": "b"}, networks=[run.network("front")], caps=["NET_ADMIN"], read_only=True,
                             volumes={"/here": "/there"})
            server.wait_line("^READY$", 10)
            self.assertEqual(server.wait(10), 3)
            self.assertEqual((server.output.lines("out"), server.output.lines("err")), (["READY"], ["trouble"]))
        words = next(call for call in self.state()["calls"] if call[0] == "create")
        for pair in (("--env", "A=b"), ("--cap-add", "NET_ADMIN"), ("--volume", "/here:/there:ro"), ("--network-alias", "server")):
            self.assertIn(pair, list(zip(words, words[1:])))
        self.assertIn("--read-only", words)
        self.assertIn("out READY", (self.directory / "server.log").read_text())

    def test_a_signal_for_one_that_has_ended_is_none(self):
        with self.engine() as run:
            run.run("server", "image").kill()

    def test_what_the_engine_refuses_is_an_error_with_its_words(self):
        with self.engine() as run:
            with self.assertRaisesRegex(engine.EngineError, "no such thing"):
                run.run("server", "image").pause()

    def test_tags_are_those_of_one_name(self):
        with self.engine() as run:
            self.assertEqual(run.tags("wayport"), ["wayport:interop-1", "wayport:latest"])

    def test_no_engine_is_told(self):
        self.assertIsNotNone(containers.available(str(self.directory / "absent")))
        self.assertIsNone(containers.available(str(self.docker)))


class RunningTest(unittest.TestCase):
    def test_a_process_that_does_not_go_is_told_as_an_error_of_the_engine(self):
        program = engine.Running("server", None)
        program._follow(subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        with mock.patch.object(engine, "CALL_SECONDS_MAX", 0.01), self.assertRaisesRegex(engine.TimedOut, "server: not gone"):
            program.finish()
        program._attached.kill()
        program.finish()
        self.assertFalse(program.running())


class OutputTest(unittest.TestCase):
    def follow(self, text, output=None):
        output = output or engine.Output("x")
        output.follow("out", io.BytesIO(text))
        self.assertTrue(output.wait_end(10))
        return output

    def test_only_lines_after_a_mark_count(self):
        output = self.follow(b"READY\n")
        mark = output.count()
        with self.assertRaises(engine.TimedOut):
            output.wait_for("READY", 0, after=mark)
        self.follow(b"READY again\n", output)
        self.assertEqual(output.wait_for("READY( again)?", 0, after=mark)[1], " again")

    def test_waiting_ends_with_the_program(self):
        began = time.monotonic()
        with self.assertRaisesRegex(engine.TimedOut, "ended without"):
            self.follow(b"no\n").wait_for("yes", 60, alive=lambda: False)
        self.assertLess(time.monotonic() - began, 30)

    def test_keeps_a_bounded_number_of_lines(self):
        output = self.follow(b"line\n" * (engine.LINES_MAX + 10))
        self.assertLessEqual(len(output.lines()), engine.LINES_MAX)
        self.assertEqual(output.count(), engine.LINES_MAX + 10)

    def test_cuts_lines_without_an_end(self):
        output = self.follow(b"x" * (engine.LINE_BYTES_MAX + 5))
        self.assertEqual([len(line) for line in output.lines()], [engine.LINE_BYTES_MAX, 5])


class NamesTest(unittest.TestCase):
    def test_are_those_of_hosts(self):
        for name in ("go", "kcp-go", "a", "go-1.19"):
            self.assertTrue(containers.valid_name(name), name)
        for name in ("", "-a", "a-", "A", "a b", "a/b", "x" * 60):
            self.assertFalse(containers.valid_name(name), name)


if __name__ == "__main__":
    os.environ.pop("DOCKER_HOST", None)
    unittest.main()
