"""Attestations beside an image in Debian's docker-registry, which keeps no lists of referrers, behind a password."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry import Registry

pytestmark = pytest.mark.integration

PASSWORD = "geheim-4711/$&"
BOTH = "linux/amd64,linux/arm64"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    with Registry(tmp_path / "registry", username="me", password=PASSWORD) as running:
        login = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {running.host: {"auth": login}}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "config.json"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)
        yield running


def raw(image: str) -> Any:
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{image}"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def verify(image: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "crossdock", "verify", "--no-smoke", "--format", "json", *options, image]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert isinstance(report, dict)
    return report


def test_what_is_attested_is_believed_by_a_later_gate(registry: Registry, base_layout: Path) -> None:
    image = f"{registry.host}/team/app:1"
    copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci:{base_layout}:latest", f"docker://{image}"], check=True)
    verified = verify(image, "--attest", "--require", BOTH)
    assert "attested, not signed" in verified["results"][-1]["message"]

    repository, digest = image.rpartition(":")[0], verified["digest"]
    listed = raw(f"{repository}:{digest.replace(':', '-')}")["manifests"]
    assert [entry["artifactType"] for entry in listed] == ["application/vnd.in-toto+json"]
    assert verified["results"][-1]["message"].endswith(f"{repository}@{listed[0]['digest']}")
    assert raw(f"{repository}@{listed[0]['digest']}")["subject"]["digest"] == digest

    before = len(registry.log())
    believed = verify(image, "--trust-attestation", "--no-cache", "--require", BOTH)
    assert [entry["check"] for entry in believed["results"]] == ["attestation"]
    assert believed["digest"] == digest
    asked = registry.log()[before:]
    assert listed[0]["digest"] in asked
    layers = [
        layer["digest"]
        for entry in raw(image)["manifests"]
        for layer in raw(f"{repository}@{entry['digest']}")["layers"]
    ]
    assert not any(layer in asked for layer in layers)

    verify(image, "--attest", "--machine", "kunpeng-920")
    assert "attested before" in verify(image, "--attest")["results"][-1]["message"]
    assert len(raw(f"{repository}:{digest.replace(':', '-')}")["manifests"]) == 2
