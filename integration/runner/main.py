"""Runs programs that share no code against each other, in containers, by what spec says; then faults.

usage: tools/integration [options]

  --short              only what runs in minutes: the cells that must be green, no faults
  --matrix-only, --faults-only
  --only REGEX         cells (or scenarios) whose id contains a match
  --list               prints the ids of the cells and scenarios, with R for required, and starts nothing
  --implementation NAME=IMAGE
                       an image that plays by integration/CONTRACT.md takes part; for names in implementations.toml
                       that have none, such as teleport-go, or any other. Repeat it for more
  --binaries DIR       do not build ours: DIR/wayport and DIR/wayport-gateway
  --go-binaries DIR    do not build the Go peers: DIR/interop-go and DIR/interop-kcp-go
  --self-test          broken implementations: exactly their cells have to turn red
  --repeat N           each cell N times
  --jobs N             cells at the same time (two for each core)
  --seed N             of what the programs choose at random (1)
  --captures           packets of each cell, too
  --output DIR         logs, results.json, index.html ($XDG_CACHE_HOME/wayport-integration/TIME)
  --keep               leave containers and networks for a look; the next run removes them. Not with namespaces. Each cell then
                       has a network of its own, and an engine has few: choose with --only
  --engine KIND        containers or namespaces; by default containers, and namespaces where no container engine answers

Most faults, and namespaces, need the privileges of root.

  tools/integration --short
  tools/integration --only '^status/.*client=python'
  tools/integration --only ^echo --implementation mine=registry.example/mine:3

Exits 1 if a cell is red or a scenario did not hold; 2 if it could not run; 130 if it was interrupted.
"""

import argparse
import contextlib
import os
import pathlib
import re
import signal
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from integration.runner import captures, certificates, containers, faults, images, model, namespaces, report  # noqa: E402
from integration.runner.engine import EngineError, cache_directory  # noqa: E402
from integration.runner.matrix import Matrix  # noqa: E402
from integration.runner.results import State  # noqa: E402

ENGINES = ("containers", "namespaces")


class Interrupted(BaseException):
    """SIGINT or SIGTERM: everything is to be removed, and nothing else to be done."""


def say(text):
    print(text, flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, add_help=False)
    for flag in ("--short", "--matrix-only", "--faults-only", "--list", "--self-test", "--captures", "--keep", "--help"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("-h", dest="help", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--implementation", action="append", default=[])
    parser.add_argument("--binaries")
    parser.add_argument("--go-binaries")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output")
    parser.add_argument("--engine", choices=ENGINES)
    options = parser.parse_args(arguments)
    if options.repeat < 1 or options.jobs < 1 or not 0 <= options.seed < 1 << 32:
        raise model.Mistake("--repeat and --jobs are 1 or more, --seed is below 2^32")
    if options.matrix_only and options.faults_only:
        raise model.Mistake("--matrix-only and --faults-only leave nothing")
    return options


def selected(options):
    """The implementations, transports, required ids and cells that the options ask for."""
    implementations = model.read_implementations()
    for text in options.implementation:
        model.give_image(implementations, text)
    transports = model.read_transports()
    required = model.read_required()
    cells = model.expand(model.read_cases(), implementations, transports)
    unknown = set(required) - {cell.id for cell in cells}
    if unknown:
        raise model.Mistake("required.toml: no such cells: %s" % ", ".join(sorted(unknown)))
    if options.short:
        given = {text.partition("=")[0] for text in options.implementation}
        cells = [cell for cell in cells if not cell.is_full_form_only and (cell.id in required or cell.names() & given)]
    try:
        cells = [cell for cell in cells if re.search(options.only, cell.id)]
    except re.error as error:
        raise model.Mistake("--only: %s" % error) from error
    return implementations, transports, required, cells


def engine_of(options, directory):
    """The engine to use, and a line about it. What an interrupted run left is removed, also by the other engine."""
    images.sweep()
    no_containers, no_namespaces = containers.available(), namespaces.available()
    if options.engine == "containers" and no_containers is not None:
        raise EngineError("no container engine answers: %s" % no_containers)
    if options.engine == "namespaces" or no_containers is not None:
        if options.keep:
            raise EngineError("--keep needs a container engine: programs in network namespaces end with the run")
        if no_containers is None:
            containers.Engine().sweep()
        else:
            say("no container engine answers (%s): network namespaces instead" % no_containers)
        if no_namespaces is not None:
            raise EngineError("network namespaces are not to be had either: %s" % no_namespaces)
        return namespaces.Engine(directory=directory)
    if no_namespaces is None:
        namespaces.Engine().sweep()
    return containers.Engine(directory=directory, keep=options.keep)


def run_self_test(matrix, made, cells, implementations):
    """Broken implementations turn exactly their cells red. Returns whether they did."""
    pairs = model.broken_cells(cells, implementations)
    if not pairs:
        raise model.Mistake("--self-test: --only leaves no cell in which a broken implementation could play")
    made.build(matrix.recipes([cell for cell, _ in pairs]))
    results = matrix.run([cell for cell, _ in pairs])
    wrong = 0
    for result, (_, has_to_be_red) in zip(results, pairs):
        is_right = (result.state == State.red) == has_to_be_red and result.state in (State.red, State.green)
        wrong += not is_right
        say("%-8s %-5s %s" % ("as it should" if is_right else "WRONG", result.state.value, result.cell.id))
    say("self-test: %d cells with broken implementations, %d of them have to be red; %d are wrong"
        % (len(pairs), sum(red for _, red in pairs), wrong))
    return wrong == 0


def run(options, output):
    implementations, transports, required, cells = selected(options)
    scenarios = [] if options.matrix_only or options.short or options.self_test else faults.find()
    scenarios = [(name, scenario) for name, scenario in scenarios if re.search(options.only, name)]
    if options.faults_only:
        cells = []
    if options.list:
        for cell in cells:
            say("%s %s" % ("R" if cell.id in required else " ", cell.id))
        for name, _ in scenarios:
            say("  fault %s" % name)
        return 0
    if not cells and not scenarios:
        raise model.Mistake("--only %s: nothing is left" % options.only)
    needy = faults.needing_root(scenarios)
    if needy and os.geteuid() != 0:
        raise model.Mistake("faults enter the networks of containers, which needs the privileges of root (%s): "
                            "run it as root, or with --matrix-only" % ", ".join(needy))
    if options.captures and not captures.program():
        raise model.Mistake("--captures: needs the package tcpdump, or dumpcap of wireshark-common")
    output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(engine_of(options, output))
        scenarios = faults.fitting(scenarios, engine.kind, say)
        if not cells and not scenarios:
            raise model.Mistake("nothing is left that can be run with %s" % engine.kind)
        made = stack.enter_context(contextlib.closing(
            images.Images(engine, say, options.binaries, options.go_binaries, output / "images")))
        given = certificates.make(output / "certs")
        matrix = Matrix(engine, made, implementations, transports, given, output, options.jobs, options.seed, options.captures,
                        required, say)
        if options.self_test:
            return 0 if run_self_test(matrix, made, cells, implementations) else 1
        if cells:
            recipes = matrix.recipes(cells)
            made.build([name for name in recipes if name not in images.SLOW])
            # Cells that need one of these wait for it; the others need not.
            for name in set(recipes) & images.SLOW:
                threading.Thread(target=made.build, args=([name],), daemon=True).start()
            say("images after %.0f s" % (time.monotonic() - began))
        results = matrix.run(cells, options.repeat) if cells else []
        held = faults.run(scenarios, engine, made, output, say) if scenarios else []
    meta = {"engine": engine.kind, "seconds": round(time.monotonic() - began, 1), "seed": options.seed}
    (output / "results.json").write_text(report.as_json(results, held, meta))
    (output / "index.html").write_text(report.page(results, held))
    if results:
        say("\n" + report.text(results))
    if held:
        say("\n" + report.faults_text(held))
    say("%.0f s; %s" % (time.monotonic() - began, output / "index.html"))
    is_red = any(result.state == State.red for result in results) or any(not fault.passed for fault in held)
    return 1 if is_red else 0


def default_output():
    return cache_directory() / "wayport-integration" / time.strftime("%Y%m%d-%H%M%S")


def main(arguments):
    try:
        options = parse(arguments)
        if options.help:
            print(__doc__.strip())
            return 0
        output = pathlib.Path(options.output).resolve() if options.output else default_output()
        if output == ROOT or ROOT in output.parents:
            raise model.Mistake("--output %s: logs do not belong into the tree" % output)

        def interrupt(number, frame):
            # A second one must not stop the removal.
            for name in (signal.SIGINT, signal.SIGTERM):
                signal.signal(name, signal.SIG_IGN)
            raise Interrupted(signal.Signals(number).name)

        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, interrupt)
        return run(options, output)
    except (model.Mistake, EngineError, OSError) as error:
        print("tools/integration: %s" % error, file=sys.stderr)
        return 2
    except Interrupted as error:
        print("tools/integration: %s; what it made is removed" % error, file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
