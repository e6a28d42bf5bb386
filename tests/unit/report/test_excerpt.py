"""Source lines with a marker: exact in cells, and within the width whatever the line holds."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from crossdock.findings import locate
from crossdock.report.excerpt import MOST_LINES, excerpt
from crossdock.source import Source, Span


def shown(text: str, marked: str, width: int = 60) -> tuple[str, str]:
    """The one line of an excerpt and what stands above its marker."""
    source = Source("f", text.encode())
    start = source.data.index(marked.encode())
    (line,) = excerpt(source, locate(source, Span(start, start + len(marked.encode()))), width)
    return line.text, cells(line.text, line.mark_start, line.mark_end)


def cells(text: str, start: int, end: int) -> str:
    at, out = 0, ""
    for char in text:
        if start <= at < end:
            out += char
        at += cell_len(char)
    return out


def test_marks_the_exact_span() -> None:
    assert shown("FROM --platform=linux/amd64 x", "linux/amd64") == ("FROM --platform=linux/amd64 x", "linux/amd64")


def test_tabs_become_blanks_up_to_the_next_stop() -> None:
    assert shown("\tcurl\tx86_64", "x86_64") == ("    curl    x86_64", "x86_64")


def test_wide_characters_take_two_cells() -> None:
    assert shown("COPY 中文/x86_64 /", "x86_64")[1] == "x86_64"
    assert shown("COPY 中文/x86_64 /", "中文") == ("COPY 中文/x86_64 /", "中文")


def test_escape_sequences_and_direction_marks_are_made_visible() -> None:
    assert shown("RUN \x1b[31m\u202e amd64", "amd64") == ("RUN �[31m� amd64", "amd64")


def test_a_long_line_is_cut_around_the_span() -> None:
    text, marked = shown("a" * 500 + "amd64" + "b" * 500, "amd64", 40)
    assert cell_len(text) <= 40
    assert text.startswith("…a")
    assert text.endswith("b…")
    assert marked == "amd64"


def test_a_span_longer_than_the_width_is_cut_at_its_end() -> None:
    text, marked = shown("RUN " + "x" * 100 + " y", "x" * 100, 30)
    assert text.endswith("…")
    assert text == marked


def test_a_line_of_megabytes_is_quick() -> None:
    text, marked = shown("x" * 5_000_000 + "amd64" + "中" * 1_000_000, "amd64", 80)
    assert marked == "amd64"
    assert cell_len(text) <= 80


def test_an_empty_span_has_a_marker_of_one_cell() -> None:
    source = Source("f", b"FROM x\n")
    (line,) = excerpt(source, locate(source, Span(4, 4)), 40)
    assert (line.mark_start, line.mark_end) == (4, 5)


def test_several_lines_are_marked_without_their_indentation() -> None:
    source = Source("f", b"RUN a \\\n    b \\\n    c\n")
    lines = excerpt(source, locate(source, Span(4, 21)), 40)
    assert [(line.number, cells(line.text, line.mark_start, line.mark_end)) for line in lines] == [
        (1, "a \\"),
        (2, "b \\"),
        (3, "c"),
    ]


def test_many_lines_are_shown_by_their_ends() -> None:
    source = Source("f", b"x\n" * 50)
    lines = excerpt(source, locate(source, Span(0, 100)), 40)
    assert len(lines) == MOST_LINES
    assert sum(line.skipped for line in lines) + len(lines) - 1 == 50


@given(st.text(max_size=200), st.data(), st.integers(10, 80))
def test_always_fits_and_marks_something_within(text: str, data: st.DataObject, width: int) -> None:
    source = Source("f", text.encode("utf-8", "surrogatepass"))
    start = data.draw(st.integers(0, len(source.data)))
    end = data.draw(st.integers(start, len(source.data)))
    for line in excerpt(source, locate(source, Span(start, end)), width):
        assert cell_len(line.text) <= width
        assert "\n" not in line.text
        if line.number is not None:
            assert 0 <= line.mark_start < line.mark_end <= width + 1
