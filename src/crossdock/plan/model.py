"""The build plan: data that can be printed and tested before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossdock.plan.work import Evidence, Kind
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
class BuilderNode:
    """A machine of a builder. ``own`` is its own platform, None where it did not say; ``pinned`` and ``platforms`` are
    those that BuildKit gives to it first, and all that it can do."""

    name: str
    own: Platform | None = None
    pinned: tuple[Platform, ...] = ()
    platforms: tuple[Platform, ...] = ()


@dataclass(frozen=True)
class StagePlan:
    """``platform`` is what the image is built for; ``runs_on`` what the stage's programs are for, where that differs
    (``FROM --platform=…``). ``evidence`` is what its commands do; ``natively`` are the kinds of work (their names) that
    native programs do where it is assisted; ``opportunity`` says what would make it quicker, empty where nothing is
    known; ``node`` is the node of the builder that builds it."""

    stage: str
    platform: Platform
    strategy: Strategy
    reason: str
    runs_on: Platform | None = None
    evidence: tuple[Evidence, ...] = ()
    natively: frozenset[str] = frozenset()
    opportunity: str = ""
    node: str = ""

    @property
    def weighty(self) -> tuple[Evidence, ...]:
        """The evidence of what takes time."""
        return tuple(one for one in self.evidence if one.work.kind is not Kind.LIGHT)

    def is_native(self, evidence: Evidence) -> bool:
        """Whether native programs do this work."""
        if self.strategy is Strategy.ASSIST:
            return evidence.work.name in self.natively
        return self.strategy is not Strategy.EMULATE


@dataclass(frozen=True)
class BuildPlan:
    """One entry for every needed stage and target platform, in the order of the Dockerfile."""

    targets: tuple[Platform, ...]
    stages: tuple[StagePlan, ...]

    def emulated(self) -> tuple[Platform, ...]:
        """The platforms whose programs run under emulation in at least one stage."""
        emulated = (Strategy.EMULATE, Strategy.ASSIST)
        found = [entry.runs_on or entry.platform for entry in self.stages if entry.strategy in emulated]
        return tuple(dict.fromkeys(found))

    def assisted(self) -> tuple[Platform, ...]:
        """The platforms that are built with native programs in at least one stage."""
        found = [entry.platform for entry in self.stages if entry.strategy is Strategy.ASSIST]
        return tuple(dict.fromkeys(found))
