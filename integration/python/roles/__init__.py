"""What ../CONTRACT.md asks of each role. A role is a coroutine function of the settings; it raises Failed, or returns a RESULT."""


class Failed(Exception):
    """The case did not pass: what was expected, what came."""


def expect(what, expected, came):
    if expected != came:
        raise Failed(f"{what}: expected {shorten(expected)}, came {shorten(came)}")


def shorten(value):
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:80]}... ({len(value)} long)"
