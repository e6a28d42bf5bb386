"""Text with byte spans: positions, edits on the original bytes, diffs, atomic writes."""

from __future__ import annotations

import bisect
import contextlib
import difflib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from crossdock.errors import CrossdockError


@dataclass(frozen=True, order=True)
class Span:
    """Half-open range of byte offsets into one source."""

    start: int
    end: int

    def __contains__(self, other: Span) -> bool:
        return self.start <= other.start and other.end <= self.end


@dataclass(frozen=True)
class Position:
    """A place for people: line and column count from 1, columns in characters, not bytes."""

    line: int
    column: int


@dataclass(frozen=True)
class Source:
    """One file as it was read. ``path`` is what messages show; ``data`` are its bytes, untouched."""

    path: str
    data: bytes = field(repr=False)

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        find = self.data.find
        at = find(b"\n")
        while at != -1:
            starts.append(at + 1)
            at = find(b"\n", at + 1)
        return starts

    def slice(self, span: Span) -> bytes:
        return self.data[span.start : span.end]

    def text(self, span: Span) -> str:
        """The characters of a span. Bytes that are not UTF-8 survive as surrogates (``surrogateescape``)."""
        return self.slice(span).decode("utf-8", "surrogateescape")

    def position(self, offset: int) -> Position:
        line = bisect.bisect_right(self._line_starts, offset)
        start = self._line_starts[line - 1]
        return Position(line, len(self.data[start:offset].decode("utf-8", "replace")) + 1)

    def line_span(self, line: int) -> Span:
        """The bytes of a line (from 1) without its line end."""
        start = self._line_starts[line - 1]
        end = self._line_starts[line] if line < len(self._line_starts) else len(self.data)
        return Span(start, start + len(self.data[start:end].rstrip(b"\r\n")))

    @property
    def line_count(self) -> int:
        return len(self._line_starts)

    @property
    def newline(self) -> bytes:
        """The line end this file uses, so that inserted lines look like their neighbours."""
        return b"\r\n" if b"\r\n" in self.data[: self.data.find(b"\n") + 1] else b"\n"


@dataclass(frozen=True, order=True)
class Edit:
    """Replace the bytes of ``span`` in the file ``path``. An empty span inserts."""

    path: str
    span: Span
    replacement: bytes


class OverlappingEdits(CrossdockError):
    """Two edits want the same bytes; neither may win silently."""


def apply_edits(source: Source, edits: Iterable[Edit]) -> Source:
    """The source with every edit made at once. Identical edits count once; insertions at one offset keep their order.

    Raises OverlappingEdits when two different edits touch the same bytes.
    """
    unique = list(dict.fromkeys(edit for edit in edits if edit.path == source.path))
    unique.sort(key=lambda edit: edit.span)
    pieces: list[bytes] = []
    at = 0
    for edit in unique:
        if edit.span.start < at:
            where = source.position(edit.span.start)
            raise OverlappingEdits(
                "two fixes change the same text",
                where=f"{source.path}:{where.line}:{where.column}",
                hint="Apply one of them with --rule, then run again.",
            )
        pieces += [source.data[at : edit.span.start], edit.replacement]
        at = edit.span.end
    pieces.append(source.data[at:])
    return Source(source.path, b"".join(pieces))


def unified_diff(before: Source, after: Source) -> str:
    """A unified diff with ``a/`` and ``b/`` prefixes that ``git apply`` takes; empty when nothing changed."""

    def lines(source: Source) -> list[str]:
        # Not splitlines: git, like the formats we read, ends a line at \n only.
        text = source.data.decode("utf-8", "surrogateescape")
        return [line for line in re.split(r"(?<=\n)", text) if line]

    out: list[str] = []
    for line in difflib.unified_diff(lines(before), lines(after), f"a/{before.path}", f"b/{after.path}"):
        out.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(out)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when the block ends well, and vanishes otherwise.

    Its mode is kept; a symbolic link is followed, so that the file it points to is replaced and the link stays.
    Raises CrossdockError when the folder is read-only, the disk is full, or something that is no regular file is in
    the place: to replace a device such as /dev/null would work, and harm the machine. What was there is unharmed then.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise CrossdockError("is no regular file", where=str(path), hint="Name a file that can be replaced.")
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                if not os.access(target, os.W_OK):
                    raise PermissionError(13, "file is read-only")
                Path(temporary).chmod(target.stat().st_mode & 0o7777)
            else:
                umask = os.umask(0)
                os.umask(umask)
                Path(temporary).chmod(0o666 & ~umask)
            Path(temporary).replace(target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise CrossdockError(
            f"cannot write: {error.strerror or error}",
            where=str(path),
            hint="Nothing was changed. Make the file and its folder writable, or free some space, and run again.",
        ) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file in one step: readers see the old or the new bytes, never half of them. Raises as ``replacing``."""
    with replacing(path) as file:
        file.write(data)
