"""What a terminal shows of ``build --prove``: whether both ways of building made the same, and what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import RenderableType

from crossdock.report.canvas import Cell, table, text
from crossdock.report.style import Style

if TYPE_CHECKING:
    from crossdock.assist.timing import Gain
    from crossdock.verify.compare import Comparison, Difference

_MOST_SHOWN = 40


@dataclass(frozen=True)
class Proof:
    """One platform, built with native programs (``first`` in the comparison) and emulated."""

    comparison: Comparison
    gain: Gain


def proof_parts(proof: Proof, style: Style) -> Iterator[RenderableType]:
    """A table of what differs, the verdict, and how long both ways took."""
    found = proof.comparison
    shown = sorted(found.differences, key=lambda one: not one.nature.counts)
    steps: dict[str, list[Difference]] = {}
    for one in shown[:_MOST_SHOWN]:
        steps.setdefault(one.created_by, []).append(one)
    for step, differences in steps.items():
        yield text((_shortened(step, style.width), "bold"))
        yield from table(
            style, ("differs", "file", "what (native programs, emulated)"), [_row(one) for one in differences]
        )
        yield ""
    if len(shown) > _MOST_SHOWN:
        yield text(f"… and {len(shown) - _MOST_SHOWN:,} more; --format json lists them all")
    looked = f"{found.files:,} files in {found.layers - found.equal_layers} layers compared"
    if found.equal_layers:
        looked += f", {found.equal_layers} layers equal as a whole"
    counted = _counted([one for one in shown if one.nature.counts])
    rest = _counted([one for one in shown if not one.nature.counts])
    if found.same:
        verdict: Cell = ("✓ proved: ", "bold green")
        words = f"{found.platform} is the same with native programs and emulated: {looked}"
        words += f"; what may differ does: {rest}" if rest else ""
    else:
        verdict = ("✗ not proved: ", "bold red")
        words = f"{found.platform} differs: {counted}" + (f" (and {rest}, which may)" if rest else "") + f"; {looked}"
    yield text(verdict, words)
    yield from _gain(proof.gain)


def _row(one: Difference) -> tuple[Cell, ...]:
    look = "bold red" if one.nature.counts else "dim"
    return ((one.nature.value, look), one.path, one.what)


def _shortened(step: str, width: int) -> str:
    """An instruction on one line, without what BuildKit adds to it; what has none is the config."""
    words = " ".join(step.replace("/bin/sh -c ", "", 1).removesuffix("# buildkit").split()) or "The image"
    return words if len(words) < width else words[: width - 2] + "…"


def _counted(differences: Sequence[Difference]) -> str:
    counts = Counter(one.nature.value for one in differences)
    return ", ".join(f"{number} × {nature}" for nature, number in counts.items())


def _gain(gain: Gain) -> Iterator[RenderableType]:
    if not gain.steps or not gain.assisted:
        return
    whole = gain.assisted + gain.packs
    packs = f" ({whole:.1f} s with making the packs)" if gain.packs else ""
    also = f", {gain.emulated / whole:.1f} times with the packs" if gain.packs else ""
    steps = "1 RUN instruction" if gain.steps == 1 else f"{gain.steps} RUN instructions"
    yield text(
        f"  {steps}: {gain.assisted:.1f} s with native programs{packs}, {gain.emulated:.1f} s emulated: "
        f"{gain.emulated / gain.assisted:.1f} times as fast{also}"
    )
