"""arch-prefixed-image: an image of one architecture is used as base."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.findings import Finding, Fix, Safety
from crossdock.rules.base import Example, OtherFile
from crossdock.rules.names import amd64_tokens
from crossdock.rules.reach import Arrival, SinkRule
from crossdock.rules.sinks import Kind
from crossdock.source import Edit, Source, Span


class ArchPrefixedImage(SinkRule):
    """The base image's name or tag is that of one architecture: `amd64/debian`, `alpine:3.20-amd64`.

    Such an image exists for amd64 only. The arm64 build fails with "no match for platform in manifest", or takes the
    amd64 image with a warning.

    Use the image's multi-platform name: `debian` for `amd64/debian`, the tag without the architecture.
    """

    id = "arch-prefixed-image"
    kinds = frozenset({Kind.IMAGE})

    VALID = (
        Example("FROM debian:12\n"),
        Example("ARG TARGETARCH\nFROM example.com/base:1.0-${TARGETARCH}\n"),
    )
    INVALID = (
        Example("FROM ⟦i386⟧/debian:12\n", note="32-bit x86 runs on amd64 only"),
        Example("FROM ⟦amd64⟧/debian:12\n", fixed="FROM debian:12\n"),
        Example(
            "FROM mcr.microsoft.com/dotnet/runtime-deps:8.0-alpine-⟦amd64⟧\n",
            fixed="FROM mcr.microsoft.com/dotnet/runtime-deps:8.0-alpine\n",
        ),
        Example(
            "services:\n  db:\n    image: ⟦amd64⟧/postgres:16\n",
            fixed="services:\n  db:\n    image: postgres:16\n",
            path="compose.yaml",
        ),
    )

    def message(self, at: Arrival) -> str:
        return _message(at.text)

    def check_other(self, file: OtherFile) -> Iterator[Finding]:
        for image in file.images:
            text = image.text or ""
            for token in amd64_tokens(text.partition("@")[0])[:1]:
                span = image.written(token.start, token.end, file.source.path)
                fix = _without_name(file.source, span) if span else None
                yield self.finding(file.source, span or image.span, _message(text), fixes=(fix,) if fix else ())


def _message(text: str) -> str:
    return f"{text} is an image for amd64 only"


def _without_name(source: Source, span: Span) -> Fix | None:
    """The image's name without the architecture and what joins it to the rest. Whether it is the same image has to be
    seen."""
    data, start, end = source.data, span.start, span.end
    if data[end : end + 1] == b"/":
        end += 1
    elif data[start - 1 : start] in {b"-", b"_", b"."}:
        start -= 1
    elif data[end : end + 1] in {b"-", b"_", b"."}:
        end += 1
    else:
        return None
    edit = Edit(source.path, Span(start, end), b"")
    return Fix("Use the image's name without an architecture", Safety.UNSAFE, (edit,))
