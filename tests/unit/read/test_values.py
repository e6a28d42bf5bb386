"""Values that remember where their characters were written."""

from __future__ import annotations

from crossdock.read.values import UNKNOWN, Fragment, Origin, Value, join, literal
from crossdock.source import Span


def at(start: int, end: int, path: str = "D") -> Origin:
    return Origin(path, Span(start, end))


def test_a_part_of_a_value_keeps_its_origins() -> None:
    value = literal("linux-", at(0, 6)) + literal("amd64", at(20, 25)) + literal("/x")
    part = value.slice(4, 9)
    assert part.fragments == (Fragment("x-", at(4, 6)), Fragment("amd", at(20, 23)))
    assert value.slice(0, 13) == value
    assert value.slice(3, 3) == Value()


def test_origins_of_a_range_are_in_order_and_joined_where_they_touch() -> None:
    value = (
        literal("a", at(1, 2))
        + literal("b", at(2, 3))
        + literal("c", at(9, 10))
        + literal("d")
        + literal("e", at(0, 1, "E"))
    )
    assert value.origin_of(0, 5) == (at(1, 3), at(9, 10), at(0, 1, "E"))
    assert value.origin_of(3, 4) == ()


def test_an_unknown_fragment_is_one_character() -> None:
    value = join([UNKNOWN, literal("amd64", at(5, 10))], "-")
    text = value.render()
    assert len(text) == 7
    start = text.index("amd64")
    assert value.origin_of(start, start + 5) == (at(5, 10),)
    assert value.slice(0, 1) == UNKNOWN


def test_characters_of_several_bytes_map_to_their_bytes() -> None:
    assert literal("é-amd64", at(0, 8)).origin_of(2, 7) == (at(3, 8),)


def test_where_an_escape_was_resolved_the_whole_origin_is_meant() -> None:
    assert literal('a"b', at(0, 4)).origin_of(0, 1) == (at(0, 4),)
