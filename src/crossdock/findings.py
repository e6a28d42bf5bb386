"""What a rule reports: where, how bad, why, and which edits would mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossdock.source import Edit, Source, Span


class Severity(StrEnum):
    ERROR = "error"
    """Breaks the arm64 build, or puts an amd64 thing in the arm64 image."""
    WARNING = "warning"
    """May do so; it depends on something that could not be seen."""
    INFO = "info"


class Confidence(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Safety(StrEnum):
    SAFE = "safe"
    """amd64 behaves exactly as before, and the arm64 counterpart was seen to exist (or needs no looking up)."""
    UNSAFE = "unsafe"
    """Everything else; applied only on request."""


@dataclass(frozen=True)
class Location:
    """A span in a file, and the same in lines and columns (from 1; the end column is exclusive)."""

    path: str
    span: Span
    line: int
    column: int
    end_line: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


def locate(source: Source, span: Span) -> Location:
    start, end = source.position(span.start), source.position(span.end)
    return Location(source.path, span, start.line, start.column, end.line, end.column)


@dataclass(frozen=True)
class Claim:
    """Something in the outside world that must be so for a fix to be right: this URL answers with a file.

    ``url`` is complete, with every variable replaced, as the arm64 build will ask for it. When ``digest_of`` is
    set, the fix's edits hold that placeholder, and it is replaced by the hex digest of what the URL serves
    (``digest_algorithm`` of hashlib).
    """

    url: str
    digest_of: str = ""
    digest_algorithm: str = "sha256"


@dataclass(frozen=True)
class Fix:
    """One way to mend a finding. It is right only if every claim holds; ``safety`` is argued on the condition that
    they do, and a claim that was not looked up makes any fix unsafe."""

    title: str
    safety: Safety
    edits: tuple[Edit, ...]
    claims: tuple[Claim, ...] = ()
    doubt: str = ""
    """Why it is unsafe even when every claim holds, a clause; empty where it may change what amd64 does."""


@dataclass(frozen=True)
class Finding:
    """Something tied to amd64.

    ``message`` is one line about this place; ``why`` says why it breaks on arm64 and ``help`` what to do, both for
    someone who sees it for the first time. ``fixes`` are candidates, best first: the first whose claims hold is taken.
    """

    rule: str
    severity: Severity
    confidence: Confidence
    location: Location
    message: str
    why: str
    help: str
    fixes: tuple[Fix, ...] = ()
    part_of: Location | None = None
    """Where the finding stands whose fix mends this one, too, which has none of its own."""


@dataclass(frozen=True)
class Skipped:
    """Something that was not looked at, and the reason. Reports show it; nothing is dropped silently."""

    what: str
    why: str
