"""The Dockerfile as buildah must get it, for one platform, where its reading of Dockerfiles is behind BuildKit's.

What is changed, in memory only:

- FROM: the image's name and ``--platform`` with every variable replaced. buildah 1.28 gives ``$BUILDPLATFORM`` the
  target's value, knows ``${TARGETARCH}`` in a name only where it is declared, and takes the target platform for stages
  that have none, unless every FROM has one.
- Heredocs, before buildah 1.36 (1.33 to 1.35 read them, but expand those of RUN): RUN becomes its exec form with the
  same shell and the same text; COPY and ADD take the text from a file in a build context of ours. A script with ``#!``
  is such a file with every buildah: theirs lies in /dev, which chroot isolation covers with the machine's own.
- ``COPY --link``, before 1.41: left out; it changes how layers are cached, not what is in them.

What cannot be said in an older buildah's Dockerfile is an error with the line, before anything is built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from crossdock.engines.model import BuildRequest
from crossdock.errors import EngineError
from crossdock.platforms import Platform
from crossdock.read.dockerfile import parse
from crossdock.read.expand import assignment, expand_word
from crossdock.read.model import Dockerfile, Heredoc, Instruction, Stage, Word
from crossdock.read.values import Value, literal
from crossdock.source import Edit, Source, Span, apply_edits

HEREDOCS = "crossdock-heredocs"
"""The name of the build context that holds the text of heredocs."""
_HEREDOC_VERSION = (1, 36)
_LINK_VERSION = (1, 41)
_LONGEST_LINE = 60_000
"""Bytes. buildah reads lines of at most 64 KiB and ignores without a word what follows a longer one."""
_FLAG_VERSIONS: dict[tuple[str, str], tuple[int, int]] = {
    ("ADD", "checksum"): (1, 33),
    ("ADD", "exclude"): (1, 38),
    ("ADD", "link"): _LINK_VERSION,
    ("COPY", "exclude"): (1, 38),
    ("COPY", "parents"): (1, 40),
    ("HEALTHCHECK", "start-interval"): (1, 37),
    ("RUN", "network"): (1, 30),
}
"""From which buildah on a flag is understood. Older ones refuse it, but only once they reach the step."""
_NEVER = {("ADD", "keep-git-dir"), ("ADD", "unpack"), ("RUN", "security"), ("RUN", "device")}
_PLAIN_VARIABLE = re.compile(r"\\.|\$(?:\{(\w+)\}|(\w+))")
_HARD = re.compile(r"['\"`]|\$\{\w+[^\w}]")


@dataclass(frozen=True)
class HeredocFile:
    """Text that a COPY or a RUN with ``#!`` takes from the heredoc context. ``mode`` in POSIX bits."""

    path: str
    data: bytes = field(repr=False)
    mode: int


@dataclass(frozen=True)
class Step:
    """An instruction as people wrote it: its line, and its text without line continuations and heredocs' bodies."""

    line: int
    text: str


@dataclass(frozen=True)
class Prepared:
    """A Dockerfile for buildah; ``steps[stage][step]`` is the instruction of the original that a step comes from, both
    counted from 0 (a stage's step 0 is its FROM), and ``stages`` are the names of the stages."""

    dockerfile: bytes = field(repr=False)
    files: tuple[HeredocFile, ...]
    notes: tuple[str, ...]
    stages: tuple[str, ...]
    steps: tuple[tuple[Step, ...], ...]


def prepare(
    request: BuildRequest, platform: Platform, build: Platform, version: tuple[int, ...], environment: Mapping[str, str]
) -> Prepared:
    """Raises InputError for a Dockerfile that cannot be read, EngineError for what this buildah cannot do."""
    source = Source("Dockerfile", request.dockerfile)
    dockerfile = parse(source)
    arguments = given_arguments(request.build_args, environment)
    return _Preparation(dockerfile, platform, build, version, arguments).prepared()


def given_arguments(build_args: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """``--build-arg NAME=value``, and ``NAME`` from the environment; a name that is not set there is left out."""
    found: dict[str, str] = {}
    for text in build_args:
        name, equals, value = text.partition("=")
        if equals:
            found[name] = value
        elif name in environment:
            found[name] = environment[name]
    return found


def platform_arguments(target: Platform, build: Platform) -> dict[str, str]:
    """The arguments that BuildKit sets by itself (Dockerfile reference, automatic platform ARGs)."""
    found: dict[str, str] = {}
    for prefix, platform in (("TARGET", target), ("BUILD", build)):
        found[f"{prefix}PLATFORM"] = str(platform)
        found[f"{prefix}OS"] = platform.os
        found[f"{prefix}ARCH"] = platform.architecture
        found[f"{prefix}VARIANT"] = platform.variant
    return found


@dataclass
class _Scope:
    """What variables a stage's instructions see. ``closed`` tells that nothing unseen can set one: the base is
    ``scratch``, not an image with an environment of its own."""

    values: dict[str, str]
    closed: bool
    shell: tuple[str, ...] = ("/bin/sh", "-c")

    def lookup(self, name: str) -> Value | None:
        return literal(self.values[name]) if name in self.values else None


class _Preparation:
    def __init__(
        self,
        dockerfile: Dockerfile,
        target: Platform,
        build: Platform,
        version: tuple[int, ...],
        arguments: Mapping[str, str],
    ) -> None:
        self._dockerfile = dockerfile
        self._source = dockerfile.source
        self._target = target
        self._version = version
        self._arguments = arguments
        self._automatic = platform_arguments(target, build)
        self._edits: list[Edit] = []
        self._files: list[HeredocFile] = []
        self._notes: list[str] = []
        self._scopes: dict[int, _Scope] = {}

    def prepared(self) -> Prepared:
        globals_ = self._globals()
        for stage in self._dockerfile.stages:
            scope = self._scope(stage, self._from(stage, globals_))
            for instruction in stage.instructions:
                self._instruction(instruction, scope, globals_)
            self._scopes[stage.index] = scope
        data = apply_edits(self._source, self._edits).data
        self._refuse_long_lines(data)
        stages = self._dockerfile.stages
        return Prepared(
            data,
            tuple(self._files),
            tuple(dict.fromkeys(self._notes)),
            tuple(stage.label for stage in stages),
            tuple(tuple(self._step(entry) for entry in (stage.from_, *stage.instructions)) for stage in stages),
        )

    def _step(self, instruction: Instruction) -> Step:
        flags = [self._source.text(flag.span) for flag in instruction.flags]
        text = " ".join([instruction.keyword, *flags, *instruction.arguments.text.split()])
        return Step(self._line(instruction.span), text)

    def _globals(self) -> dict[str, str]:
        """What FROM sees: the arguments before it, and the automatic ones."""
        values = dict(self._automatic)
        for instruction in self._dockerfile.preamble:
            self._declare(instruction, values, self._automatic)
        return values

    def _declare(self, instruction: Instruction, values: dict[str, str], inherited: Mapping[str, str]) -> None:
        for word in instruction.words:
            name, value = self._assignment(word, values)
            if name in self._arguments:
                values[name] = self._arguments[name]
            elif value is not None:
                values[name] = value
            elif name in inherited:
                values[name] = inherited[name]

    def _assignment(self, word: Word, values: Mapping[str, str]) -> tuple[str, str | None]:
        name, value = assignment(
            word,
            lambda variable: literal(values[variable]) if variable in values else None,
            path=self._source.path,
            escape=self._dockerfile.escape,
        )
        return name.text, None if value is None else value.render("")

    def _from(self, stage: Stage, values: Mapping[str, str]) -> str:
        """Write out the variables of a FROM; return the base as it then reads."""

        def text(word: Word) -> str:
            found = expand_word(
                word,
                lambda name: literal(values[name]) if name in values else None,
                path=self._source.path,
                escape=self._dockerfile.escape,
            )
            return found.render("")

        base = text(stage.base)
        if not base:
            raise self._error(
                stage.from_, f"the base image {stage.base.text!r} is empty", "Give its ARG a default or --build-arg."
            )
        if base != stage.base.text:
            self._replace(stage.base.span, base)
        flag = stage.platform
        if flag is not None and flag.word is not None and flag.value_span is not None:
            self._replace(flag.value_span, text(flag.word) or str(self._target))
        elif self._dockerfile.stage(base, before=stage.index) is None and base != "scratch":
            at = stage.from_.keyword_span.end
            self._replace(Span(at, at), f" --platform={self._target}")
        return base

    def _scope(self, stage: Stage, name: str) -> _Scope:
        base = self._dockerfile.stage(name, before=stage.index)
        if base is not None and base.index in self._scopes:
            parent = self._scopes[base.index]
            return _Scope(dict(parent.values), parent.closed, parent.shell)
        return _Scope({}, name == "scratch")

    def _instruction(self, instruction: Instruction, scope: _Scope, globals_: Mapping[str, str]) -> None:
        self._check_flags(instruction)
        if instruction.keyword == "ARG":
            self._declare(instruction, scope.values, globals_)
        elif instruction.keyword == "ENV":
            scope.values |= {
                name: value or ""
                for name, value in [self._assignment(word, scope.values) for word in instruction.words]
            }
        elif instruction.keyword == "SHELL" and instruction.exec_form:
            scope.shell = tuple(word.text for word in instruction.exec_form)
        elif instruction.trigger is not None:
            self._check_flags(instruction.trigger)
            if instruction.trigger.heredocs and self._version < _HEREDOC_VERSION:
                raise self._too_old(instruction, "a heredoc in ONBUILD", _HEREDOC_VERSION)
        if not instruction.heredocs:
            return
        old = self._version < _HEREDOC_VERSION
        if instruction.keyword == "RUN" and (old or self._is_program(instruction)):
            self._run_heredoc(instruction, scope)
        elif instruction.keyword != "RUN" and old:
            self._copy_heredoc(instruction, scope)

    def _check_flags(self, instruction: Instruction) -> None:
        for flag in instruction.flags:
            key = (instruction.keyword, flag.name)
            if key == ("COPY", "link") and self._version < _LINK_VERSION:
                if not instruction.heredocs or self._version >= _HEREDOC_VERSION:  # else the line is written anew
                    self._replace(flag.span, "")
                self._notes.append("COPY --link is left out: this buildah does not know it; the content is the same.")
            elif key in _NEVER:
                raise self._error(
                    instruction,
                    f"buildah does not know {key[0]} --{key[1]}",
                    "Use --engine buildx for this Dockerfile.",
                )
            elif key in _FLAG_VERSIONS and self._version < _FLAG_VERSIONS[key]:
                raise self._too_old(instruction, f"{key[0]} --{key[1]}", _FLAG_VERSIONS[key])

    def _is_alone(self, instruction: Instruction) -> bool:
        """Whether the heredoc is the whole command."""
        first = instruction.heredocs[0]
        return len(instruction.heredocs) == 1 and instruction.arguments.text.strip() == self._source.text(first.marker)

    def _is_program(self, instruction: Instruction) -> bool:
        return self._is_alone(instruction) and instruction.heredocs[0].text.startswith("#!")

    def _run_heredoc(self, instruction: Instruction, scope: _Scope) -> None:
        """As BuildKit's dispatchRun does it: a lone heredoc is the script, or with ``#!`` a file that is executed; in
        a longer command the shell gets the heredocs as they were written."""
        text = instruction.arguments.text
        first = instruction.heredocs[0]
        arguments = Span(instruction.arguments.offsets[0], instruction.span.end)
        if self._is_program(instruction):
            path = self._file(first, _body(first), 0o755)
            target = f"/run/crossdock/{first.name}"
            mount = f"--mount=type=bind,from={HEREDOCS},source=/{path},target={target}"
            self._replace(arguments, f"{mount} {json.dumps([target])}")
            return
        script = (
            _body(first)
            if self._is_alone(instruction)
            else text + "".join(f"\n{doc.text}{doc.name}" for doc in instruction.heredocs)
        )
        self._replace(arguments, json.dumps([*scope.shell, script], ensure_ascii=False))

    def _copy_heredoc(self, instruction: Instruction, scope: _Scope) -> None:
        *sources, destination = instruction.words
        markers = {doc.marker for doc in instruction.heredocs}
        if any(word.span not in markers for word in sources):
            raise self._too_old(instruction, f"{instruction.keyword} of heredocs together with files", _HEREDOC_VERSION)
        paths = [self._file(doc, self._expanded(doc, instruction, scope), 0o644) for doc in instruction.heredocs]
        flags = [self._source.text(flag.span) for flag in instruction.flags if flag.name != "link"]
        if not instruction.flag("chown"):
            flags.append("--chown=0:0")
        words = [*flags, f"--from={HEREDOCS}", *paths, self._source.text(destination.span)]
        self._replace(instruction.span, f"COPY {' '.join(words)}")

    def _file(self, doc: Heredoc, text: str, mode: int) -> str:
        path = f"{len(self._files)}/{doc.name}"
        self._files.append(HeredocFile(path, text.encode("utf-8", "surrogateescape"), mode))
        return path

    def _expanded(self, doc: Heredoc, instruction: Instruction, scope: _Scope) -> str:
        text = _body(doc)
        if not doc.expand or "$" not in text:
            return text
        if _HARD.search(text):
            raise self._too_old(instruction, "quotes or modifiers of variables in a heredoc", _HEREDOC_VERSION)

        def value(match: re.Match[str]) -> str:
            name = match[1] or match[2]
            if name is None:
                return match[0]
            if name not in scope.values and not scope.closed:
                raise self._too_old(
                    instruction, f"${name} in a heredoc, which the base image may set,", _HEREDOC_VERSION
                )
            return scope.values.get(name, "")

        return _PLAIN_VARIABLE.sub(value, text)

    def _refuse_long_lines(self, data: bytes) -> None:
        if self._version >= _HEREDOC_VERSION:
            return
        for number, line in enumerate(data.split(b"\n"), start=1):
            if len(line) > _LONGEST_LINE:
                raise EngineError(
                    f"a line of {len(line)} bytes is longer than this buildah reads",
                    where=f"{self._source.path}:{number}",
                    hint="Put the text into a file and COPY it, or use --engine buildx.",
                )

    def _replace(self, span: Span, text: str) -> None:
        self._edits.append(Edit(self._source.path, span, text.encode("utf-8", "surrogateescape")))

    def _line(self, span: Span) -> int:
        return self._source.position(span.start).line

    def _too_old(self, instruction: Instruction, what: str, since: tuple[int, ...]) -> EngineError:
        have, need = (".".join(map(str, version)) for version in (self._version, since))
        return self._error(
            instruction,
            f"buildah {have} cannot do it: {what} needs buildah {need}",
            f"Update buildah to {need}, or use --engine buildx.",
        )

    def _error(self, instruction: Instruction, what: str, hint: str) -> EngineError:
        return EngineError(what, where=f"{self._source.path}:{self._line(instruction.span)}", hint=hint)


def _body(doc: Heredoc) -> str:
    if not doc.strip_tabs:
        return doc.text
    return "".join(line.lstrip("\t") for line in _lines(doc.text))


def _lines(text: str) -> Iterator[str]:
    yield from re.findall(r"[^\n]*\n|[^\n]+", text)
