"""Real programs for the integration tests, each with a place of its own that is gone when the tests end.

A missing program fails the test; tests/provision installs them all.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from assisted_site import Site
from buildkit_image import push_buildkit
from busybox import busybox, write_base_layout
from daemon import Daemon
from debian_image import write_debian_layout
from registry import Registry

from crossdock.host.binfmt import BINFMT, check_emulation, register
from crossdock.platforms import ARM64
from crossdock.process import SystemRunner


@pytest.fixture(scope="session")
def emulation() -> Iterator[None]:
    """The kernel runs arm64 programs; what was registered for that is taken back."""
    runner = SystemRunner()
    if not check_emulation((ARM64,), runner):
        yield
        return
    registration = register(ARM64, runner, name=f"crossdock-test-{os.getpid()}")
    try:
        yield
    finally:
        registration.undo()


@pytest.fixture(scope="session")
def base_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with a busybox image for amd64 and arm64, tagged ``latest``."""
    folder = tmp_path_factory.mktemp("base") / "layout"
    write_base_layout(folder, {architecture: busybox(architecture) for architecture in ("amd64", "arm64")})
    return folder


@pytest.fixture(scope="session")
def image_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="session")
def base_image(base_layout: Path, image_registry: Registry) -> str:
    """The reference of the base image in a registry."""
    reference = f"{image_registry.host}/base:latest"
    copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci:{base_layout}:latest", f"docker://{reference}"], check=True)
    return reference


@pytest.fixture(scope="session")
def docker_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Docker with the containerd image store, the default from 29 on."""
    with Daemon(tmp_path_factory.mktemp("docker") / "d", containerd=True) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def classic_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Docker with its own image store, which exports one platform at a time."""
    with Daemon(tmp_path_factory.mktemp("classic") / "d", containerd=False) as daemon:
        yield daemon


@pytest.fixture
def docker(docker_daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Daemon:
    """``docker`` means the daemon with the containerd store."""
    return _use(docker_daemon, monkeypatch, tmp_path)


@pytest.fixture
def classic_docker(classic_daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Daemon:
    """``docker`` means the daemon with the classic store."""
    return _use(classic_daemon, monkeypatch, tmp_path)


def _use(daemon: Daemon, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Daemon:
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    monkeypatch.setenv("BUILDX_CONFIG", str(folder / "buildx"))
    for name in ("DOCKER_CONTEXT", "BUILDX_BUILDER"):
        monkeypatch.delenv(name, raising=False)
    return daemon


@dataclass(frozen=True)
class BuildahStore:
    """A store of containers/storage that stands for the user's."""

    folder: Path

    def holds(self) -> tuple[str, str]:
        """What is in it: containers and images."""

        def listed(*argv: str) -> str:
            return subprocess.run(["buildah", *argv], check=True, capture_output=True, text=True).stdout.strip()

        return listed("containers", "--all", "--quiet"), listed("images", "--all", "--quiet")


@pytest.fixture
def buildah_store(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, image_registry: Registry
) -> Iterator[BuildahStore]:
    """``buildah`` uses a store of the test's own, and speaks plain HTTP with the test registry."""
    folder = tmp_path_factory.mktemp("store")
    lines = ["[storage]", 'driver = "overlay"']
    lines += [f"graphroot = {json.dumps(str(folder / 'root'))}", f"runroot = {json.dumps(str(folder / 'run'))}"]
    (folder / "storage.conf").write_text("\n".join(lines) + "\n")
    registries = f'[[registry]]\nlocation = "{image_registry.host}"\ninsecure = true\n'
    (folder / "registries.conf").write_text(registries)
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(folder / "storage.conf"))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(folder / "registries.conf"))
    monkeypatch.delenv("BUILDAH_ISOLATION", raising=False)
    yield BuildahStore(folder)
    subprocess.run(["buildah", "rm", "--all"], check=False, capture_output=True)
    subprocess.run(["buildah", "rmi", "--all", "--force"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def buildkit(docker_daemon: Daemon, image_registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its image, in a registry as a closed network has one."""
    reference = f"{image_registry.host}/moby/buildkit:buildx-stable-1"
    push_buildkit(docker_daemon, tmp_path_factory.mktemp("buildkit"), reference)
    return reference


@pytest.fixture(scope="module")
def far_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("far") / "d", containerd=True) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory, image_registry: Registry) -> str:
    """The reference of a Debian image of both platforms."""
    folder = tmp_path_factory.mktemp("debian")
    write_debian_layout(folder)
    reference = f"{image_registry.host}/debian:latest"
    copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci:{folder}/layout:latest", f"docker://{reference}"], check=True)
    return reference


@pytest.fixture(params=["buildx", "buildah"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    request.getfixturevalue({"buildx": "docker", "buildah": "buildah_store"}[request.param])
    (tmp_path / "context").mkdir()
    (tmp_path / "work").mkdir()
    yield Site(request.param, tmp_path / "context", tmp_path / "work")
    assert not list(BINFMT.glob("crossdock-assist-*-" + str(os.getpid())))
