"""Package sources that are limited to amd64: their fix is safe only when their index for arm64 was seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.findings import Fix, Safety
from crossdock.fixes.decide import decide
from crossdock.rules.check import check_dockerfile
from crossdock.rules.package_sources import package_sources
from crossdock.source import Source


def fixes(text: str) -> tuple[Fix, ...]:
    report = check_dockerfile(Source("Dockerfile", f"FROM a\n{text}\n".encode()), context=None, build_args={})
    decided = decide(report.findings, None)
    assert all(decision.fix is None or decision.fix.safety is Safety.UNSAFE for decision in decided)
    return tuple(fix for finding in report.findings for fix in finding.fixes)


APT = "> /etc/apt/sources.list.d/e.list"
YUM = "> /etc/yum.repos.d/e.repo"
KNOWN = [
    (
        f'RUN echo "deb [arch=amd64 signed-by=/k.gpg] https://example.com/apt/ stable main extra" {APT}',
        ["https://example.com/apt/dists/stable/main", "https://example.com/apt/dists/stable/extra"],
    ),
    (
        f'RUN echo "deb [arch=amd64] https://example.com/amd64 stable main # what for" {APT}',
        ["https://example.com/arm64/dists/stable/main"],
    ),
    (
        'RUN add-apt-repository "deb [arch=amd64] http://example.com stable main"',
        ["http://example.com/dists/stable/main"],
    ),
]


@pytest.mark.parametrize(("text", "places"), KNOWN)
def test_apts_index_for_arm64_is_what_a_fix_claims(text: str, places: list[str]) -> None:
    (fix,) = fixes(text)
    assert [claim.url for claim in fix.claims] == [f"{place}/binary-arm64/Packages.gz" for place in places]
    assert fix.safety is Safety.SAFE


def test_a_stanza_is_read() -> None:
    text = "Types: deb\nURIs: https://e.com/a\nSuites: s\nComponents: c\n d\nArchitectures: arm64\n"
    assert package_sources(text)[0].indexes == (
        "https://e.com/a/dists/s/c/binary-arm64/Packages.gz",
        "https://e.com/a/dists/s/d/binary-arm64/Packages.gz",
    )


def test_yums_index_is_what_a_fix_claims() -> None:
    (fix,) = fixes(f"RUN echo 'baseurl=https://example.com/el8/x86_64/' {YUM}")[:1]
    assert [claim.url for claim in fix.claims] == ["https://example.com/el8/aarch64/repodata/repomd.xml"]


def test_yum_knows_nothing_of_dpkg() -> None:
    candidates = fixes(f"RUN echo 'baseurl=https://example.com/centos7-amd64' {YUM}")
    assert [fix.claims[0].url.split("/")[3] for fix in candidates] == ["centos7-arm64", "centos7-aarch64"]
    assert not any(b"dpkg" in edit.replacement for fix in candidates for edit in fix.edits)


@pytest.mark.parametrize(
    "line",
    [
        f'RUN echo "deb [arch=amd64] https://example.com $(lsb_release -cs) main" {APT}',
        f'RUN echo "deb [arch=amd64] https://example.com/flat ./" {APT}',
        f'RUN echo "baseurl=https://example.com/el\\$releasever/x86_64" {YUM}',
    ],
)
def test_what_cannot_be_asked_is_unsafe_and_says_why(line: str) -> None:
    (fix,) = fixes(line)[:1]
    assert fix.safety is Safety.UNSAFE
    assert "package source" in fix.doubt


@given(st.text(alphabet="deb [arch=amd64]\nURIs: https://e.c/ $baseurl=x\\\"'{}�", max_size=80))
def test_any_text_is_read_and_no_address_has_an_unknown_part(text: str) -> None:
    for source in package_sources(text):
        assert 0 <= source.span.start < source.span.end <= len(text)
        assert not any(sign in url for url in source.indexes for sign in "$�{}\"' \n")
