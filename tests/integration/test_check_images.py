"""``crossdock check`` and ``port`` against Debian's docker-registry: images without arm64, digests of one platform."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from registry import Registry

from crossdock.cli.main import main
from crossdock.errors import ExitCode

pytestmark = pytest.mark.integration


def copy(layout: Path, name: str, *, one: str = "") -> None:
    """skopeo puts an image into the registry: the whole index, or ``one`` architecture of it."""
    which = ["--override-arch", one] if one else []
    command = ["skopeo", *which, "copy", "--quiet", *([] if one else ["--all"]), "--dest-tls-verify=false"]
    subprocess.run([*command, f"oci:{layout}:latest", f"docker://{name}"], check=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_what_the_registry_has_decides(
    project: Path, image_registry: Registry, base_layout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{image_registry.host}/checked/app"
    copy(base_layout, f"{name}:1.0", one="amd64")
    copy(base_layout, f"{name}:1.1")
    raw = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}:1.1"], check=True, capture_output=True
    ).stdout
    digests = {entry["platform"]["architecture"]: entry["digest"] for entry in json.loads(raw)["manifests"]}
    (project / "Dockerfile").write_text(
        f"FROM {name}:1.1@{digests['amd64']}\n"
        f"COPY --from={name}:1.0 /bin/busybox /old\n"
        f"RUN --mount=from={name}:1.1,target=/mnt true\n"
    )
    (project / "compose.yaml").write_text(f"services:\n  app:\n    image: {name}:1.0\n")
    assert main(["check", "--format", "json"]) == ExitCode.FINDINGS
    document = json.loads(capsys.readouterr().out)
    found = [(finding["path"], finding["line"], finding["rule"]) for finding in document["findings"]]
    assert found == [
        ("Dockerfile", 1, "single-arch-digest"),
        ("Dockerfile", 2, "base-without-arm64"),
        ("compose.yaml", 3, "base-without-arm64"),
    ]
    assert document["findings"][0]["fix"]["safety"] == "safe"
    assert f"{name}:1.1 (another tag of the same repository)" in document["findings"][1]["message"]

    assert main(["port", "--unsafe", "--write"]) == ExitCode.DONE
    assert main(["port", "--unsafe", "--write", "compose.yaml"]) == ExitCode.DONE
    capsys.readouterr()
    assert f"COPY --from={name}:1.1 /bin/busybox /old\n" in (project / "Dockerfile").read_text()
    assert digests["amd64"] not in (project / "Dockerfile").read_text()
    assert main(["check"]) == ExitCode.DONE
