"""The check ``dockerfile``: which instruction of a Dockerfile made each layer of an image, by the image's history.

The history says of each layer what made it, in words of its own: BuildKit writes the instruction with its variables
expanded (``COPY /built /opt/built # buildkit``), Docker's classic builder and buildah write what they ran (``/bin/sh -c
#(nop) COPY file:64c6… in /opt/built``). So keywords are compared, of RUN the command, and of the others the
destination. The test has what was seen of each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from crossdock.image.model import ImageConfig, Manifest
from crossdock.platforms import Platform
from crossdock.read.model import Dockerfile, Instruction, Stage
from crossdock.verify.model import CheckResult, Status

CHECK = "dockerfile"
_MAKE_LAYERS = frozenset("RUN COPY ADD WORKDIR".split())
_MAKE_NONE = frozenset(
    "ARG CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL MAINTAINER ONBUILD SHELL STOPSIGNAL USER VOLUME".split()
)
_NOP = re.compile(r"#\(nop\)\s+([A-Z]+)\s*(.*)", re.DOTALL)
_WRITTEN = re.compile(r"([A-Z]+) (.*?)(?: ?# buildkit)?\s*", re.DOTALL)


@dataclass(frozen=True)
class _Made:
    """What the history says of a layer."""

    keyword: str
    rest: str


def tell_instructions(
    dockerfile: Dockerfile, manifest: Manifest, config: ImageConfig, platform: Platform
) -> tuple[ImageConfig, CheckResult]:
    """``config`` with file, line and instruction in what made each of its layers, as far as that can be told, and how
    far that is."""
    path, total = dockerfile.source.path, len(manifest.layers)
    if len(config.created_by) != total or not total:
        text = "the image's history does not say what made each layer"
        return config, CheckResult(CHECK, Status.SKIPPED, f"{path}: {text}", platform, hint=_WHY)
    history = [_made(text) for text in config.created_by]
    found: list[Instruction] = []
    whole = False
    for stage in reversed(dockerfile.stages):
        instructions = _chain(dockerfile, stage, platform)
        matched, complete = _match(instructions, history)
        if (complete, len(matched)) > (whole, len(found)):
            found, whole = matched, complete
    if not found:
        one = " One layer holds several of them (squashed, or buildah without --layers)." if _squashed(history) else ""
        text = f"{path}: none of the {total} layers is of its last instruction; it may have changed since.{one}"
        return config, CheckResult(CHECK, Status.SKIPPED, text, platform, hint=_WHY)
    told = (*config.created_by[: total - len(found)], *(_name(dockerfile, one) for one in found))
    text = f"the last {len(found)} of {total} layers are those of {path}"
    if whole:
        return replace(config, created_by=told), CheckResult(CHECK, Status.PASSED, text, platform)
    other = config.created_by[total - len(found) - 1].strip()[:100] if len(found) < total else "none"
    text += f", and what made the one before is not in it: {other}"
    return replace(config, created_by=told), CheckResult(CHECK, Status.SKIPPED, text, platform, hint=_WHY)


_WHY = "Name the Dockerfile that the image was built from, as it was then; each layer needs its own history."


def with_true_makers(config: ImageConfig) -> ImageConfig:
    """``config`` without instructions that are said to have made a layer and make none: the last of all that a builder
    has put into one layer."""
    told = tuple(
        f"several instructions in one layer, up to {text.strip()[:80]}" if _made(text).keyword in _MAKE_NONE else text
        for text in config.created_by
    )
    return replace(config, created_by=told)


def _made(created_by: str) -> _Made:
    if match := _NOP.search(created_by):
        return _Made(match[1], match[2].strip())
    match = _WRITTEN.fullmatch(created_by)
    if match and match[1] in _MAKE_LAYERS | _MAKE_NONE:
        return _Made(match[1], match[2].strip())
    return _Made("RUN", created_by)


def _squashed(history: list[_Made]) -> bool:
    """Whether a layer is said to be made by an instruction that makes none."""
    return any(one.keyword in _MAKE_NONE for one in history)


def _chain(dockerfile: Dockerfile, stage: Stage, platform: Platform) -> list[Instruction]:
    """What makes layers in a stage and, before that, in the stage that it begins with."""
    own = [one for one in stage.instructions if one.keyword in _MAKE_LAYERS]
    base = re.sub(r"\$\{?TARGETARCH\}?", platform.architecture, stage.base.text)
    below = dockerfile.stage(base, before=stage.index)
    return [*(_chain(dockerfile, below, platform) if below else ()), *own]


def _match(instructions: list[Instruction], history: list[_Made]) -> tuple[list[Instruction], bool]:
    """The instructions of the last layers, from the end back to the first that does not fit; and whether all of them
    have been found."""
    found: list[Instruction] = []
    left = list(instructions)
    layers = list(history)
    while left and layers:
        if _fits(left[-1], layers[-1]):
            found.append(left.pop())
            layers.pop()
        elif left[-1].keyword == "WORKDIR":
            left.pop()  # it makes a layer only where the folder is not there
        else:
            break
    return found[::-1], not [one for one in left if one.keyword != "WORKDIR"]


def _fits(instruction: Instruction, made: _Made) -> bool:
    if instruction.keyword != made.keyword:
        return False
    if instruction.keyword == "RUN":
        rest = _squeezed(made.rest)
        return any(rest.endswith(_squeezed(text)) for text in _commands(instruction))
    destination = instruction.words[-1].text
    if "$" in destination or not destination.startswith("/"):
        return True
    said = made.rest.rstrip().rstrip('"]').split()
    return bool(said) and said[-1].strip('["').rstrip("/") == destination.rstrip("/")


def _commands(instruction: Instruction) -> Iterator[str]:
    """How a history may write what RUN runs."""
    if instruction.heredocs:
        yield instruction.heredocs[0].text
    else:
        yield instruction.arguments.text
    if instruction.exec_form:
        yield " ".join(word.text for word in instruction.exec_form)


def _squeezed(text: str) -> str:
    """Builders differ in what they leave of blanks and joined lines."""
    return "".join(text.split())


def _name(dockerfile: Dockerfile, instruction: Instruction) -> str:
    line = dockerfile.source.position(instruction.span.start).line
    first = dockerfile.source.text(instruction.span).splitlines()[0].rstrip("\\ ")
    return f"{dockerfile.source.path}:{line}: {first}"
