"""What the catalogue of upstream projects says of a URL, and what the rules make of it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.read.pieces import HOLE
from crossdock.rules.check import check_dockerfile
from crossdock.rules.upstream import (
    FOLDER,
    amd64_file_tokens,
    arm64_file_names,
    published_checksums,
    read_project,
    upstream_file,
)
from crossdock.rules.url_pattern import UrlPattern
from crossdock.source import Source

GITHUB = "https://github.com"
EXAMPLES = [url for path in sorted(FOLDER.glob("*.toml")) for f in read_project(path) for url in f.examples[:1]]


def arm64_url(url: str) -> str | None:
    known = upstream_file(url)
    return known.arm64_url if known else None


@pytest.mark.parametrize(
    ("url", "arm64"),
    [
        pytest.param(
            f"{GITHUB}/just-containers/s6-overlay/releases/download/v2.2.0.3/s6-overlay-amd64.tar.gz",
            f"{GITHUB}/just-containers/s6-overlay/releases/download/v2.2.0.3/s6-overlay-aarch64.tar.gz",
            id="s6-overlay before 3",
        ),
        pytest.param(
            f"{GITHUB}/just-containers/s6-overlay/releases/download/v3.1.6.2/s6-overlay-x86_64.tar.xz",
            f"{GITHUB}/just-containers/s6-overlay/releases/download/v3.1.6.2/s6-overlay-aarch64.tar.xz",
            id="s6-overlay 3",
        ),
        pytest.param(
            f"{GITHUB}/Yelp/dumb-init/releases/download/v1.2.2/dumb-init_1.2.2_amd64",
            f"{GITHUB}/Yelp/dumb-init/releases/download/v1.2.2/dumb-init_1.2.2_arm64",
            id="dumb-init before 1.2.3",
        ),
        pytest.param(
            f"{GITHUB}/Yelp/dumb-init/releases/download/v1.2.5/dumb-init_1.2.5_x86_64",
            f"{GITHUB}/Yelp/dumb-init/releases/download/v1.2.5/dumb-init_1.2.5_aarch64",
            id="dumb-init later",
        ),
        pytest.param(
            f"{GITHUB}/krallin/tini/releases/download/v0.19.0/tini-static.asc",
            f"{GITHUB}/krallin/tini/releases/download/v0.19.0/tini-static-arm64.asc",
            id="a signature beside a file without a suffix",
        ),
        pytest.param(
            f"{GITHUB}/docker/compose/releases/latest/download/docker-compose-linux-x86_64",
            f"{GITHUB}/docker/compose/releases/latest/download/docker-compose-linux-aarch64",
            id="the latest release",
        ),
        pytest.param(
            f"https://ghproxy.com/{GITHUB}/krallin/tini/releases/download/v0.19.0/tini",
            f"https://ghproxy.com/{GITHUB}/krallin/tini/releases/download/v0.19.0/tini-arm64",
            id="a mirror in front of the address",
        ),
        pytest.param(
            "https://mirror.example.com/tools/node-v18.20.4-linux-x64.tar.xz",
            "https://mirror.example.com/tools/node-v18.20.4-linux-arm64.tar.xz",
            id="a mirror's own folders",
        ),
        pytest.param(
            "https://cdn.azul.com/zulu/bin/zulu8.54.0.21-ca-jdk8.0.292-linux_x64.tar.gz",
            "https://cdn.azul.com/zulu-embedded/bin/zulu8.54.0.21-ca-jdk8.0.292-linux_aarch64.tar.gz",
            id="another folder for arm64",
        ),
        pytest.param(
            f"{GITHUB}/krallin/tini/releases/download/${{TINI_VERSION}}/tini",
            f"{GITHUB}/krallin/tini/releases/download/${{TINI_VERSION}}/tini-arm64",
            id="a version that is not known",
        ),
    ],
)
def test_the_url_for_arm64(url: str, arm64: str) -> None:
    assert arm64_url(url) == arm64


@pytest.mark.parametrize(
    "url",
    [
        f"{GITHUB}/krallin/tini/releases/download/v0.19.0/tini-armhf",
        f"{GITHUB}/krallin/tini/releases/download/v0.19.0/tini_0.19.0-i386.deb",
        f"{GITHUB}/krallin/tini/archive/v0.19.0.tar.gz",
        f"{GITHUB}/somebody/tini/releases/download/v0.19.0/tini",
        "https://nodejs.org/dist/v18.20.4/node-v18.20.4-darwin-x64.tar.gz",
        "https://example.com/tool-linux-x64.tar.gz",
        "linux-amd64",
        "",
    ],
)
def test_what_the_catalogue_does_not_know(url: str) -> None:
    assert upstream_file(url) is None


def test_the_newer_of_two_shapes_is_meant_where_the_version_is_not_known() -> None:
    url = f"{GITHUB}/mozilla/sops/releases/download/{HOLE}/sops-{HOLE}.linux"
    assert arm64_url(url) == f"{GITHUB}/mozilla/sops/releases/download/{HOLE}/sops-{HOLE}.linux.arm64"


def test_a_version_in_part_unknown_is_not_compared() -> None:
    assert arm64_url(f"{GITHUB}/stedolan/jq/releases/download/jq-1.{HOLE}/jq-linux64")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (
            "https://releases.hashicorp.com/vault/1.17.2/vault_1.17.2_linux_arm64.zip",
            "https://releases.hashicorp.com/vault/1.17.2/vault_1.17.2_SHA256SUMS",
        ),
        (
            "https://dl.k8s.io/release/v1.30.3/bin/linux/arm64/kubectl",
            "https://dl.k8s.io/release/v1.30.3/bin/linux/arm64/kubectl.sha256",
        ),
        (
            f"{GITHUB}/gohugoio/hugo/releases/download/v0.130.0/hugo_0.130.0_linux-arm64.tar.gz",
            f"{GITHUB}/gohugoio/hugo/releases/download/v0.130.0/hugo_0.130.0_checksums.txt",
        ),
        ("https://example.com/tool-arm64", None),
        ("https://releases.hashicorp.com/vault/1.17.2/vault_1.17.2_linux_amd64.zip", None),
    ],
)
def test_where_the_checksum_for_arm64_is_published(url: str, place: str | None) -> None:
    assert published_checksums(url) == place


def test_words_that_the_catalogue_does_not_explain_are_kept() -> None:
    url = f"https://mirror.example.com/x86_64/{GITHUB}/krallin/tini/releases/download/v0.19.0/tini"
    known = upstream_file(url)
    assert known
    (own,) = known.tokens
    assert [token.text for token in amd64_file_tokens(url, ())] == ["tini"]
    assert amd64_file_tokens(url, (own,)) == (own,)


def test_candidates_of_a_word() -> None:
    hugo = f"{GITHUB}/gohugoio/hugo/releases/download/v0.102.3/hugo_0.102.3_Linux-64bit.tar.gz"
    assert arm64_file_names(hugo, "64bit")[0] == "ARM64"
    assert arm64_file_names("https://example.com/tool_x64", "x64") == ("arm64", "aarch64")
    assert arm64_file_names(f"{GITHUB}/krallin/tini/releases/download/v0.19.0/tini", "tini") == ("tini-arm64",)
    assert arm64_file_names(f"{GITHUB}/stedolan/jq/releases/download/jq-1.6/jq-linux64", "linux64") == ()


def only(text: str) -> tuple[str, int]:
    (finding,) = check_dockerfile(Source("Dockerfile", text.encode()), context=None, build_args={}).findings
    return finding.message, len(finding.fixes)


def test_one_file_for_every_architecture_is_no_finding() -> None:
    url = f"{GITHUB}/sgerrand/alpine-pkg-glibc/releases/download/2.35-r1/glibc-i18n-2.35-r1.apk"
    assert amd64_file_tokens(url, ()) == ()
    source = Source("Dockerfile", f"FROM alpine\nRUN wget {url}\n".encode())
    assert check_dockerfile(source, context=None, build_args={}).findings == ()


def test_a_version_before_arm64_is_told_and_gets_no_candidate() -> None:
    message, fixes = only(f"FROM debian\nADD {GITHUB}/stedolan/jq/releases/download/jq-1.6/jq-linux64 /usr/bin/jq\n")
    assert message.startswith(
        "linux64 selects the amd64 file jq-linux64; jq has no such file for arm64 up to version 1.6"
    )
    assert fixes == 0


def test_a_project_without_arm64_is_told_with_what_to_use() -> None:
    url = "https://bitbucket.org/ariya/phantomjs/downloads/phantomjs-2.1.1-linux-x86_64.tar.bz2"
    message, fixes = only(f"FROM debian\nRUN curl -LO {url}\n")
    assert "PhantomJS has no such file for arm64; instead: a headless Chromium" in message
    assert fixes == 0


def test_a_file_without_an_architecture_in_its_name_is_found() -> None:
    message, fixes = only(
        f"FROM debian\nRUN curl -LO {GITHUB}/ninja-build/ninja/releases/download/v1.12.1/ninja-linux.zip\n"
    )
    assert message == "ninja-linux.zip is the amd64 file, which its name does not say"
    assert fixes == 1


def test_what_the_project_calls_arm64_is_the_first_candidate() -> None:
    url = f"{GITHUB}/goreleaser/goreleaser/releases/download/v2.0.0/goreleaser_Linux_x86_64.tar.gz"
    report = check_dockerfile(
        Source("Dockerfile", f"FROM debian\nRUN curl -LO {url}\n".encode()), context=None, build_args={}
    )
    assert report.findings[0].fixes[0].claims[0].url == url.replace("x86_64", "arm64")


@given(st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    known = upstream_file(text)
    assert known is None or known.url == text


@given(st.sampled_from(EXAMPLES), st.integers(0, 200), st.text("$%{}\0/.-_v19a", max_size=6))
def test_tokens_are_always_where_they_say_they_are(url: str, at: int, inserted: str) -> None:
    url = url[:at] + inserted + url[at:]
    known = upstream_file(url)
    if known:
        assert all(url[token.start : token.end] == token.text != "" for token in known.tokens)
        assert known.files.neutral or known.arm64_url is None or known.arm64_url != url


@given(st.sampled_from(EXAMPLES), st.sampled_from([".sha256", ".asc", "?download=1", ".sha512sum"]))
def test_what_is_beside_a_file_changes_with_it(url: str, ending: str) -> None:
    if "?" in url or re.search(r"\.(?:sig|asc)$", url):
        return
    known = upstream_file(url + ending)
    assert known
    expected = arm64_url(url)
    assert known.arm64_url == (None if expected is None else expected + ending)


def test_placeholders() -> None:
    pattern = UrlPattern("https://example.com/{a,b}/*/tool{,-static}_{version}_{arch}.zip", ("x64",))
    match = pattern.match("http://example.com/b/any/tool-static_1.2_X64.zip")
    assert match
    assert match.versions == ("1.2",)
    assert sorted(set(pattern.index_keys())) == ["example.com"]
    assert pattern.match("http://example.com/c/any/tool_1.2_x64.zip") is None
    assert pattern.match("http://notexample.com/b/any/tool_1.2_x64.zip") is None
    assert pattern.match("http://example.com/b/two/parts/tool_1.2_x64.zip") is None
