#!/usr/bin/env python3
"""The archives of tools/image hold what the images promise. No engine is needed.

What is in an archive is read with tarfile and readelf, not with what made it.
"""

import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import build
import check
import contents
import debian
import elf
import engine
import image
import layer
import spdx

PROGRAMS = {
    "wayport-gateway": os.path.abspath(os.environ.get("GATEWAY", "gateway/wayport-gateway")),
    "wayport": os.path.abspath(os.environ.get("WAYPORT", "tools/wayport/wayport")),
}
LINKED = {
    "wayport-gateway": os.path.abspath(os.environ.get("GATEWAY_LINKED", "tools/images/wayport-gateway_linked")),
    "wayport": os.path.abspath(os.environ.get("WAYPORT_LINKED", "tools/images/wayport_linked")),
}
TIME = 1_750_000_000
SHELLS = ("sh", "bash", "dash", "busybox", "env", "apt", "dpkg")


def run_tool(*arguments):
    environment = dict(os.environ, SOURCE_DATE_EPOCH=str(TIME))
    return subprocess.run([sys.executable, str(HERE / "image.py")] + list(arguments), capture_output=True, text=True,
                          env=environment)


class Archive:
    """What somebody else finds in it."""

    def __init__(self, path):
        with tarfile.open(path) as archive:
            self.members = {m.name: m for m in archive.getmembers()}
            self.data = {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}
        manifest, = json.loads(self.data["manifest.json"])
        self.names = manifest["RepoTags"]
        self.image = json.loads(self.data[manifest["Config"]])
        self.config = self.image["config"]
        self.layer_path, = manifest["Layers"]
        self.config_path = manifest["Config"]
        with tarfile.open(fileobj=io.BytesIO(self.data[self.layer_path])) as files:
            self.entries = files.getmembers()
            self.files = {m.name: files.extractfile(m).read() for m in self.entries if m.isfile()}
        self.links = {m.name: m.linkname for m in self.entries if m.issym()}

    def find(self, path):
        """The file at an absolute path, links followed as a kernel does; None if there is none."""
        parts = [p for p in path.split("/") if p]
        done = []
        for _ in range(100):
            if not parts:
                return self.files.get("/".join(done))
            done.append(parts.pop(0))
            target = self.links.get("/".join(done))
            if target is not None:
                done = [] if target.startswith("/") else done[:-1]
                for part in reversed([p for p in target.split("/") if p]):
                    parts.insert(0, part)
            while ".." in done:
                at = done.index("..")
                del done[max(at - 1, 0):at + 1]
        return None


def told_by_readelf(data, *options):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        tool = shutil.which("readelf") or shutil.which("llvm-readelf-19")
        return subprocess.run([tool, "--wide"] + list(options) + [file.name], capture_output=True, text=True, check=True).stdout


def readelf(data):
    """(interpreter, libraries) in the words of binutils or llvm."""
    told = told_by_readelf(data, "--dynamic", "--program-headers")
    interpreter = re.search(r"\[Requesting program interpreter: (\S+)\]", told)
    return interpreter.group(1) if interpreter else None, re.findall(r"\(NEEDED\)\s+Shared library: \[(\S+)\]", told)


class ArchivesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.directory = pathlib.Path(directory.name)
        programs = cls.directory / "programs"
        programs.mkdir()
        for name, path in PROGRAMS.items():
            (programs / name).symlink_to(path)
            (programs / (name + ".linked")).symlink_to(LINKED[name])
        cls.programs = programs
        done = run_tool("--binaries", str(programs), "--no-load", "--output", str(cls.directory / "out"))
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        cls.printed = done.stdout
        cls.archives = {name: Archive(cls.directory / "out" / (name + ".tar")) for name in PROGRAMS}
        cls.version = re.search(r"wayport-gateway:(\S+):", done.stdout).group(1)

    def both(self):
        for name, archive in self.archives.items():
            with self.subTest(image=name):
                yield name, archive

    def test_the_same_input_gives_the_same_bytes(self):
        again = self.directory / "again"
        self.assertEqual(run_tool("--binaries", str(self.programs), "--no-load", "--output", str(again)).returncode, 0)
        for name in PROGRAMS:
            for ending in (".tar", ".spdx.json"):
                first, second = ((self.directory / d / (name + ending)).read_bytes() for d in ("out", "again"))
                self.assertEqual(hashlib.sha256(first).hexdigest(), hashlib.sha256(second).hexdigest(), name + ending)

    def test_they_are_named_for_version_and_latest_or_as_told(self):
        for name, archive in self.both():
            self.assertEqual(archive.names, ["%s:%s" % (name, self.version), name + ":latest"])
        done = run_tool("--binaries", str(self.programs), "--no-load", "--output", str(self.directory / "named"), "--tag", "t1",
                        "--gateway-only")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(Archive(self.directory / "named" / "wayport-gateway.tar").names, ["wayport-gateway:t1"])
        self.assertFalse((self.directory / "named" / "wayport.tar").exists())

    def test_blobs_are_what_their_names_say(self):
        for _, archive in self.both():
            for path, data in archive.data.items():
                if path.startswith("blobs/"):
                    self.assertEqual(path, "blobs/sha256/" + hashlib.sha256(data).hexdigest())
            self.assertEqual(archive.image["rootfs"]["diff_ids"], ["sha256:" + archive.layer_path.rpartition("/")[2]])

    def test_they_are_image_layouts_too(self):
        for _, archive in self.both():
            self.assertEqual(json.loads(archive.data["oci-layout"]), {"imageLayoutVersion": "1.0.0"})
            for described in json.loads(archive.data["index.json"])["manifests"]:
                manifest_bytes = archive.data["blobs/sha256/" + described["digest"].partition(":")[2]]
                self.assertEqual(described["size"], len(manifest_bytes))
                manifest = json.loads(manifest_bytes)
                self.assertEqual(manifest["config"]["digest"], "sha256:" + archive.config_path.rpartition("/")[2])
                self.assertEqual([d["digest"] for d in manifest["layers"]], archive.image["rootfs"]["diff_ids"])
                self.assertEqual(manifest["layers"][0]["size"], len(archive.data[archive.layer_path]))

    def test_they_run_as_nobody_in_particular(self):
        for name, archive in self.both():
            self.assertEqual(archive.config["User"], "65532:65532")
            self.assertEqual(archive.config["Entrypoint"], ["/usr/bin/" + name])
            self.assertEqual(archive.config["StopSignal"], "SIGTERM")
            self.assertIn("nonroot:x:65532:65532:", archive.files["etc/passwd"].decode())
            self.assertIn("nonroot:x:65532:", archive.files["etc/group"].decode())

    def test_nothing_is_writable_and_nothing_gives_privileges(self):
        for _, archive in self.both():
            for entry in archive.entries:
                self.assertEqual((entry.uid, entry.gid, entry.mtime), (0, 0, TIME), entry.name)
                if not entry.issym():
                    self.assertEqual(entry.mode & 0o7222, 0, entry.name)
                self.assertTrue(entry.isfile() or entry.isdir() or entry.issym(), entry.name)
                self.assertEqual([k for k in entry.pax_headers if "xattr" in k], [], "capabilities of files are such")

    def test_there_is_no_shell_and_one_program(self):
        for name, archive in self.both():
            programs = [m.name for m in archive.entries if m.isfile() and m.mode & 0o111]
            libraries = [p for p in programs if ".so" in p]
            self.assertEqual(sorted(set(programs) - set(libraries)), ["usr/bin/" + name])
            self.assertEqual([m.name for m in archive.entries if m.name.rpartition("/")[2] in SHELLS], [])

    def test_every_library_that_is_needed_is_there_and_no_other(self):
        for name, archive in self.both():
            interpreter, waiting = readelf(archive.find("/usr/bin/" + name))
            self.assertIsNotNone(archive.find(interpreter), interpreter)
            directory = "/lib/x86_64-linux-gnu/" if "x86-64" in interpreter else "/lib/aarch64-linux-gnu/"
            reached = {os.path.basename(interpreter)}
            while waiting:
                library = waiting.pop()
                if library in reached:
                    continue
                reached.add(library)
                data = archive.find(directory + library)
                self.assertIsNotNone(data, "%s is needed" % library)
                waiting += readelf(data)[1]
            there = {p.rpartition("/")[2] for p in archive.files if p.startswith("usr" + directory)}
            self.assertEqual(there, reached)

    def test_the_program_has_no_symbols(self):
        for name, archive in self.both():
            program = archive.files["usr/bin/" + name]
            self.assertLess(len(program), os.path.getsize(PROGRAMS[name]))
            sections = told_by_readelf(program, "--sections")
            self.assertIn(".dynsym", sections)
            self.assertNotIn(".symtab", sections)

    def test_certificates_are_where_openssl_looks(self):
        for _, archive in self.both():
            bundle = archive.find("/etc/ssl/certs/ca-certificates.crt")
            self.assertGreater(bundle.count(b"-----BEGIN CERTIFICATE-----"), 50)
            self.assertEqual(archive.find("/usr/lib/ssl/cert.pem"), bundle)
            self.assertIn("SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", archive.config["Env"])

    def test_names_can_be_looked_up(self):
        for _, archive in self.both():
            self.assertIn("hosts: files dns\n", archive.files["etc/nsswitch.conf"].decode())
            self.assertIn("127.0.0.1 localhost\n", archive.files["etc/hosts"].decode())
            self.assertEqual(archive.files["etc/resolv.conf"], b"", "engines mount theirs")

    def test_labels_say_what_it_is(self):
        for _, archive in self.both():
            labels = {k.rpartition(".")[2]: v for k, v in archive.config["Labels"].items()}
            self.assertEqual(labels["version"], self.version)
            self.assertEqual(labels["licenses"], "Apache-2.0")
            self.assertEqual(labels["created"], "2025-06-15T15:06:40Z")
            self.assertRegex(labels["revision"], r"^(unknown|[0-9a-f]{40}(-dirty)?)$")
            self.assertTrue(labels["title"] and labels["description"])

    def test_the_gateway_asks_itself_for_its_health(self):
        config = self.archives["wayport-gateway"].config
        self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/usr/bin/wayport-gateway", "health", "http://127.0.0.1:9100"])
        self.assertEqual(config["Cmd"], ["--config", "/etc/wayport/gateway.toml"])
        settings = self.archives["wayport-gateway"].files["etc/wayport/gateway.toml"].decode()
        self.assertIn('address = "127.0.0.1:9100"', settings)
        self.assertNotIn("Healthcheck", self.archives["wayport"].config)
        for port in re.findall(r'"tcp://:([0-9]+)"', settings):
            self.assertIn(port + "/tcp", config["ExposedPorts"])

    def test_the_program_in_it_runs_with_the_libraries_in_it(self):
        for name, archive in self.both():
            with tempfile.TemporaryDirectory() as root:
                check.unpack(self.directory / "out" / (name + ".tar"), root)
                loader, = pathlib.Path(root, "usr/lib").glob("*/ld-*.so.*")
                done = subprocess.run([str(loader), "--library-path", str(loader.parent), root + "/usr/bin/" + name, "--version"],
                                      capture_output=True, text=True, env={})
            self.assertIn(self.version, done.stdout, done.stderr)

    def test_every_file_of_a_package_is_in_the_list_with_its_digest(self):
        for name, archive in self.both():
            listed = json.loads(archive.files["usr/share/doc/%s/%s.spdx.json" % (name, name)])
            digests = {f["fileName"]: {c["algorithm"]: c["checksumValue"] for c in f["checksums"]} for f in listed["files"]}
            for path, data in archive.files.items():
                # Written by tools/image itself, or the licences and the list.
                if path in contents.ETC or path.startswith("usr/share/"):
                    continue
                self.assertEqual(digests.pop("./" + path, {}).get("SHA256"), hashlib.sha256(data).hexdigest(), path)
            self.assertEqual(digests, {}, "files that are not there")
            beside = (self.directory / "out" / (name + ".spdx.json")).read_text()
            self.assertEqual(json.loads(beside), listed)

    def test_the_list_is_spdx(self):
        for name, archive in self.both():
            listed = json.loads(archive.files["usr/share/doc/%s/%s.spdx.json" % (name, name)])
            self.assertEqual((listed["spdxVersion"], listed["dataLicense"], listed["SPDXID"]),
                             ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"))
            self.assertRegex(listed["documentNamespace"], r"^urn:uuid:[0-9a-f-]{36}$")
            self.assertRegex(listed["creationInfo"]["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            for creator in listed["creationInfo"]["creators"]:
                self.assertRegex(creator, r"^(Tool|Organization|Person): \S")
            elements = {"SPDXRef-DOCUMENT"}
            for element in listed["packages"] + listed["files"]:
                self.assertRegex(element["SPDXID"], r"^SPDXRef-[A-Za-z0-9.-]+$")
                self.assertNotIn(element["SPDXID"], elements)
                elements.add(element["SPDXID"])
            described = [r for r in listed["relationships"] if r["relationshipType"] == "DESCRIBES"]
            self.assertEqual(len(described), 1)
            contained = {}
            for relation in listed["relationships"]:
                self.assertIn(relation["spdxElementId"], elements)
                self.assertIn(relation["relatedSpdxElement"], elements)
                if relation["relationshipType"] == "CONTAINS":
                    contained.setdefault(relation["spdxElementId"], []).append(relation["relatedSpdxElement"])
            sha1 = {f["SPDXID"]: next(c["checksumValue"] for c in f["checksums"] if c["algorithm"] == "SHA1") for f in listed["files"]}
            for package in listed["packages"]:
                self.assertTrue(package["name"] and package["versionInfo"] and package["downloadLocation"])
                for reference in package.get("externalRefs", []):
                    self.assertRegex(reference["referenceLocator"], r"^pkg:deb/debian/[a-z0-9.%A-F-]+@[A-Za-z0-9.%~_-]+\?arch=\w+$")
                files = contained.get(package["SPDXID"], [])
                if package["filesAnalyzed"]:
                    code = hashlib.sha1("".join(sorted(sha1[f] for f in files)).encode()).hexdigest()
                    self.assertEqual(package["packageVerificationCode"]["packageVerificationCodeValue"], code)
                else:
                    self.assertNotIn("packageVerificationCode", package)
                    self.assertEqual([f for f in files if f in sha1], [])

    def test_what_is_linked_is_in_the_list_with_its_licence(self):
        gateway = json.loads((self.directory / "out/wayport-gateway.spdx.json").read_text())
        packages = {p["name"]: p for p in gateway["packages"]}
        how = {r["relatedSpdxElement"]: r["relationshipType"] for r in gateway["relationships"] if r["relationshipType"] != "CONTAINS"}
        self.assertEqual(how["SPDXRef-Package-libc6"], "DYNAMIC_LINK")
        self.assertEqual(how["SPDXRef-Package-libboost1.81-dev"], "STATIC_LINK")
        self.assertEqual(how["SPDXRef-Package-libcli11-dev"], "STATIC_LINK")
        self.assertEqual(how["SPDXRef-Package-ca-certificates"], "DEPENDS_ON")
        self.assertEqual(packages["wayport-gateway"]["licenseDeclared"], "Apache-2.0")
        self.assertEqual(packages["ca-certificates"]["licenseDeclared"], "NOASSERTION")
        self.assertIn("MPL-2.0", packages["ca-certificates"]["licenseComments"])
        self.assertTrue([n for n in packages if n.startswith("libssl")], "shared or not, it is named")
        self.assertNotIn("libgtest-dev", packages)
        for name, archive in self.both():
            listed = json.loads((self.directory / "out" / (name + ".spdx.json")).read_text())
            for package in listed["packages"]:
                if package.get("supplier") == "Organization: Debian":
                    self.assertIn("usr/share/doc/%s/copyright" % package["name"], archive.files)
            texts = b"".join(d for p, d in archive.files.items() if p.endswith("/copyright")).decode(errors="replace")
            for licence in debian.referenced_licences(texts):
                self.assertIn("usr/share/common-licenses/" + licence, archive.files)

    def test_no_path_of_the_builder_is_in_what_was_made(self):
        for name, archive in self.both():
            for path, data in archive.files.items():
                if not path.startswith("usr/"):
                    self.assertNotIn(str(contents.ROOT).encode(), data, path)
            self.assertNotIn(str(contents.ROOT), json.dumps(archive.image))

    def test_a_root_for_other_builders_has_the_same_files(self):
        root = self.directory / "rootfs"
        done = run_tool("--binaries", str(self.programs), "--rootfs", str(root))
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, archive in self.both():
            found = {}
            for path in sorted((root / name).rglob("*")):
                if path.is_file() and not path.is_symlink():
                    found[str(path.relative_to(root / name))] = path.read_bytes()
            self.assertEqual(found.keys(), archive.files.keys())
            self.assertEqual(found, archive.files)
        done = run_tool("--binaries", str(self.programs), "--rootfs", str(root))
        self.assertEqual(done.returncode, 2, "what is there is not overwritten")


class DockerfileTest(unittest.TestCase):
    """The recipe for other builders says of its images what tools/image says of its own."""

    def stages(self):
        text = (contents.ROOT / "gateway/image/Dockerfile").read_text()
        text = re.sub(r"(?m)^#.*\n", "", text).replace("\\\n", "")
        for stage in re.split(r"(?m)^FROM ", text)[1:]:
            lines = [line.split(None, 1) for line in stage.splitlines()[1:] if line.strip()]
            yield stage.splitlines()[0], {key: value for key, value in lines}

    def test_its_images_are_those_of_the_tool(self):
        stages = [s for s in self.stages() if s[0].startswith("scratch")]
        self.assertEqual(len(stages), 2)
        for made in contents.IMAGES:
            _, stage = next(s for s in stages if json.loads(s[1]["ENTRYPOINT"]) == [made.binary])
            config = contents.config(made, "amd64", "0", "r", contents.timestamp(0))["config"]
            self.assertEqual(stage["USER"], config["User"])
            self.assertEqual(json.loads(stage["CMD"]), config["Cmd"])
            self.assertEqual(stage["WORKDIR"], config["WorkingDir"])
            self.assertEqual(stage["STOPSIGNAL"], config["StopSignal"])
            self.assertEqual(stage["ENV"].split(), config["Env"])
            self.assertEqual(set(stage.get("EXPOSE", "").split()), set(config["ExposedPorts"]))
            self.assertEqual(stage["COPY"], "--from=build /images/%s /" % made.name)
            for label in re.findall(r"(\S+)=", stage["LABEL"]):
                self.assertIn(label, config["Labels"])
            if made.health:
                self.assertEqual(json.loads(stage["HEALTHCHECK"].partition("CMD ")[2]), made.health)
            else:
                self.assertNotIn("HEALTHCHECK", stage)

    def test_the_classic_builder_takes_it(self):
        text = (contents.ROOT / "gateway/image/Dockerfile").read_text()
        self.assertNotRegex(text, r"--mount|<<|^# syntax")
        self.assertIn("ARG BASE=debian:12\n", text)


class PartsTest(unittest.TestCase):
    def test_an_elf_file_says_what_it_needs(self):
        with open(PROGRAMS["wayport-gateway"], "rb") as file:
            data = file.read()
        read = elf.Elf(data)
        interpreter, needed = readelf(data)
        self.assertEqual((read.interpreter, read.needed), (interpreter, needed))
        self.assertIn("libc.so.6", read.needed)

    def test_what_is_no_elf_file_is_refused(self):
        with open(PROGRAMS["wayport-gateway"], "rb") as file:
            data = file.read(4096)
        for bad in (b"", b"#!/bin/sh\n", data[:40], b"\x7fELF\x01\x01" + data[6:]):
            self.assertRaises(elf.NotElf, elf.Elf, bad)

    def test_a_tree_refuses_what_is_no_path_below_it(self):
        for path in ("/etc/passwd", "../x", "a/../b", "a//b"):
            self.assertRaises(ValueError, layer.Tree().file, path, b"")
        tree = layer.Tree()
        tree.file("a/b", b"1")
        self.assertRaises(ValueError, tree.file, "a/b", b"2")

    def test_licences_have_the_names_of_spdx(self):
        self.assertEqual(debian.spdx_expression("Expat"), "MIT")
        self.assertEqual(debian.spdx_expression("Apache-2.0 or GPL-2+"), "Apache-2.0 OR GPL-2.0-or-later")
        self.assertEqual(debian.spdx_expression("Expat and Zlib or GPL-2"), "(MIT AND Zlib) OR GPL-2.0-only")
        self.assertIsNone(debian.spdx_expression("OpenSSL-and-friends"))
        self.assertIsNone(debian.spdx_expression(None))

    def test_only_machine_readable_files_name_licences(self):
        text = ("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: 2020 X\n"
                "License: Expat\n\nFiles: debian/*\nCopyright: 2021 Y\nLicense: GPL-2+\n text\n\nLicense: Expat\n words\n")
        self.assertEqual(debian.licences(text), ("Expat", ["Expat", "GPL-2+"]))
        self.assertEqual(debian.licences("This package was made by X.\n\nLicense: whatever\n"), (None, []))
        self.assertEqual(debian.licences(None), (None, []))

    def test_a_file_of_no_package_has_no_owner(self):
        with tempfile.NamedTemporaryFile() as file:
            self.assertIsNone(debian.owner(file.name))
        self.assertEqual(debian.owner(shutil.which("dpkg-query")).name, "dpkg")

    def test_what_is_linked_comes_from_the_build(self):
        packages = dict(contents.linked_packages(["@wayport_sys//:openssl", "//base:bytes", "@wayport_sys//:asio"]))
        self.assertEqual(packages, {"libssl-dev": {"ssl", "crypto"}, "libboost1.81-dev": set()})

    def test_every_library_that_has_an_archive_is_linked_from_it(self):
        with tempfile.TemporaryDirectory() as directory:
            options = build.link_options(pathlib.Path(directory))
            made, = pathlib.Path(directory).iterdir()
            self.assertEqual(options, ["--linkopt=-L%s" % made])
            there = {p.name for p in made.iterdir()}
        self.assertLessEqual({"libz.a", "libcares.a", "libprotobuf.a"}, there)
        self.assertFalse({"libstdc++.a", "libtcmalloc.a", "libprofiler.a", "libssl.a", "libcrypto.a"} & there)
        self.assertNotIn("libspdlog.a", there)

    def test_a_program_that_takes_a_function_of_a_library_is_refused(self):
        program = shutil.which("dpkg-query")
        libraries, _ = contents.loaded_libraries(program)
        contents.check_names(program, libraries)
        name, file = next((name, file) for name, file in libraries.items() if name.startswith("libc.so"))
        with self.assertRaisesRegex(debian.Problem, "both have"):
            contents.check_names(file, {name: file})

    def test_what_is_left_of_a_process_that_is_gone_is_known(self):
        self.assertFalse(engine.is_left_over(engine.mark()))
        self.assertTrue(engine.is_left_over("%d.1" % os.getpid()), "another process had the number")
        self.assertTrue(engine.is_left_over(""))
        ended = subprocess.Popen(["true"])
        ended.wait()
        self.assertTrue(engine.is_left_over("%d.77" % ended.pid))

    def test_mistakes_end_in_one_line_and_with_2(self):
        done = run_tool("--binaries", "/nonexistent", "--no-load")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1), done.stderr)
        self.assertEqual(run_tool("--no-such-option").returncode, 2)
        for other in (["--no-load"], ["--rootfs", "/nonexistent/x"]):
            done = run_tool("--check", *other)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--check starts the images in an engine", done.stderr)
        helped = run_tool("--help")
        self.assertEqual(helped.returncode, 0)
        for option in ("--output", "--tag", "--gateway-only", "--no-load", "--binaries", "--check", "--rootfs"):
            self.assertIn(option, helped.stdout)


if __name__ == "__main__":
    unittest.main()
