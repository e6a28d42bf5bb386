"""check and port ask the indexes that this machine is configured with, and with --offline nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from index_server import IndexServer

from crossdock.cli.main import main
from crossdock.errors import ExitCode

PAGE = json.dumps({"files": [{"filename": "fast-1.0-cp311-cp311-manylinux2014_x86_64.whl"}]}).encode()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Dockerfile").write_text(
        "FROM python:3.11-slim-bookworm\nRUN apt-get install -y curl\n"
        "COPY requirements.txt .\nRUN pip install -r requirements.txt\n"
    )
    (tmp_path / "requirements.txt").write_text("fast==1.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


def found(capsys: pytest.CaptureFixture[str]) -> tuple[list[tuple[str, int, str]], list[dict[str, str]]]:
    """The findings, and what was not looked up about packages (images are another matter)."""
    document = json.loads(capsys.readouterr().out)
    skipped = [entry for entry in document["skipped"] if "packages" in entry["what"]]
    return [(f["path"], f["line"], f["message"]) for f in document["findings"]], skipped


def test_check_asks_the_configured_index(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with IndexServer({"simple/fast/": PAGE}) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        assert main(["check", "--format", "json", "."]) == ExitCode.FINDINGS
        told = "fast 1.0 does not exist for arm64: 127.0.0.1 has wheels of 1.0 for x86_64 only"
        assert found(capsys) == ([("requirements.txt", 1, told)], [])
        assert main(["port"]) == ExitCode.FINDINGS
        assert "has wheels of 1.0 for x86_64 only" in " ".join(capsys.readouterr().err.split())
        assert len(server.seen) == 1, "the second answer comes from the disk"
    assert (project / "home/.cache/crossdock/packages").is_dir()


def test_offline_nobody_is_asked(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with IndexServer({"simple/fast/": PAGE}) as server:
        monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
        assert main(["check", "--offline", "--format", "json", "."]) == ExitCode.DONE
        skipped = [{"what": "pip packages that the catalogue does not know", "why": "not looked up: --offline"}]
        assert found(capsys) == ([], skipped)
        assert server.seen == []


def test_an_index_out_of_reach_is_said_and_is_no_finding(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with IndexServer() as stopped:
        pass
    monkeypatch.setenv("PIP_INDEX_URL", f"{stopped.url}/simple")
    assert main(["check", "--format", "json", "."]) == ExitCode.DONE
    findings, (skipped,) = found(capsys)
    assert findings == []
    assert skipped["what"] == "pip packages that the catalogue does not know"
    assert skipped["why"].startswith("not looked up: 127.0.0.1: ")
