"""amd64-download: a file for amd64 is downloaded."""

from __future__ import annotations

import re

from crossdock.findings import Severity
from crossdock.read.shell_model import Command
from crossdock.rules.base import Example
from crossdock.rules.names import x86_tokens
from crossdock.rules.reach import Arrival, SinkRule, shortened
from crossdock.rules.sinks import Kind, Mark, Sink
from crossdock.rules.vocabulary import DATA_FILE, SELECTORS


class Amd64Download(SinkRule):
    """A file that upstream publishes for amd64 is downloaded whatever the target architecture is.

    The arm64 build downloads the amd64 file as well. Nothing complains: the image is built, carries an arm64 label,
    and fails with "exec format error" when that file is executed or loaded.

    Download the file that upstream publishes for the target architecture. BuildKit gives its name in `TARGETARCH`
    (declare it with `ARG TARGETARCH` after FROM); where upstream uses other names, choose with
    `case "$TARGETARCH"` and let the default branch fail.
    """

    id = "amd64-download"
    kinds = frozenset({Kind.DOWNLOAD})

    VALID = (
        Example("FROM debian\nARG TARGETARCH\nRUN curl -LO https://example.com/tool-linux-${TARGETARCH}.tgz\n"),
        Example(
            "FROM debian\n"
            'RUN case "$(uname -m)" in x86_64) a=amd64 ;; aarch64) a=arm64 ;; esac; wget https://example.com/t-$a\n'
        ),
        Example("FROM debian\nRUN curl -LO https://example.com/tool-darwin-amd64\n", note="not for Linux"),
        Example(
            "FROM mcr.microsoft.com/windows/servercore:ltsc2022\nRUN curl -LO https://example.com/tool-x64.zip\n",
            note="an image of Windows is not built for linux/arm64",
        ),
        Example(
            "FROM rockylinux:9\nRUN dnf install -y https://example.com/9/x86_64/repo-release-9.noarch.rpm\n",
            note="the package says that it is for every architecture",
        ),
        Example(
            'FROM debian\nRUN if [ "$(dpkg --print-architecture)" = amd64 ]; then wget https://e.com/t_amd64; fi\n'
        ),
        Example('FROM debian\nRUN curl -A "Mozilla/5.0 (X11; Linux x86_64)" https://example.com/page\n'),
        Example(
            "FROM debian\nRUN curl -LO https://example.com/t-amd64 && curl -LO https://example.com/t-arm64\n",
            note="both are fetched",
        ),
    )
    INVALID = (
        Example(
            "FROM debian\nRUN curl -LO https://example.com/v1/tool-linux-⟦amd64⟧.tgz\n",
            fixed=("FROM debian\nARG TARGETARCH\nRUN curl -LO https://example.com/v1/tool-linux-${TARGETARCH}.tgz\n"),
        ),
        Example(
            "FROM debian\nADD https://example.com/tool_⟦x86_64⟧ /usr/local/bin/tool\n",
            fixed=(
                "FROM scratch AS tool-amd64\n"
                "ADD https://example.com/tool_x86_64 /tool\n"
                "\n"
                "FROM scratch AS tool-arm64\n"
                "ADD https://example.com/tool_aarch64 /tool\n"
                "\n"
                "FROM tool-${TARGETARCH} AS tool\n"
                "\n"
                "FROM debian\n"
                "COPY --from=tool /tool /usr/local/bin/tool\n"
            ),
        ),
        Example(
            "FROM debian\nRUN curl -s https://example.com/api/releases/latest | grep linux_⟦amd64⟧ | xargs curl -O\n",
            fixed=(
                "FROM debian\n"
                "ARG TARGETARCH\n"
                "RUN curl -s https://example.com/api/releases/latest | grep linux_${TARGETARCH} | xargs curl -O\n"
            ),
            note="the answer of a server is searched for the amd64 file",
        ),
        Example(
            "FROM debian\nENV URL=https://example.com/jdk_linux-⟦x64⟧.tar.gz\nRUN wget -O jdk.tgz $URL\n",
            fixed=(
                "FROM debian\n"
                "ARG TARGETARCH\n"
                "ENV URL=https://example.com/jdk_linux-x64.tar.gz\n"
                'RUN case "$TARGETARCH" in \\\n'
                "        amd64) ;; \\\n"
                "        arm64) URL=https://example.com/jdk_linux-arm64.tar.gz ;; \\\n"
                '        *) echo "unsupported architecture: $TARGETARCH" >&2; exit 1 ;; \\\n'
                "    esac \\\n"
                "    && wget -O jdk.tgz $URL\n"
            ),
        ),
        Example(
            "FROM debian\nRUN curl -LO https://example.com/v2/scanner-⟦linux⟧.zip\n",
            fixed=(
                "FROM debian\n"
                "ARG TARGETARCH\n"
                'RUN case "$TARGETARCH" in \\\n'
                "        amd64) arch=linux ;; \\\n"
                "        arm64) arch=linux-arm64 ;; \\\n"
                '        *) echo "unsupported architecture: $TARGETARCH" >&2; exit 1 ;; \\\n'
                "    esac \\\n"
                "    && curl -LO https://example.com/v2/scanner-${arch}.zip\n"
            ),
            note="a compiled file for Linux that names no architecture is for amd64",
        ),
        Example(
            "FROM debian\nADD https://github.com/krallin/tini/releases/download/v0.19.0/⟦tini⟧ /tini\n",
            fixed=(
                "FROM scratch AS tini-amd64\n"
                "ADD https://github.com/krallin/tini/releases/download/v0.19.0/tini /tini\n"
                "\n"
                "FROM scratch AS tini-arm64\n"
                "ADD https://github.com/krallin/tini/releases/download/v0.19.0/tini-arm64 /tini\n"
                "\n"
                "FROM tini-${TARGETARCH} AS tini\n"
                "\n"
                "FROM debian\n"
                "COPY --from=tini /tini /tini\n"
            ),
            note="the asset without a suffix is the amd64 one",
        ),
        Example(
            "FROM debian\nRUN curl -LO https://github.com/jqlang/jq/releases/download/jq-1.6/jq-⟦linux64⟧\n",
            note="this version has no file for arm64, and the message says from which one on there is one",
        ),
    )

    def message(self, at: Arrival) -> str:
        if at.sink.command is not None and at.sink.detail in SELECTORS:
            return f"{at.words} selects the amd64 file in what a server answers: {shortened(at.text, 60)}"
        name = at.text.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        if not any("64" in mark.token.text or x86_tokens(mark.token.text) for mark in at.marks):
            return f"{shortened(name)} is the amd64 file, which its name does not say"
        if at.text.endswith("/"):
            return f"{at.words} selects the folder for amd64, {shortened(name)}/"
        which = "amd64" if any("64" in mark.token.text for mark in at.marks) else "x86"
        return f"{at.words} selects the {which} file {shortened(name)}"

    def severity(self, sink: Sink, marks: tuple[Mark, ...]) -> Severity:
        """A listing that is read, and data in a folder for amd64, are most often the same for every architecture."""
        path = sink.text.split("?")[0]
        is_read = path.endswith("/") and sink.command is not None and _is_printed(sink.command)
        is_data = DATA_FILE.search(path) is not None and not x86_tokens(path.rsplit("/", 1)[-1])
        return Severity.INFO if "://" in path and (is_read or is_data) else super().severity(sink, marks)


def _is_printed(command: Command) -> bool:
    """Whether a fetcher writes what it gets to the standard output."""
    words = [word.text for word in command.arguments]
    if command.name == "wget":
        return any(re.fullmatch(r"-\w*O-?", word) and (word.endswith("-") or "-" in words) for word in words)
    return command.name == "curl" and not any(
        re.fullmatch(r"-\w*[oO]|--output.*|--remote-name", word) for word in words
    )
