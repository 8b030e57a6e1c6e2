"""Reads spec/vectors, for the tests."""

import json
import pathlib


def load(name):
    return json.loads((find() / name).read_text())


def find():
    """In the tree, or in the runfiles of a test, whose programs may lie elsewhere."""
    for start in (pathlib.Path.cwd(), pathlib.Path(__file__).resolve().parent):
        for directory in (start, *start.parents):
            if (directory / "spec/vectors/teleport.json").exists():
                return directory / "spec/vectors"
    raise FileNotFoundError("spec/vectors")
