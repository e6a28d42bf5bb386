"""Rules about amd64 text that reaches a kind of sink: one finding for each place where the text was written."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from crossdock.findings import Confidence, Finding, Severity
from crossdock.read.pieces import HOLE
from crossdock.read.values import Value
from crossdock.rules.base import Project, Rule
from crossdock.rules.idioms import fixes_for
from crossdock.rules.sinks import Kind, Mark, Sink
from crossdock.rules.upstream import missing_for_arm64
from crossdock.source import Span


@dataclass(frozen=True)
class Arrival:
    """Amd64 text in a sink, as far as it was written at one place."""

    sink: Sink
    marks: tuple[Mark, ...]

    @property
    def text(self) -> str:
        """The value for people."""
        return shown(self.sink.value)

    @property
    def entry(self) -> str:
        """Of a list of paths (``a:b:c``) those that are named for amd64; else the value."""
        entries = re.split(r":(?!//)", self.text)
        named = [entry for entry in entries if any(mark.token.text in entry for mark in self.marks)]
        return ":".join(dict.fromkeys(named)) if len(entries) > 2 and named else self.text

    @property
    def words(self) -> str:
        """The amd64 words, as they were written."""
        return ", ".join(dict.fromkeys(mark.token.text for mark in self.marks))


class SinkRule(Rule):
    """A rule that reports the amd64 text of some kinds of sinks, unless a variable that is nothing but an
    architecture's name is to blame: that is frozen-architecture-variable's."""

    kinds: ClassVar[frozenset[Kind]]

    @abstractmethod
    def message(self, at: Arrival) -> str:
        """One line about this place."""

    def wants(self, sink: Sink) -> bool:
        return sink.kind in self.kinds

    def check(self, project: Project) -> Iterator[Finding]:
        for sink in project.sinks:
            if self.wants(sink):
                for marks in places(sink):
                    if self.blames(marks[0]):
                        yield self.at(project, sink, marks)

    def blames(self, mark: Mark) -> bool:
        return mark.definition is None or not mark.definition.bare

    def severity(self, sink: Sink, marks: tuple[Mark, ...]) -> Severity:  # noqa: ARG002 (others look at them)
        return Severity.ERROR if sink.certain else Severity.WARNING

    def at(self, project: Project, sink: Sink, marks: tuple[Mark, ...]) -> Finding:
        source = project.source(marks[0].origin.path)
        span = Span(min(m.origin.span.start for m in marks), max(m.origin.span.end for m in marks))
        return self.finding(
            source,
            span,
            self.message(Arrival(sink, marks)) + _missing(sink),
            severity=self.severity(sink, marks),
            confidence=Confidence.HIGH if sink.certain else Confidence.MEDIUM,
            fixes=fixes_for(project, sink, marks),
        )


def shown(value: Value) -> str:
    """A value for people: what is not known of it stands there as the variable that holds it, or as ``…``."""
    return "".join(
        part.text if part.text is not None else f"${{{part.variable}}}" if part.variable.isidentifier() else "…"
        for part in value
    ).replace(HOLE, "…")


def _missing(sink: Sink) -> str:
    """What is known of a downloaded file that has no counterpart for arm64, to be added to a message."""
    clause = missing_for_arm64(sink.text) if sink.kind in {Kind.DOWNLOAD, Kind.PACKAGE_FILE} else ""
    return f"; {clause}" if clause else ""


def places(sink: Sink) -> list[tuple[Mark, ...]]:
    """The marks of a sink, by the place where they were written: the sink itself, or one definition each."""
    found: dict[tuple[str, Span | None], list[Mark]] = {}
    for mark in sink.marks:
        span = mark.definition.origin.span if mark.definition else None
        found.setdefault((mark.origin.path, span), []).append(mark)
    return [tuple(marks) for marks in found.values()]


def shortened(text: str, limit: int = 90) -> str:
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit // 3]}…{text[-(limit - limit // 3) :]}"
