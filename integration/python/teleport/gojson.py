"""JSON texts in the manner of Go's encoding/json, which the originals use (2)."""

import codecs
import json
import re

# Python would write one U+FFFD for a whole bad sequence; Go writes one for each of its bytes.
codecs.register_error("each_byte", lambda error: ("\ufffd" * (error.end - error.start), error.end))

SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
ESCAPED = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
SURROGATE = re.compile("[\ud800-\udfff]")


class Pairs(list):
    """An object as its (key, value) pairs, so that the order of duplicates is not lost."""


def quote(text):
    def escape(match):
        char = match.group(0)
        if "\ud800" <= char <= "\udfff":
            return "\\ufffd"
        return SHORT.get(char) or f"\\u{ord(char):04x}"

    return '"' + ESCAPED.sub(escape, text) + '"'


def encode(value):
    """The text of a value of str, int, bool, None, list and dict, without spaces."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, dict):
        return "{" + ",".join(quote(key) + ":" + encode(item) for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(encode, value)) + "]"
    return json.dumps(value, allow_nan=False)


def depth(text):
    """How deep arrays and objects nest; of any text, valid or not."""
    deepest = now = 0
    for token in re.finditer(r'"(?:\\.|[^"\\])*"?|[\[{]|[\]}]', text):
        first = token.group(0)[0]
        if first in "[{":
            now += 1
            deepest = max(deepest, now)
        elif first in "]}":
            now -= 1
    return deepest


def decode(data, depth_max, pairs=False):
    """The value of a text, or ValueError. Objects are dicts, or Pairs if asked. Strings hold no surrogates."""

    def refuse(word):
        raise ValueError(f"{word} is no JSON")

    text = data.decode("utf-8", "each_byte")
    if depth(text) > depth_max:
        raise ValueError(f"nested more than {depth_max} deep")
    value = json.loads(text, parse_constant=refuse, object_pairs_hook=Pairs if pairs else None)
    return clean(value)


def clean(value):
    """Lone surrogates, which only escapes can make, become U+FFFD."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value)
    if isinstance(value, Pairs):
        return Pairs((clean(key), clean(item)) for key, item in value)
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value
