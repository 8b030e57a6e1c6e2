"""Builds the programs of the images, with the libraries in them that have archives."""

import hashlib
import os
import pathlib
import shlex
import subprocess
import sys

import contents
import debian

# Shared though they have archives. Those of gperftools need libunwind's, which would take the place of the compiler's own
# unwinder in the program and leave another one to the shared libraries. That of OpenSSL has a function gf_mul for everybody,
# as ISA-L has: the program would call the wrong one, and so would ISA-L itself.
SHARED = ("profiler", "tcmalloc", "ssl", "crypto")


def cache_directory():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME", "/tmp"), ".cache"))


def bazel(arguments, output=False):
    command = shlex.split(os.environ.get("BAZEL", "bazel")) + arguments
    done = subprocess.run(command, cwd=contents.ROOT, stdout=subprocess.PIPE if output else None, text=True)
    if done.returncode != 0:
        raise debian.Problem("%s failed" % " ".join(command[:4]))
    return done.stdout


def archive_of(library):
    """The path of libNAME.a; None if the distribution has only a shared one."""
    name = "lib%s.a" % library
    found = subprocess.run(["clang-19", "-print-file-name=" + name], capture_output=True, text=True).stdout.strip()
    return found if os.path.isabs(found) else None


def link_options(place):
    """Fills a directory below `place` with the archives there are, and returns the options that make a linker prefer them.

    A linker takes what it finds first, directory by directory: no target has to know of this. libstdc++ stays shared,
    because the shared libraries that have no archive are C++, and would bring a second one along.
    """
    libraries = set()
    for _, names in contents.system_libraries().values():
        libraries.update(names)
    wanted = {}
    for library in sorted(libraries.difference(SHARED)):
        archive = archive_of(library)
        if archive:
            wanted["lib%s.a" % library] = archive
    # Its name follows from what is in it: Bazel does not look inside, and links again only for another option.
    directory = place / hashlib.sha256(repr(sorted(wanted.items())).encode()).hexdigest()[:16]
    # Only what is another one is touched: a build may be reading it.
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        if not old.is_symlink() or os.readlink(old) != wanted.get(old.name):
            old.unlink()
    for name, archive in wanted.items():
        if not os.path.lexists(directory / name):
            (directory / name).symlink_to(archive)
    return ["--linkopt=-L%s" % directory]


def build(images):
    """{image's name: (program, labels of what it links)}"""
    flags = ["--config=rel", "--disk_cache=%s" % (cache_directory() / "wayport-bazel"), "--show_result=0"]
    flags.append("--experimental_convenience_symlinks=ignore")  # those of the tree are for whoever works in it
    if not sys.stderr.isatty():
        flags.append("--noshow_progress")
    flags += link_options(cache_directory() / "wayport-image" / "archives")
    bazel(["build"] + flags + [i.target for i in images] + [i.linked_target for i in images])
    directory = pathlib.Path(bazel(["info"] + flags[:1] + ["bazel-bin"], output=True).strip())
    return {i.name: (str(directory / i.built), linked(directory, i)) for i in images}


def linked(directory, image):
    return (directory / "tools/images" / (image.name + "_linked")).read_text().splitlines()


def find(images, directory):
    """The same of programs that somebody has built: DIRECTORY/NAME, and NAME.linked with the labels; else Bazel is asked."""
    found = {}
    for image in images:
        program = pathlib.Path(directory) / image.name
        if not program.is_file():
            raise debian.Problem("there is no %s" % program)
        labels = program.with_name(image.name + ".linked")
        if labels.is_file():
            found[image.name] = (str(program), labels.read_text().splitlines())
        else:
            expression = "kind(cc_library, deps(%s))" % image.target
            found[image.name] = (str(program), bazel(["query", expression], output=True).splitlines())
    return found
