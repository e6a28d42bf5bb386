"""What check does around the rules: order, duplicates, ignore comments, scripts, stages, candidates for fixes."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossdock.errors import InputError
from crossdock.findings import Safety
from crossdock.read.context import Context
from crossdock.rules.check import CheckReport, check_dockerfile
from crossdock.source import Source, apply_edits


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def check(text: str, files: dict[str, bytes] | None = None, **build_args: str) -> CheckReport:
    context = Context(Path("context"), b"").with_files(files) if files else None
    if context:
        context.root.mkdir(exist_ok=True)
    return check_dockerfile(Source("Dockerfile", text.encode()), context=context, build_args=build_args)


def found(text: str, files: dict[str, bytes] | None = None, **build_args: str) -> list[tuple[str, int]]:
    return [(f.rule, f.location.line) for f in check(text, files, **build_args).findings]


def test_findings_are_in_the_order_of_the_file_and_merged() -> None:
    text = (
        "FROM a\nENV ARCH=amd64\nRUN curl -LO https://e.com/a-$ARCH\nRUN curl -LO https://e.com/b-$ARCH\n"
        "ADD https://e.com/t_x64 /t\n"
    )
    assert found(text) == [("frozen-architecture-variable", 2), ("amd64-download", 5)]


def test_an_ignore_comment_is_honoured_and_told() -> None:
    report = check("FROM a\n# crossdock: ignore=amd64-download only used by the x86 team\nADD https://e.com/t_x64 /t\n")
    assert report.findings == ()
    assert report.skipped[0].why == "only used by the x86 team"


def test_an_ignore_comment_for_no_rule_is_told() -> None:
    report = check("FROM a\n# crossdock: ignore=amd64-downloads typo\nADD https://e.com/t_x64 /t\n")
    assert [f.rule for f in report.findings] == ["amd64-download"]
    assert "no rule called amd64-downloads" in report.skipped[0].why


def test_a_file_that_is_no_dockerfile_is_an_input_error() -> None:
    with pytest.raises(InputError):
        check("")


def test_a_script_of_the_context_is_followed_and_mended_by_uname() -> None:
    files = {"scripts/get.sh": b"#!/bin/sh\nset -e\ncurl -o /t https://e.com/tool-$1-amd64\n"}
    report = check("FROM a\nCOPY scripts/get.sh /usr/local/bin/\nRUN get.sh 1.2\n", files)
    (finding,) = report.findings
    assert (finding.rule, finding.location.path, finding.location.line) == (
        "amd64-download",
        "context/scripts/get.sh",
        3,
    )
    assert finding.fixes[0].claims[0].url == "https://e.com/tool-1.2-arm64"
    fixed = apply_edits(Source("context/scripts/get.sh", files["scripts/get.sh"]), finding.fixes[0].edits)
    assert b'case "$(uname -m)" in' in fixed.data
    assert found("FROM a\nCOPY scripts/get.sh /usr/local/bin/\nRUN get.sh 1.2\n", {"scripts/get.sh": fixed.data}) == []


def test_a_script_that_the_entrypoint_runs_is_followed() -> None:
    files = {"run.sh": b"#!/bin/bash\nexport LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu\nexec app\n"}
    assert found('FROM a\nCOPY run.sh /\nENTRYPOINT ["tini", "--", "/run.sh"]\n', files) == [("amd64-library-path", 2)]


def test_a_build_argument_decides() -> None:
    text = 'FROM a\nARG ARCH=amd64\nRUN curl -LO "https://e.com/t-$ARCH"\n'
    assert found(text) == [("frozen-architecture-variable", 2)]
    assert found(text, ARCH="arm64") == []


def test_the_constant_that_chose_a_branch_is_blamed_not_the_branch() -> None:
    text = (
        "FROM a\nARG ARCH=amd64\n"
        'RUN case "$ARCH" in amd64) n=x86_64 ;; arm64) n=aarch64 ;; esac; curl -LO https://e.com/t-$n\n'
    )
    assert found(text) == [("frozen-architecture-variable", 2)]


def test_an_explicit_guard_for_amd64_is_no_finding() -> None:
    assert found('FROM a\nRUN [ "$(uname -m)" = x86_64 ] || exit 1; wget https://e.com/t-amd64\n') == []


def test_stages_for_one_architecture_each_are_no_finding() -> None:
    text = (
        "FROM scratch AS t-amd64\nADD https://e.com/t_x86_64 /t\n"
        "FROM scratch AS t-arm64\nADD https://e.com/t_aarch64 /t\n"
        "FROM t-${TARGETARCH} AS t\nFROM debian\nCOPY --from=t /t /t\n"
    )
    assert found(text) == []


def test_a_stage_on_the_build_platform_may_use_amd64_tools() -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM golang AS b\nARG TARGETARCH\nRUN curl -LO https://e.com/protoc-linux-x86_64.zip\n"
        "RUN GOARCH=$TARGETARCH go build -o /app\nFROM debian\nCOPY --from=b /app /app\n"
    )
    assert found(text) == []


def test_a_stage_inherits_the_arguments_of_its_parent() -> None:
    text = "FROM a AS base\nARG TARGETARCH\nFROM base\nRUN curl -LO https://e.com/t-$TARGETARCH\n"
    assert found(text) == []


def test_a_stage_on_the_build_platform_does_not_ask_the_machine() -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM rust AS b\nRUN cargo build --target x86_64-unknown-linux-musl\n"
        "FROM scratch\nCOPY --from=b /app /app\n"
    )
    (finding,) = check(text).findings
    assert b"uname" not in b"".join(edit.replacement for edit in finding.fixes[0].edits)


def test_a_checksum_goes_with_its_download() -> None:
    digest = "a" * 64
    text = (
        f"FROM a\nRUN curl -fsSLo t.tgz https://e.com/t-amd64.tgz \\\n && echo '{digest}  t.tgz' | sha256sum -c - \\\n"
        " && tar xf t.tgz\n"
    )
    fix = check(text).findings[0].fixes[0]
    claim = fix.claims[0]
    assert (claim.url, claim.digest_algorithm) == ("https://e.com/t-arm64.tgz", "sha256")
    fixed = apply_edits(Source("Dockerfile", text.encode()), fix.edits).data.decode()
    assert f"amd64) t_sha256={digest} ;;" in fixed
    assert f"arm64) t_sha256={claim.digest_of} ;;" in fixed
    assert 'echo "${t_sha256}  t.tgz" | sha256sum -c -' in fixed
    assert "https://e.com/t-${TARGETARCH}.tgz" in fixed


def test_what_depends_on_a_file_name_goes_with_it() -> None:
    text = (
        "FROM a\nRUN curl -LO https://e.com/v1/helm-v1-linux-amd64.tar.gz && tar xf helm-v1-linux-amd64.tar.gz \\\n"
        "    && mv linux-amd64/helm /usr/bin/ && rm -r linux-amd64 helm-v1-linux-amd64.tar.gz\n"
    )
    fix = check(text).findings[0].fixes[0]
    assert "amd64" not in apply_edits(Source("Dockerfile", text.encode()), fix.edits).data.decode()


def test_numbered_stages_keep_their_meaning_when_stages_are_added() -> None:
    text = "FROM a\nADD https://e.com/t_x86_64 /t\nFROM b\nCOPY --from=0 /t /t\n"
    fixed = apply_edits(Source("Dockerfile", text.encode()), check(text).findings[0].fixes[0].edits).data.decode()
    assert "FROM a AS stage-0\n" in fixed
    assert "COPY --from=stage-0 /t /t" in fixed
    assert found(fixed) == []


def test_a_url_that_is_not_known_makes_a_fix_unsafe() -> None:
    (finding,) = check("FROM a\nARG V\nRUN curl -LO https://e.com/t-$V-amd64\n").findings
    assert finding.fixes[0].safety is Safety.UNSAFE


def test_a_file_of_the_context_gets_no_fix() -> None:
    (finding,) = check("FROM a\nCOPY tool_amd64.deb /tmp/\n").findings
    assert finding.fixes == ()
