"""The main job through the command line, with both engines: port, build, verify, and publish what was verified."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from registry import Registry
from upstream import serving

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/legacy-service"
BOTH = ["linux/amd64", "linux/arm64"]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.usefixtures("emulation")]


@pytest.fixture(params=["buildx", "buildah"])
def engine(request: pytest.FixtureRequest) -> str:
    request.getfixturevalue({"buildx": "docker", "buildah": "buildah_store"}[request.param])
    return str(request.param)


@pytest.fixture(scope="session")
def upstream_folder() -> Path:
    folder = ROOT / ".work/test/upstream"
    subprocess.run([sys.executable, "tools/upstream", "prepare", str(folder)], cwd=ROOT, check=True, timeout=300)
    return folder


@pytest.fixture(scope="session")
def upstream(upstream_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that stands in for GitHub and Docker Hub."""
    announced = tmp_path_factory.mktemp("upstream") / "address"
    with serving(ROOT, sys.executable, upstream_folder, announced) as address:
        yield address


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Tied to amd64 twice, and quick to build: ``base`` is given with --build-context."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        "FROM --platform=linux/amd64 base AS build\n"
        "ARG TARGETARCH=amd64\n"
        'RUN echo "$TARGETARCH $(uname -m)" > /machine\n'
        "FROM base\n"
        "COPY --from=build /machine /machine\n"
        'ENTRYPOINT ["cat", "/machine"]\n'
    )
    return folder


def crossdock(*argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "crossdock", *argv]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=500, env={**os.environ, **(env or {})}
    )


def raw_index(reference: str) -> tuple[bytes, dict[str, object]]:
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--raw", reference], check=True, capture_output=True
    )
    return done.stdout, json.loads(done.stdout)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever happens, crossdock's temporary folders are gone afterwards."""
    folder = tmp_path / ".No_-Image Name"  # buildah names images after paths; that must not matter
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield
    assert [path.name for path in folder.iterdir()] == []


def test_the_example_is_pushed_as_one_index_that_everyone_agrees_about(
    engine: str, upstream: str, upstream_folder: Path, image_registry: Registry, docker_daemon: Daemon
) -> None:
    reference = f"{image_registry.host}/team/stationd:{engine}"
    contexts = []
    for image in ("debian:12-slim", "buildpack-deps:bookworm"):
        layout = upstream_folder / "images" / image.replace(":", "/")
        source = f"docker-image://{upstream}/{image}" if engine == "buildx" else f"oci-layout://{layout}"
        contexts += ["--build-context", f"{image}={source}"]
    files = {path: path.read_bytes() for path in EXAMPLE.rglob("*") if path.is_file()}
    done = crossdock(
        "build", "--port", str(EXAMPLE), "--engine", engine, "--network", "host", "-t", reference, "--push",
        "--build-arg", f"GITHUB=http://{upstream}/github.com", "--format", "json", "--smoke-timeout", "4", *contexts,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    report = json.loads(done.stdout)
    assert report["verified"]["passed"]
    assert report["verified"]["platforms"] == BOTH
    assert report["published"] == [f"{reference}@{report['digest']}"]
    assert {path: path.read_bytes() for path in EXAMPLE.rglob("*") if path.is_file()} == files

    raw, index = raw_index(f"docker://{reference}")
    manifests = index["manifests"]
    assert isinstance(manifests, list)
    assert sorted(f"linux/{entry['platform']['architecture']}" for entry in manifests) == BOTH
    seen_by_buildx = docker_daemon.docker("buildx", "imagetools", "inspect", "--raw", reference)
    assert seen_by_buildx.encode() == raw.strip()

    checked = crossdock(
        "verify", "--require", ",".join(BOTH), "--engine", engine, "--format", "json", "--smoke-timeout", "4", reference
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    seen = json.loads(checked.stdout)
    assert seen["digest"] == report["digest"]
    smoke = {entry["platform"]: entry["status"] for entry in seen["results"] if entry["check"] == "smoke"}
    assert smoke == dict.fromkeys(BOTH, "passed")


def build(project: Path, engine: str, base_layout: Path, base_image: str, *argv: str) -> list[str]:
    layout = project.parent / ".Base_-layout"
    layout.symlink_to(base_layout)
    source = f"docker-image://{base_image}" if engine == "buildx" else f"oci-layout://{layout}"
    return ["build", str(project), "--engine", engine, "--build-context", f"base={source}", *argv]


def test_an_archive_holds_both_platforms_and_skopeo_reads_it(
    engine: str, project: Path, base_layout: Path, base_image: str, tmp_path: Path
) -> None:
    archive, metadata = tmp_path / "image.tar", tmp_path / "metadata.json"
    done = crossdock(
        *build(project, engine, base_layout, base_image, "--port", "-t", "demo:1", "-o", f"type=oci,dest={archive}",
               "--metadata-file", str(metadata)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    _, index = raw_index(f"oci-archive:{archive}")
    manifests = index["manifests"]
    assert isinstance(manifests, list)
    assert sorted(f"linux/{entry['platform']['architecture']}" for entry in manifests) == BOTH
    checked = crossdock("verify", "--no-smoke", "--format", "json", str(archive))
    assert checked.returncode == 0, checked.stdout
    assert json.loads(metadata.read_text())["containerimage.digest"] == json.loads(checked.stdout)["digest"]


def test_unported_it_is_stopped_before_anything_is_published(
    engine: str, project: Path, base_layout: Path, base_image: str, image_registry: Registry, tmp_path: Path
) -> None:
    """The amd64 stage's program lands in the arm64 image: verify names the file and the instruction."""
    dockerfile = project / "Dockerfile"
    dockerfile.write_text(
        dockerfile.read_text().replace("COPY --from=build /machine", "COPY --from=build /bin/busybox")
    )
    reference = f"{image_registry.host}/team/wrong:{engine}"
    archive = tmp_path / "wrong.tar"
    done = crossdock(
        *build(project, engine, base_layout, base_image, "-t", reference, "--push", "-o", f"type=oci,dest={archive}")
    )
    assert done.returncode == 1, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "machine" in said
    assert "COPY" in said
    assert "nothing was published" in said
    assert not archive.exists()
    missing = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{reference}"], capture_output=True, check=False
    )
    assert missing.returncode != 0


def test_a_pinned_image_is_not_what_the_index_says(
    engine: str, project: Path, base_layout: Path, base_image: str
) -> None:
    (project / "Dockerfile").write_text('FROM --platform=linux/amd64 base\nRUN true\nCMD ["true"]\n')
    done = crossdock(*build(project, engine, base_layout, base_image, "--format", "json"))
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [entry for entry in json.loads(done.stdout)["verified"]["results"] if entry["status"] == "failed"]
    assert {entry["platform"] for entry in failed} == {"linux/arm64"}
    # BuildKit writes the target into the config, whatever the content is.
    assert {entry["check"] for entry in failed} >= ({"binaries"} if engine == "buildx" else {"config", "binaries"})


def test_a_dry_run_prints_the_commands_and_runs_nothing(
    engine: str, project: Path, base_layout: Path, base_image: str
) -> None:
    done = crossdock(*build(project, engine, base_layout, base_image, "--port", "--dry-run", "--format", "json"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verified"] is None
    assert any(" build " in command for command in report["commands"])
    assert {stage["strategy"] for stage in report["plan"]["stages"]} >= {"native", "assist"}


def test_a_failing_step_is_shown_with_its_last_lines(
    engine: str, project: Path, base_layout: Path, base_image: str
) -> None:
    (project / "Dockerfile").write_text("FROM base\nRUN echo before; ls /nowhere\n")
    done = crossdock(*build(project, engine, base_layout, base_image))
    assert done.returncode == 3
    assert "ls /nowhere" in done.stderr
    assert "No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_build_leaves_nothing_behind(
    engine: str, project: Path, base_layout: Path, base_image: str, tmp_path: Path
) -> None:
    (project / "Dockerfile").write_text("FROM base\nRUN echo waiting; sleep 600\n")
    archive = tmp_path / "never.tar"
    argv = build(project, engine, base_layout, base_image, "--progress", "plain", "-o", f"type=oci,dest={archive}")
    process = subprocess.Popen(
        [sys.executable, "-m", "crossdock", *argv], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "│ waiting" in line or "| waiting" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert not archive.exists()
    assert "sleep 600" not in subprocess.run(["ps", "ax"], capture_output=True, text=True, check=True).stdout


def test_a_port_that_only_the_engine_sees(
    engine: str, project: Path, base_layout: Path, base_image: str, tmp_path: Path
) -> None:
    """What was in the files before is in them afterwards; the image holds the ported result."""
    before = (project / "Dockerfile").read_bytes()
    layout = tmp_path / "layout"
    done = crossdock(
        *build(project, engine, base_layout, base_image, "--port", "-o", f"type=oci,tar=false,dest={layout}")
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert (project / "Dockerfile").read_bytes() == before
    assert crossdock("verify", "--require", ",".join(BOTH), "--no-smoke", str(layout)).returncode == 0
