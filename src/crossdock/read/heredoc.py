"""Finding the heredocs that an instruction's line announces.

Source: BuildKit, frontend/dockerfile/parser/parser.go (heredocsFromLine) and frontend/dockerfile/shell/lex.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from crossdock.errors import InputError
from crossdock.read.expand import expand
from crossdock.read.lines import SPACES
from crossdock.read.model import LogicalText
from crossdock.read.values import Value, literal

_MARKER = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)\Z")
_PLAIN_NAME = re.compile(r"[\w.-]+")
_PLAIN = re.compile(rf"""[^{SPACES}$'"\\<]++""")
_PLAIN_IN_QUOTES = re.compile(r'[^"$\\]++')
_NAME = re.compile(r"\d+|[@*#?$!0-]|\w+")
_MAX_DEPTH = 100


@dataclass(frozen=True)
class Marker:
    """``<<NAME``, ``<<-NAME`` or ``<<"NAME"`` at the characters ``start:end`` of the line."""

    name: str
    expand: bool
    strip_tabs: bool
    start: int
    end: int


def heredoc_markers(line: LogicalText) -> tuple[Marker, ...]:
    """The markers in an instruction's line, in order. A line whose quotes do not balance has none, as in BuildKit."""
    if "<<" not in line.text:
        return ()
    try:
        words = list(_Words(line.text))
    except _Unbalanced:
        return ()
    found = (marker(line.text[start:end], start) for start, end in words)
    return tuple(entry for entry in found if entry is not None)


def marker(text: str, start: int = 0) -> Marker | None:
    """The heredoc that a single word is, if it is one."""
    match = _MARKER.match(text)
    if match is None or not match[3]:
        return None
    strip_tabs, end = match[2] == "-", start + len(text)
    if _PLAIN_NAME.fullmatch(match[3]):
        return Marker(match[3], True, strip_tabs, start, end)
    try:
        name = expand(LogicalText(match[3], tuple(range(len(match[3]) + 1))), 0, len(match[3]), _keep).text
    except InputError:
        return None
    if not name:
        return None
    unescaped = match[3].replace("\\'", "").replace('\\"', "")
    return Marker(name, not any(quote in unescaped for quote in "'\""), strip_tabs, start, end)


def _keep(name: str) -> Value:
    """Variables are not replaced in a heredoc's name."""
    return literal(f"${name}")


class _Unbalanced(Exception):
    """A quote or brace that is not closed."""


class _Words:
    """The words of a line as the shell sees them, as ranges of characters: quotes, ``${…}`` and escapes stay closed,
    and the blanks between ``<<`` and the name belong to the word."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __iter__(self) -> Iterator[tuple[int, int]]:
        text, at, start = self._text, 0, None
        while at < len(text):
            if text[at] in SPACES:
                if start is not None:
                    yield start, at
                start, at = None, at + 1
                continue
            start = at if start is None else start
            if text.startswith("<<", at):
                at += 2
                while text[at : at + 1] in ("\t", "\r", " "):
                    at += 1
            else:
                at = self._step(at, 0)
        if start is not None:
            yield start, at

    def _step(self, at: int, depth: int) -> int:
        """The index after the quoted string, variable, escape or plain characters at ``at``."""
        text = self._text
        character = text[at]
        if character == "'":
            end = text.find("'", at + 1)
            if end == -1:
                raise _Unbalanced
            return end + 1
        if character == '"':
            return self._double(at + 1, depth)
        if character == "$":
            return self._dollar(at + 1, depth)
        if character == "\\":
            return min(at + 2, len(text))
        plain = _PLAIN.match(text, at)
        return plain.end() if plain and not depth else at + 1

    def _double(self, at: int, depth: int) -> int:
        text = self._text
        while at < len(text):
            character = text[at]
            if character == '"':
                return at + 1
            if character == "$":
                at = self._dollar(at + 1, depth)
            elif character == "\\":
                at += 2 if text[at + 1 : at + 2] in ('"', "$", "\\") else 1
            else:
                plain = _PLAIN_IN_QUOTES.match(text, at)
                at = plain.end() if plain else at + 1
        raise _Unbalanced

    def _dollar(self, at: int, depth: int) -> int:
        text = self._text
        braced = text.startswith("{", at)
        if braced:
            at += 1
            if text[at : at + 1] in ("", "{", "}", ":") or depth > _MAX_DEPTH:
                raise _Unbalanced
        name = _NAME.match(text, at)
        at = name.end() if name else at
        if not braced:
            return at
        modifier = text[at : at + 2] if text.startswith(":", at) else text[at : at + 1]
        if modifier == "}":
            return at + 1
        if modifier not in (":-", ":+", ":?", "-", "+", "?", "#", "%", "/"):
            raise _Unbalanced
        at += len(modifier)
        if modifier == "/":
            at = self._until("/", at + 1 if text.startswith("/", at) else at, depth + 1)
        return self._until("}", at, depth + 1)

    def _until(self, stop: str, at: int, depth: int) -> int:
        while at < len(self._text):
            if self._text[at] == stop:
                return at + 1
            at = self._step(at, depth)
        raise _Unbalanced
