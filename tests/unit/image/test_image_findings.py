"""The rules about images against a served registry: check, decide, port."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulty import Server, closed_port
from hosted import entry, index_of, put, put_single, put_tags, registries

from crossdock.cli.main import main
from crossdock.errors import ExitCode
from crossdock.fixes.port import PortResult, port
from crossdock.http.client import Http
from crossdock.http.evidence import WebProber
from crossdock.image.lookup import ImageFinder
from crossdock.image.stream import digest_of
from crossdock.source import Source


def ported(text: str, http: Http, *, unsafe: bool = False) -> PortResult:
    return port(
        Source("Dockerfile", text.encode()),
        context=None,
        build_args={},
        prober=WebProber(http),
        look_up=ImageFinder(registries(http)),
        unsafe=unsafe,
    )


def test_a_single_digest_becomes_that_of_the_index(server: Server, http: Http) -> None:
    body = put_single(server, "team/app:amd64-only", "linux/amd64")
    index = put(server, "team/app:1", index_of(entry("linux/amd64", body), "linux/arm64"))
    pinned = f"{server.host}/team/app:1@{digest_of(body)}"
    result = ported(f"FROM {pinned}\n", http)
    assert [decision.finding.rule for decision in result.applied] == ["single-arch-digest"]
    assert result.dockerfile.data.decode() == f"FROM {server.host}/team/app:1@{index}\n"
    assert result.left == ()


def test_another_tag_is_taken_only_on_request(server: Server, http: Http) -> None:
    put(server, "team/app:1", index_of("linux/amd64"))
    put(server, "team/app:2")
    put_tags(server, "team/app", "1", "2")
    text = f"FROM {server.host}/team/app:1\nCOPY --from={server.host}/team/app:2 /x /x\n"
    (left,) = ported(text, http).left
    assert "team/app:2 (another tag of the same repository)" in left.finding.message
    result = ported(text, http, unsafe=True)
    assert result.dockerfile.data.decode() == text.replace("app:1", "app:2")
    assert result.left == ()


def test_an_image_is_asked_for_once_however_often_files_are_checked(server: Server, http: Http) -> None:
    put(server, "team/app:1")
    finder = ImageFinder(registries(http))
    for _ in range(3):
        assert not finder([f"{server.host}/team/app:1"])[f"{server.host}/team/app:1"].error
    assert server.requests() == ["GET /v2/team/app/manifests/1"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def test_check_asks_for_the_images_of_all_files_once(
    server: Server, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(server, "team/app:1", index_of("linux/amd64"))
    put(server, "team/base:1")
    put_tags(server, "team/app", "1")
    for name in ("a", "b"):
        (project / name).mkdir()
        (project / name / "Dockerfile").write_text(
            f"FROM {server.host}/team/base:1\nCOPY --from={server.host}/team/app:1 /x /x\n"
        )
    assert main(["check", "."]) == ExitCode.FINDINGS
    out = capsys.readouterr().out
    assert out.count("team/app:1 has no linux/arm64; no other tag or image was found") == 2
    assert server.count("GET", "/v2/team/app/manifests/1") == 1
    assert server.count("GET", "/v2/team/base/manifests/1") == 1


def test_check_of_an_image_that_cannot_be_reached_finds_nothing_and_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = f"127.0.0.1:{closed_port()}/team/app:1"
    (project / "Dockerfile").write_text(f"FROM {image}\n")
    assert main(["check", "."]) == ExitCode.DONE
    assert f"image {image}: " in capsys.readouterr().out


def test_check_offline_asks_nobody(server: Server, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "Dockerfile").write_text(f"FROM {server.host}/team/app:1\n")
    assert main(["check", "--offline", "."]) == ExitCode.DONE
    assert "not looked up: --offline" in capsys.readouterr().out
    assert server.requests() == []
