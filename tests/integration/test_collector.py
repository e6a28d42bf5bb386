"""The collector under the shells that machines have, and in surroundings that wish it ill."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from busybox import busybox

from crossdock.doctor.material import collector, read_facts
from crossdock.platforms import host_platform

SECRET = "geheim-12345"


def _run(*argv: str, **environment: str) -> str:
    done = subprocess.run(
        [*argv, "-s"], input=collector().encode(), capture_output=True, timeout=120, check=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.stderr == b""
    return done.stdout.decode()


@pytest.fixture(scope="module")
def ash(tmp_path_factory: pytest.TempPathFactory) -> str:
    program = tmp_path_factory.mktemp("busybox") / "busybox"
    program.write_bytes(busybox("amd64"))
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_collects_the_same(shell: str, ash: str) -> None:
    facts = read_facts(_run(ash, "sh") if shell == "busybox" else _run(shell), "here")
    assert facts.platform == host_platform()
    assert facts.runs[facts.platform.architecture] is True
    assert facts.runs_in_empty_root is (os.geteuid() == 0)
    assert facts.page_size == os.sysconf("SC_PAGESIZE")
    assert facts.cpu.cores == os.cpu_count()
    assert facts.kernel == os.uname().release
    assert facts.os_release["ID"] in Path("/etc/os-release").read_text()
    assert any(disk.path == "/" for disk in facts.disks)
    assert facts.memory
    assert facts.memory > 1 << 28
    assert facts.package_managers
    assert facts.cgroup in (0, 1, 2)


def test_no_temporary_file_is_left(tmp_path: Path) -> None:
    _run("sh", TMPDIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def hostile(tmp_path: Path) -> dict[str, str]:
    """A home with a login in it, proxies with passwords, and a docker that hangs and babbles."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    (home / ".docker").mkdir(parents=True)
    login = {"auths": {"registry.example": {"auth": SECRET}}, "experimental": "enabled"}
    (home / ".docker/config.json").write_text(json.dumps(login))
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(
        "#!/bin/sh\n"
        f"printf 'a\\377\\001\"\\\\ http://me:{SECRET}@proxy.example\\n\\t\\033[1mend'\n"
        f'case "$1 $2" in "info --format") echo "https://me:{SECRET}@x/" >&2; exec sleep 300 ;; esac\n'
    )
    docker.chmod(0o755)
    return {
        "HOME": str(home),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "https_proxy": f"http://me:{SECRET}@proxy.example:3128",
        "DOCKER_HOST": f"tcp://me:{SECRET}@docker.example:2375",
        "SUDO_USER": "",
    }


def test_no_password_leaves_the_machine_and_nothing_hangs(hostile: dict[str, str]) -> None:
    text = _run("sh", **hostile)
    assert SECRET not in text
    facts = read_facts(text, "here")
    assert facts.proxy["https_proxy"] == "http://***@proxy.example:3128"
    assert facts.docker is not None
    assert facts.docker.server == ""
    assert facts.docker.config_json == "valid"
    assert facts.docker.client_experimental
    said = json.loads(text)["commands"]["docker --version"]["output"]
    assert said.startswith('a"\\ http://***@proxy.example')


@pytest.mark.parametrize(("text", "found"), [("", "empty"), (" \n", "empty"), ("{", "invalid"), ("[1]", "invalid")])
def test_of_dockers_configuration_only_its_state_is_told(hostile: dict[str, str], text: str, found: str) -> None:
    (Path(hostile["HOME"]) / ".docker/config.json").write_text(text)
    (Path(hostile["PATH"].split(":")[0]) / "docker").write_text("#!/bin/sh\n")
    docker = read_facts(_run("sh", **hostile), "here").docker
    assert docker is not None
    assert docker.config_json == found
    assert not docker.client_experimental
