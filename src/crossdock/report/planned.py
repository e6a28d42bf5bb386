"""Plans as text for people: the table, the evidence for a stage, the estimate."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from crossdock.plan.estimate import Estimate, estimate
from crossdock.plan.model import BuildPlan, StagePlan, Strategy
from crossdock.plan.work import Evidence
from crossdock.report.canvas import Cell, hanging, indented, render, table, text
from crossdock.report.style import Style

_STRATEGY = {
    Strategy.NATIVE: "green",
    Strategy.NEUTRAL: "green",
    Strategy.CROSS: "green",
    Strategy.ASSIST: "cyan",
    Strategy.EMULATE: "yellow",
}


def plan_text(plan: BuildPlan, style: Style) -> str:
    """Stage × platform → strategy and reason; below it, what would make stages quicker."""
    rows: list[tuple[Cell, ...]] = [
        (entry.stage, str(entry.platform), (entry.strategy, _STRATEGY[entry.strategy]), entry.reason)
        for entry in plan.stages
    ]
    ideas = dict.fromkeys((entry.stage, entry.opportunity) for entry in plan.stages if entry.opportunity)
    parts = table(style, ("stage", "platform", "strategy", "reason"), rows)
    if ideas:
        parts.append("")
    parts += [hanging(("hint", "cyan"), text((stage, "bold"), f": {idea}"), 0) for stage, idea in ideas]
    if ideas:
        parts.append(text(("      crossdock port --cross writes what it can show to be right", "dim")))
    return render(style, parts)


def estimate_text(plan: BuildPlan, style: Style) -> str:
    """How long each stage takes, and by how much it beats emulation, in multiples of native time."""
    rows: list[tuple[Cell, ...]] = []
    for entry in plan.stages:
        found = estimate(entry)
        ratios: tuple[str, ...] = ("–", "–", "–")
        if found is not None and entry.strategy is Strategy.NATIVE and not entry.node:
            ratios = (_times(found.planned), "–", "–")  # nobody would emulate it
        elif found is not None:
            ratios = (_times(found.planned), _times(found.emulated), _gain(entry, found))
        rows.append((entry.stage, str(entry.platform), (entry.strategy, _STRATEGY[entry.strategy]), *ratios))
    headers = ("stage", "platform", "strategy", "as planned", "emulated", "gain")
    note = (
        "Estimates, in multiples of the time that the same work takes natively, from measured ratios of kinds of work "
        "(docs/planning.md). A range spans all the work of a stage; –: nothing takes time, or nothing to compare."
    )
    return render(style, [*table(style, headers, rows), "", text((note, "dim"))])


def _times(pair: tuple[float, float]) -> str:
    low, high = (f"{number:g}" for number in pair)
    return f"{low}×" if low == high else f"{low}–{high}×"


def _gain(entry: StagePlan, found: Estimate) -> str:
    return "none" if entry.strategy is Strategy.EMULATE or found.gain == (1, 1) else _times(_rounded(found.gain))


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return float(f"{pair[0]:.2g}"), float(f"{pair[1]:.2g}")


def explain_text(plan: BuildPlan, missing: str, style: Style) -> str:
    """The evidence for each stage line by line, how each piece of it runs, and what would change the strategy."""
    parts: list[RenderableType] = []
    for entry in plan.stages:
        head: tuple[Cell, ...] = (
            (f"{entry.stage}, {entry.platform}: ", "bold"),
            (entry.strategy, _STRATEGY[entry.strategy]),
            f": {entry.reason}",
        )
        parts += [text(*head), *_evidence(entry, style)]
        changes = what_would_change(entry, missing)
        if changes:
            parts.append(text(("  what would change it", "bold")))
            parts += [hanging("-", text(change), 4, 2) for change in changes]
        parts.append("")
    return render(style, parts)


def _evidence(entry: StagePlan, style: Style) -> list[RenderableType]:
    light = len(entry.evidence) - len(entry.weighty)
    rows: list[tuple[Cell, ...]] = [
        (f"  {_place(one)}", one.text, one.says + _doubts(one), _runs(entry, one)) for one in entry.weighty
    ]
    parts = table(style, ("  line", "command", "what it does", "runs"), rows) if rows else []
    if light:
        commands = "1 command" if light == 1 else f"{light} commands"
        parts.append(indented(text((f"{commands} of shell tools and downloads besides", "dim"))))
    return parts


def _place(one: Evidence) -> str:
    return f"{one.path.rsplit('/', 1)[-1]}:{one.line}" if one.in_script else str(one.line)


def _doubts(one: Evidence) -> str:
    said = f" ({one.file})" if one.file else ""
    return said if one.certain else f"{said}, if that branch is taken"


def _runs(entry: StagePlan, one: Evidence) -> Cell:
    return ("natively", "green") if entry.is_native(one) else ("emulated", "yellow")


def what_would_change(entry: StagePlan, missing: str) -> tuple[str, ...]:
    """What would make a stage run otherwise than planned, one sentence each; nothing for what runs natively already.
    ``missing`` is why no native programs can be used on this machine."""
    if entry.strategy not in (Strategy.ASSIST, Strategy.EMULATE):
        return ()
    architecture = (entry.runs_on or entry.platform).architecture
    found: Sequence[str] = (
        f"{entry.opportunity}." if entry.opportunity else "",
        f"assist, once this is mended: {missing}." if missing and entry.strategy is Strategy.EMULATE else "",
        f"native, with a node for {architecture} in the builder: crossdock builder create (docs/builders.md).",
    )
    return tuple(one[:1].upper() + one[1:] for one in found if one)
