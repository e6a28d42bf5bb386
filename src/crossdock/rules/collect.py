"""Collects the sinks of a trace: where amd64 text reaches downloads, packages, paths, compilers, images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from crossdock.read.pieces import HOLE, alternatives
from crossdock.read.shell_model import FETCHERS, Assignment, Command, ShellWord, comes_from_network
from crossdock.read.trace import PLATFORM_ARGUMENTS, Role, ScriptRun, StageTrace, Step, Trace
from crossdock.read.values import Origin, Value, literal
from crossdock.rules.names import (
    LIBRARY_PATH,
    TRIPLE,
    Token,
    amd64_tokens,
    is_bare,
    names_arm64,
    spans,
    unnamed,
    without_names,
    x86_tokens,
)
from crossdock.rules.sinks import DefinedBy, Definition, Kind, Mark, Sink
from crossdock.rules.upstream import amd64_file_tokens, upstream_file
from crossdock.rules.vocabulary import (
    APT_ARCH,
    ARCH_OPTION,
    BRINGERS,
    BUILDERS,
    COMPILERS,
    FILE_OF_PROGRAMS,
    FILE_READERS,
    FILE_TOOLS,
    FLAG,
    FLAG_VARIABLES,
    FOREIGN,
    FOREIGN_PATH,
    INSTALLERS,
    KEY,
    MANAGERS,
    NAMED_FOLDER,
    NOARCH,
    OUTPUT_OPTIONS,
    PACKAGE_FILE,
    PATH_USERS,
    REMOVES,
    SELECTORS,
    SHELLS,
    SOURCE_ARCH,
    SOURCE_LINE,
    TASK_RUNNERS,
    TEXT_FILE,
    TEXT_OPTIONS,
    TEXT_TOOLS,
)
from crossdock.source import Span

_PLATFORM = re.compile(r"(?:^|[\s,])(?:linux|darwin|freebsd|windows)/$")
"""What stands before the architecture in the name of a platform, which is no path."""


_FOR_ARM64 = re.compile(r"(.+?)_?(?:ARM64|AARCH64)", re.IGNORECASE)


def collect(trace: Trace) -> tuple[Sink, ...]:
    """Every sink in the order of the file. Sinks on paths that only an amd64 build takes are left out: they are not
    reached when the trace is for another architecture."""
    return tuple(_Collector(trace).run())


@dataclass(frozen=True)
class _Site:
    """Where a sink is: a step, and the command and script within it."""

    stage: StageTrace
    step: Step
    command: Command | None = None
    script: ScriptRun | None = None

    @property
    def builds(self) -> bool:
        """Whether it runs on the platform that builds, where amd64 is at home."""
        return self.stage.role is Role.BUILD and not self.stage.is_image


@dataclass
class _Collector:
    trace: Trace
    definitions: list[Definition] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)
    """Paths that a link gives an amd64 name, so that they exist everywhere."""
    siblings: dict[int, set[str]] = field(default_factory=dict)
    """For each stage the words that name arm64, without that name: amd64's counterparts of them are meant."""
    matrix: dict[int, set[tuple[str, str]]] = field(default_factory=dict)
    """For each stage the variables and programs that are also run for arm64: ``GOARCH=arm64 build.sh``."""
    paired: set[str] = field(default_factory=set)
    """Variables, in small letters, beside which there is another one for arm64: ``URL`` and ``URL_ARM64``."""
    answers: set[str] = field(default_factory=set)
    """Files in which fetchers put what they got."""
    brought: list[str] = field(default_factory=list)
    """What downloads, COPY and mkdir write down, in small letters: paths by these names follow from it."""

    def run(self) -> Iterator[Sink]:
        self._define()
        found = (_FOR_ARM64.fullmatch(definition.name) for definition in self.definitions)
        self.paired = {match[1].lower() for match in found if match}
        self.brought += (text.lower() for _, step in self.trace.steps for text in _brings(step))
        for stage in self.trace.stages:
            self.siblings[stage.stage.index] = {without_names(text) for text in _texts(stage) if names_arm64(text)}
            self.matrix[stage.stage.index] = {
                (made.name, command.name)
                for step in stage.steps
                for command in step.commands
                for made in command.assignments
                if command.words and names_arm64(made.value.render()) and any(f.origin for f in made.value)
            }
        for sink in (*self._all(), *self._kept()):
            keyword = sink.instruction.keyword
            is_variable = (keyword in {"ARG", "ENV"} and sink.kind is Kind.DOWNLOAD) or (
                keyword == "ARG" and sink.kind in {Kind.TRIPLE, Kind.LIBRARY_PATH}
            )
            if not is_variable or not self._is_expanded(sink):
                yield sink

    def _is_expanded(self, sink: Sink) -> bool:
        """Whether a variable that the image does not keep is used where everyone can see it: that use is the sink."""
        return self._is_read_here(sink.detail, sink.origin)

    def _is_read_here(self, name: str, origin: Origin) -> bool:
        """Whether the text below ``origin``, or a script that is run, expands the variable."""
        texts = [self.trace.dockerfile.source.data[origin.span.end :]]
        texts += [run.source.data for _, step in self.trace.steps for run in step.scripts]
        pattern = re.compile(rb"\$\{?" + re.escape(name.encode()) + rb"\b")
        return any(pattern.search(text) for text in texts)

    def _all(self) -> Iterator[Sink]:
        names = [stage.stage.name or "" for stage in self.trace.stages]
        for_arm64 = {without_names(name) for name in names if names_arm64(name)}
        for stage, name in zip(self.trace.stages, names, strict=True):
            # A stage for amd64 beside its like for arm64 is meant so.
            is_one_of_several = amd64_tokens(name) and without_names(name) in for_arm64
            if stage.amd64_only or is_one_of_several:
                continue
            for step in stage.steps:
                yield from self._step(stage, step)

    def _kept(self) -> Iterator[Sink]:
        """ENV that says amd64 to whatever runs in the container. (The same found by its use says more: it comes
        first.)"""
        stage = self.trace.stages[-1] if self.trace.stages else None
        while stage is not None and not stage.amd64_only and stage.role is Role.TARGET:
            for step in stage.steps:
                for made in step.assignments if step.instruction.keyword == "ENV" else ():
                    says_target = made.name.startswith("CROSS") or amd64_tokens(made.name)
                    if made.name not in PLATFORM_ARGUMENTS and not says_target:
                        kind = Kind.GOARCH if made.name == "GOARCH" else Kind.VARIABLE
                        yield from self._sink(kind, ShellWord(made.value, made.origin), _Site(stage, step), made.name)
            stage = self.trace.stages[stage.parent] if stage.parent is not None else None

    # Definitions

    def _define(self) -> None:
        for step in self.trace.preamble:
            self._take(step.assignments, DefinedBy.ARG, None, step, None)
        for stage, step in self.trace.steps:
            if step.instruction.keyword in {"ARG", "ENV"}:
                self._take(step.assignments, DefinedBy(step.instruction.keyword), stage, step, None)
            if step.shell:
                self._take(step.shell.assignments, DefinedBy.SHELL, stage, step, None)
            for run in step.scripts:
                self._take(run.trace.assignments, DefinedBy.SHELL, stage, step, run)

    def _take(
        self,
        made: Iterable[Assignment],
        by: DefinedBy,
        stage: StageTrace | None,
        step: Step,
        script: ScriptRun | None,
    ) -> None:
        self.definitions += [Definition(by, a.name, a.value, a.origin, stage, step, script, a.because) for a in made]

    def _definition(self, origin: Origin) -> Definition | None:
        holding = [d for d in self.definitions if d.origin.path == origin.path and origin.span in d.origin.span]
        return min(holding, key=lambda d: d.origin.span.end - d.origin.span.start, default=None)

    # Sinks

    def _step(self, stage: StageTrace, step: Step) -> Iterator[Sink]:
        site = _Site(stage, step)
        match step.instruction.keyword:
            case "FROM":
                if stage.parent is None and not site.builds:
                    yield from self._sink(Kind.IMAGE, step.words[0], site)
            case "ARG" | "ENV":
                yield from self._variables(site)
            case "ADD" | "COPY":
                yield from self._copy(site)
            case "RUN" | "CMD" | "ENTRYPOINT":
                for command in step.commands:
                    yield from self._command(command, replace(site, command=command))
                for run in step.scripts:
                    for command in run.trace.commands:
                        yield from self._command(command, replace(site, command=command, script=run))

    def _variables(self, site: _Site) -> Iterator[Sink]:
        for made in site.step.assignments:
            if made.name in PLATFORM_ARGUMENTS or made.name == "GOARCH" or amd64_tokens(made.name):
                continue
            if made.name.lower() in self.paired:
                # There is another one for arm64, and what chooses between them is elsewhere.
                continue
            kind = _kind_of_variable(made)
            if kind is None and "/" in made.value.render() and self._is_unexplained(made.value.render(), site):
                kind = Kind.NAMED_PATH
            if kind and not (site.builds and kind in {Kind.LIBRARY_PATH, Kind.NAMED_PATH}):
                yield from self._sink(kind, ShellWord(made.value, made.origin), site, made.name)

    def _copy(self, site: _Site) -> Iterator[Sink]:
        step = site.step
        flag = step.instruction.flag("from")
        if isinstance(step.copied_from, str) and flag and flag.value_span:
            origin = Origin(self.trace.dockerfile.source.path, flag.value_span)
            yield from self._sink(Kind.IMAGE, ShellWord(literal(step.copied_from, origin), origin), site)
        for word in step.words if not site.builds else ():
            text = word.text
            if "://" in text:
                yield from self._sink(Kind.DOWNLOAD, word, site, step.instruction.keyword)
            elif LIBRARY_PATH.search(text):
                yield from self._sink(Kind.LIBRARY_PATH, word, site, "COPY")
            elif PACKAGE_FILE.search(text) and step.copied_from is None:
                yield from self._sink(Kind.PACKAGE_FILE, word, site, "COPY")
            elif not TEXT_FILE.search(text) and _names_what_is_copied(text):
                yield from self._sink(Kind.OUTPUT, word, site, "COPY")
        into = step.destination
        if into and LIBRARY_PATH.search(into.text) and not site.builds:
            yield from self._sink(Kind.LIBRARY_PATH, into, site, "COPY")

    def _command(self, command: Command, site: _Site) -> Iterator[Sink]:
        name = command.name
        for assigned in command.assignments:
            kind = _kind_of_assignment(assigned, command)
            if kind is Kind.GOARCH and _is_for_another_system(command):
                continue
            if (assigned.name, name) in self.matrix.get(site.stage.stage.index, ()):
                continue
            if kind and (kind is Kind.GOARCH or not site.builds):
                yield from self._sink(kind, ShellWord(assigned.value, assigned.origin), site, name or assigned.name)
        for redirect in command.redirects if not site.builds else ():
            if redirect.operator in {"<", ">", ">>"} and LIBRARY_PATH.search(redirect.target.render()):
                yield from self._sink(Kind.LIBRARY_PATH, ShellWord(redirect.target, redirect.origin), site, name)
        if not command.words:
            return
        if _is_opaque(command):
            yield from self._seen(command, site)
        if name in {"echo", "printf", "cat", "tee"}:
            yield from self._written(command, site)
            return
        if name in SHELLS and any(re.fullmatch(r"-\w*c\w*", word.text) for word in command.arguments):
            # What is inside was evaluated as commands of its own.
            return
        if name == "add-apt-repository":
            for word in command.arguments if not site.builds else ():
                yield from self._sink(Kind.REPOSITORY, word, site)
            return
        if not site.builds:
            program = command.words[0]
            starts = site.step.instruction.keyword in {"CMD", "ENTRYPOINT"} and not is_bare(program.text)
            if LIBRARY_PATH.search(program.text):
                yield from self._sink(Kind.LIBRARY_PATH, program, site, name)
            elif ("/" in program.text or starts) and self._is_unexplained(program.text, site):
                yield from self._sink(Kind.NAMED_PATH, program, site, name)
        if name == "ln":
            self._link(command)
        if name in FETCHERS:
            self.answers |= set(_outputs(command)) | {redirect.target.render() for redirect in command.redirects}
        before = name
        for word in command.arguments:
            is_text = name in FETCHERS and (
                before in TEXT_OPTIONS or re.match(r"--(?:user-agent|header|referer)=", word.text)
            )
            if not is_text:
                kind = self._kind_of_word(word, before, command, site)
                if kind:
                    yield from self._sink(kind, word, site, name)
            before = word.text

    def _seen(self, command: Command, site: _Site) -> Iterator[Sink]:
        """Variables of ARG and ENV that a program reads from its environment without anyone seeing how."""
        if command.name in SHELLS and len(command.words) == 1:
            return
        for name in sorted(command.exported):
            value = command.scope.get(name, Value())
            says_it = is_bare(value.render()) or name == "GOARCH"
            if name in PLATFORM_ARGUMENTS or amd64_tokens(name):
                continue
            if says_it and any(f.origin for f in value):
                kind = Kind.GOARCH if name == "GOARCH" else Kind.VARIABLE
                yield from self._sink(kind, ShellWord(value, command.origin), site, command.name)
        for made in site.step.shell.assignments if site.step.shell and site.script is None else ():
            # A URL that is exported and never expanded here was written for the program to read.
            is_read = made.name in command.exported and command.variable(made.name) == made.value
            if is_read and "://" in made.value.render() and not self._is_read_here(made.name, made.origin):
                yield from self._sink(Kind.DOWNLOAD, ShellWord(made.value, made.origin), site, made.name)

    def _kind_of_word(self, word: ShellWord, before: str, command: Command, site: _Site) -> Kind | None:
        """What a program does with one of its words. On the build platform only what is made for the target counts."""
        name, text = command.name, word.text
        is_url = "://" in text
        if name == "gh" and before in {"-p", "--pattern"}:
            return None if site.builds else Kind.DOWNLOAD
        if name in SELECTORS and self._searches_fetched(command):
            inverted = re.fullmatch(r"-\w*v\w*", before) is not None
            is_quiet = any(re.fullmatch(r"-[nrEe]*n[nrEe]*|--quiet|--silent", word.text) for word in command.arguments)
            replaces = name == "sed" and not is_quiet and re.match(r"s\W", text)
            return None if site.builds or inverted or replaces else Kind.DOWNLOAD
        if name in TEXT_TOOLS:
            is_file = re.match(r"\.?/(?:usr|lib|opt|etc)/", text) and name in FILE_READERS and not site.builds
            return Kind.LIBRARY_PATH if is_file and LIBRARY_PATH.search(text) else None
        if is_url:
            if site.builds and not self._leaves(site.stage, command):
                return None
            return Kind.PACKAGE_FILE if name in INSTALLERS and PACKAGE_FILE.search(text) else Kind.DOWNLOAD
        if name in FETCHERS | {"flatpak"}:
            if before in OUTPUT_OPTIONS:
                # The file is called as its address says, unless that says nothing.
                others = (other.text for other in command.arguments if other is not word)
                return (
                    None
                    if site.builds or not amd64_tokens(text) or any("64" in other for other in others)
                    else Kind.DOWNLOAD
                )
            return None if site.builds or text.startswith("-") else Kind.DOWNLOAD
        told = _target_kind(name, before, text)
        if told is not None or site.builds:
            return told
        if FLAG.search(text) and (
            COMPILERS.fullmatch(name)
            or "FLAGS" in text
            or text.startswith("-D")
            or not re.fullmatch(r"-m(?:64|32)", text)
        ):
            return Kind.COMPILER_FLAG
        if _is_foreign(name, before, text) and not any(other.text in REMOVES for other in command.arguments):
            return Kind.FOREIGN
        if name in INSTALLERS and PACKAGE_FILE.search(text):
            is_open = self._is_unexplained(text, site) if "*" in text else self._from_context(text, command, site.stage)
            return Kind.PACKAGE_FILE if is_open else None
        if LIBRARY_PATH.search(text):
            made_here = name == "ln" and word is command.words[-1]
            return None if name == "rm" or made_here or self._is_alias(text) else Kind.LIBRARY_PATH
        if TRIPLE.search(text) and name not in FILE_TOOLS:
            return Kind.TRIPLE
        is_path = name in PATH_USERS and not text.startswith("-")
        return Kind.NAMED_PATH if is_path and self._is_unexplained(text, site) else None

    def _searches_fetched(self, command: Command) -> bool:
        """Whether a program is given what a server answered: in a pipe, in a variable, or, for jq, in a file."""
        if command.stdin is not None:
            known = (command.scope.get(part.variable) for part in command.stdin if part.variable)
            return comes_from_network(command.stdin) or any(v is not None and comes_from_network(v) for v in known)
        return command.name == "jq" and command.words[-1].text in self.answers

    def _is_unexplained(self, text: str, site: _Site) -> bool:
        """Whether a path is named for amd64 though nothing in the file brought anything by that name. (What follows
        from a download is wrong with it and right with it.) Says so once for each name."""
        tokens = [token for token in amd64_tokens(text) if not _PLATFORM.search(text[: token.start])]
        if not tokens or FOREIGN_PATH.search(text):
            return False
        here = " ".join(_downloads(site.step)).lower()
        names = [_name_of(text, token).lower() for token in tokens]
        if all(
            token.text.lower() in here or any(name in earlier for earlier in self.brought)
            for token, name in zip(tokens, names, strict=True)
        ):
            return False
        if site.command is not None:
            self.brought.append(text.lower())
        return True

    def _leaves(self, stage: StageTrace, command: Command) -> bool:
        """Whether a download in a stage of the build platform is copied, under its own name, into another stage."""
        outputs = _outputs(command)
        if not outputs:
            return False
        for other, step in self.trace.steps:
            if step.copied_from == stage.stage.index and other.role is Role.TARGET:
                for word in step.words:
                    if any(
                        word.text and output.startswith(word.text.rstrip("/")) and output != "-" for output in outputs
                    ):
                        return True
        return False

    def _from_context(self, text: str, command: Command, stage: StageTrace) -> bool:
        """Whether a package file was neither downloaded nor copied by a step that is itself a sink."""
        name = text.rsplit("/", 1)[-1]
        if not amd64_tokens(name):
            return False
        for other in stage.steps:
            if other.instruction.keyword in {"ADD", "COPY"} and any(
                word.text.rsplit("/", 1)[-1] == name for word in other.words
            ):
                return False
            for earlier in other.commands:
                if earlier.name in FETCHERS and any(name in word.text for word in earlier.arguments):
                    return False
                if earlier is command:
                    return True
        return True

    def _link(self, command: Command) -> None:
        words = [word.text for word in command.arguments if not word.text.startswith("-")]
        if len(words) == 2 and amd64_tokens(words[1]) and not amd64_tokens(words[0]):
            self.aliases.add(words[1].rstrip("/"))

    def _is_alias(self, text: str) -> bool:
        return any(text == alias or text.startswith(alias + "/") for alias in self.aliases)

    def _written(self, command: Command, site: _Site) -> Iterator[Sink]:
        """Text that a command writes into a file: package sources, the paths of libraries."""
        targets = [r.target.render() for r in command.redirects if r.operator in {">", ">>", "1>", "1>>"}]
        words = list(command.arguments)
        if command.name == "tee" or (command.name == "cat" and targets):
            targets += [word.text for word in words if not word.text.startswith("-")] if command.name == "tee" else []
            words = [ShellWord(r.target, r.origin) for r in command.redirects if r.operator in {"<<", "<<<", "<<-"}]
            if not words and command.stdin is not None and command.name == "tee":
                words = [ShellWord(command.stdin, command.origin)]
        is_source = any("sources.list" in target or "yum.repos.d" in target or "/apt/" in target for target in targets)
        into_file = any(not target.startswith("/dev/") for target in targets)
        for word in words if not site.builds else ():
            text = word.text
            if APT_ARCH.search(text) or ((is_source or SOURCE_LINE.match(text)) and amd64_tokens(text)):
                yield from self._sink(Kind.REPOSITORY, word, site)
            elif into_file and any("/" in text[: match.end()].split()[-1] for match in LIBRARY_PATH.finditer(text)):
                yield from self._sink(Kind.LIBRARY_PATH, word, site)
            elif into_file and FLAG.search(text):
                yield from self._sink(Kind.COMPILER_FLAG, word, site)
            elif into_file and NAMED_FOLDER.search(text) and self._is_unexplained(text, site):
                yield from self._sink(Kind.NAMED_PATH, word, site)

    def _sink(self, kind: Kind, word: ShellWord, site: _Site, detail: str = "") -> Iterator[Sink]:
        stage, command = site.stage, site.command
        options = alternatives(word.value)
        texts = [option.render() for option in options]
        if without_names(texts[0].strip()) in self.siblings.get(stage.stage.index, ()):
            return
        path = texts[0].split("?")[0]
        if (
            kind in {Kind.DOWNLOAD, Kind.PACKAGE_FILE}
            and (KEY.search(path) or NOARCH.search(path))
            and (upstream_file(texts[0]) is None)
        ):
            return
        if kind is Kind.GOARCH and command and (command.variable("GOOS") or literal("linux")).render() != "linux":
            return
        if _is_guess(kind, texts[0]) and _builds(site.step):
            # What is compiled here came as source.
            return
        if len(texts) > 1 and any(names_arm64(text) and not _tokens(kind, text) for text in texts):
            return
        for option, text in zip(options, texts, strict=True):
            marks = tuple(self._marks(kind, option, text, command.because if command else ()))
            if marks:
                yield Sink(
                    kind,
                    option,
                    text,
                    marks,
                    word.origin,
                    stage,
                    site.step,
                    command,
                    site.script,
                    (command is None or command.certain) and len(options) == 1 and not _is_guess(kind, text),
                    detail,
                )

    def _marks(self, kind: Kind, value: Value, text: str, because: tuple[Value, ...]) -> Iterator[Mark]:
        for token in _tokens(kind, text):
            origins = value.origin_of(token.start, token.end)
            if not origins or sum(_length(origin.span) for origin in origins) * 2 < token.end - token.start:
                continue
            definition = self._definition(origins[0])
            if definition and definition.name in PLATFORM_ARGUMENTS:
                continue
            blamed = self._blamed(definition.because if definition else because)
            if blamed is None:
                yield Mark(token, origins[0], definition)
            elif blamed.definition is None or blamed.definition.name not in PLATFORM_ARGUMENTS:
                yield blamed

    def _blamed(self, because: tuple[Value, ...]) -> Mark | None:
        """The constant by which a branch was chosen, when it names amd64: that is what to change, not the branch."""
        for value in because:
            text = value.render()
            origins = value.origin_of(0, len(text))
            if is_bare(text) and origins:
                return Mark(Token(text, 0, len(text)), origins[0], self._definition(origins[0]))
        return None


def _tokens(kind: Kind, text: str) -> Iterable[Token]:
    """What counts as amd64 text for this kind of sink."""
    if kind is Kind.COMPILER_FLAG:
        return tuple(spans(FLAG, text))
    if kind is Kind.FOREIGN:
        return (Token(text, 0, len(text)),) if text else ()
    if kind is Kind.LIBRARY_PATH:
        return tuple(spans(LIBRARY_PATH, text))
    if kind is Kind.TRIPLE:
        return tuple(spans(TRIPLE, text)) or amd64_tokens(text)
    if kind is Kind.REPOSITORY:
        return tuple(
            Token(token.text, match.start() + token.start, match.start() + token.end)
            for match in SOURCE_ARCH.finditer(text)
            if not names_arm64(match[0])
            for token in amd64_tokens(match[0])
        )
    if kind is Kind.VARIABLE:
        return amd64_tokens(text) if is_bare(text) else ()
    found = (
        x86_tokens(text) if kind in {Kind.DOWNLOAD, Kind.IMAGE, Kind.PACKAGE_FILE, Kind.GOARCH} else amd64_tokens(text)
    )
    if kind not in {Kind.DOWNLOAD, Kind.PACKAGE_FILE}:
        return found
    if found or upstream_file(text):
        return amd64_file_tokens(text, found)
    token = unnamed(text) if kind is Kind.DOWNLOAD else None
    return (token,) if token else ()


def _builds(step: Step) -> bool:
    """Whether a RUN compiles something."""
    return any(COMPILERS.fullmatch(command.name) for command in step.commands)


def _is_guess(kind: Kind, text: str) -> bool:
    """Whether no word of the text names amd64, and nobody has written down that it means amd64."""
    return kind is Kind.DOWNLOAD and not x86_tokens(text) and upstream_file(text) is None


def _texts(stage: StageTrace) -> Iterator[str]:
    """Every word of a stage: of its commands, its scripts, COPY, ADD and ENV."""
    for step in stage.steps:
        yield from (word.text for word in step.words)
        yield from (made.value.render() for made in step.assignments)
        for commands in (step.commands, *(run.trace.commands for run in step.scripts)):
            for command in commands:
                yield from (word.text for word in command.words)
                yield from (made.value.render() for made in command.assignments)


def _brings(step: Step) -> Iterator[str]:
    """What brings files under a name into the image: downloads, COPY, new folders, written files."""
    if step.instruction.keyword in {"ADD", "COPY"}:
        yield from (word.text for word in step.words)
        if step.destination:
            yield step.destination.text
    if step.instruction.keyword in {"ARG", "ENV"}:
        yield from (text for made in step.assignments if "://" in (text := made.value.render()))
    for commands in (step.commands, *(run.trace.commands for run in step.scripts)):
        for command in commands:
            yield from (redirect.target.render() for redirect in command.redirects)
            made = command.arguments[-1:] if command.name in {"ln", "install"} else command.arguments
            for before, word in zip(("", *(word.text for word in made)), made, strict=False):
                if command.name in BRINGERS or before in OUTPUT_OPTIONS or "://" in word.text:
                    yield word.text


def _downloads(step: Step) -> Iterator[str]:
    """What the downloads of a step say."""
    if step.instruction.keyword == "ADD":
        yield from (word.text for word in step.words if "://" in word.text)
    for commands in (step.commands, *(run.trace.commands for run in step.scripts)):
        for command in commands:
            yield from (word.text for word in command.arguments if command.name in FETCHERS or "://" in word.text)


def _outputs(command: Command) -> list[str]:
    """The files that a fetcher is told to write."""
    return [
        later.text
        for earlier, later in pairwise(command.words)
        if earlier.text in {"--output", "--output-document"} or re.fullmatch(r"-\w*[oO]", earlier.text)
    ]


def _name_of(text: str, token: Token) -> str:
    """The name that holds a token, from the last separator or unknown part; what follows the token counts only where
    it is all that the name says."""
    ends = rf"[/:=,\s\"'*?{HOLE}]"
    start = max((match.end() for match in re.finditer(ends, text[: token.start])), default=0)
    if start < token.start:
        return text[start : token.end]
    end = re.search(ends, text[token.end :])
    return text[start : token.end + end.start() if end else len(text)]


def _length(span: Span) -> int:
    return span.end - span.start


def _kind_of_variable(made: Assignment) -> Kind | None:
    text = made.value.render()
    if FLAG_VARIABLES.fullmatch(made.name) and FLAG.search(text):
        return Kind.COMPILER_FLAG
    if "://" in text or (FILE_OF_PROGRAMS.search(text) and amd64_tokens(text)):
        return Kind.DOWNLOAD
    if LIBRARY_PATH.search(text):
        return Kind.LIBRARY_PATH
    return Kind.TRIPLE if TRIPLE.search(text) else None


def _kind_of_assignment(made: Assignment, command: Command) -> Kind | None:
    """For a variable that a command gets, or that the shell sets."""
    text = made.value.render()
    if made.name == "GOARCH":
        return Kind.GOARCH
    if FLAG_VARIABLES.fullmatch(made.name) and FLAG.search(text):
        return Kind.COMPILER_FLAG
    if command.words and TRIPLE.search(text) and not LIBRARY_PATH.search(text):
        return Kind.TRIPLE
    if command.words and command.name not in TEXT_TOOLS and is_bare(text):
        return Kind.OUTPUT
    return Kind.LIBRARY_PATH if LIBRARY_PATH.search(text) else None


def _target_kind(name: str, before: str, text: str) -> Kind | None:
    """A program that is told what to build for; this counts on the build platform as well."""
    if name in {"cargo", "rustup", "rustc", "cross"} and TRIPLE.search(text):
        return Kind.TRIPLE
    if not amd64_tokens(text) or name in FILE_TOOLS | INSTALLERS or LIBRARY_PATH.search(text):
        return None
    if name == "dotnet" or name in {"Configure", "config"}:
        return Kind.TRIPLE
    if re.fullmatch(r"GOARCH=\w+", text):
        return Kind.GOARCH
    if TRIPLE.search(text):
        return None
    if name in TASK_RUNNERS:
        return Kind.OUTPUT
    option, _, value = text.partition("=")
    if is_bare(text) or (option.startswith("-") and is_bare(value)):
        return Kind.OUTPUT if ARCH_OPTION.match(before) or value or name.endswith((".sh", ".py")) else None
    return None


def _names_what_is_copied(path: str) -> bool:
    """Whether the name of amd64 in a path tells what the file is: it is in its name, or a folder is called so
    (``bin/amd64/tool``, ``tool-linux-amd64/tool``), rather than being a part of the name of a project."""
    *folders, name = path.rstrip("/").split("/")
    if amd64_tokens(name):
        return True
    stem = name.split(".")[0]
    return any(
        is_bare(folder) or TRIPLE.search(folder) or folder.startswith(stem)
        for folder in folders
        if amd64_tokens(folder)
    )


def _is_for_another_system(command: Command) -> bool:
    """Whether Go compiles for macOS or Windows: what comes out is no part of a Linux image's own programs."""
    system = command.variable("GOOS")
    return system is not None and system.text not in {None, "", "linux"}


def _is_foreign(name: str, before: str, text: str) -> bool:
    """Whether a package manager is asked for packages of another x86 architecture."""
    if name == "dpkg":
        _, _, joined = text.partition("--add-architecture=")
        return (joined or (text if before == "--add-architecture" else "")) in {"i386", "amd64", "x32"}
    return name in MANAGERS and FOREIGN.search(text) is not None


def _is_opaque(command: Command) -> bool:
    """Whether a program does things that its words do not tell: a build tool, a script."""
    first = command.words[0].text
    if command.name in TEXT_TOOLS | FILE_TOOLS | FETCHERS | INSTALLERS:
        return False
    return (
        command.name in BUILDERS
        or HOLE in first
        or first.startswith(("./", "../"))
        or ("/" in first and not re.match(r"/(?:usr/)?s?bin/", first))
        or command.name.endswith((".sh", ".py"))
    )
