"""How long a stage takes, compared with its native time: an estimate from measured ratios (catalogue/work.toml)."""

from __future__ import annotations

from dataclasses import dataclass

from crossdock.plan.model import StagePlan, Strategy
from crossdock.plan.work import costs


@dataclass(frozen=True)
class Estimate:
    """How many times the native time: as planned, and if all were emulated; from and to. Which work of a stage takes
    how much of its time is not known, so the range is as wide as that of all its work together."""

    planned: tuple[float, float]
    emulated: tuple[float, float]

    @property
    def gain(self) -> tuple[float, float]:
        """How many times as quick as emulation, from and to."""
        gains = [after / before for before, after in zip(self.planned, self.emulated, strict=True)]
        return min(gains), max(gains)


def estimate(stage: StagePlan) -> Estimate | None:
    """None where a stage runs nothing that takes time."""
    table = costs()
    weighty = stage.weighty
    if not weighty:
        return None
    emulated = [table[one.work.kind].emulated for one in weighty]
    planned = []
    for one in weighty:
        cost = table[one.work.kind]
        native = stage.is_native(one)
        assisted = native and stage.strategy is Strategy.ASSIST
        planned.append(cost.assisted if assisted else (1.0, 1.0) if native else cost.emulated)
    return Estimate(_range(planned), _range(emulated))


def _range(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in pairs), max(high for _, high in pairs)
