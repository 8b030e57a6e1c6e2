#!/usr/bin/env python3
"""Tests namespaces.py with real namespaces, where there is the privilege to make them."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.runner import engine, namespaces

WAITS = 'trap "exit 7" TERM; echo READY; while :; do sleep 0.05; done'


def tree_with_shell(directory):
    """A root directory with /bin/sh, cat and sleep, and the libraries that they need."""
    for program in ("sh", "cat", "sleep"):
        path = shutil.which(program)
        needed = subprocess.run(["ldd", path], capture_output=True, text=True).stdout.split()
        for file in [path, *(word for word in needed if word.startswith("/"))]:
            target = directory / ("bin/" + program if file == path else file.lstrip("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


class NamespacesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if namespaces.available() is not None:
            raise unittest.SkipTest("needs the privilege to make namespaces: %s" % namespaces.available())
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="namespaces-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, True)
        tree_with_shell(cls.directory / "tree")
        with tarfile.open(cls.directory / "tree.tar", "w") as tar:
            tar.add(cls.directory / "tree", ".")

    def engine(self, **more):
        made = namespaces.Engine(directory=self.directory / "logs", state=self.directory / "state", **more)
        made.roots = self.directory / "roots"
        if made.image("sh") is None:
            made.import_image(self.directory / "tree.tar", "sh", ['ENTRYPOINT ["/bin/sh", "-c"]'], {"a": "b"})
        return made

    def test_a_program_has_its_environment_names_status_and_end(self):
        with self.engine() as run:
            net = run.network("n")
            server = run.run("server", "sh", ["echo $A; cat /etc/hosts; " + WAITS], env={"A": "from outside"}, networks=[net],
                             aliases=["other"])
            server.wait_line("^READY$", 10)
            lines = server.output.lines("out")
            self.assertEqual(lines[0], "from outside")
            self.assertIn("%s server other" % server.address(net), lines)
            self.assertEqual(server.stop(), 7)
            again = server.output.count()
            server.start()
            server.wait_line("READY", 10, after=again)
            server.kill()
            self.assertEqual(server.wait(10), 137)

    def test_networks_reach_their_members_and_nothing_else(self):
        with self.engine() as run:
            one, two = run.network("one"), run.network("two")
            server = run.run("server", "sh", [WAITS], networks=[one])
            client = run.run("client", "sh", [WAITS], networks=[one])
            stranger = run.run("stranger", "sh", [WAITS], networks=[two])
            ping = ["ping", "-c", "1", "-W", "1", server.address(one)] if shutil.which("ping") else None
            if ping:
                client.in_network(ping)
                self.assertNotEqual(stranger.in_network(ping, check=False).returncode, 0)
            server.disconnect(one)
            self.assertEqual(server.address(one), "")
            server.connect(one, "10.213.1.77")
            self.assertEqual(server.address(one), "10.213.1.77")

    def test_what_an_interrupted_run_left_is_removed(self):
        script = ("import sys; sys.path.insert(0, %r); import os, pathlib; from integration.runner import namespaces\n"
                  "run = namespaces.Engine(directory=%r, state=%r); run.roots = pathlib.Path(%r); run.__enter__()\n"
                  "run.run('server', 'sh', [%r], networks=[run.network('n')]).wait_line('READY', 20)\n"
                  "print(run.id, flush=True); os.kill(os.getpid(), 9)\n") % (
                      sys.path[0], str(self.directory / "logs"), str(self.directory / "state"), str(self.directory / "roots"), WAITS)
        self.engine()
        left = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip()
        names = [path for path in os.listdir("/run/netns") if left and left in path]
        self.assertEqual(len(names), 2, left)
        with self.engine():
            self.assertFalse([path for path in os.listdir("/run/netns") if left in path])
            self.assertFalse((self.directory / "state" / left).exists())

    def test_an_image_that_is_there_stays_for_whoever_runs_it(self):
        with self.engine() as one, self.engine() as other:
            one.import_image(self.directory / "tree.tar", "shared:1", ['ENTRYPOINT ["/bin/sh", "-c"]'])
            server = one.run("server", "shared:1", [WAITS])
            server.wait_line("^READY$", 10)
            place = pathlib.Path(one.image("shared:1")["Root"])
            before = place.stat().st_ino
            other.import_image(self.directory / "tree.tar", "shared:1", ['ENTRYPOINT ["/bin/sh", "-c"]'])
            self.assertEqual(place.stat().st_ino, before)
            again = server.output.count()
            self.assertEqual(server.stop(), 7)
            server.start()
            server.wait_line("READY", 10, after=again)
            one.remove_image("shared:1")
        self.assertEqual(list((self.directory / "roots/.unfinished").iterdir()), [])

    def test_an_image_is_there_when_it_is_whole(self):
        with self.engine() as run:
            (self.directory / "broken.tar").write_text("no archive")
            with self.assertRaises(engine.EngineError):
                run.import_image(self.directory / "broken.tar", "broken:1")
            self.assertIsNone(run.image("broken:1"))
            # One of an earlier kind, that was never finished.
            (self.directory / "roots/broken_1/root").mkdir(parents=True)
            run.import_image(self.directory / "tree.tar", "broken:1")
            self.assertEqual(run.tags("broken"), ["broken:1"])
            run.remove_image("broken:1")

    def test_what_an_interrupted_run_did_not_finish_is_removed(self):
        with self.engine() as run:
            engine.own(run.roots / ".unfinished/left")
            owner = engine.Owner.current()
            owner.start += 1
            (run.roots / ".unfinished/left/owner").write_text(str(owner))
            engine.own(run.roots / ".unfinished/living")
            run.sweep()
            self.assertEqual([path.name for path in (run.roots / ".unfinished").iterdir()], ["living"])
            shutil.rmtree(run.roots / ".unfinished/living")

    def test_a_use_makes_an_image_young(self):
        with self.engine() as run:
            os.utime(run.roots / "sh/config.json", (1, 1))
            self.assertGreater(run.image_age("sh"), 1000)
            run.run("server", "sh", ["true"], start=False)
            self.assertLess(run.image_age("sh"), 1000)

    def test_a_program_that_is_missing_is_no_answer_of_its_own(self):
        with self.engine() as run:
            with self.assertRaisesRegex(engine.EngineError, "missing: does not start: .*/no/such"):
                run.run("missing", "sh", entrypoint="/no/such").wait(10)
            answer = run.run("answer", "sh", ["echo no snet >&2; exit 127"])
            self.assertEqual(answer.wait(10), 127)

    def test_limits_that_need_a_container_engine_are_refused(self):
        with self.engine() as run:
            with self.assertRaisesRegex(engine.EngineError, "container engine"):
                run.run("server", "sh", ["true"], memory="64m")

    def test_a_directory_in_memory_has_its_limits(self):
        fills = 'i=0; while [ $i -lt 100 ]; do echo "$1" || exit 3; i=$((i + 1)); done > /small/file'
        line = "x" * 1024
        with self.engine() as run:
            small = run.run("small", "sh", [fills, "sh", line], tmpfs=["/small:size=64k,mode=1777"])
            self.assertEqual(small.wait(10), 3)
            large = run.run("large", "sh", [fills, "sh", line], tmpfs=["/small:size=1m"])
            self.assertEqual(large.wait(10), 0)
            mounts = run.run("mounts", "sh", ["cat /proc/mounts"], tmpfs=["/tmp:size=128k,mode=0700", "/plain"])
            self.assertEqual(mounts.wait(10), 0)
        lines = [line for line in mounts.output.lines("out") if line.split()[1] in ("/tmp", "/plain")]
        self.assertEqual(len(lines), 2, lines)
        self.assertRegex(lines[0], "/tmp .*size=128k,mode=700")
        self.assertNotIn("size=", lines[1])

    def test_an_image_on_top_of_another_one_has_its_files(self):
        context = self.directory / "context"
        context.mkdir()
        (context / "0").write_text("hello\n")
        (context / "Dockerfile").write_text("FROM sh\nCOPY 0 /greeting\n")
        with self.engine() as run:
            run.build_image(context, "top", {"a": "c"})
            self.assertEqual(run.images("a=c"), ["top"])
            run.import_image(self.directory / "tree.tar", "top:1")
            self.assertEqual(run.tags("top"), ["top:1"])
            run.remove_image("top:1")
            program = run.run("reader", "top", ["cat /greeting"])
            self.assertEqual((program.wait(10), program.output.lines("out")), (0, ["hello"]))
            run.remove_image("top")
            self.assertIsNone(run.image("top"))
        self.assertEqual(json.loads((self.directory / "roots/sh/config.json").read_text())["Labels"], {"a": "b"})


if __name__ == "__main__":
    unittest.main()
