"""What a uri says (7): the decoded path, and the pairs of the query."""

import re

HEX = frozenset("0123456789abcdefABCDEF")


class BadUri(ValueError):
    """The parser's words, as the reply to a pull has them."""

    def __init__(self, uri, reason):
        super().__init__(f'parse "{uri}": {reason}')


def unescape(text, plus=False):
    """Percent-decodes; ValueError names the first escape that is none."""
    out = bytearray()
    at = 0
    while at < len(text):
        char = text[at]
        if char == "%":
            digits = text[at + 1 : at + 3]
            if len(digits) < 2 or not HEX.issuperset(digits):
                raise ValueError(f'invalid URL escape "{text[at:at + 3]}"')
            out.append(int(digits, 16))
            at += 3
            continue
        out += b" " if plus and char == "+" else char.encode("utf-8", "surrogateescape")
        at += 1
    return out.decode("utf-8", "surrogateescape")


def parse(uri):
    """(path, query) or BadUri; the query is still encoded."""
    if re.search("[\x00-\x1f\x7f]", uri):
        raise BadUri(uri, "net/url: invalid control character in URL")
    rest, _, fragment = uri.partition("#")
    scheme = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*):", rest)
    if not scheme and rest.startswith(":"):
        raise BadUri(uri, "missing protocol scheme")
    if scheme:
        rest = rest[scheme.end() :]
    rest, _, query = rest.partition("?")
    if not rest.startswith("/"):
        if scheme:
            return "", query  # opaque: there is no path
        if ":" in rest.partition("/")[0]:
            raise BadUri(uri, "first path segment in URL cannot contain colon")
    try:
        if rest.startswith("//") and (scheme or not rest.startswith("///")):
            authority, slash, path = rest[2:].partition("/")
            check_authority(authority)
            rest = slash + path
        unescape(fragment)
        return unescape(rest), query
    except ValueError as error:
        raise BadUri(uri, str(error)) from error


def check_authority(text):
    host = text.rpartition("@")[2]
    port = re.search(r":([^:\]]*)$", host)
    if port and not re.fullmatch("[0-9]*", port.group(1)):
        raise ValueError(f'invalid port ":{port.group(1)}" after host')
    if " " in host:
        raise ValueError('invalid character " " in host name')
    unescape(host)


def query_values(query):
    """{key: [values]}; pairs that do not decode are left out."""
    values = {}
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if not pair or ";" in pair:
            continue
        try:
            values.setdefault(unescape(key, plus=True), []).append(unescape(value, plus=True))
        except ValueError:
            continue
    return values
