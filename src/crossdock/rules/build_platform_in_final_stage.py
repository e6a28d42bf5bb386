"""build-platform-in-final-stage: the image itself is made on the build platform."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.findings import Finding, Fix
from crossdock.read.trace import Role
from crossdock.rules.base import Example, Project, Rule
from crossdock.rules.platform_flag import base_has_arm64, without_platform


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
        message = "the image is made on the platform that builds"
        fixes: tuple[Fix, ...] = ()
        if base_has_arm64(project, stage) is False:
            message += ", and its base has no linux/arm64"
        else:
            fixes = (without_platform(project, stage, flag.span),)
        yield self.finding(project.dockerfile.source, flag.span, message, fixes=fixes)
