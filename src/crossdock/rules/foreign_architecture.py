"""foreign-architecture: packages of another x86 architecture are installed."""

from __future__ import annotations

from crossdock.rules.base import Example
from crossdock.rules.reach import Arrival, SinkRule
from crossdock.rules.sinks import Kind


class ForeignArchitecture(SinkRule):
    """32-bit x86 or amd64 packages are installed beside those of the system (multiarch, multilib, lib32).

    An arm64 system has no such packages, or could not run what is in them: apt answers "Unable to locate package".

    Drop them if the program no longer needs 32-bit parts, or guard the step with
    `[ "$(dpkg --print-architecture)" = amd64 ]`.
    """

    id = "foreign-architecture"
    kinds = frozenset({Kind.FOREIGN})

    VALID = (
        Example("FROM debian\nRUN apt-get purge -y gcc-multilib\n", note="what is not there may be taken away"),
        Example("FROM debian\nRUN apt-get install -y crossbuild-essential-amd64\n", note="compilers that run on arm64"),
        Example("FROM alpine\nRUN apk add qemu-system-x86_64\n", note="an emulator that runs on arm64"),
        Example('FROM debian\nRUN if [ "$(uname -m)" = x86_64 ]; then apt-get install -y gcc-multilib; fi\n'),
        Example(
            "FROM --platform=$BUILDPLATFORM debian AS build\nRUN dpkg --add-architecture amd64\nFROM debian\n"
            "COPY --from=build /a /a\n"
        ),
    )
    INVALID = (
        Example("FROM debian\nRUN dpkg --add-architecture ⟦i386⟧\n"),
        Example("FROM debian\nRUN apt-get install -y ⟦libc6:i386⟧ curl\n"),
        Example("FROM debian\nRUN apt-get install -y ⟦gcc-multilib⟧\n"),
        Example("FROM rockylinux:9\nRUN dnf install -y ⟦openssl-devel.x86_64⟧ make\n"),
        Example("FROM debian\nRUN apt-get install -y ⟦linux-headers-amd64⟧ make\n"),
        Example("FROM condaforge/miniforge3\nRUN conda install -y ⟦gxx_linux-64⟧\n"),
    )

    def message(self, at: Arrival) -> str:
        return f"{at.words} does not exist on arm64"
