"""Builders of two real BuildKits, each with its own platform; and settings for registries, used in real builds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import Daemon
from offered import Offered
from registry import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def crossdock(*arguments: str, code: int = 0) -> str:
    argv = [sys.executable, "-m", "crossdock", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + (done.stderr if code else "")


def builders() -> list[str]:
    done = subprocess.run(["docker", "buildx", "ls"], capture_output=True, text=True, timeout=60, check=True)
    return [line.split()[0].rstrip("*") for line in done.stdout.splitlines()[1:] if line and not line[0].isspace()]


@dataclass(frozen=True)
class Nodes:
    """Two BuildKits; each daemon can be asked what it has run."""

    daemons: tuple[Daemon, Daemon]
    addresses: tuple[str, str]

    def ran(self, mark: str) -> tuple[int, int]:
        """How many steps with this mark each has in its cache."""
        first, second = (
            daemon.docker("buildx", "du", "--builder", "default", "--verbose").count(mark) for daemon in self.daemons
        )
        return first, second


@pytest.fixture(scope="module")
def second_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("second") / "d", containerd=True) as daemon:
        yield daemon


@pytest.fixture
def nodes(docker: Daemon, second_daemon: Daemon) -> Iterator[Nodes]:
    sockets = [daemon.host.removeprefix("unix://") for daemon in (docker, second_daemon)]
    with Offered(sockets[0]) as first, Offered(sockets[1]) as second:
        yield Nodes((docker, second_daemon), (first.address, second.address))


@pytest.fixture
def project(tmp_path: Path, base_image: str) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {base_image}\nRUN echo mark-{os.getpid()} && uname -m > /machine\n")
    return folder


@pytest.mark.usefixtures("emulation")
def test_each_platform_is_built_on_its_own_node(nodes: Nodes, project: Path, tmp_path: Path) -> None:
    """Though the first node could build both: arm64 programs are emulated on it."""
    mark = f"mark-{os.getpid()}"
    first, second = nodes.addresses
    shown = crossdock(
        "builder", "create", "both", "--node", f"{first},platform=linux/amd64",
        "--node", f"{second},platform=linux/arm64", "--format", "json",
    )  # fmt: skip
    (made,) = json.loads(shown)["builders"]
    assert made["driver"] == "remote"
    assert [node["pinned"] for node in made["nodes"]] == [["linux/amd64"], ["linux/arm64"]]
    assert [node["status"] for node in made["nodes"]] == ["running", "running"]
    assert made["nodes"][1]["emulated"][:1] == ["linux/arm64"]
    assert all(node["latency_ms"] < 1000 for node in made["nodes"])
    planned = json.loads(crossdock("plan", "--builder", "both", "--format", "json", str(project)))
    # Both daemons run on this machine, so that arm64 is emulated on its node, which the plan has to know.
    assert [(stage["strategy"], stage["node"]) for stage in planned["stages"]] == [
        ("native", "both0"),
        ("emulate", "both1"),
    ]
    assert planned["stages"][1]["reason"].endswith("programs on the node both1, which is amd64")
    build = ["build", "--builder", "both", "--no-smoke", "-o", f"type=oci,dest={tmp_path / 'app.tar'}", str(project)]
    assert nodes.ran(mark) == (0, 0)
    crossdock(*build, "--platform", "linux/amd64")
    assert nodes.ran(mark) == (1, 0)
    crossdock(*build, "--platform", "linux/arm64")
    assert nodes.ran(mark) == (1, 1)
    (project / "Dockerfile").write_text((project / "Dockerfile").read_text() + f"RUN echo both-{os.getpid()}\n")
    crossdock(*build)
    assert nodes.ran(f"both-{os.getpid()}") == (1, 1)
    crossdock("verify", "--require", "linux/amd64,linux/arm64", str(tmp_path / "app.tar"))
    crossdock("builder", "bootstrap", "both")
    crossdock("builder", "remove", "both")
    assert "both" not in builders()
    assert "there is no builder 'both'" in crossdock("builder", "show", "both", code=3)


def test_no_half_builder_stays(nodes: Nodes) -> None:
    before = builders()
    first = nodes.addresses[0]
    gone = "tcp://127.0.0.1:9"
    assert gone in crossdock("builder", "create", "half", "--node", first, "--node", gone, code=3)
    assert builders() == before
    crossdock("builder", "create", "whole", "--node", f"{first},platform=linux/amd64", "--use")
    again = crossdock("builder", "create", "whole", "--node", first, code=3)
    assert "there is a builder 'whole' already; it was left as it is" in again
    assert "whole" in builders()
    crossdock("builder", "remove", "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_one_is_taken_back(nodes: Nodes, number: signal.Signals) -> None:
    """A node that takes connections and never answers holds the making up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        argv = [sys.executable, "-m", "crossdock", "builder", "create", "late", "--node", nodes.addresses[0]]
        process = subprocess.Popen([*argv, "--node", address], stderr=subprocess.PIPE)
        time.sleep(3)
        process.send_signal(number)
        assert process.wait(60) == 130
    assert "late" not in builders()


def test_a_dry_run_makes_nothing(nodes: Nodes) -> None:
    before = builders()
    said = crossdock("builder", "create", "dry", "--dry-run", "--node", f"{nodes.addresses[0]},platform=linux/amd64")
    assert f"docker buildx create --name=dry --driver=remote --platform=linux/amd64 {nodes.addresses[0]}" in said
    assert builders() == before


# --- settings for registries, by the program that reads them here: buildah ------------------------------------------


@pytest.fixture
def secure(tmp_path: Path, base_layout: Path) -> Iterator[Registry]:
    """A registry whose certificate nobody trusts by himself, with the base image."""
    with Registry(tmp_path / "secure", tls=True) as registry:
        copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
        subprocess.run([*copy, f"oci:{base_layout}:latest", f"docker://{registry.host}/base:latest"], check=True)
        yield registry


def pull(home: Path, image: str) -> bool:
    """Whether buildah can pull it with the settings of this home."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "CONTAINERS_REGISTRIES_CONF": str(home / ".config/containers/registries.conf.d/crossdock.conf"),
    }
    command = ["buildah", "pull", "--quiet", "--policy=always", f"docker://{image}"]
    return subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False).returncode == 0


def settings(home: Path, *registries: str) -> None:
    options = [word for registry in registries for word in ("--registry", registry)]
    crossdock("builder", "settings", *options, "--for", "podman", "-o", str(home / ".config/containers"))


@pytest.mark.usefixtures("buildah_store")
def test_registries_are_reached_as_the_settings_say(
    tmp_path: Path, image_registry: Registry, secure: Registry, base_image: str
) -> None:
    plain, image = image_registry.host, f"{secure.host}/base:latest"
    (tmp_path / "nothing").mkdir()
    assert not pull(tmp_path / "nothing", base_image)
    assert not pull(tmp_path / "nothing", image)
    settings(tmp_path / "http", f"{plain},http")
    assert pull(tmp_path / "http", base_image)
    settings(tmp_path / "ca", f"{secure.host},ca={secure.certificate}")
    assert pull(tmp_path / "ca", image)
    settings(tmp_path / "mirror", f"registry.example,mirror=http://{plain}")
    assert pull(tmp_path / "mirror", "registry.example/base:latest")
