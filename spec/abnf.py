"""Grammars of RFC 5234 without recursion, as regular expressions over bytes: what address.md is checked with."""

import re


class Grammar:
    """Rules by name; those that call themselves, and prose values, are errors."""

    def __init__(self, text):
        self.rules = {}
        name = None
        for line in text.splitlines():
            line = without_comment(line)
            match = re.match(r"([A-Za-z][\w-]*)\s*=\s*(.*)", line)
            if match:
                name = match.group(1).lower()
                if name in self.rules:
                    raise ValueError("rule %s is there twice" % name)
                self.rules[name] = match.group(2)
            elif line.strip():
                if name is None or not line.startswith(" "):
                    raise ValueError("no rule: %s" % line)
                self.rules[name] += " " + line.strip()
        self.patterns = {}
        self.used = set()

    def pattern(self, name, above=()):
        """The regular expression of a rule, as text for bytes decoded as Latin-1."""
        name = name.lower()
        if name in above:
            raise ValueError("rule %s calls itself" % name)
        if name not in self.rules:
            raise ValueError("there is no rule %s" % name)
        self.used.add(name)
        if name not in self.patterns:
            tokens = re.findall(TOKEN, self.rules[name])
            if "".join(tokens) != re.sub(r"\s", "", self.rules[name]) and not quoted_blanks(self.rules[name], tokens):
                raise ValueError("rule %s is not understood" % name)
            parser = Parser(tokens, lambda other: self.pattern(other, above + (name,)))
            self.patterns[name] = parser.alternation()
            if parser.tokens:
                raise ValueError("rule %s: %s is too much" % (name, " ".join(parser.tokens)))
        return self.patterns[name]

    def matches(self, name, text):
        """Whether the whole text, as UTF-8, is one of this rule."""
        return re.fullmatch(self.pattern(name), text.encode().decode("latin-1"), flags=re.S) is not None

    def unused(self, *roots):
        """Rules that none of these needs."""
        for root in roots:
            self.pattern(root)
        return sorted(set(self.rules) - self.used)


TOKEN = r'%s"[^"]*"|"[^"]*"|%x[0-9A-Fa-f]+(?:-[0-9A-Fa-f]+|(?:\.[0-9A-Fa-f]+)+)?|\d*\*\d*|\d+|[A-Za-z][\w-]*|[()\[\]/]'


def without_comment(line):
    return re.sub(r'^((?:[^";]|"[^"]*")*);.*', r"\1", line).rstrip()


def quoted_blanks(rule, tokens):
    """Blanks inside of strings are the only ones that a token may have."""
    return re.sub(r"\s", "", "".join(tokens)) == re.sub(r"\s", "", rule)


class Parser:
    def __init__(self, tokens, rule):
        self.tokens = tokens
        self.rule = rule

    def at(self, *expected):
        return bool(self.tokens) and self.tokens[0] in expected

    def alternation(self):
        choices = [self.concatenation()]
        while self.at("/"):
            self.tokens.pop(0)
            choices.append(self.concatenation())
        return "(?:%s)" % "|".join(choices)

    def concatenation(self):
        parts = []
        while self.tokens and not self.at("/", ")", "]"):
            parts.append(self.repetition())
        if not parts:
            raise ValueError("an alternative without elements")
        return "".join(parts)

    def repetition(self):
        match = re.fullmatch(r"(\d*)(\*?)(\d*)", self.tokens[0])
        if not match:
            return self.element()
        self.tokens.pop(0)
        least, star, most = match.groups()
        if not star:
            return "%s{%s}" % (self.element(), least)
        return "%s{%s,%s}" % (self.element(), least or "0", most)

    def element(self):
        token = self.tokens.pop(0)
        if token in "([":
            inside = self.alternation()
            if not self.at({"(": ")", "[": "]"}[token]):
                raise ValueError("a bracket without its end")
            self.tokens.pop(0)
            return inside if token == "(" else "%s?" % inside
        if token.startswith("%x"):
            if "-" in token:
                first, last = token[2:].split("-")
                return "[\\x%02x-\\x%02x]" % (int(first, 16), int(last, 16))
            return "(?:%s)" % "".join("\\x%02x" % int(byte, 16) for byte in token[2:].split("."))
        if token.startswith('%s"'):
            return "(?:%s)" % re.escape(token[3:-1])
        if token.startswith('"'):
            return "(?i:%s)" % re.escape(token[1:-1])
        if token[0].isalpha():
            return self.rule(token)
        raise ValueError("%s is no element" % token)
