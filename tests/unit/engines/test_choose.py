"""Choosing an engine, the verdict of a smoke run, and what known failures mean."""

from __future__ import annotations

import json

import pytest
from scripted import ScriptedRunner

from crossdock.engines.choose import choose
from crossdock.engines.model import SmokeVerdict
from crossdock.engines.packages import Wanted, install_command
from crossdock.engines.smoke import judge
from crossdock.engines.trouble import LAST_LINES, failure
from crossdock.errors import EngineError, UsageError

DOCKER = {
    "docker info": (0, json.dumps({"ServerVersion": "28", "Architecture": "x86_64", "DriverStatus": []}), ""),
    "docker buildx version": (0, "github.com/docker/buildx v0.23.0\n", ""),
    "docker buildx inspect": (0, "Name: default\nDriver: docker\n", ""),
}
BUILDAH = {
    "buildah --version": (0, "buildah version 1.28.2 (x)", ""),
    "buildah info": (0, json.dumps({"store": {"GraphDriverName": "overlay", "GraphRoot": "/g"}}), ""),
    "buildah from --quiet scratch": (0, "working-container", ""),
    "buildah rm": (0, "", ""),
}
DOWN = {"docker info": (1, "", "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")}


def test_docker_comes_first_where_it_answers() -> None:
    runner = ScriptedRunner(("docker", "buildah"), {**DOCKER, **BUILDAH})
    assert choose("auto", runner).name == "buildx"
    assert choose("buildah", runner).name == "buildah"


def test_buildah_comes_where_docker_does_not_answer() -> None:
    runner = ScriptedRunner(("docker", "buildah"), {**DOWN, **BUILDAH})
    assert choose("auto", runner).name == "buildah"
    with pytest.raises(EngineError, match="does not answer"):
        choose("buildx", runner)


def test_without_any_the_next_step_and_the_reasons_are_said() -> None:
    with pytest.raises(EngineError, match="no engine") as caught:
        choose("auto", ScriptedRunner(("docker", "apk"), DOWN))
    assert "`sudo apk add buildah`" in (caught.value.hint or "")
    assert [line.partition(":")[0] for line in caught.value.log] == ["buildx", "buildah"]
    assert "systemctl start docker" in caught.value.log[0]


def test_an_unknown_engine_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="kaniko"):
        choose("kaniko", ScriptedRunner(()))


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "sudo apt-get install docker-buildx"),
        ("dnf", "sudo dnf install docker-buildx-plugin"),
        ("brew", "brew install docker-buildx"),
    ],
)
def test_what_installs_something_is_said_for_this_distribution(manager: str, command: str) -> None:
    assert install_command(Wanted.BUILDX, ScriptedRunner((manager,))) == command
    assert install_command(Wanted.BUILDX, ScriptedRunner(())) is None


@pytest.mark.parametrize(
    ("exit_code", "line", "verdict"),
    [
        (0, "exec format error", SmokeVerdict.RAN),
        (1, "no such file or directory", SmokeVerdict.FAILED),
        (255, "exec /app: exec format error", SmokeVerdict.EXEC_FORMAT_ERROR),
        (1, "process failed to start with error: fork/exec /a: exec format error", SmokeVerdict.EXEC_FORMAT_ERROR),
        (255, "exec /app: no such file or directory", SmokeVerdict.MISSING_LOADER),
        (255, "aarch64-binfmt-P: Could not open '/lib/ld-linux-aarch64.so.1': No such file or directory",
         SmokeVerdict.MISSING_LOADER),
        (255, "qemu-aarch64-static: Could not open '/lib/ld-musl-aarch64.so.1'", SmokeVerdict.MISSING_LOADER),
        (1, "cat: /etc/app.conf: no such file or directory", SmokeVerdict.FAILED),
        (127, 'exec: "/nope": stat /nope: no such file or directory: unknown', SmokeVerdict.FAILED),
        (137, "", SmokeVerdict.FAILED),
    ],
)  # fmt: skip
def test_the_end_of_a_container_is_judged(exit_code: int, line: str, verdict: SmokeVerdict) -> None:
    assert judge(exit_code, ("first", line)) is verdict


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("write /x: no space left on device", "the disk is full"),
        ("exec /bin/sh: exec format error", "another architecture"),
        ("toomanyrequests: You have reached your pull rate limit", "limits requests"),
        ("no match for platform in manifest: not found", "does not exist for this platform"),
        ('no image found in manifest list for architecture arm64, variant "", OS linux', "does not exist for this"),
        ("failed to solve: localhost:1/x:1: not found", "was not found"),
        ("dial tcp: lookup registry.example on 10.0.0.1:53: no such host", "did not answer"),
        ("pull access denied, repository does not exist or may require authorization", "did not let"),
        ("did not complete successfully: exit code: 137", "memory ran out"),
    ],
)
def test_known_failures_have_a_cause_and_a_next_step(line: str, what: str) -> None:
    error = failure("the build failed", ["before", line])
    assert what in error.what
    assert error.hint
    assert error.log == ("before", line)


def test_other_failures_keep_their_last_lines_and_the_given_hint() -> None:
    error = failure("it failed", [f"line {number}" for number in range(100)], hint="try this", where="Dockerfile:3")
    assert str(error) == "Dockerfile:3: it failed\n  try this"
    assert len(error.log) == LAST_LINES
    assert error.log[-1] == "line 99"
