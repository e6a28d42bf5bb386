"""The sections of an ELF file, with what is said of each (gABI chapter 4, "Sections")."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from crossdock.image.elf import CorruptElf

ALLOCATED, EXECUTABLE = 2, 4
"""Flags of sections that are in memory while the program runs (SHF_ALLOC), and of those with code (SHF_EXECINSTR)."""
_NULL, _RELA, _NOBITS, _REL = 0, 4, 8, 9
_EXTENDED = 0xFFFF
"""The index of the section of names is in the first section (SHN_XINDEX)."""


@dataclass(frozen=True, slots=True)
class Section:
    """``link`` and, of relocations, ``info`` are names of other sections, so that they do not depend on how many there
    are. ``offset`` and ``size`` in bytes; ``stored`` is how many of them are in the file."""

    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: str
    info: str
    alignment: int
    entry_size: int

    @property
    def stored(self) -> int:
        return 0 if self.kind == _NOBITS else self.size

    def about(self) -> tuple[object, ...]:
        """Everything but the place in the file."""
        facts = (self.kind, self.flags, self.address, self.size, self.link, self.info)
        return (*facts, self.alignment, self.entry_size)


def read_sections(data: bytes) -> tuple[Section, ...]:
    """All sections in order, without the empty first one; nothing for a file that has none. Raises CorruptElf."""
    if data[:4] != b"\x7fELF" or len(data) < 52 or data[4] not in (1, 2) or data[5] not in (1, 2):
        raise CorruptElf("not an ELF file")
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    form = struct.Struct(order + ("IIQQQQIIQQ" if wide else "IIIIIIIIII"))
    try:
        (table,) = struct.unpack_from(order + ("Q" if wide else "I"), data, 40 if wide else 32)
        size, count, names = struct.unpack_from(order + "HHH", data, 58 if wide else 46)
        if not table:
            return ()
        first = form.unpack_from(data, table)
        count = count or first[5]
        names = first[6] if names == _EXTENDED else names
        if size != form.size or table + size * count > len(data) or names >= count:
            raise CorruptElf("the table of sections lies outside of the file")
        headers = [form.unpack_from(data, table + size * index) for index in range(count)]
    except struct.error as error:
        raise CorruptElf("the table of sections lies outside of the file") from error
    texts = data[headers[names][4] : headers[names][4] + headers[names][5]]
    called = [texts[header[0] : texts.find(b"\0", header[0])].decode("utf-8", "replace") for header in headers]

    def other(index: int) -> str:
        return called[index] if index < count else str(index)

    found = []
    for name, header in zip(called, headers, strict=True):
        _, kind, flags, address, offset, length, link, info, alignment, entry_size = header
        if kind == _NULL:
            continue
        if kind != _NOBITS and offset + length > len(data):
            raise CorruptElf(f"the section {name} lies outside of the file")
        about = other(info) if kind in (_RELA, _REL) else str(info)
        found.append(Section(name, kind, flags, address, offset, length, other(link), about, alignment, entry_size))
    return tuple(found)
