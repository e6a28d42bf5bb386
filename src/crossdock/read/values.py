"""Values that remember where each of their characters was written.

A rule that meets ``https://…/tool-amd64`` must point at the ``amd64`` in ``ARG ARCH=amd64`` thirty lines above, and a
fix must edit it there. So everything that evaluation yields is a Value: fragments of text with their origin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from crossdock.source import Span


@dataclass(frozen=True)
class Origin:
    """Where literal text was written: a file (as in Source.path) and the span there."""

    path: str
    span: Span


@dataclass(frozen=True)
class Fragment:
    """Text that came from one place. ``text`` is None when it cannot be known before the build runs (the output of
    curl, a variable set from outside); ``origin`` is None when the text is no literal (``TARGETARCH``'s value).

    When ``origin`` is set and ``len(text)`` equals the origin's length, characters map to bytes one to one
    (for ASCII text); otherwise an escape or quote inside was resolved and only the whole origin is meant.
    """

    text: str | None
    origin: Origin | None = None
    variable: str = ""
    """The variable this fragment was last expanded from, if any: ``TARGETARCH``, ``S6_ARCH``."""
    choices: tuple[Value, ...] = ()
    """For an unknown text: what it can be, where branches that could not be decided assigned different values."""

    def part(self, start: int, end: int) -> Fragment:
        """The characters ``start:end``. Their origin is exact where characters map to bytes, else the whole origin."""
        if self.text is None:
            return self
        origin = self.origin
        if origin and len(_encoded(self.text)) == origin.span.end - origin.span.start:
            first = origin.span.start + len(_encoded(self.text[:start]))
            origin = Origin(origin.path, Span(first, first + len(_encoded(self.text[start:end]))))
        return Fragment(self.text[start:end], origin, self.variable)


@dataclass(frozen=True)
class Value:
    """A sequence of fragments. ``Value(())`` is the empty string, which is known."""

    fragments: tuple[Fragment, ...] = ()

    def __add__(self, other: Value) -> Value:
        return Value(self.fragments + other.fragments)

    def __iter__(self) -> Iterator[Fragment]:
        return iter(self.fragments)

    @property
    def known(self) -> bool:
        return all(fragment.text is not None for fragment in self.fragments)

    @property
    def text(self) -> str | None:
        """The whole text, or None when any part is unknown."""
        return self.render(None) if self.known else None

    def render(self, unknown: str | None = "\N{REPLACEMENT CHARACTER}") -> str:
        """The text with ``unknown`` standing where it cannot be known."""
        if len(self.fragments) == 1 and (text := self.fragments[0].text) is not None:
            return text
        return "".join((unknown or "") if fragment.text is None else fragment.text for fragment in self.fragments)

    def slice(self, start: int, end: int) -> Value:
        """The part that is ``start:end`` of the rendered text, in which an unknown fragment is one character."""
        parts: list[Fragment] = []
        at = 0
        for fragment in self.fragments:
            length = 1 if fragment.text is None else len(fragment.text)
            first, last = max(start - at, 0), min(end - at, length)
            if first < last:
                parts.append(fragment if last - first == length else fragment.part(first, last))
            at += length
        return Value(tuple(parts))

    def origin_of(self, start: int, end: int) -> tuple[Origin, ...]:
        """Where the characters ``start:end`` of the rendered text were written, in order; origins that touch each
        other are one. What has no origin (a value from outside, an unknown one) is left out."""
        found: list[Origin] = []
        for fragment in self.slice(start, end):
            origin = fragment.origin
            if origin and found and found[-1].path == origin.path and found[-1].span.end == origin.span.start:
                found[-1] = Origin(origin.path, Span(found[-1].span.start, origin.span.end))
            elif origin and origin not in found[-1:]:
                found.append(origin)
        return tuple(found)

    def via(self, variable: str) -> Value:
        """The same value, marked as expanded from ``variable``."""
        return Value(tuple(Fragment(f.text, f.origin, variable, f.choices) for f in self.fragments))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def literal(text: str, origin: Origin | None = None) -> Value:
    return Value((Fragment(text, origin),)) if text else Value()


UNKNOWN = Value((Fragment(None),))


def join(values: Iterable[Value], separator: str = " ") -> Value:
    out: list[Fragment] = []
    for index, value in enumerate(values):
        if index and separator:
            out.append(Fragment(separator))
        out += value.fragments
    return Value(tuple(out))
