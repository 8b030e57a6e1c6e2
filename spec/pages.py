"""Whether the pages of this directory agree with the vectors, with themselves and with each other.

usage: pages.py           check them, and what the tree's files say of their sections; exit 1 if something is wrong

Quotes and names of vectors (quotes.py), tables (tables.py), and here: numbers of sections, links, the ids of rules, the grammar of
addresses. Each check is tested by pages_test.py, with a planted error that it must find.
"""

import functools
import json
import pathlib
import re
import subprocess
import sys

import abnf
import tables
from page import Page, table_below
from quotes import VECTORS, check_names, check_quotes

HERE = pathlib.Path(__file__).resolve().parent

# What each page says where it is, in its line "On this page".
TOPICS = ["layout", "constants", "states", "limits", "errors", "conformance", "worked bytes", "security", "differences"]
PAGES = ["address.md", "kcp.md", "link.md", "route.md", "snet.md", "status.md", "teleport.md", "ws.md"]

LINE_MAX = 140


def check_form(page, vectors):
    del vectors
    if page.open_fence:
        yield page.open_fence, "a fence that nothing closes"
    for number, line in enumerate(page.text.splitlines(), 1):
        if len(line) > LINE_MAX and not line.startswith("|"):
            yield number, "%d columns; %d are the most outside of tables" % (len(line), LINE_MAX)
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
    numbers = [m.group(1) for _, h in page.headings for m in [re.match(r"(\d+)\. ", h)] if m]
    if numbers != [str(n + 1) for n in range(len(numbers))]:
        yield 1, "sections are numbered %s" % ", ".join(numbers)


def check_sections(pages):
    """Numbers of sections in running text, after "section" or after a link to a page of ours."""
    number = r"(\d+(?:\.\d+)?)"
    for page in pages.values():
        for line, text in page.prose:
            for name, tail in re.findall(r"\]\(([a-z]+\.md)\)((?:,? (?:sections? |and )?\d+(?:\.\d+)?)+)", text):
                for section in re.findall(number, tail):
                    if name in pages and section not in pages[name].sections:
                        yield page.name, line, "%s has no section %s" % (name, section)
            if page.name not in PAGES:
                continue
            for section in re.findall(r"\bsection " + number, text):
                if "vectors/" not in text and section not in page.sections:
                    yield page.name, line, "there is no section %s" % section


def check_links(pages, exists):
    """`exists`: whether a path below this directory, or above it, is there; True for what a test does not see."""
    for page in pages.values():
        directory = pathlib.PurePosixPath(page.name).parent
        for line, text in page.prose:
            for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", text)):
                path, _, anchor = target.partition("#")
                if "://" in path:
                    continue
                full = str(directory / path) if path else page.name
                if path and not exists(full):
                    yield page.name, line, "links to %s, which is not there" % path
                elif anchor and full in pages and anchor not in pages[full].anchors:
                    yield page.name, line, "%s has no heading #%s" % (full, anchor)


def check_topics(page, vectors):
    del vectors
    if page.name not in PAGES:
        return
    text = "\n".join(line for _, line in page.prose)
    match = re.search(r"On this page: (.*?)(?:\n\n|$)", text, flags=re.S)
    if not match:
        yield 1, 'has no line "On this page"'
        return
    said = {}
    for part in match.group(1).replace("\n", " ").split(" · "):
        topic, _, rest = part.strip().partition(" [")
        said[topic] = rest
    for topic in TOPICS:
        if topic not in said:
            yield 1, 'does not say where its %s are, in "On this page"' % topic
        elif not said[topic]:
            yield 1, "%s are nowhere" % topic


def check_rules(pages):
    """Rules are "- T-1 MUST ...": an id once, in order within a level, with a word that binds, and sections that there are."""
    letters = {}
    for page in pages.values():
        rules = []
        ordered, last = True, 0
        for index, (line, text) in enumerate(page.prose):
            match = re.match(r"- ([A-Z]+)-(\d+) (.*)", text)
            if not match:
                last = 0 if text.startswith(("**", "#")) else last
                continue
            ordered, last = ordered and last < int(match.group(2)), int(match.group(2))
            whole = match.group(3)
            for _, more in page.prose[index + 1:]:
                if not more.startswith("  "):
                    break
                whole += " " + more.strip()
            rules.append((match.group(1), int(match.group(2))))
            if not re.search(r"\b(MUST|SHOULD|MAY)\b", whole):
                yield page.name, line, "a rule without MUST, SHOULD or MAY"
            if not whole.endswith("."):
                yield page.name, line, "a rule without its end"
            references = re.findall(r"\((\d[\d., ]*(?:, item \d+)?)\)", whole)
            for section in re.findall(r"(?<!item )\b\d+(?:\.\d+)?", " ".join(references)):
                if section not in page.sections:
                    yield page.name, line, "there is no section %s" % section
        if page.name in PAGES and not rules:
            yield page.name, 1, "has no rules"
        if not rules:
            continue
        numbers = sorted(n for _, n in rules)
        if not ordered or numbers != list(range(1, len(rules) + 1)) or len({letter for letter, _ in rules}) != 1:
            yield page.name, 1, "rules are numbered %s" % ", ".join("%s-%d" % rule for rule in rules)
        other = letters.setdefault(rules[0][0], page.name)
        if other != page.name:
            yield page.name, 1, "its rules have the letter of those of %s" % other


def reads_as_address(grammar, text):
    """The grammar, and the rules of section 3 that it cannot say: where a path begins, bare addresses, ports."""
    place = text.split("?")[0]
    scheme, divider, rest = text.partition("://")
    port = re.search(r":(\d+)$", place.partition("://")[2].split("/")[0] if divider else place.split("/")[0])
    if port and int(port.group(1)) > 65535 or len(text) > 4096:
        return False
    if not divider or re.search(r"[/?]", scheme):
        return grammar.matches("bare-address", text)
    unix = re.split(r"\+", scheme)[-1] == "unix"
    return grammar.matches("unix-address" if unix else "net-address", text)


def check_address(page):
    """Yields (section, problem). The parser's side of the same examples: transport/address_page_test.cc."""
    text = next((lines for _, info, lines in page.blocks if info == "abnf"), None)
    if text is None:
        yield "2. Grammar", "there is no grammar"
        return
    kinds = ["bool", "duration", "size", "octal"]
    try:
        grammar = abnf.Grammar("\n".join(text))
        for rule in grammar.unused("address", *kinds):
            yield "2. Grammar", "nothing needs the rule %s" % rule
    except ValueError as error:
        yield "2. Grammar", str(error)
        return
    for column, wanted in (("printed", True), ("why", False)):
        rows = table_below(page, "4. Examples", ["text", column])
        if not rows:
            yield "4. Examples", "no table of text and %s" % column
        for row in rows:
            examples = [row[0].strip("`")] + ([row[1].strip("`")] if wanted else [])
            for example in examples:
                if reads_as_address(grammar, example) != wanted:
                    yield "4. Examples", "the grammar %s %s" % ("refuses" if wanted else "takes", example)
    rows = table_below(page, "4. Examples", ["kind", "taken", "refused"])
    if sorted(row[0] for row in rows) != sorted(kinds):
        yield "4. Examples", "values of which kinds?"
    for row in rows:
        for column, wanted in ((1, True), (2, False)):
            for example in re.findall(r"`([^`]*)`", row[column]):
                # That a duration is not below 0 is a comment in the grammar.
                taken = grammar.matches(row[0], example) and not re.match(r"-.*[1-9]", example)
                if taken != wanted:
                    yield "4. Examples", "the rule %s %s %s" % (row[0], "refuses" if wanted else "takes", example)


@functools.lru_cache(maxsize=64)
def page_of(name, text):
    return Page(name, text)


def problems_of(texts, vectors, exists, only=None):
    """`texts`: name -> page, relative to this directory; `vectors`: file -> JSON; `only`: the page that may be wrong in itself."""
    pages = {name: page_of(name, text) for name, text in texts.items()}
    problems = []
    for page in pages.values():
        if only not in (None, page.name):
            continue
        for check in (check_form, check_quotes, check_names, check_topics):
            problems += ["%s:%d: %s" % (page.name, line, text) for line, text in check(page, vectors)]
        if page.name in tables.CONSTANTS:
            found = list(tables.CONSTANTS[page.name](page, vectors[VECTORS[page.name]]))
            problems += ["%s: %s: %s" % (page.name, *problem) for problem in found[:5]]
    for page in PAGES:
        if page not in pages:
            problems.append("%s is missing" % page)
    problems += ["status.md: %s: %s" % p for p in tables.check_status(pages)]
    if "address.md" in pages and only in (None, "address.md"):
        problems += ["address.md: %s: %s" % p for p in check_address(pages["address.md"])]
    if "vectors/README.md" in pages and only in (None, "vectors/README.md"):
        for check in (tables.check_counts, tables.check_keys):
            problems += ["vectors/README.md:%d: %s" % p for p in check(pages["vectors/README.md"], vectors)]
    for found in (check_sections(pages), check_links(pages, exists), check_rules(pages)):
        problems += ["%s:%d: %s" % problem for problem in found]
    return problems


def check_references(texts, files):
    """Sections that files of the tree name: "spec/link.md 5", "spec/teleport 3, 5". `files`: path -> text."""
    pages = {name[:-3]: Page(name, text) for name, text in texts.items() if "/" not in name}
    numbers = r"((?:,? (?:sections? |and |to |items? )?\d+(?:\.\d+)?)+)"
    for path, text in files.items():
        for match in re.finditer(r"\bspec/(\w+)(?:\.md)?[`)]*,?" + numbers, text):
            if match.group(1) not in pages:
                continue
            for section in re.findall(r"\d+(?:\.\d+)?", re.sub(r"items? \d+", "", match.group(2))):
                if section not in pages[match.group(1)].sections:
                    yield "%s:%d: spec/%s has no section %s" % (path, text.count("\n", 0, match.start()) + 1, match.group(1), section)


def tree_files():
    """Path -> text of what git knows or would add, but for data and these pages."""
    root = HERE.parent
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root, check=True, capture_output=True)
    files = {}
    for path in listed.stdout.decode().splitlines():
        if not path.startswith(("spec/pages", "spec/vectors/")) and re.search(r"\.(bzl|cc|go|h|lua|md|pml|py|sh)$|/BUILD$", path):
            files[path] = (root / path).read_text(errors="replace") if (root / path).is_file() else ""
    return files


def read(directory):
    """The pages and vectors below a directory, and whether a link's target is there."""
    names = [p.relative_to(directory).as_posix() for p in sorted(directory.glob("*.md")) + sorted(directory.glob("*/*.md"))]
    texts = {name: (directory / name).read_text() for name in names}
    vectors = {p.name: json.loads(p.read_text()) for p in sorted(directory.glob("vectors/*.json"))}
    return texts, vectors


def main():
    texts, vectors = read(HERE)
    problems = problems_of(texts, vectors, lambda path: (HERE / path).exists())
    problems += check_references(texts, tree_files())
    print("\n".join(problems + ["%d pages, %d problems" % (len(texts), len(problems))]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
