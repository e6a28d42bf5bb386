"""The Dockerfile as an older buildah gets it: what is changed, what stays byte for byte, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossdock.engines.buildah_dockerfile import Prepared, given_arguments, prepare
from crossdock.engines.model import BuildRequest
from crossdock.errors import EngineError
from crossdock.platforms import AMD64, ARM64

OLD = (1, 28, 2)
NEW = (1, 42, 0)


def prepared(text: str, version: tuple[int, ...] = OLD, build_args: tuple[str, ...] = ()) -> Prepared:
    request = BuildRequest(Path("/c"), text.encode(), b"", (ARM64,), build_args=build_args)
    return prepare(request, ARM64, AMD64, version, {})


def after(text: str, version: tuple[int, ...] = OLD, build_args: tuple[str, ...] = ()) -> str:
    return prepared(text, version, build_args).dockerfile.decode()


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("FROM a\n", "FROM --platform=linux/arm64 a\n"),
        ("from a as b\n", "from --platform=linux/arm64 a as b\n"),
        ("FROM --platform=$BUILDPLATFORM a AS b\n", "FROM --platform=linux/amd64 a AS b\n"),
        ("FROM --platform=${TARGETPLATFORM} a\n", "FROM --platform=linux/arm64 a\n"),
        ("FROM --platform=linux/$BUILDARCH a\n", "FROM --platform=linux/amd64 a\n"),
        ("FROM scratch\n", "FROM scratch\n"),
        ("ARG V=1\nFROM a:${V}-x\n", "ARG V=1\nFROM --platform=linux/arm64 a:1-x\n"),
        ("ARG V\nFROM a:${V:-2}\n", "ARG V\nFROM --platform=linux/arm64 a:2\n"),
    ],
)
def test_from_is_written_out(before: str, expected: str) -> None:
    assert after(before) == expected
    assert after(before, NEW) == expected


def test_a_build_argument_wins_over_the_default_in_from() -> None:
    assert after("ARG V=1\nFROM a:$V\n", build_args=("V=9",)) == "ARG V=1\nFROM --platform=linux/arm64 a:9\n"


def test_a_stage_chosen_by_platform_is_named() -> None:
    text = "FROM a AS tool-amd64\nFROM a AS tool-arm64\nFROM tool-${TARGETARCH} AS tool\n"
    lines = after(text).splitlines()
    assert lines[2] == "FROM tool-arm64 AS tool"


def test_an_empty_base_is_an_error() -> None:
    with pytest.raises(EngineError, match="empty") as caught:
        prepared("ARG V\nFROM $V\n")
    assert caught.value.where == "Dockerfile:2"


def test_a_run_heredoc_becomes_the_same_script_for_the_same_shell() -> None:
    shell = 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]'
    run = 'RUN --mount=type=cache,target=/c <<-EOF\n\techo "é $x" \\\\\n\tb\nEOF\n'
    text = f"FROM a\n{shell}\n{run}RUN true\n"
    *head, run, last = after(text).splitlines()
    assert last == "RUN true"
    assert run.startswith("RUN --mount=type=cache,target=/c [")
    words = json.loads(run.partition("target=/c ")[2])
    assert words == ["/bin/bash", "-o", "pipefail", "-c", 'echo "é $x" \\\\\nb\n']
    assert head[1] == 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]'


def test_the_shell_of_a_stage_is_inherited() -> None:
    text = 'FROM a AS b\nSHELL ["/bin/ash", "-c"]\nFROM b\nRUN <<EOF\nx\nEOF\n'
    assert after(text).splitlines()[-1] == 'RUN ["/bin/ash", "-c", "x\\n"]'


def test_heredocs_inside_a_command_go_to_the_shell_as_written() -> None:
    text = "FROM a\nRUN cat <<A > /x && \\\n    cat <<'B'\n1 $V\nA\n2\nB\n"
    words = json.loads(after(text).splitlines()[-1].removeprefix("RUN "))
    assert words[:2] == ["/bin/sh", "-c"]
    command, *bodies = words[2].split("\n")
    assert command.split() == ["cat", "<<A", ">", "/x", "&&", "cat", "<<'B'"]
    assert bodies == ["1 $V", "A", "2", "B"]


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_script_with_an_interpreter_is_executed_as_a_file(version: tuple[int, ...]) -> None:
    found = prepared("FROM a\nRUN <<EOF\n#!/usr/bin/env python3\nprint(1)\nEOF\n", version)
    (file,) = found.files
    assert (file.path, file.mode) == ("0/EOF", 0o755)
    assert file.data == b"#!/usr/bin/env python3\nprint(1)\n"
    run = found.dockerfile.decode().splitlines()[-1]
    assert run == (
        'RUN --mount=type=bind,from=crossdock-heredocs,source=/0/EOF,target=/run/crossdock/EOF ["/run/crossdock/EOF"]'
    )


def test_a_copy_heredoc_becomes_a_file_of_ours() -> None:
    copy = 'COPY --chmod=600 <<-ONE <<"TWO" /etc/\n\thello ${NAME} $MORE \\$no\nONE\n$raw\nTWO\n'
    found = prepared(f"FROM a\nARG NAME=world\nENV MORE=$NAME!\n{copy}")
    assert [(file.path, file.data, file.mode) for file in found.files] == [
        ("0/ONE", b"hello world world! \\$no\n", 0o644),
        ("1/TWO", b"$raw\n", 0o644),
    ]
    copy = found.dockerfile.decode().splitlines()[-1]
    assert copy == "COPY --chmod=600 --chown=0:0 --from=crossdock-heredocs 0/ONE 1/TWO /etc/"


def test_a_copy_heredoc_keeps_its_owner() -> None:
    assert "--chown=1:2 --from" in after("FROM a\nADD --chown=1:2 <<A /a\nx\nA\n")


@pytest.mark.parametrize(
    ("body", "reason"),
    [("$UNSEEN", "which the base image may set"), ("'$A'", "quotes or modifiers"), ("${A:-x}", "quotes or modifiers")],
)
def test_what_cannot_be_expanded_exactly_is_refused(body: str, reason: str) -> None:
    with pytest.raises(EngineError, match=reason) as caught:
        prepared(f"FROM a\nARG A=1\nCOPY <<EOF /x\n{body}\nEOF\n")
    assert caught.value.where == "Dockerfile:3"
    assert "buildx" in (caught.value.hint or "")


def test_in_a_stage_from_scratch_an_unset_variable_is_empty() -> None:
    assert prepared("FROM scratch\nCOPY <<EOF /x\n[$UNSEEN]\nEOF\n").files[0].data == b"[]\n"


def test_a_newer_buildah_gets_heredocs_as_they_are() -> None:
    text = "FROM scratch\nCOPY --link <<EOF /x\n$UNSEEN '\nEOF\nRUN <<EOF\nx\nEOF\n"
    assert after(text, NEW) == text
    assert prepared(text, NEW).files == ()


def test_link_is_left_out_and_said() -> None:
    found = prepared("FROM scratch\nCOPY --link --chown=1 a b\nCOPY --link <<A /x\nt\nA\n")
    lines = found.dockerfile.decode().splitlines()
    assert lines[1].split() == ["COPY", "--chown=1", "a", "b"]
    assert "--link" not in lines[2]
    assert len(found.notes) == 1
    assert "--link" in found.notes[0]


@pytest.mark.parametrize(
    ("line", "needs"),
    [
        ("COPY --exclude=x a b", "1.38"),
        ("COPY --parents a b", "1.40"),
        ("ADD --checksum=sha256:00 https://e/x /x", "1.33"),
        ("RUN --network=none true", "1.30"),
        ("HEALTHCHECK --start-interval=1s CMD true", "1.37"),
        ("ONBUILD COPY --parents a b", "1.40"),
        ("COPY <<A file /x/\nt\nA", "1.36"),
        ("ONBUILD RUN <<A\nt\nA", "1.36"),
    ],
)
def test_what_came_later_is_refused_with_its_version_and_line(line: str, needs: str) -> None:
    with pytest.raises(EngineError, match=rf"needs buildah {needs}") as caught:
        prepared(f"FROM scratch\n\n{line}\n")
    assert caught.value.where == "Dockerfile:3"
    assert prepared(f"FROM scratch\n\n{line}\n", NEW).dockerfile.decode() == f"FROM scratch\n\n{line}\n"


def test_what_no_buildah_does_is_refused() -> None:
    with pytest.raises(EngineError, match="--security"):
        prepared("FROM a\nRUN --security=insecure true\n", NEW)


def test_a_line_longer_than_buildah_reads_is_refused() -> None:
    with pytest.raises(EngineError, match="longer than this buildah reads") as caught:
        prepared(f"FROM a\nRUN <<EOF\n{('x' * 999 + chr(10)) * 70}EOF\n")
    assert caught.value.where == "Dockerfile:2"


def test_everything_else_stays_byte_for_byte() -> None:
    text = (
        "# syntax=docker/dockerfile:1\r\n# comment\r\nFROM  scratch  AS x\r\n\r\nRUN a && \\\r\n  # inside\r\n  b\r\n"
    )
    assert after(text) == text


def test_steps_know_their_lines_and_what_people_wrote() -> None:
    found = prepared("ARG V=1\nFROM a AS one\nRUN x \\\n  y\n\nFROM one\nCOPY --from=one a b\n")
    assert found.stages == ("one", "1")
    assert [[(step.line, step.text) for step in steps] for steps in found.steps] == [
        [(2, "FROM a AS one"), (3, "RUN x y")],
        [(6, "FROM one"), (7, "COPY --from=one a b")],
    ]


def test_build_arguments_come_from_the_environment_where_they_have_no_value() -> None:
    assert given_arguments(("A=1=2", "B", "C"), {"B": "from outside"}) == {"A": "1=2", "B": "from outside"}
