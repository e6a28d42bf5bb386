"""How long the RUN steps of builds took: what assistance saves can only be said of the same steps, built both ways."""

from __future__ import annotations

from dataclasses import dataclass, field

from crossdock.assist.dockerfile import MAKING
from crossdock.engines.model import BuildEvent, StepState
from crossdock.platforms import Platform

_Key = tuple[Platform | None, str, str]


@dataclass
class StepTimes:
    """An event handler. Seconds of each RUN step that was not cached, and of making the packs."""

    runs: dict[_Key, float] = field(default_factory=dict)
    packs: float = 0.0

    def __call__(self, event: BuildEvent) -> None:
        if event.state is not StepState.DONE or event.seconds is None or not event.name.startswith("RUN "):
            return
        if event.name == MAKING:
            self.packs += event.seconds
        else:
            self.runs[event.platform, event.stage, event.name] = event.seconds

    def ran(self, platform: Platform) -> Ran:
        """What was run, and not cached, for a platform."""
        seconds = [taken for (of, _, _), taken in self.runs.items() if of == platform]
        return Ran(platform, len(seconds), sum(seconds), self.packs)


@dataclass(frozen=True)
class Ran:
    """How many RUN instructions ran for a platform that was assisted, and the seconds that they took; those of making
    the packs, unless they were cached, come on top."""

    platform: Platform
    steps: int
    seconds: float
    packs: float


@dataclass(frozen=True)
class Gain:
    """Wall time of the ``steps`` RUN instructions that were run in both builds, in seconds. Making the packs, if they
    were not cached, comes on top of ``assisted``."""

    steps: int
    assisted: float
    emulated: float
    packs: float


def gain(platform: Platform, assisted: StepTimes, emulated: StepTimes) -> Gain:
    both = [key for key in assisted.runs.keys() & emulated.runs.keys() if key[0] == platform]
    first, second = (sum(times.runs[key] for key in both) for times in (assisted, emulated))
    return Gain(len(both), first, second, assisted.packs)
