"""Compressed bodies (5)."""

import zlib

from .errors import WireError

INFLATED_MAX = 64 << 20
# Go's levels: -1 is its default, -2 Huffman codes alone.
LEVELS = range(-2, 10)
GZIP_WINDOW = 31
FLUSHED_END = b"\x00\x00\xff\xff"


def compress(data, level):
    """A whole member."""
    strategy = zlib.Z_HUFFMAN_ONLY if level == -2 else zlib.Z_DEFAULT_STRATEGY
    stream = zlib.compressobj(max(level, -1), zlib.DEFLATED, GZIP_WINDOW, zlib.DEF_MEM_LEVEL, strategy)
    return stream.compress(data) + stream.flush()


def inflate(data, limit=INFLATED_MAX):
    """Of whole members, or of one that was flushed and not finished, as the original writes it."""
    out = b""
    rest = data
    while True:
        stream = zlib.decompressobj(GZIP_WINDOW)
        try:
            out += stream.decompress(rest, limit - len(out) + 1)
        except zlib.error as error:
            raise WireError(f"gzip: {error}") from error
        if len(out) > limit:
            raise WireError(f"gzip: more than {limit} bytes")
        if not stream.eof:
            if not rest.endswith(FLUSHED_END):
                raise WireError("gzip: the data is cut")
            return out
        rest = stream.unused_data
        if not rest:
            return out
