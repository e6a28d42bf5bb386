"""Evaluates a whole Dockerfile for one target platform: scopes, stages, every RUN, and the scripts that it runs.

Source: BuildKit's Dockerfile reference ("Automatic platform ARGs in the global scope", "ARG", "FROM", "SHELL") and
frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import islice
from posixpath import normpath

from crossdock.findings import Skipped
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.read.context import Context
from crossdock.read.expand import ExpansionError, assignment, expand_word
from crossdock.read.model import Dockerfile, Heredoc, Instruction, LogicalText, Stage, Word
from crossdock.read.pieces import HOLE
from crossdock.read.script import is_shell_script, script_text
from crossdock.read.shell import evaluate, evaluate_words
from crossdock.read.shell_model import (
    BUILD_PLATFORM,
    Assignment,
    Command,
    Machine,
    ShellTrace,
    ShellWord,
    UnsetUse,
    plain_text,
    resolve,
)
from crossdock.read.values import UNKNOWN, Fragment, Origin, Value, literal
from crossdock.source import Source

PLATFORM_ARGUMENTS = frozenset(
    f"{kind}{what}" for kind in ("TARGET", "BUILD") for what in ("PLATFORM", "OS", "ARCH", "VARIANT")
)
"""The variables BuildKit sets by itself."""
_SEARCH_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_MOST_NESTED_SCRIPTS = 4
_MOST_WAYS = 4
"""Places in the context that a path in another stage may be from, the last COPY's first."""
MOST_INSTRUCTIONS = 10_000
"""Evaluated in one Dockerfile; a longer one was generated, and what follows is reported as skipped."""
_WRAPPERS = frozenset(
    "tini dumb-init gosu su-exec exec env sudo nohup time setpriv catatonit /init with-contenv".split()
)


class Role(StrEnum):
    """Where a stage's commands run."""

    TARGET = "target"
    """On the platform that is built for."""
    BUILD = "build"
    """Always on the machine that builds: ``FROM --platform=$BUILDPLATFORM``."""


@dataclass(frozen=True)
class Copied:
    """A file or folder of the context and where it came to lie: ``into`` if it was a folder, else ``place``."""

    source: str
    into: str
    place: str


def context_paths(place: str, copies: Sequence[Copied]) -> Iterator[str]:
    """The files of the context that can lie at an absolute path in the image; the last COPY, which wins, first."""
    for copied in reversed(copies):
        if place == copied.place:
            yield copied.source
        folder, _, pattern = copied.source.rpartition("/")
        name = place.rsplit("/", 1)[-1]
        if "*" in pattern and normpath(f"{copied.into}/{name}") == place and fnmatchcase(name, pattern):
            yield normpath(f"{folder or '.'}/{name}")
        for base in dict.fromkeys((copied.place, copied.into)):
            prefix = base.rstrip("/") + "/"
            if place.startswith(prefix):
                found = normpath(f"{copied.source}/{place[len(prefix) :]}")
                if not found.startswith(".."):
                    yield found


@dataclass(frozen=True)
class ScriptRun:
    """A script of the context that is run: while building, or when the container starts."""

    source: Source
    trace: ShellTrace
    at_start: bool
    context_path: str


@dataclass(frozen=True)
class Step:
    """One instruction, evaluated. ``scope`` is what it sees (ARG and ENV)."""

    instruction: Instruction
    scope: Mapping[str, Value] = field(repr=False)
    assignments: tuple[Assignment, ...] = ()
    """ENV, ARG with a default, LABEL."""
    declared: tuple[Word, ...] = ()
    """The names an ARG declares."""
    words: tuple[ShellWord, ...] = ()
    """FROM: the base. COPY, ADD: the sources. CMD, ENTRYPOINT, WORKDIR: what they say."""
    destination: ShellWord | None = None
    directory: Value = field(default_factory=Value)
    copied_from: int | str | None = None
    """COPY --from: the number of a stage, or the name of an image."""
    shell: ShellTrace | None = None
    scripts: tuple[ScriptRun, ...] = ()
    unset: tuple[UnsetUse, ...] = ()
    copies: tuple[Copied, ...] = ()
    """RUN: what of the context lies where at that moment."""

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands of RUN, without those in scripts."""
        return self.shell.commands if self.shell else ()


@dataclass(frozen=True)
class StageTrace:
    """One stage. ``environment`` is the ENV at its end; ``amd64_only`` says that only an amd64 build needs it, or that
    it is for Windows."""

    stage: Stage
    base: Value
    parent: int | None
    platform: Value | None
    role: Role
    steps: tuple[Step, ...]
    environment: Mapping[str, Value] = field(repr=False)
    needs: frozenset[int]
    amd64_only: bool = False
    is_image: bool = False
    """Whether the image itself is made here: the wanted stage, and those that it goes on from."""
    reaches_image: bool = False
    """Whether the wanted stage (the last one, or ``--target``) needs it on the target platform."""
    unset: tuple[UnsetUse, ...] = ()


@dataclass(frozen=True)
class Trace:
    """What a Dockerfile does when it is built for ``target``. All rules share one."""

    dockerfile: Dockerfile
    target: Platform
    preamble: tuple[Step, ...]
    global_scope: Mapping[str, Value] = field(repr=False)
    stages: tuple[StageTrace, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def steps(self) -> Iterable[tuple[StageTrace, Step]]:
        """Every step of every stage in order, FROM first."""
        return ((stage, step) for stage in self.stages for step in stage.steps)


def trace(
    dockerfile: Dockerfile,
    *,
    context: Context | None = None,
    build_args: Mapping[str, str] | None = None,
    target: Platform = ARM64,
    wanted: str | None = None,
) -> Trace:
    """Evaluate. ``build_args`` are the user's ``--build-arg``; ``wanted`` is ``--target``. Never raises for what a
    readable Dockerfile holds: what cannot be followed is told in ``skipped``."""
    tracer = _Tracer(dockerfile, context, dict(build_args or {}), target)
    return tracer.run(wanted)


def platform_arguments(target: Platform, build: Platform = BUILD_PLATFORM) -> dict[str, Value]:
    """The automatic platform arguments' values."""
    out: dict[str, Value] = {}
    for kind, platform in (("TARGET", target), ("BUILD", build)):
        for what, text in (
            ("PLATFORM", str(platform)),
            ("OS", platform.os),
            ("ARCH", platform.architecture),
            ("VARIANT", platform.variant),
        ):
            out[kind + what] = literal(text).via(kind + what)
    return out


_WINDOWS = re.compile(
    r"(?:^|/)windows(?:[/:@]|$)|(?<![a-z])(?:windows)?servercore(?![a-z])|(?<![a-z])nanoserver(?![a-z])|dotnet/framework/"
)
"""Microsoft's images of Windows and of .NET Framework, and tags of images that are built on them."""


def _is_windows(base: Value, platform: Value | None) -> bool:
    """Whether a stage is made of Windows: its platform says so, or the image's name."""
    if platform is not None and platform.render().lower().startswith("windows"):
        return True
    return _WINDOWS.search(base.render()) is not None


class _Tracer:
    def __init__(
        self, dockerfile: Dockerfile, context: Context | None, build_args: dict[str, str], target: Platform
    ) -> None:
        self.dockerfile = dockerfile
        self.path = dockerfile.source.path
        self.context = context
        self.build_args = build_args
        self.target = target
        self.skipped: list[Skipped] = []
        self.global_scope: dict[str, Value] = {}
        self.done: list[_StageState] = []
        self.evaluated = 0
        self.script_sources: dict[str, Source] = {}
        self.image: set[int] = set()

    def run(self, wanted: str | None) -> Trace:
        preamble = self._preamble()
        last = (self.dockerfile.stage(wanted) if wanted else None) or self.dockerfile.stages[-1]
        goal = last.index
        self.image = self._chain(last)
        traces = [self._stage(stage) for stage in self.dockerfile.stages]
        arm = [trace.needs | ({trace.parent} if trace.parent is not None else set()) for trace in traces]
        amd = self._needs_for(AMD64)
        in_image = _reached(arm, {goal})
        used = set().union(*arm, *amd)
        roots = {index for index in range(len(traces)) if index not in used} | {goal}
        for_target, for_amd64 = _reached(arm, roots), _reached(amd, roots)
        stages = tuple(
            StageTrace(
                trace.stage,
                trace.base,
                trace.parent,
                trace.platform,
                trace.role,
                trace.steps,
                trace.environment,
                trace.needs,
                is_image=index in self.image,
                amd64_only=trace.windows or (index in for_amd64 and index not in for_target),
                reaches_image=index in in_image,
                unset=trace.unset,
            )
            for index, trace in enumerate(traces)
        )
        return Trace(
            self.dockerfile,
            self.target,
            preamble,
            self.global_scope,
            stages,
            tuple(dict.fromkeys(self.skipped)),
        )

    def _chain(self, last: Stage) -> set[int]:
        """A stage and those that it goes on from."""
        stage: Stage | None = last
        found: set[int] = set()
        while stage is not None:
            found.add(stage.index)
            base, _ = self._expanded(stage.base, self.global_scope)
            stage = self.dockerfile.stage(base.render(), before=stage.index)
        return found

    def _needs_for(self, target: Platform) -> list[set[int]]:
        """Which stages each stage needs when building for another platform."""
        if target == self.target:
            return [set(state.needs) | ({state.parent} if state.parent is not None else set()) for state in self.done]
        other = _Tracer(self.dockerfile, None, self.build_args, target)
        other._preamble()
        needs: list[set[int]] = []
        for stage in self.dockerfile.stages:
            base, _ = other._expanded(stage.base, other.global_scope)
            parent = self.dockerfile.stage(base.render(), before=stage.index)
            found = {parent.index} if parent else set()
            for instruction in stage.instructions:
                found |= self._references(instruction)
            needs.append(found)
        return needs

    def _references(self, instruction: Instruction) -> set[int]:
        found: set[int] = set()
        for flag in instruction.flags:
            reference = None
            if flag.name == "from" and flag.value:
                reference = flag.value
            elif flag.name == "mount" and flag.value and (match := re.search(r"(?:^|,)from=([^,]+)", flag.value)):
                reference = match[1]
            stage = self.dockerfile.stage(reference) if reference else None
            if stage:
                found.add(stage.index)
        return found

    # Instructions

    def _preamble(self) -> tuple[Step, ...]:
        scope = platform_arguments(self.target)
        for name, text in self.build_args.items():
            if name in PLATFORM_ARGUMENTS:
                scope[name] = literal(text).via(name)
        steps: list[Step] = []
        for instruction in self.dockerfile.preamble:
            step = self._arguments(instruction, scope, dict(scope), literal("/"))
            for made in step.assignments:
                scope[made.name] = made.value
            steps.append(step)
            for word in step.declared:
                if word.text not in scope:
                    given = self.build_args.get(word.text)
                    scope[word.text] = Value((Fragment(given, None, word.text),))
        self.global_scope = scope
        return tuple(steps)

    def _arguments(
        self, instruction: Instruction, seen: Mapping[str, Value], outer: Mapping[str, Value], directory: Value
    ) -> Step:
        """ARG: each name with the value it gets: the user's, its default, or that of the global scope."""
        made: list[Assignment] = []
        declared: list[Word] = []
        unset: list[UnsetUse] = []
        scope = dict(seen)
        for word in instruction.words:
            name, value = self._assignment(word, scope, unset)
            declared.append(name)
            origin = Origin(self.path, word.span)
            if name.text in self.build_args:
                value = literal(self.build_args[name.text])
            elif value is None:
                value = outer.get(name.text)
            if value is not None:
                made.append(Assignment(name.text, value, origin))
                scope[name.text] = value
        return Step(instruction, seen, tuple(made), tuple(declared), directory=directory, unset=tuple(unset))

    def _assignment(self, word: Word, scope: Mapping[str, Value], unset: list[UnsetUse]) -> tuple[Word, Value | None]:
        lookup = _Lookup(scope, self.path, word, unset)
        try:
            return assignment(word, lookup, path=self.path, escape=self.dockerfile.escape)
        except ExpansionError as error:
            self._say(error)
            name = re.match(r"\w*", word.text)
            return word.slice(0, name.end() if name else 0), UNKNOWN

    def _expanded(self, word: Word, scope: Mapping[str, Value]) -> tuple[Value, tuple[UnsetUse, ...]]:
        unset: list[UnsetUse] = []
        try:
            value = expand_word(
                word, _Lookup(scope, self.path, word, unset), path=self.path, escape=self.dockerfile.escape
            )
        except ExpansionError as error:
            self._say(error)
            value = UNKNOWN
        return value, tuple(unset)

    def _say(self, error: ExpansionError) -> None:
        self.skipped.append(Skipped(f"a substitution in {self.path}", error.what))

    def _stage(self, stage: Stage) -> _StageState:
        base, unset = self._expanded(stage.base, self.global_scope)
        parent = self.dockerfile.stage(base.render(), before=stage.index)
        platform = None
        if stage.platform and stage.platform.word:
            platform, _ = self._expanded(stage.platform.word, self.global_scope)
        state = _StageState(stage, base, parent.index if parent else None, platform)
        state.windows = _is_windows(base, platform)
        if parent:
            state.inherit(self.done[parent.index])
            state.windows = self.done[parent.index].windows
        if platform is not None and (
            any(f.variable.startswith("BUILD") for f in platform) or self._crosses(stage, platform)
        ):
            state.role = Role.BUILD
        elif platform is not None:
            state.role = Role.TARGET
        # The image is for the target, wherever a mistaken --platform lets it be made.
        builds = state.role is Role.BUILD and stage.index not in self.image
        state.machine = Machine(BUILD_PLATFORM if builds else self.target, self.target)
        state.steps_.append(
            Step(
                stage.from_,
                self.global_scope,
                words=(ShellWord(base, Origin(self.path, stage.base.span)),),
                unset=unset,
            )
        )
        for instruction in stage.instructions:
            state.steps_.append(self._step(instruction.trigger or instruction, state))
        state.needs_ = {index for instruction in stage.instructions for index in self._references(instruction)}
        self.done.append(state)
        return state

    def _crosses(self, stage: Stage, platform: Value) -> bool:
        """Whether a stage that is fixed to amd64 asks what it shall build for: it stands for the build platform."""
        if platform.render().lower().removeprefix("linux/") not in {"amd64", "x86_64"}:
            return False
        if stage.index in self.image:
            return False
        asked = {"TARGETARCH", "TARGETPLATFORM"}
        return any(
            word.text in asked
            for instruction in stage.instructions
            if instruction.keyword == "ARG"
            for word in instruction.words
        )

    def _step(self, instruction: Instruction, state: _StageState) -> Step:
        self.evaluated += 1
        if self.evaluated > MOST_INSTRUCTIONS:
            self.skipped.append(
                Skipped(f"the rest of {self.path}", f"only the first {MOST_INSTRUCTIONS} instructions are evaluated")
            )
            return Step(instruction, {})
        match instruction.keyword:
            case "ARG":
                step = self._arguments(instruction, state.scope, self.global_scope, state.directory)
                given = {made.name for made in step.assignments}
                state.open |= given - self.build_args.keys() - PLATFORM_ARGUMENTS
                for made in step.assignments:
                    state.arguments[made.name] = made.value.via(made.name)
                for word in step.declared:
                    if word.text not in given:
                        state.arguments[word.text] = Value((Fragment(None, None, word.text),))
                return step
            case "ENV" | "LABEL":
                return self._environment(instruction, state)
            case "COPY" | "ADD":
                return self._copy(instruction, state)
            case "RUN":
                return self._run(instruction, state)
            case "CMD" | "ENTRYPOINT":
                return self._start(instruction, state)
            case "WORKDIR":
                step = self._plain(instruction, state)
                if step.words:
                    state.directory = resolve(state.directory, step.words[0].value)
                return step
            case "SHELL":
                state.shell = tuple(word.text for word in instruction.exec_form or ())
        return Step(instruction, state.scope, directory=state.directory)

    def _environment(self, instruction: Instruction, state: _StageState) -> Step:
        made: list[Assignment] = []
        unset: list[UnsetUse] = []
        scope = state.scope
        for word in instruction.words:
            name, value = self._assignment(word, scope, unset)
            made.append(Assignment(name.text, value or Value(), Origin(self.path, word.span)))
        if instruction.keyword == "ENV":
            for assigned in made:
                state.environment[assigned.name] = assigned.value
        return Step(instruction, scope, tuple(made), directory=state.directory, unset=tuple(unset))

    def _plain(self, instruction: Instruction, state: _StageState) -> Step:
        scope = state.scope
        words, unset = self._words(instruction.words, scope)
        return Step(instruction, scope, words=words, directory=state.directory, unset=unset)

    def _words(
        self, words: Iterable[Word], scope: Mapping[str, Value]
    ) -> tuple[tuple[ShellWord, ...], tuple[UnsetUse, ...]]:
        out: list[ShellWord] = []
        unset: list[UnsetUse] = []
        for word in words:
            value, missing = self._expanded(word, scope)
            out.append(ShellWord(value, Origin(self.path, word.span)))
            unset += missing
        return tuple(out), tuple(unset)

    def _copy(self, instruction: Instruction, state: _StageState) -> Step:
        scope = state.scope
        words, unset = self._words(instruction.words, scope)
        if len(words) < 2:
            return Step(instruction, scope, words=words, directory=state.directory, unset=unset)
        destination = words[-1]
        sources = words[:-1]
        copied_from: int | str | None = None
        flag = instruction.flag("from")
        if flag and flag.value:
            stage = self.dockerfile.stage(flag.value)
            copied_from = stage.index if stage else flag.value
        into = resolve(state.directory, destination.value).render()
        for source in sources:
            text = source.text
            heredoc = next((h for h in instruction.heredocs if h.marker == source.origin.span), None)
            name = heredoc.name if heredoc else text.rstrip("/").rsplit("/", 1)[-1]
            single = len(sources) == 1 and not into.endswith("/") and destination.text not in {".", "./"}
            place = normpath(into if single else f"{into.rstrip('/')}/{name}")
            if heredoc:
                state.inline[place] = heredoc
            elif flag is None and "://" not in text:
                state.copied.append(Copied(normpath(text.lstrip("/") or "."), normpath(into), place))
            elif isinstance(copied_from, int) and copied_from < len(self.done):
                self._take_over(self.done[copied_from], normpath(text), normpath(into), place, state)
        return Step(
            instruction, scope, words=sources, destination=destination, directory=state.directory,
            copied_from=copied_from, unset=unset,
        )  # fmt: skip

    def _take_over(self, other: _StageState, source: str, into: str, place: str, state: _StageState) -> None:
        """Files of the context that came through another stage."""
        for path, heredoc in list(other.inline.items()):
            if path == source:
                state.inline[place] = heredoc
        for path, content in other.files.items():
            if path == source:
                state.files[place] = content
        # What is no file of the context is not found there later; a folder's files are.
        paths = dict.fromkeys(islice(context_paths(source, other.copied), _MOST_WAYS))
        state.copied += [Copied(path, into, place) for path in reversed(paths)]

    def _run(self, instruction: Instruction, state: _StageState) -> Step:
        scope = state.scope
        if not _is_posix_shell(state.shell) and not instruction.exec_form:
            self.skipped.append(Skipped(f"a RUN in {self.path}", f"its shell is {state.shell[0]}"))
            return Step(instruction, scope, directory=state.directory)
        for flag in instruction.flags:
            if flag.name == "mount" and flag.value:
                self._mount(flag.value, state)
        copies = tuple(state.copied)
        machine = replace(state.machine, open=frozenset(state.open))
        if instruction.exec_form:
            words = tuple(
                ShellWord(literal(word.text, Origin(self.path, word.span)), Origin(self.path, word.span))
                for word in instruction.exec_form
            )
            traced = evaluate_words(
                words, self.path, variables=scope, machine=machine, directory=state.directory, files=state.files
            )
        else:
            text = self._run_text(instruction)
            if text is None:
                self.skipped.append(Skipped(f"a RUN in {self.path}", "its heredoc is not for a shell"))
                return Step(instruction, scope, directory=state.directory)
            traced = evaluate(
                text,
                self.path,
                variables=scope,
                machine=machine,
                directory=state.directory,
                files=state.files,
                errexit=any(re.fullmatch(r"-\w*e\w*", word) for word in state.shell[1:]),
            )
        state.files = dict(traced.files)
        self.skipped += traced.skipped
        scripts = self._scripts(traced.commands, state, at_start=False, depth=0)
        return Step(
            instruction, scope, directory=state.directory, shell=traced, scripts=scripts, unset=traced.unset,
            copies=copies,
        )  # fmt: skip

    def _run_text(self, instruction: Instruction) -> LogicalText | None:
        """The text the shell gets; with heredocs their bodies follow the command, or are the whole script."""
        if not instruction.heredocs:
            return instruction.arguments
        if len(instruction.heredocs) == 1 and re.fullmatch(r"\s*<<-?\s*\S+\s*", instruction.arguments.text):
            heredoc = instruction.heredocs[0]
            if not is_shell_script("heredoc.sh", heredoc.text.lstrip().encode("utf-8", "surrogateescape")):
                return None
            return self._heredoc_text(heredoc)
        parts = [instruction.arguments]
        if moved := re.match(r"\s*(<<-?\s*\S+)\s+(?=[\w./])", instruction.arguments.text):
            # ``RUN <<EOF bash``: the grammar wants the command first.
            text, end = instruction.arguments, len(instruction.arguments.text)
            parts = [_cut(text, moved.end(), end), plain_text(" ", text.offsets[end]), _cut(text, *moved.span(1))]
        for heredoc in instruction.heredocs:
            end = heredoc.body.end
            parts.append(plain_text("\n", heredoc.body.start))
            parts.append(plain_text(heredoc.text, heredoc.body.start))
            parts.append(plain_text(heredoc.name + "\n", end))
        return _concatenated(parts)

    def _heredoc_text(self, heredoc: Heredoc) -> LogicalText:
        body = self.dockerfile.source.slice(heredoc.body)
        return script_text_at(body, heredoc.body.start, self.path)

    def _mount(self, value: str, state: _StageState) -> None:
        options = dict(part.partition("=")[::2] for part in value.split(","))
        target = options.get("target") or options.get("dst") or options.get("destination")
        if options.get("type", "bind") != "bind" or not target or "from" in options:
            return
        source = normpath((options.get("source") or options.get("src") or ".").lstrip("/") or ".")
        place = normpath(resolve(state.directory, literal(target)).render())
        state.copied.append(Copied(source, place, place))

    def _start(self, instruction: Instruction, state: _StageState) -> Step:
        scope = state.scope
        words: tuple[ShellWord, ...] = ()
        traced: ShellTrace | None = None
        machine = Machine(self.target, self.target)
        if instruction.exec_form:
            words = tuple(
                ShellWord(literal(word.text, Origin(self.path, word.span)), Origin(self.path, word.span))
                for word in instruction.exec_form
            )
            traced = evaluate_words(
                words, self.path, variables=state.environment, machine=machine, directory=state.directory
            )
        elif _is_posix_shell(state.shell):
            traced = evaluate(
                instruction.arguments,
                self.path,
                variables=state.environment,
                machine=machine,
                directory=state.directory,
            )
        scripts = self._scripts(traced.commands, state, at_start=True, depth=0) if traced else ()
        return Step(instruction, scope, words=words, directory=state.directory, shell=traced, scripts=scripts)

    # Scripts

    def _scripts(
        self, commands: Iterable[Command], state: _StageState, *, at_start: bool, depth: int
    ) -> tuple[ScriptRun, ...]:
        """The scripts of the context that these commands start, and those that they start in turn."""
        if (self.context is None and not state.inline) or depth >= _MOST_NESTED_SCRIPTS:
            return ()
        runs: list[ScriptRun] = []
        for command in commands:
            for number, word in enumerate(_program_candidates(command)):
                found = self._script(word.text, command.directory, state)
                if found is None:
                    continue
                source, text, relative = found
                variables = {k: v for k, v in command.scope.items() if k in command.exported}
                if command.name in {".", "source"}:
                    variables = dict(command.scope)
                variables |= {made.name: made.value for made in command.assignments}
                position = command.words.index(word)
                traced = evaluate(
                    text,
                    source.path,
                    variables=variables,
                    machine=Machine(self.target, self.target)
                    if at_start
                    else replace(state.machine, open=frozenset(state.open)),
                    arguments=tuple(later.value for later in command.words[position + 1 :]),
                    directory=command.directory,
                    files=state.files,
                )
                if not at_start:
                    state.files = dict(traced.files)
                self.skipped += traced.skipped
                runs.append(ScriptRun(source, traced, at_start, relative))
                runs += self._scripts(traced.commands, state, at_start=at_start, depth=depth + 1)
                if number == 0 or not at_start:
                    break
        return tuple(runs)

    def _script(self, name: str, directory: Value, state: _StageState) -> tuple[Source, LogicalText, str] | None:
        if not name or HOLE in name or name.startswith("-") or "://" in name:
            return None
        if "/" in name:
            places = [normpath(resolve(directory, literal(name)).render())]
        else:
            places = [normpath(f"{folder.rstrip('/')}/{name}") for folder in (directory.render(), *_SEARCH_PATH)]
        for place in places:
            heredoc = state.inline.get(place)
            if heredoc is not None:
                body = self.dockerfile.source.slice(heredoc.body)
                if is_shell_script(f"{place}.sh", body):
                    return self.dockerfile.source, self._heredoc_text(heredoc), ""
            relative = self._context_path(place, state)
            source = self._read(relative) if relative else None
            if source and relative:
                return source, script_text(source), relative
        return None

    def _context_path(self, place: str, state: _StageState) -> str | None:
        """The file of the context that lies at an absolute path in the image; the last COPY wins."""
        for candidate in context_paths(place, state.copied):
            if self._read(candidate) is not None:
                return candidate
        return None

    def _read(self, relative: str) -> Source | None:
        if relative in self.script_sources:
            return self.script_sources[relative]
        if self.context is None or HOLE in relative or "*" in relative:
            return None
        data = self.context.read(relative)
        if data is None or not is_shell_script(relative, data):
            return None
        source = Source(str(self.context.root / relative), data)
        self.script_sources[relative] = source
        return source


class _StageState:
    """A stage while it is walked."""

    def __init__(self, stage: Stage, base: Value, parent: int | None, platform: Value | None) -> None:
        self.stage, self.base, self.parent, self.platform = stage, base, parent, platform
        self.role = Role.TARGET
        self.windows = False
        self.machine = Machine()
        self.environment: dict[str, Value] = {}
        self.arguments: dict[str, Value] = {}
        self.open: set[str] = set()
        self.directory = literal("/")
        self.shell: tuple[str, ...] = ("/bin/sh", "-c")
        self.files: dict[str, Value] = {}
        self.inline: dict[str, Heredoc] = {}
        self.copied: list[Copied] = []
        self.steps_: list[Step] = []
        self.needs_: set[int] = set()

    def inherit(self, parent: _StageState) -> None:
        """What FROM an earlier stage brings: ENV, ARG, WORKDIR, SHELL and the files."""
        self.role = parent.role
        self.arguments, self.open = dict(parent.arguments), set(parent.open)
        self.environment = dict(parent.environment)
        self.directory, self.shell = parent.directory, parent.shell
        self.files, self.inline, self.copied = dict(parent.files), dict(parent.inline), list(parent.copied)

    @property
    def scope(self) -> dict[str, Value]:
        """What an instruction sees: ENV hides ARG."""
        return {**self.arguments, **self.environment}

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self.steps_)

    @property
    def needs(self) -> frozenset[int]:
        return frozenset(self.needs_)

    @property
    def unset(self) -> tuple[UnsetUse, ...]:
        return tuple(dict.fromkeys(use for step in self.steps_ for use in step.unset))


class _Lookup:
    """Variables for BuildKit's expansion, noting those that nothing sets."""

    def __init__(self, scope: Mapping[str, Value], path: str, word: Word, unset: list[UnsetUse]) -> None:
        self.scope, self.path, self.word, self.unset = scope, path, word, unset

    def __call__(self, name: str) -> Value | None:
        value = self.scope.get(name)
        if value is None and re.fullmatch(r"[A-Za-z_]\w*", name):
            match = re.search(rf"\$\{{?{name}\b", self.word.text)
            span = self.word.slice(match.start(), match.end()).span if match else self.word.span
            self.unset.append(UnsetUse(name, Origin(self.path, span)))
            if match and re.match(r":?[-+]", self.word.text[match.end() :]):
                return None
            return Value((Fragment(None, None, name),))
        return value


def _program_candidates(command: Command) -> list[ShellWord]:
    """The words of a command that can be the script it runs."""
    words = list(command.words)
    if not words:
        return []
    if command.name in {"sh", "bash", "ash", "dash", ".", "source"}:
        rest = words[1:]
        while rest and rest[0].text.startswith(("-", "+")):
            if re.fullmatch(r"-\w*c", rest[0].text):
                return []
            rest = rest[2:] if rest[0].text == "-o" else rest[1:]
        return rest[:1]
    if command.name in _WRAPPERS or words[0].text in _WRAPPERS:
        return [word for word in words[1:] if not word.text.startswith("-")][:2]
    return words[:1]


def _is_posix_shell(shell: tuple[str, ...]) -> bool:
    if not shell:
        return False
    name = shell[0].replace("\\", "/").rsplit("/", 1)[-1].lower().removesuffix(".exe")
    # What is none of these hands its last word to a POSIX shell in the end: scl, conda, a script of the base image.
    return re.fullmatch(r"cmd|powershell|pwsh|python[\d.]*|perl|ruby|node|php|fish|nu|xonsh|tclsh", name) is None


def _reached(needs: list[set[int]] | list[frozenset[int]], start: set[int]) -> set[int]:
    seen: set[int] = set()
    todo = list(start)
    while todo:
        index = todo.pop()
        if index not in seen and 0 <= index < len(needs):
            seen.add(index)
            todo += needs[index]
    return seen


def _cut(text: LogicalText, start: int, end: int) -> LogicalText:
    return LogicalText(text.text[start:end], text.offsets[start : end + 1])


def _concatenated(parts: list[LogicalText]) -> LogicalText:
    text = "".join(part.text for part in parts)
    offsets = [offset for part in parts for offset in part.offsets[:-1]]
    return LogicalText(text, (*offsets, parts[-1].offsets[-1]))


def script_text_at(body: bytes, start: int, path: str) -> LogicalText:
    """Script text that stands in a file from byte ``start``."""
    inner = script_text(Source(path, body))
    return LogicalText(inner.text, tuple(offset + start for offset in inner.offsets))
