"""Expands the words of shell text: quotes, variables, substitutions, patterns, comparisons."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from crossdock.findings import Skipped
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
from crossdock.read.programs import output
from crossdock.read.shell_model import (
    ARCHITECTURE_NAMES,
    ARCHITECTURE_WORDS,
    Assignment,
    Command,
    Machine,
    ShellWord,
    State,
    TooMuch,
    UnsetUse,
    as_shell_text,
    is_nonempty,
    width,
)
from crossdock.read.values import UNKNOWN, Fragment, Origin, Value, join, literal
from crossdock.source import Span

if TYPE_CHECKING:
    from tree_sitter import Node

_X86_32 = frozenset("386 i386 i486 i586 i686 x86".split())
_IN_PATTERN = re.compile(
    r"""\\(?P<escaped>.) | '(?P<single>[^']*)' | "(?P<double>(?:\\.|[^"\\])*)"
      | \$(?P<name>[A-Za-z_]\w*) | \$\{(?P<braced>[A-Za-z_]\w*)\} | [$`]""",
    re.DOTALL | re.VERBOSE,
)
_PATTERN_END = re.compile(r"""(?>\\.|'[^']*'|"(?>\\.|[^"\\])*"|\$\{[^}]*\}|[^/\\'"])*(?=/)""", re.DOTALL)
"""``${x/pattern/…``: the pattern ends at the first slash that is not quoted."""
MOST_DEPTH = 40
"""Nested functions and substitutions."""


class WordReader(ABC):
    """Expands words over one text. What runs commands (``$( )`` needs it) is added by the walker in ``read.shell``."""

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
        self.source = as_shell_text(LogicalText("", (0,)))

    @abstractmethod
    def statements(self, nodes: Iterable[Node], state: State) -> bool | None:
        """Run commands; gives the status of the last one."""

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
        last = first + len(text) - 1
        if offsets[last] - offsets[first] == last - first and text.isascii():
            return Value((Fragment(text, Origin(self.path, Span(offsets[first], offsets[last] + 1))),))
        fragments: list[Fragment] = []
        begin = 0
        for index in range(1, len(text) + 1):
            if index == len(text) or offsets[first + index] != offsets[first + index - 1] + width(text[index - 1]):
                span = self.source.logical.span(first + begin, first + index)
                fragments.append(Fragment(text[begin:index], Origin(self.path, span)))
                begin = index
        return Value(tuple(fragments))

    def shell_words(self, node: Node, state: State) -> list[ShellWord]:
        """The words one written word becomes, with where it was written."""
        start, end = node.start_byte, node.end_byte
        if node.type == "word" and not node.child_count:
            raw = self.source.data[start:end]
            if b"\\" not in raw and b"{" not in raw:
                value = self.written(start, end)
                fragments = value.fragments
                if len(fragments) == 1 and (whole := fragments[0].origin):
                    return [ShellWord(value, whole)]
        origin = self.origin(start, end)
        return [ShellWord(value, origin) for value in self.fields(node, state)]

    def fields(self, node: Node, state: State) -> list[Value]:
        """The values one written word becomes: unquoted expansions are split at white space."""
        parts = self.parts(node, state)
        if node.type == "string" and len(parts) == 1 and (several := self._several(node, state)) is not None:
            return several
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

    def _several(self, node: Node, state: State) -> list[Value] | None:
        """What ``"$@"`` and ``"${list[@]}"`` stand for: a word for each."""
        text = self.source.slice(node.start_byte, node.end_byte)
        if text in {'"$@"', '"${@}"'}:
            return list(state.arguments)
        match = re.fullmatch(r'"\$\{(\w+)\[@\]\}"', text)
        return list(state.arrays[match[1]].values()) if match and match[1] in state.arrays else None

    def value(self, node: Node | None, state: State) -> Value:
        """A word as one value, without splitting."""
        if node is None:
            return Value()
        return Value(tuple(fragment for value, _ in self.parts(node, state) for fragment in value))

    def parts(self, node: Node, state: State) -> list[tuple[Value, bool]]:
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

    def _between(self, children: Iterable[Node], start: int, end: int, state: State) -> Value:
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

    def _quoted(self, node: Node, state: State) -> Value:
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

    def _substitution(self, node: Node, state: State) -> Value:
        inner = state.fork()
        inner.stdout, inner.stdin = Value(), state.stdin
        errexit, inner.errexit = inner.errexit, False
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise TooMuch
        self.statements(node.named_children, inner)
        self.depth -= 1
        inner.errexit = errexit
        state.files = inner.files
        if (
            not inner.stdout.fragments
            and len(node.named_children) == 1
            and node.named_children[0].type in {"file_redirect", "redirected_statement"}
        ):
            return self._content(node.named_children[0], state)
        return strip_newlines(inner.stdout)

    def _content(self, node: Node, state: State) -> Value:
        """``$(<file)``"""
        redirect = node if node.type == "file_redirect" else node.named_children[-1]
        target = redirect.child_by_field_name("destination")
        known = state.file(self.value(target, state)) if target is not None else None
        return UNKNOWN if known is None else strip_newlines(known)

    def _expansion_parts(self, node: Node, state: State) -> list[tuple[Value, bool]]:
        text = self.source.slice(node.start_byte, node.end_byte)
        lead = len(text) - len(text.lstrip(" \t\n"))
        parts: list[tuple[Value, bool]] = []
        start = node.start_byte + lead
        if lead:
            # The grammar counts white space before an expansion inside quotes as a part of it.
            parts.append((self.written(node.start_byte, start), False))
        return [*parts, (self._expansion(node, start, state), True)]

    def _lookup(self, name: str, origin: Origin, state: State) -> Value:
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

    def _expansion(self, node: Node, start: int, state: State) -> Value:
        origin = self.origin(start, node.end_byte)
        if node.type == "simple_expansion":
            return self._lookup(self.source.slice(start + 1, node.end_byte), origin, state)
        name_node = next(
            (c for c in node.children if c.type in {"variable_name", "special_variable_name", "subscript"}), None
        )
        if name_node is None:
            return UNKNOWN
        before = self.source.slice(start + 2, name_node.start_byte)
        if before == "!":
            return self._indirect(name_node, origin, state)
        if before == "#":
            text = self._named(name_node, origin, state).text if name_node.type == "variable_name" else None
            return UNKNOWN if text is None else literal(str(len(text)))
        rest = self.source.slice(name_node.end_byte, node.end_byte - 1)
        match = re.match(r":[-=+?]|[-=+?]|##?|%%?|//?|\^\^?|,,?|:|@", rest)
        operator = match[0] if match else ""
        argument_start = name_node.end_byte + len(operator.encode())
        if operator in {":-", "-", ":=", "=", ":+", "+", ":?", "?"}:
            return self._conditional(node, name_node, operator, argument_start, origin=origin, state=state)
        value = self._named(name_node, origin, state)
        if not operator:
            return value
        if not value.fragments or all(f.text is None and not f.choices for f in value):
            return value
        return either(
            self._transformed(option, operator, node, argument_start, state) for option in alternatives(value)
        )

    def _named(self, name_node: Node, origin: Origin, state: State) -> Value:
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
            if known.lower() in ARCHITECTURE_NAMES.get(self.machine.target.architecture, ()):
                return element.via(name)
        return either(elements.values())

    def _indirect(self, name_node: Node, origin: Origin, state: State) -> Value:
        """``${!x}``. Where the name was made of an architecture's name, that chose the value and is to blame."""
        named = self._named(name_node, origin, state)
        name = named.text
        if not name or not re.fullmatch(r"[A-Za-z_]\w*", name):
            return UNKNOWN
        value = self._lookup(name, origin, state)
        chosen = next((f for f in named if f.origin and (f.text or "").lower() in ARCHITECTURE_WORDS), None)
        if chosen is None or value.text is None:
            return value
        return Value((Fragment(value.text, chosen.origin, chosen.variable),))

    def _conditional(
        self, node: Node, name_node: Node, operator: str, argument_start: int, *, origin: Origin, state: State
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
            present = is_nonempty(current)

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

    def _transformed(self, value: Value, operator: str, node: Node, start: int, state: State) -> Value:
        raw = self.source.slice(start, node.end_byte - 1)
        if operator in {"#", "##", "%", "%%"}:
            pattern = self._pattern_text(raw, state)
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

    def _replaced(self, value: Value, every: bool, node: Node, start: int, state: State) -> Value:
        raw = self.source.slice(start, node.end_byte - 1)
        cut = _PATTERN_END.match(raw)
        length = cut.end() if cut else len(raw)
        pattern = self._pattern_text(raw[:length], state)
        if pattern is None:
            return UNKNOWN
        replacement = Value()
        if length < len(raw):
            after = start + len(raw[: length + 1].encode("utf-8", "surrogateescape"))
            inner = [part for child in node.children for part in _parts_of_word(child)]
            replacement = self._between(
                [part for part in inner if part.start_byte >= after], after, node.end_byte - 1, state
            )
        anchor = pattern[:1] if pattern[:1] in "#%" else ""
        body = glob(pattern[len(anchor) :])
        regex = compiled({"#": f"^{body}", "%": f"{body}$"}.get(anchor, body) if anchor else body)
        if regex is None or not pattern:
            return value if not pattern else UNKNOWN
        return substitute(value, regex, lambda _match: replacement, 0 if every else 1)

    def _pattern_text(self, raw: str, state: State, in_quotes: bool = False) -> str | None:
        """A pattern as it is written in an expansion, in glob syntax with quoted parts escaped; None when a part is
        unknown. The grammar would cut it into pieces of its own."""
        out: list[str] = []
        at = 0
        for match in _IN_PATTERN.finditer(raw):
            plain = raw[at : match.start()]
            at = match.end()
            name = match["name"] or match["braced"]
            part: str | None = None
            if match["escaped"] is not None:
                part = match[0]
            elif match["single"] is not None:
                part = escaped(match[0] if in_quotes else match["single"])
            elif match["double"] is not None:
                part = self._pattern_text(match["double"], state, True)
            elif name and name in state.variables:
                text = state.variables[name].text
                part = escaped(text) if text is not None and in_quotes else text
            if part is None:
                return None
            out += [escaped(plain) if in_quotes else plain, part]
        out.append(escaped(raw[at:]) if in_quotes else raw[at:])
        return "".join(out)

    def pattern(self, node: Node, state: State) -> str | None:
        """A pattern of ``case`` or ``[[``: text in glob syntax, quoted parts escaped."""
        if node.type in {"string", "raw_string", "ansi_c_string"}:
            text = self.value(node, state).text
            return None if text is None else escaped(text)
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

    def _matches(self, subject: Value, node: Node, state: State) -> bool | None:
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
            is_architecture = subject.text.lower() in ARCHITECTURE_WORDS
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
        if name in ARCHITECTURE_NAMES.get(target, ()):
            return True
        if any(name in names for key, names in ARCHITECTURE_NAMES.items() if key != target):
            return False
        return None


def escaped(text: str) -> str:
    """Text as a pattern that matches nothing but it."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


def _parts_of_word(node: Node) -> Iterable[Node]:
    return node.children if node.type == "concatenation" else (node,)


def for_every_architecture(words: list[Value], target: str) -> list[Value]:
    """A loop over architectures, the target's or another one that no x86 machine runs among them, makes something for
    each: its words are no longer amd64 text. (``linux/386 darwin/amd64``: with the system before it as well.)"""
    texts = {word.render().lower().rpartition("/")[2] for word in words}
    others = ARCHITECTURE_NAMES.get(target, frozenset()) | ARCHITECTURE_NAMES["other"] - _X86_32
    if texts & (ARCHITECTURE_NAMES["amd64"] | _X86_32) and texts & others:
        return [without_origin(word) for word in words]
    return words


def _braces(value: Value) -> list[Value]:
    """``{a,b}`` in a word that is known and written as such."""
    text = value.render()
    match = re.search(r"(?<!\$)\{([^{}\s]*,[^{}\s]*)\}", text)
    if not match or not value.fragments or len(text) > 500 or any(f.variable for f in value):
        return [value]
    before, after = value.slice(0, match.start()), value.slice(match.end(), len(text))
    inner = split(value.slice(match.start(1), match.end(1)), ",")
    return [found for option in inner[:16] for found in _braces(before + option + after)]
