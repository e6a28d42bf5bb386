"""A context with exchanged files leaves the user's tree as it is."""

import stat
from pathlib import Path

import pytest

from crossdock.engines.shadow import shadow_context
from crossdock.read.context import load_context


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "scripts").mkdir(parents=True)
    (root / "scripts").chmod(0o750)
    (root / "Dockerfile").write_text("FROM scratch\n")
    (root / "scripts/install.sh").write_text("curl tool-amd64\n")
    (root / "scripts/install.sh").chmod(0o755)
    (root / "scripts/link.sh").symlink_to("install.sh")
    (root / "secret.key").write_text("k")
    (root / ".dockerignore").write_text("*.key\n")
    return root


def test_without_exchanged_files_the_context_itself_is_used(project: Path, tmp_path: Path) -> None:
    assert shadow_context(load_context(project, project / "Dockerfile"), tmp_path) == project


def test_exchanged_files_are_in_the_copy_only(project: Path, tmp_path: Path) -> None:
    context = load_context(project, project / "Dockerfile").with_files({"scripts/install.sh": b"curl tool-arm64\n"})
    work = tmp_path / "work"
    work.mkdir()
    shadow = shadow_context(context, work)
    assert (shadow / "scripts/install.sh").read_text() == "curl tool-arm64\n"
    assert (project / "scripts/install.sh").read_text() == "curl tool-amd64\n"
    assert stat.S_IMODE((shadow / "scripts/install.sh").stat().st_mode) == 0o755
    assert stat.S_IMODE((shadow / "scripts").stat().st_mode) == 0o750
    assert (shadow / "scripts/link.sh").is_symlink()
    assert (shadow / "Dockerfile").read_text() == "FROM scratch\n"
    assert not (shadow / "secret.key").exists()
