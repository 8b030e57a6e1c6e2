#!/usr/bin/env python3
"""Tests what is made of results: which are red, and how they are shown. Also the small parts around a cell that need no engine."""

import html.parser
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.runner import faults, images, main, model, report
from integration.runner.results import Result, State, judge
from integration.runner.stage import fill


def cells():
    implementations = model.read_implementations()
    return model.expand(model.read_cases(), implementations, model.read_transports())


def results():
    green, red, unsupported, missing = cells()[:4]
    return [Result(green, State.green, seconds=1.5, measured={"bytes": 3}, logs=("cells/a/server.log",)),
            Result(red, State.red, "expected <3>, 4 came"),
            Result(unsupported, State.unsupported, "client: no snet"),
            Result(missing, State.no_image, "fastway-go")]


class JudgeTest(unittest.TestCase):
    def test_a_required_cell_is_green_or_red(self):
        for state, judged in ((State.green, State.green), (State.red, State.red), (State.unsupported, State.red),
                              (State.no_image, State.red)):
            cell = cells()[0]
            result = judge(Result(cell, state), {cell.id})
            self.assertEqual((result.state, result.is_required), (judged, True))

    def test_others_keep_their_state(self):
        for state in State:
            self.assertEqual(judge(Result(cells()[0], state), set()).state, state)


class Counter(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.links = []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name == "href"]


class ReportTest(unittest.TestCase):
    def test_text_has_each_state_and_the_reason_of_red(self):
        text = report.text(results())
        self.assertIn("1 green, 1 RED, 1 not supported, 1 no image given", text)
        self.assertIn("expected <3>, 4 came", text)
        self.assertIn("fastway-go: no image given (1 cells)", text)

    def test_red_stands_for_a_group(self):
        self.assertEqual(report.worst(results()), State.red)
        self.assertEqual(report.worst(results()[2:]), State.unsupported)

    def test_json_has_every_cell(self):
        read = json.loads(report.as_json(results(), meta={"seed": 1}))
        self.assertEqual([cell["result"] for cell in read["cells"]], [state.value for state in State])
        self.assertEqual(read["seed"], 1)
        self.assertEqual(read["counts"]["RED"], 1)

    def test_the_page_opens_logs_is_escaped_and_has_no_scripts(self):
        page = report.page(results(), [faults.Failed("cut <b>", "why")])
        parsed = Counter()
        parsed.feed(page)
        self.assertIn("cells/a/server.log", parsed.links)
        self.assertNotIn("script", parsed.tags)
        self.assertIn("expected &lt;3&gt;", page)
        self.assertIn("cut &lt;b&gt;", page)

    def test_faults_that_did_not_hold_are_red(self):
        text = report.faults_text([faults.Failed("cut", "why", "nothing is lost")])
        self.assertRegex(text, "RED +cut")
        self.assertIn("1 scenarios, 0 held", text)


class FaultsTest(unittest.TestCase):
    def test_a_scenario_that_raises_has_not_held_and_hides_no_other(self):
        def broken(engine, made, directory):
            raise ValueError("what went wrong")

        def sound(engine, made, directory):
            return faults.Failed("sound", "", passed=True)

        with tempfile.TemporaryDirectory() as directory:
            ran = faults.run([("a.broken", broken), ("a.sound", sound)], None, None, pathlib.Path(directory), say=lambda text: None)
        self.assertEqual([result.passed for result in ran], [False, True])
        self.assertIn("what went wrong", ran[0].detail)

    def test_what_an_engine_cannot_run_has_not_held(self):
        found = faults.find()
        said = []
        self.assertEqual(faults.fitting(found, "containers", said.append), found)
        self.assertEqual(said, [])
        left = faults.fitting(found, "namespaces", said.append)
        self.assertEqual({name for name, _ in found} - {name for name, _ in left}, {"image.runs_without_privileges"})
        self.assertEqual(said, ["not run: image.runs_without_privileges needs containers"])

    def test_scenarios_need_root_unless_they_say_otherwise(self):
        found = faults.find()
        free = {name for name, _ in found} - set(faults.needing_root(found))
        self.assertEqual(free, {"image.runs_without_privileges", "servers.killed", "servers.left"})


class FillTest(unittest.TestCase):
    def test_other_braces_stay(self):
        self.assertEqual(fill('a = "{address}" { b = {allow_list} } {unknown}', {"address": "x", "allow_list": "[]"}),
                         'a = "x" { b = [] } {unknown}')


class DigestTest(unittest.TestCase):
    def test_is_of_names_and_contents(self):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "a").write_text("1")
            seen = {images.digest(root)}
            (root / "a").write_text("2")
            seen.add(images.digest(root))
            (root / "a").rename(root / "b")
            seen.add(images.digest(root))
            self.assertEqual(len(seen), 3)
            (root / "__pycache__").mkdir()
            (root / "__pycache__/x").write_text("")
            self.assertIn(images.digest(root), seen)


class OptionsTest(unittest.TestCase):
    def ids(self, *words):
        return [cell.id for cell in main.selected(main.parse(list(words)))[3]]

    def test_only_selects_by_id(self):
        self.assertTrue(all(name.startswith("status/") for name in self.ids("--only", "^status/")))

    def test_the_short_form_is_what_is_required_and_what_was_given(self):
        self.assertEqual(set(self.ids("--short")), set(model.read_required()))
        self.assertTrue(any("mine" in name for name in self.ids("--short", "--implementation", "mine=image")))

    def test_mistakes_are_told(self):
        for words in (["--repeat", "0"], ["--jobs", "0"], ["--seed", "-1"], ["--matrix-only", "--faults-only"], ["--only", "("]):
            with self.subTest(words), self.assertRaises(model.Mistake):
                main.selected(main.parse(words))


if __name__ == "__main__":
    unittest.main()
