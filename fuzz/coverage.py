"""Line and branch coverage of the cores: framing, the transports, the gateways.

usage: tools/coverage [options] [area ...]

An area is a package or a part of its path: framing, transport/kcp, gateway. Without any, all of them count.

  --corpus-only      only the corpora of the fuzz targets are replayed; without it all tests of these packages run too
  --at-least N       exit 1 if an area has fewer than N percent of its lines covered, or a core that nothing links
  --missed           print the lines that were never reached, too
  --all-files        drivers count too, not only targets with core = True
  --keep DIR         leave the profile there, for llvm-cov-19 (show, report)

  tools/coverage --corpus-only --at-least 90 framing transport/snet transport/kcp
  tools/coverage --missed gateway/link

$BAZEL is the command for Bazel, by default "bazel". Exits 1, too, if a test failed; 2 if it could not run, or an area has
nothing to measure.
"""

import argparse
import ast
import collections
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Each has cores.
AREAS = ["framing", "transport/kcp", "transport/snet", "transport/ws", "transport/link", "gateway/link", "gateway/route"]
# What is not the product: vectors and doubles of tests.
TEST_PARTS = ("testing", "testdata", "interop_test")


class Problem(Exception):
    """What the user has to mend."""


def said(error):
    """One line. A traceback would end with 1, which says that too little was reached."""
    text = str(error) if isinstance(error, Problem) else "%s: %s" % (type(error).__name__, error)
    return " ".join(text.split())


def bazel(*arguments, **options):
    return subprocess.run(shlex.split(os.environ.get("BAZEL", "bazel")) + list(arguments), cwd=ROOT, **options)


def area_of(path):
    for area in AREAS:
        if path.startswith(area + "/"):
            return area
    return None


def sources(build_files, all_files):
    """The files that count: of libraries that are cores, or of all libraries. {path: area}"""
    found = {}
    for package, text in build_files:
        if any(part in TEST_PARTS for part in package.split("/")):
            continue
        for node in ast.walk(ast.parse(text)):  # Starlark's syntax is Python's, as far as BUILD files go
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "wayport_library"):
                continue
            given = {k.arg: k.value for k in node.keywords}
            flags = {name: isinstance(v, ast.Constant) and v.value is True for name, v in given.items()}
            if flags.get("testonly") or not (all_files or flags.get("core")):
                continue
            for name in ("srcs", "hdrs"):
                for each in ast.walk(given[name]) if name in given else []:
                    if isinstance(each, ast.Constant) and str(each.value).endswith((".cc", ".h")):
                        path = "%s/%s" % (package, each.value.lstrip(":"))
                        found[path] = area_of(path)
    return {path: area for path, area in found.items() if area}


def build_files():
    for area in AREAS:
        for path in sorted((ROOT / area).rglob("BUILD")):
            yield path.parent.relative_to(ROOT).as_posix(), path.read_text()


def chosen(words):
    for word in words:
        if not any((a + "/").startswith(word + "/") for a in AREAS):
            raise Problem("%s is no area; there are %s" % (word, ", ".join(AREAS)))
    return [a for a in AREAS if not words or any((a + "/").startswith(w + "/") for w in words)]


def files_in(areas, found):
    """Those of sources() that are in `areas`, each of which has some: else it would pass without being measured."""
    for area in areas:
        if area not in found.values():
            raise Problem("%s has no core, nothing of it can be measured" % area)
    return {path: area for path, area in found.items() if area in areas}


def tests_of(areas, corpus_only):
    scope = 'attr(tags, "\\bfuzz\\b", tests(//fuzz/...))'
    if not corpus_only:
        scope += " + " + " + ".join("tests(//%s/...)" % area for area in areas)
    done = bazel("query", "--noshow_progress", scope, capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem("bazel query failed:\n" + done.stderr)
    labels = sorted(set(done.stdout.split()))
    return [label for label in labels if label.startswith("//") and not label.startswith("//fuzz:")]


def run_tests(labels, profiles):
    """The programs that ran, and whether one of them failed."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME", "/tmp"), ".cache"), "wayport-bazel")
    cache.mkdir(parents=True, exist_ok=True)
    flags = ["--config=cov", "--experimental_convenience_symlinks=ignore"]
    quiet = ["--show_result=0", "--ui_event_filters=-info", "--noshow_loading_progress", "--test_summary=none"]
    if not sys.stderr.isatty():
        quiet.append("--noshow_progress")
    print("tools/coverage: %d tests" % len(labels), file=sys.stderr)
    done = bazel("test", "--keep_going", "--disk_cache=%s" % cache, *flags, *quiet, "--nocache_test_results",
                 "--sandbox_writable_path=%s" % profiles, "--test_env=LLVM_PROFILE_FILE=%s/%%p-%%m.profraw" % profiles,
                 "--", *labels, stdout=sys.stderr)
    if done.returncode not in (0, 3):
        raise Problem("the tests could not be built")
    where = bazel("info", *flags, "bazel-bin", capture_output=True, text=True)
    if where.returncode != 0:
        raise Problem("bazel info bazel-bin exits with %d: %s" % (where.returncode, where.stderr))
    programs = [pathlib.Path(where.stdout.strip(), label[2:].replace(":", "/")) for label in labels]
    return [p for p in programs if p.exists()], done.returncode == 3


def export(binaries, profiles):
    """What llvm-cov says of the files of this tree. {path: data of one file}"""
    raw = sorted(profiles.glob("*.profraw"))
    if not raw or not binaries:
        raise Problem("no test left a profile")
    merged = profiles / "all.profdata"
    listed = profiles / "profiles.txt"
    listed.write_text("\n".join(map(str, raw)))
    subprocess.run(["llvm-profdata-19", "merge", "--failure-mode=all", "-o", str(merged), "-f", str(listed)], check=True)
    objects = [argument for binary in binaries[1:] for argument in ("-object", str(binary))]
    done = subprocess.run(["llvm-cov-19", "export", "-instr-profile=%s" % merged, "--skip-functions",
                           "-ignore-filename-regex=^/usr/|_test\\.cc$|\\.pb\\.|external/", str(binaries[0]), *objects],
                          check=True, capture_output=True)
    (profiles / "binaries.txt").write_text("\n".join(map(str, binaries)))
    found = {}
    for data in json.loads(done.stdout)["data"]:
        for file in data["files"]:
            found[tree_path(file["filename"])] = file
    return found


def tree_path(name):
    """What the compiler was shown, as the path in the tree: headers are seen through a link in bazel-out."""
    if "/_virtual_includes/" in name:
        return name.partition("/_virtual_includes/")[2].partition("/wayport/")[2]
    return name.removeprefix("/proc/self/cwd/")


def missed_lines(file):
    """Lines that hold code and were never reached, as ranges: what the segments of a file say."""
    missed = []
    segments = file["segments"]
    for here, after in zip(segments, segments[1:]):
        line, _, count, has_count = here[:4]
        if has_count and count == 0 and not (len(here) > 5 and here[5]):
            first, last = line, after[0]
            if missed and first <= missed[-1][1] + 1:
                missed[-1][1] = max(missed[-1][1], last)
            else:
                missed.append([first, last])
    return ["%d" % a if a == b else "%d-%d" % (a, b) for a, b in missed]


Counted = collections.namedtuple("Counted", "lines lines_hit branches branches_hit")


def counted(file):
    lines, branches = file["summary"]["lines"], file["summary"]["branches"]
    return Counted(lines["count"], lines["covered"], branches["count"], branches["covered"])


def percent(part, whole):
    return "%6.1f%%" % (100.0 * part / whole) if whole else "      -"


def report(files, covered, missed=False):
    """The table, and for each area its percentage of lines and the sources that nothing links."""
    rows, areas = [], {}
    for area in AREAS:
        paths = sorted(p for p, a in files.items() if a == area)
        if not paths:
            continue
        total, unlinked = Counted(0, 0, 0, 0), []
        for path in paths:
            if path not in covered:
                if path.endswith(".cc"):
                    unlinked.append(path)
                    rows.append("%-52s nothing links it" % path)
                continue
            here = counted(covered[path])
            total = Counted(*(a + b for a, b in zip(total, here)))
            rows.append("%-52s %5d %s %6d %s" % (path, here.lines, percent(here.lines_hit, here.lines), here.branches,
                                                percent(here.branches_hit, here.branches)))
            if missed and here.lines_hit < here.lines:
                rows.append("    missed: " + " ".join(missed_lines(covered[path])))
        rows.append("%-52s %5d %s %6d %s\n" % ("= " + area, total.lines, percent(total.lines_hit, total.lines), total.branches,
                                              percent(total.branches_hit, total.branches)))
        areas[area] = (100.0 * total.lines_hit / total.lines if total.lines else 0.0, unlinked)
    head = "%-52s %5s %7s %6s %7s" % ("file", "lines", "", "branch", "")
    return "\n".join([head] + rows), areas


def below(areas, least):
    problems = []
    for area, (reached, unlinked) in areas.items():
        if reached < least:
            problems.append("%s: %.1f %% of its lines, less than %g %%" % (area, reached, least))
        problems += ["%s: no target links %s" % (area, path) for path in unlinked]
    return problems


def main(arguments):
    parser = argparse.ArgumentParser(prog="tools/coverage", usage=argparse.SUPPRESS, add_help=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--corpus-only", action="store_true")
    parser.add_argument("--at-least", type=float)
    parser.add_argument("--missed", action="store_true")
    parser.add_argument("--all-files", action="store_true")
    parser.add_argument("--keep")
    parser.add_argument("areas", nargs="*")
    options = parser.parse_args(arguments)
    if options.help:
        print(__doc__.strip())
        return 0
    try:
        words = [w.strip("/") for w in options.areas]
        areas = chosen(words)
        files = files_in(areas, sources(build_files(), options.all_files))
        with tempfile.TemporaryDirectory(prefix="wayport-coverage-") as scratch:
            profiles = pathlib.Path(options.keep or scratch).resolve()
            profiles.mkdir(parents=True, exist_ok=True)
            for old in profiles.glob("*.profraw"):
                old.unlink()
            binaries, failed = run_tests(tests_of(areas, options.corpus_only), profiles)
            covered = export(binaries, profiles)
        text, reached = report(files, covered, options.missed)
    except Exception as error:
        print("tools/coverage: %s" % said(error), file=sys.stderr)
        return 2
    print(text)
    problems = below(reached, options.at_least) if options.at_least is not None else []
    for problem in problems:
        print("BELOW: " + problem)
    if failed:
        print("FAILED: some tests; what they reached counts")
    return 1 if problems or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
