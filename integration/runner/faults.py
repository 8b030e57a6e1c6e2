"""Finds and runs the fault scenarios: modules of integration/faults with a list SCENARIOS of functions run(engine, images, out_dir).

Each returns an object with name, passed, promised, measured (a dict) and detail. A scenario that raises has not held. It has
`needs_root = False` if it does nothing in the network of a container, and `engines` if not all can run it.
"""

import dataclasses
import importlib
import pathlib
import traceback

DIRECTORY = pathlib.Path(__file__).absolute().parents[1] / "faults"


@dataclasses.dataclass
class Failed:
    """Stands for a scenario that told nothing."""

    name: str
    detail: str
    promised: str = ""
    passed: bool = False
    measured: dict = dataclasses.field(default_factory=dict)


def find(directory=DIRECTORY):
    """(name, function) of all scenarios, in the order of the files. A name is MODULE.FUNCTION."""
    found = []
    for path in sorted(directory.glob("*.py")):
        if path.name.startswith("_") or path.name.endswith("_test.py") or "SCENARIOS" not in path.read_text():
            continue
        module = importlib.import_module("integration.faults." + path.stem)
        for scenario in getattr(module, "SCENARIOS", ()):
            found.append(("%s.%s" % (path.stem, scenario.__name__), scenario))
    return found


def needing_root(scenarios):
    """The names of those that do."""
    return [name for name, scenario in scenarios if getattr(scenario, "needs_root", True)]


def fitting(scenarios, kind, say=print):
    """Those that this kind of engine can run. The others have not held: nobody has tried."""
    fit = []
    for name, scenario in scenarios:
        if kind in getattr(scenario, "engines", (kind,)):
            fit.append((name, scenario))
        else:
            say("not run: %s needs %s" % (name, " or ".join(scenario.engines)))
    return fit


def run(scenarios, engine, images, output, say=print):
    results = []
    for name, scenario in scenarios:
        directory = output / "faults" / name
        directory.mkdir(parents=True, exist_ok=True)
        try:
            result = scenario(engine, images, directory)
        except Exception as error:  # one that fails shall not hide the others
            result = Failed(name, "%s: %s\n%s" % (type(error).__name__, error, traceback.format_exc(limit=-3)))
        say("%-5s %s" % ("held" if result.passed else "RED", result.name))
        results.append(result)
    return results
