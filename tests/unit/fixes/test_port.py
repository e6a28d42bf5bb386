"""Porting a whole project in memory, and writing it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from crossdock.errors import CrossdockError
from crossdock.findings import Confidence, Finding, Fix, Safety, Severity, locate
from crossdock.fixes.port import PortResult, port, write_changes
from crossdock.http.evidence import Evidence, EvidenceStatus
from crossdock.image.availability import ImagePlatforms, PlatformImage
from crossdock.platforms import AMD64, ARM64
from crossdock.read.context import load_context
from crossdock.rules.check import CheckReport
from crossdock.source import Edit, Source, Span, write_atomically

DOCKERFILE = """\
FROM --platform=linux/amd64 debian:12-slim
ARG TARGETARCH=amd64
RUN curl -fsSLo /bin/yq https://example.org/yq/v4.2/yq_linux_amd64
COPY install.sh /install.sh
RUN sh /install.sh
"""
SCRIPT = "#!/bin/sh\nset -e\ncurl -fsSLo /bin/gosu https://example.org/gosu/1.14/gosu-amd64\n"


class Web:
    """Everything for arm64 exists, except what is in ``missing``."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing

    def exists(self, url: str) -> Evidence:
        found = "arm64" in url and not any(part in url for part in self.missing)
        return Evidence(url, EvidenceStatus.FOUND if found else EvidenceStatus.MISSING, "scripted")

    def fetch_text(self, url: str) -> str | None:
        return None

    def fetch_digest(self, url: str, algorithm: str = "sha256") -> str:
        raise AssertionError("no digest is asked for")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "install.sh").write_text(SCRIPT)
    return tmp_path


def both_platforms(references: Sequence[str]) -> dict[str, ImagePlatforms]:
    """What a registry says of an image that is there for both."""
    have = (PlatformImage(AMD64, "sha256:" + "0" * 64), PlatformImage(ARM64, "sha256:" + "1" * 64))
    return {reference: ImagePlatforms(reference, "sha256:" + "2" * 64, have) for reference in references}


def ported(project: Path, web: Web | None, *rules: str, unsafe: bool = False) -> PortResult:
    path = project / "Dockerfile"
    return port(
        Source(str(path), path.read_bytes()),
        context=load_context(project, path),
        build_args={},
        prober=web,
        look_up=both_platforms if web else None,
        unsafe=unsafe,
        wanted=(lambda finding: finding.rule in rules) if rules else (lambda _: True),
    )


def test_everything_is_mended_in_memory_and_the_tree_stays(project: Path) -> None:
    result = ported(project, Web())
    assert [finding.rule for finding in result.found] == [
        "pinned-platform",
        "shadowed-platform-argument",
        "amd64-download",
        "amd64-download",
    ]
    assert result.left == ()
    assert [Path(change.after.path).name for change in result.changes] == ["Dockerfile", "install.sh"]
    text = result.dockerfile.data.decode()
    assert text.startswith("FROM debian:12-slim\nARG TARGETARCH\n")
    assert "yq_linux_${TARGETARCH}" in text
    assert result.context is not None
    assert b"gosu-amd64" not in (result.context.read("install.sh") or b"")
    assert (project / "Dockerfile").read_text() == DOCKERFILE
    assert (project / "install.sh").read_text() == SCRIPT


def test_porting_what_was_ported_changes_nothing(project: Path) -> None:
    write_changes(ported(project, Web()).changes)
    again = ported(project, Web())
    assert again.changes == again.found == again.left == ()


def test_what_has_no_counterpart_is_left_with_its_reason_and_the_rest_mended(project: Path) -> None:
    result = ported(project, Web("gosu"))
    (left,) = result.left
    assert left.finding.location.path.endswith("install.sh")
    assert "no arm64 counterpart was found" in left.reason
    assert len(result.applied) == 3


def test_offline_only_what_needs_no_looking_up_is_mended_unless_asked(project: Path) -> None:
    result = ported(project, None)
    assert {decision.finding.rule for decision in result.applied} == {"shadowed-platform-argument"}
    pinned, *downloads = result.left
    assert pinned.reason == "whether debian:12-slim has linux/arm64 was not looked up"
    assert all(decision.reason.startswith("offline") for decision in downloads)
    assert ported(project, None, unsafe=True).left == ()


def test_a_checksum_in_a_script_stays_where_only_a_variable_of_the_dockerfile_is_to_blame(project: Path) -> None:
    (project / "Dockerfile").write_text("FROM a\nARG ARCH=amd64\nCOPY install.sh /\nRUN sh /install.sh\n")
    script = f"curl -o t https://e.c/t-$ARCH\necho '{'0' * 64}  t' | sha256sum -c\n"
    (project / "install.sh").write_text(script)
    assert ported(project, None, unsafe=True).changes == ()


def test_only_the_wanted_rules_are_mended(project: Path) -> None:
    result = ported(project, Web(), "pinned-platform")
    assert result.dockerfile.data.decode() == DOCKERFILE.replace("--platform=linux/amd64 ", "")
    assert {decision.reason for decision in result.left} == {"not asked for"}


def test_all_files_are_written_or_none(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ported(project, Web()).changes

    def failing(path: Path, data: bytes) -> None:
        if path.name == "install.sh" and data != SCRIPT.encode():
            raise CrossdockError("cannot write: read-only file system", where=str(path))
        write_atomically(path, data)

    monkeypatch.setattr("crossdock.fixes.port.write_atomically", failing)
    with pytest.raises(CrossdockError, match="read-only"):
        write_changes(changes)
    assert (project / "Dockerfile").read_text() == DOCKERFILE
    assert (project / "install.sh").read_text() == SCRIPT


def test_a_fix_that_leaves_its_finding_fails_and_writes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stubborn(source: Source, **_: object) -> CheckReport:
        fix = Fix("no use", Safety.SAFE, (Edit(source.path, Span(0, 0), b"# x\n"),))
        place = locate(source, Span(0, 4))
        finding = Finding("pinned-platform", Severity.ERROR, Confidence.HIGH, place, "m", "w", "h", (fix,))
        return CheckReport((finding,), ())

    monkeypatch.setattr("crossdock.fixes.port.check_dockerfile", stubborn)
    with pytest.raises(CrossdockError, match="did not remove its finding"):
        ported(project, None)


def test_a_stage_that_gets_a_name_and_an_argument_at_once(project: Path) -> None:
    (project / "Dockerfile").write_text(
        "FROM golang\n"
        "RUN GOARCH=amd64 go build -o /app\n"
        "ADD https://example.org/1/tool_x86_64 /tool\n"
        "FROM scratch\n"
        "COPY --from=0 /app /tool /\n"
    )
    result = ported(project, None, unsafe=True)
    text = result.dockerfile.data.decode()
    assert result.left == ()
    assert "FROM golang AS stage-0\nARG TARGETARCH\n" in text
    assert "COPY --from=stage-0 /app /tool /\n" in text
