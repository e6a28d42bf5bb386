"""What an ELF file needs at run time: its interpreter (loader), libraries and the paths it searches them on.

Source: System V gABI chapters 5 (program header, dynamic section) and 4 (file header).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from crossdock.errors import InputError

Read = Callable[[int, int], bytes]
"""``read(offset, size)``: that many bytes of the file from there, fewer at its end."""

MAX_PROGRAM_HEADERS = 1024
MAX_DYNAMIC_BYTES = 1 << 20
MAX_NEEDED = 4096
MAX_STRING = 4096

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29


class CorruptElf(InputError):
    """The headers of an ELF file contradict each other or point outside of it."""


@dataclass(frozen=True, slots=True)
class Dynamic:
    """What the loader reads. ``interpreter`` is empty for a library and for a static program, ``needed`` for a static
    one; ``rpath`` and ``runpath`` are split at colons and hold ``$ORIGIN`` as written."""

    interpreter: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    soname: str = ""


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    offset: int
    address: int
    file_size: int


def read_dynamic(read: Read) -> Dynamic:
    """The dynamic facts of an ELF file; ``Dynamic()`` for one without program headers or a dynamic section.

    Reads headers first, then the dynamic section, then its strings in the order of their offsets, so that ``read``
    may be one that cannot go back far. Raises CorruptElf.
    """
    head = read(0, 64)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise CorruptElf("not an ELF file")
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    segments = _segments(read, head, wide, order)
    interpreter = ""
    for segment in segments:
        if segment.kind == _PT_INTERP and not interpreter:
            interpreter = _text(read(segment.offset, min(segment.file_size, MAX_STRING)), "the interpreter's name")
    dynamic = next((segment for segment in segments if segment.kind == _PT_DYNAMIC), None)
    if dynamic is None or dynamic.file_size == 0:
        return Dynamic(interpreter)
    entries = _dynamic_entries(read, dynamic, wide, order)
    strings = _strings(read, entries, segments)

    def first(tag: int) -> str:
        return next((strings[value] for kind, value in entries if kind == tag), "")

    def paths(tag: int) -> tuple[str, ...]:
        return tuple(part for part in first(tag).split(":") if part)

    return Dynamic(
        interpreter=interpreter,
        needed=tuple(strings[value] for kind, value in entries if kind == _DT_NEEDED),
        rpath=paths(_DT_RPATH),
        runpath=paths(_DT_RUNPATH),
        soname=first(_DT_SONAME),
    )


def _segments(read: Read, head: bytes, wide: bool, order: str) -> list[_Segment]:
    if wide and len(head) < 64:
        raise CorruptElf("the ELF header is cut off")
    start = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    if start == 0 or count == 0:
        return []
    form = struct.Struct(order + ("IIQQQQQQ" if wide else "IIIIIIII"))
    if size < form.size:
        raise CorruptElf(f"a program header of {size} bytes is too short")
    if count > MAX_PROGRAM_HEADERS:
        raise CorruptElf(f"{count} program headers are more than any program has")
    table = read(start, size * count)
    if len(table) < size * count:
        raise CorruptElf("the program headers lie outside of the file")
    segments = []
    for number in range(count):
        fields = form.unpack_from(table, number * size)
        kind, offset, address, file_size = (
            (fields[0], fields[2], fields[3], fields[5]) if wide else (fields[0], fields[1], fields[2], fields[4])
        )
        segments.append(_Segment(kind, offset, address, file_size))
    return segments


def _dynamic_entries(read: Read, dynamic: _Segment, wide: bool, order: str) -> list[tuple[int, int]]:
    data = read(dynamic.offset, min(dynamic.file_size, MAX_DYNAMIC_BYTES))
    form = struct.Struct(order + ("qQ" if wide else "iI"))
    entries: list[tuple[int, int]] = []
    for tag, value in form.iter_unpack(data[: len(data) - len(data) % form.size]):
        if tag == _DT_NULL:
            return entries
        entries.append((tag, value))
    if dynamic.file_size > len(data):
        raise CorruptElf("the dynamic section lies outside of the file")
    return entries


def _strings(read: Read, entries: list[tuple[int, int]], segments: list[_Segment]) -> dict[int, str]:
    """The string at each offset into the string table that an entry names."""
    wanted = sorted({value for tag, value in entries if tag in (_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH)})
    if not wanted:
        return {}
    if len(wanted) > MAX_NEEDED:
        raise CorruptElf(f"{len(wanted)} needed libraries are more than any program has")
    address = next((value for tag, value in entries if tag == _DT_STRTAB), None)
    size = next((value for tag, value in entries if tag == _DT_STRSZ), None)
    if address is None or size is None:
        raise CorruptElf("the dynamic section has no string table")
    start = _file_offset(address, segments)
    strings: dict[int, str] = {}
    for value in wanted:
        if value >= size:
            raise CorruptElf("a name lies outside of the string table")
        strings[value] = _text(read(start + value, min(size - value, MAX_STRING)), "a library's name")
    return strings


def _file_offset(address: int, segments: list[_Segment]) -> int:
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.file_size:
            return segment.offset + address - segment.address
    raise CorruptElf("the string table is in no segment of the file")


def _text(data: bytes, what: str) -> str:
    end = data.find(b"\0")
    if end == -1:
        raise CorruptElf(f"{what} has no end")
    return data[:end].decode("utf-8", "surrogateescape")
