"""Builders whose nodes are on other machines: over ssh, by a real sshd before a Docker of its own; and in a cluster."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from made_builders import builders, crossdock, left
from ssh_server import SshServer

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def ssh(docker: Daemon, far_daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """The way to the far machine, the only one of which ``ssh`` knows."""
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with SshServer(tmp_path / "ssh", far_daemon.host) as server:
        monkeypatch.setenv("PATH", f"{server.program}:{os.environ['PATH']}")
        yield server
    for daemon in (docker, far_daemon):
        for name in left(daemon):  # a test that fails leaves nothing to the next one
            daemon.docker(*(("volume", "rm") if name.endswith("_state") else ("rm", "--force")), name)


@pytest.mark.usefixtures("emulation")
def test_a_machine_over_ssh_and_this_one_are_one_builder(
    docker: Daemon, far_daemon: Daemon, ssh: SshServer, buildkit: str, base_image: str, tmp_path: Path
) -> None:
    shown = crossdock(
        "builder", "create", "two", "--network", "host", "--driver-opt", f"image={buildkit}", "--bootstrap", "--node",
        docker.host, "--node", f"{ssh.address},platform=linux/arm64", "--format", "json",
    )  # fmt: skip
    (made,) = json.loads(shown)["builders"]
    assert [node["endpoint"] for node in made["nodes"]] == [docker.host, ssh.address]
    assert [node["status"] for node in made["nodes"]] == ["running", "running"]
    assert [node["pinned"] for node in made["nodes"]] == [["linux/amd64"], ["linux/arm64"]]
    # To be answered over ssh takes another ssh each time.
    assert made["nodes"][0]["latency_ms"] < made["nodes"][1]["latency_ms"] < 20_000

    mark, archive, project = f"mark-{os.getpid()}", tmp_path / "app.tar", tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text(f"FROM {base_image}\nRUN echo {mark} && uname -m > /machine\n")
    crossdock("build", "--builder", "two", "--no-smoke", "-o", f"type=oci,dest={archive}", str(project))
    crossdock("verify", "--require", "linux/amd64,linux/arm64", str(archive))
    for daemon, number in ((docker, 0), (far_daemon, 1)):
        used = daemon.docker("exec", f"buildx_buildkit_two{number}", "buildctl", "du", "--verbose")
        assert used.count(mark) == 1, "each platform has run on its own node, and only there"

    crossdock("builder", "remove", "two")
    assert left(docker) == left(far_daemon) == []


@pytest.mark.parametrize(
    ("trouble", "said", "advice"),
    [
        ("forget_key", "Permission denied (publickey)", "ssh-copy-id"),
        ("forget_host", "Host key verification failed", "Run it once by hand"),
        ("stop", "Connection refused", "that the machine runs"),
    ],
)
def test_a_machine_that_is_not_reached(docker: Daemon, ssh: SshServer, trouble: str, said: str, advice: str) -> None:
    """Nothing is made, and it is said what ssh has said."""
    before = builders()
    getattr(ssh, trouble)()
    port = ssh.address.rpartition(":")[2]
    answer = crossdock("builder", "create", "half", "--node", docker.host, "--node", ssh.address, code=3)
    assert f"{ssh.address}: ssh does not reach a Docker there: " in answer
    assert said in answer
    assert f"-p {port} 127.0.0.1 docker version` has to work" in answer
    assert advice in answer
    assert builders() == before
    assert left(docker) == []


def test_a_docker_that_does_not_run_there(docker: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SshServer(tmp_path / "ssh", f"unix://{tmp_path}/none") as server:
        monkeypatch.setenv("PATH", f"{server.program}:{os.environ['PATH']}")
        said = crossdock("builder", "create", "half", "--node", server.address, code=3)
    assert f"{server.address}: Docker is installed, but its daemon does not answer" in said
    assert "On that machine: Start it with `sudo systemctl start docker`" in said
    assert left(docker) == []


def test_a_builder_is_removed_though_its_machine_is_gone(
    docker: Daemon, far_daemon: Daemon, ssh: SshServer, buildkit: str
) -> None:
    """buildx forgets the builder and stops at that machine; what is on the others is removed all the same."""
    crossdock(
        "builder", "create", "two", "--driver-opt", f"image={buildkit}", "--bootstrap", "--node",
        f"{ssh.address},platform=linux/arm64", "--node", docker.host,
    )  # fmt: skip
    assert left(docker)
    ssh.stop()
    (shown,) = json.loads(crossdock("builder", "show", "two", "--format", "json"))["builders"]
    assert "Connection refused" in shown["nodes"][0]["error"]
    assert shown["notes"] == [], "what is pinned on a machine that is gone is not known"
    said = crossdock("builder", "remove", "two", code=3)
    assert "buildx has forgotten the builder 'two', but not all of it could be removed" in said
    assert f"`docker --host {ssh.address} rm --force --volumes buildx_buildkit_two0 && docker" in said
    assert "two" not in builders()
    assert left(docker) == []
    assert left(far_daemon) == ["buildx_buildkit_two0", "buildx_buildkit_two0_state"]


@pytest.mark.usefixtures("docker")
def test_without_a_cluster_there_are_no_nodes_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_MASTER"):
        monkeypatch.delenv(name, raising=False)
    before = builders()
    create = ["builder", "create", "pods", "--bootstrap", "--node", "k8s://ci/build-arm,platform=linux/arm64"]
    said = crossdock(*create, code=3)
    assert "the builder 'pods' could not be made" in said
    assert "set KUBECONFIG" in said
    config = tmp_path / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
    )
    monkeypatch.setenv("KUBECONFIG", str(config))
    assert "127.0.0.1:9" in crossdock(*create, code=3), "this cluster does not answer"
    assert builders() == before
