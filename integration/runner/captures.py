"""Packets of a cell, written while it runs: dumpcap or tcpdump on the bridge of its network. Needs root on the engine's machine."""

import shutil
import subprocess
import time

START_SECONDS_MAX = 5


def program():
    """What captures here, None if nothing does."""
    return next((name for name in ("dumpcap", "tcpdump") if shutil.which(name)), None)


class Capture:
    """As a context: packets of one network go to a file."""

    def __init__(self, network, path):
        self._network = network
        self._path = path
        self._process = None

    def __enter__(self):
        name = program()
        # Some programs give up their privileges, and can then not make a file in a directory of ours.
        self._path.touch()
        self._path.chmod(0o666)
        words = [*self._network.capture_words(), name, "-i", self._network.bridge(), "-w", str(self._path)]
        words += ["-q"] if name == "dumpcap" else ["-U", "-Z", "root"]
        self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                         start_new_session=True)
        deadline = time.monotonic() + START_SECONDS_MAX
        # The file's header is written once packets are taken.
        while self._path.stat().st_size == 0 and self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self

    def __exit__(self, *unused):
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
