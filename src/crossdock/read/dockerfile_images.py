"""The images that a Dockerfile uses: FROM, COPY --from, RUN --mount=from=, the same in ONBUILD, and its frontend.

Source: BuildKit's Dockerfile reference ("FROM", "COPY --from", "RUN --mount", "syntax") and frontend/dockerfile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from crossdock.findings import Location, Skipped, locate
from crossdock.platforms import DEFAULT_TARGETS, Platform
from crossdock.read.dockerfile import parse
from crossdock.read.expand import ExpansionError, assignment, expand_word
from crossdock.read.image_uses import ImagesFound, ImageUse, in_order
from crossdock.read.model import Dockerfile, Stage, Word
from crossdock.read.stages import stage_references
from crossdock.read.trace import PLATFORM_ARGUMENTS, platform_arguments
from crossdock.read.values import Fragment, Value, literal
from crossdock.source import Source, Span

_SYNTAX = re.compile(rb"#\s*syntax\s*=\s*", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)(:?[-+?])?")


def dockerfile_images(source: Source, build_args: Mapping[str, str]) -> ImagesFound:
    """The images of every stage, for amd64 and for arm64. Raises InputError for what is no Dockerfile."""
    dockerfile = parse(source)
    images: list[ImageUse] = []
    skipped: list[Skipped] = []
    if dockerfile.syntax:
        images.append(ImageUse(dockerfile.syntax, locate(source, _syntax_span(source, dockerfile.syntax))))
    for target in DEFAULT_TARGETS:
        bases = _Bases(dockerfile, build_args, target)
        images += bases.images()
        skipped += bases.skipped
    for stage in dockerfile.stages:
        for text, span in stage_references(_with_triggers(stage)):
            place = locate(source, image_span(source, span, text))
            if "$" in text[:-1]:
                why = "BuildKit replaces no variables here; give the image a stage of its own with FROM and name that"
                skipped.append(_skip(text, place, why))
            elif text != "scratch" and dockerfile.stage(text) is None:
                images.append(ImageUse(text, place))
    return in_order(images, skipped)


class _Bases:
    """What FROM names when it is built for one platform."""

    def __init__(self, dockerfile: Dockerfile, build_args: Mapping[str, str], target: Platform) -> None:
        self.skipped: list[Skipped] = []
        self._dockerfile = dockerfile
        self._source = dockerfile.source
        self._scope = platform_arguments(target)
        self._scope |= {name: literal(text) for name, text in build_args.items() if name in PLATFORM_ARGUMENTS}
        for instruction in dockerfile.preamble:
            for word in instruction.words:
                self._declare(word, build_args)

    def images(self) -> Iterator[ImageUse]:
        for stage in self._dockerfile.stages:
            place = locate(self._source, stage.base.span)
            try:
                base = expand_word(
                    stage.base, self._lookup(stage.base), path=self._source.path, escape=self._dockerfile.escape
                )
            except ExpansionError as error:
                self.skipped.append(_skip(stage.base.text, place, error.what))
                continue
            text = base.text
            if text is None:
                name = next(fragment.variable for fragment in base if fragment.text is None)
                why = f"{name} has no value; give it one with --build-arg {name}=…"
                self.skipped.append(_skip(stage.base.text, place, why))
            elif not text:
                self.skipped.append(_skip(stage.base.text, place, "nothing is left of it when variables are replaced"))
            elif text != "scratch" and self._dockerfile.stage(text, before=stage.index) is None:
                yield ImageUse(text, place)

    def _declare(self, word: Word, build_args: Mapping[str, str]) -> None:
        """One name of an ARG before the first FROM. One that gets no value is as if it was not declared."""
        path, escape = self._source.path, self._dockerfile.escape
        try:
            name, value = assignment(word, self._lookup(word), path=path, escape=escape)
        except ExpansionError as error:
            self.skipped.append(_skip(word.text, locate(self._source, word.span), error.what, "ARG"))
            return
        if name.text in build_args:
            value = literal(build_args[name.text])
        if value is not None:
            self._scope[name.text] = value

    def _lookup(self, word: Word) -> _Lookup:
        return _Lookup(self._scope, word)


class _Lookup:
    """Variables for one word. What nothing sets is unknown, unless the word itself says what to take then
    (``${TAG:-latest}``, ``${REGISTRY:+$REGISTRY/}``)."""

    def __init__(self, scope: Mapping[str, Value], word: Word) -> None:
        self._scope = scope
        used = [(match[1], bool(match[2])) for match in _VARIABLE.finditer(word.text)]
        self._required = {name for name, _ in used} - {name for name, prepared in used if prepared}

    def __call__(self, name: str) -> Value | None:
        value = self._scope.get(name)
        return Value((Fragment(None, variable=name),)) if value is None and name in self._required else value


def _with_triggers(stage: Stage) -> Stage:
    """The stage with what its ONBUILD instructions keep for later in their place."""
    return replace(stage, instructions=tuple(entry.trigger or entry for entry in stage.instructions))


def _syntax_span(source: Source, syntax: str) -> Span:
    # Directives stand above everything else, so the first text of this form is the one that was read.
    match = _SYNTAX.search(source.data)
    start = match.end() if match else 0
    return Span(start, start + len(syntax.encode("utf-8", "surrogateescape")))


def image_span(source: Source, span: Span, text: str) -> Span:
    """Where the image is in a flag's value (``type=bind,from=IMAGE,target=/x``)."""
    wanted = text.encode("utf-8", "surrogateescape")
    value = source.slice(span)
    at = value.find(wanted, value.lower().find(b"from=") + 1)
    return span if at == -1 else Span(span.start + at, span.start + at + len(wanted))


def _skip(text: str, place: Location, why: str, kind: str = "image") -> Skipped:
    return Skipped(f"{kind} {text} in {place.path}:{place.line}", why)
