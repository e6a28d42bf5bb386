"""amd64-goarch: Go is told to compile for amd64."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule
from crossdock.rules.sinks import Kind, Mark


class Amd64Goarch(SinkRule):
    """GOARCH is set to amd64, so Go compiles for amd64 whatever the target architecture is.

    Go cross-compiles without complaint: the arm64 image is built and holds an x86-64 program, which fails with
    "exec format error" on an Arm machine. Under emulation it even seems to work.

    Leave GOARCH away, or set it to what BuildKit gives: `ARG TARGETARCH` and `GOARCH=$TARGETARCH`.
    """

    id = "amd64-goarch"
    kinds = frozenset({Kind.GOARCH})

    VALID = (
        Example("FROM --platform=$BUILDPLATFORM golang\nARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build -o /app .\n"),
        Example("FROM golang\nRUN CGO_ENABLED=0 go build -o /app .\n"),
        Example("FROM golang\nRUN GOOS=darwin GOARCH=amd64 go build -o /mac/app .\n", note="not for Linux"),
        Example(
            "FROM golang\nRUN ARCH=x GOARCH=amd64 ./make.sh\nRUN ARCH=y GOARCH=arm64 ./make.sh\n",
            note="one for each architecture",
        ),
    )
    INVALID = (
        Example(
            "FROM golang\nRUN GOOS=linux GOARCH=⟦amd64⟧ go build -o /app .\n",
            fixed=("FROM golang\nARG TARGETARCH\nRUN GOOS=linux GOARCH=${TARGETARCH} go build -o /app .\n"),
        ),
        Example(
            "FROM golang\nENV GOARCH=⟦amd64⟧\nRUN go build -o /app .\n",
            fixed=("FROM golang\nARG TARGETARCH\nENV GOARCH=${TARGETARCH}\nRUN go build -o /app .\n"),
        ),
        Example(
            "FROM golang\nARG GOARCH=⟦amd64⟧\nRUN go build -o /app .\n",
            fixed=("FROM golang\nARG TARGETARCH\nARG GOARCH=${TARGETARCH}\nRUN go build -o /app .\n"),
        ),
    )

    def blames(self, mark: Mark) -> bool:
        return mark.definition is None or not mark.definition.bare or mark.definition.name == "GOARCH"

    def message(self, at: Arrival) -> str:
        return f"GOARCH={at.words} compiles for amd64, also in the arm64 image"
