"""pinned-platform: a stage is fixed to amd64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from crossdock.findings import Confidence, Finding, Safety, Severity
from crossdock.read.trace import Role
from crossdock.rules.base import Example, OtherFile, Project, Rule, fixes_of
from crossdock.rules.images import has_arm64
from crossdock.rules.platform_flag import base_has_arm64, without_platform
from crossdock.source import Span


class PinnedPlatform(Rule):
    """A stage, a compose service or a pod is fixed to amd64: `FROM --platform=linux/amd64`, `platform: linux/amd64`, a
    node selector.

    The stage is amd64 in the arm64 build too. If its files reach the image, the image is labelled arm64 and holds
    amd64 programs; in the last stage the whole image is amd64. A service runs emulated on an Arm machine, or not at
    all, and a pod never gets to an arm64 node.

    Leave the platform away. If a stage only prepares files that are the same on every architecture, write
    `--platform=$BUILDPLATFORM`: it then runs on the machine that builds. A pod that may run on both kinds of nodes
    needs images that have both platforms.
    """

    id = "pinned-platform"

    VALID = (
        Example("FROM debian\n"),
        Example("FROM --platform=$BUILDPLATFORM node AS assets\nFROM nginx\nCOPY --from=assets /site /site\n"),
        Example(
            "FROM --platform=linux/amd64 golang AS build\nARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build -o /app .\n"
            "FROM scratch\nCOPY --from=build /app /app\n",
            note="it compiles for the target",
        ),
        Example(
            "FROM --platform=linux/amd64 debian AS tool-amd64\nFROM --platform=linux/arm64 debian AS tool-arm64\n"
            "ARG TARGETARCH\nFROM tool-${TARGETARCH}\n"
        ),
    )
    INVALID = (
        Example("FROM ⟦--platform=linux/amd64⟧ debian\nRUN true\n", fixed="FROM debian\nRUN true\n"),
        Example(
            "ARG PLATFORM=⟦linux/amd64⟧\nFROM --platform=$PLATFORM debian\n",
            fixed=("ARG PLATFORM=linux/amd64\nFROM debian\n"),
        ),
        Example(
            "services:\n  web:\n    image: nginx:1.27\n    platform: ⟦linux/amd64⟧\n",
            fixed="services:\n  web:\n    image: nginx:1.27\n",
            path="compose.yaml",
        ),
        Example(
            "apiVersion: v1\nkind: Pod\nspec:\n  nodeSelector:\n    kubernetes.io/arch: ⟦amd64⟧\n  containers:\n"
            "    - image: nginx:1.27\n",
            fixed="apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - image: nginx:1.27\n",
            path="pod.yaml",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for stage in project.trace.stages:
            flag = stage.stage.platform
            value = stage.platform
            if flag is None or value is None or stage.amd64_only or stage.role is Role.BUILD:
                continue
            text = value.render()
            if text.split("/")[-1].lower() not in {"amd64", "x86_64"} and "amd64" not in text:
                continue
            origins = value.origin_of(0, len(text))
            if not origins:
                continue
            where = f"stage {stage.stage.label}" if stage.stage.name else "this stage"
            message = f"{where} is {text} in every build"
            fix = without_platform(project, stage, flag.span)
            span = flag.span
            if origins[0].span not in flag.span:
                span = Span(origins[0].span.start, origins[-1].span.end)
                fix = replace(fix, safety=Safety.UNSAFE)
            if base_has_arm64(project, stage) is False:
                message = f"{message}, and its base has no linux/arm64"
                yield self.finding(project.dockerfile.source, span, message)
            else:
                yield self.finding(project.dockerfile.source, span, message, fixes=(fix,))

    def check_other(self, file: OtherFile) -> Iterator[Finding]:
        for pin in file.declared.pins:
            fixes = fixes_of(pin.mend)
            has = has_arm64(pin.image, file.registry) if pin.image else True
            if has is None:
                # On an Arm machine an image without arm64 runs emulated thanks to the pin.
                title = f"; whether {pin.image} has linux/arm64 was not looked up"
                fixes = tuple(replace(fix, title=fix.title + title, safety=Safety.UNSAFE) for fix in fixes)
            yield self.finding(
                file.source,
                pin.span,
                f"{pin.what} runs on amd64 alone" + ("" if has is not False else ", and its image has no linux/arm64"),
                severity=Severity.ERROR if pin.certain else Severity.WARNING,
                confidence=Confidence.HIGH if pin.certain else Confidence.MEDIUM,
                fixes=fixes if has is not False else (),
            )
