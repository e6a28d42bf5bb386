"""arch-prefixed-image: an image of one architecture is used as base."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule
from crossdock.rules.sinks import Kind


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
    )

    def message(self, at: Arrival) -> str:
        return f"{at.sink.text} is an image for amd64 only"
