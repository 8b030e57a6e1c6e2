#!/usr/bin/env python3
"""Tests images.py and certificates.py with an engine and programs that only write down what they are asked."""

import os
import pathlib
import stat
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.runner import certificates, images, main
from integration.runner.engine import EngineError

OLD_SECONDS = images.KEPT_SECONDS + 1


class FakeEngine:
    kind = "containers"

    def __init__(self, tags=()):
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


class ImagesTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

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

    def test_a_program_comes_from_where_bazel_says_and_leaves_the_symlinks_alone(self):
        out = self.directory / "out"
        self.program("out/a/tool", "built")
        bazel = self.program("bazel", '#!/bin/sh\necho "$*" >> %s/calls\n[ "$1" != info ] || echo %s\n'
                             % (self.directory, out))
        with mock.patch.dict(os.environ, {"BAZEL": str(bazel), "XDG_CACHE_HOME": str(self.directory / "cache")}):
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


class MainTest(unittest.TestCase):
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
