"""What a Dockerfile is once read: instructions and stages with spans into the original bytes.

Source: BuildKit's Dockerfile reference and frontend/dockerfile/parser. Nothing here changes a byte: a fix is an Edit
on ``Dockerfile.source``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from crossdock.source import Source, Span


@dataclass(frozen=True)
class LogicalText:
    """The text of an instruction's arguments after line continuations were joined and comments between them dropped,
    with the way back: ``offsets[i]`` is the byte offset in the file of character ``i`` of ``text``; it has one more
    element than the text, for the end. They can go back where text from elsewhere was put in."""

    text: str
    offsets: tuple[int, ...] = field(repr=False)

    def span(self, start: int, end: int) -> Span:
        """The bytes in the file from which the characters ``start:end`` were read."""
        if start == end:
            return Span(self.offsets[start], self.offsets[start])
        first, before, following = self.offsets[start], self.offsets[end - 1], self.offsets[end]
        char = self.text[end - 1]
        last = before + (1 if char < "\x80" else len(char.encode("utf-8", "surrogateescape")))
        stop = min(last, following) if following >= before else last
        if stop < first:
            # A variable's text, written further up, was put in: what was written here ends before it.
            stop = max(offset for offset in self.offsets[start:end] if offset >= first) + 1
        return Span(first, stop)

    def slice(self, start: int, end: int) -> LogicalText:
        """The characters ``start:end``; the end is where the last of them ends, not where the next one starts."""
        return LogicalText(self.text[start:end], (*self.offsets[start:end], self.span(start, end).end))


@dataclass(frozen=True)
class Word:
    """One word as written, quotes and variables included, but joined where a line continuation splits it.

    ``offsets`` are as in LogicalText. A string of a JSON array is decoded, and its span is what stands between the
    quotes.
    """

    text: str
    span: Span
    offsets: tuple[int, ...] = field(repr=False, compare=False)

    @property
    def logical(self) -> LogicalText:
        return LogicalText(self.text, self.offsets)

    def slice(self, start: int, end: int) -> Word:
        """A part of the word, by characters."""
        part = self.logical.slice(start, end)
        return Word(part.text, Span(part.offsets[0], part.offsets[-1]), part.offsets)


@dataclass(frozen=True)
class Flag:
    """``--name=value`` before an instruction's arguments; ``value`` is None for a bare ``--name``.

    ``value`` has its quotes and escapes resolved, ``span`` and ``value_span`` cover it as written. ``word`` is the
    value as a word that can be expanded (``--platform=$BUILDPLATFORM``).
    """

    name: str
    value: str | None
    span: Span
    value_span: Span | None
    word: Word | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Heredoc:
    """``<<NAME`` and its body. ``expand`` is false for a quoted name; ``strip_tabs`` is true for ``<<-``.

    ``text`` is the body as written, character for character what ``body`` covers, without the line of the terminator;
    with ``strip_tabs`` the tabs that begin its lines are dropped when it is used.
    """

    name: str
    expand: bool
    strip_tabs: bool
    marker: Span
    body: Span
    text: str


@dataclass(frozen=True)
class Instruction:
    """One instruction. ``keyword`` is in capitals. ``span`` covers it from keyword to the last byte of its last heredoc
    or line, without the final line end; ``arguments`` is what follows keyword and flags.

    ``exec_form`` holds the strings of a JSON array, where the instruction has one (RUN, CMD, ENTRYPOINT, SHELL,
    HEALTHCHECK CMD, COPY, ADD, VOLUME). What is no valid JSON is shell form, as in BuildKit.

    ``words`` are the arguments split as BuildKit splits them for this keyword:

    - ENV, LABEL: one word per ``NAME=value``; the old form ``NAME some value`` is one word altogether;
    - ARG: one word per ``NAME`` or ``NAME=value`` (``read.expand.assignment`` takes the words of all three apart);
    - FROM, COPY, ADD, EXPOSE, VOLUME: split at blanks, quotes mean nothing; with a JSON array its strings;
    - USER, WORKDIR, STOPSIGNAL, MAINTAINER: everything is one word;
    - HEALTHCHECK: ``NONE``, or ``CMD`` and then the command as one word or the strings of its JSON array;
    - RUN, CMD, ENTRYPOINT, SHELL: the strings of the JSON array; in shell form there are none;
    - ONBUILD: none, see ``trigger``.

    ``comments`` are the comment lines above it, back to the instruction before or to an empty comment, each from its
    ``#`` to the end of the line.
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
    """For ONBUILD: the instruction it keeps, which also has the heredocs."""
    comments: tuple[Span, ...] = ()

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

    def stage(self, reference: str, *, before: int | None = None) -> Stage | None:
        """A stage by its name (case does not matter) or number, as COPY --from and --target write it; of several with
        one name the last. ``before`` looks only at the names of earlier stages, as FROM does."""
        for stage in reversed(self.stages[:before]):
            if stage.name and stage.name.lower() == reference.lower():
                return stage
        if before is None and reference.isdecimal() and len(reference) < 10 and int(reference) < len(self.stages):
            return self.stages[int(reference)]
        return None
