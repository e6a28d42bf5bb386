"""crossdock as a plugin of the real Docker command line (no daemon is needed for that)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crossdock import __version__

pytestmark = pytest.mark.integration
DEBIAN = Path("/usr/bin/docker")


@pytest.fixture
def docker(tmp_path: Path):
    """Runs `docker …` with the one link that the documentation gives."""
    client = DEBIAN if DEBIAN.exists() else shutil.which("docker")
    assert client, "the docker client is missing: tests/provision installs it"
    plugins = tmp_path / "config/cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-crossdock").symlink_to(Path(sys.executable).parent / "docker-crossdock")
    env = {**os.environ, "DOCKER_CONFIG": str(tmp_path / "config")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [client, *arguments], capture_output=True, text=True, env=env, cwd=tmp_path, check=False, timeout=60
        )

    return run


def test_docker_lists_it(docker) -> None:
    assert "crossdock*  Make container projects built for amd64 run on Arm" in docker("--help").stdout


def test_docker_runs_it(docker) -> None:
    assert docker("crossdock", "--version").stdout == f"crossdock {__version__}\n"
    assert docker("crossdock", "--help").stdout.startswith("Usage: docker crossdock VERB")
    assert docker("help", "crossdock").stdout.startswith("Usage: docker crossdock VERB")
    assert docker("crossdock", "check", "--help").stdout.startswith("Usage: docker crossdock check")


def test_exit_codes_come_through(docker, tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM --platform=linux/amd64 debian\n")
    assert docker("crossdock", "check", "--offline", ".").returncode == 1
    dockerfile.write_text("FROM debian\n")
    assert docker("crossdock", "check", "--offline", ".").returncode == 0
    assert docker("crossdock", "check", "--no-such-option").returncode == 2
    assert docker("crossdock", "check", "nowhere").returncode == 3
