"""Two sites without a common builder: each builds its own platform, one fetches for the other, digests join them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from registry import Registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300), pytest.mark.usefixtures("emulation")]


def crossdock(*arguments: str, code: int = 0) -> dict[str, object]:
    argv = [sys.executable, "-m", "crossdock", *arguments, "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def platforms(reference: str) -> dict[str, str]:
    """Platform → digest of its manifest."""
    argv = ["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{reference}"]
    index = json.loads(subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout)
    return {entry["platform"]["architecture"]: entry["digest"] for entry in index["manifests"]}


@pytest.mark.usefixtures("docker", "buildah_store")
def test_what_two_sites_have_built_is_joined_by_digest(
    base_image: str, image_registry: Registry, tmp_path: Path
) -> None:
    """Docker on one machine, buildah on the other; the registry is all that both know."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "Dockerfile").write_text(
        f"FROM --platform=$BUILDPLATFORM {base_image} AS fetch\n"
        "RUN mkdir /files && echo fetched >/files/source\n"
        "FROM scratch AS download\n"
        "COPY --from=fetch /files /\n"
        f"FROM {base_image}\n"
        "COPY --from=download / /src/\n"
        'RUN echo "$(cat /src/source) $(uname -m)" >/made\n'
        'ENTRYPOINT ["cat", "/made"]\n'
    )
    name = f"{image_registry.host}/sites/app"

    # What the x86 site fetches for the other one: a stage that holds files alone, for the other one's platform.
    fetched = crossdock(
        "build", "--engine", "buildx", "--platform", "linux/arm64", "--target", "download", "--no-smoke", "--push",
        "-t", f"{name}:files", str(project),
    )  # fmt: skip
    files = f"{name}@{fetched['digest']}"

    x86 = crossdock(
        "build", "--engine", "buildx", "--platform", "linux/amd64", "--push", "-t", f"{name}:x86", str(project)
    )
    arm = crossdock(
        "build", "--engine", "buildah", "--platform", "linux/arm64", "--push", "-t", f"{name}:arm",
        "--build-context", f"download=docker-image://{files}", str(project),
    )  # fmt: skip
    parts = [f"{name}@{built['digest']}" for built in (x86, arm)]
    joined = crossdock("index", "create", f"{name}:1.0", "--from", parts[0], "--from", parts[1], "-t", "latest")
    assert joined["platforms"] == ["linux/amd64", "linux/arm64"]
    assert platforms(f"{name}:1.0") == platforms(f"{name}:latest")
    assert platforms(f"{name}:1.0") == {**platforms(parts[0]), **platforms(parts[1])}
    checked = crossdock("verify", "--require", "linux/amd64,linux/arm64", f"{name}:1.0")
    assert checked["digest"] == joined["digest"]
