"""The source lines of a location with a marker under the exact span, cut to fit the width."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len

from crossdock.findings import Location
from crossdock.report.style import harmless
from crossdock.source import Source, Span

TAB_STOP = 4
MOST_LINES = 6
"""Longer spans are shown by their first and last lines."""


@dataclass(frozen=True)
class ExcerptLine:
    """One line as shown: ``text``, and the cells ``mark_start`` to ``mark_end`` of it that the span covers.
    ``number`` is None for a row that stands for ``skipped`` left-out lines."""

    number: int | None
    text: str = ""
    mark_start: int = 0
    mark_end: int = 0
    skipped: int = 0


def excerpt(source: Source, location: Location, width: int) -> tuple[ExcerptLine, ...]:
    """The lines of ``location``, each at most ``width`` cells wide with at least a part of the span in sight."""
    last = min(location.end_line, source.line_count)
    if last > location.line and location.end_column == 1:
        last -= 1  # the span ends with a line end
    numbers = list(range(location.line, last + 1))
    if len(numbers) <= MOST_LINES:
        return tuple(_line(source, number, location.span, width) for number in numbers)
    head, tail = numbers[: MOST_LINES - 2], numbers[-1]
    return (
        *(_line(source, number, location.span, width) for number in head),
        ExcerptLine(None, skipped=tail - head[-1] - 1),
        _line(source, tail, location.span, width),
    )


def _line(source: Source, number: int, span: Span, width: int) -> ExcerptLine:
    line = source.line_span(number)
    start = min(max(span.start, line.start), line.end)
    end = max(start, min(span.end, line.end))
    if start == line.start and span.start < line.start:
        # A later line of the span: its indentation is not what is meant.
        start += len(source.data[line.start : end]) - len(source.data[line.start : end].lstrip(b" \t"))
    # A line may be megabytes long: look only at what can be shown. Four bytes are the longest character.
    reach = 4 * width
    before = _decode(source.data[max(line.start, start - reach) : start])
    marked = _decode(source.data[start : min(end, start + reach)])
    after = _decode(source.data[end : min(line.end, end + reach)]) if end - start < reach else ""
    before, column = _expand_tabs(before, 0)
    marked, column = _expand_tabs(marked, column)
    after, _ = _expand_tabs(after, column)
    return _window(number, before, marked, after, width)


def _window(number: int, before: str, marked: str, after: str, width: int) -> ExcerptLine:
    """Cut left and right so that the span is in sight, with some of what is around it."""
    if cell_len(before) + cell_len(marked) + cell_len(after) > width:
        room = max(0, width - min(cell_len(marked), width))
        keep_after = min(cell_len(after), room // 2)
        keep_before = min(cell_len(before), room - keep_after)
        keep_after = min(cell_len(after), room - keep_before)
        before = _cut_left(before, keep_before)
        marked = _cut_right(marked, width - cell_len(before))
        after = _cut_right(after, min(keep_after, width - cell_len(before) - cell_len(marked)))
    start = cell_len(before)
    return ExcerptLine(number, before + marked + after, start, start + max(1, cell_len(marked)))


def _decode(data: bytes) -> str:
    return harmless(data.decode("utf-8", "replace"))


def _expand_tabs(text: str, column: int) -> tuple[str, int]:
    out = []
    for char in text:
        piece = " " * (TAB_STOP - column % TAB_STOP) if char == "\t" else char
        column += cell_len(piece)
        out.append(piece)
    return "".join(out), column


def _cut_right(text: str, width: int) -> str:
    """At most ``width`` cells from the start, with an ellipsis for what is missing."""
    if cell_len(text) <= width:
        return text
    used, out = 1, []
    for char in text:
        used += cell_len(char)
        if used > width:
            break
        out.append(char)
    return "".join(out) + "…" if width > 0 else ""


def _cut_left(text: str, width: int) -> str:
    """At most ``width`` cells from the end, with an ellipsis for what is missing."""
    if cell_len(text) <= width:
        return text
    return _cut_right(text[::-1], width)[::-1]
