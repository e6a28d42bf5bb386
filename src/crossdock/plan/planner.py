"""Chooses a strategy for each stage and platform from what the Dockerfile says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from crossdock.errors import CrossdockError, UsageError
from crossdock.plan.model import BuilderNode, BuildPlan, StagePlan, Strategy
from crossdock.plan.opportunity import opportunity
from crossdock.plan.work import Evidence, Files, evidence, heaviest
from crossdock.platforms import Platform, parse_platform
from crossdock.read.context import Context
from crossdock.read.model import Dockerfile
from crossdock.read.trace import Role, StageTrace, Trace, trace

_TARGET_ARGUMENTS = frozenset({"TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"})
_OTHER_PACKAGE_MANAGERS = frozenset("apk dnf emerge microdnf pacman rpm tdnf xbps-install yum zypper".split())
_MOST_NAMED = 3
"""Kinds of work that a reason names."""

Natively = Callable[[Iterable[str]], Mapping[str, str]]
"""From the text of a stage's RUN instructions to the work (by name) that native programs can do there, and these
programs, in words. ``assist.packs.natively`` is the real one."""


def nothing_natively(_: Iterable[str]) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class _Place:
    """Where a build runs, as ``make_plan`` has it."""

    host: Platform
    assisted: frozenset[Platform]
    natively: Natively
    nodes: Sequence[BuilderNode]
    files: Files = field(repr=False)


def make_plan(
    dockerfile: Dockerfile,
    targets: tuple[Platform, ...],
    *,
    host: Platform,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    context: Context | None = None,
    assisted: frozenset[Platform] = frozenset(),
    natively: Natively = nothing_natively,
    nodes: Sequence[BuilderNode] = (),
) -> BuildPlan:
    """One entry for every stage that the image (or ``target``, a stage) needs, for every platform.

    ``host`` is the platform of the machine that builds, unless ``nodes`` of a builder do; programs of ``assisted``
    platforms can be replaced by native ones there, and ``natively`` tells which, for which work. With the ``context``,
    scripts and lists of packages count as well. Raises UsageError when there is no stage ``target``.
    """
    if target is not None and dockerfile.stage(target) is None:
        names = ", ".join(stage.label for stage in dockerfile.stages)
        raise UsageError(f"there is no stage {target!r}", where=dockerfile.source.path, hint=f"The stages: {names}.")
    place = _Place(host, assisted, natively, nodes, Files(context))
    entries: list[tuple[int, StagePlan]] = []
    for platform in targets:
        found = trace(dockerfile, context=context, target=platform, build_args=build_args, wanted=target)
        entries += [
            (index, _plan_stage(stage, found, place)) for index, stage in enumerate(found.stages) if stage.reaches_image
        ]
    entries.sort(key=lambda entry: entry[0])
    return BuildPlan(targets, tuple(plan for _, plan in entries))


def node_for(platform: Platform, nodes: Sequence[BuilderNode]) -> BuilderNode | None:
    """The node that BuildKit gives a platform to: the first that has it pinned, else the first that can do it, by
    emulation too (buildx, ``driver resolution``; docs/builders.md). None where no node can, or none is known."""
    for listed in ("pinned", "platforms"):
        for node in nodes:
            if any(platform == one for one in getattr(node, listed)):
                return node
    return None


def _plan_stage(stage: StageTrace, found: Trace, place: _Place) -> StagePlan:
    label, platform = stage.stage.label, found.target
    shown = evidence(stage, found.dockerfile.source, place.files)
    node = node_for(platform, place.nodes)
    own = (node.own or platform) if node else place.host
    name = node.name if node else ""
    machine = f"the node {name}" if node else "this machine"

    def planned(
        strategy: Strategy, reason: str, runs_on: Platform | None = None, natively: Iterable[str] = ()
    ) -> StagePlan:
        idea = ""
        if strategy in (Strategy.ASSIST, Strategy.EMULATE):
            idea = opportunity(stage, found, shown)
        return StagePlan(label, platform, strategy, reason, runs_on, shown, frozenset(natively), idea, name)

    if place.nodes and not node:
        return planned(Strategy.EMULATE, f"no node of the builder has {platform}")
    if stage.role is Role.BUILD:
        where = f" of the node {name}" if node else ""
        if any(word.text in _TARGET_ARGUMENTS for step in stage.steps for word in step.declared):
            return planned(Strategy.CROSS, f"runs on $BUILDPLATFORM{where} and is told its target by TARGETARCH", own)
        return planned(Strategy.NEUTRAL, f"runs on $BUILDPLATFORM{where}, whatever the target", own)
    runs_on = _pinned(stage) or platform
    running = [step.instruction for step in stage.steps if step.instruction.keyword == "RUN"]
    if not running:
        return planned(Strategy.NEUTRAL, "runs no program: its files are only copied", runs_on)
    if node and node.own is None:
        return planned(Strategy.NATIVE, f"is built on {machine}, which did not say what it is", runs_on)
    if runs_on.runs_natively_on(own):
        pinned = f" and FROM is pinned to {runs_on}, whatever the target" if runs_on != platform else ""
        return planned(Strategy.NATIVE, f"{machine} is {own.architecture}{pinned}", runs_on)
    heavy = heaviest(shown)
    what = _named(heavy) if heavy else ""
    if not heavy:
        first = found.dockerfile.source.position(running[0].span.start).line
        more = f" and {len(running) - 1} more" if len(running) > 1 else ""
        what = f"RUN on line {first}{more}"
    where = f"on {machine}, which is {own.architecture}" if node else f"on this {own.architecture} machine"
    reason = f"{what}: {runs_on.architecture} programs {where}"
    if node or runs_on != platform or platform not in place.assisted:
        return planned(Strategy.EMULATE, reason, runs_on)
    if obstacle := _no_debian(stage, found):
        return planned(Strategy.EMULATE, f"{reason}, and {obstacle}", runs_on)
    natively = place.natively(found.dockerfile.source.text(run.span) for run in running)
    return planned(Strategy.ASSIST, _assisted(what, heavy, natively), runs_on, natively)


def _assisted(what: str, heavy: tuple[Evidence, ...], natively: Mapping[str, str]) -> str:
    """Which work runs natively, and which does not."""
    helped = [one for one in heavy if one.work.name in natively]
    left = [one for one in heavy if one.work.name not in natively]
    if not helped:
        return f"{what}; natively run shell tools alone" if left else f"{what}; shell tools run natively"
    programs = ", ".join(dict.fromkeys(natively[one.work.name] for one in helped))
    rest = f"; emulated stays: {_named(left)}" if left else ""
    return f"{_named(helped)}; natively run {programs}{rest}"


def _named(heavy: Sequence[Evidence]) -> str:
    """``compiles with make on line 4 and …``."""
    words = [f"{one.says} {one.where}" for one in heavy[:_MOST_NAMED]]
    return _joined(words + ([f"{len(heavy) - _MOST_NAMED} more"] if len(heavy) > _MOST_NAMED else []))


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _no_debian(stage: StageTrace, found: Trace) -> str:
    """What shows that a stage's image is no Debian or Ubuntu, for which there are native programs; empty if nothing."""
    line: list[StageTrace] = [stage]
    while (parent := line[-1].parent) is not None:
        line.append(found.stages[parent])
    if line[-1].base.text == "scratch":
        return "its image is made from nothing"
    for one in line:
        for step in one.steps:
            for command in step.commands:
                if command.certain and command.name in _OTHER_PACKAGE_MANAGERS:
                    where = found.dockerfile.source.position(step.instruction.span.start).line
                    return f"{command.name} on line {where} says that its image is no Debian or Ubuntu"
    return ""


def _pinned(stage: StageTrace) -> Platform | None:
    """The platform that FROM --platform names, when it is a known one."""
    text = stage.platform.text if stage.platform is not None else None
    if not text:
        return None
    try:
        return parse_platform(text)
    except CrossdockError:
        return None
