"""What a terminal can show: width, colour, characters; and making foreign text harmless for it."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """``width`` in cells (a CJK character takes two); ``unicode`` is false where the output takes only ASCII."""

    width: int = 80
    colour: bool = False
    unicode: bool = True


NARROWEST = 20
"""Below this nothing sensible fits; the terminal may wrap."""

GLYPHS = "│─…→✓✗•·✔’‘“”–—×�"
"""What crossdock's own texts use beyond ASCII."""
_ASCII = str.maketrans(GLYPHS, "|-~>+x**+''\"\"--x?")


def fit(text: str, style: Style) -> str:
    """crossdock's own glyphs as ASCII where nothing else can be shown. Keeps the width of each line."""
    return text if style.unicode else text.translate(_ASCII)


def harmless(text: str) -> str:
    """Foreign text for one line of a terminal: control characters (an escape sequence in a Dockerfile, a carriage
    return) and invisible ones that change the direction of text become a visible placeholder; a tab stays."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char == "\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else "\ufffd"
        for char in text
    )
