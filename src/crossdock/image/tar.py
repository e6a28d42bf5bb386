"""Walking a tar stream once, forward only: entries with their names made safe, and their content on request.

Sources: POSIX.1-2017 pax (ustar and PAX headers), GNU tar manual appendix D (long names, sparse files, base-256
numbers). Where implementations differ it reads as Go's archive/tar does, because container engines unpack with that.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn, Protocol

from crossdock.errors import InputError

BLOCK = 512
MAX_HEADER_BYTES = 1 << 20
"""The longest name or PAX header that is accepted, in bytes."""
MAX_SPARSE_PARTS = 1 << 16
MAX_ENTRIES = 10_000_000


class Kind(Enum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hard link"
    DEVICE = "device"
    FIFO = "fifo"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``name`` is relative to the archive's root, without ``./``, ``..`` or a slash at either end (the root
    itself is empty); a hard link's ``link`` likewise, a symlink's is its text as written. ``escapes`` is true when the
    name (or a hard link's target) leads outside of the root; ``name`` is then as written. ``size`` in bytes."""

    name: str
    kind: Kind
    mode: int
    size: int
    link: str = ""
    escapes: bool = False


class Forward(Protocol):
    """Bytes that are read once, from the front."""

    def exactly(self, size: int) -> bytes: ...

    def skip(self, size: int) -> None: ...


class Content:
    """The content of one entry, forward only, until the next entry is asked for."""

    __slots__ = ("_source", "left")

    def __init__(self, source: Forward, size: int) -> None:
        self._source = source
        self.left = size
        """Bytes that were not taken yet."""

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end of the content."""
        size = min(size, self.left)
        self.left -= size
        return self._source.exactly(size)

    def skip(self, size: int) -> None:
        size = min(size, self.left)
        self.left -= size
        self._source.skip(size)


class SparseContent(Content):
    """The content of a sparse file: only its ``parts`` (offset and length, ascending) are stored."""

    __slots__ = ("_at", "_packed", "_parts", "_size")

    def __init__(self, packed: Content, size: int, parts: list[tuple[int, int]]) -> None:
        super().__init__(packed._source, size)
        self._packed = packed
        self._parts = [part for part in parts if part[1]]
        self._size = size
        self._at = 0

    def take(self, size: int) -> bytes:
        out = []
        for step, stored in self._steps(size):
            out.append(self._packed.take(step) if stored else bytes(step))
        return b"".join(out)

    def skip(self, size: int) -> None:
        for step, stored in self._steps(size):
            if stored:
                self._packed.skip(step)

    def _steps(self, size: int) -> Iterator[tuple[int, bool]]:
        """The next ``size`` bytes as runs that are stored (true) or holes."""
        size = min(size, self.left)
        self.left -= size
        while size:
            while self._parts and self._at >= sum(self._parts[0]):
                self._parts.pop(0)
            start, length = self._parts[0] if self._parts else (self._size, 0)
            stored = self._at >= start
            step = min(size, (start + length if stored else start) - self._at)
            yield step, stored
            self._at += step
            size -= step


class Tar:
    """Iterate it to get each entry with its content, which is lost when the next one is asked for.

    Raises InputError at ``where`` for what is no tar stream, is damaged or is cut off.
    """

    def __init__(self, pieces: Iterator[bytes], where: str) -> None:
        self._source = _Bytes(pieces, where)
        self._where = where

    def __iter__(self) -> Iterator[tuple[Entry, Content]]:
        source = self._source
        name = link = ""
        records: dict[str, str] = {}
        for number in range(MAX_ENTRIES):
            block = source.take(BLOCK)
            if len(block) < BLOCK or (block[0] == 0 and not block.strip(b"\0")):
                self._end(block, number)
                return
            self._check(block, number)
            kind = block[156:157]
            if kind in _EXTENSIONS:
                body = self._extension(block)
                if kind == b"L":
                    name = _text(body)
                elif kind == b"K":
                    link = _text(body)
                elif kind in b"xX":
                    records = self._records(body)
                continue
            entry, stored = self._entry(block, kind, name, link, records)
            packed = Content(source, stored)
            content = packed
            if kind == b"S" or "GNU.sparse.map" in records or records.get("GNU.sparse.major") == "1":
                content = self._sparse(block, kind, packed, records)
                entry = Entry(entry.name, entry.kind, entry.mode, content.left, entry.link, entry.escapes)
            yield entry, content
            source.skip(packed.left + -stored % BLOCK)
            name = link = ""
            if records:
                records = {}
        raise self._damaged(f"has more than {MAX_ENTRIES:,} entries")

    def _check(self, block: bytes, number: int) -> None:
        """Compare a header with its checksum, which historic programs computed over signed bytes."""
        field = block[148:156].strip(b" \0")
        try:
            stated = int(field, 8)
        except ValueError:
            stated = -1
        own = sum(block[148:156]) - 256
        # Adler-32 has the sum of all bytes in its lower half, modulo 65521 (RFC 1950), and takes a tenth of the time.
        if zlib.adler32(block) & 0xFFFF == (1 + stated + own) % 65521:
            return
        plain = sum(block) - own
        if stated == plain:
            return
        high = sum(byte >= 128 for byte in block[:148]) + sum(byte >= 128 for byte in block[156:])
        if stated != plain - 256 * high:
            if number == 0:
                raise self._no_archive()
            raise self._damaged("has a header with a wrong checksum")

    def _end(self, block: bytes, number: int) -> None:
        """Two zero blocks end an archive; one is enough, and so is the end of the stream between two entries."""
        if 0 < len(block) < BLOCK:
            raise self._no_archive() if number == 0 else self._damaged("is cut off in a header")
        second = self._source.take(BLOCK)
        if second.strip(b"\0"):
            raise self._damaged("goes on behind a block that ends it")
        self._source.drain()

    def _extension(self, block: bytes) -> bytes:
        """The body of an entry that describes the next one."""
        size = self._number(block[124:136], "size")
        if size > MAX_HEADER_BYTES:
            raise self._damaged(f"has a header of {size:,} bytes")
        body = self._source.exactly(size)
        self._source.skip(-size % BLOCK)
        return body

    def _entry(self, block: bytes, kind: bytes, name: str, link: str, records: dict[str, str]) -> tuple[Entry, int]:
        """An entry and how many bytes of content follow its header."""
        size = self._number(block[124:136], "size")
        if records:
            name = records.get("GNU.sparse.name") or records.get("path") or name
            link = records.get("linkpath") or link
            if "size" in records:
                size = self._decimal(records["size"], "size")
        if not name:
            name = _text(block[:100])
            if block[257:265] == b"ustar\x0000":
                prefix = _text(block[345 : 476 if block[508:512] == b"tar\0" else 500])
                name = f"{prefix}/{name}" if prefix else name
        meaning = _KINDS.get(kind, Kind.OTHER)
        if kind == b"\0" and name.endswith("/"):
            meaning = Kind.DIRECTORY
        if meaning not in (Kind.FILE, Kind.OTHER):
            size = 0
        mode = self._number(block[100:108], "mode") & 0o7777
        if meaning in (Kind.SYMLINK, Kind.HARDLINK) and not link:
            link = _text(block[157:257])
        clean = normalise(name)
        target = normalise(link) if meaning is Kind.HARDLINK else link
        if clean is None or target is None:
            return Entry(name, meaning, mode, size, link, escapes=True), size
        return Entry(clean, meaning, mode, size, target), size

    def _number(self, field: bytes, what: str) -> int:
        """Octal, or base-256 when the first bit is set."""
        if field[0] & 0x80:
            value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
            if field[0] & 0x40 or value >> 63:
                raise self._damaged(f"has an entry with a {what} out of range")
            return value
        digits = field.partition(b"\0")[0].strip(b" ")
        if not digits:
            return 0
        try:
            return int(digits, 8) if digits.isdigit() else self._no_number(what)
        except ValueError:
            return self._no_number(what)

    def _no_number(self, what: str) -> NoReturn:
        raise self._damaged(f"has an entry whose {what} is no number")

    def _decimal(self, text: str, what: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 19) or int(text) >> 63:
            self._no_number(what)
        return int(text)

    def _records(self, body: bytes) -> dict[str, str]:
        """PAX records: ``length key=value\\n`` with the length counting all of it."""
        records: dict[str, str] = {}
        parts: list[str] = []
        at = 0
        while at < len(body) and body[at]:
            space = body.find(b" ", at, at + 20)
            digits = body[at:space] if space != -1 else b""
            end = at + int(digits) if digits.isdigit() else 0
            if not space < end <= len(body) or body[end - 1 : end] != b"\n":
                raise self._damaged("has a damaged PAX header")
            key, equals, value = body[space + 1 : end - 1].partition(b"=")
            if not equals:
                raise self._damaged("has a damaged PAX header")
            word = key.decode("utf-8", "surrogateescape")
            if word in ("GNU.sparse.offset", "GNU.sparse.numbytes"):
                parts.append(value.decode("utf-8", "surrogateescape"))
            elif word in _RECORDS:
                records[word] = _text(value) if word in ("path", "linkpath") else value.decode("utf-8", "replace")
            at = end
        if parts:
            records["GNU.sparse.map"] = ",".join(parts)
        return records

    def _sparse(self, block: bytes, kind: bytes, packed: Content, records: dict[str, str]) -> Content:
        if kind == b"S":
            size, numbers = self._number(block[483:495], "size"), self._old_sparse_map(block)
        elif records.get("GNU.sparse.major") == "1":
            size = self._decimal(records.get("GNU.sparse.realsize", ""), "size")
            numbers = self._new_sparse_map(packed)
        else:
            size = self._decimal(records.get("GNU.sparse.size", ""), "size")
            text = records.get("GNU.sparse.map", "")
            numbers = [self._decimal(word, "sparse map") for word in text.split(",")] if text else []
        parts = list(zip(numbers[::2], numbers[1::2], strict=False))
        end = 0
        for start, length in parts:
            if start < end or start + length > size:
                raise self._damaged("has a damaged sparse map")
            end = start + length
        if len(numbers) % 2 or sum(length for _, length in parts) > packed.left:
            raise self._damaged("has a damaged sparse map")
        return SparseContent(packed, size, parts)

    def _old_sparse_map(self, block: bytes) -> list[int]:
        numbers: list[int] = []
        slots, more = block[386:482], block[482]
        while True:
            for at in range(0, len(slots), 24):
                if slots[at] == 0:
                    break
                numbers.append(self._number(slots[at : at + 12], "sparse map"))
                numbers.append(self._number(slots[at + 12 : at + 24], "sparse map"))
            if not more:
                return numbers
            if len(numbers) > 2 * MAX_SPARSE_PARTS:
                raise self._damaged("has a sparse map without an end")
            extension = self._source.exactly(BLOCK)
            slots, more = extension[:504], extension[504]

    def _new_sparse_map(self, packed: Content) -> list[int]:
        """Version 1.0: decimal lines in front of the data, padded to whole blocks."""
        pending, numbers, wanted = b"", list[int](), -1
        while wanted < 0 or len(numbers) < wanted:
            data = packed.take(BLOCK)
            if not data:
                raise self._damaged("has a damaged sparse map")
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                if wanted < 0:
                    wanted = 2 * self._decimal(line.decode("ascii", "replace"), "sparse map")
                    if wanted > 2 * MAX_SPARSE_PARTS:
                        raise self._damaged("has a damaged sparse map")
                elif len(numbers) < wanted:
                    numbers.append(self._decimal(line.decode("ascii", "replace"), "sparse map"))
            if len(pending) > BLOCK:
                raise self._damaged("has a damaged sparse map")
        return numbers

    def _no_archive(self) -> InputError:
        return InputError("this is no tar archive", where=self._where, hint=_HINT)

    def _damaged(self, what: str) -> InputError:
        return InputError(f"the archive {what}", where=self._where, hint=_HINT)


def normalise(name: str) -> str | None:
    """A name relative to the root, without ``.``, ``..`` and empty parts; None when it leads outside of the root."""
    if not (name[:1] in ("", ".", "/") or name.endswith("/") or "//" in name or "/." in name):
        return name
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


_HINT = "Pull, copy or build it again; what is there was not written or transferred completely."
_EXTENSIONS = frozenset({b"L", b"K", b"x", b"X", b"g"})
"""Entries that describe the next one. Go's reader, and so container engines, take nothing from a global (``g``) one."""
_RECORDS = frozenset(
    "path linkpath size GNU.sparse.major GNU.sparse.name GNU.sparse.realsize GNU.sparse.size GNU.sparse.map".split()
)
_KINDS: dict[bytes, Kind] = {
    b"\0": Kind.FILE,
    b"0": Kind.FILE,
    b"7": Kind.FILE,
    b"S": Kind.FILE,
    b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK,
    b"3": Kind.DEVICE,
    b"4": Kind.DEVICE,
    b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


class _Bytes:
    """A forward reader over pieces."""

    def __init__(self, pieces: Iterator[bytes], where: str) -> None:
        self._pieces = pieces
        self._where = where
        self._piece = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """``size`` bytes, fewer at the end of the stream."""
        end = self._at + size
        if end <= len(self._piece):
            data = self._piece[self._at : end]
            self._at = end
            return data
        parts = [self._piece[self._at :]]
        missing = size - len(parts[0])
        while missing:
            piece = next(self._pieces, b"")
            if not piece:
                self._piece, self._at = b"", 0
                break
            parts.append(piece[:missing])
            self._piece, self._at = piece, len(parts[-1])
            missing -= self._at
        return b"".join(parts)

    def exactly(self, size: int) -> bytes:
        data = self.take(size)
        if len(data) < size:
            raise InputError("the archive is cut off in the content of an entry", where=self._where, hint=_HINT)
        return data

    def skip(self, size: int) -> None:
        end = self._at + size
        if end <= len(self._piece):
            self._at = end
            return
        missing = end - len(self._piece)
        while missing:
            piece = next(self._pieces, b"")
            if not piece:
                raise InputError("the archive is cut off in the content of an entry", where=self._where, hint=_HINT)
            self._piece, self._at = piece, min(missing, len(piece))
            missing -= self._at

    def drain(self) -> None:
        """Read on to the end, so that what is below can check its digest."""
        for _ in self._pieces:
            pass
