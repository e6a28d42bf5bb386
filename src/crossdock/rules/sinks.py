"""What a sink is: a place where amd64 text reaches something that matters, and where that text was written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossdock.read.model import Instruction
from crossdock.read.shell_model import Command
from crossdock.read.trace import ScriptRun, StageTrace, Step
from crossdock.read.values import Origin, Value
from crossdock.rules.names import Token, is_bare


class Kind(StrEnum):
    """What a value is used for."""

    IMAGE = "image"
    DOWNLOAD = "download"
    PACKAGE_FILE = "package file"
    GOARCH = "goarch"
    LIBRARY_PATH = "library path"
    NAMED_PATH = "named path"
    """A folder or file that is named for amd64, and that nothing in the file brought under that name."""
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
