"""The Dockerfile of an assisted build: a stage that makes each pack, and the packs mounted into RUN instructions.

Nothing else changes: the packs are in no layer, and RUN's mounts are not part of an image's history. For platforms that
need no help the mount is an empty folder.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from crossdock.assist.packs import Pack, compose
from crossdock.engines.model import BuildEvent
from crossdock.plan.model import BuildPlan, Strategy
from crossdock.platforms import Platform
from crossdock.read.model import Dockerfile, Instruction, Stage
from crossdock.read.stages import stage_references
from crossdock.read.trace import Trace, trace
from crossdock.source import Edit, Span, apply_edits

CONTEXT = "crossdock-assist"
"""The name of the build context that holds recipes and the scripts that carry them out."""
PLACE = "/.crossdock"
"""Where packs are mounted (and where the launcher looks for them)."""
STAGE = "crossdock-pack"
MAKING = "RUN make-pack"
"""What the step that makes a pack is called when it is told."""
"""What the names of stages that make packs begin with."""
_MAKERS = "/.crossdock-make"
_NUMBER = re.compile(r"\d{1,9}")


@dataclass(frozen=True)
class Assisted:
    """``dockerfile`` are the bytes to build; ``recipes`` are the files of the context ``CONTEXT``, by name; ``added``
    stages, on ``added_lines`` lines, come before the first one that people wrote, which was on ``first_line``."""

    dockerfile: bytes = field(repr=False)
    recipes: dict[str, str] = field(repr=False)
    modules: tuple[str, ...]
    added: int
    added_lines: int = 0
    first_line: int = 1
    single: bool = False
    """Whether people wrote one stage only."""

    def target(self, wanted: str | None) -> str | None:
        """What ``--target`` has to say: stages without a name have numbers, which have become other ones."""
        return str(int(wanted) + self.added) if wanted and _NUMBER.fullmatch(wanted) else wanted

    def line(self, number: int) -> int:
        """The line of the Dockerfile that people wrote for one of this, which has more lines before the first FROM."""
        return number - self.added_lines if number >= self.first_line + self.added_lines else number

    def as_written(self, event: BuildEvent) -> BuildEvent:
        """What an engine says of a step, in the words of the Dockerfile that people wrote."""
        # BuildKit calls a stage without a name stage-1, buildah 1; the only one of a Dockerfile BuildKit does not name.
        number = re.fullmatch(r"(stage-)?(\d+)", event.stage)
        stage = f"{number[1] or ''}{int(number[2]) - self.added}" if number else event.stage
        stage = "" if self.single and stage == "stage-0" else stage
        name = MAKING if f"from={CONTEXT}," in event.name else without_mounts(event.name)
        return replace(event, name=name, stage=stage)


def assisted(
    dockerfile: Dockerfile,
    plan: BuildPlan,
    host: Platform,
    build_args: Mapping[str, str],
    spared: Collection[Instruction] = (),
) -> Assisted:
    """The Dockerfile with packs for every stage and platform that the plan wants assisted; RUN instructions that are
    ``spared`` get none."""
    traces = {platform: trace(dockerfile, target=platform, build_args=build_args) for platform in plan.assisted()}
    wanted: dict[str, list[Platform]] = {}
    for entry in plan.stages:
        if entry.strategy is Strategy.ASSIST:
            wanted.setdefault(entry.stage, []).append(entry.platform)
    groups: dict[str, list[Stage]] = {}
    for stage in dockerfile.stages:
        if stage.label in wanted:
            groups.setdefault(_base(traces[wanted[stage.label][0]], stage.index), []).append(stage)
    edits: list[Edit] = []
    made: list[str] = []
    recipes: dict[str, str] = {}
    names: list[str] = []
    for number, (base, stages) in enumerate(groups.items()):
        platforms = dict.fromkeys(platform for stage in stages for platform in wanted[stage.label])
        scripts = [text for stage in stages for text in _scripts(dockerfile, stage)]
        packs = {platform.architecture: compose(platform, host, scripts) for platform in platforms}
        others = {platform.architecture for platform in plan.targets} - packs.keys()
        made += _stages(number, base, packs, sorted(others), host)
        recipes |= {f"{number}-{architecture}": pack.recipe() for architecture, pack in packs.items()}
        names += [module.name for pack in packs.values() for module in pack.modules]
        edits += [_mount(dockerfile, run, number) for stage in stages for run in _runs(stage) if run not in spared]
    added = sum(line.startswith("FROM ") for line in made)
    edits += _renumbered(dockerfile, added)
    at = dockerfile.stages[0].from_.span.start
    edits.append(Edit(dockerfile.source.path, Span(at, at), "".join(f"{line}\n" for line in made).encode()))
    data = apply_edits(dockerfile.source, edits).data
    first_line = dockerfile.source.position(at).line
    return Assisted(
        data, recipes, tuple(dict.fromkeys(names)), added, len(made), first_line, len(dockerfile.stages) == 1
    )


def without_mounts(text: str) -> str:
    """A text that an engine says of a RUN instruction, without the pack."""
    return re.sub(rf"--mount=type=bind,from={STAGE}-\d+,\S+ ", "", text)


def _base(found: Trace, index: int) -> str:
    """The image that a stage comes from, through other stages, as written."""
    stage = found.stages[index]
    return (
        _base(found, stage.parent) if stage.parent is not None else found.dockerfile.source.text(stage.stage.base.span)
    )


def _runs(stage: Stage) -> Iterable[Instruction]:
    return (instruction for instruction in stage.instructions if instruction.keyword == "RUN")


def _scripts(dockerfile: Dockerfile, stage: Stage) -> Iterable[str]:
    return (dockerfile.source.text(run.span) for run in _runs(stage))


def _stages(number: int, base: str, packs: dict[str, Pack], others: list[str], host: Platform) -> Iterable[str]:
    """A stage for each architecture, and one that is the right one of them for the platform being built."""
    for architecture in packs:
        yield f"FROM --platform=$BUILDPLATFORM {base} AS {STAGE}-{number}-{architecture}"
        yield "USER 0"
        command = [f"{_MAKERS}/make-pack", f"{_MAKERS}/{number}-{architecture}", PLACE, host.architecture]
        words = ", ".join(f'"{word}"' for word in ["/bin/sh", *command])
        yield f"RUN --mount=type=bind,from={CONTEXT},target={_MAKERS} [{words}]"
    for architecture in others:
        yield f"FROM scratch AS {STAGE}-{number}-{architecture}"
        yield f"WORKDIR {PLACE}"
    yield f"FROM {STAGE}-{number}-${{TARGETARCH}} AS {STAGE}-{number}"


def _renumbered(dockerfile: Dockerfile, added: int) -> Iterable[Edit]:
    """References to stages by number, which now have others before them."""
    for stage in dockerfile.stages:
        for reference, span in stage_references(stage):
            if _NUMBER.fullmatch(reference):
                text = dockerfile.source.text(span)
                new = re.sub(
                    rf"(\bfrom=[\"']?|^[\"']?){reference}\b", rf"\g<1>{int(reference) + added}", text, flags=re.I
                )
                yield Edit(dockerfile.source.path, span, new.encode("utf-8", "surrogateescape"))


def _mount(dockerfile: Dockerfile, run: Instruction, number: int) -> Edit:
    at = run.keyword_span.end
    mount = f" --mount=type=bind,from={STAGE}-{number},source={PLACE},target={PLACE}"
    return Edit(dockerfile.source.path, Span(at, at), mount.encode())
