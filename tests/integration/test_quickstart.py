"""quickstart from a clean clone, with buildah, and what verify says when one fix is withheld."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from upstream import serving

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Clone:
    """A clone of this checkout's last commit in which quickstart ran."""

    folder: Path
    exit_code: int
    output: str

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, check=False, timeout=600)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    folder = tmp_path_factory.mktemp("clone") / "crossdock"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True, timeout=60)
    return _quickstart(folder)


def _quickstart(folder: Path) -> Clone:
    done = subprocess.run(
        ["./quickstart", "--engine", "buildah"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "NO_COLOR": "1"},
    )
    return Clone(folder, done.returncode, done.stdout)


@pytest.fixture
def upstream(clone: Clone) -> Iterator[str]:
    """The address of the local upstream that quickstart prepared."""
    work = clone.folder / ".work/quickstart"
    python = str(clone.folder / ".venv/bin/python")
    with serving(clone.folder, python, work / "upstream", work / "address") as address:
        yield address


def _build(clone: Clone, upstream: str, project: Path, archive: Path) -> subprocess.CompletedProcess[str]:
    images = clone.folder / ".work/quickstart/upstream/images"
    return clone.run(
        ".venv/bin/crossdock", "build", "--port", str(project), "--engine", "buildah", "--network", "host",
        "-t", "stationd", "-o", f"type=oci,dest={archive}", "--build-arg", f"GITHUB=http://{upstream}/github.com",
        "--build-context", f"debian:12-slim=oci-layout://{images}/debian/12-slim:12-slim",
        "--build-context", f"buildpack-deps:bookworm=oci-layout://{images}/buildpack-deps/bookworm:bookworm",
    )  # fmt: skip


def test_quickstart_ends_green_and_leaves_the_clone_as_it_was(clone: Clone) -> None:
    assert clone.exit_code == 0, clone.output[-6000:]
    assert re.search(r"^Done in \d+ s: an image index for linux/amd64 and linux/arm64, verified", clone.output, re.M)
    assert clone.run("git", "status", "--porcelain").stdout == ""

    raw = clone.run("skopeo", "inspect", "--raw", "oci-archive:.work/quickstart/stationd.tar")
    index = json.loads(raw.stdout)
    platforms = [entry["platform"]["architecture"] for entry in index["manifests"]]
    assert sorted(platforms) == ["amd64", "arm64"]


def test_a_second_run_sets_nothing_up_again(clone: Clone) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (clone.folder / ".venv").glob("holds-*")}
    again = _quickstart(clone.folder)
    assert again.exit_code == 0, again.output[-6000:]
    assert "installing" not in again.output
    assert "fetching" not in again.output
    assert stamps == {path: path.stat().st_mtime_ns for path in (clone.folder / ".venv").glob("holds-*")}


def test_one_fix_withheld_is_stopped_by_verify(clone: Clone, upstream: str, tmp_path: Path) -> None:
    """tini's suffix-less address stays, so amd64's init is in the arm64 image."""
    project = tmp_path / "service"
    subprocess.run(["cp", "-r", str(clone.folder / "examples/legacy-service"), str(project)], check=True)
    dockerfile = project / "Dockerfile"
    instruction = "ADD $GITHUB/krallin/tini"
    text = dockerfile.read_text()
    assert text.count(instruction) == 1
    dockerfile.write_text(text.replace(instruction, f"# crossdock: ignore=amd64-download a test\n{instruction}"))

    archive = tmp_path / "image.tar"
    done = _build(clone, upstream, project, archive)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert re.search(r"binaries +linux/arm64 +✗ failed +/usr/local/bin/tini ", done.stdout)
    assert not re.search(r"linux/amd64 +✗ failed", done.stdout)
    instructions = re.findall(r"^ +from +(.*?)^ +do ", done.stdout, re.M | re.S)
    assert instructions, done.stdout
    assert all("tini" in " ".join(text.split()) for text in instructions), instructions
    assert not archive.exists()
