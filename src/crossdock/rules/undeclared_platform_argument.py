"""undeclared-platform-argument: TARGETARCH and its kin are used without ARG."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.findings import Confidence, Finding, Fix, Safety, Severity
from crossdock.read.shell_model import UnsetUse
from crossdock.read.trace import PLATFORM_ARGUMENTS, StageTrace
from crossdock.rules.base import Example, Project, Rule
from crossdock.rules.edits import declare


class UndeclaredPlatformArgument(Rule):
    """A stage uses an automatic platform argument that it does not declare.

    Such an argument has a value only where `ARG` declares it, in each stage again (before the first FROM counts for
    FROM lines only). Elsewhere it is empty: URLs lose their architecture, and compilers build for their default.

    Write `ARG TARGETARCH` in the stage, above its first use.
    """

    id = "undeclared-platform-argument"

    VALID = (
        Example("FROM debian\nARG TARGETARCH\nRUN echo $TARGETARCH\n"),
        Example("FROM --platform=$BUILDPLATFORM debian\n", note="FROM lines see it without ARG"),
        Example('FROM debian\nRUN a="${TARGETARCH:-$(dpkg --print-architecture)}"; echo "$a"\n'),
        Example("FROM debian\nENV TARGETARCH=arm64\nRUN echo $TARGETARCH\n"),
    )
    INVALID = (
        Example(
            "ARG TARGETARCH\nFROM debian\nRUN curl -LO https://example.com/tool-⟦$TARGETARCH⟧\n",
            fixed="ARG TARGETARCH\nFROM debian\nARG TARGETARCH\nRUN curl -LO https://example.com/tool-$TARGETARCH\n",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        for stage in project.trace.stages:
            if stage.amd64_only:
                continue
            seen: set[str] = set()
            for use in _uses(stage):
                if use.name not in PLATFORM_ARGUMENTS or use.name in seen or use.defaulted:
                    continue
                seen.add(use.name)
                source = project.source(use.origin.path)
                fix = Fix(f"Declare {use.name} in the stage", Safety.SAFE, (declare(project, stage.stage, use.name),))
                yield self.finding(
                    source,
                    use.origin.span,
                    f"{use.name} is empty here: the stage does not declare it",
                    severity=Severity.ERROR if use.name.startswith("TARGET") else Severity.INFO,
                    confidence=Confidence.HIGH,
                    fixes=(fix,),
                )


def _uses(stage: StageTrace) -> Iterator[UnsetUse]:
    for step in stage.steps:
        if step.instruction.keyword in {"CMD", "ENTRYPOINT", "FROM"}:
            continue
        yield from step.unset
        for run in step.scripts:
            if not run.at_start:
                yield from run.trace.unset
