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
LOG_SECONDS = 15.0
"""How often a log, which nobody watches, hears that work goes on."""
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


Progress = Callable[[int, int], None]
"""Takes how much is done, and how much there is in all."""


@contextlib.contextmanager
def counting(
    what: str, words: Callable[[int, int], str] = lambda done, total: f"{done} of {total}"
) -> Iterator[Progress]:
    """As ``waiting_for``, with how much of how much is done; hands over what is to be told so. Where lines cannot be
    redrawn, one is written now and then."""
    live = is_live(sys.stderr)
    pause = REDRAW_SECONDS if live else LOG_SECONDS
    shown = 0.0 if live else time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= pause:
            shown = now
            line = f"{what}: {words(done, total)}"
            write(f"\r\x1b[2K{line}" if live else f"{line}\n", sys.stderr)

    try:
        yield show
    finally:
        if live:
            write("\r\x1b[2K", sys.stderr)


@contextlib.contextmanager
def transferring(what: str) -> Iterator[Progress]:
    """``counting`` for bytes, with their rate."""
    began = time.monotonic()

    def words(done: int, total: int) -> str:
        rate = done / max(0.001, time.monotonic() - began)
        return f"{done / 1e6:.1f} of {total / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s"

    with counting(what, words) as show:
        yield show


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


def pass_on(data: bytes) -> None:
    """Write to standard error byte for byte, what another program has written there."""
    with contextlib.suppress(OSError):  # nobody is left to tell
        while data:
            data = data[os.write(2, data) :]


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
