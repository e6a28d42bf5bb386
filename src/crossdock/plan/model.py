"""The build plan: data that can be printed and tested before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossdock.platforms import Platform


class Strategy(StrEnum):
    """How one stage is built for one platform (docs/architecture.md, Plan)."""

    NATIVE = "native"
    """This machine, or a node of the builder, is of that architecture."""
    NEUTRAL = "neutral"
    """The output does not depend on the architecture; run once on the build platform."""
    CROSS = "cross"
    """The toolchain targets the platform by itself."""
    ASSIST = "assist"
    """Emulated, with the heavy programs running natively."""
    EMULATE = "emulate"
    """Nothing better is known."""


@dataclass(frozen=True)
class StagePlan:
    stage: str
    platform: Platform
    strategy: Strategy
    reason: str


@dataclass(frozen=True)
class BuildPlan:
    """One entry for every needed stage and target platform, in the order of the Dockerfile."""

    targets: tuple[Platform, ...]
    stages: tuple[StagePlan, ...]

    def emulated(self) -> tuple[Platform, ...]:
        """The platforms for which at least one program runs under emulation."""
        found = [entry.platform for entry in self.stages if entry.strategy in (Strategy.EMULATE, Strategy.ASSIST)]
        return tuple(dict.fromkeys(found))
