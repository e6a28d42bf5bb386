"""The lines of a Dockerfile: parser directives, comments, and continuation lines joined to logical ones.

Source: BuildKit, frontend/dockerfile/parser (parser.go, directives.go).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from crossdock.errors import InputError
from crossdock.read.model import LogicalText
from crossdock.source import Source, Span

SPACES = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""What Go's unicode.IsSpace calls a space; Python's str.isspace() has four more."""
MAX_LINE = 65535
"""Bytes; BuildKit reads no longer line."""

_BOM = b"\xef\xbb\xbf"
_DIRECTIVE = re.compile(rf"#[{SPACES}]*([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*\Z")
_DIRECTIVES = ("syntax", "escape", "check")


@dataclass(frozen=True)
class Line:
    """One line of the file without its line end; ``start`` is the byte offset of its first character."""

    text: str
    start: int
    end: int

    @property
    def stripped(self) -> str:
        return self.text.lstrip(SPACES)

    @property
    def comment(self) -> bool:
        return self.stripped.startswith("#")


@dataclass(frozen=True)
class LogicalLine:
    """The joined text of one instruction; ``end`` is the byte offset after the last line it took."""

    logical: LogicalText
    end: int
    comments: tuple[Span, ...]


def fail(source: Source, offset: int, what: str, hint: str) -> InputError:
    """An error that points at a byte of a file as ``path:line:column``."""
    at = source.position(offset)
    return InputError(what, where=f"{source.path}:{at.line}:{at.column}", hint=hint)


class LineReader:
    """Reads a Dockerfile from top to bottom. ``escape`` and ``syntax`` are known when the first instruction is."""

    def __init__(self, source: Source) -> None:
        self.escape = "\\"
        self.syntax: str | None = None
        self._source = source
        self._at = len(_BOM) if source.data.startswith(_BOM) else 0
        self._seen: set[str] | None = set()

    def line(self) -> Line | None:
        """The next line as it is (heredoc bodies are read so), or None at the end of the file."""
        data, start = self._source.data, self._at
        if start >= len(data):
            return None
        newline = data.find(b"\n", start)
        after = len(data) if newline == -1 else newline + 1
        raw = data[start:after]
        if len(raw.removesuffix(b"\n")) > MAX_LINE:
            raise fail(
                self._source,
                start,
                f"this line is longer than {MAX_LINE} bytes, which is more than BuildKit reads",
                "Break it into several lines with continuation characters.",
            )
        self._at = after
        raw = raw.rstrip(b"\r\n")
        return Line(raw.decode("utf-8", "surrogateescape"), start, start + len(raw))

    def instructions(self) -> Iterator[LogicalLine]:
        """Each instruction's logical line, read when asked for, so that the caller may take heredoc lines between."""
        comments: list[Span] = []
        while (line := self.line()) is not None:
            text = line.stripped
            if text.startswith("#"):
                if not self._directive(line, text) and text[1:].strip(SPACES):
                    comments.append(Span(line.end - len(text.encode("utf-8", "surrogateescape")), line.end))
                elif not text[1:].strip(SPACES):
                    comments.clear()
                continue
            self._seen = None
            if text:
                yield self._joined(line, tuple(comments))
                comments.clear()

    def _joined(self, first: Line, comments: tuple[Span, ...]) -> LogicalLine:
        head = first.text[: len(first.text) - len(first.stripped)]
        text, more = self._without_continuation(first.stripped)
        parts = [(text, first.start + len(head.encode("utf-8", "surrogateescape")))]
        end = first.end
        while more and (line := self.line()) is not None:
            end = line.end
            if line.comment or not line.stripped:
                continue
            text, more = self._without_continuation(line.text)
            parts.append((text, line.start))
        return LogicalLine(_join(parts), end, comments)

    def _without_continuation(self, text: str) -> tuple[str, bool]:
        """The text without its continuation character, and whether it had one. A doubled one is none."""
        head = text.rstrip(" \t")
        if not head.endswith(self.escape) or head[-2:] == self.escape * 2:
            return text, False
        return head[:-1], True

    def _directive(self, line: Line, text: str) -> bool:
        """Take a parser directive; the first line that is none ends them."""
        match = _DIRECTIVE.match(text) if self._seen is not None else None
        name = match[1].lower() if match else ""
        if match is None or self._seen is None or name not in _DIRECTIVES:
            self._seen = None
            return False
        if name in self._seen:
            raise fail(self._source, line.start, f"a second `{name}` directive", "Keep one of them.")
        self._seen.add(name)
        value = match[2]
        if name == "syntax":
            self.syntax = value.split(" ")[0]
        if name == "escape":
            if value not in ("\\", "`"):
                raise fail(
                    self._source, line.start, f"{value!r} is no escape character", "Write \\ or ` after escape=."
                )
            self.escape = value
        return True


def _join(parts: list[tuple[str, int]]) -> LogicalText:
    offsets: list[int] = []
    end = parts[0][1]
    for text, start in parts:
        if text.isascii():
            end = start + len(text)
            offsets += range(start, end)
        else:
            end = start
            for character in text:
                offsets.append(end)
                end += len(character.encode("utf-8", "surrogateescape"))
    offsets.append(end)
    return LogicalText("".join(text for text, _ in parts), tuple(offsets))
