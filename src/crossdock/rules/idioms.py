"""Fix candidates: the idioms by which a place that is tied to amd64 is made to follow the target architecture.

In this order: a variable in which the author already has the name; ``${TARGETARCH}`` where the names agree;
``$(uname -m)`` in a shell where they are the kernel's; a ``case`` with a failing default in the same RUN; for ADD,
which has no shell, one small stage for each architecture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import product

from crossdock.findings import Claim, Fix, Safety
from crossdock.platforms import AMD64
from crossdock.read.dockerfile import parse
from crossdock.read.pieces import HOLE
from crossdock.read.trace import PLATFORM_ARGUMENTS, StageTrace, Step, trace
from crossdock.read.values import Origin, Value
from crossdock.rules.base import Project
from crossdock.rules.checksums import Digest, belong_together, digest_of, file_name, is_checked_with_unknown
from crossdock.rules.dependents import Dependent, dependents
from crossdock.rules.draft import CannotWrite, Draft, Spelling
from crossdock.rules.edits import Choice, replacing, run_beginning
from crossdock.rules.named import NAMED, arm64_name, as_known, companions, doubt_of
from crossdock.rules.names import PAIRS, amd64_tokens, arm64_names
from crossdock.rules.package_sources import package_sources
from crossdock.rules.place import Place
from crossdock.rules.sinks import DefinedBy, Definition, Kind, Mark, Sink
from crossdock.rules.stages import stage_per_architecture
from crossdock.rules.upstream import arm64_file_names
from crossdock.rules.vocabulary import APT_ARCH
from crossdock.source import Edit, Source, Span

MOST_CANDIDATES = 5
MOST_COMMANDS = 300
"""Of a RUN that is mended; a longer one was generated, and its generator is what to mend."""
_NO_FIX = frozenset({Kind.COMPILER_FLAG, Kind.FOREIGN, Kind.NAMED_PATH})
_FILES = frozenset({Kind.DOWNLOAD, Kind.PACKAGE_FILE})
_MULTIARCH = re.compile(rb"x86_64-(?:unknown-)?linux-(?:gnu|musl)")
_OFFICIAL = re.compile(r"(?:docker\.io/)?amd64/([\w.-]+)(?::([\w.-]+))?")
"""Docker's official images for amd64. What is below ``arm64v8`` is in the image without a prefix as well."""
_HUB = "https://hub.docker.com/v2"
_UNKNOWN_SOURCE = "whether this package source has arm64 could not be looked up"
_READ_BY_OTHERS = "what reads the variable may call arm64 otherwise"
_TARGETARCH = Spelling("amd64", "${TARGETARCH}", argument="TARGETARCH")
_UNAME = Spelling("x86_64", "$(uname -m)")


def fixes_for(project: Project, sink: Sink, marks: tuple[Mark, ...]) -> tuple[Fix, ...]:
    """Candidates for one place, best first; none where nothing is known to be right."""
    if sink.kind in _NO_FIX or project.target.architecture != "arm64" or len(sink.step.commands) > MOST_COMMANDS:
        return ()
    from_context = sink.instruction.keyword == "COPY" and sink.step.copied_from is None
    if from_context or (sink.kind is Kind.PACKAGE_FILE and "://" not in sink.text):
        # The file for arm64 is the author's to bring.
        return ()
    if sink.kind in NAMED:
        sink, marks = as_known(project, sink, marks)
        definition = marks[0].definition
        doubt = doubt_of(project, sink, marks, _users(project, definition) if definition else ())
        fixes = _fixes(project, sink, marks)
        return _doubted(fixes, doubt) if doubt else fixes
    fixes = _fixes(project, sink, marks)
    return _doubted(fixes, _READ_BY_OTHERS) if sink.kind is Kind.VARIABLE else fixes


def _doubted(fixes: Iterable[Fix], doubt: str) -> tuple[Fix, ...]:
    return tuple(replace(fix, safety=Safety.UNSAFE, doubt=doubt) for fix in fixes)


def _fixes(project: Project, sink: Sink, marks: tuple[Mark, ...]) -> tuple[Fix, ...]:
    place = Place.of(project, sink, marks)
    if place is None:
        return ()
    place = replace(place, marks=(*place.marks, *companions(project, sink, marks)))
    if sink.kind is Kind.IMAGE and place.definition is None:
        return tuple(_image(place, sink))
    if place.shell and not place.builds:
        told = _by_program(place, sink, next(_candidates(sink, marks), {}))
        if told:
            return (told,)
    wildcards = tuple(_wildcard(place))
    if wildcards:
        return wildcards
    found: list[Fix] = []
    for names in _candidates(sink, marks):
        try:
            fix = _candidate(place, sink, names)
        except CannotWrite:
            continue
        if fix and fix not in found:
            found.append(fix)
    return tuple(found)


# Names


def _candidates(sink: Sink, marks: tuple[Mark, ...]) -> Iterator[dict[str, str]]:
    """What each amd64 word may be for arm64, best first."""
    words = list(dict.fromkeys([mark.token.text for mark in (*sink.marks, *marks)]))
    options: list[tuple[str, ...]] = []
    for word in words:
        if sink.kind in _FILES:
            options.append(arm64_file_names(sink.text, word))
        elif sink.kind in NAMED:
            tokens = [mark.token for mark in (*sink.marks, *marks) if mark.token.text == word]
            names = {arm64_name(sink.text, token, sink.detail) for token in tokens}
            options.append(tuple(names - {word}) if len(names) == 1 else ())
        elif sink.kind is Kind.REPOSITORY and not APT_ARCH.search(sink.text):
            options.append(arm64_names(word))
        else:
            options.append(arm64_names(word)[:1])
    for number, combination in enumerate(product(*options)):
        if number >= MOST_CANDIDATES:
            return
        yield dict(zip(words, combination, strict=True))


def _claims(sink: Sink, names: Mapping[str, str]) -> tuple[Claim, ...] | None:
    """The URLs that the arm64 build will ask for, complete; None when a part of one cannot be known."""
    if sink.kind is not Kind.REPOSITORY and sink.kind not in _FILES:
        return ()
    text = sink.text
    for mark in sorted(sink.marks, key=lambda mark: -mark.token.start):
        name = names.get(mark.token.text) or arm64_names(mark.token.text)[0]
        text = text[: mark.token.start] + name + text[mark.token.end :]
    if sink.kind is Kind.REPOSITORY:
        return _repository_claims(sink, text)
    if "://" not in text or HOLE in text or "$" in text:
        return None
    return (Claim(text),)


def _repository_claims(sink: Sink, for_arm64: str) -> tuple[Claim, ...] | None:
    """The indexes of the package sources that have amd64 in them."""
    before, after = package_sources(sink.text), package_sources(for_arm64)
    if len(before) != len(after):
        return None
    claims: list[Claim] = []
    for mark in sink.marks:
        word = Span(mark.token.start, mark.token.end)
        indexes = [there.indexes for here, there in zip(before, after, strict=True) if word in here.span]
        if not indexes or not indexes[0]:
            return None
        claims += [Claim(url) for url in indexes[0]]
    return tuple(dict.fromkeys(claims))


def _slug(sink: Sink) -> str:
    """A name for variables and stages after what is downloaded."""
    match = re.search(r"github\.com/[^/]+/([^/]+)/", sink.text)
    name = (match[1] if match else file_name(sink.text)).lower()
    for token in amd64_tokens(name)[:1]:
        name = name[: token.start] or name[token.end :].lstrip("-_.")
    word = re.match(r"[a-z][a-z0-9]*(?:[-_][a-z][a-z0-9]*)*", re.sub(r"[-_.](?:linux|v?\d).*$", "", name))
    slug = re.sub(r"\W+", "_", word[0]) if word else "target"
    return "target" if slug in {"linux", "arch", ""} or sink.kind not in _FILES else slug


# Candidates


def _candidate(place: Place, sink: Sink, names: Mapping[str, str]) -> Fix | None:
    """One fix for all that belongs together: the place itself, everyone who uses what it defines, what depends on their
    names, their checksums and signatures. Raises CannotWrite."""
    if place.definition and place.definition.by is not DefinedBy.SHELL:
        return _definition_fix(place, place.definition, names)
    add = place.instruction.keyword == "ADD" and not place.shell
    if add and place.stage and (place.instruction.flag("checksum") or not _agree(place, names)):
        return _small_stages(place, place.stage, sink, names)
    try:
        return _rewritten(place, sink, names, reuse=True)
    except CannotWrite:
        return _rewritten(place, sink, names, reuse=False)


def _rewritten(place: Place, sink: Sink, names: Mapping[str, str], *, reuse: bool) -> Fix:
    draft = Draft()
    spellings = _spellings(place, sink, names, reuse=reuse)
    for mark in place.marks:
        draft.write(place, mark.origin.span, spellings[mark.token.text])
    if place.definition:
        users = _users(place.project, place.definition)
    else:
        users = [sink]
        for other in _siblings(place.project, sink):
            there = Place.of(place.project, other, other.marks)
            if there is None or there.definition or not {mark.token.text for mark in other.marks} <= spellings.keys():
                continue
            for mark in other.marks:
                draft.write(there, mark.origin.span, spellings[mark.token.text])
            users.append(other)
    for user in users or [sink]:
        _use(draft, place, user, names, spellings)
    return draft.fix(_title(spellings))


def _title(spellings: Mapping[str, Spelling]) -> str:
    if all(spelling.argument for spelling in spellings.values()):
        return "Use the target architecture's name, TARGETARCH"
    if all(spelling.choice is None for spelling in spellings.values()):
        return "Ask for the architecture"
    return "Choose by architecture"


def _agrees(word: str, arm64: str) -> bool:
    """Whether the two names differ as TARGETARCH does."""
    return "amd64" in word and word.replace("amd64", "arm64", 1) == arm64


def _agree(place: Place, names: Mapping[str, str]) -> bool:
    return all(_agrees(mark.token.text, names[mark.token.text]) for mark in place.marks)


def _spellings(place: Place, sink: Sink, names: Mapping[str, str], *, reuse: bool = True) -> dict[str, Spelling]:
    """How each amd64 word of the place is written for both architectures."""
    beginning = place.beginning() if place.shell or place.script else None
    made = list(beginning.chosen()) if beginning else []
    found: dict[str, Spelling] = {}
    for word in dict.fromkeys(mark.token.text for mark in place.marks):
        arm64 = names[word]
        author = _authors_variable(place, sink, word, arm64) if reuse else ""
        if author:
            found[word] = Spelling(word, f"${{{author}}}", local=author not in sink.step.scope)
        elif _agrees(word, arm64) and not place.script:
            found[word] = _TARGETARCH
        elif place.shell and not place.builds and "x86_64" in word and word.replace("x86_64", "aarch64", 1) == arm64:
            found[word] = _UNAME
        else:
            known = next((choice for choice in made if (choice.amd64, choice.arm64) == (word, arm64)), None)
            choice = known or Choice(_free_variable(place, sink, word, made), word, arm64)
            made.append(choice)
            found[word] = Spelling(word, f"${{{choice.name}}}", choice=choice)
    return found


def _free_variable(place: Place, sink: Sink, word: str, made: Iterable[Choice]) -> str:
    """A name for a variable that the RUN or script does not use for something else."""
    text = place.source.data.decode("utf-8", "replace") if place.script else place.source.text(place.instruction.span)
    taken = {choice.name for choice in made} | {*re.findall(r"(?:\$\{?|\b(?=\w+=))(\w+)", text)}
    stem = f"{_slug(sink)}_{'arch' if amd64_tokens(word) or word.lower() in PAIRS else 'file'}"
    names = [stem, *(f"{stem}{number}" for number in range(2, len(taken) + 3))]
    if not stem.endswith("_file"):
        names.insert(0, "arch")
    return next(name for name in names if name not in taken)


def _authors_variable(place: Place, sink: Sink, word: str, arm64: str) -> str:
    """A variable of the author's that holds the word for amd64, and its counterpart for arm64."""
    command = sink.command
    if command is None or place.definition or sink.script:
        return ""
    candidates = [
        name
        for name, value in command.scope.items()
        if value.text == arm64 and name not in PLATFORM_ARGUMENTS and re.fullmatch(r"[A-Za-z_]\w*", name)
    ]
    if not candidates:
        return ""
    there = _scopes_on_amd64(place.project.dockerfile.source).get(command.origin, {})
    return next((name for name in candidates if name in there and there[name].text == word), "")


@lru_cache(maxsize=2)
def _scopes_on_amd64(source: Source) -> dict[Origin, Mapping[str, Value]]:
    """The variables that each command of the Dockerfile sees in a build for amd64."""
    traced = trace(parse(source), target=AMD64)
    return {command.origin: command.scope for _, step in traced.steps for command in step.commands}


def _users(project: Project, definition: Definition) -> list[Sink]:
    """The sinks in which text of the definition arrives, without the definition's own."""
    return [
        sink
        for sink in project.sinks
        if sink.origin != definition.origin
        and any(mark.definition is not None and mark.definition.origin == definition.origin for mark in sink.marks)
    ]


def _siblings(project: Project, sink: Sink) -> list[Sink]:
    """The download of the signature or checksum file beside a file, or of the file beside it."""
    if sink.kind not in _FILES:
        return []
    return [
        other
        for other in project.sinks
        if other.kind in _FILES and other.stage is sink.stage and belong_together(other.text, sink.text)
    ]


def _use(draft: Draft, place: Place, user: Sink, names: Mapping[str, str], spellings: Mapping[str, Spelling]) -> None:
    """What one use of the words claims, and what depends on it: names in later steps, the checksum. Raises
    CannotWrite."""
    claims = _claims(user, names)
    if claims is None and user.kind is Kind.REPOSITORY:
        draft.lower(_UNKNOWN_SOURCE)
    elif claims is None or user.kind in {Kind.OUTPUT, Kind.IMAGE}:
        draft.lower()
    if user.kind in _FILES and user.stage is not None:
        whole = not any(amd64_tokens(word) for word in spellings)
        for dependent in dependents(place.project, user, tuple(spellings), whole):
            _follow(draft, place.at(user.stage, dependent.step, shell=dependent.shell), dependent, names, spellings)
            if spellings[dependent.word].local and dependent.step is not user.step:
                raise CannotWrite
        digest = digest_of(place.project, user)
        if is_checked_with_unknown(user):
            draft.lower()
        if digest and not digest.has_counterpart(place.project):
            claims = (_replace_digest(draft, place, user, digest, claims),)
    draft.claims += claims or ()


def _follow(
    draft: Draft, there: Place, dependent: Dependent, names: Mapping[str, str], spellings: Mapping[str, Spelling]
) -> None:
    """Change a name that depends on a download, or the variable that holds it. Raises CannotWrite."""
    spelling = spellings[dependent.word]
    if dependent.defined and not spelling.argument:
        _, made = dependent.defined
        value = _written_value(there.source.text(made.origin.span))
        if value is None or dependent.word not in value:
            raise CannotWrite
        draft.choose(there, Choice(made.name, None, value.replace(dependent.word, names[dependent.word])))
    elif dependent.defined:
        draft.write(there.at(there.stage, dependent.defined[0], shell=False), dependent.origin.span, spelling)
    elif (dependent.shell or spelling.argument) and not dependent.fixed:
        draft.write(there, dependent.origin.span, spelling)
    else:
        draft.lower()


def _replace_digest(draft: Draft, place: Place, user: Sink, digest: Digest, claims: tuple[Claim, ...] | None) -> Claim:
    """Let the checksum be that of the file for the architecture. Raises CannotWrite where it cannot be known."""
    if not claims:
        raise CannotWrite
    slug = _slug(user)
    placeholder = f"digest-of-{slug}-{len(draft.claims)}-"
    there = place.at(digest.stage, digest.step, shell=True)
    if digest.variable:
        draft.choose(there, Choice(digest.variable, None, placeholder))
    else:
        if user.script:
            there = place
        if there.source.path != digest.origin.path:
            raise CannotWrite
        beginning = there.beginning()
        taken = {made.name for made in beginning.chosen()} if beginning else set()
        stem = f"{slug}_{digest.algorithm}"
        names = (stem, *(f"{stem}_{number}" for number in range(2, len(taken) + 3)))
        name = next(name for name in names if name not in taken)
        choice = Choice(name, digest.text, placeholder)
        draft.write(there, digest.origin.span, Spelling(digest.text, f"${{{name}}}", choice=choice))
    return Claim(claims[0].url, placeholder, digest.algorithm)


def _definition_fix(place: Place, definition: Definition, names: Mapping[str, str]) -> Fix | None:
    """An ARG or ENV: TARGETARCH in its value, or another value of it in each RUN that uses it. Raises CannotWrite."""
    users = _users(place.project, definition)
    draft = Draft()
    if _agree(place, names):
        for mark in place.marks:
            draft.write(place, mark.origin.span, _TARGETARCH)
        for user in users:
            _use(draft, place, user, names, dict.fromkeys(names, _TARGETARCH))
        return draft.fix(f"Let {definition.name} follow TARGETARCH")
    if any(sink.origin == definition.origin for sink in place.project.sinks):
        return None  # what the variable says is wrong by itself, and another value in the RUN leaves it so
    value = _value_for_arm64(place, definition, names)
    if value is None or not users or any(user.command is None or _at_start(user) for user in users):
        return None
    derived = _derived(place.project, definition)
    for stage, step in _runs(place.project, definition, users):
        there = place.at(stage, step, shell=True)
        draft.choose(there, Choice(definition.name, None, value))
        for name, made_of in _needed(step, derived):
            draft.choose(there, Choice(name, None, made_of))
    for user in users:
        there = place.at(user.stage, user.step, shell=True)
        _use(draft, there, user, names, _spellings(there, user, names))
    return draft.fix(f"Give {definition.name} its arm64 value where it is used")


def _at_start(user: Sink) -> bool:
    """Whether it is used when the container starts, where no RUN has a say."""
    return user.instruction.keyword != "RUN" or (user.script is not None and user.script.at_start)


def _runs(project: Project, definition: Definition, users: Iterable[Sink]) -> Iterator[tuple[StageTrace, Step]]:
    """The RUN instructions that use a variable, or say its name."""
    using = [user.step for user in users]
    name = re.compile(rf"\$\{{?{definition.name}\b")
    for stage, step in project.trace.steps:
        if any(step is each for each in using):
            yield stage, step
        elif stage is definition.stage and step.instruction.keyword == "RUN" and not step.instruction.exec_form:
            later = step.instruction.span.start > definition.origin.span.end
            text = step.instruction.arguments.text + "".join(heredoc.text for heredoc in step.instruction.heredocs)
            if later and name.search(text) and run_beginning(project, step.instruction):
                yield stage, step


def _derived(project: Project, definition: Definition) -> list[tuple[str, str]]:
    """The names and values, as written, of later ARG and ENV that are made of a definition."""
    found: list[tuple[str, str]] = []
    steps = [*project.trace.preamble, *(step for _, step in project.trace.steps)]
    for step in steps:
        for made in step.assignments if step.instruction.keyword in {"ARG", "ENV"} else ():
            sources = [fragment.origin for fragment in made.value if fragment.origin]
            if made.origin == definition.origin or not any(o.span in definition.origin.span for o in sources):
                continue
            value = _written_value(project.dockerfile.source.text(made.origin.span))
            if value is not None:
                found.append((made.name, value))
    return found


def _needed(step: Step, derived: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the derived variables that a RUN uses, by itself or through another one, in the order of the file."""
    instruction = step.instruction
    text = instruction.arguments.text + "".join(heredoc.text for heredoc in instruction.heredocs)
    needed: list[tuple[str, str]] = []
    for name, value in reversed(list(derived)):
        if step.scripts or re.search(rf"\$\{{?{name}\b", text):
            needed.insert(0, (name, value))
            text += f" {value}"
    return needed


def _value_for_arm64(place: Place, definition: Definition, names: Mapping[str, str]) -> str | None:
    """The definition's value as written, the words exchanged."""
    value = _written_value(place.source.text(definition.origin.span))
    for amd64, arm64 in names.items():
        value = value and value.replace(amd64, arm64)
    return value


def _written_value(assignment: str) -> str | None:
    """What stands behind ``NAME=`` in an ARG or ENV; None where there is nothing, or quoting that a shell would read
    otherwise."""
    match = re.match(r"[^=\s]+(?:=|\s+)(.*)$", assignment, re.DOTALL)
    if not match:
        return None
    value = match[1].strip()
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'" and not (value[0] == "'" and "$" in value):
        value = value[1:-1]
    return None if re.search(r"[\"'`\\\n]", value) or "$(" in value else value


def _small_stages(place: Place, stage: StageTrace, sink: Sink, names: Mapping[str, str]) -> Fix | None:
    """ADD has no shell: one stage for each architecture, and COPY from the one that TARGETARCH names."""
    claims = _claims(sink, names)
    if "://" not in sink.text or digest_of(place.project, sink):
        return None
    made = stage_per_architecture(place.project, stage, place.step, place.marks, names, slug=_slug(sink))
    if made is None or (made[1] and not claims):
        return None
    edits, digest = made
    if digest and claims:
        claims = (Claim(claims[0].url, digest[0], digest[1]),)
    draft = Draft(Safety.UNSAFE if claims is None else Safety.SAFE, list(claims or ()), list(edits))
    words = tuple(dict.fromkeys(mark.token.text for mark in place.marks if amd64_tokens(mark.token.text)))
    for dependent in dependents(place.project, sink, words, whole=False):
        there = place.at(stage, dependent.step, shell=True)
        if dependent.name == file_name(sink.text):
            continue  # COPY keeps the name that ADD gave it
        if dependent.shell and not dependent.defined:
            draft.write(there, dependent.origin.span, _spellings(there, sink, names, reuse=False)[dependent.word])
        else:
            draft.lower()
    return draft.fix("Download in one small stage for each architecture")


def _image(place: Place, sink: Sink) -> Iterator[Fix]:
    """The multi-platform name of an image."""
    edits = []
    official = _OFFICIAL.fullmatch(sink.text)
    for mark in place.marks:
        span = mark.origin.span
        data = place.source.data
        start, end = span.start, span.end
        if not amd64_tokens(mark.token.text):
            # Without the name of 32-bit x86 it would be another image for amd64, too.
            return
        if data[end : end + 1] == b"/":
            end += 1
        elif data[start - 1 : start] in {b"-", b"_", b"."}:
            start -= 1
        elif data[end : end + 1] in {b"-", b"_", b"."}:
            end += 1
        else:
            return
        edits.append(Edit(place.source.path, Span(start, end), b""))
    title = "Use the image's name without an architecture"
    if official:
        twin = f"{_HUB}/namespaces/arm64v8/repositories/{official[1]}/tags/{official[2] or 'latest'}"
        yield Fix(title, Safety.SAFE, tuple(edits), (Claim(twin),))
    else:
        doubt = "whether the image of that name is the same one could not be looked up"
        yield Fix(title, Safety.UNSAFE, tuple(edits), doubt=doubt)


def _by_program(place: Place, sink: Sink, names: Mapping[str, str]) -> Fix | None:
    """Let the machine say its name: in a shell, for paths, triples and package sources."""
    draft = Draft()
    if sink.kind is Kind.REPOSITORY:
        claims = _claims(sink, names)
        draft.claims += claims or ()
        if claims is None:
            draft.lower(_UNKNOWN_SOURCE)
    for mark in place.marks:
        span = mark.origin.span
        text = _asked(sink, place.source.text(span), names.get(mark.token.text, ""))
        if text is None:
            return None
        draft.expand(place, span, text)
    return draft.fix("Ask the machine for its architecture")


def _asked(sink: Sink, written: str, arm64: str) -> str | None:
    """How the machine itself says what is written; None where no program does, or it would say another name."""
    if sink.kind is Kind.REPOSITORY:
        by_apt = re.search(r"(?m)^\s*deb\s", sink.text) or APT_ARCH.search(sink.text)
        return "$(dpkg --print-architecture)" if written == "amd64" and by_apt else None
    if sink.kind not in NAMED:
        return None
    if (written, arm64) == ("ld-linux-x86-64", "ld-linux-aarch64"):
        return "ld-linux-$(uname -m | tr _ -)"
    if re.match(r"x86_64-[\w-]*linux-", written) and arm64 == written.replace("x86_64", "aarch64", 1):
        return "$(uname -m)" + written.removeprefix("x86_64")
    if sink.kind is Kind.LIBRARY_PATH and written.endswith("amd64") and arm64 == written.replace("amd64", "arm64"):
        return written.removesuffix("amd64") + "$(dpkg --print-architecture)"
    return None


def _wildcard(place: Place) -> Iterator[Fix]:
    """COPY can take the multiarch directory by a pattern; there is only one in an image."""
    if place.instruction.keyword != "COPY":
        return
    edits = []
    for mark in place.marks:
        span = Span(mark.origin.span.start, mark.origin.span.start + len("x86_64"))
        if not _MULTIARCH.match(place.source.data, span.start):
            return
        edits += replacing(place.source, [span], "*")
    yield Fix("Take the directory by a pattern", Safety.UNSAFE, tuple(edits))
