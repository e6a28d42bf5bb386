"""What the doctor found, for people: a line for each thing that was looked at, and what would be done about it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType

from crossdock.doctor.diagnosis import Check, Diagnosis, State, Topic
from crossdock.host.journal import Undone
from crossdock.host.steps import Step
from crossdock.report.canvas import hanging, indented, render, text
from crossdock.report.style import Style

_MARKS = {
    State.GOOD: ("✓", "bold green"),
    State.NOTE: ("•", "cyan"),
    State.WARNING: ("!", "bold yellow"),
    State.PROBLEM: ("✗", "bold red"),
    State.UNKNOWN: ("?", "yellow"),
}


def examined_text(diagnosis: Diagnosis, style: Style, *, verbose: bool = False, here: bool = True) -> str:
    """The machine, its checks by topic, and what to do. ``verbose`` adds what each was concluded from; ``here`` tells
    whether the facts are of the machine that this is read on."""
    parts: list[RenderableType] = [text((_machine(diagnosis), "bold"))]
    for topic in Topic:
        checks = [check for check in diagnosis.checks if check.topic is topic]
        if checks:
            parts += ["", text((topic.value.capitalize(), "bold"))]
            parts += [part for check in checks for part in _check(check, verbose=verbose)]
    unread = diagnosis.facts.unread
    if unread:
        parts += ["", text(("Could not be read", "bold"))]
        parts += [hanging("-", text((what, "bold"), f": {why}"), label_width=2) for what, why in unread.items()]
    return render(style, [*parts, "", *_summary(diagnosis, here=here)])


def _machine(diagnosis: Diagnosis) -> str:
    facts, distribution = diagnosis.facts, diagnosis.distribution
    return f"{distribution.name} on {facts.platform}, Linux {facts.kernel}"


def _check(check: Check, *, verbose: bool) -> list[RenderableType]:
    mark, look = _MARKS[check.state]
    parts: list[RenderableType] = [hanging((mark, look), text(check.what), label_width=2)]
    if verbose:
        parts += [indented(text((entry, "dim")), 4) for entry in check.evidence]
    if check.hint and check.state is not State.GOOD:
        parts.append(hanging(("→", "cyan"), text(check.hint), indent=4, label_width=2))
    return parts


def _summary(diagnosis: Diagnosis, *, here: bool) -> list[RenderableType]:
    problems, warnings = diagnosis.count(State.PROBLEM), diagnosis.count(State.WARNING)
    if not problems and not warnings:
        return [text(("✓ ", "bold green"), "Arm images can be built and run here.")]
    found = " and ".join(
        f"{number} {word}{'s' if number > 1 else ''}"
        for number, word in ((problems, "problem"), (warnings, "warning"))
        if number
    )
    mark = ("✗ ", "bold red") if problems else ("! ", "bold yellow")
    parts: list[RenderableType] = [text(mark, f"{found}.")]
    steps = diagnosis.steps
    if steps:
        number = f"{len(steps)} step{'s' if len(steps) > 1 else ''}"
        mend = "`sudo crossdock doctor --fix` takes them one by one; " if here else ""
        parts.append(text(f"{number} would mend what can be mended here: {mend}`--script` prints them for review."))
        parts += [
            hanging((f"{index}.", "dim"), text(step.title), label_width=4) for index, step in enumerate(steps, start=1)
        ]
    return parts


def step_text(step: Step, number: int, total: int, style: Style) -> str:
    """What one step is about to do, as it is asked about."""
    parts: list[RenderableType] = [text((f"{number} of {total}  {step.title}", "bold")), indented(text(step.why))]
    if step.restarts:
        parts.append(indented(text(("! ", "bold yellow"), f"interrupts {step.restarts}")))
    parts += [indented(text((line, "dim")), 4) for line in step.run.strip().splitlines()]
    return render(style, parts)


def undone_text(undone: Sequence[Undone], style: Style) -> str:
    """What was taken back, and what was left and why."""
    if not undone:
        return render(style, [text("Nothing to take back: crossdock has changed nothing here.")])
    parts: list[RenderableType] = []
    for entry in undone:
        mark = ("✓", "bold green") if entry.done else ("!", "bold yellow")
        words = entry.change.undoing if entry.done else f"left: {entry.change.undoing} ({entry.what})"
        parts.append(hanging(mark, text(words), indent=0, label_width=2))
    return render(style, parts)
