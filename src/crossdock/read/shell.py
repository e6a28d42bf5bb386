"""Evaluates shell text for one platform: which commands are reached, with which words, and what variables hold.

The grammar is tree-sitter's bash. It runs over the joined text of a RUN or script; every span is mapped back to the
bytes of the file. Nothing is executed. What cannot be known is unknown, and a condition that cannot be decided is
walked both ways; an unknown value that is compared with the name of an architecture is taken for the architecture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from crossdock.findings import Skipped
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.read.model import LogicalText
from crossdock.read.pieces import (
    HOLE,
    alternatives,
    compiled,
    either,
    glob,
    split,
    strip_newlines,
    substitute,
    trim_prefix,
    trim_suffix,
    without_origin,
)
from crossdock.read.programs import grep, output, posix_regex
from crossdock.read.values import UNKNOWN, Fragment, Origin, Value, join, literal
from crossdock.source import Span

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MOST_STEPS = 20_000
"""Commands walked before evaluation gives up: functions and loops in a generated script could multiply without end."""
MOST_DEPTH = 40
"""Nested functions and substitutions."""
MOST_ROUNDS_OF_LOOP = 24

_NAMES: dict[str, frozenset[str]] = {
    "amd64": frozenset("amd64 x86_64 x86-64 x64 linux/amd64 linux-amd64 linux-x86_64 amd64/linux 64bit".split()),
    "arm64": frozenset("arm64 aarch64 aarch_64 arm64v8 armv8 linux/arm64 linux/arm64/v8 linux-arm64 arm64/v8".split()),
    "other": frozenset(
        "386 i386 i486 i586 i686 x86 arm armhf armel armv5 armv6 armv6l armv7 armv7l linux/arm linux/arm/v6 linux/arm/v7 "
        "arm/v6 arm/v7 ppc64 ppc64le ppc64el s390x riscv64 loong64 loongarch64 mips64le mips64el linux/386 "
        "linux/ppc64le linux/s390x linux/riscv64".split()
    ),
}


_ARCHITECTURE_WORDS = frozenset().union(*_NAMES.values())


@dataclass(frozen=True)
class ShellWord:
    """One word after expansion. ``origin`` covers it as written; the value's fragments know where its parts are from."""

    value: Value
    origin: Origin

    @property
    def text(self) -> str:
        """The word with a replacement character for each part that cannot be known."""
        return self.value.render()


@dataclass(frozen=True)
class Redirect:
    """``operator`` as written (``>``, ``>>``, ``<<``, ``<<<``, ``>&``); for a here-document the target is its body."""

    operator: str
    target: Value
    origin: Origin


@dataclass(frozen=True)
class Assignment:
    """``name=value``, plain, exported or before a command. ``origin`` covers all of it."""

    name: str
    value: Value
    origin: Origin
    because: tuple[Value, ...] = ()
    """The values, written down as the name of an architecture, by which the branch it stands in was chosen."""


@dataclass(frozen=True)
class Command:
    """A simple command that is reached.

    ``certain`` is false when it depends on a condition that could not be decided. ``scope`` holds every variable at
    that moment, ``exported`` the names that the command gets in its environment besides its own ``assignments``.
    """

    words: tuple[ShellWord, ...]
    assignments: tuple[Assignment, ...]
    redirects: tuple[Redirect, ...]
    origin: Origin
    certain: bool
    directory: Value
    stdin: Value | None
    scope: Mapping[str, Value] = field(repr=False)
    exported: frozenset[str] = field(repr=False)
    because: tuple[Value, ...] = ()
    """The values, written down as the name of an architecture, by which the branch it stands in was chosen."""

    @property
    def name(self) -> str:
        """The program's base name; empty for a bare assignment."""
        return self.words[0].text.rsplit("/", 1)[-1] if self.words else ""

    @property
    def arguments(self) -> tuple[ShellWord, ...]:
        return self.words[1:]

    def variable(self, name: str) -> Value | None:
        """What the command sees as environment variable ``name``."""
        for assignment in reversed(self.assignments):
            if assignment.name == name:
                return assignment.value
        return self.scope.get(name) if name in self.exported else None


@dataclass(frozen=True)
class UnsetUse:
    """A variable that nothing in the file sets was expanded here."""

    name: str
    origin: Origin
    defaulted: bool = False
    """It was ``${NAME:-something}``: being unset is foreseen."""


@dataclass(frozen=True)
class ShellTrace:
    """What running the text does on the platform. ``ended`` is true when it never gets to its end (``exit``)."""

    commands: tuple[Command, ...]
    assignments: tuple[Assignment, ...]
    unset: tuple[UnsetUse, ...]
    variables: Mapping[str, Value]
    files: Mapping[str, Value]
    ended: bool
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class Machine:
    """Where the shell runs, and what the build is for."""

    runs_on: Platform = ARM64
    target: Platform = ARM64
    open: frozenset[str] = frozenset()
    """Build arguments that have a default: what hangs on their value is not decided."""


def evaluate(
    text: LogicalText,
    path: str,
    *,
    variables: Mapping[str, Value] | None = None,
    machine: Machine | None = None,
    arguments: tuple[Value, ...] = (),
    directory: Value | None = None,
    files: Mapping[str, Value] | None = None,
    errexit: bool = False,
) -> ShellTrace:
    """Walk shell text. ``variables`` are exported at the start (ENV and ARG are); ``files`` are what is known of files
    written by earlier steps. Never raises for what the shell text holds."""
    walker = _Walker(path, machine or Machine())
    state = _State(
        variables=dict(variables or {}),
        exported=frozenset(variables or {}),
        directory=directory if directory is not None else literal("/"),
        arguments=arguments,
        files=dict(files or {}),
        errexit=errexit,
    )
    walker.text(text, state)
    return walker.result(state)


def evaluate_words(
    words: tuple[ShellWord, ...],
    path: str,
    *,
    variables: Mapping[str, Value] | None = None,
    machine: Machine | None = None,
    directory: Value | None = None,
    files: Mapping[str, Value] | None = None,
) -> ShellTrace:
    """The same for a command that is given as words, without a shell (the exec form)."""
    walker = _Walker(path, machine or Machine())
    state = _State(
        variables=dict(variables or {}),
        exported=frozenset(variables or {}),
        directory=directory if directory is not None else literal("/"),
        arguments=(),
        files=dict(files or {}),
    )
    walker.program(words, state)
    return walker.result(state)


@cache
def _parser() -> Parser:
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


@dataclass
class _State:
    """The mutable part of a shell. Dictionaries are replaced, never changed in place: commands hold on to them."""

    variables: dict[str, Value]
    exported: frozenset[str]
    directory: Value
    arguments: tuple[Value, ...]
    files: dict[str, Value]
    functions: dict[str, tuple[Node, _Text]] = field(default_factory=dict)
    arrays: dict[str, dict[str, Value]] = field(default_factory=dict)
    stdin: Value | None = None
    stdout: Value = field(default_factory=Value)
    ended: bool = False
    returned: bool = False
    certain: bool = True
    because: tuple[Value, ...] = ()
    errexit: bool = False

    def fork(self) -> _State:
        return _State(**self.__dict__)

    def become(self, other: _State) -> None:
        self.__dict__.update(other.__dict__)

    def set(self, name: str, value: Value) -> None:
        self.variables = {**self.variables, name: value}

    @property
    def stopped(self) -> bool:
        return self.ended or self.returned


@dataclass(frozen=True)
class _Text:
    """A text being walked, with the way from the parser's byte offsets to the file."""

    logical: LogicalText
    data: bytes
    characters: tuple[int, ...] | None
    """For each byte its character; None when they are the same (ASCII)."""

    def char(self, byte: int) -> int:
        return byte if self.characters is None else self.characters[byte]

    def slice(self, start: int, end: int) -> str:
        return self.logical.text[self.char(start) : self.char(end)]


def _as_text(logical: LogicalText) -> _Text:
    data = logical.text.encode("utf-8", "surrogateescape")
    if len(data) == len(logical.text):
        return _Text(logical, data, None)
    characters: list[int] = []
    for index, char in enumerate(logical.text):
        characters += [index] * len(char.encode("utf-8", "surrogateescape"))
    return _Text(logical, data, (*characters, len(logical.text)))


class _TooMuch(Exception):
    pass


class _Walker:
    """One evaluation. Methods named after grammar nodes run them and give the status: success, failure or unknown."""

    def __init__(self, path: str, machine: Machine) -> None:
        self.path = path
        self.machine = machine
        self.commands: list[Command] = []
        self.assignments: list[Assignment] = []
        self.unset: list[UnsetUse] = []
        self.skipped: list[Skipped] = []
        self.steps = 0
        self.depth = 0
        self.reasons: list[Value] = []
        self.source = _as_text(LogicalText("", (0,)))

    def result(self, state: _State) -> ShellTrace:
        return ShellTrace(
            tuple(self.commands),
            tuple(self.assignments),
            tuple(dict.fromkeys(self.unset)),
            state.variables,
            state.files,
            state.ended,
            tuple(dict.fromkeys(self.skipped)),
        )

    def program(self, words: tuple[ShellWord, ...], state: _State) -> None:
        """Run one command that is already split into words."""
        if not words:
            return
        unwrapped, assignments = _unwrapped(list(words))
        origin = Origin(self.path, Span(words[0].origin.span.start, words[-1].origin.span.end))
        command = Command(
            tuple(unwrapped),
            tuple(assignments),
            (),
            origin,
            True,
            state.directory,
            None,
            state.variables,
            state.exported,
        )
        self.commands.append(command)
        try:
            self.execute(command, state)
        except (_TooMuch, RecursionError):
            self.skipped.append(Skipped(f"the shell text at {self.path}", "it is too deep or too long to be followed"))

    # Texts and positions

    def text(self, logical: LogicalText, state: _State) -> bool | None:
        """Parse and run one text: the whole, or a string given to ``sh -c`` or ``eval``."""
        outer = self.source
        self.source = _as_text(logical)
        status: bool | None = None
        self.depth += 1
        try:
            if self.depth > MOST_DEPTH:
                raise _TooMuch
            root = _parser().parse(self.source.data).root_node
            if root.has_error:
                self._say_errors(root)
            status = self.statements(root.named_children, state)
        except (_TooMuch, RecursionError):
            self.skipped.append(Skipped(f"the shell text at {self.path}", "it is too deep or too long to be followed"))
        finally:
            self.depth -= 1
            self.source = outer
        return status

    def _say_errors(self, root: Node) -> None:
        node = root
        while not (node.is_error or node.is_missing):
            inner = next((child for child in node.children if child.has_error or child.is_missing), None)
            if inner is None:
                return
            node = inner
        line = self.source.slice(node.start_byte, node.end_byte).strip().splitlines()
        self.skipped.append(
            Skipped(
                f"a part of the shell text in {self.path}", f"it could not be parsed near {(line or [''])[0][:60]!r}"
            )
        )

    def origin(self, start: int, end: int) -> Origin:
        return Origin(self.path, self.source.logical.span(self.source.char(start), self.source.char(end)))

    def written(self, start: int, end: int) -> Value:
        """Literal text with its origins: one fragment for each stretch that is contiguous in the file, so that
        characters map to bytes one to one across line continuations."""
        text = self.source.slice(start, end)
        if not text:
            return Value()
        offsets = self.source.logical.offsets
        first = self.source.char(start)
        fragments: list[Fragment] = []
        begin = 0
        for index in range(1, len(text) + 1):
            if index == len(text) or offsets[first + index] != offsets[first + index - 1] + _width(text[index - 1]):
                span = self.source.logical.span(first + begin, first + index)
                fragments.append(Fragment(text[begin:index], Origin(self.path, span)))
                begin = index
        return Value(tuple(fragments))

    # Statements

    def statements(self, nodes: Iterable[Node], state: _State) -> bool | None:
        status: bool | None = True
        for node in nodes:
            if state.stopped:
                break
            if node.type in {"comment", "heredoc_body", "heredoc_end"}:
                continue
            status = self.chain(node, state, statement=True)
        return status

    def chain(self, node: Node, state: _State, statement: bool = False) -> bool | None:
        """``a && b || c``, each of them a pipeline."""
        links = _links(node, self.source)
        if len(links) == 1:
            status = self.pipeline(links[0].stages, state)
            if statement and status is False and state.errexit:
                state.ended = True
            return status
        status = None
        for number, link in enumerate(links):
            if state.stopped:
                return status
            if number == 0:
                status = self.pipeline(link.stages, state)
            elif link.operator == "&&":
                if status is False:
                    continue
                if status is None and _is_test(links[number - 1].stages):
                    status = self.maybe(link, state)
                else:
                    status = self.pipeline(link.stages, state)
            elif status is True:
                continue
            elif status is None:
                self.maybe(link, state)
                status = None
            else:
                status = self.pipeline(link.stages, state)
        return status

    def maybe(self, link: _Link, state: _State) -> bool | None:
        """Run something that may or may not be reached, and keep both outcomes."""
        branch = state.fork()
        branch.certain = False
        self.pipeline(link.stages, branch)
        _merge(state, [branch, state.fork()])
        return None

    def pipeline(self, stages: list[_Stage], state: _State) -> bool | None:
        if len(stages) == 1:
            return self.stage(stages[0], state)
        flow = state.stdin
        status: bool | None = None
        for number, stage in enumerate(stages):
            inner = state.fork()
            inner.stdin, inner.stdout = flow, Value()
            status = self.stage(stage, inner)
            flow = inner.stdout
            state.files = inner.files
            if number == len(stages) - 1:
                state.stdout += inner.stdout
                if inner.ended and stage.node.type != "subshell":
                    status = False
        return status

    def stage(self, stage: _Stage, state: _State) -> bool | None:
        if not stage.redirects:
            return self.run(stage.node, state)
        redirects = tuple(self.redirects(stage.redirects, state))
        if stage.node.type == "command":
            return self.command(stage.node, state, redirects)
        inner_out, outer_in = state.stdout, state.stdin
        state.stdout = Value()
        for redirect in redirects:
            if redirect.operator.startswith("<"):
                state.stdin = self._input(redirect, state)
        status = self.run(stage.node, state)
        produced, state.stdout, state.stdin = state.stdout, inner_out, outer_in
        if not self._write(redirects, produced, state):
            state.stdout += produced
        return status

    def run(self, node: Node, state: _State) -> bool | None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise _TooMuch
        method = getattr(self, f"run_{node.type}", None)
        if method:
            return method(node, state)  # type: ignore[no-any-return]
        if node.type in {"list", "pipeline", "redirected_statement"}:
            return self.chain(node, state)
        return self.statements(node.named_children, state)

    def run_command(self, node: Node, state: _State) -> bool | None:
        return self.command(node, state, ())

    def run_negated_command(self, node: Node, state: _State) -> bool | None:
        status = self.chain(node.named_children[-1], state) if node.named_children else None
        return None if status is None else not status

    def run_variable_assignment(self, node: Node, state: _State) -> bool | None:
        assignment = self.assignment(node, state)
        if assignment:
            self._assign(assignment, state)
            self._record((), (assignment,), (), node, state)
        return True

    def run_variable_assignments(self, node: Node, state: _State) -> bool | None:
        for child in node.named_children:
            self.run_variable_assignment(child, state)
        return True

    def run_declaration_command(self, node: Node, state: _State) -> bool | None:
        made: list[Assignment] = []
        options = ""
        exporting = node.children[0].type == "export"
        for child in node.named_children:
            if child.type == "variable_assignment":
                assignment = self.assignment(child, state)
                if assignment:
                    self._assign(assignment, state)
                    made.append(assignment)
                    name = assignment.name
                    if exporting or "x" in options:
                        state.exported |= {name}
            else:
                word = self.value(child, state)
                text = word.render()
                if text.startswith("-"):
                    options += text
                elif match := re.match(r"(\w+)=", text):
                    assignment = Assignment(
                        match[1], word.slice(match.end(), len(text)), self.origin(child.start_byte, child.end_byte)
                    )
                    self._assign(assignment, state)
                    made.append(assignment)
                    if exporting:
                        state.exported |= {match[1]}
                elif exporting and re.fullmatch(r"\w+", text):
                    state.exported |= {text}
        if made:
            self._record((), tuple(made), (), node, state)
        return True

    def run_unset_command(self, node: Node, state: _State) -> bool | None:
        gone = {self.source.slice(child.start_byte, child.end_byte) for child in node.named_children}
        state.variables = {name: value for name, value in state.variables.items() if name not in gone}
        return True

    def run_compound_statement(self, node: Node, state: _State) -> bool | None:
        if node.children and node.children[0].type == "((":
            return None
        return self.statements(node.named_children, state)

    def run_subshell(self, node: Node, state: _State) -> bool | None:
        inner = state.fork()
        status = self.statements(node.named_children, inner)
        state.stdout, state.files = inner.stdout, inner.files
        return False if inner.ended else status

    def run_function_definition(self, node: Node, state: _State) -> bool | None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name and body:
            state.functions = {
                **state.functions,
                self.source.slice(name.start_byte, name.end_byte): (body, self.source),
            }
        return True

    def run_if_statement(self, node: Node, state: _State) -> bool | None:
        arms: list[tuple[list[Node] | None, list[Node]]] = [_condition_and_body(node)]
        for child in node.named_children:
            if child.type == "elif_clause":
                arms.append(_condition_and_body(child))
            elif child.type == "else_clause":
                arms.append((None, list(child.named_children)))
        outcomes: list[_State] = []
        for condition, body in arms:
            self.reasons = []
            status: bool | None = True
            if condition is not None:
                status = self._conditions(condition, state)
                if state.stopped:
                    break
            if status is False:
                continue
            if status is True:
                self._chosen(body, state)
                break
            branch = state.fork()
            branch.certain = False
            self.statements(body, branch)
            outcomes.append(branch)
        if outcomes:
            _merge(state, [*outcomes, state.fork()])
        return None

    def _chosen(self, body: list[Node], state: _State) -> None:
        """The branch that was decided for, and by which values."""
        before, state.because = state.because, (*state.because, *self.reasons)
        self.reasons = []
        self.statements(body, state)
        state.because = before

    def _conditions(self, nodes: list[Node], state: _State) -> bool | None:
        errexit, state.errexit = state.errexit, False
        status: bool | None = None
        for node in nodes:
            status = self.chain(node, state)
        state.errexit = errexit
        return status

    def run_case_statement(self, node: Node, state: _State) -> bool | None:
        subject_node = node.child_by_field_name("value")
        if subject_node is None:
            return None
        subject = self.value(subject_node, state)
        outcomes: list[_State] = []
        for item in node.named_children:
            if item.type != "case_item":
                continue
            patterns = [
                child for number, child in enumerate(item.children) if item.field_name_for_child(number) == "value"
            ]
            body = [
                child
                for number, child in enumerate(item.children)
                if child.is_named and item.field_name_for_child(number) != "value" and child.type != "comment"
            ]
            self.reasons = []
            matches = [self._matches(subject, pattern, state) for pattern in patterns]
            if True in matches:
                self._chosen(body, state)
                break
            if None in matches:
                branch = state.fork()
                branch.certain = False
                self.statements(body, branch)
                outcomes.append(branch)
        if outcomes:
            _merge(state, [*outcomes, state.fork()])
        return None

    def run_for_statement(self, node: Node, state: _State) -> bool | None:
        variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        if variable is None or body is None:
            return None
        name = self.source.slice(variable.start_byte, variable.end_byte)
        words = [
            field
            for number, child in enumerate(node.children)
            if node.field_name_for_child(number) == "value"
            for field in self.fields(child, state)
        ]
        words = _for_every_architecture(words, self.machine.target.architecture)
        for word in words[:MOST_ROUNDS_OF_LOOP]:
            if state.stopped:
                break
            state.set(name, word)
            self.statements(body.named_children, state)
        return None

    def run_c_style_for_statement(self, node: Node, state: _State) -> bool | None:
        body = node.child_by_field_name("body")
        return self._perhaps(list(body.named_children) if body else [], state)

    def run_while_statement(self, node: Node, state: _State) -> bool | None:
        body = node.child_by_field_name("body")
        conditions = [
            child
            for number, child in enumerate(node.children)
            if child.is_named and node.field_name_for_child(number) == "condition"
        ]
        status = self._conditions(conditions, state)
        wanted = node.children[0].type != "until"
        if status is (not wanted):
            return None
        return self._perhaps(list(body.named_children) if body else [], state)

    def _perhaps(self, nodes: list[Node], state: _State) -> bool | None:
        branch = state.fork()
        self.statements(nodes, branch)
        _merge(state, [branch, state.fork()])
        return None

    def run_test_command(self, node: Node, state: _State) -> bool | None:
        double = node.children[0].type == "[["
        if node.children[0].type == "((":
            return None
        tokens = list(self._test_tokens(node, state))
        return _Test(self, tokens, state, double).decide()

    # Commands

    def command(self, node: Node, state: _State, redirects: tuple[Redirect, ...]) -> bool | None:
        assignments: list[Assignment] = []
        words: list[ShellWord] = []
        own: list[Node] = []
        previous_end = node.start_byte
        for number, child in enumerate(node.children):
            if not child.is_named and child.type not in {"word"}:
                continue
            kind = node.field_name_for_child(number)
            if child.type == "variable_assignment":
                assignment = self.assignment(child, state)
                if assignment:
                    assignments.append(assignment)
            elif kind == "redirect":
                own.append(child)
            else:
                if assignments and not words and b"\n" in self.source.data[previous_end : child.start_byte]:
                    # The grammar takes assignments on a line of their own as those of the next line's command.
                    for assignment in assignments:
                        self._assign(assignment, state)
                    self._record((), tuple(assignments), (), node, state)
                    assignments = []
                target = child.named_children[0] if child.type == "command_name" and child.named_children else child
                origin = self.origin(child.start_byte, child.end_byte)
                words += [ShellWord(value, origin) for value in self.fields(target, state)]
            previous_end = child.end_byte
        redirects += tuple(self.redirects(own, state))
        if not words:
            for assignment in assignments:
                self._assign(assignment, state)
            self._record((), tuple(assignments), redirects, node, state)
            return None
        words, prefixes = _unwrapped(words)
        assignments += prefixes
        stdin = state.stdin
        for redirect in redirects:
            if redirect.operator in {"<", "<<", "<<-", "<<<"}:
                stdin = self._input(redirect, state)
        command = self._record(tuple(words), tuple(assignments), redirects, node, state, stdin)
        return self.execute(command, state)

    def execute(self, command: Command, state: _State) -> bool | None:
        """What a command does to the shell itself: builtins, functions, programs whose output is known."""
        name = command.name
        values = [word.value for word in command.words]
        produced = Value()
        status: bool | None = None
        if name in state.functions:
            return self._call(command, state)
        match name:
            case "exit":
                state.ended = True
                return None
            case "return":
                state.returned = True
                code = values[1].text if len(values) > 1 else None
                return None if code is None else code == "0"
            case "true" | ":":
                status = True
            case "false":
                status = False
            case "set":
                self._set(command, state)
                status = True
            case "cd" | "pushd":
                if len(values) > 1:
                    state.directory = resolve(state.directory, values[1])
            case "test" | "[":
                words = list(command.arguments)
                if name == "[" and words and words[-1].text == "]":
                    words.pop()
                return _Test(
                    self, [_Operand(word.value, word.value.render(), None) for word in words], state, False
                ).decide()
            case "shift":
                state.arguments = state.arguments[1:]
            case "read":
                for word in command.arguments:
                    if re.fullmatch(r"[A-Za-z_]\w*", word.text):
                        state.set(word.text, UNKNOWN)
            case "eval":
                return self._string(join(values[1:]), state)
            case "sh" | "bash" | "ash" | "dash" | "zsh":
                return self._shell(command, state)
            case "." | "source":
                if len(values) > 1 and (known := state.files.get(values[1].render())) is not None:
                    return self._string(known, state)
                status = None
            case "unset":
                gone = {word.text for word in command.arguments}
                state.variables = {key: value for key, value in state.variables.items() if key not in gone}
            case _:
                if name in {"grep", "egrep"} and len(values) > 1:
                    status = grep(values[1:] if name == "grep" else [literal("-E"), *values[1:]], command.stdin)
                produced = self._output(command, values, state)
        if not self._write(command.redirects, produced, state):
            state.stdout += produced
        return status

    def _output(self, command: Command, values: list[Value], state: _State) -> Value:
        if command.name == "cat" and len(values) == 2 and (known := state.files.get(values[1].render())) is not None:
            return known
        if command.name == "tee" and command.stdin is not None:
            for word in command.arguments:
                if not word.text.startswith("-"):
                    state.files = {**state.files, word.text: command.stdin}
        told = output(values, command.stdin, self.machine.runs_on, self.machine.target)
        if told is None and command.name in {"mkdir", "cp", "mv", "rm", "ln", "chmod", "chown", "touch", "install"}:
            return Value()
        return UNKNOWN if told is None else told

    def _call(self, command: Command, state: _State) -> bool | None:
        body, source = state.functions[command.name]
        if self.depth > MOST_DEPTH:
            raise _TooMuch
        arguments, state.arguments = state.arguments, tuple(word.value for word in command.arguments)
        for assignment in command.assignments:
            self._assign(assignment, state, record=False)
        outer, self.source = self.source, source
        before, state.stdout = state.stdout, Value()
        outer_in, state.stdin = state.stdin, command.stdin
        self.depth += 1
        try:
            status = self.run(body, state)
        finally:
            self.depth -= 1
            self.source = outer
        state.returned = False
        state.arguments, state.stdin = arguments, outer_in
        produced, state.stdout = state.stdout, before
        if not self._write(command.redirects, produced, state):
            state.stdout += produced
        return status

    def _set(self, command: Command, state: _State) -> None:
        texts = [word.text for word in command.arguments]
        for number, text in enumerate(texts):
            if text == "--":
                state.arguments = tuple(word.value for word in command.arguments[number + 1 :])
                return
            if re.fullmatch(r"-\w+", text) and ("e" in text or texts[number + 1 : number + 2] == ["errexit"]):
                state.errexit = True
            elif re.fullmatch(r"\+\w*e\w*", text):
                state.errexit = False

    def _shell(self, command: Command, state: _State) -> bool | None:
        """``sh -c '…'``: the same text again, in a shell of its own."""
        arguments = list(command.arguments)
        for number, word in enumerate(arguments):
            if re.fullmatch(r"-\w*c\w*", word.text) and number + 1 < len(arguments):
                inner = state.fork()
                inner.variables = {k: v for k, v in state.variables.items() if k in state.exported}
                inner.arguments = tuple(later.value for later in arguments[number + 3 :])
                inner.errexit = "e" in word.text
                status = self._string(arguments[number + 1].value, inner)
                state.stdout, state.files = inner.stdout, inner.files
                return False if inner.ended else status
            if not word.text.startswith("-"):
                break
        else:
            if command.stdin is not None and any(r.operator in {"<<", "<<-", "<<<"} for r in command.redirects):
                return self._string(command.stdin, state.fork())
        state.stdout += UNKNOWN
        return None

    def _string(self, value: Value, state: _State) -> bool | None:
        """Run text that was assembled from other text; each character keeps its place in the file."""
        text = value.render()
        if text.strip(HOLE + " \n") == "":
            return None
        offsets: list[int] = []
        at = next((f.origin.span.start for f in value if f.origin and f.origin.path == self.path), 0)
        for fragment in value:
            width = 1 if fragment.text is None else len(fragment.text)
            origin = fragment.origin
            if origin and origin.path == self.path and fragment.text is not None:
                exact = origin.span.end - origin.span.start == width
                offsets += [origin.span.start + (n if exact else 0) for n in range(width)]
                at = origin.span.end
            else:
                offsets += [at] * width
        return self.text(LogicalText(text, (*offsets, at)), state)

    def _record(
        self,
        words: tuple[ShellWord, ...],
        assignments: tuple[Assignment, ...],
        redirects: tuple[Redirect, ...],
        node: Node,
        state: _State,
        stdin: Value | None = None,
    ) -> Command:
        command = Command(
            words,
            assignments,
            redirects,
            self.origin(node.start_byte, node.end_byte),
            state.certain,
            state.directory,
            stdin,
            state.variables,
            state.exported,
            state.because,
        )
        self.commands.append(command)
        return command

    def _assign(self, assignment: Assignment, state: _State, record: bool = True) -> None:
        state.set(assignment.name, assignment.value)
        if record:
            self.assignments.append(replace(assignment, because=state.because) if state.because else assignment)

    def assignment(self, node: Node, state: _State) -> Assignment | None:
        name_node, value_node = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name_node is None:
            return None
        origin = self.origin(node.start_byte, node.end_byte)
        if name_node.type == "subscript":
            return self._element(name_node, value_node, state, origin)
        name = self.source.slice(name_node.start_byte, name_node.end_byte)
        if value_node is not None and value_node.type == "array":
            return self._array(name, value_node, state, origin)
        value = self.value(value_node, state) if value_node is not None else Value()
        if any(child.type == "+=" for child in node.children):
            value = state.variables.get(name, Value()) + value
        return Assignment(name, value, origin)

    def _element(self, target: Node, value_node: Node | None, state: _State, origin: Origin) -> Assignment | None:
        name_node, index = target.child_by_field_name("name"), target.child_by_field_name("index")
        if name_node is None or index is None:
            return None
        name = self.source.slice(name_node.start_byte, name_node.end_byte)
        value = self.value(value_node, state) if value_node is not None else Value()
        key = self.value(index, state).render()
        state.arrays = {**state.arrays, name: {**state.arrays.get(name, {}), key: value}}
        return Assignment(f"{name}[{key}]", value, origin)

    def _array(self, name: str, node: Node, state: _State, origin: Origin) -> Assignment:
        elements: dict[str, Value] = {}
        for child in node.named_children:
            for value in self.fields(child, state):
                text = value.render()
                if match := re.match(r"\[([^\]]+)\]=", text):
                    elements[match[1].strip("\"'")] = value.slice(match.end(), len(text))
                else:
                    elements[str(len(elements))] = value
        state.arrays = {**state.arrays, name: elements}
        return Assignment(name, next(iter(elements.values()), Value()), origin)

    # Redirections

    def redirects(self, nodes: list[Node], state: _State) -> Iterator[Redirect]:
        for node in nodes:
            origin = self.origin(node.start_byte, node.end_byte)
            if node.type == "file_redirect":
                descriptor = node.child_by_field_name("descriptor")
                operator = next((child.type for child in node.children if not child.is_named), ">")
                if descriptor is not None:
                    operator = self.source.slice(descriptor.start_byte, descriptor.end_byte) + operator
                destination = node.child_by_field_name("destination")
                yield Redirect(operator, self.value(destination, state) if destination else Value(), origin)
            elif node.type == "herestring_redirect":
                inner = node.named_children[-1] if node.named_children else None
                yield Redirect("<<<", self.value(inner, state) + literal("\n") if inner else Value(), origin)
            elif node.type == "heredoc_redirect":
                yield Redirect("<<", self._heredoc(node, state), origin)

    def _heredoc(self, node: Node, state: _State) -> Value:
        body = next((child for child in node.named_children if child.type == "heredoc_body"), None)
        start = next((child for child in node.named_children if child.type == "heredoc_start"), None)
        if body is None or start is None:
            return Value()
        quoted = bool(re.search(r"['\"\\]", self.source.slice(start.start_byte, start.end_byte)))
        if quoted:
            return self.written(body.start_byte, body.end_byte)
        return self._between(body.children, body.start_byte, body.end_byte, state)

    def _input(self, redirect: Redirect, state: _State) -> Value | None:
        if redirect.operator == "<":
            return state.files.get(redirect.target.render())
        return redirect.target

    def _write(self, redirects: tuple[Redirect, ...], produced: Value, state: _State) -> bool:
        """Send output to where it is redirected; false when it still goes to the standard output."""
        gone = False
        for redirect in redirects:
            if redirect.operator in {">", "1>", ">|", "&>", ">>", "1>>"}:
                gone = True
                path = redirect.target.render()
                if path.startswith("/dev/"):
                    continue
                path = resolve(state.directory, redirect.target).render()
                if redirect.operator.endswith(">>"):
                    produced = state.files.get(path, Value()) + produced
                state.files = {**state.files, path: produced}
            elif redirect.operator in {">&", "1>&"} and redirect.target.render() == "2":
                gone = True
        return gone

    # Words

    def fields(self, node: Node, state: _State) -> list[Value]:
        """The words one written word becomes: unquoted expansions are split at white space."""
        parts = self.parts(node, state)
        if node.type == "string" and len(parts) == 1 and self._is_all_arguments(node):
            return list(state.arguments)
        out: list[Value] = []
        current = Value()
        started = False
        for value, splits in parts:
            if not splits:
                current += value
                started = True
                continue
            text = value.render()
            if not re.search(r"\s", text):
                current += value
                started = started or bool(value.fragments)
                continue
            pieces = split(value)
            if text[:1].isspace() and started:
                out.append(current)
                current, started = Value(), False
            for index, piece in enumerate(pieces):
                if index:
                    out.append(current)
                    current = Value()
                current += piece
                started = True
            if text[-1:].isspace() and started:
                out.append(current)
                current, started = Value(), False
        if started:
            out.append(current)
        return [alternative for value in out for alternative in _braces(value)]

    def _is_all_arguments(self, node: Node) -> bool:
        return self.source.slice(node.start_byte, node.end_byte) in {'"$@"', '"${@}"'}

    def value(self, node: Node | None, state: _State) -> Value:
        """A word as one value, without splitting."""
        if node is None:
            return Value()
        return Value(tuple(fragment for value, _ in self.parts(node, state) for fragment in value))

    def parts(self, node: Node, state: _State) -> list[tuple[Value, bool]]:
        """The pieces of a word: the value, and whether the shell splits it at white space."""
        match node.type:
            case (
                "word"
                | "number"
                | "variable_name"
                | "extglob_pattern"
                | "regex"
                | "test_operator"
                | "special_variable_name"
            ):
                if node.named_children and node.type != "regex":
                    return [(self._between(node.children, node.start_byte, node.end_byte, state), False)]
                return [(self._unescaped(node.start_byte, node.end_byte), False)]
            case "string" | "translated_string":
                return [(self._quoted(node, state), False)]
            case "raw_string":
                return [(self.written(node.start_byte + 1, node.end_byte - 1), False)]
            case "ansi_c_string":
                return [(self._ansi(node), False)]
            case "concatenation" | "command_name":
                return [part for child in node.named_children for part in self.parts(child, state)]
            case "simple_expansion" | "expansion":
                return self._expansion_parts(node, state)
            case "command_substitution":
                return [(self._substitution(node, state), True)]
            case "arithmetic_expansion" | "process_substitution":
                if node.type == "process_substitution":
                    self.statements(node.named_children, state.fork())
                return [(UNKNOWN, False)]
            case "brace_expression":
                return [(self.written(node.start_byte, node.end_byte), False)]
        if node.named_children:
            return [(self._between(node.children, node.start_byte, node.end_byte, state), False)]
        return [(self._unescaped(node.start_byte, node.end_byte), False)]

    def _between(self, children: Iterable[Node], start: int, end: int, state: _State) -> Value:
        """Literal text with expansions in it; what no child covers is literal."""
        out = Value()
        at = start
        for child in children:
            if child.type not in {"simple_expansion", "expansion", "command_substitution", "string", "raw_string"}:
                continue
            out += self.written(at, child.start_byte)
            out += self.value(child, state)
            at = child.end_byte
        return out + self.written(at, end)

    def _quoted(self, node: Node, state: _State) -> Value:
        start = node.start_byte + (2 if node.type == "translated_string" else 1)
        end = node.end_byte - 1 if self.source.data[node.end_byte - 1 : node.end_byte] == b'"' else node.end_byte
        children = node.children
        if node.type == "translated_string" and node.named_children:
            children = node.named_children[0].children
        out = Value()
        at = start
        for child in children:
            if child.type in {"simple_expansion", "expansion", "command_substitution", "arithmetic_expansion"}:
                out += self._unescaped(at, child.start_byte, in_quotes=True)
                out += self.value(child, state)
                at = child.end_byte
        return out + self._unescaped(at, end, in_quotes=True)

    def _unescaped(self, start: int, end: int, in_quotes: bool = False) -> Value:
        text = self.source.slice(start, end)
        value = self.written(start, end)
        if "\\" not in text:
            return value
        pattern = re.compile(r'\\([$`"\\]|\n)' if in_quotes else r"\\(.)", re.DOTALL)

        def plain(match: re.Match[str]) -> Value:
            return value.slice(match.start(1), match.end(1)) if match[1] != "\n" else Value()

        return substitute(value, pattern, plain, 0)

    def _ansi(self, node: Node) -> Value:
        value = self.written(node.start_byte + 2, node.end_byte - 1)
        known = {"n": "\n", "t": "\t", "'": "'", "\\": "\\", '"': '"'}
        return substitute(value, re.compile(r"\\(.)", re.DOTALL), lambda m: literal(known.get(m[1], m[0])), 0)

    def _substitution(self, node: Node, state: _State) -> Value:
        inner = state.fork()
        inner.stdout, inner.stdin = Value(), state.stdin
        errexit, inner.errexit = inner.errexit, False
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise _TooMuch
        self.statements(node.named_children, inner)
        self.depth -= 1
        inner.errexit = errexit
        state.files = inner.files
        # ``$(<file)``
        if (
            not inner.stdout.fragments
            and len(node.named_children) == 1
            and node.named_children[0].type in {"file_redirect", "redirected_statement"}
        ):
            return UNKNOWN
        return strip_newlines(inner.stdout)

    def _expansion_parts(self, node: Node, state: _State) -> list[tuple[Value, bool]]:
        text = self.source.slice(node.start_byte, node.end_byte)
        lead = len(text) - len(text.lstrip(" \t\n"))
        parts: list[tuple[Value, bool]] = []
        start = node.start_byte + lead
        if lead:
            # The grammar counts white space before an expansion inside quotes as a part of it.
            parts.append((self.written(node.start_byte, start), False))
        return [*parts, (self._expansion(node, start, state), True)]

    def _lookup(self, name: str, origin: Origin, state: _State) -> Value:
        if name in state.variables:
            return state.variables[name].via(name)
        if name.isdigit():
            number = int(name) - 1
            if number < 0:
                return UNKNOWN
            return state.arguments[number] if number < len(state.arguments) else Value()
        if name in {"@", "*"}:
            return join(state.arguments)
        if name in {"HOSTTYPE"}:
            told = output([literal("uname"), literal("-m")], None, self.machine.runs_on, self.machine.target)
            return strip_newlines(told) if told else UNKNOWN
        if name == "PWD":
            return state.directory
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            return UNKNOWN
        self.unset.append(UnsetUse(name, origin))
        return Value((Fragment(None, None, name),))

    def _expansion(self, node: Node, start: int, state: _State) -> Value:
        origin = self.origin(start, node.end_byte)
        if node.type == "simple_expansion":
            return self._lookup(self.source.slice(start + 1, node.end_byte), origin, state)
        name_node = next(
            (c for c in node.children if c.type in {"variable_name", "special_variable_name", "subscript"}), None
        )
        if name_node is None:
            return UNKNOWN
        before = self.source.slice(start + 2, name_node.start_byte)
        if before in {"!", "#"}:
            return self._indirect(name_node, origin, state) if before == "!" else UNKNOWN
        rest = self.source.slice(name_node.end_byte, node.end_byte - 1)
        match = re.match(r":[-=+?]|[-=+?]|##?|%%?|//?|\^\^?|,,?|:|@", rest)
        operator = match[0] if match else ""
        argument_start = name_node.end_byte + len(operator.encode())
        if operator in {":-", "-", ":=", "=", ":+", "+", ":?", "?"}:
            return self._conditional(node, name_node, operator, argument_start, origin, state)
        value = self._named(name_node, origin, state)
        if not operator:
            return value
        if not value.fragments or all(f.text is None and not f.choices for f in value):
            return value
        return either(
            self._transformed(option, operator, node, argument_start, state) for option in alternatives(value)
        )

    def _named(self, name_node: Node, origin: Origin, state: _State) -> Value:
        if name_node.type != "subscript":
            return self._lookup(self.source.slice(name_node.start_byte, name_node.end_byte), origin, state)
        array_node, index = name_node.child_by_field_name("name"), name_node.child_by_field_name("index")
        if array_node is None or index is None:
            return UNKNOWN
        name = self.source.slice(array_node.start_byte, array_node.end_byte)
        elements = state.arrays.get(name)
        key = self.value(index, state)
        if elements is None:
            return UNKNOWN
        if key.render() in {"@", "*"}:
            return join(elements.values())
        if key.text is not None:
            return elements.get(key.text, Value()).via(name)
        for known, element in elements.items():
            if known.lower() in _NAMES.get(self.machine.target.architecture, ()):
                return element.via(name)
        return either(elements.values())

    def _indirect(self, name_node: Node, origin: Origin, state: _State) -> Value:
        name = self._named(name_node, origin, state).text
        return self._lookup(name, origin, state) if name and re.fullmatch(r"[A-Za-z_]\w*", name) else UNKNOWN

    def _conditional(
        self, node: Node, name_node: Node, operator: str, argument_start: int, origin: Origin, state: _State
    ) -> Value:
        """``${x:-default}`` and its kin. A variable that nothing sets counts as unset."""
        name = self.source.slice(name_node.start_byte, name_node.end_byte)
        current: Value | None = None
        if name_node.type == "subscript" or name in state.variables or not re.fullmatch(r"[A-Za-z_]\w*", name):
            current = self._named(name_node, origin, state)
        else:
            self.unset.append(UnsetUse(name, origin, operator[-1] in "-=+"))
        present: bool | None = current is not None
        if current is not None and operator.startswith(":"):
            present = _is_nonempty(current)

        def argument() -> Value:
            return self._between(
                [c for c in node.children if c.start_byte >= argument_start], argument_start, node.end_byte - 1, state
            )

        kind = operator[-1]
        if kind == "+":
            return Value() if present is False else (argument() if present else either([argument(), Value()]))
        if kind == "?":
            return current if current is not None else UNKNOWN
        if present and current is not None:
            return current
        default = argument()
        result = default if present is False or current is None else either([current, default])
        if kind == "=":
            state.set(name, result)
        return result.via(name)

    def _transformed(self, value: Value, operator: str, node: Node, start: int, state: _State) -> Value:
        raw = self.source.slice(start, node.end_byte - 1)
        if operator in {"#", "##", "%", "%%"}:
            pattern = self._pattern_text(node, start, node.end_byte - 1, state)
            if pattern is None:
                return UNKNOWN
            trim = trim_prefix if operator[0] == "#" else trim_suffix
            return trim(value, pattern, len(operator) == 2)
        if operator in {"/", "//"}:
            return self._replaced(value, operator == "//", node, start, state)
        if operator in {"^", "^^", ",", ",,"}:
            change = str.upper if operator[0] == "^" else str.lower
            if len(operator) == 2:
                fragments = tuple(
                    Fragment(f.text if f.text is None else change(f.text), f.origin, f.variable, f.choices)
                    for f in value
                )
                return Value(fragments)
            return literal(change(value.render()[:1])) + value.slice(1, len(value.render()))
        if operator == ":" and (match := re.fullmatch(r"\s*(-?\d+)\s*(?::\s*(\d+)\s*)?", raw)):
            length = len(value.render())
            low = int(match[1]) if int(match[1]) >= 0 else max(0, length + int(match[1]))
            high = length if match[2] is None else low + int(match[2])
            return value.slice(low, high)
        return UNKNOWN

    def _replaced(self, value: Value, every: bool, node: Node, start: int, state: _State) -> Value:
        separator = next((c for c in node.children if c.type == "/" and c.start_byte >= start), None)
        middle = separator.start_byte if separator else node.end_byte - 1
        pattern = self._pattern_text(node, start, middle, state)
        if pattern is None:
            return UNKNOWN
        replacement = Value()
        if separator:
            later = [c for c in node.children if c.start_byte >= separator.end_byte]
            replacement = self._between(later, separator.end_byte, node.end_byte - 1, state)
        anchor = pattern[:1] if pattern[:1] in "#%" else ""
        body = glob(pattern[len(anchor) :])
        regex = compiled({"#": f"^{body}", "%": f"{body}$"}.get(anchor, body) if anchor else body)
        if regex is None or not pattern:
            return value if not pattern else UNKNOWN
        return substitute(value, regex, lambda _match: replacement, 0 if every else 1)

    def _pattern_text(self, node: Node, start: int, end: int, state: _State) -> str | None:
        """A pattern as one string in which quoted parts are escaped; None when a part is unknown."""
        inner = [c for c in node.children if start <= c.start_byte < end and c.is_named]
        if not inner:
            return self.source.slice(start, end)
        out = ""
        for child in inner:
            part = self.pattern(child, state)
            if part is None:
                return None
            out += part
        return out

    def pattern(self, node: Node, state: _State) -> str | None:
        """A pattern of ``case`` or ``[[``: text in glob syntax, quoted parts escaped."""
        if node.type in {"string", "raw_string", "ansi_c_string"}:
            text = self.value(node, state).text
            return None if text is None else re.sub(r"([*?\[\]\\])", r"\\\1", text)
        if node.type == "concatenation" or (
            node.type != "regex" and node.named_children and "expansion" not in node.type
        ):
            out = ""
            for child in node.named_children:
                part = self.pattern(child, state)
                if part is None:
                    return None
                out += part
            return out
        if node.type in {"simple_expansion", "expansion", "command_substitution"}:
            return self.value(node, state).text
        text = self.source.slice(node.start_byte, node.end_byte)
        if "$" not in text:
            return re.sub(r"""(["'])(.*?)\1""", r"\2", text)

        def variable(match: re.Match[str]) -> str:
            found = state.variables.get(match[1])
            return HOLE if found is None or found.text is None else found.text

        text = re.sub(r"\$\{?([A-Za-z_]\w*)\}?", variable, text.replace('"', ""))
        return None if HOLE in text else text

    def _matches(self, subject: Value, node: Node, state: _State) -> bool | None:
        pattern = self.pattern(node, state)
        if pattern is None:
            return None
        return self.compare(subject, pattern)

    def compare(self, subject: Value, pattern: str) -> bool | None:
        """Whether a value matches a glob pattern; None when that cannot be told."""
        verdicts = {self._compare_one(option, pattern) for option in alternatives(subject)}
        return verdicts.pop() if len(verdicts) == 1 else None

    def _compare_one(self, subject: Value, pattern: str) -> bool | None:
        if pattern in {"*", "**"}:
            return True
        regex = compiled(glob(pattern))
        if subject.text is not None:
            matched = bool(regex.fullmatch(subject.text)) if regex else None
            is_architecture = subject.text.lower() in _ARCHITECTURE_WORDS
            if matched is not None and not is_architecture and self.is_open(subject):
                return None
            if matched and is_architecture and any(fragment.origin for fragment in subject):
                self.reasons.append(subject)
            return matched
        return self.taken_for_architecture(subject, pattern)

    def is_open(self, value: Value) -> bool:
        """Whether it is the default of a build argument that says nothing of the architecture: the user may well give
        another, so what hangs on it is not decided."""
        return any(fragment.variable in self.machine.open for fragment in value)

    def taken_for_architecture(self, subject: Value, pattern: str) -> bool | None:
        """An unknown value beside the name of an architecture is the architecture."""
        if len(subject.fragments) != 1:
            return None
        name = pattern.replace("\\", "").strip("*").strip().lower()
        if not name:
            return None
        target = self.machine.runs_on.architecture
        if name in _NAMES.get(target, ()):
            return True
        if any(name in names for key, names in _NAMES.items() if key != target):
            return False
        return None

    # Tests

    def _test_tokens(self, node: Node, state: _State) -> Iterator[_Operand]:
        """The operands and operators of ``[ … ]`` and ``[[ … ]]`` in the order written: the grammar nests some of them
        wrongly."""
        for child in node.children:
            if child.type in {"[", "]", "[[", "]]"}:
                continue
            if child.type in {
                "binary_expression",
                "unary_expression",
                "parenthesized_expression",
                "negation_expression",
            }:
                yield from self._test_tokens(child, state)
            elif child.type == "test_operator" or not child.is_named:
                yield _Operand(None, self.source.slice(child.start_byte, child.end_byte), None)
            else:
                yield _Operand(self.value(child, state), "", child)


@dataclass(frozen=True)
class _Operand:
    """A word of a test: its value, or the operator it is. For ``test`` every word is both until read."""

    value: Value | None
    operator: str
    node: Node | None


class _Test:
    """Reads the words of a test: ``!``, ``-a``, ``-o``, ``&&``, ``||``, parentheses, unary and binary operators."""

    _BINARY = frozenset(
        {"=", "==", "!=", "=~", "-eq", "-ne", "-lt", "-gt", "-le", "-ge", "-nt", "-ot", "-ef", "<", ">"}
    )

    def __init__(self, walker: _Walker, tokens: list[_Operand], state: _State, double: bool) -> None:
        self.walker, self.tokens, self.state, self.double = walker, tokens, state, double
        self.at = 0

    def decide(self) -> bool | None:
        try:
            return self._or()
        except IndexError:
            return None

    def _peek(self, ahead: int = 0) -> str:
        index = self.at + ahead
        return self.tokens[index].operator if index < len(self.tokens) else ""

    def _or(self) -> bool | None:
        result = self._and()
        while self._peek() in {"-o", "||"}:
            self.at += 1
            other = self._and()
            result = True if result or other else (None if result is None or other is None else False)
        return result

    def _and(self) -> bool | None:
        result = self._not()
        while self._peek() in {"-a", "&&"}:
            self.at += 1
            other = self._not()
            result = False if result is False or other is False else (None if result is None or other is None else True)
        return result

    def _not(self) -> bool | None:
        if self._peek() == "!":
            self.at += 1
            result = self._not()
            return None if result is None else not result
        if self._peek() == "(":
            self.at += 1
            result = self._or()
            self.at += 1
            return result
        return self._primary()

    def _primary(self) -> bool | None:
        if self._peek(1) in self._BINARY and self.at + 2 < len(self.tokens):
            left, operator, right = self.tokens[self.at], self._peek(1), self.tokens[self.at + 2]
            self.at += 3
            return self._binary(left.value or literal(left.operator), operator, right)
        token = self.tokens[self.at]
        if re.fullmatch(r"-[a-zA-Z]", token.operator) and self.at + 1 < len(self.tokens):
            operand = self.tokens[self.at + 1]
            self.at += 2
            value = operand.value or literal(operand.operator)
            if token.operator in {"-n", "-z"}:
                result = self._has_text(value)
                return None if result is None else result is (token.operator == "-n")
            if token.operator in {"-d", "-e", "-f", "-x", "-r", "-s"} and _only_on_amd64(value.render()):
                return None if self.walker.machine.runs_on == AMD64 else False
            return None
        self.at += 1
        return self._has_text(token.value or literal(token.operator))

    def _has_text(self, value: Value) -> bool | None:
        result = _is_nonempty(value)
        return None if result is False and self.walker.is_open(value) else result

    def _binary(self, left: Value, operator: str, right: _Operand) -> bool | None:
        walker, state = self.walker, self.state
        value = right.value or literal(right.operator)
        if operator in {"=", "==", "!="}:
            pattern = None
            if self.double and right.node is not None:
                pattern = walker.pattern(right.node, state)
            elif value.text is not None:
                pattern = re.sub(r"([*?\[\]\\])", r"\\\1", value.text)
            result: bool | None = None
            if pattern is not None:
                result = walker.compare(left, pattern)
            elif left.text is not None:
                result = walker.compare(value, re.sub(r"([*?\[\]\\])", r"\\\1", left.text))
            return result if operator != "!=" or result is None else not result
        if operator == "=~":
            text = walker.source.slice(right.node.start_byte, right.node.end_byte) if right.node else value.text
            pattern_re = posix_regex((text or "").strip("\"'"), True) if text and "$(" not in text else None
            if pattern_re is None:
                return None
            if left.text is not None:
                return bool(pattern_re.search(left.text))
            return walker.taken_for_architecture(left, (text or "").strip("^$()"))
        if walker.is_open(left) or walker.is_open(value):
            return None
        if operator.startswith("-") and left.text is not None and value.text is not None:
            try:
                a, b = int(left.text), int(value.text)
            except ValueError:
                return None
            return {"-eq": a == b, "-ne": a != b, "-lt": a < b, "-gt": a > b, "-le": a <= b, "-ge": a >= b}.get(
                operator
            )
        return None


@dataclass(frozen=True)
class _Stage:
    """One part of a pipeline, with the redirections that belong to it."""

    node: Node
    redirects: list[Node]


@dataclass
class _Link:
    """One part of an and-or list: a pipeline and the operator before it."""

    operator: str
    stages: list[_Stage]


def _links(node: Node, source: _Text) -> list[_Link]:
    """An and-or list in the shell's own shape. The grammar hangs a pipe or a redirection that follows ``a && b`` on the
    whole list; they belong to ``b``."""
    if node.type == "list":
        tail: list[_Link] = []
        while node.type == "list" and node.named_children:
            right = _links(node.named_children[-1], source) if len(node.named_children) > 1 else []
            if right:
                right[0].operator = next((c.type for c in reversed(node.children) if c.type in {"&&", "||"}), "&&")
            tail = [*right, *tail]
            node = node.named_children[0]
        return [*_links(node, source), *tail]
    if node.type == "pipeline":
        chain: list[_Link] = []
        for child in node.named_children:
            if child.type == "comment":
                continue
            links = _links(child, source)
            if chain:
                chain[-1].stages += links[0].stages
                chain += links[1:]
            else:
                chain = links
        return chain or [_Link("", [])]
    if node.type == "redirected_statement":
        body = node.child_by_field_name("body")
        redirects = [child for child in node.named_children if child.type.endswith("_redirect")]
        if body is None:
            return [_Link("", [])]
        chain = _links(body, source)
        if chain[-1].stages:
            last = chain[-1].stages[-1]
            inner = [child for redirect in redirects for child in redirect.named_children if "_redirect" in child.type]
            chain[-1].stages[-1] = _Stage(last.node, [*last.redirects, *redirects, *inner])
        for redirect in redirects:
            if redirect.type == "heredoc_redirect":
                chain = _after_heredoc(redirect, chain, source)
        return chain
    return [_Link("", [_Stage(node, [])])]


def _after_heredoc(redirect: Node, chain: list[_Link], source: _Text) -> list[_Link]:
    """What follows ``<<EOF`` on its line: the grammar puts it inside the redirection."""
    operator = ""
    for child in redirect.children:
        if child.type in {"&&", "||"}:
            operator = child.type
        elif child.type == "|":
            operator = "|"
        elif child.is_named and not child.type.startswith("heredoc") and not child.type.endswith("_redirect"):
            if child.type in {"command", "pipeline", "list", "redirected_statement"} or operator:
                more = _links(child, source)
                if operator in {"&&", "||"}:
                    more[0].operator = operator
                    chain = chain + more
                else:
                    chain[-1].stages += more[0].stages
                    chain += more[1:]
                operator = ""
    return chain


def _condition_and_body(node: Node) -> tuple[list[Node] | None, list[Node]]:
    """The condition and the commands of an ``if`` or ``elif``."""
    condition: list[Node] = []
    body: list[Node] = []
    seen_then = False
    for child in node.children:
        if child.type == "then":
            seen_then = True
        elif not child.is_named or child.type in {"comment", "elif_clause", "else_clause"}:
            continue
        else:
            (body if seen_then else condition).append(child)
    return condition, body


def _is_test(stages: list[_Stage]) -> bool:
    """Whether a pipeline is there to be asked rather than to do something: it may well fail, and that is no error."""
    node = stages[-1].node if stages else None
    if node is None:
        return False
    if node.type in {"test_command", "negated_command"}:
        return True
    if node.type != "command" or node.text is None:
        return False
    return bool(re.match(rb"(\[|test|grep|egrep|which|command\s+-v|type)\s", node.text))


def _merge(state: _State, outcomes: list[_State]) -> None:
    """Go on from several possible outcomes: those that ended are gone, different values become alternatives."""
    certain = state.certain
    alive = [outcome for outcome in outcomes if not outcome.stopped]
    if not alive:
        state.become(outcomes[0])
        state.certain = certain
        return
    if len(alive) == 1:
        state.become(alive[0])
        state.certain = certain
        return
    names = dict.fromkeys(name for outcome in alive for name in outcome.variables)
    merged = {
        name: either(o.variables.get(name, Value((Fragment(None, None, name),))) for o in alive) for name in names
    }
    paths = dict.fromkeys(path for outcome in alive for path in outcome.files)
    files = {path: either(o.files.get(path, UNKNOWN) for o in alive) for path in paths}
    stdout = either(outcome.stdout for outcome in alive)
    state.become(alive[0])
    state.variables, state.files, state.stdout, state.certain = merged, files, stdout, certain
    state.exported = frozenset().union(*(outcome.exported for outcome in alive))
    state.directory = either(outcome.directory for outcome in alive)


def _is_nonempty(value: Value) -> bool | None:
    if value.text is not None:
        return value.text != ""
    if any(fragment.text for fragment in value):
        return True
    return None


def _only_on_amd64(path: str) -> bool:
    """Whether a path is that of a directory or loader that other architectures do not have."""
    return re.search(r"x86_64-linux-(gnu|musl)|ld-linux-x86-64|ld-musl-x86_64|openjdk-amd64", path) is not None


def _for_every_architecture(words: list[Value], target: str) -> list[Value]:
    """A loop over the architectures, the target's among them, is meant: its words are no longer amd64 text."""
    texts = {word.render().lower() for word in words}
    if texts & _NAMES["amd64"] and texts & _NAMES.get(target, frozenset()):
        return [without_origin(word) for word in words]
    return words


_WRAPPERS: dict[str, str] = {
    "sudo": "ugph",
    "exec": "a",
    "command": "",
    "builtin": "",
    "nice": "n",
    "nohup": "",
    "time": "fo",
    "env": "uC",
    "gosu": "",
    "timeout": "sk",
    "stdbuf": "ioe",
    "eatmydata": "",
    "xvfb-run": "nes",
    "retry": "",
}
"""Programs that start the program named after them, with their options that take a value."""


def _unwrapped(words: list[ShellWord]) -> tuple[list[ShellWord], list[Assignment]]:
    """The command that is really run, without ``sudo``, ``env X=y`` and the like before it."""
    assignments: list[Assignment] = []
    while len(words) > 1:
        name = words[0].text.rsplit("/", 1)[-1]
        if name not in _WRAPPERS or (name == "command" and words[1].text.startswith("-")):
            break
        at = 1
        while at < len(words) and words[at].text.startswith("-"):
            at += 2 if words[at].text[-1:] in _WRAPPERS[name] and not words[at].text.startswith("--") else 1
        if name in {"timeout", "gosu"}:
            at += 1
        while at < len(words) and name in {"env", "sudo"} and (match := re.match(r"([A-Za-z_]\w*)=", words[at].text)):
            word = words[at]
            value = word.value.slice(match.end(), len(word.text))
            assignments.append(Assignment(match[1], value, word.origin))
            at += 1
        if at >= len(words):
            break
        words = words[at:]
    return words, assignments


def _braces(value: Value) -> list[Value]:
    """``{a,b}`` in a word that is known and written as such."""
    text = value.render()
    match = re.search(r"(?<!\$)\{([^{}\s]*,[^{}\s]*)\}", text)
    if not match or not value.fragments or len(text) > 500 or any(f.variable for f in value):
        return [value]
    before, after = value.slice(0, match.start()), value.slice(match.end(), len(text))
    inner = split(value.slice(match.start(1), match.end(1)), ",")
    return [found for option in inner[:16] for found in _braces(before + option + after)]


def _width(char: str) -> int:
    return 1 if char < "\x80" else len(char.encode("utf-8", "surrogateescape"))


def resolve(directory: Value, path: Value) -> Value:
    """``path`` as seen from ``directory``, without normalising ``..``."""
    text = path.render()
    if text.startswith(("/", "~", HOLE)) or not text:
        return path
    while text.startswith("./"):
        path, text = path.slice(2, len(text)), text[2:]
    if text in {"", "."}:
        return directory
    base = directory if directory.render().endswith("/") else directory + literal("/")
    return base + path


def names_of(architecture: str) -> frozenset[str]:
    """The words by which scripts compare an architecture (``uname -m``, ``TARGETPLATFORM``, …)."""
    return _NAMES.get(architecture, frozenset())


BUILD_PLATFORM = AMD64
"""What ``$BUILDPLATFORM`` is taken for: crossdock looks at projects as an x86 machine builds them."""


def plain_text(text: str, start: int = 0) -> LogicalText:
    """Text that stands in its file exactly as it is, from byte offset ``start``."""
    offsets = [start]
    for char in text:
        offsets.append(offsets[-1] + _width(char))
    return LogicalText(text, tuple(offsets))


def origin_span(value: Value) -> Span | None:
    """From the first to the last literal byte of a value, when all of them are in one file."""
    origins = [fragment.origin for fragment in value if fragment.origin]
    if not origins or len({origin.path for origin in origins}) != 1:
        return None
    return Span(min(o.span.start for o in origins), max(o.span.end for o in origins))
