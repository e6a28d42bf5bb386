"""The Dockerfile reader: bytes to instructions and stages with spans.

It takes and refuses what BuildKit's own parser does (frontend/dockerfile/parser and instructions/parse.go), and further
refuses what would only fail later: a file that is not text, a RUN without a command, an ONBUILD trigger that is none.
Flags are not checked against a list, because frontends chosen by ``# syntax=`` bring their own.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace

from crossdock.errors import InputError
from crossdock.read.heredoc import Marker, heredoc_markers, marker
from crossdock.read.lines import LineReader, LogicalLine, fail
from crossdock.read.model import Dockerfile, Heredoc, Instruction, LogicalText, Word
from crossdock.read.stages import check_stages, group
from crossdock.read.words import (
    BLANKS,
    NotStrings,
    blank_words,
    json_strings,
    quoted_words,
    split_flags,
    split_keyword,
    stripped,
    word,
)
from crossdock.source import Source, Span

KEYWORDS = (
    "ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME "
    "WORKDIR"
).split()

_EXAMPLES = {
    "ADD": "ADD source… destination",
    "ARG": "ARG NAME=default",
    "COPY": "COPY source… destination",
    "ENV": "ENV NAME=value",
    "EXPOSE": "EXPOSE 8080",
    "FROM": "FROM image AS name",
    "HEALTHCHECK": "HEALTHCHECK CMD command, or HEALTHCHECK NONE",
    "LABEL": "LABEL name=value",
    "MAINTAINER": "LABEL org.opencontainers.image.authors=name",
    "ONBUILD": "ONBUILD RUN command",
    "RUN": "RUN command",
    "SHELL": 'SHELL ["/bin/bash", "-c"]',
    "STOPSIGNAL": "STOPSIGNAL SIGTERM",
    "USER": "USER name",
    "VOLUME": "VOLUME /data",
    "WORKDIR": "WORKDIR /app",
}


def parse(source: Source) -> Dockerfile:
    """Read a Dockerfile. Raises InputError with ``path:line:column``, what was expected and the next step."""
    _refuse_binary(source)
    reader = LineReader(source)
    instructions = [_Parser(source, reader, line).instruction() for line in reader.instructions()]
    if not instructions:
        raise InputError(
            "the Dockerfile is empty: an instruction was expected",
            where=f"{source.path}:1:1",
            hint="Begin it with FROM and a base image.",
        )
    preamble, stages = group(source, instructions)
    dockerfile = Dockerfile(source, reader.escape, reader.syntax, preamble, stages)
    check_stages(dockerfile)
    return dockerfile


def _refuse_binary(source: Source) -> None:
    at = source.data.find(b"\0")
    if at == -1:
        return
    if source.data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise fail(source, 0, "this file is UTF-16, and a Dockerfile is UTF-8", "Save it again as UTF-8.")
    raise fail(
        source,
        at,
        "this is a binary file, not a Dockerfile (it has a NUL byte)",
        "Name a Dockerfile; for what is inside a binary use `crossdock arch`.",
    )


@dataclass(frozen=True)
class _Head:
    """What is known of an instruction while its words are read."""

    keyword: str
    keyword_span: Span
    arguments: LogicalText


class _Parser:
    """Reads one instruction."""

    def __init__(self, source: Source, reader: LineReader, line: LogicalLine) -> None:
        self._source = source
        self._reader = reader
        self._line = line
        self._escape = reader.escape

    def instruction(self) -> Instruction:
        found = self._read(self._line.logical, self._line.comments)
        holder = found.trigger or found
        if holder.keyword not in ("RUN", "COPY", "ADD") or holder.exec_form is not None:
            return found
        markers = heredoc_markers(self._line.logical)
        if not markers:
            return found
        heredocs, end = self._heredocs(markers)
        holder = replace(holder, heredocs=heredocs, span=Span(holder.span.start, end))
        return replace(found, trigger=holder, span=Span(found.span.start, end)) if found.trigger else holder

    def _read(self, logical: LogicalText, comments: tuple[Span, ...], *, triggered: bool = False) -> Instruction:
        start, stop, rest = split_keyword(logical)
        keyword_span = logical.span(start, stop)
        keyword = logical.text[start:stop].upper()
        if keyword not in KEYWORDS:
            self._refuse_keyword(logical.text[start:stop], keyword_span)
        if triggered and keyword in ("ONBUILD", "FROM", "MAINTAINER"):
            raise self._fail(keyword_span.start, f"ONBUILD cannot trigger {keyword}", "Use another instruction.")
        _, end = stripped(logical)
        flags, begin = split_flags(logical, rest, end, self._escape)
        arguments = logical.slice(*stripped(logical, begin))
        head = _Head(keyword, keyword_span, arguments)
        trigger: Instruction | None = None
        words: tuple[Word, ...] = ()
        strings: tuple[Word, ...] | None = None
        if keyword != "ONBUILD":
            words, strings = self._words(head)
        elif arguments.text:
            trigger = self._read(arguments, (), triggered=True)
        else:
            raise self._missing(head)
        span = Span(keyword_span.start, self._line.end)
        return Instruction(keyword, keyword_span, span, flags, arguments, words, strings, (), trigger, comments)

    def _refuse_keyword(self, written: str, span: Span) -> None:
        near = difflib.get_close_matches(written[:40].upper(), KEYWORDS, 1, 0.6)
        shown = written if len(written) <= 40 else f"{written[:40]}…"
        raise self._fail(
            span.start,
            f"{shown!r} is no instruction" if written else "an instruction was expected",
            f"Did you mean {near[0]}?"
            if near
            else f"An instruction is one of {', '.join(KEYWORDS)}. "
            f"If this continues the line above, end that line with {self._escape}.",
        )

    def _words(self, head: _Head) -> tuple[tuple[Word, ...], tuple[Word, ...] | None]:
        arguments, keyword = head.arguments, head.keyword
        words: tuple[Word, ...]
        strings: tuple[Word, ...] | None = None
        if keyword in ("RUN", "CMD", "ENTRYPOINT", "SHELL"):
            strings = self._strings(arguments)
            words = strings or ()
            if keyword in ("RUN", "SHELL") and not (words or (strings is None and arguments.text)):
                raise self._missing(head)
            if keyword == "SHELL" and strings is None:
                raise self._fail(
                    arguments.offsets[0], "SHELL takes a JSON array of strings", f"Write {_EXAMPLES['SHELL']}."
                )
        elif keyword == "HEALTHCHECK":
            words, strings = self._healthcheck(head)
        elif keyword in ("ADD", "COPY", "VOLUME"):
            strings = self._strings(arguments)
            words = tuple(blank_words(arguments)) if strings is None else strings
            self._check_files(head, words)
        elif keyword in ("ENV", "LABEL", "ARG"):
            words = self._assignments(head)
        elif keyword in ("FROM", "EXPOSE"):
            words = tuple(blank_words(arguments))
        else:
            words = (word(arguments, 0, len(arguments.text)),) if arguments.text else ()
        if not words and keyword not in ("RUN", "CMD", "ENTRYPOINT"):
            raise self._missing(head)
        return words, strings

    def _strings(self, arguments: LogicalText, start: int = 0) -> tuple[Word, ...] | None:
        try:
            return json_strings(arguments, start)
        except NotStrings as error:
            raise self._fail(
                arguments.offsets[start],
                "this JSON array holds something else than strings",
                "Put every element in double quotes.",
            ) from error

    def _healthcheck(self, head: _Head) -> tuple[tuple[Word, ...], tuple[Word, ...] | None]:
        arguments = head.arguments
        kinds = blank_words(arguments)
        kind = next(kinds, None)
        if kind is None:
            raise self._missing(head)
        rest, end = len(kind.text), len(arguments.text)
        if kind.text.upper() == "NONE":
            extra = next(kinds, None)
            if extra:
                raise self._fail(extra.span.start, "HEALTHCHECK NONE takes no arguments", "Remove what follows NONE.")
            return (kind,), None
        if kind.text.upper() != "CMD":
            raise self._fail(
                kind.span.start,
                f"HEALTHCHECK takes CMD or NONE, not {kind.text!r}",
                f"Write {_EXAMPLES['HEALTHCHECK']}.",
            )
        rest, _ = stripped(arguments, rest)
        strings = self._strings(arguments, rest) if rest < end else None
        if strings is not None and strings:
            return (kind, *strings), strings
        if strings is not None or rest >= end:
            raise self._missing(head)
        return (kind, word(arguments, rest, end)), None

    def _check_files(self, head: _Head, words: tuple[Word, ...]) -> None:
        if head.keyword == "VOLUME":
            empty = next((entry for entry in words if not entry.text.strip()), None)
            if empty:
                raise self._fail(empty.span.start, "VOLUME has an empty path", f"Write {_EXAMPLES['VOLUME']}.")
            return
        if len(words) < 2:
            raise self._fail(
                words[0].span.end if words else head.keyword_span.end,
                f"{head.keyword} needs a source and a destination",
                f"Write {_EXAMPLES[head.keyword]}.",
            )
        if marker(words[-1].text):
            raise self._fail(
                words[-1].span.start,
                f"a heredoc cannot be the destination of {head.keyword}",
                "Add the destination after it.",
            )

    def _assignments(self, head: _Head) -> tuple[Word, ...]:
        arguments, keyword = head.arguments, head.keyword
        words = tuple(quoted_words(arguments, self._escape))
        if not words:
            raise self._missing(head)
        if keyword != "ARG" and "=" not in words[0].text:
            if not any(blank in arguments.text for blank in BLANKS):
                raise self._fail(
                    words[0].span.end, f"{keyword} {words[0].text!r} has no value", f"Write {_EXAMPLES[keyword]}."
                )
            return (word(arguments, 0, len(arguments.text)),)
        for entry in words:
            if keyword != "ARG" and "=" not in entry.text:
                raise self._fail(
                    entry.span.start,
                    f"{keyword} expects name=value, and {entry.text!r} has no `=`",
                    "Put a value that has blanks into double quotes.",
                )
            if entry.text.startswith("="):
                raise self._fail(
                    entry.span.start, f"{keyword} expects a name before `=`", f"Write {_EXAMPLES[keyword]}."
                )
        return words

    def _heredocs(self, markers: tuple[Marker, ...]) -> tuple[tuple[Heredoc, ...], int]:
        end = self._line.end
        found: list[Heredoc] = []
        for entry in markers:
            span = self._line.logical.span(entry.start, entry.end)
            start = None
            while (line := self._reader.line()) is not None:
                start = line.start if start is None else start
                if (line.text.lstrip("\t") if entry.strip_tabs else line.text) == entry.name:
                    break
            if line is None or start is None:
                raise self._fail(
                    span.start,
                    f"the heredoc {entry.name!r} is never ended",
                    f"Put {entry.name} on a line of its own after its last line.",
                )
            body = Span(start, line.start)
            found.append(Heredoc(entry.name, entry.expand, entry.strip_tabs, span, body, self._source.text(body)))
            end = line.end
        return tuple(found), end

    def _missing(self, head: _Head) -> InputError:
        return self._fail(
            head.keyword_span.end, f"{head.keyword} needs an argument", f"Write {_EXAMPLES[head.keyword]}."
        )

    def _fail(self, offset: int, what: str, hint: str) -> InputError:
        return fail(self._source, offset, what, hint)
