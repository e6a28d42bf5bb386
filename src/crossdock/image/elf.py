"""What an ELF file needs at run time: its loader, libraries and their versions, page size, processor.

Sources: System V gABI chapters 5 (program header, dynamic section) and 4 (file header); LSB 5.0 core, "Symbol
Versioning"; the x86-64 psABI, "Program Property"; ELF for the Arm 64-bit Architecture, "Program Property"; Go's
debug/buildinfo.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crossdock.errors import InputError

Read = Callable[[int, int], bytes]
"""``read(offset, size)``: that many bytes of the file from there, fewer at its end."""

MAX_PROGRAM_HEADERS = 1024
MAX_DYNAMIC_BYTES = 1 << 20
MAX_NEEDED = 4096
MAX_STRING = 4096
MAX_VERSION_BYTES = 64 << 10
MAX_NOTES_BYTES = 4096
MAX_BUILD_BYTES = 1 << 20
PAGE_SIZES = (65536, 16384, 4096)
"""Those of Arm's kernels, in bytes. 64 KiB: Kylin and RHEL 8 on servers; 16 KiB: Apple silicon, Raspberry Pi 5."""

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE, _PT_PROPERTY = 1, 2, 3, 4, 0x6474E553
_PF_EXECUTE, _PF_WRITE = 1, 2
_WEAK = 2
"""A version that may be missing (VER_FLG_WEAK)."""
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
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
    wants: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Library → the versions that it has to define (``libc.so.6`` → ``GLIBC_2.34``)."""
    offers: tuple[str, ...] = ()
    """The versions that this library defines, as far as it has any."""
    page_size: int = 0
    """The largest of ``PAGE_SIZES`` with which it can be loaded; 0 where nothing is loaded."""
    processor: tuple[str, ...] = ()
    """What it says to need beyond the first processors of its architecture: ``x86-64-v3``, ``armv8.1-a``, ``lse``."""
    marks: tuple[str, ...] = ()
    """Protections that all of its code is made for, on processors that have them: ``BTI``, ``PAC``, ``GCS``."""


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    alignment: int


Hold = Callable[[Sequence[tuple[int, int]]], None]
"""Told the parts of the file (offsets of start and end) out of which something may be read later."""


def read_dynamic(read: Read, hold: Hold | None = None) -> Dynamic:
    """The dynamic facts of an ELF file; ``Dynamic()`` for one without program headers or a dynamic section.

    Reads headers first, then the dynamic section, then what that names, which mostly lies before it; so a ``read`` that
    cannot go back has to keep what ``hold`` is told. Raises CorruptElf.
    """
    head = read(0, 64)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise CorruptElf("not an ELF file")
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    segments = _segments(read, head, wide, order)
    if hold:
        hold(_to_hold(segments))
    interpreter, properties, is_go = _before_dynamic(read, segments, order)
    processor = (*_isa_level(properties), *(_go_levels(read, segments) if is_go else ()))
    marks = _marks(properties, struct.unpack_from(order + "H", head, 18)[0])
    page_size = _page_size(segments)
    dynamic = next((segment for segment in segments if segment.kind == _PT_DYNAMIC), None)
    if dynamic is None or dynamic.file_size == 0:
        return Dynamic(interpreter, page_size=page_size, processor=processor, marks=marks)
    entries = _dynamic_entries(read, dynamic, wide, order)
    table = _Strings(read, entries, segments)
    named = {value for tag, value in entries if tag in (_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH)}
    if len(named) > MAX_NEEDED:
        raise CorruptElf(f"{len(named)} needed libraries are more than any program has")
    strings = {value: table.at(value) for value in sorted(named)}

    def first(tag: int) -> str:
        return next((strings[value] for kind, value in entries if kind == tag), "")

    def paths(tag: int) -> tuple[str, ...]:
        return tuple(part for part in first(tag).split(":") if part)

    versions = _Versions(read, dict(entries), segments, table, order)
    return Dynamic(
        interpreter=interpreter,
        needed=tuple(strings[value] for kind, value in entries if kind == _DT_NEEDED),
        rpath=paths(_DT_RPATH),
        runpath=paths(_DT_RUNPATH),
        soname=first(_DT_SONAME),
        wants=versions.wanted(),
        offers=versions.offered(),
        page_size=page_size,
        processor=processor,
        marks=marks,
    )


def _to_hold(segments: list[_Segment]) -> list[tuple[int, int]]:
    """Linkers put names and versions into the first segment that is loaded, or, as Go's does where code comes first,
    into the first that is only read; what changes them afterwards (patchelf) into that of the dynamic section."""
    loaded = [one for one in segments if one.kind == _PT_LOAD]
    dynamic = next((one.offset for one in segments if one.kind == _PT_DYNAMIC), None)
    if dynamic is None:
        return []
    constant = next((one for one in loaded if not one.flags & (_PF_WRITE | _PF_EXECUTE)), None)
    wanted = [
        one
        for one in loaded
        if one is loaded[0] or one is constant or one.offset <= dynamic < one.offset + one.file_size
    ]
    return [(one.offset, one.offset + one.file_size) for one in wanted]


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
        if wide:
            kind, flags, offset, address, _, file_size, _, alignment = fields
        else:
            kind, offset, address, _, file_size, _, flags, alignment = fields
        segments.append(_Segment(kind, flags, offset, address, file_size, alignment))
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


class _Strings:
    """The string table that the dynamic section names."""

    def __init__(self, read: Read, entries: list[tuple[int, int]], segments: list[_Segment]) -> None:
        self._read = read
        self._segments = segments
        self._address = next((value for tag, value in entries if tag == _DT_STRTAB), None)
        self._size = next((value for tag, value in entries if tag == _DT_STRSZ), None)

    def at(self, offset: int) -> str:
        if self._address is None or self._size is None:
            raise CorruptElf("the dynamic section has no string table")
        if offset >= self._size:
            raise CorruptElf("a name lies outside of the string table")
        start, left = _place(self._address, self._segments)
        size = min(max(0, min(left, self._size) - offset), MAX_STRING)
        return _text(self._read(start + offset, size), "a library's name")


class _Versions:
    """The sections of symbol versions, each a chain of records with a chain of names in each."""

    def __init__(
        self, read: Read, entries: dict[int, int], segments: list[_Segment], table: _Strings, order: str
    ) -> None:
        self._read = read
        self._entries = entries
        self._segments = segments
        self._table = table
        self._wanted, self._wanted_name = struct.Struct(order + "HHIII"), struct.Struct(order + "IHHII")
        self._offered, self._offered_name = struct.Struct(order + "HHHHIII"), struct.Struct(order + "II")

    def wanted(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        found = []
        data = self._data(_VERNEED)
        at = 0
        for _ in range(self._count(_VERNEEDNUM)):
            _, count, file, first, following = _unpack(self._wanted, data, at)
            names, name_at = [], at + first
            for _ in range(min(count, MAX_NEEDED)):
                _, flags, _, name, after = _unpack(self._wanted_name, data, name_at)
                if not flags & _WEAK:
                    names.append(self._table.at(name))
                name_at += after
                if not after:
                    break
            found.append((self._table.at(file), tuple(names)))
            at += following
            if not following:
                break
        return tuple(found)

    def offered(self) -> tuple[str, ...]:
        """Without the first, which is the name of the file."""
        found = []
        data = self._data(_VERDEF)
        at = 0
        for number in range(self._count(_VERDEFNUM)):
            _, flags, _, _, _, first, following = _unpack(self._offered, data, at)
            if number or not flags & 1:
                found.append(self._table.at(_unpack(self._offered_name, data, at + first)[0]))
            at += following
            if not following:
                break
        return tuple(found)

    def _count(self, tag: int) -> int:
        return min(self._entries.get(tag, 0), MAX_NEEDED)

    def _data(self, tag: int) -> bytes:
        """From the section's start on: how long it is, only its records say, but it ends with its segment."""
        address = self._entries.get(tag)
        if address is None:
            return b""
        start, left = _place(address, self._segments)
        return self._read(start, min(left, MAX_VERSION_BYTES))


def _unpack(form: struct.Struct, data: bytes, at: int) -> tuple[int, ...]:
    if at + form.size > len(data):
        raise CorruptElf("the versions of symbols lie outside of the file")
    return form.unpack_from(data, at)


def _page_size(segments: list[_Segment]) -> int:
    """A segment has to lie at the same place in its page in the file and in memory (mmap(2)), and the loaders of glibc
    refuse one whose alignment is less than a page."""
    loaded = [segment for segment in segments if segment.kind == _PT_LOAD]
    fitting = (
        size
        for size in PAGE_SIZES
        if all(one.alignment % size == 0 and (one.offset - one.address) % size == 0 for one in loaded)
    )
    return next(fitting, PAGE_SIZES[-1]) if loaded else 0


_ISA_1_NEEDED = 0xC0008002
_ISA_LEVELS = ((8, "x86-64-v4"), (4, "x86-64-v3"), (2, "x86-64-v2"))
_EM_AARCH64 = 183
_AARCH64_FEATURE_1_AND = 0xC0000000
_AARCH64_MARKS = ((1, "BTI"), (2, "PAC"), (4, "GCS"))
_GO_NOTE = b"Go\0\0"
_GO_INFO = b"\xff Go buildinf:"


def _before_dynamic(read: Read, segments: list[_Segment], order: str) -> tuple[str, dict[int, int], bool]:
    """The interpreter, the properties of 4 bytes in ``.note.gnu.property`` (kind → bits), and whether Go's note is
    there: read in the order of the file, for readers that cannot go back."""
    interpreter = ""
    properties: dict[int, int] = {}
    is_go = False
    for segment in sorted(segments, key=lambda one: one.offset):
        if segment.kind == _PT_INTERP and not interpreter:
            interpreter = _text(read(segment.offset, min(segment.file_size, MAX_STRING)), "the interpreter's name")
        elif segment.kind == _PT_PROPERTY:
            properties = _properties(read(segment.offset, min(segment.file_size, MAX_NOTES_BYTES)), order)
        elif segment.kind == _PT_NOTE and segment.file_size <= MAX_NOTES_BYTES:
            is_go = is_go or read(segment.offset, min(segment.file_size, 16))[12:16] == _GO_NOTE
    return interpreter, properties, is_go


def _properties(notes: bytes, order: str) -> dict[int, int]:
    found: dict[int, int] = {}
    at = 16  # behind the note's header and its name, "GNU"
    while at + 12 <= len(notes):
        kind, size, value = struct.unpack_from(order + "III", notes, at)
        if size == 4:
            found[kind] = value
        at += 8 + (size + 7) // 8 * 8
    return found


def _isa_level(properties: dict[int, int]) -> tuple[str, ...]:
    value = properties.get(_ISA_1_NEEDED, 0)
    return tuple(name for bit, name in _ISA_LEVELS if value & bit)[:1]


def _marks(properties: dict[int, int], machine: int) -> tuple[str, ...]:
    value = properties.get(_AARCH64_FEATURE_1_AND, 0) if machine == _EM_AARCH64 else 0
    return tuple(name for bit, name in _AARCH64_MARKS if value & bit)


def _go_levels(read: Read, segments: list[_Segment]) -> tuple[str, ...]:
    """``v8.1,lse`` of GOARM64 → ``armv8.1-a``, ``lse``. Go's settings begin the segment of its data."""
    data = next((one for one in segments if one.kind == _PT_LOAD and one.flags & _PF_WRITE), None)
    if data is None:
        return ()
    info = read(data.offset, min(data.file_size, MAX_BUILD_BYTES))
    start = info.find(_GO_INFO)
    if start < 0:
        return ()
    found: list[str] = []
    for match in re.finditer(rb"build\t(GOARM64|GOAMD64|GOARM)=([\w.,]+)", info[start:]):
        level, *options = match[2].decode().split(",")
        found += {
            "GOARM64": [f"arm{level}-a"] if level != "v8.0" else [],
            "GOAMD64": [f"x86-64-{level}"] if level != "v1" else [],
            "GOARM": [f"armv{level}"],
        }[match[1].decode()]
        found += [option for option in options if option in ("lse", "crypto")]
    return tuple(found)


def _place(address: int, segments: list[_Segment]) -> tuple[int, int]:
    """Where in the file an address lies, and how many bytes of its segment there are from there."""
    for segment in segments:
        if segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.file_size:
            inside = address - segment.address
            return segment.offset + inside, segment.file_size - inside
    raise CorruptElf("the string table is in no segment of the file")


def _text(data: bytes, what: str) -> str:
    end = data.find(b"\0")
    if end == -1:
        raise CorruptElf(f"{what} has no end")
    return data[:end].decode("utf-8", "surrogateescape")
