"""Edits that several fixes share: declaring an argument, replacing a word inside quotes, a choice by architecture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crossdock.read.model import Instruction, Stage
from crossdock.rules.base import Project
from crossdock.source import Edit, Source, Span


def declare(project: Project, stage: Stage, name: str) -> Edit:
    """``ARG name`` on a line of its own after the stage's FROM.

    It goes before what follows, not behind FROM: another fix may add ``AS name`` there.
    """
    source = project.dockerfile.source
    end = stage.from_.span.end
    keyword = "arg" if source.text(stage.from_.keyword_span).islower() else "ARG"
    line = f"{keyword} {name}".encode()
    next_line = source.data.find(b"\n", end) + 1
    if next_line == 0:
        return Edit(source.path, Span(end, end), source.newline + line)
    return Edit(source.path, Span(next_line, next_line), line + source.newline)


def declared(project: Project, stage: Stage, name: str, instruction: Instruction) -> tuple[Edit, ...]:
    """The edit that makes an argument known to an instruction of a stage, if it is not."""
    for traced in project.trace.stages:
        if traced.stage.index != stage.index:
            continue
        for step in traced.steps:
            if step.instruction is instruction and name in step.scope:
                return ()
    return (declare(project, stage, name),)


@dataclass(frozen=True)
class Choice:
    """A variable with its value for each architecture. ``amd64`` None leaves the variable as it is."""

    name: str
    amd64: str | None
    arm64: str


def shell_choice(choices: Sequence[Choice], subject: str, names: tuple[str, str], newline: str, indent: str) -> str:
    """A ``case`` that sets variables, with a default branch that fails."""

    def branch(architecture: str) -> str:
        made = [
            f"{choice.name}={quoted(value)}"
            for choice in choices
            if (value := choice.amd64 if architecture == "amd64" else choice.arm64) is not None
        ]
        return "".join(f"{item}; " for item in made).rstrip("; ") + " ;;" if made else ";;"

    lines = [
        f"{names[0]}) {branch('amd64')}",
        f"{names[1]}) {branch('arm64')}",
        f'*) echo "unsupported architecture: {subject}" >&2; exit 1 ;;',
    ]
    step = "\t" if "\t" in indent else "    "
    body = "".join(f"{newline}{indent}{step}{line}" for line in lines)
    return f'case "{subject}" in{body}{newline}{indent}esac'


def quoted(value: str) -> str:
    """A value as the right side of an assignment: variables in it stay alive."""
    return value if re.fullmatch(r"[\w@%+=:,./${}-]*", value) else f'"{value}"'


def in_single_quotes(text: str, index: int) -> bool:
    """Whether the character ``index`` of shell text stands between single quotes."""
    state = ""
    at = 0
    while at < index:
        char = text[at]
        if state == "'":
            state = "" if char == "'" else state
        elif char == "\\":
            at += 1
        elif state == '"':
            state = "" if char == '"' else state
        elif char in "'\"":
            state = char
        elif char == "#" and (at == 0 or text[at - 1].isspace()):
            # A comment: an apostrophe in it opens nothing.
            end = text.find("\n", at)
            at = index if end == -1 else end
        at += 1
    return state == "'"


def run_prefix(project: Project, instruction: Instruction, choices: Sequence[Choice]) -> Edit | None:
    """Put a choice by TARGETARCH at the beginning of a RUN, in its style. None where there is no shell to do it."""
    if instruction.keyword != "RUN" or instruction.exec_form is not None or not choices:
        return None
    source = project.dockerfile.source
    newline = source.newline.decode()
    escape = project.dockerfile.escape
    if instruction.heredocs:
        heredoc = instruction.heredocs[0]
        if len(instruction.heredocs) != 1 or not re.fullmatch(r"\s*<<-?\s*\S+\s*", instruction.arguments.text):
            return None
        at = heredoc.body.start + _after_settings(heredoc.text)
        case = shell_choice(choices, "$TARGETARCH", ("amd64", "arm64"), newline, "")
        return Edit(source.path, Span(at, at), (case + newline).encode())
    text = instruction.arguments.text
    first = len(text) - len(text.lstrip())
    at = instruction.arguments.offsets[first]
    written = source.text(Span(at, instruction.span.end))
    later = [line for line in written.splitlines()[1:] if line.strip() and not line.lstrip().startswith("#")]
    # The chain's own margin: what continues one of its commands is indented further.
    margin = min((line[: len(line) - len(line.lstrip())] for line in later), key=len, default="    ")
    semicolons = re.match(r"set\s+-\w*e\w*\s*;", text.lstrip()) is not None
    case = shell_choice(choices, "$TARGETARCH", ("amd64", "arm64"), f" {escape}{newline}", margin)
    glue = f"; {escape}{newline}{margin}" if semicolons else f" {escape}{newline}{margin}&& "
    return Edit(source.path, Span(at, at), (case + glue).encode())


def script_prefix(source: Source, choices: Sequence[Choice]) -> Edit:
    """Put a choice by ``uname -m`` at the beginning of a script, after ``#!``, comments and ``set``."""
    newline = source.newline.decode()
    at = _after_settings(source.data.decode("utf-8", "surrogateescape"))
    case = shell_choice(choices, "$(uname -m)", ("x86_64", "aarch64"), newline, "")
    return Edit(source.path, Span(at, at), (case + newline).encode())


def _after_settings(text: str) -> int:
    """The byte offset after the leading ``#!``, comment, empty and ``set`` lines."""
    at = 0
    for line in text.splitlines(keepends=True):
        if not re.match(r"\s*(#|set\s|$)", line):
            break
        at += len(line.encode("utf-8", "surrogateescape"))
    return at


def replacing(source: Source, spans: Mapping[Span, str]) -> list[Edit]:
    return [Edit(source.path, span, text.encode("utf-8", "surrogateescape")) for span, text in spans.items()]
