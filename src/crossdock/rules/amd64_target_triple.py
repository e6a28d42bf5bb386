"""amd64-target-triple: a compiler or package manager is told to produce for amd64."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule, shortened
from crossdock.rules.sinks import Kind


class Amd64TargetTriple(SinkRule):
    """A build is given amd64 as its target: a GNU or Rust triple, a .NET runtime identifier, an OpenSSL target.

    The result is made for amd64 in the arm64 image too, or the toolchain on arm64 does not know that target without
    a cross compiler and fails.

    Leave the target away to build for the platform of the stage, or choose it by `TARGETARCH`
    (`x86_64-unknown-linux-musl` is `aarch64-unknown-linux-musl`, `linux-x64` is `linux-arm64`).
    """

    id = "amd64-target-triple"
    kinds = frozenset({Kind.TRIPLE})

    VALID = (
        Example("FROM rust\nRUN cargo build --release\n"),
        Example('FROM rust\nRUN cargo build --target "$(uname -m)-unknown-linux-musl"\n'),
    )
    INVALID = (
        Example(
            "FROM rust\nRUN cargo build --release --target ⟦x86_64-unknown-linux-musl⟧\n",
            fixed=("FROM rust\nRUN cargo build --release --target $(uname -m)-unknown-linux-musl\n"),
        ),
        Example(
            "FROM mcr.microsoft.com/dotnet/sdk\nRUN dotnet publish -r linux-⟦x64⟧ -o /app\n",
            fixed=(
                "FROM mcr.microsoft.com/dotnet/sdk\n"
                "ARG TARGETARCH\n"
                'RUN case "$TARGETARCH" in \\\n'
                "        amd64) arch=x64 ;; \\\n"
                "        arm64) arch=arm64 ;; \\\n"
                '        *) echo "unsupported architecture: $TARGETARCH" >&2; exit 1 ;; \\\n'
                "    esac \\\n"
                "    && dotnet publish -r linux-${arch} -o /app\n"
            ),
        ),
    )

    def message(self, at: Arrival) -> str:
        if "/" in at.text:
            return f"{shortened(at.text, 70)} is a path that is named for amd64"
        return f"{shortened(at.text, 70)} makes {at.sink.detail or 'the build'} produce for amd64"
