"""A server shows that it knows the key (4)."""

import hashlib
import hmac
import struct

CHALLENGE_BYTES = 8
ANSWER_BYTES = 20
SECONDS = 5.0


def answer(challenge, key, server_id):
    return hashlib.md5(challenge + key).digest() + struct.pack("<I", server_id)


def accepted_id(challenge, key, text):
    """The id of a server whose answer is right, else None."""
    (server_id,) = struct.unpack_from("<I", text, 16)
    return server_id if hmac.compare_digest(text, answer(challenge, key, server_id)) else None
