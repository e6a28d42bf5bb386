"""What depends on the name of a downloaded file: its local name, folders in the archive, what checks or removes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from crossdock.read.shell_model import Assignment, Command
from crossdock.read.trace import StageTrace, Step
from crossdock.read.values import Origin, Value
from crossdock.rules.base import Project
from crossdock.rules.checksums import definition_at, file_name, saved_as
from crossdock.rules.per_stage import per_stage
from crossdock.rules.place import expands
from crossdock.rules.sinks import Kind, Sink

_EXTENSION = re.compile(
    r"(?:\.tar)?\.(?:tar|gz|tgz|tbz2?|txz|zip|xz|bz2|zst|lz4|deb|rpm|apk|whl|jar|sh|run|bin|exe)$"
    r"|\.(?:asc|sig|sign|gpg|minisig|pem|sha\d*(?:sums?)?|md5(?:sums?)?|sum)$",
    re.IGNORECASE,
)
_STARTS = frozenset({"CMD", "ENTRYPOINT"})
_BREAKS = re.compile(r"[/\s'\"=;,:()*?]+")
_PLATFORM = re.compile(r"[-_.]?(?:v?\d|linux|amd64|x86|x64|gnu|musl|unknown).*$", re.IGNORECASE)


@dataclass(frozen=True)
class Dependent:
    """An amd64 word that names what was downloaded, used in ``step``.

    It is written at ``origin``: there, or in the ARG or ENV that ``defined`` is. ``name`` is the part of a path that it
    belongs to. ``shell`` says that a shell reads it, ``fixed`` that nobody would expand a variable there.
    """

    step: Step
    origin: Origin
    word: str
    name: str
    shell: bool
    fixed: bool = False
    defined: tuple[Step, Assignment] | None = None


def dependents(project: Project, sink: Sink, words: tuple[str, ...], whole: bool) -> Iterator[Dependent]:
    """The places in the sink's stage that name the file or a folder called after it.

    ``whole``: the amd64 file's name has no amd64 word, so that only the whole name can be recognised, where it is a
    path of its own.
    """
    if sink.stage is None or sink.script is not None or (whole and saved_as(sink)):
        return
    rivals = [
        s
        for s in project.sinks
        if s.kind in {Kind.DOWNLOAD, Kind.PACKAGE_FILE} and s.stage is sink.stage and s.script is None
    ]
    taken = {mark.origin for other in project.sinks for mark in other.marks}
    start = sink.step.instruction.span.start
    for step, value, text, is_last in _of_stage(sink.stage):
        if step.instruction.span.start < start or (whole and is_last):
            continue
        shell = step.instruction.keyword == "RUN"
        for word in words:
            if word not in text:
                continue
            for begin, end, segment in _mentions(text, word, sink, whole):
                origins = value.origin_of(begin, end)
                if len(origins) != 1 or origins[0] in taken:
                    continue
                here = origins[0].span in step.instruction.span
                at = origins[0].span.start if here else step.instruction.span.end
                if not whole and _owner(segment, word, at, rivals) is not sink:
                    continue
                if here:
                    yield Dependent(step, origins[0], word, segment, shell, fixed=step.instruction.keyword in _STARTS)
                elif shell and (defined := definition_at(project, sink.stage, origins[0])):
                    yield Dependent(step, origins[0], word, segment, shell, defined=defined)


_Text = tuple[Step, Value, str, bool]


@per_stage
def _of_stage(stage: StageTrace) -> Sequence[_Text]:
    """What the steps of a stage say, without URLs."""
    texts = ((step, value, value.render(), is_last) for step in stage.steps for value, is_last in _texts(step))
    return [entry for entry in texts if "://" not in entry[2]]


def _texts(step: Step) -> Iterator[tuple[Value, bool]]:
    """What a step says, and whether it is where mv, cp, install or ln put something."""
    match step.instruction.keyword:
        case "RUN":
            if not expands(step.instruction) and step.instruction.heredocs:
                return
            for command in step.commands:
                yield from _of_command(command)
        case "ENV" | "ARG":
            yield from ((made.value, False) for made in step.assignments)
        case "WORKDIR" | "CMD" | "ENTRYPOINT":
            yield from ((word.value, False) for word in step.words)


def _of_command(command: Command) -> Iterator[tuple[Value, bool]]:
    puts = command.name in {"mv", "cp", "install", "ln"}
    for number, word in enumerate(command.words):
        yield word.value, puts and number == len(command.words) - 1
    yield from ((redirect.target, False) for redirect in command.redirects)
    yield from ((made.value, False) for made in command.assignments)


def _mentions(text: str, word: str, sink: Sink, whole: bool) -> Iterator[tuple[int, int, str]]:
    """Where the word stands in the text, and the part of a path that it belongs to."""
    name = file_name(sink.text)
    if whole:
        if text.removeprefix("./") == name and word in name:
            start = text.rindex(name) + name.rindex(word)
            yield start, start + len(word), name
        return
    for match in re.finditer(re.escape(word), text):
        starts = [found.end() for found in _BREAKS.finditer(text, 0, match.start())]
        ends = [found.start() for found in _BREAKS.finditer(text, match.end())]
        yield *match.span(), text[max(starts, default=0) : min(ends, default=len(text))]


def _owner(segment: str, word: str, at: int, downloads: list[Sink]) -> Sink | None:
    """The download whose name is most like a part of a path that is written at ``at``: of several the last one above
    it, or else the first one below."""
    likenesses = [_likeness(segment, file_name(download.text), word) for download in downloads]
    best = max(likenesses, default=0)
    alike = [download for download, likeness in zip(downloads, likenesses, strict=True) if likeness == best]
    above = [download for download in alike if download.origin.span.start < at]
    return (above[-1] if above else alike[0]) if best else None


@lru_cache(maxsize=4096)
def _likeness(segment: str, name: str, word: str) -> int:
    """How sure it is that a part of a path belongs to a downloaded file: 0 is not at all."""
    bare, stem = _stem(segment), _stem(name)
    if segment == name or bare == stem:
        return 4
    if bare == word or word not in bare:
        return 0
    if _contains(stem, bare) or _contains(bare, stem):
        return 3
    product = _product(stem)
    return 2 if product and product == _product(bare) else 0


def _stem(name: str) -> str:
    while (shorter := _EXTENSION.sub("", name)) != name and shorter:
        name = shorter
    return name.rstrip(".")


def _contains(text: str, part: str) -> bool:
    """Whether the part stands in the text, not in the middle of a word."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(part)}(?![A-Za-z0-9])", text) is not None


def _product(stem: str) -> str:
    """``tool`` of tool_1.2_linux-amd64."""
    return _PLATFORM.sub("", stem.lower()).strip("-_.")
