"""Chooses a strategy for each stage and platform from what the Dockerfile says. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from crossdock.errors import CrossdockError, UsageError
from crossdock.plan.model import BuildPlan, StagePlan, Strategy
from crossdock.platforms import Platform, parse_platform
from crossdock.read.model import Dockerfile
from crossdock.read.trace import Role, StageTrace, Trace, trace

_TARGET_ARGUMENTS = frozenset({"TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT"})
_OTHER_PACKAGE_MANAGERS = frozenset("apk dnf emerge microdnf pacman rpm tdnf xbps-install yum zypper".split())


def make_plan(
    dockerfile: Dockerfile,
    targets: tuple[Platform, ...],
    *,
    host: Platform,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    assisted: frozenset[Platform] = frozenset(),
) -> BuildPlan:
    """One entry for every stage that the image (or ``target``, a stage) needs, for every platform.

    ``host`` is the platform of the machine that builds; programs of ``assisted`` platforms can be replaced by native
    ones there. Raises UsageError when there is no stage ``target``.
    """
    if target is not None and dockerfile.stage(target) is None:
        names = ", ".join(stage.label for stage in dockerfile.stages)
        raise UsageError(f"there is no stage {target!r}", where=dockerfile.source.path, hint=f"The stages: {names}.")
    entries: list[tuple[int, StagePlan]] = []
    for platform in targets:
        found = trace(dockerfile, target=platform, build_args=build_args, wanted=target)
        entries += [
            (index, _plan_stage(stage, found, host, assisted))
            for index, stage in enumerate(found.stages)
            if stage.reaches_image
        ]
    entries.sort(key=lambda entry: entry[0])
    return BuildPlan(targets, tuple(plan for _, plan in entries))


def _plan_stage(stage: StageTrace, found: Trace, host: Platform, assisted: frozenset[Platform]) -> StagePlan:
    label, platform = stage.stage.label, found.target

    def planned(strategy: Strategy, reason: str, runs_on: Platform | None = None) -> StagePlan:
        return StagePlan(label, platform, strategy, reason, runs_on)

    if stage.role is Role.BUILD:
        if any(word.text in _TARGET_ARGUMENTS for step in stage.steps for word in step.declared):
            return planned(Strategy.CROSS, "runs on $BUILDPLATFORM and is told its target by TARGETARCH", host)
        return planned(Strategy.NEUTRAL, "runs on $BUILDPLATFORM, whatever the target", host)
    runs_on = _pinned(stage) or platform
    running = [step.instruction for step in stage.steps if step.instruction.keyword == "RUN"]
    if not running:
        return planned(Strategy.NEUTRAL, "runs no program: its files are only copied", runs_on)
    if runs_on.runs_natively_on(host):
        pinned = f" and FROM is pinned to {runs_on}, whatever the target" if runs_on != platform else ""
        return planned(Strategy.NATIVE, f"this machine is {host.architecture}{pinned}", runs_on)
    first = found.dockerfile.source.position(running[0].span.start).line
    more = f" and {len(running) - 1} more" if len(running) > 1 else ""
    reason = f"RUN on line {first}{more}: {runs_on.architecture} programs on this {host.architecture} machine"
    if runs_on != platform or platform not in assisted:
        return planned(Strategy.EMULATE, reason, runs_on)
    if obstacle := _no_debian(stage, found):
        return planned(Strategy.EMULATE, f"{reason}, and {obstacle}", runs_on)
    return planned(Strategy.ASSIST, f"{reason}, the heavy ones replaced by native ones", runs_on)


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
