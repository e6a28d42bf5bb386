"""Fix candidates: the idioms by which a place that is tied to amd64 is made to follow the target architecture."""

from __future__ import annotations

from crossdock.findings import Fix
from crossdock.rules.base import Project
from crossdock.rules.sinks import Mark, Sink


def fixes_for(project: Project, sink: Sink, marks: tuple[Mark, ...]) -> tuple[Fix, ...]:
    """Candidates for one place, best first."""
    return ()
