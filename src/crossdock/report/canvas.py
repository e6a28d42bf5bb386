"""Rich, held to what a report needs: styled text and small tables, rendered to a string for a given Style."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from crossdock.report.style import Style, fit, harmless

if TYPE_CHECKING:
    from crossdock.findings import Skipped

STACKED_BELOW = 64
"""Narrower than this, a table's row becomes a small block: columns would be a few characters wide."""

Cell = str | tuple[str, str]
"""Text, or text with a rich style."""


def render(style: Style, parts: Iterable[RenderableType]) -> str:
    """The parts one below the other, each line without trailing blanks."""
    out = io.StringIO()
    console = Console(
        file=out,
        width=style.width,
        force_terminal=style.colour,
        color_system="standard" if style.colour else None,
        no_color=not style.colour,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    for part in parts:
        console.print(part, crop=False)
    text = "".join(f"{line.rstrip()}\n" for line in out.getvalue().split("\n")[:-1])
    return fit(text, style)


def text(*cells: Cell) -> Text:
    """One line of text that wraps at the width; foreign characters are made harmless."""
    whole = Text(overflow="fold")
    for cell in cells:
        words, look = (cell, "") if isinstance(cell, str) else cell
        whole.append(harmless(words.replace("\n", " ")), look)
    return whole


@dataclass(frozen=True)
class _Hanging:
    """A text whose later lines stand below its first one. (A rich table does this too, ten times as slowly.)"""

    first: Text
    body: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        margin = self.first.cell_len
        for number, line in enumerate(self.body.wrap(console, max(1, options.max_width - margin), overflow="fold")):
            whole = Text(" " * margin) if number else self.first.copy()
            whole.append_text(line)
            whole.no_wrap, whole.overflow = True, "ignore"
            yield whole


def hanging(label: Cell, body: Text, indent: int = 2, label_width: int = 6) -> RenderableType:
    """A label and a text beside it that wraps below itself."""
    first = Text(" " * indent)
    first.append_text(text(label))
    first.pad_right(indent + label_width - first.cell_len)
    return _Hanging(first, body)


def indented(body: Text, indent: int = 2) -> RenderableType:
    """A text that is set in, all its lines."""
    return _Hanging(Text(" " * indent), body)


def table(style: Style, headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[RenderableType]:
    """A table; on a narrow terminal each row as a block: the first columns on one line, the last one below it."""
    if style.width < STACKED_BELOW:
        return [part for row in rows for part in _stacked(row)]
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    for index, header in enumerate(headers):
        grid.add_column(header, overflow="fold", ratio=None, min_width=4 if index == len(headers) - 1 else None)
    for row in rows:
        grid.add_row(*(text(cell) for cell in row))
    return [grid]


def _stacked(row: Sequence[Cell]) -> list[RenderableType]:
    head: list[Cell] = []
    for cell in row[:-1]:
        head += [cell, "  "]
    return [text(*head[:-1]), indented(text(row[-1]))]


def not_looked_at(skipped: Sequence[Skipped]) -> list[RenderableType]:
    """What a verb left out, and why; nothing where it left out nothing."""
    if not skipped:
        return []
    rows: list[RenderableType] = [text(("Not looked at", "bold"))]
    rows += [hanging("-", text((item.what, "bold"), f": {item.why}"), label_width=2) for item in skipped]
    return [*rows, ""]
