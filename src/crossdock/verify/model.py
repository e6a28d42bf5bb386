"""What verification says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossdock.platforms import Platform


class Status(StrEnum):
    PASSED = "passed"
    WARNING = "warning"
    """It is right, and will not do everywhere."""
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class CheckResult:
    """One check on one platform.

    ``check`` is its name: ``platforms``, ``config``, ``base``, ``dockerfile``, ``layers``, ``binaries``,
    ``entrypoint``, ``machine``, ``structure``, ``parity``, ``limits``, ``smoke``, ``healthcheck``, ``commands``,
    ``attestation``. For a failure or a warning, ``path`` is the file in the image and ``created_by`` the instruction
    whose layer brought it (the config's history).
    """

    check: str
    status: Status
    message: str
    platform: Platform | None = None
    path: str = ""
    created_by: str = ""
    hint: str = ""


@dataclass(frozen=True)
class VerifyResult:
    """``reference`` as the user gave it; ``digest`` of exactly what was looked at, empty for a root file system."""

    reference: str
    digest: str
    platforms: tuple[Platform, ...]
    results: tuple[CheckResult, ...]
    remembered: str = ""
    """When it was found out, if that was not now."""

    @property
    def passed(self) -> bool:
        return not self.count(Status.FAILED)

    def count(self, status: Status) -> int:
        return sum(result.status is status for result in self.results)
