"""shadowed-platform-argument: a default hides the value that BuildKit gives."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.findings import Finding, Fix, Safety
from crossdock.read.expand import split_assignment
from crossdock.read.trace import PLATFORM_ARGUMENTS, Step, platform_arguments
from crossdock.rules.base import Example, Project, Rule
from crossdock.source import Edit, Span


class ShadowedPlatformArgument(Rule):
    """An automatic platform argument has a default: `ARG TARGETARCH=amd64`.

    The default wins over the value that BuildKit gives, so the build for arm64 is told amd64, and quietly puts amd64
    programs into the arm64 image.

    Declare it without a default: `ARG TARGETARCH`.
    """

    id = "shadowed-platform-argument"

    VALID = (
        Example("FROM debian\nARG TARGETARCH\n"),
        Example("FROM debian\nARG TARGETOS=linux\n", note="it says what BuildKit would say"),
        Example("ARG BUILDPLATFORM=linux/amd64\nFROM --platform=$BUILDPLATFORM node AS a\nFROM nginx\n"),
    )
    INVALID = (
        Example(
            "FROM golang\nARG ⟦TARGETARCH=amd64⟧\nRUN GOARCH=$TARGETARCH go build\n",
            fixed="FROM golang\nARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build\n",
        ),
        Example(
            "FROM golang\nARG TARGETOS ⟦TARGETARCH=amd64⟧\n",
            fixed="FROM golang\nARG TARGETOS TARGETARCH\n",
        ),
    )

    def check(self, project: Project) -> Iterator[Finding]:
        right = platform_arguments(project.target)
        steps: list[Step] = list(project.trace.preamble)
        steps += [step for stage, step in project.trace.steps if not stage.amd64_only]
        for step in steps:
            if step.instruction.keyword != "ARG":
                continue
            for word, assigned in _defaults(project, step):
                if assigned.name in project.build_args or assigned.value.text == right[assigned.name].text:
                    continue
                if assigned.value.text is None or assigned.value.text.startswith("$"):
                    continue
                source = project.dockerfile.source
                edit = Edit(source.path, Span(word.name_end, word.end), b"")
                yield self.finding(
                    source,
                    assigned.origin.span,
                    f"the default {assigned.value.render()} hides BuildKit's value of {assigned.name}",
                    fixes=(Fix(f"Let BuildKit set {assigned.name}", Safety.SAFE, (edit,)),),
                )


class _Place:
    """Where an ARG's name ends and where its default does."""

    def __init__(self, name_end: int, end: int) -> None:
        self.name_end, self.end = name_end, end


def _defaults(project: Project, step: Step):  # type: ignore[no-untyped-def]
    for word in step.instruction.words:
        name, value = split_assignment(word, escape=project.dockerfile.escape)
        if value is None or name.text not in PLATFORM_ARGUMENTS:
            continue
        made = next((a for a in step.assignments if a.name == name.text and a.origin.span == word.span), None)
        if made is not None:
            yield _Place(name.span.end, word.span.end), made
