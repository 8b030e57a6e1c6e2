"""The numbers, lengths and bytes that a seed gives."""

import array
import functools
import sys

MASK = (1 << 32) - 1
# Long runs are made of lanes of so many bytes, all of which take a step at once.
LANE_BYTES = 256
LANES_MAX = 4096


def after(x):
    """The state that follows x."""
    x = (x ^ x << 13) & MASK
    x ^= x >> 17
    return (x ^ x << 5) & MASK


@functools.cache
def jump_tables():
    """A step is linear: the state LANE_BYTES steps on is the xor of one entry for each byte of the state."""
    columns = []
    for bit in range(32):
        x = 1 << bit
        for _ in range(LANE_BYTES):
            x = after(x)
        columns.append(x)
    tables = []
    for part in range(4):
        table = [0]
        for column in columns[part * 8 : part * 8 + 8]:
            table += [column ^ entry for entry in table]
        tables.append(table)
    return tables


class Sample:
    def __init__(self, seed):
        self.state = seed or 1

    def step(self):
        self.state = after(self.state)
        return self.state

    def bytes(self, count):
        out = bytearray()
        while count - len(out) >= LANE_BYTES:
            out += self.lanes(min((count - len(out)) // LANE_BYTES, LANES_MAX))
        return bytes(out) + bytes(self.step() & 0xFF for _ in range(count - len(out)))

    def lanes(self, count):
        """LANE_BYTES bytes of each lane; a lane begins where the one before it ends. All states lie in one number, 32 bits each."""
        a, b, c, d = jump_tables()
        states = []
        x = self.state
        for _ in range(count):
            states.append(x)
            x = a[x & 0xFF] ^ b[x >> 8 & 0xFF] ^ c[x >> 16 & 0xFF] ^ d[x >> 24]
        self.state = x
        word = array.array("I", states)
        if sys.byteorder == "big":
            word.byteswap()
        x = int.from_bytes(word.tobytes(), "little")
        ones = int.from_bytes(b"\x01\x00\x00\x00" * count, "little")
        # What a shift moves into the neighbour is masked away before.
        keep13, keep17, keep5 = ones * (MASK >> 13), ones * (MASK & MASK << 17), ones * (MASK >> 5)
        out = bytearray(count * LANE_BYTES)
        for at in range(LANE_BYTES):
            x ^= (x & keep13) << 13
            x ^= (x & keep17) >> 17
            x ^= (x & keep5) << 5
            out[at::LANE_BYTES] = x.to_bytes(4 * count, "little")[::4]
        return out

    def length(self, most):
        return self.step() % (most + 1)

    def text(self, length):
        return "".join(chr(ord("a") + self.step() % 26) for _ in range(length))
