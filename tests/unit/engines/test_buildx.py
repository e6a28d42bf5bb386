"""The engine buildx: exact commands, what it learns about Docker, and what it says when Docker fails."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import ScriptedRunner

from crossdock.engines.buildx import Buildx, DockerFacts, Export, ask_docker, build_commands, parse_builder
from crossdock.engines.model import BuildRequest
from crossdock.errors import EngineError
from crossdock.platforms import AMD64, ARM64, DEFAULT_TARGETS

FACTS = DockerFacts("28.0", True, (0, 23, 0), "default", "docker", 1, AMD64)
WORK = Path("/work-folder")
REQUEST = BuildRequest(Path("/context"), b"FROM scratch\n", b"", DEFAULT_TARGETS)
CONTAINERD = [["driver-type", "io.containerd.snapshotter.v1"]]
INSPECT = """\
Name:          default
Driver:        docker
Last Activity: 2026-11-23 21:38:33 +0000 UTC

Nodes:
Name:             default
Endpoint:         default
Status:           running
Platforms:        linux/amd64, linux/arm64
Labels:
 org.mobyproject.buildkit.worker.hostname: vm
"""


def info(**fields: object) -> str:
    return json.dumps({"ServerVersion": "28.0.1", "Architecture": "x86_64", "DriverStatus": CONTAINERD, **fields})


def docker(info_answer: tuple[int, str, str], **answers: tuple[int, str, str]) -> ScriptedRunner:
    known = {
        "docker info": info_answer,
        "docker buildx version": answers.get("version", (0, "github.com/docker/buildx v0.23.0 abc\n", "")),
        "docker buildx inspect": answers.get("inspect", (0, INSPECT, "")),
    }
    return ScriptedRunner(("docker", "apt-get"), known)


def test_all_platforms_are_one_command_where_that_works() -> None:
    (command,) = build_commands(FACTS, REQUEST, WORK)
    assert command.argv == (
        "docker",
        "buildx",
        "build",
        "--progress=plain",
        "--file=/work-folder/Dockerfile",
        "--platform=linux/amd64,linux/arm64",
        "--output=type=oci,tar=false,dest=/work-folder/layout",
        "/context",
    )
    assert command.env == {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def test_every_flag_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("the secret\n")
    monkeypatch.setenv("OTHER", "other secret")
    request = replace(
        REQUEST,
        build_args=("A=1", "B"),
        target="final",
        secrets=(f"id=x,src={tmp_path / 'token'}", "id=y,env=OTHER"),
        ssh=("default",),
        labels=("k=v",),
        no_cache=True,
        pull=True,
        network="host",
        cache_from=("type=registry,ref=r/c",),
        cache_to=("type=inline",),
        build_contexts=("base=oci-layout:///l",),
    )
    (command,) = build_commands(FACTS, request, WORK)
    assert command.argv[6:-2] == (
        "--target=final",
        "--build-arg=A=1",
        "--build-arg=B",
        f"--secret=id=x,src={tmp_path / 'token'}",
        "--secret=id=y,env=OTHER",
        "--ssh=default",
        "--label=k=v",
        "--no-cache",
        "--pull",
        "--network=host",
        "--cache-from=type=registry,ref=r/c",
        "--cache-to=type=inline",
        "--build-context=base=oci-layout:///l",
    )
    assert command.secrets == ("other secret", "the secret")
    assert "secret" not in str(command).replace("--secret=", "")


def test_an_old_plugin_exports_an_archive() -> None:
    (command,) = build_commands(replace(FACTS, buildx=(0, 9, 1)), REQUEST, WORK)
    assert "--output=type=oci,dest=/work-folder/layout.tar" in command.argv


def test_several_nodes_build_one_platform_at_a_time() -> None:
    facts = replace(FACTS, driver="docker-container", nodes=2)
    assert facts.export is Export.LAYOUTS
    commands = build_commands(facts, REQUEST, WORK)
    assert [command.argv[5:-1] for command in commands] == [
        ("--platform=linux/amd64", "--output=type=oci,tar=false,dest=/work-folder/parts/linux-amd64"),
        ("--platform=linux/arm64", "--output=type=oci,tar=false,dest=/work-folder/parts/linux-arm64"),
    ]


def test_the_classic_store_is_gone_through_by_temporary_names() -> None:
    facts = replace(FACTS, containerd_store=False)
    assert facts.export is Export.STORE
    commands = build_commands(facts, REQUEST, WORK)
    assert len(commands) == 6
    build, save, remove = commands[3:]
    name = build.argv[-2].removeprefix("--tag=")
    assert name.startswith("crossdock-build-")
    assert name.endswith(":linux-arm64")
    assert build.argv[-3] == "--load"
    assert save.argv == ("docker", "save", "--output", "/work-folder/parts/linux-arm64.tar", name)
    assert remove.argv == ("docker", "image", "rm", "--force", name)
    other = build_commands(facts, REQUEST, Path("/another"))
    assert name not in [word for command in other for word in command.argv]


@pytest.mark.parametrize(
    ("driver", "containerd", "nodes", "export"),
    [
        ("docker", True, 1, Export.INDEX),
        ("docker", False, 1, Export.STORE),
        ("docker-container", False, 1, Export.INDEX),
        ("remote", True, 3, Export.LAYOUTS),
    ],
)
def test_how_the_result_leaves_the_builder(driver: str, containerd: bool, nodes: int, export: Export) -> None:
    assert replace(FACTS, driver=driver, containerd_store=containerd, nodes=nodes).export is export


def test_facts_are_read_from_docker() -> None:
    facts = ask_docker(docker((0, info(), "")))
    assert facts == DockerFacts("28.0.1", True, (0, 23, 0), "default", "docker", 1, AMD64)
    assert not Buildx(docker((0, info(KernelVersion="6.6.87-linuxkit"), ""))).probe().shares_kernel
    assert Buildx(docker((0, info(KernelVersion=os.uname().release), ""))).probe().shares_kernel
    assert Buildx(docker((0, info(DriverStatus=[["Backing Filesystem", "extfs"]]), ""))).probe().loads_index is False


def test_a_builder_with_nodes() -> None:
    text = INSPECT.replace("default", "farm").replace("docker\n", "docker-container\n", 1)
    text += "\nName:      second\nEndpoint:  ssh://arm\nStatus:    running\n"
    assert parse_builder(text) == ("farm", "docker-container", 2)


@pytest.mark.parametrize(
    ("said", "what", "hint"),
    [
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "may not use Docker's socket",
            "usermod -aG docker",
        ),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "does not answer",
            "systemctl start docker",
        ),
        ("something else entirely", "no answer that Docker would give", "buildah"),
    ],
)
def test_a_docker_that_does_not_answer_is_explained(said: str, what: str, hint: str) -> None:
    for answer in ((1, "", said), (0, json.dumps({"ServerErrors": [said], "ServerVersion": ""}), "")):
        with pytest.raises(EngineError) as caught:
            ask_docker(docker(answer))
        assert what in caught.value.what
        assert hint in (caught.value.hint or "")


def test_podman_behind_the_name_docker_is_not_taken_for_docker() -> None:
    with pytest.raises(EngineError, match="no answer that Docker would give"):
        ask_docker(docker((0, json.dumps({"host": {"arch": "amd64"}, "version": {"Version": "4.3"}}), "")))


def test_a_missing_plugin_is_explained() -> None:
    missing = (1, "", "docker: 'buildx' is not a docker command.")
    with pytest.raises(EngineError, match="no buildx plugin") as caught:
        ask_docker(docker((0, info(), ""), version=missing, inspect=missing))
    assert "`sudo apt-get install docker-buildx`" in (caught.value.hint or "")


def test_a_missing_docker_is_explained() -> None:
    with pytest.raises(EngineError, match="not installed"):
        ask_docker(ScriptedRunner(()))


def test_an_engine_that_dies_is_an_error_and_leaves_no_files(tmp_path: Path) -> None:
    runner = docker((0, info(), ""))
    runner = replace(runner, answers={**runner.answers, "docker buildx build": (137, "#1 [internal] load\n", "")})
    with pytest.raises(EngineError, match="exit code 137"):
        Buildx(runner).build(replace(REQUEST, platforms=(ARM64,)), tmp_path, lambda event: None)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_recognised(tmp_path: Path) -> None:
    said = "ERROR: failed to solve: write /var/lib/docker/x: no space left on device\n"
    runner = docker((0, info(), ""))
    runner = replace(runner, answers={**runner.answers, "docker buildx build": (1, said, "")})
    with pytest.raises(EngineError, match="the disk is full") as caught:
        Buildx(runner).build(REQUEST, tmp_path, lambda event: None)
    assert "Free some space" in (caught.value.hint or "")
    assert list(tmp_path.iterdir()) == []


def test_temporary_images_go_when_saving_fails(tmp_path: Path) -> None:
    runner = docker((0, info(DriverStatus=[]), ""))
    more = {
        "docker buildx build": (0, "", ""),
        "docker save": (1, "", "no space left on device"),
        "docker image rm": (0, "", ""),
    }
    runner = replace(runner, answers={**runner.answers, **more})
    with pytest.raises(EngineError, match="the disk is full"):
        Buildx(runner).build(REQUEST, tmp_path, lambda event: None)
    assert len([line for line in runner.started if line.startswith("docker image rm")]) == 2
    assert list(tmp_path.iterdir()) == []
