"""Standard output and error as a verb uses them: what the terminal can show, and writing text to it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator
from typing import TextIO

from crossdock.report.style import GLYPHS, NARROWEST, Style

REDRAW_SECONDS = 0.1
WITHOUT_TERMINAL = 100
"""Columns when nobody says how wide the output is."""


def style_of(stream: TextIO) -> Style:
    """Width from COLUMNS or the terminal; colour on a terminal only, unless NO_COLOR or CLICOLOR_FORCE say otherwise
    (no-color.org, bixense.com/clicolors); Unicode where the encoding has it."""
    return Style(width=_width(stream), colour=_colour(stream), unicode=_can_encode(stream))


def is_live(stream: TextIO) -> bool:
    """Whether lines can be redrawn in place."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}


@contextlib.contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """While this takes its time, a terminal shows what for; afterwards the line is gone."""
    if not is_live(sys.stderr):
        yield
        return
    write(f"{what} ...", sys.stderr)
    try:
        yield
    finally:
        write("\r\x1b[2K", sys.stderr)


@contextlib.contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """As ``waiting_for``, with how many of how many are done; hands over what is to be told so."""
    if not is_live(sys.stderr):
        yield lambda _done, _total: None
        return
    shown = 0.0

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= REDRAW_SECONDS or done == total:
            shown = now
            write(f"\r\x1b[2K{what}: {done} of {total}", sys.stderr)

    try:
        yield show
    finally:
        write("\r\x1b[2K", sys.stderr)


def write(text: str, stream: TextIO | None = None) -> None:
    """Write text. What the stream's encoding lacks becomes question marks of the same width, so that columns hold."""
    stream = stream or sys.stdout
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write("".join(_encodable(char, stream.encoding) for char in text))
    stream.flush()


def _encodable(char: str, encoding: str) -> str:
    try:
        char.encode(encoding)
    except UnicodeEncodeError:
        return "??" if unicodedata.east_asian_width(char) in {"W", "F"} else "?"
    return char


def write_exact(text: str) -> None:
    """Write to standard output byte for byte, also what is not UTF-8 (held as surrogates): a diff for ``git apply``."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _width(stream: TextIO) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit() and int(columns) > 0:
        return max(NARROWEST, int(columns))
    try:
        return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns or WITHOUT_TERMINAL)
    except (OSError, ValueError):
        return WITHOUT_TERMINAL


def _colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return is_live(stream)


def _can_encode(stream: TextIO) -> bool:
    try:
        GLYPHS.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
