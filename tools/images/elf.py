"""What an ELF file says of itself to a loader: interpreter, libraries it needs, its own name. 64-bit, little endian."""

import struct

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
SHT_DYNSYM = 11
STB_GLOBAL, STT_FUNC = 1, 2
SECTIONS_MAX = 256
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
PROGRAM_HEADERS_MAX = 128
MACHINES = {62: "amd64", 183: "arm64"}


class NotElf(Exception):
    """The file is no ELF file that this module reads; says why."""


class Elf:
    """`data`: the whole file."""

    def __init__(self, data):
        self.data = data
        self.interpreter = None
        self.needed = []
        self.soname = None
        self.search_paths = []  # DT_RPATH and DT_RUNPATH: paths of whoever built it
        self.functions = frozenset()  # that others find in it, and that may be there only once: no weak ones
        if data[:6] != b"\x7fELF\x02\x01":
            raise NotElf("no 64-bit little endian ELF file")
        try:
            self._read()
        except (struct.error, ValueError, UnicodeDecodeError) as error:
            raise NotElf("cut off or damaged: %s" % error)

    def _read(self):
        machine, = struct.unpack_from("<H", self.data, 18)
        self.architecture = MACHINES.get(machine, "machine-%d" % machine)
        table, = struct.unpack_from("<Q", self.data, 32)
        size, count = struct.unpack_from("<HH", self.data, 54)
        if count > PROGRAM_HEADERS_MAX:
            raise NotElf("%d program headers" % count)
        segments = []
        for i in range(count):
            kind, _, offset, address, _, length = struct.unpack_from("<IIQQQQ", self.data, table + i * size)
            segments.append((kind, offset, address, length))
        loads = [s for s in segments if s[0] == PT_LOAD]
        for kind, offset, _, length in segments:
            if kind == PT_INTERP:
                self.interpreter = self._text(offset, length)
            elif kind == PT_DYNAMIC:
                self._read_dynamic(offset, length, loads)
        self._read_symbols()

    def _read_symbols(self):
        table, = struct.unpack_from("<Q", self.data, 40)
        size, count = struct.unpack_from("<HH", self.data, 58)
        if count > SECTIONS_MAX:
            raise NotElf("%d sections" % count)
        sections = [struct.unpack_from("<IIQQQQII", self.data, table + i * size) for i in range(count)]
        found = set()
        for _, kind, _, _, offset, length, link, _ in sections:
            if kind != SHT_DYNSYM:
                continue
            _, _, _, _, names, names_size, _, _ = sections[link]
            for at in range(offset, offset + length, 24):
                name, info, _, section = struct.unpack_from("<IBBH", self.data, at)
                if section != 0 and info == STB_GLOBAL << 4 | STT_FUNC and name < names_size:
                    found.add(self._text(names + name, names_size - name))
        self.functions = frozenset(found)

    def _read_dynamic(self, offset, length, loads):
        entries = []
        for at in range(offset, offset + length, 16):
            tag, value = struct.unpack_from("<QQ", self.data, at)
            if tag == DT_NULL:
                break
            entries.append((tag, value))
        values = dict(entries)
        if DT_STRTAB not in values:
            return
        strings = self._offset_of(values[DT_STRTAB], loads)
        size = values.get(DT_STRSZ, 0)

        def text(at):
            if at >= size:
                raise ValueError("a name outside of the string table")
            return self._text(strings + at, size - at)

        self.needed = [text(value) for tag, value in entries if tag == DT_NEEDED]
        self.search_paths = [text(value) for tag, value in entries if tag in (DT_RPATH, DT_RUNPATH)]
        if DT_SONAME in values:
            self.soname = text(values[DT_SONAME])

    @staticmethod
    def _offset_of(address, loads):
        for _, offset, start, length in loads:
            if start <= address < start + length:
                return address - start + offset
        raise ValueError("a table outside of what is loaded")

    def _text(self, offset, length):
        end = self.data.index(b"\0", offset, offset + length)
        return self.data[offset:end].decode()
