"""The checksums that projects publish, in the forms in which they are written."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.findings import Claim, Confidence, Finding, Fix, Safety, Severity, locate
from crossdock.fixes.checksum_list import digest_in
from crossdock.fixes.decide import decide
from crossdock.http.evidence import Evidence, EvidenceStatus
from crossdock.source import Edit, Source, Span

A, B = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()
SHA512 = hashlib.sha512(b"a").hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        f"{A}  tool-arm64\n{B}  tool-amd64\n",
        f"{B} *tool-amd64\n{A} *tool-arm64\n",
        f"{A}  ./tool-arm64\n{B}  ./tool-amd64\n",
        f"{A}  dist/tool-arm64\r\n{B}  dist/tool-arm64.sig\r\n",
        f"SHA256 (tool-amd64) = {B}\nSHA256 (tool-arm64) = {A}\nSHA512 (tool-arm64) = {SHA512}\n",
        f"SHA3-256 (tool-arm64) = {B}\nSHA256 (tool-arm64) = {A}\n",
        f"{A.upper()}  tool-arm64\n",
        f"{A}\n",
        f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{A}  tool-arm64\n{B}  tool-amd64\n",
    ],
)
def test_a_digest_is_found(text: str) -> None:
    assert digest_in(text, "tool-arm64") == A


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{B}  tool-amd64\n",
        f"{A}  tool-arm64.sig\n",
        f"{A}  tool-arm64\n{B}  tool-arm64\n",
        f"{SHA512}  tool-arm64\n",
        f"SHA512 (tool-arm64) = {A}\n",
        f"{A}\n{B}\n",
        "<html><body>not found</body></html>",
    ],
)
def test_nothing_is_guessed(text: str) -> None:
    assert digest_in(text, "tool-arm64") is None


@given(st.text(), st.sampled_from(["md5", "sha1", "sha256", "sha512"]))
def test_any_text_can_be_read(text: str, algorithm: str) -> None:
    found = digest_in(text, "tool-arm64", algorithm)
    assert found is None or len(found) == hashlib.new(algorithm).digest_size * 2


class _Web:
    """A world in which every file exists; the checksums are as given."""

    def __init__(self, checksums: str | None) -> None:
        self.checksums = checksums
        self.asked: list[str] = []

    def exists(self, url: str) -> Evidence:
        return Evidence(url, EvidenceStatus.FOUND, "HTTP 200")

    def fetch_text(self, url: str) -> str | None:
        self.asked.append(url)
        return self.checksums

    def fetch_digest(self, url: str, algorithm: str = "sha256") -> str:
        self.asked.append(url)
        return B


@pytest.mark.parametrize(
    ("checksums", "digest", "asked"),
    [
        pytest.param(f"{A}  vault_1.17.2_linux_arm64.zip\n", A, ["vault_1.17.2_SHA256SUMS"], id="published"),
        pytest.param(
            f"{A}  another\n", B, ["vault_1.17.2_SHA256SUMS", "vault_1.17.2_linux_arm64.zip"], id="not in the list"
        ),
        pytest.param(None, B, ["vault_1.17.2_SHA256SUMS", "vault_1.17.2_linux_arm64.zip"], id="no list"),
    ],
)
def test_the_published_checksum_spares_the_download(checksums: str | None, digest: str, asked: list[str]) -> None:
    folder = "https://releases.hashicorp.com/vault/1.17.2"
    source = Source("Dockerfile", b"RUN x\n")
    fix = Fix(
        "choose",
        Safety.SAFE,
        (Edit("Dockerfile", Span(0, 3), b"digest-of-vault"),),
        (Claim(f"{folder}/vault_1.17.2_linux_arm64.zip", "digest-of-vault"),),
    )
    finding = Finding("r", Severity.ERROR, Confidence.HIGH, locate(source, Span(0, 3)), "m", "w", "h", (fix,))
    web = _Web(checksums)
    (decision,) = decide([finding], web)
    assert decision.fix
    assert decision.fix.edits[0].replacement == digest.encode()
    assert web.asked == [f"{folder}/{name}" for name in asked]
