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
        return "".join((unknown or "") if fragment.text is None else fragment.text for fragment in self.fragments)

    def via(self, variable: str) -> Value:
        """The same value, marked as expanded from ``variable``."""
        return Value(tuple(Fragment(f.text, f.origin, variable, f.choices) for f in self.fragments))


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
