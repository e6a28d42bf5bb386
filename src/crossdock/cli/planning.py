"""Plans for where an engine builds: on this machine, with native programs where it can have them, or on nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from crossdock.assist.packs import natively
from crossdock.assist.registration import Availability, available
from crossdock.builders.state import look
from crossdock.cli.options import build_arguments
from crossdock.plan.model import BuilderNode, BuildPlan
from crossdock.plan.planner import make_plan
from crossdock.platforms import host_platform
from crossdock.process import Runner
from crossdock.read.dockerfile import parse
from crossdock.source import Source

if TYPE_CHECKING:
    from crossdock.engines.model import BuildRequest, EngineInfo
    from crossdock.read.context import Context


def builder_nodes(name: str, runner: Runner) -> tuple[BuilderNode, ...]:
    """What the nodes of a builder are, and which platforms are pinned on each. Raises EngineError when there is no such
    builder. A node that does not answer is there without a platform of its own."""
    found = look(name, runner, timed=False)
    return tuple(
        BuilderNode(node.name, node.own, node.pinned, node.platforms) for state in found for node in state.nodes
    )


def plan_for_engine(
    plan: BuildPlan,
    request: BuildRequest,
    context: Context,
    info: EngineInfo,
    runner: Runner,
    say: Callable[[str], object],
    *,
    assist: bool,
) -> BuildPlan:
    """A plan that was made for this machine, made again for where the engine builds; ``assist`` lets native programs
    stand in for emulated ones, and ``say`` is told why they cannot."""
    host = host_platform()
    nodes = builder_nodes(info.builder, runner) if info.builder and not info.builds_here else ()
    here = assist and info.shares_kernel and info.builds_here
    able = available(plan.emulated(), host, runner) if here else Availability()
    if able.missing:
        say(f"No native programs for emulated stages: {able.missing}.")
    return make_plan(
        parse(Source("Dockerfile", request.dockerfile)),
        plan.targets,
        host=host,
        target=request.target,
        build_args=build_arguments(request.build_args),
        context=context,
        assisted=able.platforms,
        natively=natively,
        nodes=nodes,
    )
