"""The stages of a Dockerfile and how they depend on each other.

Source: BuildKit, frontend/dockerfile/instructions/parse.go and frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from crossdock.read.lines import fail
from crossdock.read.model import Dockerfile, Flag, Instruction, Stage
from crossdock.source import Source, Span

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")
_NUMBER = re.compile(r"[+-]?[0-9]+\Z")
_MOUNT_FROM = re.compile(r"(?:^|,)from=([^,]+)", re.IGNORECASE)


def group(source: Source, instructions: list[Instruction]) -> tuple[tuple[Instruction, ...], tuple[Stage, ...]]:
    """The ARG instructions before the first FROM, and the stages. Raises InputError."""
    preamble: list[Instruction] = []
    bodies: list[tuple[Instruction, list[Instruction]]] = []
    for instruction in instructions:
        if instruction.keyword == "FROM":
            bodies.append((instruction, []))
        elif bodies:
            bodies[-1][1].append(instruction)
        elif instruction.keyword == "ARG":
            preamble.append(instruction)
        else:
            raise fail(
                source,
                instruction.span.start,
                f"{instruction.keyword} before the first FROM, where only ARG may stand",
                "Begin the Dockerfile with a FROM instruction.",
            )
    if not bodies:
        end = instructions[-1].span.end if instructions else 0
        raise fail(
            source, end, "a FROM instruction was expected, and there is none", "Begin it with FROM and a base image."
        )
    stages = tuple(_stage(source, index, head, tuple(body)) for index, (head, body) in enumerate(bodies))
    return tuple(preamble), stages


def _stage(source: Source, index: int, head: Instruction, body: tuple[Instruction, ...]) -> Stage:
    words = head.words
    name = None
    if len(words) == 3 and words[1].text.lower() == "as":
        name = words[2].text
        if not _STAGE_NAME.match(name.lower()):
            raise fail(
                source,
                words[2].span.start,
                f"{name!r} cannot be the name of a stage",
                "A stage's name begins with a letter, then letters, digits, - _ and . may follow.",
            )
    elif len(words) != 1:
        raise fail(
            source,
            words[1].span.start,
            "FROM takes an image, or an image, AS and a name",
            "Write FROM image, or FROM image AS name.",
        )
    return Stage(index, name, head, words[0], head.flag("platform"), body)


def stage_references(stage: Stage) -> Iterator[tuple[str, Span]]:
    """The images and stages that a stage takes files from, as written: COPY --from and RUN --mount=from=."""
    for instruction in stage.instructions:
        for flag in instruction.flags:
            reference = _reference(instruction, flag)
            if reference and flag.value_span:
                yield reference, flag.value_span


def _reference(instruction: Instruction, flag: Flag) -> str | None:
    if instruction.keyword == "COPY" and flag.name == "from":
        return flag.value
    if instruction.keyword == "RUN" and flag.name == "mount" and flag.value:
        match = _MOUNT_FROM.search(flag.value)
        return match[1] if match else None
    return None


def check_stages(dockerfile: Dockerfile) -> None:
    """Raises InputError where a stage takes files from itself, or needs one that comes later or does not exist.

    A stage that the last one does not need may refer to a later stage, unless they form a circle: BuildKit does not
    look at it until someone asks for it with --target.
    """
    source = dockerfile.source
    last = {stage.name.lower(): stage.index for stage in dockerfile.stages if stage.name}
    earlier: dict[str, int] = {}
    needs: list[dict[int, Span]] = []
    for stage in dockerfile.stages:
        base = stage.base.text.lower()
        found = {earlier[base]: stage.base.span} if base in earlier else {}
        if stage.name:
            earlier[stage.name.lower()] = stage.index
        for reference, span in stage_references(stage):
            other = last.get(reference.lower())
            if other is None and _NUMBER.match(reference):
                other = int(reference[:10])
            if other is None:
                continue
            if not 0 <= other < len(dockerfile.stages):
                raise fail(
                    source,
                    span.start,
                    f"there is no stage number {reference}",
                    f"Stages are numbered from 0 to {len(dockerfile.stages) - 1}; a name is safer.",
                )
            found[other] = span
        needs.append(found)
    _refuse_circles(dockerfile, needs)
    needed = {len(needs) - 1}
    for index in reversed(range(len(needs))):
        if index not in needed:
            continue
        needed |= needs[index].keys()
        for later, span in needs[index].items():
            if later > index:
                raise fail(
                    source,
                    span.start,
                    f"stage {dockerfile.stages[index].label!r} needs stage {dockerfile.stages[later].label!r}, "
                    "which comes later",
                    "Move the stage that is needed above the one that uses it.",
                )


def _refuse_circles(dockerfile: Dockerfile, needs: list[dict[int, Span]]) -> None:
    done: set[int] = set()
    for first in range(len(needs)):
        path = {first: iter(needs[first].items())} if first not in done else {}
        while path:
            at = next(reversed(path))
            step = next(path[at], None)
            if step is None:
                done.add(at)
                del path[at]
                continue
            other, span = step
            if other in path:
                circle = [*path][[*path].index(other) :]
                names = " → ".join(dockerfile.stages[index].label for index in [*circle, other])
                raise fail(
                    dockerfile.source,
                    span.start,
                    f"stages need each other in a circle: {names}",
                    "A stage can only use what an earlier one made; split one of them.",
                )
            if other not in done:
                path[other] = iter(needs[other].items())
