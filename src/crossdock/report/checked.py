"""What ``crossdock check`` knows at its end: the frozen value that every format shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossdock.findings import Severity

if TYPE_CHECKING:
    from crossdock.findings import Skipped
    from crossdock.fixes.decide import Decision
    from crossdock.source import Source


@dataclass(frozen=True)
class Checked:
    """``files`` are the Dockerfiles that were read; ``decisions`` the findings with what can be done about each, by
    file and position; ``sources`` the texts that findings point into, by path."""

    files: tuple[str, ...]
    decisions: tuple[Decision, ...]
    skipped: tuple[Skipped, ...]
    sources: Mapping[str, Source]

    @property
    def wrong(self) -> bool:
        """Whether anything was found that is an error or a warning."""
        return any(decision.finding.severity is not Severity.INFO for decision in self.decisions)
