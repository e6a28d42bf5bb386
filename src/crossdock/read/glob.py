"""Go's filepath.Match patterns, which .dockerignore and COPY use, as regular expressions.

``*`` and ``?`` stop at ``/``, ``[a-z]`` and ``[^a-z]`` are classes, a backslash takes the next character literally.
"""

from __future__ import annotations

import posixpath
import re


class BadPattern(ValueError):
    """A class that is not closed or empty, or a backslash at the end."""


def clean(path: str) -> str:
    """Go's filepath.Clean: the shortest name of the same path."""
    cleaned = posixpath.normpath(path) if path else "."
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def component(pattern: str) -> re.Pattern[str]:
    """A pattern that holds no ``/``, to be used with ``fullmatch`` on one component. Raises BadPattern."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "[":
            text, at = character_class(pattern, at)
            out.append(text)
            continue
        if character == "\\":
            at += 1
            if at == len(pattern):
                raise BadPattern
            out.append(re.escape(pattern[at]))
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(character) or re.escape(character))
        at += 1
    return re.compile("".join(out), re.DOTALL)


def character_class(pattern: str, start: int) -> tuple[str, int]:
    """The class that begins at ``start`` as a regular expression, and the index after it. Raises BadPattern."""
    at = start + 1
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while not (pattern.startswith("]", at) and ranges):
        low, at = _member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1)
        ranges.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
    members = "".join(ranges)
    if not members:
        return "[^/]" if negated else "(?!)", at + 1
    return f"[{'^' if negated else ''}{members}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] in ("", "-", "]"):
        raise BadPattern
    if pattern[at] == "\\":
        at += 1
        if at == len(pattern):
            raise BadPattern
    if at + 1 == len(pattern):
        raise BadPattern
    return pattern[at], at + 1
