"""What the commands of a stage do, as far as it matters for where they run: recognised by catalogue/work.toml."""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase, translate
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from crossdock.errors import InputError
from crossdock.read.context import Context
from crossdock.read.pieces import HOLE
from crossdock.read.shell_model import Command
from crossdock.read.trace import Copied, StageTrace, Step
from crossdock.source import Source

_CATALOGUE = Path(__file__).parents[1] / "catalogue/work.toml"
_MOST_BYTES = 8 << 20
"""Of a file that is looked into for what it holds; a longer one is looked into so far."""
_MOST_FILES = 2000
"""Of a context, that are looked into for one kind of work."""
_ASKS = re.compile(r"(-v|-V|-h|--?version|--help|version)( --?short)?")
"""Arguments of a command that asks a program for its version, which takes no time, whatever the program."""
_MOST_TEXT = 72
"""Characters of a command that are shown."""


class Kind(StrEnum):
    """What it costs to emulate; ``costs`` has the figures."""

    COMPILE = "compile"
    PACKAGES = "packages"
    PROGRAM = "program"
    """A program that computes: an interpreter, a virtual machine, a compiler that nothing was measured of."""
    LIGHT = "light"
    """It waits for the network or the disk, or takes no time worth telling."""


class Makes(StrEnum):
    """What comes out."""

    SAME = "same"
    """Files that are alike on every architecture."""
    TARGET = "target"
    """Machine code for any architecture that it is asked for."""
    MACHINE = "machine"
    """Machine code for the machine that it runs on, as far as is known."""
    IMAGE = "image"
    """Files of packages or downloads, which are for the image that they are put into."""


@dataclass(frozen=True)
class Work:
    """One entry of catalogue/work.toml, which says what the fields mean."""

    name: str
    says: str
    kind: Kind
    programs: tuple[str, ...]
    makes: Makes
    source: str
    arguments: str = ""
    unless: str = ""
    variables: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    holds: str = ""
    cross: str = ""


UNKNOWN = Work("unknown", "", Kind.PROGRAM, (), Makes.MACHINE, "")
"""What a command does that no entry fits."""


@dataclass(frozen=True)
class Evidence:
    """One command that shows what a stage does. ``line`` is that of ``path``; ``text`` is the command as written, in
    one line; ``file`` is the file of the context that told more; ``certain`` is false where the command stands in a
    branch that could not be decided."""

    work: Work
    path: str
    line: int
    text: str
    program: str
    certain: bool = True
    file: str = ""
    in_script: bool = False

    @property
    def says(self) -> str:
        """What it does, in words."""
        if self.work is not UNKNOWN:
            return self.work.says
        return "runs what is not known" if HOLE in self.program else f"runs {self.program}"

    @property
    def where(self) -> str:
        return f"on line {self.line} of {Path(self.path).name}" if self.in_script else f"on line {self.line}"


@dataclass(frozen=True)
class Cost:
    """How many times its native time work of a kind takes, from and to."""

    emulated: tuple[float, float]
    assisted: tuple[float, float]
    source: str


class Files:
    """The files of a context, looked into once for all stages and platforms."""

    def __init__(self, context: Context | None) -> None:
        self._context = context
        self._named: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._holds: dict[tuple[str, str], bool] = {}

    def named(self, patterns: tuple[str, ...]) -> tuple[str, ...]:
        """The paths of files whose names are like one of these; not those of installed npm packages."""
        if patterns not in self._named:
            name = re.compile("|".join(map(translate, patterns)))
            paths = (file.path for file in self._context.files()) if self._context else ()
            self._named[patterns] = tuple(
                path for path in paths if name.match(path.rpartition("/")[2]) and "node_modules/" not in path
            )
        return self._named[patterns]

    def holds(self, path: str, expression: str) -> bool:
        """Whether a file holds an expression; any file holds an empty one."""
        key = (path, expression)
        if key not in self._holds:
            data = b""
            with contextlib.suppress(InputError):
                data = (self._context.read(path, _MOST_BYTES) if self._context and expression else b"") or b""
            self._holds[key] = re.search(expression.encode(), data) is not None
        return self._holds[key]


def evidence(stage: StageTrace, dockerfile: Source, files: Files) -> tuple[Evidence, ...]:
    """What a stage's RUN instructions do, in the order of the file; each command once."""
    found: dict[tuple[str, int, str, str], Evidence] = {}
    for step in stage.steps:
        if step.instruction.keyword != "RUN":
            continue
        followed = {run.context_path.rsplit("/", 1)[-1] for run in step.scripts}
        for source, command, in_script in _commands(step, dockerfile):
            if not command.name or command.name in followed:  # a script's own commands are there instead
                continue
            one = _recognised(command, source, step.copies, files, in_script=in_script)
            found.setdefault((one.path, one.line, one.text, one.work.name), one)
    return tuple(found.values())


def _commands(step: Step, dockerfile: Source) -> Iterator[tuple[Source, Command, bool]]:
    yield from ((dockerfile, command, False) for command in step.commands)
    for run in step.scripts:
        if not run.at_start:
            yield from ((run.source, command, run.source.path != dockerfile.path) for command in run.trace.commands)


def _recognised(
    command: Command, source: Source, copies: tuple[Copied, ...], files: Files, *, in_script: bool
) -> Evidence:
    rest = " ".join(word.text for word in command.arguments)
    work, file = UNKNOWN, ""
    for entry in _entries_for("sh" if _ASKS.fullmatch(rest) else command.name):
        if not _fits(entry, command, rest):
            continue
        if entry.files:
            held = next(_holding(entry, copies, files), "")
            if not held:
                continue
            file = held
        work = entry
        break
    span = command.origin.span
    text = _one_line(source.text(span))
    if source.data[span.start - 1 : span.start] == b'"' and '","' in text.replace(" ", ""):
        text = " ".join(word.text for word in command.words)  # the exec form
    line = source.position(span.start).line
    return Evidence(work, source.path, line, _short(text), command.name, command.certain, file, in_script)


def _fits(entry: Work, command: Command, rest: str) -> bool:
    if entry.arguments and not re.search(entry.arguments, rest):
        return False
    if entry.unless and re.search(entry.unless, rest):
        return False
    for variable in entry.variables:
        name, equals, wanted = variable.partition("=")
        value = command.variable(name)
        if value is None or (equals and value.text != wanted):
            return False
    return True


def _holding(entry: Work, copies: tuple[Copied, ...], files: Files) -> Iterator[str]:
    """The files of the context, as far as the stage has copied them by then, that hold what an entry looks for."""
    sources = {copied.source for copied in copies}
    candidates = (path for path in files.named(entry.files) if any(_below(path, source) for source in sources))
    return (path for path in islice(candidates, _MOST_FILES) if files.holds(path, entry.holds))


def _below(path: str, source: str) -> bool:
    if source in {".", ""} or path == source or path.startswith(f"{source}/"):
        return True
    return "*" in source and fnmatchcase(path, source)


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"\\\r?\n|^[ \t]*#.*$", " ", text, flags=re.MULTILINE).split())


def _short(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"


@cache
def catalogue() -> tuple[Work, ...]:
    """All entries, in the order in which they are tried."""
    return tuple(_work(entry) for entry in _document()["work"])


@cache
def costs() -> dict[Kind, Cost]:
    """What each kind of work costs."""
    return {Kind(entry["kind"]): _cost(entry) for entry in _document()["cost"]}


@cache
def _document() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(_CATALOGUE.read_text("utf-8"))


def _cost(entry: dict[str, Any]) -> Cost:
    emulated, assisted = entry["emulated"], entry["assisted"]
    return Cost((emulated[0], emulated[1]), (assisted[0], assisted[1]), entry["source"])


def _work(entry: dict[str, Any]) -> Work:
    lists = {key: tuple(value) for key, value in entry.items() if isinstance(value, list)}
    given = {**entry, **lists, "kind": Kind(entry["kind"]), "makes": Makes(entry["makes"])}
    return Work(**given)


@cache
def _entries_for(program: str) -> tuple[Work, ...]:
    return tuple(entry for entry in catalogue() if any(fnmatchcase(program, one) for one in entry.programs))


def heaviest(found: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """The first piece of evidence of each kind of work, what costs most first; without what costs little."""
    order = [Kind.COMPILE, Kind.PROGRAM, Kind.PACKAGES]
    first: dict[str, Evidence] = {}
    for one in found:
        if one.work.kind in order:
            first.setdefault(one.work.name, one)
    return tuple(sorted(first.values(), key=lambda one: (one.work is UNKNOWN, order.index(one.work.kind))))
