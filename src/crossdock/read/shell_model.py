"""What evaluating shell text is made of: words, commands, the trace, and the state of a shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from crossdock.findings import Skipped
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.read.model import LogicalText
from crossdock.read.pieces import HOLE, either
from crossdock.read.values import UNKNOWN, Fragment, Origin, Value, literal

if TYPE_CHECKING:
    from tree_sitter import Node

ARCHITECTURE_NAMES: dict[str, frozenset[str]] = {
    "amd64": frozenset("amd64 x86_64 x86-64 x64 linux/amd64 linux-amd64 linux-x86_64 amd64/linux 64bit".split()),
    "arm64": frozenset("arm64 aarch64 aarch_64 arm64v8 armv8 linux/arm64 linux/arm64/v8 linux-arm64 arm64/v8".split()),
    "other": frozenset(
        "386 i386 i486 i586 i686 x86 arm armhf armel armv5 armv6 armv6l armv7 armv7l linux/arm linux/arm/v6 "
        "linux/arm/v7 arm/v6 arm/v7 ppc64 ppc64le ppc64el s390x riscv64 loong64 loongarch64 mips64le mips64el "
        "linux/386 linux/ppc64le linux/s390x linux/riscv64".split()
    ),
}


MOST_FRAGMENTS = 1000
"""Of a variable's value; one that doubles itself line by line ends here."""
FETCHERS = frozenset("curl wget aria2c axel lftp fetch http https httpie wcurl lynx w3m".split())
FROM_NETWORK = "$(fetched)"
"""Stands for a variable's name in unknown text that a fetcher printed."""

ARCHITECTURE_WORDS = frozenset().union(*ARCHITECTURE_NAMES.values())


@dataclass(frozen=True)
class ShellWord:
    """One word after expansion. ``origin`` covers it as written; the value's fragments know where its parts are
    from."""

    value: Value
    origin: Origin

    @cached_property
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

    @cached_property
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


BUILD_PLATFORM = AMD64
"""What ``$BUILDPLATFORM`` is taken for: crossdock looks at projects as an x86 machine builds them."""


@dataclass
class State:
    """The mutable part of a shell. Dictionaries are replaced, never changed in place: commands hold on to them."""

    variables: dict[str, Value]
    exported: frozenset[str]
    directory: Value
    arguments: tuple[Value, ...]
    files: dict[str, Value]
    functions: dict[str, tuple[Node, ShellText]] = field(default_factory=dict)
    arrays: dict[str, dict[str, Value]] = field(default_factory=dict)
    stdin: Value | None = None
    stdout: Value = field(default_factory=Value)
    ended: bool = False
    returned: bool = False
    leaves: str = ""
    """``break`` or ``continue``, while on the way to the end of a loop's body."""
    certain: bool = True
    because: tuple[Value, ...] = ()
    errexit: bool = False
    lenient: bool = False
    """What fails now does not end the shell: it stands in a condition, or before ``&&`` or ``||``."""

    def fork(self) -> State:
        return State(**self.__dict__)

    def become(self, other: State) -> None:
        self.__dict__.update(other.__dict__)

    def set(self, name: str, value: Value) -> None:
        self.variables = {**self.variables, name: value if len(value.fragments) <= MOST_FRAGMENTS else UNKNOWN}

    def file(self, path: Value) -> Value | None:
        """What is known of a file's content."""
        return self.files.get(resolve(self.directory, path).render())

    @property
    def stopped(self) -> bool:
        return self.ended or self.returned or self.leaves != ""


@dataclass(frozen=True)
class ShellText:
    """A text being walked, with the way from the parser's byte offsets to the file."""

    logical: LogicalText
    data: bytes
    characters: tuple[int, ...] | None
    """For each byte its character; None when they are the same (ASCII)."""

    def char(self, byte: int) -> int:
        return byte if self.characters is None else self.characters[byte]

    def slice(self, start: int, end: int) -> str:
        return self.logical.text[self.char(start) : self.char(end)]


def as_shell_text(logical: LogicalText) -> ShellText:
    data = logical.text.encode("utf-8", "surrogateescape")
    if len(data) == len(logical.text):
        return ShellText(logical, data, None)
    characters: list[int] = []
    for index, char in enumerate(logical.text):
        characters += [index] * len(char.encode("utf-8", "surrogateescape"))
    return ShellText(logical, data, (*characters, len(logical.text)))


class TooMuch(Exception):
    pass


def merge(state: State, outcomes: list[State]) -> None:
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
    merged = _merged([outcome.variables for outcome in alive])
    files = _merged([outcome.files for outcome in alive])
    stdout = either(outcome.stdout for outcome in alive)
    state.become(alive[0])
    state.variables, state.files, state.stdout, state.certain = merged, files, stdout, certain
    state.exported = frozenset().union(*(outcome.exported for outcome in alive))
    state.directory = either(outcome.directory for outcome in alive)


def _merged(held: list[dict[str, Value]]) -> dict[str, Value]:
    """What each variable or file holds after one of several ways; most hold the same on all."""
    merged: dict[str, Value] = {}
    for name in dict.fromkeys(name for values in held for name in values):
        values = [each.get(name) for each in held]
        first = values[0]
        if first is not None and all(value is first for value in values):
            merged[name] = first
        else:
            merged[name] = either(value or Value((Fragment(None, None, name),)) for value in values)
    return merged


def is_nonempty(value: Value) -> bool | None:
    if value.text is not None:
        return value.text != ""
    if any(fragment.text for fragment in value):
        return True
    return None


def width(char: str) -> int:
    return 1 if char < "\x80" else len(char.encode("utf-8", "surrogateescape"))


def comes_from_network(value: Value) -> bool:
    """Whether a value is, at least in part, what a fetcher printed."""
    return any(fragment.variable == FROM_NETWORK for fragment in value)


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


def plain_text(text: str, start: int = 0) -> LogicalText:
    """Text that stands in its file exactly as it is, from byte offset ``start``."""
    offsets = [start]
    for char in text:
        offsets.append(offsets[-1] + width(char))
    return LogicalText(text, tuple(offsets))
