"""build-platform-in-final-stage: the image itself is made on the build platform."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.findings import Finding, Fix, Safety
from crossdock.read.trace import Role
from crossdock.rules.base import Example, Project, Rule
from crossdock.source import Edit, Span


class BuildPlatformInFinalStage(Rule):
    """The last stage runs on the platform of the machine that builds: `FROM --platform=$BUILDPLATFORM`.

    What is built for arm64 on an x86 machine then has amd64's base image below it, under an arm64 label.

    Use `--platform=$BUILDPLATFORM` only for stages that prepare files, and leave it away in the last one.
    """

    id = "build-platform-in-final-stage"

    VALID = (Example("FROM --platform=$BUILDPLATFORM node AS site\nFROM nginx\nCOPY --from=site /site /site\n"),)
    INVALID = (
        Example(
            "FROM ⟦--platform=$BUILDPLATFORM⟧ node AS build\nRUN true\nFROM build\nRUN true\n",
            fixed="FROM node AS build\nRUN true\nFROM build\nRUN true\n",
            note="the last stage goes on from one that runs there",
        ),
        Example(
            "FROM ⟦--platform=$BUILDPLATFORM⟧ debian\nRUN true\n",
            fixed="FROM debian\nRUN true\n",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        stage = project.trace.stages[-1]
        while stage.parent is not None and stage.stage.platform is None:
            stage = project.trace.stages[stage.parent]
        flag = stage.stage.platform
        if stage.role is not Role.BUILD or flag is None or stage.base.text == "scratch":
            return
        source = project.dockerfile.source
        end = flag.span.end
        while source.data[end : end + 1] in {b" ", b"\t"}:
            end += 1
        fix = Fix(
            "Build the stage for the target platform",
            Safety.SAFE,
            (Edit(source.path, Span(flag.span.start, end), b""),),
        )
        yield self.finding(source, flag.span, "the image is made on the platform that builds", fixes=(fix,))
