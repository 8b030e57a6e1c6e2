#!/usr/bin/env python3
"""Tests images.py and certificates.py with an engine and programs that only write down what they are asked."""

import os
import pathlib
import select
import stat
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.runner import certificates, containers, images, main, model, namespaces
from integration.runner.engine import EngineError, Owner, own

OLD_SECONDS = images.KEPT_SECONDS + 1


class FakeEngine:
    kind = "containers"
    id = "1-run"

    def __init__(self, tags=()):
        self.imported = {}  # reference -> bytes
        self.known = dict(tags)  # reference -> age
        self.removed = []

    def image(self, reference):
        return {"Id": reference} if reference in self.known else None

    def tags(self, repository):
        return [reference for reference in self.known if reference.startswith(repository + ":")]

    def image_age(self, reference):
        return self.known[reference]

    def remove_image(self, reference):
        self.removed.append(reference)

    def import_image(self, archive, reference, changes=(), labels=None):
        self.imported[reference] = pathlib.Path(archive).read_bytes()


class ImagesTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        patched = mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(self.directory / "cache")})
        patched.start()
        self.addCleanup(patched.stop)

    def made(self, engine, **more):
        return images.Images(engine, lambda text: None, log=self.directory / "log", **more)

    def program(self, name, text):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    def test_a_recipe_that_failed_is_not_tried_again(self):
        for error in (EngineError("no packages"), OSError("no space")):
            tries = []

            def recipe(made):
                tries.append(1)
                raise error

            with mock.patch.dict(images.RECIPES, {"peers": recipe}):
                made = self.made(FakeEngine())
                self.assertEqual(made.build(["peers"]), {"peers": str(error)})
                for _ in range(3):
                    with self.assertRaisesRegex(EngineError, str(error)):
                        made.recipe("peers")
            self.assertEqual(len(tries), 1)

    def test_earlier_images_of_ours_are_forgotten_and_no_others(self):
        for path in (*("binaries/" + name for name in images.OURS), "tools/images/layer.py", "gateway/image/gateway.toml"):
            self.program(path, "")
        engine = FakeEngine({
            "wayport:interop-old": OLD_SECONDS, "wayport-gateway:interop-old": OLD_SECONDS, "wayport:interop-young": 10,
            "wayport:latest": OLD_SECONDS, "wayport:0.1.0": OLD_SECONDS, "wayport:interop": OLD_SECONDS,
            "wayport-interop-base:old": OLD_SECONDS})
        made = self.made(engine, binaries=self.directory / "binaries")
        with mock.patch.object(made, "_run") as run, mock.patch.object(images, "ROOT", self.directory):
            reference = made.recipe("wayport")
        self.assertIn(reference.partition(":")[2], run.call_args.args[1])
        self.assertEqual(sorted(engine.removed), ["wayport-gateway:interop-old", "wayport:interop-old"])

    def test_the_tag_of_ours_is_of_all_that_is_in_them(self):
        root = self.directory / "root"
        (root / "tools/images").mkdir(parents=True)
        seen = []
        for path, text in (("gateway/image/gateway.toml", "1"), ("gateway/image/gateway.toml", "2"), ("tools/images/layer.py", "1"),
                           ("binaries/wayport", "1"), ("binaries/wayport-gateway", "1")):
            for name in images.OURS:
                if not (root / "binaries" / name).exists():
                    self.program("root/binaries/" + name, "")
            self.program("root/" + path, text)
            made = self.made(FakeEngine(), binaries=root / "binaries")
            with mock.patch.object(made, "_run"), mock.patch.object(images, "ROOT", root):
                seen.append(made.recipe("wayport"))
        self.assertEqual(len(set(seen)), 5)

    def test_programs_that_are_built_have_a_tag_that_no_other_run_takes(self):
        seen = []
        for name in ("1-run", "2-run"):
            engine = FakeEngine()
            engine.id = name
            with mock.patch.object(images.Images, "_run") as run:
                seen.append(self.made(engine).recipe("wayport"))
            self.assertEqual(run.call_args.args[1][1:3], ["--tag", "interop-" + name])
        self.assertEqual(seen, ["wayport:interop-1-run", "wayport:interop-2-run"])

    def test_as_directories_their_tag_says_what_is_in_them(self):
        seen = []
        for text in ("1", "1", "2"):
            engine = FakeEngine()
            engine.kind = "namespaces"

            def build(made, name, words):
                for program in images.OURS:
                    path = pathlib.Path(words[words.index("--rootfs") + 1]) / program / "program"
                    path.parent.mkdir()
                    path.write_text(text)

            with mock.patch.object(images.Images, "_run", build):
                seen.append(self.made(engine).recipe("wayport"))
            self.assertEqual(sorted(engine.imported), sorted([seen[-1], seen[-1].replace("wayport:", "wayport-gateway:")]))
        self.assertEqual(seen[0], seen[1])
        self.assertNotEqual(seen[0], seen[2])

    def test_what_building_needs_is_gone_at_the_end(self):
        made = self.made(FakeEngine())
        with made._directory() as directory:
            self.assertEqual(pathlib.Path(directory).parent, images.scratch() / "1-run")
            made.close()
            self.assertFalse((images.scratch() / "1-run").exists())
        with self.assertRaisesRegex(EngineError, "over"):
            made._directory()

    def test_what_an_interrupted_run_needed_is_removed_and_that_of_a_living_one_stays(self):
        for name in ("left", "living"):
            own(images.scratch() / name)
            (images.scratch() / name / "tmp").mkdir()
        owner = Owner.current()
        owner.start += 1
        (images.scratch() / "left/owner").write_text(str(owner))
        images.sweep()
        self.assertEqual([path.name for path in images.scratch().iterdir()], ["living"])

    def test_a_builder_and_its_children_end_with_a_run_that_is_killed(self):
        script = ("import os, subprocess, sys; sys.path.insert(0, %r); from integration.runner import images\n"
                  "builder = subprocess.Popen([*images.BUILDER, 'sh', '-c', 'sleep 600 & echo $!; wait'], stdout=subprocess.PIPE,\n"
                  "                           start_new_session=True)\n"
                  "print(builder.stdout.readline().decode().strip(), flush=True); sys.stdin.readline(); os.kill(os.getpid(), 9)\n") % sys.path[0]
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
            child = os.pidfd_open(int(run.stdout.readline()))
            self.assertEqual(select.select([child], [], [], 0)[0], [])
            run.stdin.write(b"\n")
            run.stdin.close()
            self.assertEqual(select.select([child], [], [], 20)[0], [child])
            os.close(child)

    def test_a_builder_that_ends_is_believed(self):
        made = self.made(FakeEngine())
        self.assertEqual(made._run("x", ["echo", "two words"]), "two words\n")
        with self.assertRaisesRegex(EngineError, "sh: status 3: why"):
            made._run("x", ["sh", "-c", "echo why; exit 3"])

    def test_a_program_comes_from_where_bazel_says_and_leaves_the_symlinks_alone(self):
        out = self.directory / "out"
        self.program("out/a/tool", "built")
        bazel = self.program("bazel", '#!/bin/sh\necho "$*" >> %s/calls\n[ "$1" != info ] || echo %s\n'
                             % (self.directory, out))
        with mock.patch.dict(os.environ, {"BAZEL": str(bazel)}):
            path = self.made(FakeEngine()).program("tool", "//a:tool")
        self.assertEqual(path.read_text(), "built")
        build, info = (self.directory / "calls").read_text().splitlines()
        self.assertIn("--experimental_convenience_symlinks=ignore", build.split())
        self.assertEqual(info, "info bazel-bin")


class CertificatesTest(unittest.TestCase):
    def test_what_openssl_said_is_told(self):
        with tempfile.TemporaryDirectory() as directory:
            program = pathlib.Path(directory) / "openssl"
            program.write_text("#!/bin/sh\necho 'no curve' >&2\nexit 1\n")
            program.chmod(0o755)
            with mock.patch.dict(os.environ, {"PATH": directory + ":/bin"}), self.assertRaisesRegex(EngineError, "openssl req: no curve"):
                certificates.make(pathlib.Path(directory) / "certs")


class EngineOfTest(unittest.TestCase):
    """Which engine runs, and that what is left by either is removed."""

    def engine_of(self, *words, no_containers=None, no_namespaces=None):
        self.swept = []
        with mock.patch.object(containers, "available", lambda: no_containers), \
                mock.patch.object(namespaces, "available", lambda: no_namespaces), \
                mock.patch.object(containers.Engine, "sweep", lambda engine: self.swept.append("containers")), \
                mock.patch.object(namespaces.Engine, "sweep", lambda engine: self.swept.append("namespaces")), \
                mock.patch.object(images, "sweep", lambda: self.swept.append("images")), mock.patch.object(main, "say"):
            return main.engine_of(main.parse(list(words)), None)

    def test_the_one_that_is_not_used_is_swept_too(self):
        # That of the engine in use is part of entering it.
        self.assertEqual((self.engine_of().kind, self.swept), ("containers", ["images", "namespaces"]))
        self.assertEqual((self.engine_of("--engine", "namespaces").kind, self.swept), ("namespaces", ["images", "containers"]))

    def test_the_one_that_is_not_there_is_not(self):
        self.assertEqual((self.engine_of(no_namespaces="no root").kind, self.swept), ("containers", ["images"]))
        self.assertEqual((self.engine_of(no_containers="no docker").kind, self.swept), ("namespaces", ["images"]))
        for words in (["--engine", "containers"], []):
            with self.assertRaisesRegex(EngineError, "no docker|no root"):
                self.engine_of(*words, no_containers="no docker", no_namespaces="no root")

    def test_keeping_is_for_containers(self):
        self.assertTrue(self.engine_of("--keep").keep)
        for words, more in ((["--engine", "namespaces"], {}), ([], {"no_containers": "no docker"})):
            with self.assertRaisesRegex(EngineError, "--keep needs a container engine"):
                self.engine_of("--keep", *words, **more)


class MainTest(unittest.TestCase):
    def test_faults_that_need_root_are_refused_before_anything_starts(self):
        for name, is_refused in (("gateway.killed", True), ("servers|image", False)):
            with mock.patch.object(main.os, "geteuid", lambda: 1000), \
                    mock.patch.object(main, "engine_of", side_effect=EngineError("began")), \
                    tempfile.TemporaryDirectory() as directory, \
                    self.assertRaisesRegex(model.Mistake if is_refused else EngineError, "of root .gateway.killed" if is_refused else "began"):
                main.run(main.parse(["--faults-only", "--only", name]), pathlib.Path(directory))

    def test_an_error_of_the_machine_is_one_line_and_2(self):
        for error in (OSError(28, "No space left on device"), FileNotFoundError(2, "No such file or directory", "openssl"),
                      EngineError("openssl req: no curve")):
            with mock.patch.object(main, "run", side_effect=error), mock.patch.object(main.signal, "signal"), \
                    mock.patch.object(main.sys, "stderr") as stderr:
                self.assertEqual(main.main(["--output", "/nonexistent"]), 2)
            said = "".join(call.args[0] for call in stderr.write.call_args_list)
            self.assertEqual(said, "tools/integration: %s\n" % error)


if __name__ == "__main__":
    unittest.main()
