"""Cutting and replacing inside Values without losing where each character was written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from crossdock.read.values import UNKNOWN, Fragment, Value

HOLE = "\N{REPLACEMENT CHARACTER}"
"""Stands for an unknown fragment while a text operation runs over a value."""


def substitute(value: Value, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], Value], count: int) -> Value:
    """Replace the first ``count`` matches (0: all); what does not match keeps its origin."""
    text = value.render()
    out: list[Fragment] = []
    at = 0
    for number, match in enumerate(pattern.finditer(text)):
        if count and number >= count:
            break
        out += value.slice(at, match.start()).fragments
        out += replace(match).fragments
        at = match.end()
    out += value.slice(at, len(text)).fragments
    return Value(tuple(out))


def split(value: Value, separators: str | None = None) -> list[Value]:
    """The fields between separators, as the shell splits an unquoted expansion (None: any white space)."""
    text = value.render()
    pattern = r"\S+" if separators is None else f"[^{re.escape(separators)}]*"
    spans = [match.span() for match in re.finditer(pattern, text)]
    if separators is not None:
        spans, at = [], 0
        for match in re.finditer(f"[{re.escape(separators)}]", text):
            spans.append((at, match.start()))
            at = match.end()
        spans.append((at, len(text)))
    return [value.slice(start, end) for start, end in spans]


def strip_newlines(value: Value) -> Value:
    """What ``$( )`` does with the output of a command."""
    text = value.render()
    return value.slice(0, len(text.rstrip("\n"))) if text.endswith("\n") else value


def without_origin(value: Value) -> Value:
    """The same text, no longer counted as written by hand."""
    return Value(tuple(Fragment(f.text, None, f.variable, f.choices) for f in value.fragments))


MOST_CHOICES = 8
MOST_FRAGMENTS = 200
"""Of a value with choices; a longer one grew in a loop and says nothing any more."""


def either(values: Iterable[Value]) -> Value:
    """What a variable holds after branches that could not be decided: one of these. Choices are never nested."""
    unique = list(dict.fromkeys(values))
    if not unique:
        return UNKNOWN
    if len(unique) == 1:
        return unique[0]
    choices = list(dict.fromkeys(option for value in unique for option in alternatives(value)))[:MOST_CHOICES]
    choices = [option for option in choices if len(option.fragments) <= MOST_FRAGMENTS]
    return Value((Fragment(None, choices=tuple(choices)),))


def alternatives(value: Value, limit: int = MOST_CHOICES) -> list[Value]:
    """Every text the value can have, as far as its choices tell; at most ``limit``."""
    if not any(fragment.choices for fragment in value):
        return [value]
    results = [Value()]
    for fragment in value:
        options = list(fragment.choices) if fragment.text is None and fragment.choices else [Value((fragment,))]
        results = [left + right for left in results for right in options][:limit]
    return results


def glob(pattern: str) -> str:
    """A shell pattern as a regular expression without anchors."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == "\\" and at < len(pattern):
            out.append(re.escape(pattern[at]))
            at += 1
        elif char == "[" and "]" in pattern[at + 1 :]:
            end = pattern.index("]", at + 1)
            inner = pattern[at:end].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[" + ("^" + inner[1:] if inner[:1] in "!^" else inner) + "]")
            at = end + 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def compiled(pattern: str, flags: int = re.DOTALL) -> re.Pattern[str] | None:
    """A compiled expression, or None for what Python's ``re`` does not take."""
    try:
        return re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError):
        return None


def trim_prefix(value: Value, pattern: str, longest: bool) -> Value:
    """``${x#pattern}`` and ``${x##pattern}``."""
    regex = compiled(glob(pattern))
    text = value.render()
    if regex is None:
        return UNKNOWN
    lengths = range(len(text), -1, -1) if longest else range(len(text) + 1)
    for length in lengths:
        if regex.fullmatch(text, 0, length):
            return value.slice(length, len(text))
    return value


def trim_suffix(value: Value, pattern: str, longest: bool) -> Value:
    """``${x%pattern}`` and ``${x%%pattern}``."""
    regex = compiled(glob(pattern))
    text = value.render()
    if regex is None:
        return UNKNOWN
    starts = range(len(text) + 1) if longest else range(len(text), -1, -1)
    for start in starts:
        if regex.fullmatch(text, start):
            return value.slice(0, start)
    return value
