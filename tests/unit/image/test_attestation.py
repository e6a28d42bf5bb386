"""Attestations: what is written about a verified image, and when it is believed in place of looking."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faulty import Server
from hosted import registries
from kept import Kept
from samples import layer

from crossdock import __version__
from crossdock.cli.main import main
from crossdock.config import Allowed
from crossdock.errors import ExitCode
from crossdock.http.client import Http
from crossdock.image.assemble import assemble_index
from crossdock.image.documents import descriptor_json, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from crossdock.image.publish import push
from crossdock.image.reference import parse_reference
from crossdock.image.referrers import Referrers, fallback_tag
from crossdock.image.stream import digest_of
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.verify.attestation import MEDIA_TYPE, Attestations, Policy, statement
from crossdock.verify.model import CheckResult, Status, VerifyResult

ROOT = Descriptor(OCI_INDEX, digest_of(b"root"), 4)
POLICY = Policy((AMD64, ARM64))
VENDOR = Allowed("opt/**", "r")
RESULT = VerifyResult("app", ROOT.digest, (AMD64, ARM64), (CheckResult("smoke", Status.PASSED, "started", AMD64),))
Capture = pytest.CaptureFixture[str]


def attestations(kept: Kept, http: Http, policy: Policy) -> Attestations:
    return Attestations(parse_reference(kept.name), ROOT, policy, registries(http))


def test_the_statement_is_a_verification_summary() -> None:
    policy = Policy((AMD64, ARM64), "kunpeng-920", strict=True, starts=True, allow=(VENDOR,))
    remembered = replace(RESULT, remembered="2026-11-25 10:37 UTC")
    found = json.loads(statement(remembered, policy, parse_reference("reg.example.com:5000/team/app:1")))
    digest = ROOT.digest.removeprefix("sha256:")
    assert found == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "reg.example.com:5000/team/app", "digest": {"sha256": digest}}],
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "predicate": {
            "verifier": {"id": "pkg:generic/crossdock", "version": {"crossdock": __version__}},
            "timeVerified": "2026-11-25T10:37:00Z",
            "resourceUri": f"pkg:oci/app@sha256%3A{digest}?repository_url=reg.example.com%3A5000%2Fteam%2Fapp",
            "policy": {
                "uri": "pkg:generic/crossdock#verify",
                "annotations": {
                    "platforms": ["linux/amd64", "linux/arm64"],
                    "started": ["linux/amd64"],
                    "machine": "kunpeng-920",
                    "strict": True,
                    "allow": [{"path": "opt/**", "reason": "r"}],
                },
            },
            "verificationResult": "PASSED",
            "verifiedLevels": ["CROSSDOCK_PLATFORMS"],
        },
    }


@pytest.mark.parametrize(
    ("attested", "asked", "fits"),
    [
        (POLICY, POLICY, True),
        (POLICY, Policy((ARM64,)), True),
        (POLICY, Policy((ARM64, Platform("linux", "s390x"))), False),
        (POLICY, Policy((ARM64,), "kunpeng-920"), False),
        (Policy((ARM64,), "kunpeng-920"), Policy((ARM64,)), True),
        (Policy((ARM64,), "kunpeng-920"), Policy((ARM64,), "phytium-ft-2000"), False),
        (POLICY, Policy((ARM64,), strict=True), False),
        (Policy((ARM64,), strict=True), Policy((ARM64,)), True),
        (Policy((ARM64,), "kunpeng-920", strict=True), Policy((ARM64,), strict=True), False),
        (POLICY, Policy((AMD64,), starts=True), True),
        (POLICY, Policy((ARM64,), starts=True), False),
        (Policy((ARM64,), allow=(VENDOR,)), Policy((ARM64,)), False),
        (Policy((ARM64,), allow=(VENDOR,)), Policy((ARM64,), allow=(VENDOR, Allowed("srv/**", "r"))), True),
        (POLICY, Policy((ARM64,), allow=(VENDOR,)), True),
    ],
)
def test_it_is_believed_when_at_least_as_much_was_asked(
    server: Server, http: Http, attested: Policy, asked: Policy, fits: bool
) -> None:
    kept = Kept(server)
    attestations(kept, http, attested).attest(RESULT)
    believed = attestations(kept, http, asked).believed("app")
    assert (believed is not None) is fits
    if believed:
        (said,) = believed.results
        assert believed.platforms == asked.platforms
        assert "nothing was looked at" in said.message
        assert f"crossdock {__version__}" in said.message
        assert f"not signed, so it is the word of whoever may write to {server.host}/team/app" in said.message


def test_the_same_is_not_attested_twice(server: Server, http: Http) -> None:
    kept = Kept(server)
    first = attestations(kept, http, POLICY).attest(RESULT)
    again = attestations(kept, http, POLICY).attest(RESULT)
    assert again.message == first.message.replace("attested", "attested before")


FORGED: dict[str, Any] = {
    "no JSON": lambda _: b"no",
    "another kind": lambda found: found.update(predicateType="https://slsa.dev/provenance/v1"),
    "another statement": lambda found: found.update(_type="https://in-toto.io/Statement/v0.1"),
    "another image": lambda found: found["subject"][0]["digest"].update(sha256="0" * 64),
    "no image": lambda found: found.update(subject=[]),
    "failed": lambda found: found["predicate"].update(verificationResult="FAILED"),
    "another verifier": lambda found: found["predicate"]["verifier"].update(id="https://example.com"),
    "another policy": lambda found: found["predicate"]["policy"].update(uri="https://example.com"),
    "a policy of others": lambda found: found["predicate"]["policy"].pop("annotations"),
    "text for the terminal": lambda found: found["predicate"]["verifier"]["version"].update(crossdock="1\x1b[2J"),
    "no time": lambda found: found["predicate"].update(timeVerified="long ago"),
}


@pytest.mark.parametrize("how", FORGED)
def test_what_is_no_such_attestation_is_passed_over(server: Server, http: Http, how: str) -> None:
    kept = Kept(server)
    document = json.loads(statement(RESULT, POLICY, parse_reference(kept.name)))
    content = FORGED[how](document)
    Referrers(registries(http), parse_reference(kept.name), ROOT).attach(
        content if isinstance(content, bytes) else json.dumps(document).encode(), MEDIA_TYPE, {}
    )
    about = attestations(kept, http, POLICY)
    assert about.find() is None
    about.attest(RESULT)
    assert about.find()


def test_one_that_is_gone_or_damaged_is_passed_over(server: Server, http: Http) -> None:
    kept = Kept(server, lists=False)
    about = attestations(kept, http, POLICY)
    about.attest(RESULT)
    (listed,) = json.loads(kept.manifests[kept.tags[fallback_tag(ROOT.digest)]][1])["manifests"]
    del kept.manifests[listed["digest"]]
    assert attestations(kept, http, POLICY).find() is None


# ---------------------------------------------------------------- the verb


def write_right_image(folder: Path, platform: Platform, machine: int) -> LayoutImage:
    """An image whose entrypoint is a static program for the machine."""
    program = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0" + machine.to_bytes(2, "little") + bytes(44)
    writer, plain = LayoutWriter(folder), layer({"app": program})
    packed = writer.add_document(gzip.compress(plain, mtime=0), OCI_LAYER_GZIP)
    config = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Entrypoint": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(plain)]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor_json(writer.add_document(to_json(config), OCI_CONFIG)),
        "layers": [descriptor_json(packed)],
    }
    writer.finish(writer.add_document(to_json(manifest), OCI_MANIFEST))
    return LayoutImage(folder)


def write_image(folder: Path, *, arm64: int = 183) -> LayoutImage:
    parts = [(write_right_image(folder / "amd64", AMD64, 62), AMD64)]
    parts.append((write_right_image(folder / "arm64", ARM64, arm64), ARM64))
    assemble_index(LayoutWriter(folder / "both"), parts)
    return LayoutImage(folder / "both")


@pytest.fixture
def kept(server: Server, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """A registry that has a right image."""
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    kept = Kept(server)
    push(write_image(tmp_path), parse_reference(kept.name), registries(http))
    return kept


def blobs_asked(kept: Kept) -> int:
    return sum(seen.method == "GET" and "/blobs/" in seen.path for seen in kept.server.seen)


def verify(kept: Kept, *options: str) -> int:
    kept.server.seen.clear()
    return main(["verify", "--plain-http", "--no-smoke", *options, kept.name])


def test_a_later_gate_believes_it_and_says_so(kept: Kept, capsys: Capture) -> None:
    assert verify(kept, "--attest", "--require", "linux/amd64,linux/arm64") == ExitCode.DONE
    assert "attested, not signed: " in " ".join(capsys.readouterr().out.split())
    assert verify(kept, "--trust-attestation", "--no-cache") == ExitCode.DONE
    assert blobs_asked(kept) == 1, "the statement alone"
    assert "nothing was looked at" in capsys.readouterr().out
    assert verify(kept, "--trust-attestation", "--no-cache", "--strict") == ExitCode.DONE
    assert blobs_asked(kept) > 1, "more is asked than was attested"
    assert "nothing was looked at" not in capsys.readouterr().out


def test_without_one_it_looks(kept: Kept, capsys: Capture) -> None:
    assert verify(kept, "--trust-attestation") == ExitCode.DONE
    assert "attestation" not in capsys.readouterr().out


def test_what_failed_is_not_attested(kept: Kept, http: Http, tmp_path: Path, capsys: Capture) -> None:
    push(write_image(tmp_path / "wrong", arm64=62), parse_reference(kept.name), registries(http))
    assert verify(kept, "--attest", "--format", "json") == ExitCode.FINDINGS
    results = json.loads(capsys.readouterr().out)["results"]
    assert results[-1]["message"] == "not attested: not all has passed"
    assert "PUT" not in {seen.method for seen in kept.server.seen}


@pytest.mark.parametrize("option", ["--attest", "--trust-attestation"])
def test_only_images_in_registries_have_attestations(option: str, tmp_path: Path, capsys: Capture) -> None:
    layout = str(write_image(tmp_path).folder)
    for image in (layout, f"rootfs:{tmp_path}"):
        assert main(["verify", "--platform", "linux/arm64", option, image]) == ExitCode.USAGE
        assert "in a registry" in capsys.readouterr().err
