"""What a Dockerfile is once read: instructions and stages with spans into the original bytes.

Source: BuildKit's Dockerfile reference and frontend/dockerfile/parser. Nothing here changes a byte: a fix is an Edit
on ``Dockerfile.source``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crossdock.source import Source, Span


@dataclass(frozen=True)
class Word:
    """One word as written, quotes and variables included."""

    text: str
    span: Span


@dataclass(frozen=True)
class Flag:
    """``--name=value`` before an instruction's arguments; ``value`` is None for a bare ``--name``."""

    name: str
    value: str | None
    span: Span
    value_span: Span | None


@dataclass(frozen=True)
class Heredoc:
    """``<<NAME`` and its body. ``expand`` is false for a quoted name; ``strip_tabs`` is true for ``<<-``."""

    name: str
    expand: bool
    strip_tabs: bool
    marker: Span
    body: Span
    text: str


@dataclass(frozen=True)
class LogicalText:
    """The text of an instruction's arguments after line continuations were joined and comments between them dropped,
    with the way back: ``offsets[i]`` is the byte offset in the file of character ``i`` of ``text``; it has one more
    element than the text, for the end."""

    text: str
    offsets: tuple[int, ...] = field(repr=False)

    def span(self, start: int, end: int) -> Span:
        """The bytes in the file from which the characters ``start:end`` were read."""
        if start == end:
            return Span(self.offsets[start], self.offsets[start])
        return Span(
            self.offsets[start], self.offsets[end - 1] + len(self.text[end - 1].encode("utf-8", "surrogateescape"))
        )


@dataclass(frozen=True)
class Instruction:
    """One instruction. ``span`` covers it from keyword to the last byte of its last heredoc or line, without the final
    line end; ``arguments`` is what follows keyword and flags.

    ``exec_form`` holds the strings of a JSON array, where the instruction has one (RUN, CMD, ENTRYPOINT, SHELL, COPY,
    ADD, VOLUME). ``words`` are the arguments split as BuildKit splits them for this keyword: for ENV, ARG and LABEL one
    word per ``NAME=value``; for RUN, CMD and ENTRYPOINT in shell form there are none.
    """

    keyword: str
    keyword_span: Span
    span: Span
    flags: tuple[Flag, ...]
    arguments: LogicalText
    words: tuple[Word, ...]
    exec_form: tuple[Word, ...] | None
    heredocs: tuple[Heredoc, ...]
    trigger: Instruction | None = None
    """For ONBUILD: the instruction it keeps."""

    def flag(self, name: str) -> Flag | None:
        return next((flag for flag in self.flags if flag.name == name), None)


@dataclass(frozen=True)
class Stage:
    """One FROM and what follows it. ``base`` and ``platform`` are words as written (unexpanded)."""

    index: int
    name: str | None
    from_: Instruction
    base: Word
    platform: Flag | None
    instructions: tuple[Instruction, ...]

    @property
    def label(self) -> str:
        """What people and ``--target`` call it."""
        return self.name or str(self.index)


@dataclass(frozen=True)
class Dockerfile:
    """A Dockerfile. ``preamble`` holds the ARG instructions before the first FROM."""

    source: Source
    escape: str
    syntax: str | None
    preamble: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        found = list(self.preamble)
        for stage in self.stages:
            found += [stage.from_, *stage.instructions]
        return tuple(found)

    def stage(self, reference: str) -> Stage | None:
        """A stage by its name (case does not matter) or number, as COPY --from, FROM and --target write it."""
        for stage in reversed(self.stages):
            if stage.name and stage.name.lower() == reference.lower():
                return stage
        if reference.isdigit() and int(reference) < len(self.stages):
            return self.stages[int(reference)]
        return None
