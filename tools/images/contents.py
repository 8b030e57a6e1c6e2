"""What is in each image: the program, what its loader needs, certificates, a few files of /etc, licences and their list."""

import ast
import datetime
import glob
import json
import os
import pathlib
import re
import subprocess
import tempfile

import debian
import elf
import layer
import spdx

ROOT = pathlib.Path(__file__).resolve().parents[2]
USER = 65532  # what others call "nonroot", too
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
# OpenSSL's own idea of the file (OPENSSLDIR of Debian's).
OPENSSL_CERTIFICATES = "usr/lib/ssl/cert.pem"
# The package's own, and not the bundle in /etc: that one has what the administrator of this machine trusts besides.
CERTIFICATE_FILES = "/usr/share/ca-certificates/mozilla/*.crt"
CONFIG = "etc/wayport/gateway.toml"
DIRECTORY = "run/wayport"

ETC = {
    "etc/passwd": "root:x:0:0:root:/:/nonexistent\nnonroot:x:%d:%d:nonroot:/:/nonexistent\n" % (USER, USER),
    "etc/group": "root:x:0:\nnonroot:x:%d:\n" % USER,
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    # Engines mount their own over these three.
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n",
    "etc/resolv.conf": "",
    "etc/hostname": "",
}
# Where engines mount, also on a root that they may not write to.
MOUNT_POINTS = ["dev", "proc", "sys", "tmp", DIRECTORY]


class Image:
    """An image to make. target, built: the Bazel target, and its file below bazel-bin."""

    def __init__(self, name, target, built, title, description, command, ports=(), health=None, directory="/", files=None):
        self.name = name
        self.target = target
        self.built = built
        self.title = title
        self.description = description
        self.command = command
        self.ports = list(ports)
        self.health = health
        self.directory = directory
        self.files = files or {}  # path in the image -> path in the tree

    @property
    def linked_target(self):
        return "//tools/images:%s_linked" % self.name

    @property
    def binary(self):
        return "/usr/bin/" + self.name


IMAGES = [
    Image(
        "wayport-gateway", "//gateway:wayport-gateway", "gateway/wayport-gateway",
        "wayport gateway", "Link and route gateway: takes the place of fastway and gogateway-light",
        command=["--config", "/" + CONFIG],
        # Of the original gateways; what is served is up to the configuration.
        ports=["4900/tcp", "4901/tcp", "7780/tcp", "7788/tcp", "7790/udp", "9100/tcp"],
        health=["/usr/bin/wayport-gateway", "health", "http://127.0.0.1:9100"],
        # Commands and profiles are files of the working directory: a tmpfs there turns them on.
        directory="/" + DIRECTORY,
        files={CONFIG: "gateway/image/gateway.toml"},
    ),
    Image(
        "wayport", "//tools:wayport", "tools/wayport/wayport",
        "wayport", "Command line of wayport: serves, calls, pipes and decodes Teleport v2 connections",
        command=["--help"],
    ),
]


def strip(path):
    """The program without symbols."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "stripped")
        for tool in ("llvm-strip-19", "strip"):
            try:
                done = subprocess.run([tool, "--strip-all", "-o", out, path], capture_output=True, text=True)
            except OSError:
                continue
            if done.returncode != 0:
                raise debian.Problem("%s cannot be stripped: %s" % (path, done.stderr.strip()))
            return pathlib.Path(out).read_bytes()
    raise debian.Problem("no program to strip with; install llvm-19 or binutils")


def loaded_libraries(path):
    """{name that is looked for: file} of everything that the loader maps with the program, and the interpreter's path."""
    program = elf.Elf(pathlib.Path(path).read_bytes())
    if program.search_paths:
        raise debian.Problem("%s looks for libraries in %s, which no image has" % (path, ", ".join(program.search_paths)))
    if not program.interpreter:
        return {}, None
    # The loader itself says what it would load; ldd is a script around this.
    told = subprocess.run([program.interpreter, "--list", path], capture_output=True, text=True)
    if told.returncode != 0:
        raise debian.Problem("%s: %s" % (path, (told.stderr or told.stdout).strip()))
    found = {}
    for line in told.stdout.splitlines():
        match = re.match(r"\s*(\S+)(?: => (\S.*?))? \(0x[0-9a-f]+\)$", line)
        if not match:
            raise debian.Problem("%s: %s" % (path, line.strip()))
        name, file = match.groups()
        if file:
            found[os.path.basename(name)] = file
    found.setdefault(os.path.basename(program.interpreter), program.interpreter)
    return found, program.interpreter


# What a program and each library have for themselves; and operators new and delete, which a program may replace for all.
ONES_OWN = frozenset(["_init", "_fini"])
REPLACEABLE = ("_Znw", "_Zna", "_Zdl", "_Zda")


def check_names(path, libraries):
    """A function of the program that a library has, too, takes its place, also inside of that library."""
    own = elf.Elf(pathlib.Path(path).read_bytes()).functions - ONES_OWN
    for name, file in sorted(libraries.items()):
        both = {f for f in own & elf.Elf(pathlib.Path(file).read_bytes()).functions if not f.startswith(REPLACEABLE)}
        if both:
            raise debian.Problem("%s and %s both have %s: one of them would call the other's; link the archive that brings it as a "
                                 "shared library (tools/images/build.py)" % (path, name, ", ".join(sorted(both)[:5])))


def library_directory(architecture):
    return "usr/lib/" + {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[architecture]


def add_libraries(tree, path, architecture):
    """[(package, path in the image, bytes)]"""
    libraries, interpreter = loaded_libraries(path)
    if not interpreter:
        return []
    check_names(path, libraries)
    directory = library_directory(architecture)
    added = []
    for name, file in sorted(libraries.items()):
        data = pathlib.Path(file).read_bytes()
        tree.file("%s/%s" % (directory, name), data, executable=True)
        package = debian.owner(file)
        if not package:
            raise debian.Problem("%s: no package has it, so nobody knows its licence" % file)
        added.append((package, "%s/%s" % (directory, name), data))
    # As the distribution has it: /lib is a link, and the loader's own place is not beside the libraries.
    tree.link("lib", "usr/lib")
    loader = interpreter.lstrip("/")
    if loader.startswith("lib64/"):
        tree.link("lib64", "usr/lib64")
        tree.link("usr/" + loader, "../lib/%s/%s" % (os.path.basename(directory), os.path.basename(loader)))
    elif loader.startswith("lib/") and not loader.startswith(directory[len("usr/"):]):
        tree.link("usr/" + loader, "%s/%s" % (os.path.basename(directory), os.path.basename(loader)))
    return added


def certificates():
    files = sorted(glob.glob(CERTIFICATE_FILES))
    if not files:
        raise debian.Problem("no certificates in %s; install ca-certificates" % os.path.dirname(CERTIFICATE_FILES))
    return b"".join(pathlib.Path(f).read_bytes().rstrip(b"\n") + b"\n" for f in files)


def system_libraries():
    """Target in @wayport_sys -> (Debian package, [libraries that it links]), from tools/bazel/sys.bzl."""
    found = {}
    # Starlark's syntax is Python's, as far as this file goes.
    for node in ast.walk(ast.parse((ROOT / "tools/bazel/sys.bzl").read_text())):
        if not (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_LIBRARIES"):
            continue
        for key, call in zip(node.value.keys, node.value.values):
            options = [ast.literal_eval(k.value) for k in call.keywords if k.arg == "linkopts"]
            libraries = [o[2:] for o in (options[0] if options else []) if o.startswith("-l")]
            found[key.value] = (ast.literal_eval(call.args[1]), libraries)
    return found


def linked_packages(labels):
    """[(development package, its libraries)] of the system libraries among the labels."""
    known = system_libraries()
    found = {}
    for label in labels:
        name = label.strip().partition("//:")[2]
        if label.startswith("@wayport_sys//:") and name in known:
            package, libraries = known[name]
            found.setdefault(package, set()).update(libraries)
    return sorted(found.items())


def components(added, labels):
    """What the program is made of: shared libraries that were added, and what was compiled or linked into it."""
    made = {}
    for package, path, data in added:
        how = spdx.DATA if path == CERTIFICATES else spdx.DYNAMIC
        made.setdefault(package.name, spdx.Component(package, how)).files.append((path, data))
    names = {os.path.basename(path).partition(".so")[0] for _, path, _ in added}
    for development, libraries in linked_packages(labels):
        package = debian.package(development)
        if not package:
            raise debian.Problem("%s is linked and not installed" % development)
        # Headers come from it even if the library itself is a file of its own.
        if libraries and all("lib" + library in names for library in libraries):
            continue
        made.setdefault(package.name, spdx.Component(package, spdx.STATIC))
    return list(made.values())


def add_licences(tree, image, parts):
    tree.file("usr/share/doc/%s/copyright" % image.name, (ROOT / "LICENSE").read_bytes())
    common = set()
    for part in parts:
        text = debian.copyright_text(part.package.name)
        if text is None:
            raise debian.Problem("%s has no copyright file, and may not be handed on without" % part.package.name)
        tree.file("usr/share/doc/%s/copyright" % part.package.name, text.encode())
        common |= debian.referenced_licences(text)
    for name in sorted(common):
        tree.file("usr/share/common-licenses/" + name, pathlib.Path(debian.COMMON_LICENSES + name).read_bytes())


class Made:
    """A file system, and what describes it."""

    def __init__(self, tree, config, document):
        self.tree = tree
        self.config = config
        self.document = document

    def archive(self, names, mtime):
        return layer.image_archive(self.tree.tar(mtime), self.config, names, mtime)


def make(image, binary, labels, version, revision, created):
    """created: seconds since 1970. labels: of the libraries that are linked into the binary, one for each Bazel target."""
    program = strip(binary)
    architecture = elf.Elf(program).architecture
    tree = layer.Tree()
    tree.file(image.binary.lstrip("/"), program, executable=True)
    own = {image.binary.lstrip("/"): program}
    added = add_libraries(tree, binary, architecture)
    bundle = certificates()
    tree.file(CERTIFICATES, bundle)
    tree.link(OPENSSL_CERTIFICATES, "/" + CERTIFICATES)
    added.append((debian.package("ca-certificates"), CERTIFICATES, bundle))
    for path, text in sorted(ETC.items()):
        tree.file(path, text.encode())
    for path, source in sorted(image.files.items()):
        own[path] = (ROOT / source).read_bytes()
        tree.file(path, own[path])
    for path in MOUNT_POINTS:
        tree.directory(path)
    parts = components(added, labels)
    add_licences(tree, image, parts)
    time = timestamp(created)
    document = spdx.document(image.name, version, own, parts, time, architecture)
    tree.file("usr/share/doc/%s/%s.spdx.json" % (image.name, image.name), json_bytes(document))
    return Made(tree, config(image, architecture, version, revision, time), document)


def json_bytes(value):
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"


def timestamp(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def config(image, architecture, version, revision, time):
    """The image's configuration, without its layer."""
    second = 1_000_000_000
    inner = {
        "User": "%d:%d" % (USER, USER),
        "Entrypoint": [image.binary],
        "Cmd": image.command,
        "WorkingDir": image.directory,
        "StopSignal": "SIGTERM",
        "Env": ["PATH=/usr/bin", "SSL_CERT_FILE=/" + CERTIFICATES],
        "ExposedPorts": {port: {} for port in image.ports},
        "Labels": {
            "org.opencontainers.image.title": image.title,
            "org.opencontainers.image.description": image.description,
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.revision": revision,
            "org.opencontainers.image.created": time,
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    }
    if image.health:
        inner["Healthcheck"] = {
            "Test": ["CMD"] + image.health,
            "Interval": 10 * second,
            "Timeout": 5 * second,
            "StartPeriod": 5 * second,
            "Retries": 3,
        }
    return {
        "architecture": architecture,
        "os": "linux",
        "created": time,
        "config": inner,
        "history": [{"created": time, "created_by": "tools/image", "comment": image.title}],
    }
