"""What differs between two files of the same path: which sections of ELF files, which members of archives, which line.

What only names a build (build ids, the compiler's version) and what is only a time is told apart from code and data.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from crossdock.errors import InputError
from crossdock.image.compression import Compression, detect, unpack
from crossdock.image.sections import EXECUTABLE, Section, read_sections
from crossdock.verify.volatile import volatile

MAX_BYTES = 256 << 20
"""Files, and what archives unpack to, are looked into up to this size; of larger ones it is only told that they
differ."""
_MAX_DEPTH = 4
"""How deep archives in archives are looked into."""
_MAX_SHOWN = 60
_NAMES_OF_BUILDS = frozenset(
    (".note.gnu.build-id", ".note.go.buildid", ".comment", ".gnu_debuglink", ".gnu_debugaltlink")
)
"""Sections that say by what and when a file was built, and that no program reads: a hash of the whole file, the version
of the compiler's package, the checksum of the file with debugging information."""
_TIMES = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]+\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?"
    r"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]?\d"
    r"(?:,? \d{4})?,? \d\d:\d\d(?::\d\d)?(?: [A-Z]{3,4})?(?: \d{4})?"
)
"""ISO 8601 and RFC 3339 with their usual liberties, and what date(1) prints."""
_MALFORMED = (
    InputError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What reading a file may raise that only begins like an archive or a program. It differs as a whole then."""


class Nature(StrEnum):
    """What a difference is about. The first four count."""

    CODE = "code"
    DATA = "data"
    ATTRIBUTES = "attributes"
    """Kind, mode, owner, link, extended attributes; or that it is only in one of both."""
    CONFIG = "config"
    BUILD_NAME = "build name"
    TIME = "time"
    RECORD = "record"
    """A cache or log in which no two runs are alike (catalogue/volatile.toml)."""

    @property
    def counts(self) -> bool:
        return self in (Nature.CODE, Nature.DATA, Nature.ATTRIBUTES, Nature.CONFIG)


@dataclass(frozen=True)
class Part:
    """One part of a file that differs, in words: ``section .text``, ``member a.o: section .comment``, ``line 3: …``."""

    nature: Nature
    what: str


def differing(path: str, one: bytes, other: bytes, depth: int = 0) -> tuple[Part, ...]:
    """What differs in two contents of a file; nothing where they are the same. ``path`` is relative to the root."""
    if one == other:
        return ()
    known = None if depth else volatile(path)
    if known and known.how == "content":
        return (Part(Nature.RECORD, known.why),)
    inside: tuple[Part, ...] = ()
    if depth < _MAX_DEPTH:
        with contextlib.suppress(*_MALFORMED):
            inside = (
                _elf(one, other)
                or _static_archive(one, other, depth)
                or _zip(one, other, depth)
                or _tar(one, other, depth)
                or _packed(path, one, other, depth)
                or _byte_code(path, one, other)
            )
    return inside or (_text(one, other, times_count=known is None),)


def _elf(one: bytes, other: bytes) -> tuple[Part, ...]:
    if one[:4] != b"\x7fELF" or other[:4] != b"\x7fELF":
        return ()
    before, after = read_sections(one), read_sections(other)
    headers = _headers(one) == _headers(other)
    if not before or not after:
        return ()
    parts = [] if headers else [Part(Nature.DATA, "the headers")]
    if [section.name for section in before] != [section.name for section in after]:
        parts.append(Part(Nature.DATA, f"other sections: {_other_names(before, after)}"))
    for was, now in _pairs(before, after):
        if was.name == ".shstrtab":
            continue  # the names, which were compared
        if was.about() == now.about() and _same(_of(one, was), _of(other, now)):
            continue
        nature = Nature.CODE if was.flags & EXECUTABLE else Nature.DATA
        parts.append(Part(Nature.BUILD_NAME if was.name in _NAMES_OF_BUILDS else nature, f"section {was.name}"))
    if not any(part.nature.counts for part in parts) and len(one) == len(other):
        left_out = [section for section in before if section.name in _NAMES_OF_BUILDS]
        if not parts or _without(one, left_out) != _without(other, left_out):
            parts.append(Part(Nature.DATA, "bytes outside of the sections"))
    return tuple(parts)


def _headers(data: bytes) -> list[tuple[int, ...]]:
    """What the file header and the program headers say, without places in the file, which move with the sections."""
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    head = struct.unpack_from(order + ("HHIQQ8xI" if wide else "HHIII4xI"), data, 16)
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    form = struct.Struct(order + ("II8xQQQQQ" if wide else "I4xIIIIII"))
    return [head, *(form.unpack_from(data, head[4] + size * index) for index in range(count))]


def _pairs(before: Sequence[Section], after: Sequence[Section]) -> Iterator[tuple[Section, Section]]:
    """Sections of one name, by their order where several have it."""
    later: dict[str, list[Section]] = {}
    for section in after:
        later.setdefault(section.name, []).append(section)
    for section in before:
        if later.get(section.name):
            yield section, later[section.name].pop(0)


def _other_names(before: Sequence[Section], after: Sequence[Section]) -> str:
    only = {section.name for section in before} ^ {section.name for section in after}
    return ", ".join(sorted(only)) or "in another order or number"


def _of(data: bytes, section: Section) -> memoryview:
    return memoryview(data)[section.offset : section.offset + section.stored]


def _same(one: memoryview, other: memoryview) -> bool:
    return len(one) == len(other) and hashlib.blake2b(one).digest() == hashlib.blake2b(other).digest()


def _without(data: bytes, sections: Iterable[Section]) -> bytes:
    rest = bytearray(data)
    for section in sections:
        rest[section.offset : section.offset + section.stored] = bytes(section.stored)
    return bytes(rest)


@dataclass(frozen=True)
class _Member:
    """A file in an archive; ``about`` is what is said of it, but for its time."""

    name: str
    about: tuple[object, ...]
    time: object
    data: bytes


def _static_archive(one: bytes, other: bytes, depth: int) -> tuple[Part, ...]:
    if one[:8] != b"!<arch>\n" or other[:8] != b"!<arch>\n":
        return ()
    return _members(list(_ar_members(one)), list(_ar_members(other)), depth)


def _ar_members(data: bytes) -> Iterator[_Member]:
    """ar(5). The index of symbols is left out: it tells where the members begin, and follows from them."""
    at, long_names = 8, b""
    while at + 60 <= len(data):
        head = data[at : at + 60]
        size = int(head[48:58])
        if not 0 <= size <= len(data) - at - 60:
            raise ValueError("a member lies outside of the archive")
        body = data[at + 60 : at + 60 + size]
        name = head[:16].rstrip()
        at += 60 + size + size % 2
        if name == b"//":
            long_names = body
        elif name not in (b"/", b"/SYM64/"):
            if name[:1] == b"/" and name[1:].isdigit():
                name = long_names[int(name[1:]) :].partition(b"/\n")[0]
            yield _Member(name.decode("utf-8", "replace").rstrip("/"), (head[28:48].split(),), head[16:28], body)


def _zip(one: bytes, other: bytes, depth: int) -> tuple[Part, ...]:
    if one[:4] != b"PK\x03\x04" or other[:4] != b"PK\x03\x04":
        return ()
    return _members(list(_zip_members(one)), list(_zip_members(other)), depth)


def _zip_members(data: bytes) -> Iterator[_Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
            raise InputError("too large to be looked into")
        for entry in archive.infolist():
            times, others = _extra_fields(entry.extra)
            about = (entry.compress_type, entry.external_attr, entry.create_system, entry.comment, others)
            yield _Member(entry.filename, about, (entry.date_time, times), archive.read(entry))


def _extra_fields(extra: bytes) -> tuple[list[bytes], list[bytes]]:
    """Those with times, and the others (APPNOTE.TXT 4.5: NTFS; Info-ZIP's: the extended timestamp, the old of Unix)."""
    times: list[bytes] = []
    others: list[bytes] = []
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        (times if kind in (0x000A, 0x5455, 0x5855) else others).append(extra[: 4 + size])
        extra = extra[4 + size :]
    return times, [*others, extra]


def _tar(one: bytes, other: bytes, depth: int) -> tuple[Part, ...]:
    if one[257:262] != b"ustar" or other[257:262] != b"ustar":
        return ()
    return _members(list(_tar_members(one)), list(_tar_members(other)), depth)


def _tar_members(data: bytes) -> Iterator[_Member]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        if sum(entry.size for entry in archive) > MAX_BYTES:  # holes in files take no room in the archive
            raise InputError("too large to be looked into")
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            about = (entry.type, entry.mode, entry.uid, entry.gid, entry.uname, entry.gname, entry.linkname)
            yield _Member(entry.name, about, entry.mtime, file.read() if file else b"")


def _members(before: Sequence[_Member], after: Sequence[_Member], depth: int) -> tuple[Part, ...]:
    """How two archives differ whose bytes do. What is named twice in an archive is compared in its order."""
    names = [member.name for member in before]
    if sorted(names) != sorted(member.name for member in after):
        only = sorted(set(names) ^ {member.name for member in after})
        return (Part(Nature.DATA, f"members only in one: {_shortened(', '.join(only))}"),)
    parts = []
    if names != [member.name for member in after]:
        parts.append(Part(Nature.DATA, "the order of the members"))
    later: dict[str, list[_Member]] = {}
    for member in after:
        later.setdefault(member.name, []).append(member)
    times = False
    for was in before:
        now = later[was.name].pop(0)
        times = times or was.time != now.time
        if was.about != now.about:
            parts.append(Part(Nature.ATTRIBUTES, f"member {was.name}: what is said of it"))
        inside = differing(was.name, was.data, now.data, depth + 1)
        parts += [Part(part.nature, f"member {was.name}: {part.what}") for part in inside]
    if times:
        parts.append(Part(Nature.TIME, "times of members"))
    return tuple(parts) or (Part(Nature.DATA, "the archive itself, and none of its members"),)


def _packed(path: str, one: bytes, other: bytes, depth: int) -> tuple[Part, ...]:
    kind = detect(one[:16])
    if kind is Compression.NONE or detect(other[:16]) is not kind:
        return ()
    before, after = _unpacked(one, path), _unpacked(other, path)
    if inside := differing(path, before, after, depth + 1):
        return tuple(Part(part.nature, f"unpacked, {part.what}") for part in inside)
    # RFC 1952: the header holds the time of the file that was packed, and perhaps its name.
    if kind is Compression.GZIP and one[:4] == other[:4] and one[8:] == other[8:]:
        return (Part(Nature.TIME, "the time in the header"),)
    return (Part(Nature.DATA, "packed differently, with the same content"),)


def _unpacked(data: bytes, where: str) -> bytes:
    out = bytearray()
    for piece in unpack(io.BytesIO(data), where)[1]:
        out += piece
        if len(out) > MAX_BYTES:
            raise InputError("too large to be looked into", where=where)
    return bytes(out)


def _byte_code(path: str, one: bytes, other: bytes) -> tuple[Part, ...]:
    """Python's .pyc: magic, flags, and without flags the source's time and size (PEP 552)."""
    if not path.endswith(".pyc") or one[2:4] != b"\r\n" or one[4:8] != bytes(4):
        return ()
    if one[:8] == other[:8] and one[12:] == other[12:]:
        return (Part(Nature.TIME, "the time of the source"),)
    return (Part(Nature.DATA, "byte code"),)


def _text(one: bytes, other: bytes, *, times_count: bool) -> Part:
    """The first line that differs. That something reads like a time is a guess, so it is told and still counts, but in
    files that are known for their times."""
    if b"\0" in one[:4096] or b"\0" in other[:4096]:
        return Part(Nature.DATA, "content")
    before, after = (data.decode("utf-8", "replace") for data in (one, other))
    if _TIMES.sub("", before) == _TIMES.sub("", after):
        return Part(Nature.DATA if times_count else Nature.TIME, "only what reads like times")
    lines, others = before.split("\n"), after.split("\n")
    shared = zip(lines, others, strict=False)
    pairs = (
        (number, *pair) for number, pair in enumerate(shared, 1) if _TIMES.sub("", pair[0]) != _TIMES.sub("", pair[1])
    )
    number, was, now = next(pairs, (min(len(lines), len(others)) + 1, "", "more lines"))
    return Part(Nature.DATA, f"line {number}: {_shortened(was)!r} and {_shortened(now)!r}")


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
