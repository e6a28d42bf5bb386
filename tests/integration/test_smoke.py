"""crossdock verify starting images with real engines: here, emulated, and on a machine over ssh; HEALTHCHECK, words in
place of CMD, and what is said of an image that hangs or cannot start. Nothing stays."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from changed_image import changed
from daemon import Daemon
from ssh_server import SshServer

from crossdock.platforms import AMD64, ARM64

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation"), pytest.mark.timeout(300)]
SERVICE = ["sh", "-c", "sleep 1; echo up > /tmp/ready; while true; do sleep 1; done"]
HEALTHY = {"Test": ["CMD-SHELL", "grep -q up /tmp/ready"], "Interval": 30 * 10**9}

Results = list[dict[str, Any]]


def verify(*arguments: str, code: int = 0) -> Results:
    """What the checks that start something have said."""
    command = [sys.executable, "-m", "crossdock", "verify", "--format", "json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == code, (done.stdout, done.stderr)
    results: Results = json.loads(done.stdout)["results"]
    return [entry for entry in results if entry["check"] in ("smoke", "healthcheck", "commands")]


@pytest.fixture
def ssh(docker: Daemon, far_daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """The way to another machine's Docker."""
    for name in ("SSH_AUTH_SOCK", "SSH_ASKPASS", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with SshServer(tmp_path / "ssh", far_daemon.host) as server:
        monkeypatch.setenv("PATH", f"{server.program}:{os.environ['PATH']}")
        yield server


def test_a_healthy_service_is_told_as_soon_as_it_is(docker: Daemon, base_layout: Path, tmp_path: Path) -> None:
    before = docker.holds()
    image = changed(base_layout, tmp_path, (AMD64, ARM64), Cmd=SERVICE, Healthcheck=HEALTHY)
    results = verify("--engine", "docker", "--smoke-timeout", "60", image)
    passed = [("smoke", "passed"), ("healthcheck", "passed")]
    assert [(entry["check"], entry["status"]) for entry in results] == 2 * passed
    assert {entry["message"].split(" and ")[0] for entry in results if entry["check"] == "smoke"} == {
        "started natively",
        "started emulated",
    }
    assert docker.holds() == before


def test_a_healthcheck_that_cannot_be_run_is_told(docker: Daemon, base_layout: Path, tmp_path: Path) -> None:
    broken = {"Test": ["CMD", "curl", "-f", "http://localhost/"]}
    image = changed(base_layout, tmp_path, (ARM64,), Cmd=SERVICE, Healthcheck=broken)
    smoke, health = verify("--engine", "docker", "--smoke-timeout", "30", image, code=1)
    assert smoke["status"] == "passed"
    assert health["message"].startswith("HEALTHCHECK `curl -f http://localhost/` cannot be run: ")
    assert "curl" in health["message"].partition("run: ")[2]


def test_an_image_in_a_registry_is_started_as_well(docker: Daemon, base_image: str) -> None:
    (smoke,) = verify(
        "--engine", "docker", "--platform", "linux/arm64", "--run", "true", "--smoke-timeout", "60", base_image
    )
    assert smoke["status"] == "passed"


def test_an_instruction_that_the_processor_lacks_is_told(docker: Daemon, base_layout: Path, tmp_path: Path) -> None:
    """As the first program of its container, where QEMU would hang, and as one that a shell has started."""
    files = {"app": undefined_instruction()}
    image = changed(base_layout, tmp_path / "first", (ARM64,), files, Entrypoint=["/app"])
    (smoke,) = verify("--engine", "docker", "--smoke-timeout", "30", image, code=1)
    assert smoke["message"].startswith("illegal instruction, after ")
    assert "SIGILL" in smoke["message"]
    image = changed(base_layout, tmp_path / "second", (ARM64,), files, Entrypoint=["sh", "-c"], Cmd=["/app; exit $?"])
    (smoke,) = verify("--engine", "docker", "--smoke-timeout", "30", image, code=1)
    assert smoke["message"].startswith("illegal instruction, after ")


def undefined_instruction() -> bytes:
    """A static arm64 program that executes ``udf #0`` (Arm ARM, C6.2, UDF), which no processor will ever have."""
    size = 64 + 56 + 4
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQ", 2, 183, 1, 0x400000 + size - 4, 64, 0)
    head += struct.pack("<IHHHHHH", 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x10000) + bytes(4)


@pytest.mark.parametrize("engine", ["docker", "podman", "buildah"])
def test_words_in_place_of_cmd_and_what_hangs(
    engine: str, request: pytest.FixtureRequest, base_layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request.getfixturevalue("docker" if engine == "docker" else "buildah_store")
    if engine == "podman":
        (tmp_path / "containers.conf").write_text('[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n')
        monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    image = changed(base_layout, tmp_path, (ARM64,), Entrypoint=["sh", "-c"], Healthcheck=HEALTHY)
    scripts = "uname -m | grep aarch64", "echo no such file >&2; exit 3", "echo so far; sleep 77"
    words = [word for script in scripts for word in ("--run", f"'{script}'")]
    good, bad, hung = verify("--engine", engine, "--smoke-timeout", "4", *words, image, code=1)
    assert good["status"] == "passed"
    assert "emulated and ended with 0" in good["message"]
    assert "ended with exit code 3 after" in bad["message"]
    assert bad["message"].endswith(": no such file")
    assert "hung: still running after 4.0 s." in hung["message"]
    assert "sleep 77" in hung["message"].partition("still running")[2]
    assert hung["message"].endswith("It printed last: so far")


def test_what_fits_a_machine_over_ssh_runs_there(
    docker: Daemon, far_daemon: Daemon, ssh: SshServer, base_layout: Path, tmp_path: Path
) -> None:
    before, far_before = docker.holds(), far_daemon.holds()
    image = changed(base_layout, tmp_path, (AMD64, ARM64), Cmd=SERVICE, Healthcheck=HEALTHY)
    results = verify("--node", ssh.address, "--engine", "docker", "--smoke-timeout", "60", image)
    told = [entry["message"].split(" and ")[0] for entry in results if entry["check"] == "smoke"]
    assert told == [f"started natively on {ssh.address}", "started emulated"]
    assert [entry["status"] for entry in results] == ["passed"] * 4
    assert (docker.holds(), far_daemon.holds()) == (before, far_before)

    (tmp_path / "tests.yaml").write_text(
        "schemaVersion: 2.0.0\ncommandTests:\n- {name: echo, command: echo, args: [a], expectedOutput: [a]}\n"
    )
    only = ["--platform", "linux/amd64", "--no-smoke", "--tests", str(tmp_path / "tests.yaml"), image]
    (command,) = verify("--node", ssh.address, *only)
    assert command["status"] == "passed"


def test_a_machine_that_is_not_reached_is_told(docker: Daemon, ssh: SshServer, base_layout: Path) -> None:
    ssh.forget_key()
    command = [sys.executable, "-m", "crossdock", "verify", "--node", ssh.address, f"oci:{base_layout}:latest"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 3
    assert "Permission denied (publickey)" in done.stderr
