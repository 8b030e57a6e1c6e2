#!/usr/bin/env python3
"""Tests the expansion of cases, and that the checked-in files fit each other."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).absolute().parents[2]))
from integration.runner import model

REQUIRED_MIN = 130


def everything():
    implementations = model.read_implementations()
    return implementations, model.expand(model.read_cases(), implementations, model.read_transports())


class CheckedInFilesTest(unittest.TestCase):
    def test_required_cells_exist_and_are_enough(self):
        implementations, cells = everything()
        by_id = {cell.id: cell for cell in cells}
        required = model.read_required()
        self.assertGreaterEqual(len(required), REQUIRED_MIN)
        self.assertEqual(len(required), len(set(required)))
        for name in required:
            self.assertIn(name, by_id)

    def test_required_cells_have_a_side_that_shares_no_code_and_need_no_image_from_outside(self):
        implementations, cells = everything()
        required = set(model.read_required())
        for cell in cells:
            if cell.id in required:
                self.assertTrue(cell.is_independent, cell.id)
                self.assertFalse(cell.is_full_form_only, cell.id)
                for party, role in model.SHAPES[cell.case.shape].items():
                    self.assertTrue(implementations[cell.implementation(party)].has_image(role), cell.id)

    def test_the_server_behind_a_route_gateway_judges_nobody(self):
        _, cells = everything()
        counts = {cell.id: cell.is_independent for cell in cells}
        for way in ("route-tcp", "route-ws", "route-kcp-fec-aes"):
            self.assertFalse(counts["stream-route/server=go,gateway=wayport,client=wayport/" + way])
        self.assertFalse(counts["stream-half-route/server=go,gateway=wayport,client=wayport/route-tcp"])
        self.assertTrue(counts["stream-half-route/server=wayport,gateway=wayport,client=go/route-tcp"])
        self.assertTrue(counts["stream-route/server=go,gateway=gogateway-light,client=wayport/route-tcp"])
        # It is HAProxy that is told of the client.
        self.assertTrue(counts["stream-proxy/server=go,bridge=haproxy,gateway=wayport,client=wayport/route-tcp"])

    def test_ids_and_file_names_are_unique(self):
        _, cells = everything()
        self.assertEqual(len({cell.id for cell in cells}), len(cells))
        self.assertEqual(len({cell.file_name for cell in cells}), len(cells))

    def test_wayport_is_in_every_cell(self):
        _, cells = everything()
        for cell in cells:
            self.assertTrue(any(name.startswith("wayport") for name in cell.names()), cell.id)

    def test_vectors_exist(self):
        known = set()
        for path in (model.DIRECTORY.parent / "spec/vectors").glob("*.json"):
            known |= names_in(json.loads(path.read_text()))
        for case in model.read_cases():
            for vector in case.vectors:
                self.assertIn(vector, known, case.title)

    def test_a_promise_says_where_it_is_written(self):
        for case in model.read_cases():
            self.assertRegex(case.spec, r"^[a-z]+\.md", case.title)

    def test_every_broken_implementation_has_cells_that_must_turn_red_and_others(self):
        implementations, cells = everything()
        pairs = model.broken_cells(cells, implementations)
        for broken in (i for i in implementations.values() if i.is_broken):
            own = [red for cell, red in pairs if broken.name in cell.names()]
            self.assertIn(True, own, broken.name)
            self.assertIn(False, own, broken.name)

    def test_every_broken_implementation_is_judged_by_each_peer_with_checks_of_its_own(self):
        implementations, cells = everything()
        pairs = model.broken_cells(cells, implementations)
        for broken in (i for i in implementations.values() if i.is_broken):
            judges = {cell.implementation("client") for cell, red in pairs if red and broken.name in cell.names()}
            self.assertEqual(judges, set(model.JUDGES), broken.name)
        self.assertEqual(len({cell.id for cell, _ in pairs}), len(pairs))

    def test_an_implementation_from_outside_is_asked_for_every_role_of_the_contract(self):
        implementations = model.read_implementations()
        model.give_image(implementations, "mine=image:3")
        cells = model.expand(model.read_cases(), implementations, model.read_transports())
        played = {model.SHAPES[cell.case.shape][party] for cell in cells for party, name in cell.parties if name == "mine"}
        self.assertEqual(sorted(played), [role for role in model.ROLES if role not in ("bridge", "registry")])

    def test_originals_have_no_image(self):
        implementations, _ = everything()
        for name in ("teleport-go", "fastway-go", "gogateway-light", "wayport-previous"):
            self.assertFalse(any(implementations[name].has_image(role) for role in implementations[name].roles), name)


def names_in(value):
    if isinstance(value, dict):
        own = {value["name"]} if isinstance(value.get("name"), str) else set()
        return own.union(*(names_in(inner) for inner in value.values()))
    return set().union(*(names_in(inner) for inner in value)) if isinstance(value, list) else set()


CASES = """
shape = "peers"
[defaults]
transport = ["tcp"]
version = ["2.5"]
codec = ["json"]
header = ["json"]
gzip = [0]
[[case]]
name = "echo"
promise = "p"
spec = "s"
[[case.cells]]
server = ["wayport"]
client = ["@peers", "wayport"]
codec = ["json", "plain"]
"""
IMPLEMENTATIONS = """
[wayport]
shares_code_with_wayport = true
build = "wayport"
[b]
shares_code_with_wayport = false
build = "b"
transports = ["tcp"]
[program]
shares_code_with_wayport = false
is_program = true
[old]
shares_code_with_wayport = true
roles = ["client"]
command = ["x"]
[old.role.client]
command = ["y"]
"""


class ExpansionTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)
        (self.directory / "i.toml").write_text(IMPLEMENTATIONS)
        self.implementations = model.read_implementations(self.directory / "i.toml")

    def cells(self, cases=CASES):
        (self.directory / "cases").mkdir(exist_ok=True)
        (self.directory / "cases/a.toml").write_text(cases)
        return model.expand(model.read_cases(self.directory / "cases"), self.implementations, {"tcp": {}, "tls": {}})

    def test_is_the_product_without_wayport_against_itself(self):
        self.assertEqual([cell.id for cell in self.cells()], [
            "echo/server=wayport,client=b/tcp/2.5,json,header-json,gzip-0",
            "echo/server=wayport,client=b/tcp/2.5,plain,header-json,gzip-0",
            "echo/server=wayport,client=old/tcp/2.5,json,header-json,gzip-0",
            "echo/server=wayport,client=old/tcp/2.5,plain,header-json,gzip-0",
        ])

    def test_a_cell_counts_only_if_one_side_shares_no_code(self):
        self.assertEqual([cell.is_independent for cell in self.cells()], [True, True, False, False])

    def test_leaves_out_transports_that_somebody_does_not_carry(self):
        cells = self.cells(CASES.replace('transport = ["tcp"]', 'transport = ["tls"]'))
        self.assertEqual({cell.implementation("client") for cell in cells}, {"old"})

    def test_an_implementation_from_outside_plays_every_role(self):
        model.give_image(self.implementations, "mine=image:3")
        self.assertEqual(sum("mine" in cell.names() for cell in self.cells()), 2)
        self.assertEqual(self.implementations["mine"].part("client").image, "image:3")
        self.assertFalse(self.implementations["mine"].shares_code)

    def test_an_image_for_a_known_one_keeps_its_commands(self):
        model.give_image(self.implementations, "old=image:2")
        part = self.implementations["old"].part("client")
        self.assertEqual((part.image, part.build, part.command), ("image:2", None, ("y",)))

    def test_no_image_is_known(self):
        self.assertFalse(self.implementations["old"].has_image("client"))
        self.assertTrue(self.implementations["b"].has_image("client"))

    def test_mistakes_are_told(self):
        for old, new, words in (
                ('"wayport"]', '"wayprot"]', "no implementation wayprot"),
                ("promise", "promises", "unknown key promises"),
                ('shape = "peers"', 'shape = "pears"', "no shape pears"),
                ('gzip = [0]\n', "", "nothing says gzip"),
                ('transport = ["tcp"]', 'transport = ["udp"]', "no transport udp")):
            with self.subTest(words), self.assertRaisesRegex(model.Mistake, words):
                self.cells(CASES.replace(old, new))
        for text in ("mine", "mine=", "=image", "Mine=image"):
            with self.subTest(text), self.assertRaises(model.Mistake):
                model.give_image(self.implementations, text)


if __name__ == "__main__":
    unittest.main()
