"""Reading the checksums that projects publish beside their files."""

from __future__ import annotations

import hashlib
import re

_HEX = re.compile(r"(?<![0-9a-zA-Z])[0-9a-fA-F]+(?![0-9a-zA-Z])")
_LABEL = re.compile(r"^\s*([A-Za-z][A-Za-z0-9/-]*)\s*\(")
"""The algorithm's name before the file's, as BSD's tools write it."""


def digest_in(text: str, name: str, algorithm: str = "sha256") -> str | None:
    """The hex digest that a list of checksums gives for a file; None where it gives none, or two different ones.

    Known are the lines of GNU's tools (``<digest>  <name>``, with ``*`` or ``./`` before the name), of BSD's
    (``SHA256 (<name>) = <digest>``), and files that hold nothing but one digest. ``algorithm`` is one of hashlib's.
    """
    length = hashlib.new(algorithm).digest_size * 2
    lines = [line for line in text.splitlines() if line.strip()]
    named = [line for line in lines if name in re.split(r"[\s*()/\\]+", line)]
    if not named and len(lines) == 1 and len(lines[0].split()) == 1:
        named = lines
    found = {
        word.lower() for line in named if _is_of(line, algorithm) for word in _HEX.findall(line) if len(word) == length
    }
    return found.pop() if len(found) == 1 else None


def _is_of(line: str, algorithm: str) -> bool:
    label = _LABEL.match(line)
    return label is None or re.sub(r"\W", "", label[1]).lower() == algorithm.replace("_", "")
