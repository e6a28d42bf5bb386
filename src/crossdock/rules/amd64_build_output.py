"""amd64-build-output: a build is asked for its amd64 result, or COPY takes it."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule, shortened
from crossdock.rules.sinks import Kind


class Amd64BuildOutput(SinkRule):
    """A build command is told to build for amd64, or COPY takes a file or folder that is named for amd64.

    The arm64 image gets the program for amd64, which ends in "exec format error"; or, once the build follows the
    target architecture, COPY does not find the file.

    Use the target architecture in the name: `ARG TARGETARCH` and `dist/app-linux-${TARGETARCH}`, or let the build
    write to a path without an architecture.
    """

    id = "amd64-build-output"
    kinds = frozenset({Kind.OUTPUT})

    VALID = (
        Example(
            "FROM golang AS build\nRUN make app\nFROM scratch\nARG TARGETARCH\n"
            "COPY --from=build /dist/app-linux-${TARGETARCH} /app\n"
        ),
        Example("FROM debian\nCOPY builder-glibc-x64/start /start\n", note="the name of a project, not of a program"),
        Example("FROM debian\nCOPY centos7-x86_64.repo fixtures/exit.amd64.S /tmp/\n", note="text"),
    )
    INVALID = (
        Example("FROM debian\nCOPY bin/⟦amd64⟧/tool /usr/bin/\n"),
        Example(
            "FROM golang AS build\nRUN make app\nFROM scratch\nCOPY --from=build /dist/app-linux-⟦amd64⟧ /app\n",
            fixed=(
                "FROM golang AS build\n"
                "RUN make app\n"
                "FROM scratch\n"
                "ARG TARGETARCH\n"
                "COPY --from=build /dist/app-linux-${TARGETARCH} /app\n"
            ),
        ),
        Example(
            "FROM golang\nRUN make dist/app-linux-⟦amd64⟧\n",
            fixed=("FROM golang\nARG TARGETARCH\nRUN make dist/app-linux-${TARGETARCH}\n"),
        ),
    )

    def message(self, at: Arrival) -> str:
        if at.sink.detail == "COPY":
            return f"COPY takes {shortened(at.text, 70)}, which is named for amd64"
        return f"{at.sink.detail} is told to build for {at.words}"
