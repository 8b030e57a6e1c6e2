"""Makes the images of wayport's programs without any registry: base layers are the distribution's files that a program needs.

usage: tools/image [options]

  wayport-gateway:VERSION, :latest    the gateways (gateway/image/README.md)
  wayport:VERSION, :latest            the command line

  --output DIR     where the archives go: NAME.tar (for `docker load`; an OCI layout as well), NAME.spdx.json
                   ($XDG_CACHE_HOME/wayport-image)
  --tag TAG        instead of VERSION and latest
  --gateway-only   not the command line
  --no-load        do not load them, also if a container engine answers
  --binaries DIR   do not build; the programs are DIR/wayport-gateway and DIR/wayport
  --rootfs DIR     write the files of each image to DIR/NAME, and make no archive
  --check          start the gateway's image as operators should: read-only, no privileges, a network of its own; its health
                   check, its end, the time to its first connection, and gateway/image/compose.yaml. Needs a container engine
  --json FILE      of --check: what was measured

  tools/image --output out
  tools/image --check
  BAZEL="bazel --output_base=/tmp/other" tools/image --no-load

The same programs, packages and commit give the same bytes; $SOURCE_DATE_EPOCH is the time in them, by default the commit's.
$BAZEL is the command for Bazel, $DOCKER that of the container engine. Exits 1 if --check fails, 2 if it could not run.
"""

import argparse
import hashlib
import os
import pathlib
import re
import subprocess
import sys

import build
import check
import contents
import debian
import engine

VERSION_PATTERN = r"[0-9]+\.[0-9]+\.[0-9]+\S*"


def version_of(program):
    """"wayport-gateway 0.1.0" -> "0.1.0"."""
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    match = re.search(VERSION_PATTERN, done.stdout)
    if done.returncode != 0 or not match:
        raise debian.Problem("%s --version says no version: %s" % (program, (done.stdout + done.stderr).strip()))
    return match.group(0)


def git(*arguments):
    try:
        done = subprocess.run(["git"] + list(arguments), cwd=contents.ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def revision():
    commit = git("rev-parse", "HEAD")
    if not commit:
        return "unknown"
    return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")


def created():
    """Seconds since 1970."""
    said = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or "0"
    if not said.isdigit():
        raise debian.Problem("SOURCE_DATE_EPOCH is %r, not seconds since 1970" % said)
    return int(said)


def write_tree(tree, root):
    """The files of an image, for somebody else's archive of them."""
    root.mkdir(parents=True, exist_ok=True)
    if any(root.iterdir()):
        raise debian.Problem("%s is not empty" % root)
    for path, entry in sorted(tree.entries.items()):
        if entry.kind == "directory":
            (root / path).mkdir()
        elif entry.kind == "link":
            (root / path).symlink_to(entry.target)
        else:
            (root / path).write_bytes(entry.data)
            (root / path).chmod(entry.mode)


def megabytes(size):
    return "%.1f MB" % (size / 1e6)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/image", usage="tools/image --help", add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--output", default=str(build.cache_directory() / "wayport-image"))
    parser.add_argument("--tag")
    parser.add_argument("--gateway-only", action="store_true")
    parser.add_argument("--no-load", action="store_true")
    parser.add_argument("--binaries")
    parser.add_argument("--rootfs")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args(arguments)
    if options.check and (options.rootfs or options.no_load):
        parser.error("--check starts the images in an engine: not with --rootfs or --no-load")
    return options


def main(arguments):
    options = parse(arguments)
    if options.help:
        print(__doc__.strip())
        return 0
    images = [i for i in contents.IMAGES if not options.gateway_only or i.name == "wayport-gateway"]
    programs = build.find(images, options.binaries) if options.binaries else build.build(images)
    output = pathlib.Path(options.output)
    archives = {}
    for image in images:
        program, labels = programs[image.name]
        version = version_of(program)
        made = contents.make(image, program, labels, version, revision(), created())
        if options.rootfs:
            write_tree(made.tree, pathlib.Path(options.rootfs) / image.name)
            continue
        names = ["%s:%s" % (image.name, tag) for tag in ([options.tag] if options.tag else [version, "latest"])]
        data = made.archive(names, created())
        output.mkdir(parents=True, exist_ok=True)
        archives[image.name] = (output / (image.name + ".tar"), names)
        archives[image.name][0].write_bytes(data)
        (output / (image.name + ".spdx.json")).write_bytes(contents.json_bytes(made.document))
        print("%s: %s (the program %s), %d files, sha256 %s\n  %s" % (
            names[0], megabytes(made.tree.size()), megabytes(len(made.tree.entries[image.binary.lstrip("/")].data)),
            len(made.tree.files()), hashlib.sha256(data).hexdigest()[:16], archives[image.name][0]))
    if options.rootfs:
        return 0
    if not options.no_load:
        if not engine.answers():
            print("no container engine answers; the images are not loaded")
            if options.check:
                raise debian.Problem("--check needs a container engine")
            return 0
        for archive, names in archives.values():
            engine.load(archive)
            print("loaded %s" % ", ".join(names))
    if options.check:
        archive, names = archives["wayport-gateway"]
        return check.try_image(names[0], archive, options.json, with_compose=not options.gateway_only)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except debian.Problem as problem:
        print("tools/image: %s" % problem, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("tools/image: interrupted; what it made is removed", file=sys.stderr)
        sys.exit(130)
