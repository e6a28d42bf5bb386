"""Splitting an instruction's logical line: keyword, flags, words, strings of a JSON array.

Source: BuildKit, frontend/dockerfile/parser (split_command.go, line_parsers.go).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator

from crossdock.read.lines import SPACES
from crossdock.read.model import Flag, LogicalText, Word
from crossdock.source import Span

BLANKS = "\t\v\f\r "
"""What separates a keyword from its arguments, and the arguments of COPY from each other."""

_SPACES = re.compile(f"[{SPACES}]*+")
_BLANK_WORD = re.compile(f"[^{BLANKS}]+")
_STRING = re.compile(r'"((?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*+)"')
_JSON_SPACE = re.compile(r"[ \t\r\n]*+")
_JSON_PIECE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL
)


class NotStrings(ValueError):
    """A JSON array that holds something else than strings, which BuildKit refuses."""


def word(logical: LogicalText, start: int, end: int) -> Word:
    part = logical.slice(start, end)
    return Word(part.text, Span(part.offsets[0], part.offsets[-1]), part.offsets)


def stripped(logical: LogicalText, start: int = 0) -> tuple[int, int]:
    """Where the text after ``start`` begins and ends without the spaces around it."""
    begin = _skip_spaces(logical.text, start)
    return begin, max(begin, len(logical.text.rstrip(SPACES)))


def _skip_spaces(text: str, start: int) -> int:
    match = _SPACES.match(text, start)
    return match.end() if match else start


def split_keyword(logical: LogicalText) -> tuple[int, int, int]:
    """Start and end of the keyword, and where what follows it begins."""
    start, end = stripped(logical)
    match = _BLANK_WORD.match(logical.text, start, end)
    stop = match.end() if match else start
    rest = _BLANK_WORD.search(logical.text, stop, end)
    return start, stop, rest.start() if rest else end


def split_flags(logical: LogicalText, start: int, end: int, escape: str) -> tuple[tuple[Flag, ...], int]:
    """The flags between ``start`` and ``end``, and where the arguments begin. ``--`` ends the flags."""
    text = logical.text[:end]
    flags: list[Flag] = []
    while True:
        start = _skip_spaces(text, start)
        if not text.startswith("--", start):
            return tuple(flags), start
        stop, letters = _flag_letters(text, start, escape)
        value = "".join(text[index] for index in letters)
        if value == "--":
            return tuple(flags), stop
        flags.append(_flag(logical, start, stop, letters, value))
        start = stop


def _flag_letters(text: str, start: int, escape: str) -> tuple[int, list[int]]:
    """Where the flag ends, and the indices of the characters that remain of it without quotes and escapes."""
    letters: list[int] = []
    quote = ""
    at = start
    while at < len(text) and (quote or text[at] not in SPACES):
        character = text[at]
        if quote and character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character == escape:
            at += 1
            if at < len(text):
                letters.append(at)
        else:
            letters.append(at)
        at += 1
    return min(at, len(text)), letters


def _flag(logical: LogicalText, start: int, end: int, letters: list[int], text: str) -> Flag:
    span = logical.span(start, end)
    name, equals, value = text.partition("=")
    if not equals:
        return Flag(name[2:], None, span, None)
    indices = letters[len(name) + 1 :]
    first = letters[len(name)] + 1
    value_span = logical.span(first, end) if first < end else Span(span.end, span.end)
    offsets = (*(logical.offsets[index] for index in indices), value_span.end)
    return Flag(name[2:], value, span, value_span, Word(value, value_span, offsets))


def blank_words(logical: LogicalText, start: int = 0) -> Iterator[Word]:
    """Words between blanks, as FROM, COPY, ADD, EXPOSE and VOLUME have them; quotes mean nothing."""
    begin, end = stripped(logical, start)
    for match in _BLANK_WORD.finditer(logical.text, begin, end):
        yield word(logical, match.start(), match.end())


@functools.cache
def _quoted_word(escape: str) -> re.Pattern[str]:
    e = re.escape(escape)
    return re.compile(
        rf"""((?:[^{SPACES}"'{e}]++|{e}.|"(?:[^"{e}]++|{e}.)*+(?:"|(?={e}?\Z))|'[^']*+(?:'|\Z))++)(?:{e}\Z)?""",
        re.DOTALL,
    )


def quoted_words(logical: LogicalText, escape: str) -> Iterator[Word]:
    """Words between spaces that are not quoted or escaped, as ENV, ARG and LABEL have them; quotes stay."""
    for match in _quoted_word(escape).finditer(logical.text):
        yield word(logical, match.start(1), match.end(1))


def json_strings(logical: LogicalText, start: int = 0) -> tuple[Word, ...] | None:
    """The strings of a JSON array, or None for what is none (RFC 8259). Raises NotStrings."""
    text = logical.text
    at, _ = stripped(logical, start)
    if not text.startswith("[", at):
        return None
    found = _string_array(logical, at)
    if found is None and _is_json(text[at:]):
        raise NotStrings
    return found


def _string_array(logical: LogicalText, at: int) -> tuple[Word, ...] | None:
    text = logical.text
    words: list[Word] = []
    at = _skip(text, at + 1)
    while not (text.startswith("]", at) and not words):
        match = _STRING.match(text, at)
        if match is None:
            return None
        words.append(_decoded(logical, match.start(1), match.end(1)))
        at = _skip(text, match.end())
        if text.startswith("]", at):
            break
        if not text.startswith(",", at):
            return None
        at = _skip(text, at + 1)
    return tuple(words) if _skip(text, at + 1) == len(text) else None


def _skip(text: str, at: int) -> int:
    match = _JSON_SPACE.match(text, at)
    return match.end() if match else at


def _decoded(logical: LogicalText, start: int, end: int) -> Word:
    """A JSON string's content. A character that was escaped stands where its escape sequence ends."""
    if "\\" not in logical.text[start:end]:
        return word(logical, start, end)
    letters: list[str] = []
    offsets: list[int] = []
    for match in _JSON_PIECE.finditer(logical.text, start, end):
        piece = match[0]
        if piece.startswith("\\"):
            piece = json.loads(f'"{piece}"')
            if "\ud800" <= piece <= "\udfff":
                piece = "\N{REPLACEMENT CHARACTER}"
        letters.append(piece)
        offsets.append(logical.offsets[match.end() - 1])
    span = logical.span(start, end)
    return Word("".join(letters), span, (*offsets, span.end))


def _is_json(text: str) -> bool:
    def number(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), float("-inf")):
            raise ValueError(digits)
        return value

    def constant(name: str) -> float:
        raise ValueError(name)

    try:
        json.loads(text, parse_constant=constant, parse_float=number, parse_int=number)
    except (ValueError, RecursionError):
        return False
    return True
