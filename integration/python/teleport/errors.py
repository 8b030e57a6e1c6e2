"""What can go wrong on a session."""


class WireError(Exception):
    """The peer broke the format: its session ends, nothing is answered (13)."""


class Status(Exception):
    """The outcome of a pull that is not success, sent by the peer or made here (6)."""

    def __init__(self, code, text):
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


OK = 200
CONNECTION_CLOSED = 101
BAD_URI = 400
NOT_FOUND = 404
UNSUPPORTED_TYPE = 410
INTERNAL_ERROR = 500
BAD_REPLY = 502
OVERLOAD = 503
TIMED_OUT = 504
