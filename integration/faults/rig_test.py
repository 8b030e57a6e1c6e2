#!/usr/bin/env python3
"""Tests what scenarios are made of, with an engine that starts nothing."""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.faults import rig, rolling, upgrade
from integration.runner.engine import EngineError, TimedOut

NAME = 'wayport_link_connections{kind="server"}'


class FakeEngine:
    def __init__(self, keep=False, kind="containers"):
        self.keep = keep
        self.kind = kind
        self.removed = []

    def network(self, name, subnet=None):
        return types.SimpleNamespace(name=name, remove=lambda: self.removed.append(name))

    def run(self, name, image, command, **options):
        return types.SimpleNamespace(name=name)

    def remove(self, containers):
        self.removed += [container.name for container in containers]


class Gateway:
    """Gives these answers to who asks for its metrics, the last one for ever."""

    name = "gateway"

    def __init__(self, *answers):
        self._answers = list(answers)

    def in_network(self, words, check=True):
        text = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if text is None:
            return types.SimpleNamespace(stdout="", stderr="Traceback\nConnectionRefusedError: refused", returncode=1)
        return types.SimpleNamespace(stdout=text, stderr="", returncode=0)


class RigTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def rig(self, **more):
        images = types.SimpleNamespace(recipe=lambda name: name)
        return rig.Rig(FakeEngine(**more), images, self.directory, "x")

    def test_all_is_removed_unless_it_is_kept(self):
        for keep, removed in ((False, ["x-server", "x-net"]), (True, [])):
            with self.rig(keep=keep) as made:
                made.run("server", "wayport", [])
                link = mock.Mock()
                made._links.append(link)
            self.assertEqual(made.engine.removed, removed)
            # It runs on this machine, where nobody would look for it.
            link.stop.assert_called_once_with()

    def test_a_metric_is_read(self):
        self.assertEqual(self.rig().metric(Gateway('# TYPE x gauge\nwayport_link_connections{kind="server"} 3\n'), NAME), 3)

    def test_one_that_cannot_be_read_is_no_zero(self):
        for answer, why in ((None, "ConnectionRefusedError: refused"), ("", "no such row"), (NAME + "_more 3\n", "no such row")):
            with self.assertRaisesRegex(EngineError, "gateway: no wayport_link_connections.* in /metrics: .*" + why):
                self.rig().metric(Gateway(answer), NAME)

    def test_who_waits_for_one_has_patience(self):
        gateway = Gateway(None, NAME + " 0\n", NAME + " 2\n")
        with mock.patch.object(rig.time, "sleep"):
            self.assertEqual(self.rig().wait_metric(gateway, NAME, lambda value: value >= 1), 2)
        for answer, why in ((None, "ConnectionRefusedError"), (NAME + " 0\n", "is 0")):
            with self.assertRaisesRegex(TimedOut, why):
                self.rig().wait_metric(Gateway(answer), NAME, lambda value: value >= 1, seconds=-1)


class LinkTest(unittest.TestCase):
    def test_one_that_does_not_get_ready_is_ended_however_the_waiting_ends(self):
        started = []

        def start(words):
            started.append(subprocess.Popen(["sleep", "600"], stdout=subprocess.PIPE, stderr=subprocess.PIPE))
            return started[-1]

        endpoint = types.SimpleNamespace(start_in_network=start)
        for error in (TimedOut("not ready"), KeyboardInterrupt()):
            with tempfile.TemporaryDirectory() as directory, mock.patch.object(rig.Output, "wait_for", side_effect=error), \
                    self.assertRaises(type(error)):
                rig.EmulatedLink("emulator", endpoint, "loss=3%", directory)
            self.assertIsNotNone(started[-1].returncode)


class KnockerTest(unittest.TestCase):
    def knock(self, port):
        said = subprocess.run([sys.executable, "-c", upgrade.KNOCKER, "127.0.0.1", str(port), "0.02"], capture_output=True, text=True, check=True)
        return json.loads(said.stdout.removeprefix("RESULT "))

    def test_says_who_let_it_in(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            result = self.knock(port)
            self.assertGreater(result["tried"], 0)
            self.assertEqual(result["refused"], 0)
        result = self.knock(port)
        self.assertEqual(result["refused"], result["tried"])
        self.assertIn("refused", result["first"][0])


class BalancerTest(unittest.TestCase):
    def test_knows_gateways_as_its_engine_does(self):
        text = rolling._configuration(FakeEngine(), ("one", "two"))
        self.assertIn("server two two:4900 check inter 200ms fall 1 rise 1 init-addr none resolvers dns\n", text)
        self.assertIn("\nresolvers dns\n", text)
        text = rolling._configuration(FakeEngine(kind="namespaces"), ("one", "two"))
        self.assertIn("server two two:4900 check inter 200ms fall 1 rise 1 init-addr libc\n", text)
        self.assertNotIn("resolvers", text)


if __name__ == "__main__":
    unittest.main()
