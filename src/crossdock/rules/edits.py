"""Edits that several fixes share: declaring an argument, an expansion inside quotes, a choice by architecture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crossdock.read.model import Instruction, Stage
from crossdock.rules.base import Project
from crossdock.source import Edit, Source, Span


def declare(project: Project, stage: Stage, name: str) -> Edit:
    """``ARG name`` after the stage's FROM: with the ARG lines that begin the stage, else as a paragraph of its own
    where the author separates paragraphs.

    It goes on a line of its own, not behind FROM: another fix may add ``AS name`` there.
    """
    source = project.dockerfile.source
    end = stage.from_.span.end
    keyword = "arg" if source.text(stage.from_.keyword_span).islower() else "ARG"
    line, newline = f"{keyword} {name}".encode(), source.newline
    at = source.data.find(b"\n", end) + 1
    if at == 0:
        return Edit(source.path, Span(end, end), newline + line)
    first = next(iter(stage.instructions), None)
    if first and first.keyword == "ARG" and not source.slice(Span(at, first.span.start)).strip():
        at = source.data.rfind(b"\n", 0, first.span.start) + 1
        return Edit(source.path, Span(at, at), line + newline)
    paragraph = source.data[at : at + len(newline)] == newline
    return Edit(source.path, Span(at, at), newline * paragraph + line + newline)


def declared(project: Project, stage: Stage, name: str, instruction: Instruction) -> tuple[Edit, ...]:
    """The edit that makes an argument known to an instruction of a stage, if it is not."""
    for traced in project.trace.stages:
        if traced.stage.index != stage.index:
            continue
        for step in traced.steps:
            if step.instruction is instruction and name in step.scope:
                return ()
    return (declare(project, stage, name),)


def expanding(source: Source, start: int, span: Span, text: str, *, exported: bool) -> list[Edit]:
    """Put an expansion (``${…}``, ``$(…)``) in the place of text, so that it is expanded.

    ``start`` is where the text begins to be read, by a shell or by BuildKit, for both of which single quotes keep
    everything as it is: they become double quotes where that changes nothing else, and otherwise end before the
    expansion and begin again behind it. A shell that gets the string with -c expands by itself what is ``exported``.
    """
    before = source.text(Span(start, span.start))
    quote = single_quote_before(before)
    if quote is None:
        return [_edit(source, span, text)]
    if exported and _GIVEN_TO_SHELL.search(before[:quote]):
        return [_edit(source, span, text)]
    opening = start + len(_encoded(before[:quote]))
    closing = source.data.find(b"'", span.end)
    if closing == -1 or re.search(rb"[\"$`\\!]", source.data[opening + 1 : closing]):
        return [_edit(source, span, f"'\"{text}\"'")]
    quotes = [_edit(source, Span(at, at + 1), '"') for at in (opening, closing)]
    return [quotes[0], _edit(source, span, text), quotes[1]]


_GIVEN_TO_SHELL = re.compile(r"(?:\b(?:ba|da|a|z|)sh(?:\s+-[\w-]+|\s+pipefail)*\s+-\w*c|\beval)\s+$")


def single_quote_before(text: str) -> int | None:
    """The index of the single quote that is still open at the end of shell text."""
    states, opened, at = [""], 0, 0
    while at < len(text):
        char, state = text[at], states[-1]
        if state == "'":
            if char == "'":
                states.pop()
        elif char == "\\":
            at += 1
        elif char == "$" and text[at + 1 : at + 2] == "(":
            states.append("(")  # inside, quotes begin anew
            at += 1
        elif char == '"':
            states.pop() if state == '"' else states.append('"')
        elif state == '"':
            pass
        elif char == "'":
            states.append("'")
            opened = at
        elif char in "()":
            if char == "(":
                states.append("(")
            elif state == "(":
                states.pop()
        elif char == "#" and (at == 0 or text[at - 1].isspace()):
            # A comment: an apostrophe in it opens nothing.
            end = text.find("\n", at)
            at = len(text) if end == -1 else end
        at += 1
    return opened if states[-1] == "'" else None


@dataclass(frozen=True)
class Choice:
    """A variable with its value for each architecture. ``amd64`` None leaves the variable as it is."""

    name: str
    amd64: str | None
    arm64: str


@dataclass(frozen=True)
class Beginning:
    """Where a choice goes in a RUN or a script, and how it is written there: before the first command that does
    something, in the style of the commands around it."""

    source: Source
    at: int
    end: int
    subject: str
    names: tuple[str, str]
    newline: str
    margin: str
    glue: str

    def chosen(self) -> tuple[Choice, ...]:
        """The variables that a ``case`` which is already there sets for both architectures."""
        branches = self._branches()
        if branches is None:
            return ()
        amd64, arm64 = (dict(_ASSIGNMENT.findall(self.source.text(branch))) for branch in branches)
        return tuple(Choice(name, amd64.get(name), value) for name, value in arm64.items())

    def choosing(self, choices: Sequence[Choice]) -> list[Edit]:
        """A ``case`` that makes the choices; one that is already there is extended."""
        branches = self._branches()
        if branches is None:
            text = self._case(choices) + self.glue
            return [Edit(self.source.path, Span(self.at, self.at), _encoded(text))]
        edits = []
        for branch, assignments in zip(branches, self._assignments(choices), strict=True):
            if assignments:
                text = f"; {assignments}" if branch.end > branch.start else f"{assignments} "
                edits.append(Edit(self.source.path, Span(branch.end, branch.end), _encoded(text)))
        return edits

    def _branches(self) -> tuple[Span, Span] | None:
        """What stands in the branches for amd64 and arm64, when the text begins with a plain ``case``."""
        text = self.source.data[self.at : self.end]
        subject = re.escape(self.subject.strip("$")).encode()
        head = re.match(rb'case\s+"?\$\{?' + subject + rb'\}?"?\s+in\b', text)
        end = text.find(b"esac")
        if not head or end == -1:
            return None
        found = []
        for name in self.names:
            branch = re.compile(rb"\s\(?[\"']?" + name.encode() + rb"[\"']?\)[ \t]*((?:[^;\n\\]|;(?!;))*?)[ \t]*;;")
            match = branch.search(text, head.end(), end)
            if not match:
                return None
            found.append(Span(self.at + match.start(1), self.at + match.end(1)))
        return found[0], found[1]

    def _assignments(self, choices: Sequence[Choice]) -> tuple[str, str]:
        amd64 = [f"{choice.name}={quoted(choice.amd64)}" for choice in choices if choice.amd64 is not None]
        arm64 = [f"{choice.name}={quoted(choice.arm64)}" for choice in choices]
        return "; ".join(amd64), "; ".join(arm64)

    def _case(self, choices: Sequence[Choice]) -> str:
        lines = [
            f"{name}) {assignments} ;;" if assignments else f"{name}) ;;"
            for name, assignments in zip(self.names, self._assignments(choices), strict=True)
        ]
        lines.append(f'*) echo "unsupported architecture: {self.subject}" >&2; exit 1 ;;')
        step = "\t" if "\t" in self.margin else "    "
        body = "".join(f"{self.newline}{self.margin}{step}{line}" for line in lines)
        return f'case "{self.subject}" in{body}{self.newline}{self.margin}esac'


_ASSIGNMENT = re.compile(r"""(\w+)=["']?([^\s;"']*)""")


def run_beginning(project: Project, instruction: Instruction) -> Beginning | None:
    """Where a choice by TARGETARCH goes in a RUN. None where there is no shell to make it."""
    if instruction.keyword != "RUN" or instruction.exec_form is not None:
        return None
    source = project.dockerfile.source
    newline, subject, names = source.newline.decode(), "$TARGETARCH", ("amd64", "arm64")
    if instruction.heredocs:
        heredoc = instruction.heredocs[0]
        if len(instruction.heredocs) != 1 or not re.fullmatch(r"\s*<<-?\s*\S+\s*", instruction.arguments.text):
            return None
        at = heredoc.body.start + _after_settings(heredoc.text)
        return Beginning(source, at, heredoc.body.end, subject, names, newline, "", newline)
    text = instruction.arguments.text
    settings = re.match(r"\s*(?:set\s+[-+][^;&|]*?\s*(?P<separator>;|&&)\s*)*", text)
    at = instruction.arguments.offsets[settings.end() if settings and settings.end() < len(text) else 0]
    escape = project.dockerfile.escape
    lines = source.text(Span(instruction.arguments.offsets[0], instruction.span.end)).splitlines()
    margin = _margin(source, instruction, at, lines)
    style = _style(lines, escape, settings["separator"] if settings else None)
    if re.search(r"(?<![&><|])&(?![&>])", text):
        style = ";"  # what is sent to the background must not take the variables with it
    glue = {
        ";": f"; {escape}{newline}{margin}",
        "&& \\": f" && {escape}{newline}{margin}",
        "&&": f" {escape}{newline}{margin}&& ",
    }[style]
    return Beginning(source, at, instruction.span.end, subject, names, f" {escape}{newline}", margin, glue)


def _margin(source: Source, instruction: Instruction, at: int, lines: Sequence[str]) -> str:
    """The indentation of the line at which the choice goes; on the first line that of the chain's own lines: what
    continues one of its commands is indented further."""
    line = source.line_span(source.position(at).line)
    if line.start > instruction.span.start:
        written = source.text(line)
        return written[: len(written) - len(written.lstrip())]
    later = [line for line in lines[1:] if line.strip() and not line.lstrip().startswith("#")]
    return min((line[: len(line) - len(line.lstrip())] for line in later), key=len, default="    ")


def _style(lines: Sequence[str], escape: str, separator: str | None) -> str:
    """How the author joins commands: ``;``, ``&&`` before the next one, or ``&& \\`` at the end of the line."""
    ends = [line.rstrip().removesuffix(escape).rstrip() for line in lines]
    trailing = sum(end.endswith("&&") for end in ends)
    leading = sum(line.lstrip().startswith("&&") for line in lines)
    semicolons = sum(end.endswith(";") and not end.endswith(";;") for end in ends)
    if separator == ";" or (separator is None and semicolons and not (leading or trailing)):
        return ";"
    return "&& \\" if trailing > leading else "&&"


def script_beginning(source: Source) -> Beginning:
    """Where a choice by ``uname -m`` goes in a script: after ``#!``, comments and ``set``."""
    newline = source.newline.decode()
    at = _after_settings(source.data.decode("utf-8", "surrogateescape"))
    return Beginning(source, at, len(source.data), "$(uname -m)", ("x86_64", "aarch64"), newline, "", newline)


def quoted(value: str) -> str:
    """A value as the right side of an assignment: variables in it stay alive."""
    return value if re.fullmatch(r"[\w@%+=:,./${}-]*", value) else f'"{value}"'


def _after_settings(text: str) -> int:
    """The byte offset after the leading ``#!``, comment, empty and ``set`` lines."""
    at = 0
    for line in text.splitlines(keepends=True):
        if not re.match(r"\s*(#|set\s|$)", line):
            break
        at += len(_encoded(line))
    return at


def replacing(source: Source, spans: Iterable[Span], text: str) -> list[Edit]:
    return [_edit(source, span, text) for span in spans]


def _edit(source: Source, span: Span, text: str) -> Edit:
    return Edit(source.path, span, _encoded(text))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
