#!/usr/bin/env python3
"""Tests how cells are judged, and where they are played, with an engine that starts nothing."""

import pathlib
import sys
import tempfile
import threading
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.runner import matrix as matrices
from integration.runner import model
from integration.runner.engine import EngineError, Output, TimedOut
from integration.runner.results import State
from integration.runner.stage import Ended, Stage

DEADLINE_SECONDS = 20


class FakeContainer:
    """Says READY, unless it has ended before with 127. Ends when it is told to, with `status`, unless it has ended before."""

    def __init__(self, name, status=0, has_ended=False, said=()):
        self.name = name
        self.output = Output(name)
        for pipe, line in said:
            self.output._add(pipe, line)
        self.status = status
        self.has_ended = has_ended
        self.signals = []

    def wait_line(self, pattern, timeout):
        if self.has_ended and self.status == 127:
            raise TimedOut("%s: ended" % self.name)

    def running(self):
        return not self.has_ended

    def kill(self, signal):
        self.signals.append(signal)
        self.has_ended = True

    def wait(self, timeout):
        if not self.has_ended:
            raise TimedOut("%s: still runs" % self.name)
        return self.status


class FakeEngine:
    """Clients have ended with 0 when they are looked at; of others, `ended` {party: status} says who has, too."""

    kind = "fake"

    def __init__(self, ended=(), statuses=(), said=(), keep=False):
        self.keep = keep
        self.said = dict(said)  # party -> [(pipe, line)]
        self.removed = []
        self.ended = dict(ended)
        self.statuses = dict(statuses)
        self.started = []  # (party, what it was started with)
        self.networks = []
        self.containers = {}
        self.is_closed = False
        self.clearing_fails = False

    def network(self, name):
        made = types.SimpleNamespace(name=name, subnet=lambda: "10.0.0.0/24")
        self.networks.append(made)
        return made

    def run(self, name, image, command=(), **options):
        party = name.rpartition("-")[2]
        self.started.append((party, options))
        ends = {"client": 0, **self.ended}
        self.containers[party] = FakeContainer(name, ends.get(party, self.statuses.get(party, 0)), party in ends,
                                               self.said.get(party, ()))
        return self.containers[party]

    def remove(self, containers):
        if self.clearing_fails:
            raise TimedOut("not gone")
        self.removed += containers

    def close(self):
        self.is_closed = True


class FakeImages:
    def __init__(self, build=lambda: "image"):
        self._build = build
        self.is_closed = threading.Event()

    def reference(self, part):
        return self._build()

    def adapters(self):
        return "adapters"

    def close(self):
        self.is_closed.set()


def cell_of(name):
    """The first cell of a case and of parties."""
    implementations = model.read_implementations()
    cells = model.expand(model.read_cases(), implementations, model.read_transports())
    return next(cell for cell in cells if cell.id.startswith(name + "/"))


class Played(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.output = pathlib.Path(directory.name)

    def matrix(self, engine, images=None, jobs=1):
        return matrices.Matrix(engine, images or FakeImages(), model.read_implementations(), model.read_transports(), self.output / "certs",
                               self.output, jobs, 1, say=lambda text: None)

    def play(self, name, engine):
        return self.matrix(engine).run([cell_of(name)])[0]


class JudgedTest(Played):
    def test_a_cell_whose_parties_end_as_told_is_green(self):
        engine = FakeEngine()
        result = self.play("link-echo/gateway=wayport,server=go,client=go", engine)
        self.assertEqual((result.state, result.reason), (State.green, ""))
        self.assertEqual([engine.containers[party].signals for party in ("gateway", "server", "client")], [["TERM"], ["TERM"], []])

    def test_a_server_that_ended_before_it_was_told_to_is_red_with_its_status(self):
        for status in (139, 1, 0):
            result = self.play("echo/server=wayport,client=go", FakeEngine(ended={"server": status}))
            self.assertEqual(result.state, State.red)
            self.assertIn("server: ended with status %d before" % status, result.reason)

    def test_a_gateway_that_ended_is_red_and_not_its_server_that_would_notice(self):
        engine = FakeEngine(ended={"gateway": 134})
        result = self.play("link-echo/gateway=wayport,server=go,client=go", engine)
        self.assertEqual(result.state, State.red)
        self.assertIn("gateway: ended with status 134", result.reason)
        self.assertEqual(engine.containers["server"].signals, [])

    def test_the_server_that_decides_may_end_but_its_gateway_may_not(self):
        self.assertEqual(self.play("link-key/gateway=wayport,server=go", FakeEngine(ended={"server": 0})).state, State.green)
        self.assertEqual(self.play("link-key/gateway=wayport,server=go", FakeEngine(ended={"server": 1})).state, State.red)
        self.assertEqual(self.play("link-key/gateway=wayport,server=go", FakeEngine(ended={"server": 0, "gateway": 0})).state, State.red)

    def test_a_status_at_the_end_counts_for_the_contract_and_not_for_programs_of_others(self):
        name = "stream-bridge/server=go,bridge=haproxy,client=wayport"
        self.assertEqual(self.play(name, FakeEngine(statuses={"server": 1})).state, State.red)
        self.assertEqual(self.play(name, FakeEngine(statuses={"bridge": 143})).state, State.green)
        self.assertEqual(self.play(name, FakeEngine(ended={"bridge": 1})).state, State.red)


    def test_not_supported_is_believed_before_the_program_has_said_anything(self):
        name = "echo/server=wayport,client=go"
        for party in ("client", "server"):
            said = {party: [("err", "no snet")]}
            result = self.play(name, FakeEngine(ended={party: 127}, said=said))
            self.assertEqual(result.state, State.unsupported, party)
            self.assertIn("no snet", result.reason)

    def test_the_same_status_afterwards_is_red(self):
        name = "echo/server=wayport,client=go"
        for party in ("client", "server"):
            said = {party: [("out", "three of five passed"), ("err", "no such file")]}
            result = self.play(name, FakeEngine(ended={party: 127}, said=said))
            self.assertEqual(result.state, State.red, party)
            self.assertRegex(result.reason, "127 after it had printed three of five passed: no such file")


class PlaceTest(Played):
    def test_gateways_are_confined_as_their_operators_confine_them(self):
        engine = FakeEngine()
        self.play("link-echo/gateway=wayport,server=go,client=wayport", engine)
        confined = {party: (options["read_only"], options["drop_caps"]) for party, options in engine.started}
        self.assertEqual(confined, {"gateway": (True, True), "server": (False, False), "client": (False, False)})

    def test_each_of_several_runs_of_a_cell_has_a_directory_of_its_own(self):
        engine = FakeEngine()
        cell = cell_of("echo/server=wayport,client=go")
        self.matrix(engine, jobs=2).run([cell], repeat=3)
        place = self.output / "cells" / cell.file_name
        self.assertEqual(sorted(path.name for path in place.iterdir()), ["run-1", "run-2", "run-3"])
        self.assertEqual({options["directory"] for _, options in engine.started}, {place / ("run-%d" % n) for n in (1, 2, 3)})

    def test_a_single_run_has_the_cell_s_directory(self):
        engine = FakeEngine()
        cell = cell_of("echo/server=wayport,client=go")
        self.matrix(engine).run([cell])
        self.assertEqual({options["directory"] for _, options in engine.started}, {self.output / "cells" / cell.file_name})

    def test_a_network_that_was_not_cleared_meets_no_other_cell(self):
        engine = FakeEngine()
        engine.clearing_fails = True
        cell = cell_of("echo/server=wayport,client=go")
        results = self.matrix(engine).run([cell], repeat=2)
        self.assertEqual([result.state for result in results], [State.green, State.green])
        self.assertEqual([network.name for network in engine.networks], ["cells0", "cells1"])
        engine.clearing_fails = False
        self.matrix(engine).run([cell], repeat=3)
        self.assertEqual(len(engine.networks), 3)

    def test_what_is_to_be_kept_is_not_removed_and_meets_no_other_cell(self):
        for keep, removed, networks in ((False, 4, ["cells0"]), (True, 0, ["cells0", "cells1"])):
            engine = FakeEngine(keep=keep)
            self.matrix(engine).run([cell_of("echo/server=wayport,client=go")], repeat=2)
            self.assertEqual(len(engine.removed), removed)
            self.assertEqual([network.name for network in engine.networks], networks)

    def test_an_interrupt_ends_builds_that_cells_wait_for(self):
        began = threading.Event()

        def build():
            began.set()
            if not images.is_closed.wait(DEADLINE_SECONDS):
                raise AssertionError("nobody ended the build")
            raise EngineError("the run is over")

        images, engine = FakeImages(build), FakeEngine()
        matrix = self.matrix(engine, images)

        class Interrupted(BaseException):
            pass

        def interrupt(*unused):
            began.wait(DEADLINE_SECONDS)
            raise Interrupted()

        # Stands for the signal, which comes while the first result is waited for.
        original = matrices.concurrent.futures.Future.result
        matrices.concurrent.futures.Future.result = interrupt
        self.addCleanup(setattr, matrices.concurrent.futures.Future, "result", original)
        with self.assertRaises(Interrupted):
            matrix.run([cell_of("echo/server=wayport,client=go")])
        self.assertTrue(images.is_closed.is_set() and engine.is_closed)


class EndedTest(unittest.TestCase):
    def test_nothing_that_ended_by_itself_passes_unjudged(self):
        with tempfile.TemporaryDirectory() as directory:
            engine = FakeEngine(ended={"path": 1})
            stage = Stage(engine, engine.network("n"), FakeImages(), {}, "certs", pathlib.Path(directory), "c1-")
            stage.start_adapter("path", "path.py", {})
            with self.assertRaisesRegex(Ended, "path: ended with status 1"):
                stage.stop()


if __name__ == "__main__":
    unittest.main()
