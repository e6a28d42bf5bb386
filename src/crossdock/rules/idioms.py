"""Fix candidates: the idioms by which a place that is tied to amd64 is made to follow the target architecture.

In this order: ``${TARGETARCH}`` where the names agree; a ``case`` with a failing default in the same RUN; for ADD,
which has no shell, one small stage for each architecture; ``uname -m`` in scripts, which also run outside BuildKit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from crossdock.findings import Claim, Fix, Safety
from crossdock.read.model import Instruction
from crossdock.read.pieces import HOLE
from crossdock.read.shell_model import Command, ShellWord
from crossdock.read.trace import Role, StageTrace, Step
from crossdock.read.values import Origin
from crossdock.rules.base import Project
from crossdock.rules.edits import Choice, declared, in_single_quotes, replacing, run_prefix, script_prefix
from crossdock.rules.names import amd64_tokens, arm64_names
from crossdock.rules.sinks import DefinedBy, Definition, Kind, Mark, Sink
from crossdock.rules.stages import stage_per_architecture
from crossdock.rules.upstream import arm64_file_names
from crossdock.source import Edit, Source, Span

MOST_CANDIDATES = 5
MOST_COMMANDS = 300
"""Of a RUN that is mended; a longer one was generated, and its generator is what to mend."""
_DIGEST = re.compile(
    r"(?<![0-9a-fA-F])(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})(?![0-9a-fA-F])"
)
_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_ASKABLE = frozenset({Kind.LIBRARY_PATH, Kind.TRIPLE, Kind.REPOSITORY})
_NO_FIX = frozenset({Kind.COMPILER_FLAG, Kind.FOREIGN})
_MULTIARCH = re.compile(rb"x86_64-(?:unknown-)?linux-(?:gnu|musl)")


def fixes_for(project: Project, sink: Sink, marks: tuple[Mark, ...]) -> tuple[Fix, ...]:
    """Candidates for one place, best first; none where nothing is known to be right."""
    if sink.kind in _NO_FIX or project.target.architecture != "arm64" or len(sink.step.commands) > MOST_COMMANDS:
        return ()
    from_context = sink.instruction.keyword == "COPY" and sink.step.copied_from is None
    if from_context or (sink.kind is Kind.PACKAGE_FILE and "://" not in sink.text):
        # The file for arm64 is the author's to bring.
        return ()
    definition = marks[0].definition
    if definition is None or definition.by is DefinedBy.SHELL:
        place = _Place.of_sink(project, sink, marks, definition)
    else:
        place = _Place.of_definition(project, definition, marks)
    if place is None:
        return ()
    if sink.kind is Kind.IMAGE and definition is None:
        return tuple(_image(place, sink))
    if sink.kind in _ASKABLE and place.in_shell and not place.builds:
        told = _by_program(place, sink)
        if told:
            return (told,)
    wildcards = tuple(_wildcard(place))
    if wildcards:
        return wildcards
    found: list[Fix] = []
    for names in _candidates(sink, marks):
        fix = _candidate(place, sink, names)
        if fix and fix not in found:
            found.append(fix)
    return tuple(found)


@dataclass(frozen=True)
class _Place:
    """Where text is to be changed: a word of an instruction, of a RUN's shell, of a script, or of a definition."""

    project: Project
    source: Source
    marks: tuple[Mark, ...]
    stage: StageTrace | None
    step: Step
    in_shell: bool
    is_script: bool
    definition: Definition | None

    @staticmethod
    def of_sink(project: Project, sink: Sink, marks: tuple[Mark, ...], definition: Definition | None) -> _Place | None:
        step, stage, script = sink.step, sink.stage, sink.script
        if definition:
            step, stage, script = definition.step or step, definition.stage or stage, definition.script
        if script is not None and not script.context_path:
            return None
        instruction = step.instruction
        in_shell = sink.command is not None
        if in_shell and script is None and (instruction.keyword != "RUN" or instruction.exec_form is not None):
            return None
        if script is None and not _writable(instruction, marks):
            return None
        source = project.source(marks[0].origin.path)
        return _Place(project, source, marks, stage, step, in_shell, script is not None, definition)

    @staticmethod
    def of_definition(project: Project, definition: Definition, marks: tuple[Mark, ...]) -> _Place | None:
        if definition.step is None or definition.origin.path != project.dockerfile.source.path:
            return None
        source = project.dockerfile.source
        return _Place(project, source, marks, definition.stage, definition.step, False, False, definition)

    @property
    def instruction(self) -> Instruction:
        return self.step.instruction

    @property
    def builds(self) -> bool:
        """Whether it runs on the platform that builds, which says nothing of the target."""
        return self.stage is not None and self.stage.role is Role.BUILD

    def variable(self, name: str, origin: Origin) -> str:
        """``${name}`` written so that it is expanded where it stands."""
        if not (self.in_shell or self.is_script):
            return f"${{{name}}}"
        return self._unquoted(f"${{{name}}}", origin)

    def program(self, command: str, origin: Origin) -> str:
        return self._unquoted(f"$({command})", origin)

    def _unquoted(self, text: str, origin: Origin) -> str:
        start = 0 if self.is_script else self.instruction.span.start
        before = self.source.text(Span(start, origin.span.start))
        return f"'\"{text}\"'" if in_single_quotes(before, len(before)) else text

    def declares(self, name: str) -> tuple[Edit, ...]:
        return declared(self.project, self.stage.stage, name, self.instruction) if self.stage else ()


def _writable(instruction: Instruction, marks: tuple[Mark, ...]) -> bool:
    """Whether a variable written there would be expanded: not in heredocs that are files or are quoted."""
    for heredoc in instruction.heredocs:
        if any(mark.origin.span in heredoc.body for mark in marks):
            whole = re.fullmatch(r"\s*<<-?\s*\S+\s*", instruction.arguments.text)
            if not whole or instruction.keyword != "RUN":
                return False
    return True


def _candidates(sink: Sink, marks: tuple[Mark, ...]) -> Iterator[dict[str, str]]:
    """What each amd64 word may be for arm64, best first."""
    words = list(dict.fromkeys(mark.token.text for mark in sink.marks)) or [mark.token.text for mark in marks]
    words = list(dict.fromkeys([*words, *(mark.token.text for mark in marks)]))
    options: list[tuple[str, ...]] = []
    for word in words:
        if sink.kind in {Kind.DOWNLOAD, Kind.PACKAGE_FILE}:
            options.append(arm64_file_names(sink.text, word))
        elif sink.kind is Kind.TRIPLE and "x86_64" in word:
            options.append((word.replace("x86_64", "aarch64"),))
        elif sink.kind is Kind.LIBRARY_PATH:
            options.append((_library_name(word),))
        else:
            options.append(arm64_names(word)[:1])
    for number, combination in enumerate(product(*options)):
        if number >= MOST_CANDIDATES:
            return
        yield dict(zip(words, combination, strict=True))


def _library_name(word: str) -> str:
    for amd64, arm64 in (("ld-linux-x86-64", "ld-linux-aarch64"), ("x86_64", "aarch64"), ("amd64", "arm64")):
        if amd64 in word:
            return word.replace(amd64, arm64)
    return word


def _candidate(place: _Place, sink: Sink, names: dict[str, str]) -> Fix | None:
    words = {mark.token.text for mark in place.marks}
    agree = all(_target_arch(word, names[word]) is not None for word in words)
    safety = Safety.UNSAFE if sink.kind in {Kind.OUTPUT, Kind.IMAGE} else Safety.SAFE
    claims = _claims(sink, names)
    if claims is None:
        claims, safety = (), Safety.UNSAFE
    digest = _digest_near(place, sink)
    if place.definition and place.definition.by is not DefinedBy.SHELL:
        return _definition_fix(place, sink, names, claims, safety)
    if not place.in_shell and not place.is_script:
        if agree and place.instruction.flag("checksum") is None:
            return _target_arch_fix(place, sink, names, claims, safety)
        if place.instruction.keyword == "ADD" and place.stage and "://" in sink.text and HOLE not in sink.text:
            return _small_stages(place, sink, names, claims)
        return None
    if agree and digest is None and not place.is_script:
        return _target_arch_fix(place, sink, names, claims, safety)
    return _case_fix(place, sink, names, claims, safety)


def _target_arch(amd64: str, arm64: str) -> str | None:
    """How the word is written with TARGETARCH, where both names follow from it."""
    match = re.search("amd64", amd64)
    if match and amd64.replace("amd64", "arm64") == arm64:
        return amd64[: match.start()] + "${TARGETARCH}" + amd64[match.end() :]
    return None


def _target_arch_fix(
    place: _Place, sink: Sink, names: dict[str, str], claims: tuple[Claim, ...], safety: Safety
) -> Fix | None:
    edits: list[Edit] = []
    for mark in place.marks:
        written = place.source.text(mark.origin.span)
        if "amd64" not in written:
            return None
        variable = place.variable("TARGETARCH", mark.origin)
        edits += replacing(place.source, {mark.origin.span: written.replace("amd64", variable)})
    edits += place.declares("TARGETARCH")
    if sink.kind in {Kind.DOWNLOAD, Kind.PACKAGE_FILE}:
        edits += _dependents(place, sink, dict.fromkeys(names, "TARGETARCH"))
    return Fix("Use the target architecture's name, TARGETARCH", safety, tuple(dict.fromkeys(edits)), claims)


def _case_fix(
    place: _Place,
    sink: Sink,
    names: dict[str, str],
    claims: tuple[Claim, ...],
    safety: Safety,
) -> Fix | None:
    """A variable for each amd64 word, set by a ``case`` at the beginning of the RUN or script."""
    slug, digest = _slug(sink), _digest_near(place, sink)
    words = list(dict.fromkeys(mark.token.text for mark in place.marks))
    what = "arch" if all(amd64_tokens(word) for word in words) else "file"
    variables = {
        word: (f"{slug}_{what}" if number == 0 else f"{slug}_{what}{number + 1}") for number, word in enumerate(words)
    }
    choices = [Choice(variables[word], word, names[word]) for word in words]
    edits: list[Edit] = []
    for mark in place.marks:
        if place.source.text(mark.origin.span) != mark.token.text:
            return None
        variable = place.variable(variables[mark.token.text], mark.origin)
        edits += replacing(place.source, {mark.origin.span: variable})
    if digest and claims:
        placeholder = f"digest-of-{slug}"
        claims = (Claim(claims[0].url, placeholder, digest.algorithm), *claims[1:])
        name = digest.variable or f"{slug}_{digest.algorithm}"
        choices.append(Choice(name, None if digest.variable else digest.text, placeholder))
        if not digest.variable:
            edits += replacing(place.source, {digest.origin.span: place.variable(name, digest.origin)})
    elif digest:
        safety = Safety.UNSAFE
    if place.is_script:
        edits.append(script_prefix(place.source, choices))
    else:
        prefix = run_prefix(place.project, place.instruction, choices)
        if prefix is None:
            return None
        edits += [*place.declares("TARGETARCH"), prefix]
        if sink.kind in {Kind.DOWNLOAD, Kind.PACKAGE_FILE}:
            edits += _dependents(place, sink, variables, choices)
    return Fix("Choose the file by architecture", safety, tuple(dict.fromkeys(edits)), claims)


def _definition_fix(
    place: _Place, sink: Sink, names: dict[str, str], claims: tuple[Claim, ...], safety: Safety
) -> Fix | None:
    """An ARG or ENV: TARGETARCH in its value, or another value of it in each RUN that uses it."""
    definition = place.definition
    if definition is None:
        return None
    users = _users(place.project, definition)
    all_claims = list(claims)
    for user in users:
        more = _claims(user, names)
        all_claims += more or ()
        if more is None:
            safety = Safety.UNSAFE
    unique = tuple(dict.fromkeys(all_claims))
    words = {mark.token.text for mark in place.marks}
    digest = next((found for user in users if (found := _digest_near(place, user, anywhere=True))), None)
    if digest is None and all(_target_arch(word, names[word]) is not None for word in words):
        edits: list[Edit] = []
        for mark in place.marks:
            written = place.source.text(mark.origin.span)
            if "amd64" not in written:
                return None
            edits += replacing(place.source, {mark.origin.span: written.replace("amd64", "${TARGETARCH}")})
        edits += place.declares("TARGETARCH")
        for user in users:
            if user.kind in {Kind.DOWNLOAD, Kind.PACKAGE_FILE} and user.stage is not None:
                there = replace(place, stage=user.stage, step=user.step, in_shell=True)
                edits += _dependents(there, user, dict.fromkeys(names, "TARGETARCH"))
        return Fix(f"Let {definition.name} follow TARGETARCH", safety, tuple(dict.fromkeys(edits)), unique)
    value = _value_for_arm64(place, names)
    runs = [user for user in users if user.command is not None and user.script is None]
    if value is None or not runs or len(runs) != len(users):
        return None
    choices = [Choice(definition.name, None, value)]
    if digest and unique and digest.variable:
        placeholder = f"digest-of-{_slug(sink)}"
        unique = (Claim(unique[0].url, placeholder, digest.algorithm), *unique[1:])
        choices.append(Choice(digest.variable, None, placeholder))
    edits = []
    for user in runs:
        prefix = run_prefix(place.project, user.instruction, choices)
        if prefix is None or user.stage is None:
            return None
        edits.append(prefix)
        edits += declared(place.project, user.stage.stage, "TARGETARCH", user.instruction)
    return Fix(f"Give {definition.name} its arm64 value where it is used", safety, tuple(dict.fromkeys(edits)), unique)


def _users(project: Project, definition: Definition) -> list[Sink]:
    """The sinks in which text of the definition arrives."""
    return [
        sink
        for sink in project.sinks
        if any(mark.definition is not None and mark.definition.origin == definition.origin for mark in sink.marks)
        and sink.step is not definition.step
    ]


def _value_for_arm64(place: _Place, names: dict[str, str]) -> str | None:
    """The definition's value as written, the words exchanged; None for quoting that a shell would read otherwise."""
    definition = place.definition
    if definition is None:
        return None
    written = place.source.text(definition.origin.span)
    match = re.match(r"[^=\s]+(?:=|\s+)(.*)$", written, re.DOTALL)
    if not match:
        return None
    value = match[1].strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if re.search(r"[\"'`\\\n]", value) or "$(" in value:
        return None
    for amd64, arm64 in names.items():
        value = value.replace(amd64, arm64)
    return value


def _claims(sink: Sink, names: dict[str, str]) -> tuple[Claim, ...] | None:
    """The URL that the arm64 build will ask for, complete; None when a part of it cannot be known."""
    if sink.kind not in {Kind.DOWNLOAD, Kind.PACKAGE_FILE}:
        return ()
    if "://" not in sink.text or HOLE in sink.text or "$" in sink.text:
        return None
    text = sink.text
    for mark in sorted(sink.marks, key=lambda mark: -mark.token.start):
        name = names.get(mark.token.text) or arm64_names(mark.token.text)[0]
        text = text[: mark.token.start] + name + text[mark.token.end :]
    return (Claim(text),)


def _slug(sink: Sink) -> str:
    """A name for variables and stages after what is downloaded."""
    match = re.search(r"github\.com/[^/]+/([^/]+)/", sink.text)
    name = match[1] if match else sink.text.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    word = re.match(
        r"[a-z][a-z0-9]*(?:[-_][a-z][a-z0-9]*)*", re.sub(r"[-_.](?:linux|amd64|x86|v?\d).*$", "", name.lower())
    )
    slug = re.sub(r"\W+", "_", word[0]) if word else "target"
    return "target" if slug in {"linux", "arch", ""} or sink.kind not in {Kind.DOWNLOAD, Kind.PACKAGE_FILE} else slug


@dataclass(frozen=True)
class _Digest:
    """A literal checksum beside a download; ``variable`` is the ARG or ENV that holds it."""

    text: str
    algorithm: str
    origin: Origin
    variable: str


def _digest_near(place: _Place, sink: Sink, anywhere: bool = False) -> _Digest | None:
    """The checksum that belongs to a download: the nearest one after it in the same RUN."""
    if sink.kind not in {Kind.DOWNLOAD, Kind.PACKAGE_FILE} or sink.command is None:
        return None
    commands = sink.script.trace.commands if sink.script else sink.step.commands
    seen = False
    for command in commands:
        if command is sink.command:
            seen = True
            continue
        if not seen:
            continue
        if command.name in {"curl", "wget"} and not anywhere:
            break
        found = _digest_in(place, command)
        if found:
            return found
    return None


def _digest_in(place: _Place, command: Command) -> _Digest | None:
    for word in command.words:
        text = word.text
        match = _DIGEST.search(text)
        if not match:
            continue
        origins = word.value.origin_of(match.start(), match.end())
        if len(origins) != 1:
            continue
        fragment = next((f for f in word.value.slice(match.start(), match.end())), None)
        variable = fragment.variable if fragment else ""
        own = place.source.path == origins[0].path and origins[0].span in word.origin.span
        if own or variable:
            return _Digest(match[0], _ALGORITHMS[len(match[0])], origins[0], "" if own else variable)
    return None


def _dependents(
    place: _Place, sink: Sink, variables: dict[str, str], choices: list[Choice] | None = None
) -> list[Edit]:
    """What depends on a downloaded file's name, later in the same stage: the file, and folders named after it.

    ``choices`` set the variables in a RUN other than the download's own; TARGETARCH needs none."""
    if place.stage is None or place.is_script:
        return []
    name = sink.text.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
    stem = re.sub(r"\.(?:tar\.\w+|tgz|tbz2?|txz|zip|gz|xz|bz2|deb|rpm|apk|whl)$", "", name)
    edits: list[Edit] = []
    reached = False
    for step in place.stage.steps:
        if step is sink.step and sink.command is None:
            reached = True
            continue
        here: list[Edit] = []
        for command in step.commands:
            if command is sink.command:
                reached = True
                continue
            if not reached or not _writable(step.instruction, ()):
                continue
            there = replace(place, step=step, in_shell=True)
            for word in command.words:
                for origin, token in _dependent_words(place, word, tuple(variables), (name, stem)):
                    here += replacing(place.source, {origin.span: there.variable(variables[token], origin)})
        if here and step is not sink.step and choices:
            prefix = run_prefix(place.project, step.instruction, choices)
            if prefix is None:
                continue
            here.append(prefix)
        edits += here
    return edits


def _dependent_words(
    place: _Place, word: ShellWord, tokens: tuple[str, ...], names: tuple[str, str]
) -> Iterator[tuple[Origin, str]]:
    """The amd64 words in a word of a command that belong to a downloaded file or to a folder named like it."""
    text = word.text
    if "://" in text:
        return
    for token in tokens:
        for match in re.finditer(re.escape(token), text):
            start = max(text.rfind(char, 0, match.start()) for char in "/ =*'\"") + 1
            ends = [at for char in "/ '\";*" if (at := text.find(char, match.end())) >= 0]
            segment = text[start : min(ends, default=len(text))]
            related = any(
                segment in name or name in segment or _first_word(segment) == _first_word(name) for name in names
            )
            if segment == token or not related:
                continue
            origins = word.value.origin_of(match.start(), match.end())
            if len(origins) == 1 and origins[0].path == place.source.path and origins[0].span in word.origin.span:
                yield origins[0], token


def _first_word(text: str) -> str:
    match = re.match(r"[a-z]{3,}", text.lower())
    return match[0] if match else text


def _small_stages(place: _Place, sink: Sink, names: dict[str, str], claims: tuple[Claim, ...]) -> Fix | None:
    """ADD has no shell: one stage for each architecture, and COPY from the one that TARGETARCH names."""
    if place.stage is None:
        return None
    made = stage_per_architecture(place.project, place.stage, place.step, place.marks, names, slug=_slug(sink))
    if made is None:
        return None
    edits, digest = made
    if digest and claims:
        claims = (Claim(claims[0].url, digest[0], digest[1]),)
    elif digest:
        return None
    return Fix("Download in one small stage for each architecture", Safety.SAFE, edits, claims)


def _image(place: _Place, sink: Sink) -> Iterator[Fix]:
    """The multi-platform name of an image."""
    edits = []
    official = re.match(r"(?:docker\.io/)?amd64/[\w.-]+(?:[:@]|$)", sink.text) is not None
    for mark in place.marks:
        span = mark.origin.span
        data = place.source.data
        start, end = span.start, span.end
        if data[end : end + 1] == b"/":
            end += 1
        elif data[start - 1 : start] in {b"-", b"_", b"."}:
            start -= 1
        elif data[end : end + 1] in {b"-", b"_", b"."}:
            end += 1
        else:
            return
        edits.append(Edit(place.source.path, Span(start, end), b""))
    safety = Safety.SAFE if official else Safety.UNSAFE
    yield Fix("Use the image's name without an architecture", safety, tuple(edits))


def _by_program(place: _Place, sink: Sink) -> Fix | None:
    """Let the machine say its name: in a shell, for paths, triples and package sources."""
    edits: list[Edit] = []
    for mark in place.marks:
        written = place.source.text(mark.origin.span)
        if sink.kind is Kind.REPOSITORY:
            if written != "amd64":
                return None
            text = place.program("dpkg --print-architecture", mark.origin)
        elif written == "ld-linux-x86-64" and place.source.data[mark.origin.span.end :].startswith(b".so.*"):
            text = "ld-linux-" + place.program("uname -m | tr _ -", mark.origin)
        elif re.match(r"x86_64-[\w-]*linux-", written):
            text = place.program("uname -m", mark.origin) + written[len("x86_64") :]
        elif sink.kind is Kind.LIBRARY_PATH and written.endswith("amd64"):
            text = written[: -len("amd64")] + place.program("dpkg --print-architecture", mark.origin)
        else:
            return None
        edits += replacing(place.source, {mark.origin.span: text})
    return Fix("Ask the machine for its architecture", Safety.SAFE, tuple(edits))


def _wildcard(place: _Place) -> Iterator[Fix]:
    """COPY can take the multiarch directory by a pattern; there is only one in an image."""
    if place.instruction.keyword != "COPY":
        return
    edits = []
    for mark in place.marks:
        span = Span(mark.origin.span.start, mark.origin.span.start + len("x86_64"))
        if not _MULTIARCH.match(place.source.data, span.start):
            return
        edits += replacing(place.source, {span: "*"})
    yield Fix("Take the directory by a pattern", Safety.UNSAFE, tuple(edits))
