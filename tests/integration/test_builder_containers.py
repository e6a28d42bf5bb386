"""Builders whose BuildKit runs in containers, made by ``crossdock builder create``, and how they reach registries."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from made_builders import builders, crossdock, left
from registry import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def clean(docker: Daemon, far_daemon: Daemon) -> Iterator[None]:
    """A test that fails leaves nothing to the next one."""
    yield
    for daemon in (docker, far_daemon):
        for name in left(daemon):
            daemon.docker(*(("volume", "rm") if name.endswith("_state") else ("rm", "--force")), name)


def filled(registry: Registry, layout: Path, repository: str = "base") -> str:
    """The base image, in this registry."""
    reference = f"{registry.host}/{repository}:latest"
    copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci:{layout}:latest", f"docker://{reference}"], check=True)
    return reference


@pytest.fixture
def plain(docker: Daemon, base_layout: Path, tmp_path: Path) -> Iterator[Registry]:
    """Without TLS, at an address that is not localhost, where BuildKit expects TLS."""
    with Registry(tmp_path / "plain", address=docker.address) as registry:
        filled(registry, base_layout)
        filled(registry, base_layout, "library/base")
        yield registry


@pytest.fixture
def secure(docker: Daemon, base_layout: Path, tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "secure", tls=True, address=docker.address) as registry:
        filled(registry, base_layout)
        yield registry


def project(folder: Path, base: str, *lines: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("\n".join((f"FROM {base}", "RUN uname -m > /machine", *lines, "")))
    return str(folder)


def test_registries_are_reached_as_the_builder_was_made(
    docker: Daemon, buildkit: str, plain: Registry, secure: Registry, tmp_path: Path
) -> None:
    """Plain HTTP, TLS by a private authority, and mirrors, each in a build that cannot be done without the setting."""
    build = ["build", "--platform", "linux/amd64", "--no-smoke", "-o", f"type=oci,dest={tmp_path / 'app.tar'}"]
    create = ["builder", "create", "--driver-opt", f"image={buildkit}", "--bootstrap"]
    bases = [f"{plain.host}/base", f"{secure.host}/base", "base", "registry.example/base"]
    crossdock(*create, "bare")
    for base, reason in zip(bases, ["HTTP response to HTTPS client", "certificate", "", ""], strict=True):
        assert reason in crossdock(*build, "--builder", "bare", project(tmp_path / "project", base), code=3)
    crossdock("builder", "remove", "bare")
    shown = crossdock(
        *create, "lan", "--format", "json", "--registry", f"{plain.host},http",
        "--registry", f"{secure.host},ca={secure.certificate}", "--registry", f"docker.io,mirror=http://{plain.host}",
        "--registry", f"registry.example,mirror={secure.host}",
    )  # fmt: skip
    (made,) = json.loads(shown)["builders"]
    assert (made["driver"], made["nodes"][0]["status"]) == ("docker-container", "running")
    assert made["nodes"][0]["pinned"] == ["linux/amd64"] == made["nodes"][0]["native"][:1]
    for base in bases:
        crossdock(*build, "--builder", "lan", "--no-cache", project(tmp_path / "project", base))
    crossdock("verify", "--require", "linux/amd64", str(tmp_path / "app.tar"))
    crossdock("builder", "remove", "lan")
    assert left(docker) == []


@pytest.mark.usefixtures("emulation")
def test_two_dockers_are_one_builder(
    docker: Daemon, far_daemon: Daemon, buildkit: str, base_image: str, tmp_path: Path
) -> None:
    """Each with BuildKit in a container, in the network of its node, so that localhost is the node."""
    crossdock(
        "builder", "create", "both", "--network", "host", "--driver-opt", f"image={buildkit}", "--use", "--bootstrap",
        "--node", f"{docker.host},platform=linux/amd64", "--node", f"{far_daemon.host},platform=linux/arm64",
    )  # fmt: skip
    mark = f"mark-{os.getpid()}"
    archive = tmp_path / "app.tar"
    folder = project(tmp_path / "project", base_image, f"RUN echo {mark}")
    crossdock("build", "--no-smoke", "-o", f"type=oci,dest={archive}", folder)
    crossdock("verify", "--require", "linux/amd64,linux/arm64", str(archive))
    for daemon, number in ((docker, 0), (far_daemon, 1)):
        container = f"buildx_buildkit_both{number}"
        used = daemon.docker("exec", container, "buildctl", "du", "--verbose")
        assert used.count(mark) == 1, "each platform has run on its own node, and only there"
    crossdock("builder", "remove", "both")
    assert left(docker) == left(far_daemon) == []


def only_here(daemon: Daemon, buildkit: str) -> str:
    """A name of BuildKit's image that no other daemon can get it by."""
    daemon.docker("pull", "--quiet", buildkit)
    daemon.docker("tag", buildkit, "registry.invalid/buildkit:1")
    return "registry.invalid/buildkit:1"


def test_no_half_builder_stays(docker: Daemon, far_daemon: Daemon, buildkit: str) -> None:
    """The second node cannot start BuildKit, when the first has."""
    before = builders()
    said = crossdock(
        "builder", "create", "half", "--use", "--bootstrap", "--driver-opt", f"image={only_here(docker, buildkit)}",
        "--node", f"{docker.host},platform=linux/amd64", "--node", f"{far_daemon.host},platform=linux/arm64", code=3,
    )  # fmt: skip
    assert "half1 is inactive" in said
    assert "registry.invalid" in said
    assert builders() == before
    assert left(docker) == left(far_daemon) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_is_taken_back(docker: Daemon, buildkit: str, number: signal.Signals) -> None:
    before = builders()
    argv = [sys.executable, "-m", "crossdock", "builder", "create", "late", "--bootstrap"]
    process = subprocess.Popen([*argv, "--driver-opt", f"image={buildkit}"], stderr=subprocess.PIPE)
    while not left(docker) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(60) == 130
    assert builders() == before
    assert left(docker) == []


def test_the_builder_of_somebody_else_on_the_same_docker_is_not_touched(
    docker: Daemon, buildkit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """buildx keeps builders for each user, and their containers are on a machine that several use."""
    create = ["builder", "create", "ours", "--bootstrap", "--driver-opt", f"image={buildkit}"]
    crossdock(*create)
    theirs = left(docker)
    with monkeypatch.context() as other:
        other.setenv("BUILDX_CONFIG", str(tmp_path / "other"))
        said = crossdock(*create, "--registry", "registry.example,http", code=3)
        assert "buildx_buildkit_ours0" in said
        assert "ours" not in builders()
    assert left(docker) == theirs
    assert docker.docker("ps", "--format={{.Names}}").split() == ["buildx_buildkit_ours0"]
    crossdock("builder", "remove", "ours")
    assert left(docker) == []
