"""What a Dockerfile does in a build for amd64, so that the same can be asked of what porting made of it."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from crossdock.platforms import AMD64
from crossdock.read.dockerfile import parse
from crossdock.read.shell_model import Command
from crossdock.read.trace import StageTrace, Step, Trace, trace
from crossdock.rules.vocabulary import SHELLS
from crossdock.source import Source

_ASKS_THE_MACHINE = frozenset({"uname", "dpkg", "tr"})
_ARCHITECTURE = re.compile(r"(?:amd64|x86_64|x64|[-_./])+")


def view(data: bytes) -> Trace:
    return trace(parse(Source("Dockerfile", data)), target=AMD64)


def differences(before: bytes, after: bytes) -> list[str]:
    """What the build for amd64 does otherwise: empty when every command gets the same words, in the same order.

    Not counted: stages that porting adds (what they ADD counts at the COPY that fetches it), variables that it adds,
    the programs that only tell the architecture, an image's name without its architecture.
    """
    old, new = view(before), view(after)
    names = {stage.stage.name for stage in old.stages}
    added = {s.stage.index: s for s in new.stages if s.stage.name not in names and not _renamed(s)}
    kept = [stage for stage in new.stages if stage.stage.index not in added]
    if len(kept) != len(old.stages):
        return [f"{len(old.stages)} stages became {len(kept)}"]
    found: list[str] = []
    for one, other in zip(old.stages, kept, strict=True):
        had, has = [_told(step, {}, None) for step in one.steps], []
        known = {name for step in one.steps for name in _names(step)}
        for step in other.steps:
            if step.instruction.keyword == "ARG" and not set(_names(step)) <= known:
                continue
            has.append(_told(step, added, known))
        if len(had) != len(has):
            found.append(f"{len(had)} steps became {len(has)}")
        found += [f"{a} became {b}" for a, b in zip(had, has, strict=False) if not _same(a, b)]
    return found


def _renamed(stage: StageTrace) -> bool:
    return re.fullmatch(r"stage-\d+", stage.stage.name or "stage-0") is not None


def _names(step: Step) -> list[str]:
    return [word.text for word in step.declared] if step.instruction.keyword == "ARG" else []


def _told(step: Step, added: dict[int, StageTrace], known: set[str] | None) -> list[list[str]]:
    match step.instruction.keyword:
        case "FROM":
            return [["FROM", _ARCHITECTURE.sub("", step.words[0].text)]]
        case "RUN" | "CMD" | "ENTRYPOINT":
            return [
                [f"{made.name}={made.value.render()}" for made in command.assignments]
                + [word.text for word in command.words]
                + [redirect.operator + redirect.target.render() for redirect in command.redirects]
                for command in step.commands
                if command.words and command.name not in _ASKS_THE_MACHINE and not _is_string_for_shell(command)
            ]
        case "ARG":
            return [[made.name, made.value.render()] for made in step.assignments if not known or made.name in known]
        case "COPY" | "ADD":
            words = [word.text for word in step.words]
            if isinstance(step.copied_from, int) and step.copied_from in added:
                words = _fetched(step.copied_from, added)
            into = step.destination.text if step.destination else ""
            if len(words) == 1 and "://" in words[0]:
                into = into.removesuffix(words[0].rsplit("/", 1)[-1].split("?")[0])
            return [["bring", *words, into.rstrip("/")]]
    return [[made.name, made.value.render()] for made in step.assignments] + [[word.text for word in step.words]]


def _is_string_for_shell(command: Command) -> bool:
    """Whether it is ``sh -c '…'``, whose commands are there by themselves."""
    return command.name in SHELLS and any(re.fullmatch(r"-\w*c\w*", word.text) for word in command.arguments)


def _fetched(index: int, added: dict[int, StageTrace]) -> list[str]:
    """What the added stages ADD in a build for amd64."""
    stage = added[index]
    while stage.parent is not None:
        stage = added[stage.parent]
    return [word.text for step in stage.steps if step.instruction.keyword == "ADD" for word in step.words]


def _same(one: list[list[str]], other: list[list[str]]) -> bool:
    flat, also = [w for words in one for w in words], [w for words in other for w in words]
    return [len(words) for words in one] == [len(words) for words in other] and all(
        a == b or ("*" in b and fnmatchcase(a, b)) for a, b in zip(flat, also, strict=True)
    )
