"""Whole Dockerfiles, evaluated."""

from __future__ import annotations

from pathlib import Path

from crossdock.platforms import AMD64
from crossdock.read.context import Context
from crossdock.read.dockerfile import parse
from crossdock.read.trace import Role, Trace, trace
from crossdock.source import Source


def traced(text: str, files: dict[str, bytes] | None = None, **build_args: str) -> Trace:
    context = Context(Path("/nowhere"), b"").with_files(files) if files else None
    return trace(parse(Source("Dockerfile", text.encode())), context=context, build_args=build_args)


def commands(trace_: Trace) -> list[list[str]]:
    return [[w.text for w in c.words] for _, step in trace_.steps for c in step.commands if c.words]


def test_automatic_arguments_are_global_and_per_stage_after_arg() -> None:
    text = "FROM base-$TARGETARCH\nRUN a $TARGETARCH\nARG TARGETARCH\nRUN b $TARGETARCH\n"
    result = traced(text)
    assert result.stages[0].base.text == "base-arm64"
    assert commands(result)[1] == ["b", "arm64"]
    assert [use.name for step in result.stages[0].steps for use in step.unset] == ["TARGETARCH"]


def test_defaults_build_arguments_and_the_global_scope() -> None:
    text = "ARG V=1\nARG W\nFROM a\nARG V\nARG X=x$V\nRUN c $V $X $W\nENV V=env\nRUN d $V\n"
    assert commands(traced(text)) == [["c", "1", "x1", "�"], ["d", "env"]]
    assert commands(traced(text, V="2"))[0][1:3] == ["2", "x2"]


def test_a_default_shadows_the_automatic_value() -> None:
    assert commands(traced("FROM a\nARG TARGETARCH=amd64\nRUN c $TARGETARCH\n")) == [["c", "amd64"]]


def test_a_stage_inherits_environment_and_arguments() -> None:
    text = "FROM a AS base\nENV E=1\nARG A=2\nWORKDIR /w\nFROM base\nRUN c $E $A\n"
    result = traced(text)
    assert commands(result) == [["c", "1", "2"]]
    assert result.stages[1].steps[1].directory.text == "/w"


def test_a_stage_on_the_build_platform_runs_on_amd64() -> None:
    result = traced("FROM --platform=$BUILDPLATFORM a AS b\nRUN c $(uname -m)\nFROM b\nRUN c $(uname -m)\nFROM x\n")
    assert [stage.role for stage in result.stages] == [Role.BUILD, Role.BUILD, Role.TARGET]
    assert [words for words in commands(result) if words[0] == "c"] == [["c", "x86_64"], ["c", "x86_64"]]


def test_a_stage_fixed_to_amd64_that_asks_for_its_target_stands_for_the_build_platform() -> None:
    pinned = "FROM --platform=linux/amd64 go AS b\n"
    result = traced(pinned + "ARG TARGETARCH\nRUN c $(uname -m)\nFROM x\nCOPY --from=b /a /a\n")
    assert [stage.role for stage in result.stages] == [Role.BUILD, Role.TARGET]
    assert ["c", "x86_64"] in commands(result)
    assert traced(pinned + "RUN c\nFROM x\n").stages[0].role is Role.TARGET


def test_the_image_is_evaluated_for_the_target_wherever_it_is_made() -> None:
    text = "FROM --platform=$BUILDPLATFORM a AS base\nRUN c $(uname -m)\nFROM base\nRUN d $(uname -m)\n"
    result = traced(text)
    assert [(stage.role, stage.is_image) for stage in result.stages] == [(Role.BUILD, True)] * 2
    assert ["c", "aarch64"] in commands(result)
    assert ["d", "aarch64"] in commands(result)


def test_a_heredoc_before_its_command_is_read() -> None:
    text = "FROM a\nRUN <<EOT bash\nset -e\nfetch $(uname -m)\nEOT\nRUN <<EOT python3\nimport x\nEOT\n"
    assert [words for words in commands(traced(text)) if words[0] in {"fetch", "import"}] == [["fetch", "aarch64"]]


def test_which_stages_are_needed() -> None:
    text = (
        "FROM a AS t-amd64\nFROM a AS t-arm64\nFROM t-${TARGETARCH} AS t\nFROM a AS unused\nFROM a\n"
        "COPY --from=t /x /x\n"
        "RUN --mount=type=bind,from=unused,target=/u true\n"
    )
    result = traced(text)
    assert [stage.amd64_only for stage in result.stages] == [True, False, False, False, False]
    assert [stage.reaches_image for stage in result.stages] == [False, True, True, True, True]


def test_run_forms() -> None:
    text = (
        'FROM a\nRUN ["c", "$X", "y z"]\nRUN <<EOF\nd 1\ne 2\nEOF\nRUN cat <<E > /f && f\nbody\nE\n'
        'SHELL ["/bin/bash", "-ec"]\nRUN false; never\nRUN <<EOF\n#!/usr/bin/env python3\nprint()\nEOF\n'
    )
    result = traced(text)
    assert commands(result) == [["c", "$X", "y z"], ["d", "1"], ["e", "2"], ["cat"], ["f"], ["false"]]
    assert [entry.why for entry in result.skipped] == ["its heredoc is not for a shell"]


def test_a_shell_that_is_none_is_skipped_with_its_name() -> None:
    result = traced('FROM a\nSHELL ["powershell", "-Command"]\nRUN Get-Thing\n')
    assert "powershell" in result.skipped[0].why


def test_scripts_are_found_by_path_by_name_and_in_folders() -> None:
    files = {"bin/a.sh": b"#!/bin/sh\nx $1 $V\nb.sh\n", "bin/b.sh": b"#!/bin/sh\ny\n", "z.sh": b"z\n"}
    text = (
        "FROM s\nENV V=v\nCOPY bin/ /usr/local/bin/\nWORKDIR /w\nCOPY z.sh .\n"
        "RUN a.sh 1\nRUN ./z.sh\nRUN sh -x /w/z.sh\n"
    )
    result = traced(text, files)
    runs = [
        (run.context_path, [[w.text for w in c.words] for c in run.trace.commands])
        for _, s in result.steps
        for run in s.scripts
    ]
    assert runs == [
        ("bin/a.sh", [["x", "1", "v"], ["b.sh"]]),
        ("bin/b.sh", [["y"]]),
        ("z.sh", [["z"]]),
        ("z.sh", [["z"]]),
    ]


def test_scripts_come_through_other_stages_and_mounts() -> None:
    files = {"run.sh": b"#!/bin/sh\nx\n"}
    text = (
        "FROM s AS one\nCOPY run.sh /opt/run.sh\nFROM s\nCOPY --from=one /opt/run.sh /go\nRUN /go\n"
        "RUN --mount=type=bind,target=/src /src/run.sh\n"
    )
    assert len([run for _, step in traced(text, files).steps for run in step.scripts]) == 2


def test_the_same_file_for_amd64() -> None:
    text = 'FROM a\nARG TARGETARCH\nRUN case "$TARGETARCH" in amd64) c x ;; arm64) c y ;; esac\n'
    source = Source("Dockerfile", text.encode())
    assert commands(trace(parse(source))) == [["c", "y"]]
    assert commands(trace(parse(source), target=AMD64)) == [["c", "x"]]


def test_a_generated_file_without_end_is_cut_off_and_told() -> None:
    result = traced("FROM a\n" + "ENV A=1\n" * 10_050)
    assert [entry.why for entry in result.skipped] == ["only the first 10000 instructions are evaluated"]
