"""The checksum that belongs to a download: where its digits are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from crossdock.read.pieces import HOLE
from crossdock.read.shell_model import FETCHERS, Assignment, Command, ShellWord
from crossdock.read.trace import StageTrace, Step
from crossdock.read.values import Origin
from crossdock.rules.base import Project
from crossdock.rules.names import without_names
from crossdock.rules.per_stage import per_stage
from crossdock.rules.sinks import Sink

_DIGEST = re.compile(
    r"(?<![0-9a-fA-F])(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})(?![0-9a-fA-F])"
)
_UNKNOWN = re.compile(rf"{HOLE}\s+\S")
_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_SIGNATURE = re.compile(r"\.(?:asc|sig|sign|gpg|minisig|pem|crt|cert|sha\d*(?:sums?)?|md5(?:sums?)?|sum|digest)$", re.I)
"""What is published beside a file to check it."""
_CHECKER = re.compile(r"(?:sha\d*|md5|b2)sum|shasum|md5|sha\d+|openssl|rhash|\[|test", re.I)
"""Programs that compare checksums. The shell's own test compares what such a program printed."""
_VERSION_CONTROL = frozenset({"git", "hg", "svn"})
"""What looks like a checksum there is a revision."""
_OUTPUT = re.compile(r"(?:-\w*[oO]|--output|--output-document)$")


@dataclass(frozen=True)
class Digest:
    """A literal checksum. ``variable`` is the ARG or ENV that holds it; else it is written at ``origin`` in the RUN of
    ``step``, or in a script."""

    text: str
    algorithm: str
    origin: Origin
    stage: StageTrace
    step: Step
    variable: str

    def has_counterpart(self, project: Project) -> bool:
        """Whether the author holds the checksum for arm64 in a variable of its own, and so chooses between them."""
        names = {made.name for _, step in project.trace.steps for made in step.assignments}
        names |= {word.text for _, step in project.trace.steps for word in step.declared}
        alike = [name for name in names if without_names(name) == without_names(self.variable)]
        return self.variable != "" and len(alike) > 1


def digest_of(project: Project, sink: Sink) -> Digest | None:
    """The checksum beside which the downloaded file is named, or else the next one before another download."""
    if sink.stage is None or is_signature(sink.text):
        return None
    names = _local_names(sink)
    nearest: Digest | None = None
    reached, follows = sink.command is None, False
    checked = any(_CHECKER.fullmatch(command.name) for command in sink.step.commands) or sink.script is not None
    for line in _lines(sink):
        if line.command is sink.command:
            reached = follows = True
            continue
        if line.urls and reached:
            if any(file_name(url) in names for url in line.urls):
                break
            follows = follows and all(belong_together(url, sink.text) for url in line.urls)
        for word in line.digests:
            digest = _digest_in(project, sink, line.step, word)
            if digest and any(_mentions(word.text, name) for name in names):
                return digest
            is_near = follows and line.step is sink.step and checked
            nearest = nearest or (digest if is_near else None)
    return nearest


def is_checked_with_unknown(sink: Sink) -> bool:
    """Whether the file is held against a checksum that comes from outside: the user gives it, for one architecture."""
    texts = [text for line in _lines(sink) for text in line.unknown]
    return any(re.search(rf"{HOLE}\s+\*?\S*{re.escape(name)}", text) for text in texts for name in _local_names(sink))


def _local_names(sink: Sink) -> set[str]:
    return {name for name in (file_name(sink.text), saved_as(sink)) if name and HOLE not in name}


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text) is not None


@dataclass(frozen=True)
class _Line:
    """What one command downloads, and its words in which there is a checksum, or something unknown before a name."""

    step: Step
    command: Command
    urls: tuple[str, ...]
    digests: tuple[ShellWord, ...]
    unknown: tuple[str, ...]


def _lines(sink: Sink) -> Sequence[_Line]:
    """Those of the sink's own script, or of its step and the later ones of the stage."""
    if sink.script:
        return _read((sink.step, command) for command in sink.script.trace.commands)
    if sink.stage is None:
        return ()
    lines = _of_stage(sink.stage)
    start = sink.step.instruction.span.start
    return [line for line in lines if line.step.instruction.span.start >= start]


@per_stage
def _of_stage(stage: StageTrace) -> Sequence[_Line]:
    return _read((step, command) for step in stage.steps for command in step.commands)


def _read(commands: Iterable[tuple[Step, Command]]) -> Sequence[_Line]:
    found: list[_Line] = []
    for step, command in commands:
        words = [*command.words, *(ShellWord(redirect.target, redirect.origin) for redirect in command.redirects)]
        texts = [word.text for word in words]
        urls = tuple(text for text in texts if "://" in text)
        digests = tuple(w for w, text in zip(words, texts, strict=True) if len(text) >= 32 and _DIGEST.search(text))
        digests = () if command.name in _VERSION_CONTROL else digests
        unknown = tuple(text for text in texts if HOLE in text and _UNKNOWN.search(text))
        if urls or digests or unknown:
            found.append(_Line(step, command, urls if command.name in FETCHERS else (), digests, unknown))
    return found


def file_name(url: str) -> str:
    """The last part of a URL: what curl -O, wget and ADD call the file."""
    return re.split(r"[?#]", url, maxsplit=1)[0].rstrip("/").rsplit("/", 1)[-1]


def saved_as(sink: Sink) -> str:
    """The name of the local file, if the command gives it one."""
    if sink.command is None:
        return sink.step.destination.text.rsplit("/", 1)[-1] if sink.step.destination else ""
    words = sink.command.words
    for option, word in pairwise(words):
        takes_name = _OUTPUT.match(option.text) and not (sink.command.name == "curl" and option.text.endswith("O"))
        if takes_name and "://" not in word.text:
            return word.text.rsplit("/", 1)[-1]
    for redirect in sink.command.redirects:
        if redirect.operator in {">", "1>"}:
            return redirect.target.render().rsplit("/", 1)[-1]
    return ""


def is_signature(url: str) -> bool:
    return _SIGNATURE.search(file_name(url)) is not None


def belong_together(one: str, other: str) -> bool:
    """Whether one URL is the signature or checksum file that is published beside the other."""
    longer, shorter = (one, other) if len(one) > len(other) else (other, one)
    return longer.startswith(shorter) and _SIGNATURE.fullmatch(longer[len(shorter) :]) is not None


def _digest_in(project: Project, sink: Sink, step: Step, word: ShellWord) -> Digest | None:
    match = _DIGEST.search(word.text)
    if not match or sink.stage is None or "://" in word.text:
        return None
    origins = word.value.origin_of(match.start(), match.end())
    if len(origins) != 1:
        return None
    origin = origins[0]
    found = Digest(match[0], _ALGORITHMS[len(match[0])], origin, sink.stage, step, "")
    if sink.script and origin.path == sink.script.source.path:
        return found
    if origin.path != project.dockerfile.source.path:
        return None
    if origin.span in step.instruction.span:
        return found
    defined = definition_at(project, sink.stage, origin)
    return replace(found, variable=defined[1].name) if defined else None


def definition_at(project: Project, stage: StageTrace, origin: Origin) -> tuple[Step, Assignment] | None:
    """The ARG or ENV, among those that a stage can see, in which something is written."""
    for step in (*project.trace.preamble, *stage.steps):
        for made in step.assignments:
            if step.instruction.keyword in {"ARG", "ENV"} and origin.span in made.origin.span:
                return step, made
    return None
