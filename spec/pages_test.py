#!/usr/bin/env python3
"""The pages agree with the vectors, themselves and each other (pages.py); and each kind of mistake in them is found."""

import os
import pathlib
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import abnf
import pages
import quotes
from page import Page


def directory():
    """This package: as the test was given it, or where the file lies."""
    root = os.environ.get("TEST_SRCDIR")
    if root is None:
        return pathlib.Path(__file__).resolve().parent
    return pathlib.Path(root, os.environ["TEST_WORKSPACE"], "spec")


def exists(path):
    """What lies outside of this package and of vectors/ is not shown to the test; tools that see the tree run pages.py itself."""
    return path.startswith(("../", "models/")) or (directory() / path).exists()


# (page, what stands there, what is planted in its place, a part of the problem that must be found)
PLANTED = [
    # quotes
    ("teleport.md", "00000016                HL = 22", "00000017                HL = 22", "the vector is 000000167010"),
    ("teleport.md", "08 0a 10 02             the body", "08 0a 10                the body", "the vector is 000000167010"),
    ("teleport.md", "70                      BC = 'p'", "zz                      BC = 'p'", "no hex: zz"),
    ("teleport.md", "70                      BC = 'p'", "7                       BC = 'p'", "no hex: 7"),
    ("teleport.md", "```vector teleport.json v2.5/h_protobuf.gz0.pull_404/s2c/0", "```vector teleport.json v2.5/nothing",
     "teleport.json has no vector v2.5/nothing"),
    ("teleport.md", "```vector teleport.json v2.5/h_protobuf.gz0.pull_404/s2c/0", "```vector teleport v2.5/nothing",
     "a quote begins with"),
    ("teleport.md", "```vector ", "```text ", "quotes no vector of teleport.json"),
    ("link.md", "challenge: 0102030405060708  ", "challenge: 0102030405060709  ", "challenge is 0102030405060708"),
    ("link.md", "challenge: 0102030405060708  ", "salt: 0102030405060708  ", "the vector has no field salt"),
    ("link.md", "gateway->client: 0d000000 00000000 01 01000000 7b000000", "client->gateway: 0d000000 00000000 01 01000000 7b000000",
     "the vector has no such step here"),
    ("link.md", "gateway->client: 08000000 03000000 70757368\n...\n", "gateway->client: 08000000 03000000 70757368\n",
     "the vector goes on"),
    ("link.md", "gateway->client: 09000000 01000000 48656c6c6f\n...\n", "gateway->client: 09000000 01000000 48656c6c6f\n",
     "the vector has no such step here, but client->gateway: 0400000001000000"),
    ("snet.md", "                dde0c3d2dad4a135                    id 1", "                dde0c3d2dad4a136                    id 1",
     "the vector has no such step here"),
    ("snet.md", "secret: eeb6c7ece537eae8 ", "secret: eeb6c7ece537eae9 ", "secret is eeb6c7ece537eae8"),
    ("snet.md", "```vector snet.json dh64 21", "```vector snet.json dh64 99", "snet.json has no vector dh64 99"),
    ("route.md", "01 10 00 00  ", "01 20 00 00  ", "the vector is 01100000"),
    ("route.md", "client->gateway:                                        an empty message\n", "", "the vector has no such step here"),
    ("kcp.md", "packets.0.kcp_packet: 4433", "packets.7.kcp_packet: 4433", "the vector has no field packets.7.kcp_packet"),
    ("kcp.md", "ffffffff 616263", "fffffff0 616263", "the vector is 05000000"),
    ("status.md", "09000000 00000000 03 e7030000 ", "09000000 00000000 03 e8030000 ", "the vector is 0900000000"),
    # names in running text
    ("teleport.md", "`v2.5/h_json.request_with_status/c2s/0`", "`v2.5/h_json.request/c2s/0`", "teleport.json has no vector"),
    ("link.md", "`data-empty`", "`data-none`", "fastway.json has no vector data-none"),
    ("snet.md", "`graceful-client-close`", "`graceful-close`", "snet.json has no vector graceful-close"),
    ("route.md", "`identify-bad-...`", "`identify-worse-...`", "route.json has no vector identify-worse-..."),
    ("kcp.md", "*len_ffffffff*", "*len_fffffff0*", "kcp.json has no vector len_fffffff0"),
    # form, sections and links
    ("ws.md", "## 6. Liveness", "## 7. Liveness", "sections are numbered 1, 2, 3, 4, 5, 7"),
    ("ws.md", "## 12. Differences", "```\n## 12. Differences", "a fence that nothing closes"),
    ("ws.md", "## 11. Security", "## 11. Security \n" + "x" * 141, "141 columns"),
    ("ws.md", "## 11. Security\n", "## 11. Security \n", "blanks at the end"),
    ("link.md", "(section 7)", "(section 77)", "there is no section 77"),
    ("link.md", "(section 8)", "(section 8.1)", "there is no section 8.1"),
    ("snet.md", "([link.md](link.md) 6)", "([link.md](link.md) 66)", "link.md has no section 66"),
    ("address.md", "([route.md](route.md) 3.3)", "([route.md](route.md) 3.9)", "route.md has no section 3.9"),
    ("README.md", "](link.md)", "](lin.md)", "links to lin.md, which is not there"),
    ("kcp.md", "](#2-segments)", "](#2-segment)", "kcp.md has no heading #2-segment"),
    # topics
    ("snet.md", "On this page: layout", "Layout", 'has no line "On this page"'),
    ("snet.md", " · security [14](#14-security)", "", "does not say where its security are"),
    ("snet.md", "security [14](#14-security)", "security", "security are nowhere"),
    # rules
    ("teleport.md", "- T-7 MUST", "- T-6 MUST", "rules are numbered T-1, T-2, T-3, T-4, T-5, T-6, T-6"),
    ("kcp.md", "- K-24 MUST", "- K-30 MUST", "rules are numbered K-1, K-2"),
    ("link.md", "- L-2 MUST judge", "- L-3 MUST judge", "rules are numbered L-1, L-3, L-3"),
    ("teleport.md", "- T-7 MUST", "- L-7 MUST", "rules are numbered T-1, T-2, T-3, T-4, T-5, T-6, L-7"),
    ("teleport.md", "- T-7 MUST bound what it inflates", "- T-7 bounds what it inflates", "a rule without MUST"),
    ("teleport.md", "what it collects (8, 18).", "what it collects (8, 18)", "a rule without its end"),
    ("teleport.md", "what it collects (8, 18).", "what it collects (8, 81).", "there is no section 81"),
    ("snet.md", "- S-", "- T-", "its rules have the letter of those of"),
    ("kcp.md", "- K-", "- the rule K-", "has no rules"),
    # constants
    ("teleport.md", "| `p` 0x70 |", "| `p` 0x71 |", "codec protobuf is 0x70"),
    ("teleport.md", "| 3, string | `uri`", "| 6, string | `uri`", "uri is not field 6"),
    ("teleport.md", "| 404 | Not Found |", "| 404 | Nowhere |", "404 is 'Not Found'"),
    ("teleport.md", "| 3 | | push |", "| 3 | | |", "3. Types"),
    ("link.md", "| 4 | Close | connection id | 9 |", "| 5 | Close | connection id | 9 |", "close is type 4, length 9"),
    ("snet.md", "`ffffffffffffffc5`, 5", "`ffffffffffffffc5`, 7", "p, g are ffffffffffffffc5, 5"),
    ("snet.md", "| first byte of a reconnect | `ff`", "| first byte of a reconnect | `01`", "first bytes are 00, ff"),
    ("kcp.md", "82 ack, 83 wask", "83 ack, 82 wask", "ack is 82"),
    ("kcp.md", "`bfd6620a066fdfb70504`", "`bfd6620a066fdfb70505`", "the parity row bfd6620a066fdfb70504"),
    ("kcp.md", "IV `a7734f9c", "IV `b7734f9c", "the IV is a7734f9c"),
    ("kcp.md", "2000 4a05cced", "2000 4b05cced", "the bytes of push are others"),
    ("kcp.md", "10000000 01 05 0000", "10000000 01 04 0000", "the bytes of close are others"),
    ("kcp.md", "3ea11902 01000000 10000000 01 01", "3ea11903 01000000 10000000 01 01", "the bytes of hello are others"),
    ("kcp.md", "| 6 closed |", "| 8 closed |", "the bytes of closed are others"),
    ("route.md", "1 869 771 365", "1 869 771 366", "the word of a refusal is 1 869 771 365"),
    ("route.md", "1 800 000 000", "1 700 000 000", "the clock is 1800000000"),
    ("route.md", "| identify | 1 to 4096 bytes |", "| identify | 1 to 4095 bytes |", "an identify has at most 4096"),
    # what two pages say
    ("status.md", "| 1009 | too_large | too_large |", "| 1009 | too_large | malformed |", "1009 is received as too_large"),
    ("status.md", "| 1014 | unreachable |", "| 1014 | overloaded |", "overloaded is sent as 1013"),
    ("status.md", "| 1014 | unreachable |", "| 1014 | never |", "unreachable is missing"),
    ("status.md", "| `overloaded` | `error`, the end, or the end alone | 503 |", "| `overloaded` | `error`, the end | 502 |",
     "overloaded is 503 in route.md"),
    ("status.md", "| `forbidden` | `error`, the end | 502 |", "| `forbidden` | `error`, the end | 403 |", "forbidden is 502 in route.md"),
    ("status.md", "| `internal` |", "| (internal) |", "internal is missing"),
    ("status.md", "| 410 | `Unsupported", "| 411 | `Unsupported", "410 of teleport.md is missing"),
    # the grammar of addresses, and its examples
    ("address.md", '*4DIGIT )', '*3DIGIT )', "the grammar refuses"),
    ("address.md", 'path         = "/" *path-char', 'path         = "/" *value-char', "the grammar"),
    ("address.md", "| `tcp://h:080` | a leading", "| `tcp://h:80` | a leading", "the grammar takes tcp://h:80"),
    ("address.md", "| `tcp://` | `tcp://` |", "| `tcp:/` | `tcp://` |", "the grammar refuses tcp:/"),
    ("address.md", "`64k` `64KB`", "`64KiB` `64KB`", "the rule size takes 64KiB"),
    ("address.md", "octet        = DIGIT /", "octet        = DIGITS /", "there is no rule digits"),
    ("address.md", "bool         =", "unneeded     = DIGIT\nbool         =", "nothing needs the rule unneeded"),
    ("address.md", "h16          = 1*4HEX", "h16          = ipv6", "calls itself"),
    ("address.md", "```abnf", "```text", "there is no grammar"),
    # the format of the vectors
    ("vectors/README.md", "| `teleport.json` | `packet` | 349 |", "| `teleport.json` | `packet` | 350 |",
     "349 entries there, the table says 350"),
    ("vectors/README.md", "| `kcp.json` | `segments` | 10 | a segment, or a row of them |\n", "", "the table says nothing"),
    ("vectors/README.md", "`payload_rule`", "`rule`", "nothing is said of the key payload_rule"),
    ("vectors/README.md", "## snet.json", "## snet", "has no section snet.json"),
]


class PagesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.texts, cls.vectors = pages.read(directory())

    def test_the_pages_are_right(self):
        self.assertGreaterEqual(set(self.texts), set(pages.PAGES) | {"README.md", "vectors/README.md"})
        self.assertEqual(set(quotes.VECTORS.values()), set(self.vectors))
        self.assertEqual(pages.problems_of(self.texts, self.vectors, exists), [])

    def test_each_planted_mistake_is_found(self):
        for page, old, new, problem in PLANTED:
            with self.subTest(page=page, planted=new):
                self.assertIn(old, self.texts[page])
                texts = {**self.texts, page: self.texts[page].replace(old, new)}
                found = pages.problems_of(texts, self.vectors, exists, only=page)
                self.assertTrue(any(problem in line for line in found), found)

    def test_a_page_that_is_gone_is_missed(self):
        texts = {name: text for name, text in self.texts.items() if name != "snet.md"}
        self.assertIn("snet.md is missing", pages.problems_of(texts, self.vectors, exists))

    def test_each_page_with_vectors_quotes_some(self):
        for name, file in quotes.VECTORS.items():
            with self.subTest(page=name):
                blocks = Page(name, self.texts[name]).blocks
                self.assertGreaterEqual(sum(info.startswith("vector " + file) for _, info, _ in blocks), 3)

    def test_sections_that_sources_name(self):
        right = "// spec/link.md 5, 7; `spec/teleport` 14 item 99; (spec/route.md 3.4); spec/snet.md, section 7; " \
            "spec/other 99; spec/kcp 2 to 4\n"
        self.assertEqual(list(pages.check_references(self.texts, {"a.h": right})), [])
        for wrong in ["spec/link.md 99", "spec/teleport 5, 99", "spec/route 3.9", "spec/snet.md, section 99", "spec/kcp.md 2 and 99"]:
            found = list(pages.check_references(self.texts, {"a.h": right + "// " + wrong}))
            self.assertEqual(len(found), 1, wrong)
            self.assertTrue(found[0].startswith("a.h:2: "), found)

    def test_every_bit_of_a_quote_counts(self):
        quote = ["00000016 70", "10 01 1a 11 2f67726f75702f686f6d652f70726f746f", "00000005 70 08 0a 10 02"]
        entry = quotes.find_vector(self.vectors["teleport.json"], "v2.5/h_protobuf.gz0.pull_protobuf/c2s/0")
        self.assertEqual(list(quotes.check_quote(entry, quote)), [])
        for line, text in enumerate(quote):
            for at, digit in enumerate(text):
                if digit == " ":
                    continue
                wrong = text[:at] + "%x" % (int(digit, 16) ^ 1) + text[at + 1:]
                self.assertNotEqual(list(quotes.check_quote(entry, quote[:line] + [wrong] + quote[line + 1:])), [], wrong)


class AbnfTest(unittest.TestCase):
    def check(self, text, yes, no):
        grammar = abnf.Grammar(text)
        for example in yes:
            self.assertTrue(grammar.matches("a", example), example)
        for example in no:
            self.assertFalse(grammar.matches("a", example), example)

    def test_alternatives_and_groups(self):
        self.check('a = "x" ( "y" / "z" ) [ "!" ]  ; a comment with "quotes"', ["xy", "xz", "xy!"], ["x", "xyz", "x!"])

    def test_repetitions(self):
        self.check('a = 1*2"x" *"y" 2"z"', ["xzz", "xxyyyzz"], ["zz", "xxxzz", "xz", "xzzz"])

    def test_letter_case(self):
        self.check('a = "x" %s"y"', ["xy", "Xy"], ["xY", "XY"])

    def test_bytes(self):
        self.check("a = %x61-63 %xC2.B5 / %x2D", ["a\u00b5", "c\u00b5", "-"], ["d\u00b5", "a"])

    def test_rules_go_on_in_indented_lines(self):
        self.check('a = b /\n    "c;"\nb = "b"', ["b", "c;"], ["a", ";"])

    def test_what_is_no_grammar(self):
        for text in ["a = b", "a = a", 'a = "x" )', 'a = ( "x"', "a = <prose>", 'a = "x" / ', 'a = "x"\na = "y"', ' "x"']:
            with self.subTest(text=text), self.assertRaises(ValueError):
                abnf.Grammar(text).pattern("a")


if __name__ == "__main__":
    unittest.main()
