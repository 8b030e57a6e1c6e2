"""Makes the images of the implementations without any registry, each once for the same inputs.

What a recipe is made of is hashed into its tag, wayport-interop-NAME:HASH, so a second run finds it. Root directories come from the
distribution's packages (mmdebstrap), Go programs are static and alone in their image, ours come from tools/image.
"""

import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading

from integration.runner.engine import EngineError, bound, cache_directory, left_behind, own

ROOT = pathlib.Path(__file__).resolve().parents[2]
LABEL = "wayport.integration.image"
PREFIX = "wayport-interop-"
OURS = ("wayport", "wayport-gateway")
# Of the tags of ours: no others are ever removed.
OURS_PREFIX = "interop-"
BUILD_SECONDS_MAX = 3000
KEPT_SECONDS = 24 * 3600

PEER_PACKAGES = ("python3", "haproxy", "nginx", "libnginx-mod-stream", "websockify", "etcd-server", "kcptun", "iproute2", "openssl")
BROWSER_PACKAGES = ("python3", "chromium")
SOURCES = pathlib.Path("/etc/apt/sources.list.d/debian.sources")
# Recipes that take minutes, which nearly all cells need not wait for.
SLOW = frozenset(["browser"])
# Ends with whoever started it, and ends what it has started itself: builders have children.
BUILDER = bound(["sh", "-c", """trap 'trap "" TERM; kill -TERM 0; wait' TERM; "$@" & wait $!""", "sh"])
# Not needed to run anything.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def digest(*inputs):
    """Of texts, files and directories, with names and modes."""
    total = hashlib.sha256()
    for item in inputs:
        if isinstance(item, pathlib.Path) and item.is_dir():
            for path in sorted(item.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    total.update(str(path.relative_to(item)).encode() + b"\0" + path.read_bytes())
        elif isinstance(item, pathlib.Path):
            total.update(item.name.encode() + b"\0" + item.read_bytes())
        else:
            total.update(str(item).encode() + b"\0")
    return total.hexdigest()[:16]


def scratch():
    """Where runs keep what they need for building, each in a directory of its own."""
    return cache_directory() / "wayport-integration/scratch"


def sweep():
    """Removes what interrupted runs left there."""
    for place in left_behind(scratch()):
        shutil.rmtree(place, ignore_errors=True)


class Images:
    """The images of one run."""

    def __init__(self, engine, say=print, binaries=None, go_binaries=None, log=None):
        self._engine = engine
        self._say = say
        self._binaries = pathlib.Path(binaries).resolve() if binaries else None
        self._go_binaries = pathlib.Path(go_binaries).resolve() if go_binaries else None
        self._log = pathlib.Path(log) if log else None
        self._references = {}
        self._failed = {}  # recipe -> why; what could not be made is not tried again for each cell
        self._made_ours = {}
        self._programs = {}
        self._processes = set()
        self._is_aborted = False
        self._lock = threading.Lock()
        self._recipe_locks = {name: threading.Lock() for name in (*RECIPES, "base", "browser-base", "go-programs", "ours")}
        self._go_directory = None
        self._scratch = scratch() / engine.id

    def reference(self, part):
        """The image of a part, made now if it is not there yet."""
        return part.image or self.recipe(part.build)

    def adapters(self):
        """The image with the programs of others and with runner/adapters."""
        return self.recipe("peers")

    def recipe(self, name):
        with self._lock:
            if name in self._references:
                return self._references[name]
        if name not in RECIPES:
            raise EngineError("there is no recipe %s for an image" % name)
        with self._recipe_locks[name]:
            if name in self._failed:
                raise EngineError(self._failed[name])
            if name not in self._references:
                try:
                    reference = RECIPES[name](self)
                except (EngineError, OSError) as error:
                    self._failed[name] = str(error)
                    raise
                with self._lock:
                    self._references[name] = reference
            return self._references[name]

    def build(self, names):
        """Makes several, two at a time. Returns why some could not be made: {name: text}."""
        failed = {}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            futures = {name: pool.submit(self.recipe, name) for name in names}
            for name, future in futures.items():
                try:
                    self._say("image %s: %s" % (name, future.result()))
                except (EngineError, OSError) as error:
                    failed[name] = str(error)
                    self._say("image %s: %s" % (name, error))
                except BaseException:
                    self.close()
                    raise
        return failed

    # --- ours ---

    def _ours(self, name):
        program = {"wayport": "wayport", "wayport-gateway": "wayport-gateway"}[name]
        with self._recipe_locks["ours"]:
            # Of programs that are built now: another run, which has others, shall not take the name away from us.
            tag = OURS_PREFIX + self._engine.id
            if self._binaries:
                # Known programs need not be packed again.
                tag = OURS_PREFIX + digest(self._binaries / "wayport", self._binaries / "wayport-gateway", ROOT / "tools/images",
                                           ROOT / "gateway/image/gateway.toml")
                if self._engine.image("%s:%s" % (program, tag)):
                    return "%s:%s" % (program, tag)
            elif program in self._made_ours:
                return self._made_ours[program]
            if self._engine.kind == "containers":
                words = ["--tag", tag]
                self._run("wayport", [str(ROOT / "tools/image"), *words, *self.binaries_words()])
                self._made_ours = {name: "%s:%s" % (name, tag) for name in OURS}
            else:
                self._made_ours = self._ours_as_directories(tag if self._binaries else None)
            for name, reference in self._made_ours.items():
                earlier = [other for other in self._engine.tags(name) if other.startswith("%s:%s" % (name, OURS_PREFIX))]
                self._forget(earlier, reference)
            return self._made_ours[program]

    def _ours_as_directories(self, tag):
        """Without a tag, it says what was built: then the same programs are unpacked once."""
        with self._directory() as directory:
            self._run("wayport", [str(ROOT / "tools/image"), "--rootfs", directory, *self.binaries_words()])
            tag = tag or OURS_PREFIX + digest(pathlib.Path(directory))
            made = {}
            for name in OURS:
                made[name] = "%s:%s" % (name, tag)
                archive = pathlib.Path(directory) / (name + ".tar")
                with tarfile.open(archive, "w") as tar:
                    tar.add(pathlib.Path(directory) / name, ".")
                self._engine.import_image(archive, made[name], ['ENTRYPOINT ["/usr/bin/%s"]' % name])
            return made

    def binaries_words(self):
        return ["--binaries", str(self._binaries)] if self._binaries else []

    def program(self, name, target):
        """A program of ours that runs on this machine: its path."""
        if self._binaries and (self._binaries / name).is_file():
            return self._binaries / name
        with self._recipe_locks["ours"]:
            if name not in self._programs:
                bazel = os.environ.get("BAZEL", "bazel").split()
                cache = cache_directory() / "wayport-bazel"
                # Somewhere that outlives the next build of something else.
                # The convenience symlinks of the tree are for whoever works in it, and may be of another configuration.
                self._run(name, [*bazel, "build", "--disk_cache=%s" % cache, "--noshow_progress",
                                 "--experimental_convenience_symlinks=ignore", target])
                directory = self._run("bazel-bin", [*bazel, "info", "bazel-bin"], stderr=None)
                built = pathlib.Path(directory.strip()) / target.removeprefix("//").replace(":", "/")
                kept = cache.parent / "wayport-integration/programs" / digest(built)
                kept.mkdir(parents=True, exist_ok=True)
                shutil.copy(built, kept / name)
                self._programs[name] = kept / name
            return self._programs[name]

    # --- Go ---

    def _go(self, program):
        with self._recipe_locks["go-programs"]:
            if self._go_directory is None:
                self._go_directory = self._go_binaries or self._build_go()
        binary = self._go_directory / program
        if not binary.is_file():
            raise EngineError("integration/go/build made no %s" % program)
        reference = "%s%s:%s" % (PREFIX, program, digest(binary))
        if not self._engine.image(reference):
            with self._directory() as directory:
                archive = pathlib.Path(directory) / "root.tar"
                with tarfile.open(archive, "w") as tar:
                    entry = tar.gettarinfo(binary, "interop")
                    entry.mode, entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime = 0o755, 0, 0, "", "", 0
                    with open(binary, "rb") as file:
                        tar.addfile(entry, file)
                self._engine.import_image(archive, reference, ['ENTRYPOINT ["/interop"]', "USER 65532:65532"], {LABEL: program})
            self._forget_others(program, reference)
        return reference

    def _build_go(self):
        cache = cache_directory() / "wayport-integration/go"
        cache.mkdir(parents=True, exist_ok=True)
        self._run("go", [str(ROOT / "integration/go/build"), str(cache)])
        return cache

    # --- root directories of distribution packages ---

    def _base(self, name, packages):
        reference = "%s%s:%s" % (PREFIX, name, digest(*packages, *LEFT_OUT, SOURCES.read_text() if SOURCES.exists() else ""))
        with self._recipe_locks[name]:
            if self._engine.image(reference):
                return reference
            if not shutil.which("mmdebstrap"):
                raise EngineError("needs the package mmdebstrap")
            with self._directory() as directory:
                archive = pathlib.Path(directory) / "root.tar"
                words = ["mmdebstrap", "--variant=essential", "--include=" + ",".join(packages),
                         '--aptopt=APT::Install-Recommends "false"', *("--dpkgopt=path-exclude=" + path for path in LEFT_OUT),
                         "bookworm", str(archive), *([str(SOURCES)] if SOURCES.exists() else [])]
                self._run(name, words)
                self._engine.import_image(archive, reference, ['CMD ["/bin/sh"]'], {LABEL: name})
            self._forget_others(name, reference)
            return reference

    def _with_files(self, name, base, files):
        """An image on top of another one: {path in the tree: path in the image}."""
        reference = "%s%s:%s" % (PREFIX, name, digest(base, *(item for pair in files.items() for item in (ROOT / pair[0], pair[1]))))
        if self._engine.image(reference):
            return reference
        with self._directory() as directory:
            context = pathlib.Path(directory)
            lines = ["FROM " + base]
            for number, (source, target) in enumerate(files.items()):
                place = context / str(number)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, place)
                lines.append("COPY %d %s" % (number, target))
            (context / "Dockerfile").write_text("\n".join(lines) + "\n")
            self._engine.build_image(context, reference, {LABEL: name})
        self._forget_others(name, reference)
        return reference

    def _peers(self):
        return self._with_files("peers", self._base("base", PEER_PACKAGES),
                                {"integration/python": "/interop/python", "integration/runner/adapters": "/interop/adapters"})

    def _browser(self):
        return self._with_files("browser", self._base("browser-base", BROWSER_PACKAGES),
                                {"integration/browser": "/interop/browser", "integration/runner/adapters": "/interop/adapters"})

    # --- helpers ---

    def _directory(self):
        """A new one, gone at the end of its context."""
        with self._lock:
            self._check()
            if not self._scratch.is_dir():
                own(self._scratch)
        return tempfile.TemporaryDirectory(dir=self._scratch)

    def _check(self):
        if self._is_aborted:
            raise EngineError("the run is over")

    def _forget_others(self, name, reference):
        """Earlier images of the same recipe are of no use any more."""
        self._forget(self._engine.images("%s=%s" % (LABEL, name)), reference)

    def _forget(self, references, but):
        """Young ones may be those of a run that goes on."""
        for other in references:
            if other != but and self._engine.image_age(other) > KEPT_SECONDS:
                self._engine.remove_image(other)

    def _run(self, name, words, stderr=subprocess.STDOUT):
        """What it said."""
        self._say("image %s: %s" % (name, " ".join(words[:2])))
        with self._lock:
            self._check()
            process = subprocess.Popen([*BUILDER, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
                                       errors="replace", cwd=ROOT, start_new_session=True)
            self._processes.add(process)
        try:
            said, _ = process.communicate(timeout=BUILD_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._end(process)
            raise EngineError("%s: not done after %d s" % (words[0], BUILD_SECONDS_MAX)) from None
        finally:
            with self._lock:
                self._processes.discard(process)
        if self._log:
            self._log.mkdir(parents=True, exist_ok=True)
            (self._log / ("image-%s.log" % name)).write_text(said)
        if process.returncode != 0:
            raise EngineError("%s: status %d: %s" % (words[0], process.returncode, " | ".join(said.strip().splitlines()[-5:])))
        return said

    def close(self):
        """Ends builds that are under way; none begins afterwards. What they needed is removed."""
        with self._lock:
            self._is_aborted = True
            processes = list(self._processes)
        for process in processes:
            self._end(process)
        shutil.rmtree(self._scratch, ignore_errors=True)

    @staticmethod
    def _end(process):
        """With what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


RECIPES = {
    "wayport": lambda images: images._ours("wayport"),
    "wayport-gateway": lambda images: images._ours("wayport-gateway"),
    "go": lambda images: images._go("interop-go"),
    "kcp-go": lambda images: images._go("interop-kcp-go"),
    "peers": Images._peers,
    "browser": Images._browser,
}
