"""Paths and targets that somebody else has named: what they are called for arm64, and how certain that is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from crossdock.read.shell_model import ShellWord
from crossdock.rules.base import Project
from crossdock.rules.counterparts import Counterpart, counterpart
from crossdock.rules.names import LIBRARY_PATH, Token, amd64_tokens, arm64_names, spans
from crossdock.rules.sinks import Kind, Mark, Sink
from crossdock.source import Span

NAMED = frozenset({Kind.LIBRARY_PATH, Kind.TRIPLE})
"""What is named as somebody else has named it, so that a guess may be wrong without anyone noticing."""


def _known(sink: Sink, mark: Mark) -> Counterpart | None:
    return counterpart(sink.text, mark.token.start, mark.token.end, sink.detail)


def arm64_name(text: str, token: Token, program: str) -> str:
    """What the catalogue knows of the name of a path or a target, and what is usual otherwise; the word itself where
    neither says anything."""
    word, start, known = token.text, token.start, counterpart(text, token.start, token.end, program)
    if known and start <= known.start and known.end <= token.end:
        return word[: known.start - start] + known.arm64 + word[known.end - start :]
    if known or "ld-linux" in word:
        return word  # known to be another, of which this word is only a part
    return word.replace("x86_64", "aarch64") if "x86_64" in word else next(iter(arm64_names(word)), word)


def as_known(project: Project, sink: Sink, marks: tuple[Mark, ...]) -> tuple[Sink, tuple[Mark, ...]]:
    """The same with each word as long as the name that the catalogue knows, where it is written so."""
    whole = tuple(_whole(project, sink, mark) for mark in sink.marks)
    return replace(sink, marks=whole), tuple(_whole(project, sink, mark) for mark in marks)


def _whole(project: Project, sink: Sink, mark: Mark) -> Mark:
    known, token = _known(sink, mark), mark.token
    if known is None:
        return mark
    low, high = min(known.start, token.start), max(known.end, token.end)
    span = Span(mark.origin.span.start - (token.start - low), mark.origin.span.end + high - token.end)
    text = sink.text[low:high]
    if span == mark.origin.span or span.start < 0 or project.source(mark.origin.path).text(span) != text:
        return mark
    return replace(mark, token=Token(text, low, high), origin=replace(mark.origin, span=span))


def doubt_of(project: Project, sink: Sink, marks: tuple[Mark, ...], users: Iterable[Sink]) -> str:
    """Why the name for arm64 may be another than the fix says, a clause; empty where it is certain. ``users`` are the
    sinks in which the same marks arrive."""
    made = marks[0].definition
    uses = [(sink, mark) for mark in marks]
    uses += [
        (user, mark)
        for user in users
        if user.kind in NAMED
        for mark in user.marks
        if made and mark.definition and mark.definition.origin == made.origin
    ]
    for use, mark in uses:
        known = _known(use, mark)
        if known is None:
            return f"nobody has written down what {mark.token.text} is called for arm64 there"
        if known.doubt:
            return known.doubt
    changed = [mark.origin.span for mark in companions(project, sink, marks)]
    for word in _other_words(project, sink):
        origins = [word.value.origin_of(token.start, token.end) for token in amd64_tokens(word.text)]
        rest = any(not any(origin.span in span for span in changed for origin in each) for each in origins)
        if rest or ("ld-linux" in sink.text and "lib64" in word.text):
            return f"the same command says {word.text}, which stays as it is"
    return ""


def _other_words(project: Project, sink: Sink) -> list[ShellWord]:
    """The words of the sink's command that nothing is said of."""
    said = {other.origin for other in project.sinks if other.command is sink.command}
    return [word for word in sink.command.words if word.origin not in said] if sink.command else []


def companions(project: Project, sink: Sink, marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    """The same names in the other words of the command, such as the place of a link: they change together."""
    if sink.kind not in NAMED or marks[0].definition:
        return ()
    names = {mark.token.text: arm64_name(sink.text, mark.token, sink.detail) for mark in marks}
    found = []
    for word in _other_words(project, sink):
        for token in spans(LIBRARY_PATH, word.text):
            known = counterpart(word.text, token.start, token.end, sink.detail)
            same = names.get(token.text) == arm64_name(word.text, token, sink.detail)
            origins = word.value.origin_of(token.start, token.end)
            here = [o for o in origins if o.path == word.origin.path and o.span in word.origin.span]
            if known and not known.doubt and same and len(origins) == len(here) == 1:
                found.append(Mark(token, origins[0], None))
    return tuple(found)
