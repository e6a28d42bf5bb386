"""What ``crossdock build`` knows at its end, and how a terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import RenderableType

from crossdock.report.canvas import hanging, indented, render, text
from crossdock.report.planned import plan_text
from crossdock.report.proved import Proof, proof_parts
from crossdock.report.style import Style
from crossdock.report.terminal import verify_text

if TYPE_CHECKING:
    from crossdock.assist.build import Fallback
    from crossdock.assist.timing import Ran
    from crossdock.engines.model import EngineInfo
    from crossdock.fixes.port import PortResult
    from crossdock.plan.model import BuildPlan
    from crossdock.verify.model import VerifyResult


@dataclass(frozen=True)
class Built:
    """``ported`` is None without --port. ``verified`` is None for a dry run, which has ``commands`` instead.
    ``published`` says where the image went, one line each; ``seconds`` is how long everything took. ``fallbacks`` are
    what was built again because it failed with native programs; ``proofs`` what --prove has found."""

    engine: EngineInfo
    ported: PortResult | None
    plan: BuildPlan
    commands: tuple[str, ...] = ()
    verified: VerifyResult | None = None
    published: tuple[str, ...] = ()
    seconds: float = 0.0
    ran: tuple[Ran, ...] = ()
    """What the assisted platforms took."""
    fallbacks: tuple[Fallback, ...] = ()
    proofs: tuple[Proof, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it may be published."""
        return self.verified is not None and self.verified.passed and all(one.comparison.same for one in self.proofs)


def built_text(built: Built, style: Style) -> str:
    """The plan and the exact commands of a dry run; else the verdict, and where the image went."""
    if built.verified is None:
        return plan_text(built.plan, style) + "\n" + "".join(f"{command}\n" for command in built.commands)
    proved = [part for proof in built.proofs for part in proof_parts(proof, style)]
    return verify_text(built.verified, style) + render(style, [*proved, *_ending(built)])


def _ending(built: Built) -> Sequence[RenderableType]:
    assert built.verified is not None
    parts: list[RenderableType] = []
    if built.ported:
        applied, left = len(built.ported.applied), len(built.ported.left)
        parts.append(text(f"  {len(built.ported.found)} found, {applied} fixed, {left} left"))
    if not built.proofs:
        parts += [indented(text(_ran(one))) for one in built.ran if one.steps]
    for fallback in built.fallbacks:
        parts.append(hanging(("!", "yellow"), text(str(fallback)), 2, 2))
    if not built.passed:
        parts.append(text(("  nothing was published", "bold")))
    elif built.published:
        parts += [hanging(("→", "green"), text(line), 2, 2) for line in built.published]
    else:
        parts.append(text("  not kept: -t NAME loads it, --push or -o type=oci,dest=FILE take it further"))
    parts.append(text((f"  {built.seconds:.0f} s with {built.engine.name}", "dim")))
    return parts


def _ran(ran: Ran) -> str:
    """What assistance has saved only the same steps without it would tell."""
    steps = "1 RUN instruction" if ran.steps == 1 else f"{ran.steps} RUN instructions"
    packs = f" and {ran.packs:.0f} s for making the packs" if ran.packs else ""
    return f"{ran.platform}: {ran.seconds:.0f} s for {steps} with native programs{packs}; --prove measures the gain"
