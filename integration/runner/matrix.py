"""Runs cells, several at the same time, each on a network of its own."""

import concurrent.futures
import contextlib
import itertools
import os
import queue
import threading
import time

from integration.runner import captures, model, shapes
from integration.runner.engine import EngineError
from integration.runner.results import Result, State, judge
from integration.runner.stage import Ended, Stage


class Matrix:
    """The cells of one run."""

    def __init__(self, engine, images, implementations, transports, certificates, output, jobs, seed, with_captures=False,
                 required=(), say=print):
        self._engine = engine
        self._images = images
        self._implementations = implementations
        self._transports = transports
        self._certificates = certificates
        self._output = output
        self._jobs = jobs
        self._seed = seed
        self._with_captures = with_captures
        self._required = frozenset(required)
        self._say = say
        self._number = itertools.count(1)
        self._networks = queue.SimpleQueue()  # of those that no cell is on; None: one is to be made
        self._network_number = itertools.count()
        self._done = 0
        self._lock = threading.Lock()

    def recipes(self, cells):
        """Which images the cells need."""
        names = {"peers"} if any(cell.case.extras.get("cuts") for cell in cells) else set()
        for cell in cells:
            if self._is_playable(cell):
                for party, role in model.SHAPES[cell.case.shape].items():
                    part = self._implementations[cell.implementation(party)].part(role)
                    names |= {part.build} if part.build and not part.image else set()
        return sorted(names)

    def run(self, cells, repeat=1):
        """The results. Cells that only the full form has are begun last: their images may still be made."""
        runs = [(cell, self._directory(cell, number, repeat)) for number in range(repeat) for cell in cells]
        runs.sort(key=lambda run: run[0].is_full_form_only)
        for _ in range(min(self._jobs, max(1, len(runs)))):
            self._networks.put(self._new_network())
        with concurrent.futures.ThreadPoolExecutor(self._jobs) as pool:
            futures = [pool.submit(self._run, cell, directory, len(runs)) for cell, directory in runs]
            try:
                return [future.result() for future in futures]
            except BaseException:
                # What has begun ends when its image's build or its containers do; the rest shall not begin.
                pool.shutdown(wait=False, cancel_futures=True)
                self._images.close()
                self._engine.close()
                raise

    def _directory(self, cell, number, repeat):
        """Where one run of a cell leaves its files: one for each run, as they may be at the same time."""
        directory = self._output / "cells" / cell.file_name
        return directory / ("run-%d" % (number + 1)) if repeat > 1 else directory

    def _new_network(self):
        return self._engine.network("cells%d" % next(self._network_number))

    def _is_playable(self, cell):
        roles = model.SHAPES[cell.case.shape]
        return all(self._implementations[name].has_image(roles[party]) for party, name in cell.parties)

    def _run(self, cell, directory, total):
        if not self._is_playable(cell):
            roles = model.SHAPES[cell.case.shape]
            missing = sorted({name for party, name in cell.parties if not self._implementations[name].has_image(roles[party])})
            result = Result(cell, State.no_image, ", ".join(missing))
        else:
            result = self._play(cell, directory)
        result = judge(result, self._required)
        with self._lock:
            self._done += 1
            if result.state != State.no_image:
                self._say("%4d/%d %-13s %5.1f s  %s%s" % (self._done, total, result.state.value, result.seconds, cell.id,
                                                          "\n          " + result.reason if result.state == State.red else ""))
        return result

    def _play(self, cell, directory):
        directory.mkdir(parents=True, exist_ok=True)
        network = self._networks.get()
        began = time.monotonic()
        stage = None
        state, reason = State.green, ""
        try:
            network = network or self._new_network()
            stage = Stage(self._engine, network, self._images, self._implementations, self._certificates, directory,
                          "c%d-" % next(self._number))
            with self._capture(network, directory):
                shapes.play(stage, cell, self._transports, self._seed)
        except Ended as ended:
            state, reason = ended.state, ended.reason
        except (EngineError, OSError) as error:
            state, reason = State.red, "%s: %s" % (self._engine.kind, error)
        finally:
            if stage is not None:
                try:
                    stage.clear()
                except EngineError:
                    # Leftovers are removed at the end of the run. Until then no other cell shall meet them.
                    network = None
            if self._engine.keep:
                network = None
            self._networks.put(network)
        logs = tuple(sorted(os.path.relpath(path, self._output) for path in directory.iterdir() if path.is_file()))
        return Result(cell, state, reason, time.monotonic() - began, stage.measured if stage else {}, logs)

    def _capture(self, network, directory):
        if not self._with_captures:
            return contextlib.nullcontext()
        return captures.Capture(network, directory / "packets.pcapng")
