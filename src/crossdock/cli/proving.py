"""``crossdock build --prove``: what was built with native programs is built emulated as well, and both are compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crossdock.errors import EngineError

if TYPE_CHECKING:
    from crossdock.assist.timing import StepTimes
    from crossdock.assist.watch import Limits
    from crossdock.engines.model import BuildRequest, Engine, EventHandler
    from crossdock.plan.model import BuildPlan
    from crossdock.process import Runner
    from crossdock.report.proved import Proof


def prove(
    engine: Engine, request: BuildRequest, plan: BuildPlan, layout: Path, times: StepTimes, work: Path,
    runner: Runner, on_event: EventHandler, limits: Limits,
) -> tuple[Proof, ...]:  # fmt: skip
    """Build the assisted platforms of the plan emulated, and compare ``layout`` with that. ``times`` are of the build
    of ``layout``. Raises EngineError when the emulated build fails, as then there is nothing to compare with."""
    from crossdock.assist.build import build_assisted
    from crossdock.assist.timing import StepTimes, gain
    from crossdock.engines.model import both
    from crossdock.image.layout import LayoutImage
    from crossdock.platforms import host_platform
    from crossdock.report.proved import Proof
    from crossdock.verify.compare import compare

    emulated = StepTimes()
    place = work / "emulated"
    place.mkdir()
    wanted = replace(request, platforms=plan.assisted(), cache_to=())
    try:
        plain = build_assisted(
            engine, wanted, replace(plan, stages=()), place, runner, both(emulated, on_event), lambda _: None,
            host=host_platform(), limits=limits,
        )  # fmt: skip
    except EngineError as error:
        hint = "With native programs it could be built. Without --prove that is what is verified and published."
        raise EngineError(f"emulated, {error.what}", where=error.where, hint=hint, log=error.log) from error
    one, other = LayoutImage(layout), LayoutImage(plain)
    return tuple(Proof(compare(one, other, p), gain(p, times, emulated)) for p in plan.assisted())
