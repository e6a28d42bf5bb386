"""Where amd64 text reaches something that matters: downloads, packages, paths, compilers, images.

One pass over the trace, shared by the rules. A sink knows its value, and each amd64 word in it knows the place where it
was written: in the sink itself, or in the ARG, ENV or assignment that it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from crossdock.read.model import Instruction
from crossdock.read.pieces import alternatives
from crossdock.read.shell_model import FETCHERS, Assignment, Command, ShellWord, comes_from_network
from crossdock.read.trace import PLATFORM_ARGUMENTS, Role, ScriptRun, StageTrace, Step, Trace
from crossdock.read.values import Origin, Value, literal
from crossdock.rules.assets import suffixless
from crossdock.rules.names import LIBRARY_PATH, TRIPLE, Token, amd64_tokens, is_bare, names_arm64, spans, without_names
from crossdock.source import Span


class Kind(StrEnum):
    """What a value is used for."""

    IMAGE = "image"
    DOWNLOAD = "download"
    PACKAGE_FILE = "package file"
    GOARCH = "goarch"
    LIBRARY_PATH = "library path"
    TRIPLE = "target triple"
    COMPILER_FLAG = "compiler flag"
    REPOSITORY = "repository"
    FOREIGN = "foreign architecture"
    OUTPUT = "build output"
    VARIABLE = "variable"


class DefinedBy(StrEnum):
    """What defines a variable."""

    ARG = "ARG"
    ENV = "ENV"
    SHELL = "assignment"


@dataclass(frozen=True)
class Definition:
    """An ARG default, an ENV or an assignment."""

    by: DefinedBy
    name: str
    value: Value
    origin: Origin
    stage: StageTrace | None
    step: Step | None
    script: ScriptRun | None = None
    because: tuple[Value, ...] = ()

    @property
    def bare(self) -> bool:
        """Whether its value is nothing but the name of amd64."""
        return is_bare(self.value.render())


@dataclass(frozen=True)
class Mark:
    """An amd64 word in a sink's value, and where it was written."""

    token: Token
    origin: Origin
    definition: Definition | None


@dataclass(frozen=True)
class Sink:
    """A value in which amd64 text arrives. ``text`` is the value as the target platform sees it."""

    kind: Kind
    value: Value
    text: str
    marks: tuple[Mark, ...]
    origin: Origin
    stage: StageTrace | None
    step: Step
    command: Command | None = None
    script: ScriptRun | None = None
    certain: bool = True
    detail: str = ""
    """The program or variable that takes the value."""

    @property
    def instruction(self) -> Instruction:
        return self.step.instruction


_TEXT_TOOLS = frozenset(
    "echo printf sed grep egrep fgrep awk test [ true false : expr case cat tr cut wc sort uniq head tail read xargs "
    "basename dirname set unset shift return exit uname arch dpkg-architecture apk-print which type command date "
    "git-config help history".split()
)
"""Programs whose words are text to them, not files."""
_FILE_TOOLS = frozenset(
    "tar unzip mv cp ln rm chmod chown mkdir cd ls install gunzip gzip xz unxz bunzip2 zcat file strip upx ar bsdtar "
    "sha256sum sha512sum sha1sum md5sum shasum gpg gpgv pushd popd find touch stat du test jar 7z 7za rmdir source . "
    "openssl cosign minisign update-alternatives unlink realpath readlink dirname rsync patch".split()
)
"""Programs that handle files by name. A file that is named for amd64 was brought by something else, which is the sink."""
_INSTALLERS = frozenset(
    "dpkg apt apt-get aptitude gdebi rpm yum dnf microdnf tdnf zypper apk pip pip3 pipx conda mamba pacman opkg".split()
)
_PACKAGE_FILE = re.compile(r"\.(?:deb|rpm|apk|whl|pkg\.tar\.\w+|conda)(?:[?#].*)?$")
_TEXT_FILE = re.compile(
    r"\.(?:txt|md|json|ya?ml|toml|conf|cfg|ini|list|patch|diff|xml|config|rules|service|asc|gpg|key)$"
)
_KEY = re.compile(r"(?:(?:KEY|key|Key)[\w.-]*|\.(?:gpg|key|pub))$")
"""Files that are the same for every architecture, whatever the path they are offered under."""
_SELECTORS = frozenset("grep egrep fgrep jq awk gawk sed python python3 node perl".split())
_COMPILERS = re.compile(
    r"(?:.*-)?(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|gfortran|nvcc|cmake|make|configure|Configure|config|meson|bear|ninja|scons|qmake|b2|bjam|cpp|ld)(?:-[\d.]+)?$"
)
_FLAG = re.compile(
    r"(?<![\w-])-m(?:64|32|sse[\w.]*|avx[\w.]*|mmx|3dnow|fpmath=(?:sse|387)\w*|popcnt|aes|pclmul|bmi2?|fma|f16c"
    r"|(?:arch|tune|cpu)=(?:x86-64\S*|core\w*|nehalem|westmere|sandybridge|ivybridge|haswell|broadwell|skylake\S*"
    r"|icelake\S*|cascadelake|znver\d|k8|opteron\S*|athlon\S*|i[3-6]86|pentium\S*|atom|bonnell|silvermont|nocona|corei7\S*))(?![\w.])"
)
_FLAG_VARIABLES = re.compile(
    r"(?:.*_)?(?:CFLAGS|CXXFLAGS|CPPFLAGS|LDFLAGS|FFLAGS|GOAMD64|CGO_CFLAGS|CGO_CXXFLAGS|NVCC_FLAGS|COPT|RUSTFLAGS)"
)
_FOREIGN = re.compile(
    r"(?:^|(?<=[\w.+-]):)(?:i386|amd64)$|^(?:lib32\w[\w.+-]*|lib[nx]?32gcc\S*|gcc(?:-\d+)?-multilib|g\+\+(?:-\d+)?-multilib"
    r"|libc6-i386|libc6-dev-i386|ia32-libs\S*|[\w.+-]+\.i[36]86|wine32\S*)(?:=\S+)?$"
)
_APT_ARCH = re.compile(r"\[[^\]]*arch=[^\]]*?\]|^Architectures:.*$", re.MULTILINE)
_ARCH_OPTION = re.compile(
    r"(?:^|.*[-/_.:])(?:arch|platform|target|architecture|runtime|rid|cpu|os-?arch|goarch|abi|machine)[-_]?\w*$",
    re.IGNORECASE,
)
_BUILDERS = frozenset(
    "go make just task mage goreleaser gox garble xgo ko cmake ninja meson npm yarn pnpm npx cargo gradle gradlew mvn "
    "bazel bazelisk dotnet python python3 sh bash ash configure build.sh".split()
)


def collect(trace: Trace) -> tuple[Sink, ...]:
    """Every sink in the order of the file. Sinks on paths that only an amd64 build takes are left out: they are not
    reached when the trace is for another architecture."""
    return tuple(_Collector(trace).run())


@dataclass
class _Collector:
    trace: Trace
    definitions: list[Definition] = field(default_factory=list)
    aliases: set[str] = field(default_factory=set)
    """Paths that a link gives an amd64 name, so that they exist everywhere."""
    siblings: dict[int, set[str]] = field(default_factory=dict)
    """For each stage the words that name arm64, without that name: amd64's counterparts of them are meant."""

    def run(self) -> Iterator[Sink]:
        self._define()
        for stage in self.trace.stages:
            self.siblings[stage.stage.index] = {without_names(text) for text in _texts(stage) if names_arm64(text)}
        for sink in self._all():
            is_variable = sink.instruction.keyword in {"ARG", "ENV"} and sink.kind is Kind.DOWNLOAD
            if not is_variable or not self._is_expanded(sink):
                yield sink

    def _is_expanded(self, sink: Sink) -> bool:
        """Whether a variable that holds a URL is used where everyone can see it; if so, that use is the sink."""
        texts = [self.trace.dockerfile.source.data[sink.origin.span.end :]]
        texts += [run.source.data for _, step in self.trace.steps for run in step.scripts]
        pattern = re.compile(rb"\$\{?" + re.escape(sink.detail.encode()) + rb"\b")
        return any(pattern.search(text) for text in texts)

    def _all(self) -> Iterator[Sink]:
        for stage in self.trace.stages:
            if stage.amd64_only:
                continue
            for step in stage.steps:
                yield from self._step(stage, step)

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
        match step.instruction.keyword:
            case "FROM":
                if stage.parent is None:
                    yield from self._sink(Kind.IMAGE, step.words[0].value, step.words[0].origin, stage, step)
            case "ARG" | "ENV":
                yield from self._variables(stage, step)
            case "ADD" | "COPY":
                yield from self._copy(stage, step)
            case "RUN" | "CMD" | "ENTRYPOINT":
                for command in step.commands:
                    yield from self._command(command, stage, step, None)
                for run in step.scripts:
                    for command in run.trace.commands:
                        yield from self._command(command, stage, step, run)

    def _variables(self, stage: StageTrace, step: Step) -> Iterator[Sink]:
        for made in step.assignments:
            if made.name in PLATFORM_ARGUMENTS or made.name == "GOARCH" or amd64_tokens(made.name):
                continue
            kind = self._kind_of_variable(made)
            if kind and not (stage.role is Role.BUILD and kind is Kind.LIBRARY_PATH):
                yield from self._sink(kind, made.value, made.origin, stage, step, detail=made.name)

    def _kind_of_variable(self, made: Assignment) -> Kind | None:
        text = made.value.render()
        if _FLAG_VARIABLES.fullmatch(made.name) and _FLAG.search(text):
            return Kind.COMPILER_FLAG
        if "://" in text:
            return Kind.DOWNLOAD
        if LIBRARY_PATH.search(text):
            return Kind.LIBRARY_PATH
        if TRIPLE.search(text):
            return Kind.TRIPLE
        return None

    def _copy(self, stage: StageTrace, step: Step) -> Iterator[Sink]:
        if isinstance(step.copied_from, str):
            flag = step.instruction.flag("from")
            if flag and flag.word and flag.value_span and "/" not in step.copied_from[:1]:
                origin = Origin(self.trace.dockerfile.source.path, flag.value_span)
                yield from self._sink(Kind.IMAGE, literal(step.copied_from, origin), origin, stage, step)
        if stage.role is Role.BUILD:
            return
        for word in step.words:
            text = word.text
            if "://" in text:
                yield from self._sink(
                    Kind.DOWNLOAD, word.value, word.origin, stage, step, detail=step.instruction.keyword
                )
            elif LIBRARY_PATH.search(text):
                yield from self._sink(Kind.LIBRARY_PATH, word.value, word.origin, stage, step, detail="COPY")
            elif _TEXT_FILE.search(text):
                continue
            elif _PACKAGE_FILE.search(text) and step.copied_from is None:
                yield from self._sink(Kind.PACKAGE_FILE, word.value, word.origin, stage, step, detail="COPY")
            else:
                yield from self._sink(Kind.OUTPUT, word.value, word.origin, stage, step, detail="COPY")

    def _command(self, command: Command, stage: StageTrace, step: Step, script: ScriptRun | None) -> Iterator[Sink]:
        def sink(kind: Kind, word: ShellWord, detail: str = "") -> Iterator[Sink]:
            return self._sink(
                kind, word.value, word.origin, stage, step, command=command, script=script, detail=detail or name
            )

        name = command.name
        build = stage.role is Role.BUILD
        for assigned in command.assignments:
            word = ShellWord(assigned.value, assigned.origin)
            if assigned.name == "GOARCH":
                yield from sink(Kind.GOARCH, word, name)
            elif _FLAG_VARIABLES.fullmatch(assigned.name) and not build:
                yield from sink(Kind.COMPILER_FLAG, word, assigned.name)
            elif command.words and name not in _TEXT_TOOLS and is_bare(assigned.value.render()) and not build:
                yield from sink(Kind.OUTPUT, word, name)
            elif not build and LIBRARY_PATH.search(assigned.value.render()):
                yield from sink(Kind.LIBRARY_PATH, word, assigned.name)
        if not command.words:
            return
        if _is_opaque(command):
            yield from self._seen(command, stage, step, script)
        if name in {"echo", "printf", "cat", "tee"}:
            yield from self._written(command, stage, step, script)
            return
        if name == "ln":
            self._link(command)
        skip = False
        for number, word in enumerate(command.arguments):
            text = word.text
            before = command.words[number].text
            if skip:
                skip = False
                continue
            if name in FETCHERS and text in {
                "-H",
                "-A",
                "--header",
                "--user-agent",
                "-e",
                "--referer",
                "-d",
                "--data",
                "-U",
            }:
                skip = True
                continue
            if name in FETCHERS and re.match(r"--(?:user-agent|header|referer)=", text):
                continue
            yield from self._word(name, before, word, command, stage, step, script)

    def _seen(self, command: Command, stage: StageTrace, step: Step, script: ScriptRun | None) -> Iterator[Sink]:
        """Variables of ARG and ENV that a program reads from its environment without anyone seeing how."""
        for key in sorted(command.exported):
            value = command.scope.get(key, Value())
            if key not in PLATFORM_ARGUMENTS and is_bare(value.render()) and any(f.origin for f in value):
                kind = Kind.GOARCH if key == "GOARCH" else Kind.VARIABLE
                yield from self._sink(
                    kind, value, command.origin, stage, step, command=command, script=script, detail=command.name
                )

    def _word(
        self,
        name: str,
        before: str,
        word: ShellWord,
        command: Command,
        stage: StageTrace,
        step: Step,
        script: ScriptRun | None,
    ) -> Iterator[Sink]:
        text = word.text
        build = stage.role is Role.BUILD
        kind: Kind | None = None
        if name in {"gcc", "g++"} and build:
            return
        if "://" in text and name not in _TEXT_TOOLS:
            if build and not self._leaves(stage, command):
                return
            kind = Kind.PACKAGE_FILE if name in _INSTALLERS and _PACKAGE_FILE.search(text) else Kind.DOWNLOAD
        elif name in FETCHERS:
            if before in {"-o", "-O", "--output", "--output-document", "-P", "--output-dir"} or text.startswith("-"):
                return
            kind = None if build else Kind.DOWNLOAD
        elif name in _SELECTORS and command.stdin is not None and comes_from_network(command.stdin):
            kind = None if build or "v" in before.lstrip("-")[:1] or text.startswith("s") else Kind.DOWNLOAD
        elif name in _TEXT_TOOLS:
            return
        elif (
            not build
            and _FLAG.search(text)
            and (_COMPILERS.fullmatch(name) or "FLAGS" in text or text.startswith("-D"))
        ):
            kind = Kind.COMPILER_FLAG
        elif (
            not build
            and name in {"dpkg", "apt", "apt-get", "aptitude", "yum", "dnf", "microdnf", "apk"}
            and (_FOREIGN.search(text) or text.startswith("--add-architecture="))
        ):
            if name == "dpkg" and before != "--add-architecture" and "=" not in text:
                return
            kind = Kind.FOREIGN
        elif name in _INSTALLERS and _PACKAGE_FILE.search(text):
            kind = None if build or not self._from_context(text, command, stage, step) else Kind.PACKAGE_FILE
        elif name in {"cargo", "rustup", "rustc", "cross"} and TRIPLE.search(text):
            kind = Kind.TRIPLE
        elif name == "dotnet" and amd64_tokens(text):
            kind = Kind.TRIPLE
        elif re.match(r"--(?:host|target|build)=", text) and TRIPLE.search(text) and not build:
            kind = Kind.TRIPLE
        elif LIBRARY_PATH.search(text) and name != "rm":
            if build or self._is_alias(text):
                return
            if name == "ln" and word is command.words[-1]:
                return
            kind = Kind.LIBRARY_PATH
        elif TRIPLE.search(text) and name not in _FILE_TOOLS:
            kind = None if build else Kind.TRIPLE
        elif name in {"Configure", "config"} and amd64_tokens(text):
            kind = None if build else Kind.TRIPLE
        elif name not in _FILE_TOOLS and amd64_tokens(text) and name not in _INSTALLERS:
            kind = self._output_kind(name, before, text)
        if kind:
            yield from self._sink(
                kind, word.value, word.origin, stage, step, command=command, script=script, detail=name
            )

    def _output_kind(self, name: str, before: str, text: str) -> Kind | None:
        """An amd64 word given to a program that is neither a text nor a file tool: is it told what to build?"""
        if re.fullmatch(r"(?:-\w+[ =]|\w+=)?[\"']?GOARCH=\w+[\"']?", text):
            return Kind.GOARCH
        if name in {
            "make",
            "just",
            "task",
            "mage",
            "bazel",
            "bazelisk",
            "gradle",
            "gradlew",
            "mvn",
            "npm",
            "yarn",
            "npx",
        }:
            return Kind.OUTPUT
        if is_bare(text) or re.match(r"--?[\w-]+=", text) and is_bare(text.split("=", 1)[1]):
            return Kind.OUTPUT if _ARCH_OPTION.match(before) or "=" in text or name.endswith((".sh", ".py")) else None
        return None

    def _leaves(self, stage: StageTrace, command: Command) -> bool:
        """Whether a download in a stage of the build platform is copied, under its own name, into another stage."""
        outputs = [
            later.text
            for earlier, later in zip(command.words, command.words[1:], strict=False)
            if earlier.text in {"-o", "-O", "--output", "--output-document"} or re.fullmatch(r"-\w*[oO]", earlier.text)
        ]
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

    def _from_context(self, text: str, command: Command, stage: StageTrace, step: Step) -> bool:
        """Whether a package file was neither downloaded nor copied by a step that is itself a sink."""
        name = text.rsplit("/", 1)[-1]
        if "*" in name or not amd64_tokens(name):
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

    def _written(self, command: Command, stage: StageTrace, step: Step, script: ScriptRun | None) -> Iterator[Sink]:
        """Text that a command writes into a file: package sources, the paths of libraries."""
        targets = [r.target.render() for r in command.redirects if r.operator in {">", ">>", "1>", "1>>"}]
        words = list(command.arguments)
        if command.name == "tee" or (command.name == "cat" and targets):
            targets += [word.text for word in words if not word.text.startswith("-")] if command.name == "tee" else []
            words = [ShellWord(r.target, r.origin) for r in command.redirects if r.operator in {"<<", "<<<", "<<-"}]
            if not words and command.stdin is not None and command.name == "tee":
                words = [ShellWord(command.stdin, command.origin)]
        is_source = any("sources.list" in target or "yum.repos.d" in target or "/apt/" in target for target in targets)
        for word in words:
            if _APT_ARCH.search(word.text) or (is_source and amd64_tokens(word.text)):
                if stage.role is Role.TARGET:
                    yield from self._sink(
                        Kind.REPOSITORY, word.value, word.origin, stage, step, command=command, script=script
                    )
            elif targets and "ld.so.conf" in " ".join(targets) and LIBRARY_PATH.search(word.text):
                yield from self._sink(
                    Kind.LIBRARY_PATH, word.value, word.origin, stage, step, command=command, script=script
                )

    def _sink(
        self,
        kind: Kind,
        value: Value,
        origin: Origin,
        stage: StageTrace | None,
        step: Step,
        *,
        command: Command | None = None,
        script: ScriptRun | None = None,
        detail: str = "",
    ) -> Iterator[Sink]:
        options = alternatives(value)
        texts = [option.render() for option in options]
        if stage and without_names(texts[0].strip()) in self.siblings.get(stage.stage.index, ()):
            return
        if kind is Kind.DOWNLOAD and _KEY.search(texts[0].split("?")[0]):
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
                    origin,
                    stage,
                    step,
                    command,
                    script,
                    (command is None or command.certain) and len(options) == 1,
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
        return tuple(spans(_FLAG, text))
    if kind is Kind.FOREIGN:
        return (Token(text, 0, len(text)),) if text else ()
    if kind is Kind.LIBRARY_PATH:
        return tuple(spans(LIBRARY_PATH, text))
    if kind is Kind.TRIPLE:
        return tuple(spans(TRIPLE, text)) or amd64_tokens(text)
    if kind is Kind.REPOSITORY:
        return tuple(
            Token(token.text, match.start() + token.start, match.start() + token.end)
            for match in _APT_ARCH.finditer(text)
            if not names_arm64(match[0])
            for token in amd64_tokens(match[0])
        )
    if kind is Kind.VARIABLE:
        return amd64_tokens(text) if is_bare(text) else ()
    found = amd64_tokens(text)
    if kind is Kind.DOWNLOAD and not found:
        token = suffixless(text)
        return (token,) if token else ()
    return found


def _is_opaque(command: Command) -> bool:
    """Whether a program does things that its words do not tell: a build tool, a script."""
    first = command.words[0].text
    if command.name in _TEXT_TOOLS | _FILE_TOOLS | FETCHERS | _INSTALLERS:
        return False
    return (
        command.name in _BUILDERS
        or first.startswith(("./", "../"))
        or ("/" in first and not re.match(r"/(?:usr/)?s?bin/", first))
        or command.name.endswith((".sh", ".py"))
    )


def _texts(stage: StageTrace) -> Iterator[str]:
    """Every word of a stage: of its commands, its scripts, COPY, ADD and ENV."""
    for step in stage.steps:
        yield from (word.text for word in step.words)
        yield from (made.value.render() for made in step.assignments)
        for commands in (step.commands, *(run.trace.commands for run in step.scripts)):
            for command in commands:
                yield from (word.text for word in command.words)


def _length(span: Span) -> int:
    return span.end - span.start
