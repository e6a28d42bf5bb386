"""amd64-binary-in-context: a compiled program for amd64 lies in the context and is copied."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.findings import Finding
from crossdock.image.binary import Binary, Format
from crossdock.read.trace import Role
from crossdock.rules.base import Example, Project, Rule

_ELF_AMD64 = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00" + b"\x01\x00\x00\x00" + bytes(40)


class Amd64BinaryInContext(Rule):
    """A file that COPY or ADD takes from the build context is a program or library compiled for amd64.

    It is copied into the arm64 image as it is, and fails there with "exec format error" or "wrong ELF class".

    Compile it in a stage of the Dockerfile, or keep one file per architecture in the context
    (`bin/amd64/tool`, `bin/arm64/tool`) and write `COPY bin/${TARGETARCH}/tool`.
    """

    id = "amd64-binary-in-context"

    VALID = (
        Example("FROM debian\nCOPY run.sh /run.sh\n", files={"run.sh": b"#!/bin/sh\n"}),
        Example(
            "FROM debian\nARG TARGETARCH\nCOPY bin/${TARGETARCH}/tool /tool\n",
            files={"bin/amd64/tool": _ELF_AMD64, "bin/arm64/tool": _ELF_AMD64.replace(b"\x3e", b"\xb7")},
        ),
    )
    INVALID = (Example("FROM debian\nCOPY ⟦tool⟧ /usr/local/bin/\n", files={"tool": _ELF_AMD64}),)

    def check(self, project: Project) -> Iterator[Finding]:
        for stage, step in project.trace.steps:
            if stage.amd64_only or stage.role is Role.BUILD or step.instruction.keyword not in {"COPY", "ADD"}:
                continue
            if step.copied_from is not None:
                continue
            for word in step.words:
                wanted = word.text.lstrip("/").rstrip("/")
                files = [
                    path
                    for path, binary in project.binaries.items()
                    if covers(wanted, path) and _is_for_amd64(binary, project)
                ]
                if files:
                    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
                    yield self.finding(
                        project.dockerfile.source, word.origin.span, f"{files[0]}{more} is compiled for amd64"
                    )


def covers(source: str, path: str) -> bool:
    """Whether a source of COPY takes the file of the context."""
    from fnmatch import fnmatchcase

    source = source.removeprefix("./")
    return source in {"", ".", path} or path.startswith(source + "/") or fnmatchcase(path, source)


def _is_for_amd64(binary: Binary, project: Project) -> bool:
    return (
        binary.format in {Format.ELF, Format.STATIC_LIBRARY}
        and "amd64" in binary.architectures
        and not binary.runs_on(project.target.architecture)
    )
