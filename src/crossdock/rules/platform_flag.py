"""Leaving the ``--platform`` of FROM away: what it needs of the base image, and the fix."""

from __future__ import annotations

from crossdock.findings import Fix, Safety
from crossdock.read.trace import StageTrace
from crossdock.rules.base import Project
from crossdock.rules.images import has_arm64
from crossdock.source import Edit, Span


def base_has_arm64(project: Project, stage: StageTrace) -> bool | None:
    """Whether the image that a stage goes back to is there for arm64; None where that was not looked up."""
    base = _base(project, stage)
    return True if base == "scratch" else has_arm64(base, project.registry)


def without_platform(project: Project, stage: StageTrace, span: Span) -> Fix:
    """Leave the flag at ``span`` away, with the blank after it. For amd64 nothing changes; arm64 then needs the base
    image for itself, and without having seen that it is not safe."""
    source = project.dockerfile.source
    end = span.end
    while source.data[end : end + 1] in {b" ", b"\t"}:
        end += 1
    seen = base_has_arm64(project, stage)
    return Fix(
        "Build the stage for the target platform",
        Safety.SAFE if seen else Safety.UNSAFE,
        (Edit(source.path, Span(span.start, end), b""),),
        doubt="" if seen else f"whether {_base(project, stage)} has linux/arm64 was not looked up",
    )


def _base(project: Project, stage: StageTrace) -> str:
    while stage.parent is not None:
        stage = project.trace.stages[stage.parent]
    return stage.base.render()
