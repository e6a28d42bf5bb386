"""Evaluates shell text for one platform: which commands are reached, with which words, and what variables hold.

The grammar is tree-sitter's bash. It runs over the joined text of a RUN or script; every span is mapped back to the
bytes of the file. Nothing is executed. What cannot be known is unknown, and a condition that cannot be decided is
walked both ways; an unknown value that is compared with the name of an architecture is taken for the architecture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from crossdock.findings import Skipped
from crossdock.read.model import LogicalText
from crossdock.read.pieces import HOLE, split
from crossdock.read.programs import grep, node_status, output
from crossdock.read.shell_braces import MOST_ROUNDS, braced
from crossdock.read.shell_grammar import (
    Link,
    Stage,
    condition_and_body,
    is_test,
    links,
    parser,
    separated,
    without_word_comments,
)
from crossdock.read.shell_model import (
    FETCHERS,
    FROM_NETWORK,
    Assignment,
    Command,
    Machine,
    Redirect,
    ShellTrace,
    ShellWord,
    State,
    TooMuch,
    as_shell_text,
    comes_from_network,
    merge,
    resolve,
)
from crossdock.read.shell_tests import Operand, Test, test_tokens
from crossdock.read.shell_words import MOST_DEPTH, WordReader, for_every_architecture
from crossdock.read.shell_wrappers import unwrapped
from crossdock.read.values import UNKNOWN, Fragment, Origin, Value, join, literal
from crossdock.source import Span

if TYPE_CHECKING:
    from tree_sitter import Node

_FILTERS = frozenset("awk gawk mawk cut sed tr".split())
MOST_STEPS = 5_000
"""Commands walked before evaluation gives up: functions and loops in a generated script could multiply without end."""
MOST_ROUNDS_OF_LOOP = 24
_COMPOUND = frozenset(
    "if_statement case_statement for_statement while_statement c_style_for_statement compound_statement "
    "negated_command".split()
)
"""What does not end a shell under ``set -e`` by its own status; commands inside do."""


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
    state = State(
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
    state = State(
        variables=dict(variables or {}),
        exported=frozenset(variables or {}),
        directory=directory if directory is not None else literal("/"),
        arguments=(),
        files=dict(files or {}),
    )
    walker.program(words, state)
    return walker.result(state)


class _Walker(WordReader):
    """One evaluation. Methods named after grammar nodes run them and give the status: success, failure or unknown."""

    def result(self, state: State) -> ShellTrace:
        return ShellTrace(
            tuple(self.commands),
            tuple(self.assignments),
            tuple(dict.fromkeys(self.unset)),
            state.variables,
            state.files,
            state.ended,
            tuple(dict.fromkeys(self.skipped)),
        )

    def program(self, words: tuple[ShellWord, ...], state: State) -> None:
        """Run one command that is already split into words."""
        if not words:
            return
        inner, assignments = unwrapped(list(words))
        origin = Origin(self.path, Span(words[0].origin.span.start, words[-1].origin.span.end))
        command = Command(
            tuple(inner),
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
        except (TooMuch, RecursionError):
            self.skipped.append(Skipped(f"the shell text at {self.path}", "it is too deep or too long to be followed"))

    def text(self, logical: LogicalText, state: State) -> bool | None:
        """Parse and run one text: the whole, or a string given to ``sh -c`` or ``eval``."""
        outer = self.source
        self.source = as_shell_text(LogicalText(without_word_comments(logical.text), logical.offsets))
        status: bool | None = None
        self.depth += 1
        try:
            if self.depth > MOST_DEPTH:
                raise TooMuch
            root = parser().parse(self.source.data).root_node
            if root.has_error and (parted := separated(self.source.logical)) is not self.source.logical:
                self.source = as_shell_text(parted)
                root = parser().parse(self.source.data).root_node
            for _ in range(MOST_ROUNDS):
                mended = braced(self.source, root)
                if mended is None:
                    break
                self.source = as_shell_text(mended)
                root = parser().parse(self.source.data).root_node
            if root.has_error:
                self._say_errors(root)
            status = self.statements(root.named_children, state)
        except (TooMuch, RecursionError):
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

    # Statements

    def statements(self, nodes: Iterable[Node], state: State) -> bool | None:
        status: bool | None = True
        for node in nodes:
            if state.stopped:
                break
            if node.type in {"comment", "heredoc_body", "heredoc_end"}:
                continue
            status = self.chain(node, state, statement=True)
        return status

    def chain(self, node: Node, state: State, statement: bool = False) -> bool | None:
        """``a && b || c``, each of them a pipeline."""
        parts = links(node)
        status: bool | None = None
        chosen = ran = False
        for number, link in enumerate(parts):
            if state.stopped:
                return status
            after_and = link.operator == "&&"
            # ``test && this || that`` is meant as if and else.
            passed_over = status is False if after_and else status is True or (status is None and chosen)
            ran = number == 0 or not passed_over
            if not ran:
                continue
            is_unsure = number > 0 and status is None and (not after_and or is_test(parts[number - 1].stages))
            before, state.lenient = state.lenient, state.lenient or number < len(parts) - 1
            status = self.maybe(link, state) if is_unsure else self.pipeline(link.stages, state)
            state.lenient = before
            chosen = chosen or (number == 0 and status is True and is_test(link.stages))
        if statement and ran and status is False and state.errexit and not state.lenient:
            # What failed inside of ``if``, ``case`` and the like has ended the shell there, or was to be ignored.
            last = parts[-1].stages[-1].node if parts[-1].stages else node
            state.ended = state.ended or last.type not in _COMPOUND
        return status

    def maybe(self, link: Link, state: State) -> bool | None:
        """Run something that may or may not be reached, and keep both outcomes."""
        branch = state.fork()
        branch.certain = False
        self.pipeline(link.stages, branch)
        merge(state, [branch, state.fork()])
        return None

    def pipeline(self, stages: list[Stage], state: State) -> bool | None:
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

    def stage(self, stage: Stage, state: State) -> bool | None:
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

    def run(self, node: Node, state: State) -> bool | None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooMuch
        method = getattr(self, f"run_{node.type}", None)
        if method:
            return method(node, state)  # type: ignore[no-any-return]
        if node.type in {"list", "pipeline", "redirected_statement"}:
            return self.chain(node, state)
        return self.statements(node.named_children, state)

    def run_command(self, node: Node, state: State) -> bool | None:
        return self.command(node, state, ())

    def run_negated_command(self, node: Node, state: State) -> bool | None:
        status = self.chain(node.named_children[-1], state) if node.named_children else None
        return None if status is None else not status

    def run_variable_assignment(self, node: Node, state: State) -> bool | None:
        assignment = self.assignment(node, state)
        if assignment:
            self._assign(assignment, state)
            self._record(node, state, assignments=(assignment,))
        return True

    def run_variable_assignments(self, node: Node, state: State) -> bool | None:
        for child in node.named_children:
            self.run_variable_assignment(child, state)
        return True

    def run_declaration_command(self, node: Node, state: State) -> bool | None:
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
            self._record(node, state, assignments=tuple(made))
        return True

    def run_unset_command(self, node: Node, state: State) -> bool | None:
        gone = {self.source.slice(child.start_byte, child.end_byte) for child in node.named_children}
        state.variables = {name: value for name, value in state.variables.items() if name not in gone}
        return True

    def run_compound_statement(self, node: Node, state: State) -> bool | None:
        if node.children and node.children[0].type == "((":
            return None
        return self.statements(node.named_children, state)

    def run_subshell(self, node: Node, state: State) -> bool | None:
        inner = state.fork()
        status = self.statements(node.named_children, inner)
        state.stdout, state.files = inner.stdout, inner.files
        return False if inner.ended else status

    def run_function_definition(self, node: Node, state: State) -> bool | None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name and body:
            state.functions = {
                **state.functions,
                self.source.slice(name.start_byte, name.end_byte): (body, self.source),
            }
        return True

    def run_if_statement(self, node: Node, state: State) -> bool | None:
        arms: list[tuple[list[Node] | None, list[Node]]] = [condition_and_body(node)]
        for child in node.named_children:
            if child.type == "elif_clause":
                arms.append(condition_and_body(child))
            elif child.type == "else_clause":
                arms.append((None, list(child.named_children)))
        outcomes: list[State] = []
        taken: bool | None = True
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
                taken = self._chosen(body, state)
                break
            branch = state.fork()
            branch.certain = False
            self.statements(body, branch)
            outcomes.append(branch)
        if outcomes:
            merge(state, [*outcomes, state.fork()])
            return None
        return taken

    def _chosen(self, body: list[Node], state: State) -> bool | None:
        """Run the branch that was decided for, and remember by which values."""
        before, state.because = state.because, (*state.because, *self.reasons)
        self.reasons = []
        status = self.statements(body, state)
        state.because = before
        return status

    def _conditions(self, nodes: list[Node], state: State) -> bool | None:
        before, state.lenient = state.lenient, True
        status: bool | None = None
        for node in nodes:
            status = self.chain(node, state)
        state.lenient = before
        return status

    def run_case_statement(self, node: Node, state: State) -> bool | None:
        subject_node = node.child_by_field_name("value")
        if subject_node is None:
            return None
        subject = self.value(subject_node, state)
        outcomes: list[State] = []
        taken: bool | None = True
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
                taken = self._chosen(body, state)
                break
            if None in matches:
                branch = state.fork()
                branch.certain = False
                self.statements(body, branch)
                outcomes.append(branch)
        if outcomes:
            merge(state, [*outcomes, state.fork()])
            return None
        return taken

    def run_for_statement(self, node: Node, state: State) -> bool | None:
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
        words = for_every_architecture(words, self.machine.target.architecture)
        for word in words[:MOST_ROUNDS_OF_LOOP]:
            if state.stopped:
                break
            state.set(name, word)
            self.statements(body.named_children, state)
            leaves, state.leaves = state.leaves, ""
            if leaves == "break":
                break
        return None

    def run_c_style_for_statement(self, node: Node, state: State) -> bool | None:
        body = node.child_by_field_name("body")
        return self._perhaps(list(body.named_children) if body else [], state)

    def run_while_statement(self, node: Node, state: State) -> bool | None:
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

    def _perhaps(self, nodes: list[Node], state: State) -> bool | None:
        branch = state.fork()
        self.statements(nodes, branch)
        branch.leaves = ""
        merge(state, [branch, state.fork()])
        return None

    def run_test_command(self, node: Node, state: State) -> bool | None:
        double = node.children[0].type == "[["
        if node.children[0].type == "((":
            return None
        tokens = list(test_tokens(self, node, state))
        return Test(self, tokens, state, double).decide()

    # Commands

    def command(self, node: Node, state: State, redirects: tuple[Redirect, ...]) -> bool | None:
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
                    self._record(node, state, assignments=tuple(assignments))
                    assignments = []
                target = child.named_children[0] if child.type == "command_name" and child.named_children else child
                more = self.shell_words(target, state)
                if words and more and child.start_byte == previous_end:
                    # The grammar ends a word behind ${NAME} when a backslash follows.
                    before, rest = words.pop(), more.pop(0)
                    both = Origin(self.path, Span(before.origin.span.start, rest.origin.span.end))
                    words.append(ShellWord(before.value + rest.value, both))
                words += more
            previous_end = child.end_byte
        redirects += tuple(self.redirects(own, state))
        if not words:
            for assignment in assignments:
                self._assign(assignment, state)
            self._record(node, state, assignments=tuple(assignments), redirects=redirects)
            return None
        words, prefixes = unwrapped(words)
        assignments += prefixes
        stdin = state.stdin
        for redirect in redirects:
            if redirect.operator in {"<", "<<", "<<-", "<<<"}:
                stdin = self._input(redirect, state)
        command = self._record(
            node, state, words=tuple(words), assignments=tuple(assignments), redirects=redirects, stdin=stdin
        )
        return self.execute(command, state)

    def execute(self, command: Command, state: State) -> bool | None:
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
            case "break" | "continue":
                state.leaves = name
                return True
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
                return Test(
                    self, [Operand(word.value, word.value.render(), None) for word in words], state, False
                ).decide()
            case "shift":
                state.arguments = state.arguments[1:]
            case "read":
                status = self._read(command, state)
            case "eval":
                return self._string(join(values[1:]), state)
            case "sh" | "bash" | "ash" | "dash" | "zsh":
                return self._shell(command, state)
            case "." | "source":
                if len(values) > 1 and (known := state.file(values[1])) is not None:
                    return self._string(known, state)
                status = None
            case "unset":
                gone = {word.text for word in command.arguments}
                state.variables = {key: value for key, value in state.variables.items() if key not in gone}
            case _:
                if name in {"node", "nodejs"}:
                    status = node_status(values[1:], self.machine.runs_on)
                if name in {"grep", "egrep"} and len(values) > 1:
                    status = grep(values[1:] if name == "grep" else [literal("-E"), *values[1:]], command.stdin)
                produced = self._output(command, values, state)
        if not self._write(command.redirects, produced, state):
            state.stdout += produced
        return status

    def _output(self, command: Command, values: list[Value], state: State) -> Value:
        if command.name == "cat" and len(values) == 2 and (known := state.file(values[1])) is not None:
            return known
        if command.name == "tee" and command.stdin is not None:
            for word in command.arguments:
                if not word.text.startswith("-"):
                    path = resolve(state.directory, word.value).render()
                    state.files = {**state.files, path: command.stdin}
        told = output(values, command.stdin, self.machine.runs_on, self.machine.target)
        # A filter cuts a part out of what was fetched; which part cannot be known.
        lost = told is None or (command.name in _FILTERS and not comes_from_network(told))
        if lost and command.stdin is not None and comes_from_network(command.stdin):
            return command.stdin
        if told is None and command.name in FETCHERS:
            return Value((Fragment(None, None, FROM_NETWORK),))
        if told is None and command.name in {"mkdir", "cp", "mv", "rm", "ln", "chmod", "chown", "touch", "install"}:
            return Value()
        return UNKNOWN if told is None else told

    def _read(self, command: Command, state: State) -> bool | None:
        """``read a b``: the fields of the first line, the rest of it in the last variable."""
        names = [word.text for word in command.arguments if re.fullmatch(r"[A-Za-z_]\w*", word.text)]
        options = {word.text for word in command.arguments} - set(names)
        separators = next((made.value.text for made in command.assignments if made.name == "IFS"), None)
        line = command.stdin
        text = line.text.rstrip("\n") if line is not None and line.text is not None else "\n"
        if line is None or options - {"-r"} or "\\" in text or "\n" in text:
            # Of several lines this is probably a loop, which is walked once.
            for name in names:
                state.set(name, UNKNOWN)
            return None
        line = line.slice(0, len(text))
        fields = split(line, separators)
        for number, name in enumerate(names):
            value = fields[number] if number < len(fields) else Value()
            if number == len(names) - 1 and len(fields) > len(names):
                start = sum(len(field.render()) + 1 for field in fields[:number]) if separators else None
                value = join(fields[number:]) if start is None else line.slice(start, len(line.render()))
            state.set(name, value)
        return True

    def _call(self, command: Command, state: State) -> bool | None:
        body, source = state.functions[command.name]
        if self.depth > MOST_DEPTH:
            raise TooMuch
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

    def _set(self, command: Command, state: State) -> None:
        texts = [word.text for word in command.arguments]
        for number, text in enumerate(texts):
            if text == "--":
                state.arguments = tuple(word.value for word in command.arguments[number + 1 :])
                return
            if re.fullmatch(r"-\w+", text) and ("e" in text or texts[number + 1 : number + 2] == ["errexit"]):
                state.errexit = True
            elif re.fullmatch(r"\+\w*e\w*", text):
                state.errexit = False

    def _shell(self, command: Command, state: State) -> bool | None:
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
            is_option_of = number > 0 and arguments[number - 1].text in {"-o", "+o", "-O", "+O"}
            if not word.text.startswith(("-", "+")) and not is_option_of:
                break
        else:
            if command.stdin is not None and any(r.operator in {"<<", "<<-", "<<<"} for r in command.redirects):
                return self._string(command.stdin, state.fork())
        state.stdout += UNKNOWN
        return None

    def _string(self, value: Value, state: State) -> bool | None:
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
        node: Node,
        state: State,
        *,
        words: tuple[ShellWord, ...] = (),
        assignments: tuple[Assignment, ...] = (),
        redirects: tuple[Redirect, ...] = (),
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

    def _assign(self, assignment: Assignment, state: State, record: bool = True) -> None:
        state.set(assignment.name, assignment.value)
        if record:
            self.assignments.append(replace(assignment, because=state.because) if state.because else assignment)

    def assignment(self, node: Node, state: State) -> Assignment | None:
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

    def _element(self, target: Node, value_node: Node | None, state: State, origin: Origin) -> Assignment | None:
        name_node, index = target.child_by_field_name("name"), target.child_by_field_name("index")
        if name_node is None or index is None:
            return None
        name = self.source.slice(name_node.start_byte, name_node.end_byte)
        value = self.value(value_node, state) if value_node is not None else Value()
        key = self.value(index, state).render()
        state.arrays = {**state.arrays, name: {**state.arrays.get(name, {}), key: value}}
        return Assignment(f"{name}[{key}]", value, origin)

    def _array(self, name: str, node: Node, state: State, origin: Origin) -> Assignment:
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

    def redirects(self, nodes: list[Node], state: State) -> Iterator[Redirect]:
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

    def _heredoc(self, node: Node, state: State) -> Value:
        body = next((child for child in node.named_children if child.type == "heredoc_body"), None)
        start = next((child for child in node.named_children if child.type == "heredoc_start"), None)
        if body is None or start is None:
            return Value()
        quoted = bool(re.search(r"['\"\\]", self.source.slice(start.start_byte, start.end_byte)))
        if quoted:
            return self.written(body.start_byte, body.end_byte)
        return self._between(body.children, body.start_byte, body.end_byte, state)

    def _input(self, redirect: Redirect, state: State) -> Value | None:
        if redirect.operator == "<":
            return state.file(redirect.target)
        return redirect.target

    def _write(self, redirects: tuple[Redirect, ...], produced: Value, state: State) -> bool:
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
