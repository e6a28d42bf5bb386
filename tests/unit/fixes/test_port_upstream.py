"""Every project of the catalogue is ported, in a world where only its true file for arm64 exists."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossdock.fixes.port import port
from crossdock.http.evidence import Evidence, EvidenceStatus
from crossdock.rules.upstream import FOLDER, read_project
from crossdock.source import Source


class OnlyOne:
    """A world with one file in it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def exists(self, url: str) -> Evidence:
        return Evidence(url, EvidenceStatus.FOUND if url == self.url else EvidenceStatus.MISSING, "scripted")

    def fetch_text(self, url: str) -> str | None:
        return None

    def fetch_digest(self, url: str, algorithm: str = "sha256") -> str:
        raise AssertionError("no digest is asked for")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_a_download_is_ported_without_a_rest(path: Path) -> None:
    for files in read_project(path):
        if not (files.never or files.neutral):
            amd64, arm64 = files.examples
            for line in (f'RUN curl -fsSL -o /tmp/x "{amd64}"', f"ADD {amd64} /tmp/x"):
                source = Source("Dockerfile", f"FROM debian\n{line}\n".encode())
                result = port(source, context=None, build_args={}, prober=OnlyOne(arm64))
                assert result.left == (), line
                assert result.applied[0].fix
                assert [claim.url for claim in result.applied[0].fix.claims] == [arm64]
