"""Several projects in one build, with both engines: shared steps, names, failures of one, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from daemon import Daemon
from registry import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@pytest.fixture
def projects(tmp_path: Path, base_image: str) -> Path:
    """Two that can be built, one whose step fails, and one whose image cannot start: they begin alike."""
    folder = tmp_path / "services"
    ends = {
        "api": 'ENTRYPOINT ["echo", "api"]',
        "broken": "RUN exit 7",
        "unfit": 'ENTRYPOINT ["/not-there"]',
        "web": 'ENTRYPOINT ["echo", "web"]',
    }
    for name, end in ends.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "Dockerfile").write_text(f"FROM {base_image}\nRUN echo common-{os.getpid()} >/c\n{end}\n")
    return folder


def build(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "crossdock", "build", "--platform", "linux/amd64", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.parametrize("engine", ["buildx", "buildah"])
def test_each_project_is_published_by_its_own_result(
    engine: str, projects: Path, image_registry: Registry, request: pytest.FixtureRequest
) -> None:
    store = request.getfixturevalue({"buildx": "docker", "buildah": "buildah_store"}[engine])
    team = f"{image_registry.host}/{engine}"
    done = build(
        "--engine", engine, "--push", "-t", f"{team}/{{name}}:1", "--format", "json",
        *(str(path) for path in sorted(projects.iterdir())),
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    found = {project["name"]: project for project in json.loads(done.stdout)["projects"]}
    assert {name: project["exit_code"] for name, project in found.items()} == {
        "api": 0, "broken": 3, "unfit": 1, "web": 0,
    }  # fmt: skip
    assert found["broken"]["report"] is None
    assert "broken | " in done.stderr
    for name in ("api", "web"):
        assert found[name]["report"]["published"] == [f"{team}/{name}:1@{found[name]['report']['digest']}"]
    inspect = ["skopeo", "inspect", "--tls-verify=false", "--raw"]
    for name, there in (("api", True), ("broken", False), ("unfit", False), ("web", True)):
        asked = subprocess.run([*inspect, f"docker://{team}/{name}:1"], capture_output=True, check=False)
        assert (asked.returncode == 0) is there, name
    if isinstance(store, Daemon):
        # The step that they have in common was run once, though each has a client of its own.
        assert store.docker("buildx", "du", "--verbose").count(f"common-{os.getpid()}") == 1


def test_the_text_names_each_project_and_its_result(projects: Path, docker: Daemon, tmp_path: Path) -> None:
    assert docker
    done = build("-o", f"type=oci,dest={tmp_path}/{{name}}.tar", str(projects / "api"), str(projects / "web"))
    assert done.returncode == 0, done.stderr
    assert [line.split() for line in done.stdout.splitlines()[-2:]] == [["api", "done"], ["web", "done"]]
    assert (tmp_path / "api.tar").is_file()
    assert (tmp_path / "web.tar").is_file()


def test_an_interrupt_ends_all_of_them(projects: Path, docker: Daemon) -> None:
    assert docker
    for name in ("api", "web"):
        with (projects / name / "Dockerfile").open("a") as file:
            file.write(f"RUN echo {name}; sleep 200\n")
    argv = [sys.executable, "-m", "crossdock", "build", "--platform", "linux/amd64"]
    process = subprocess.Popen(
        [*argv, str(projects / "api"), str(projects / "web")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    rest = subprocess.run(["pgrep", "-f", str(projects)], capture_output=True, text=True, check=False).stdout
    assert rest == ""
