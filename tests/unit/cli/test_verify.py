"""crossdock verify on layouts and archives, with an engine that only says how it went."""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest

from crossdock.cli.main import main
from crossdock.engines.containers import EngineFacts, EngineWords, Outcome, RunRequest
from crossdock.errors import EngineError, ExitCode
from crossdock.host.binfmt import Problem
from crossdock.image.archive import write_oci_archive
from crossdock.image.assemble import assemble_index
from crossdock.image.documents import descriptor_json, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, ImageConfig
from crossdock.image.stream import digest_of
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.process import Command

SCHEMA = Path(__file__).parents[3] / "docs/schemas/verify.json"
MACHINES = {"amd64": 62, "arm64": 183}

Capture = pytest.CaptureFixture[str]


def program(architecture: str) -> bytes:
    """A static ELF executable, as far as its header."""
    return b"\x7fELF\2\1\1" + bytes(9) + b"\2\0" + MACHINES[architecture].to_bytes(2, "little") + bytes(44)


def write_image(folder: Path, platform: Platform, holds: str) -> LayoutImage:
    """An image for ``platform`` whose entrypoint is a program for the architecture ``holds``."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("app")
        entry.size, entry.mode = len(program(holds)), 0o755
        tar.addfile(entry, io.BytesIO(program(holds)))
    writer = LayoutWriter(folder)
    layer = writer.add_document(gzip.compress(out.getvalue(), mtime=0), OCI_LAYER_GZIP)
    config = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Entrypoint": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(out.getvalue())]},
        "history": [{"created_by": "COPY app /app # buildkit"}],
    }
    described = writer.add_document(to_json(config), OCI_CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor_json(described),
        "layers": [descriptor_json(layer)],
    }
    writer.finish(writer.add_document(to_json(manifest), OCI_MANIFEST))
    return LayoutImage(folder)


def write_index(folder: Path, *, arm64_holds: str = "arm64") -> Path:
    amd64 = write_image(folder / "amd64", AMD64, "amd64")
    arm64 = write_image(folder / "arm64", ARM64, arm64_holds)
    layout = folder / "both"
    assemble_index(LayoutWriter(layout), [(amd64, AMD64), (arm64, ARM64)])
    return layout


class Engine:
    """Says of every image that it ran."""

    name = "scripted"
    ends = "exit 0"

    def __init__(self) -> None:
        self.started: list[Platform] = []
        self.words: list[tuple[str, ...]] = []

    def probe(self) -> EngineFacts:
        return EngineFacts("scripted", (1,), AMD64)

    @contextmanager
    def create(self, request: RunRequest, on_pull: object) -> Iterator[Container]:
        self.started.append(request.platform)
        self.words.append(request.command)
        yield Container(self.ends)


class Container:
    engine_words = EngineWords((), re.compile(r"(?!)"))
    wrappers: frozenset[str] = frozenset()

    def __init__(self, script: str) -> None:
        self.command = Command(("sh", "-c", script), grace=0)

    def main_process(self, attached: int) -> int | None:
        return None

    def signal(self, number: object) -> bool:
        return False

    def execute(self, words: tuple[str, ...]) -> Command | None:
        return None

    def outcome(self, exit_code: int, noise: tuple[str, ...]) -> Outcome:
        return Outcome(True, exit_code)

    def config(self) -> ImageConfig:
        return ImageConfig(ARM64, (), (), {}, "", "", ())

    def head(self, path: str, size: int) -> None:
        return None


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine()
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("crossdock.cli.verify.choose_to_run", lambda name, runner: engine)
    monkeypatch.setattr("crossdock.verify.places.check_emulation", lambda platforms, runner, host: ())
    return engine


def test_a_right_image_passes(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    layout = write_index(tmp_path)
    assert main(["verify", "--require", "linux/amd64,linux/arm64", str(layout)]) == ExitCode.DONE
    text = capsys.readouterr().out
    assert "verified: linux/amd64, linux/arm64" in text
    assert LayoutImage(layout).root().digest in text
    assert engine.started == [AMD64, ARM64]


def test_a_wrong_binary_fails_and_is_named_with_its_instruction(
    tmp_path: Path, engine: Engine, capsys: Capture
) -> None:
    layout = write_index(tmp_path, arm64_holds="amd64")
    assert main(["verify", "--format", "json", str(layout)]) == ExitCode.FINDINGS
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert document["passed"] is False
    failed = [entry for entry in document["results"] if entry["status"] == "failed"]
    assert {entry["platform"] for entry in failed} == {"linux/arm64"}
    assert any("app" in (entry["path"] or "") and "COPY app" in (entry["created_by"] or "") for entry in failed)
    assert engine.started == [AMD64], "what is known to be wrong is not started"


def test_the_configuration_of_the_current_folder_allows_files(
    tmp_path: Path, engine: Engine, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rootfs = tmp_path / "rootfs"
    rootfs.mkdir()
    (rootfs / "tool").write_bytes(program("amd64"))
    monkeypatch.chdir(tmp_path)
    arguments = ["verify", "--platform", "linux/arm64", f"rootfs:{rootfs}"]
    assert main(arguments) == ExitCode.FINDINGS
    (tmp_path / "crossdock.toml").write_text('[verify]\nallow = [{path = "tool", reason = "sold for amd64 only"}]\n')
    assert main(arguments) == ExitCode.DONE
    assert "1 that this project allows" in " ".join(capsys.readouterr().out.split())


def test_a_wrong_file_of_the_base_is_told_as_the_base_s(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    layout = str(write_index(tmp_path, arm64_holds="amd64"))
    assert main(["verify", "--no-smoke", "--format", "json", "--base", layout, layout]) == ExitCode.FINDINGS
    results = json.loads(capsys.readouterr().out)["results"]
    brought = {entry["created_by"] for entry in results if entry["status"] == "failed"}
    assert brought == {f"the base image {layout} (COPY app /app # buildkit)"}
    assert main(["verify", "--platform", "linux/arm64", "--base", layout, f"rootfs:{tmp_path}"]) == ExitCode.USAGE


def test_a_wrong_file_is_told_with_the_line_of_the_dockerfile(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    layout = str(write_index(tmp_path, arm64_holds="amd64"))
    (tmp_path / "Dockerfile").write_text("FROM scratch\n\nCOPY app /app\n")
    arguments = ["verify", "--no-smoke", "--format", "json", "--dockerfile", str(tmp_path / "Dockerfile")]
    assert main([*arguments, layout]) == ExitCode.FINDINGS
    results = json.loads(capsys.readouterr().out)["results"]
    assert {entry["created_by"] for entry in results if entry["status"] == "failed"} == {
        f"{tmp_path / 'Dockerfile'}:3: COPY app /app"
    }
    assert main([*arguments, "--platform", "linux/arm64", f"rootfs:{tmp_path}"]) == ExitCode.USAGE


def test_an_archive_is_read_as_well(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    write_oci_archive(write_index(tmp_path), tmp_path / "app.tar", ("app:1",))
    assert main(["verify", "--no-smoke", str(tmp_path / "app.tar")]) == ExitCode.DONE
    assert engine.started == []


def test_a_required_platform_that_is_missing_fails(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    image = write_image(tmp_path / "amd64", AMD64, "amd64")
    assert main(["verify", "--require", "linux/arm64", str(tmp_path / "amd64")]) == ExitCode.FINDINGS
    assert "linux/arm64 is not in the image" in " ".join(capsys.readouterr().out.split())
    assert engine.started == [AMD64], image.name


def test_platform_limits_what_is_looked_at(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    layout = write_index(tmp_path, arm64_holds="amd64")
    assert main(["verify", "--platform", "linux/amd64", str(layout)]) == ExitCode.DONE
    assert engine.started == [AMD64]


def test_without_an_engine_the_rest_is_checked_and_it_is_said(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(name: str, runner: object) -> Engine:
        raise EngineError("there is no engine", hint="Install one.")

    monkeypatch.setattr("crossdock.cli.verify.choose_to_run", none)
    layout = write_index(tmp_path)
    assert main(["verify", str(layout)]) == ExitCode.DONE
    text = capsys.readouterr().out
    assert "not started: there is no engine" in text
    assert "skipped" in text
    assert main(["verify", "--engine", "buildah", str(layout)]) == ExitCode.CANNOT


def test_without_emulation_only_what_runs_is_started(
    tmp_path: Path, engine: Engine, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = Problem(ARM64, "the kernel cannot run its programs", "Register QEMU.")
    monkeypatch.setattr(
        "crossdock.verify.places.check_emulation",
        lambda platforms, runner, host: (problem,) if ARM64 in platforms else (),
    )
    assert main(["verify", str(write_index(tmp_path))]) == ExitCode.DONE
    assert engine.started == [AMD64]
    assert "the kernel cannot run its programs" in capsys.readouterr().out


@pytest.mark.parametrize("image", ["./missing", "Not A Reference", "missing.tar"])
def test_what_is_no_image_is_told(image: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", image]) in {ExitCode.USAGE, ExitCode.CANNOT}
    err = capsys.readouterr().err
    assert err.startswith("crossdock: ")
    assert "internal error" not in err


def test_given_words_take_the_place_of_cmd(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    arguments = ["verify", "--platform", "linux/amd64", str(write_index(tmp_path))]
    assert main([*arguments, "--run", "--version", "--run", "serve 'a b'"]) == ExitCode.DONE
    assert engine.words == [("--version",), ("serve", "a b")]
    engine.ends = "echo no such option >&2; exit 2"
    assert main([*arguments, "--run", "--version"]) == ExitCode.FINDINGS
    assert "`--version`: ended with exit code 2" in " ".join(capsys.readouterr().out.split())
    for wrong in ("", "'"):
        assert main([*arguments, "--run", wrong]) == ExitCode.USAGE


def test_limits_of_size_and_layers(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    layout = str(write_index(tmp_path))
    fine = ["verify", "--no-smoke", "--max-size", "1MB", "--max-size-difference", "50", "--max-layers", "3", layout]
    assert main(fine) == ExitCode.DONE
    assert "within the limits" in capsys.readouterr().out
    assert main(["verify", "--no-smoke", "--max-size", "10", layout]) == ExitCode.FINDINGS
    assert "and at most 0.0 MB are allowed" in " ".join(capsys.readouterr().out.split())
    assert main(["verify", "--max-size", "huge", layout]) == ExitCode.USAGE
    assert main(["verify", "--platform", "linux/arm64", "--max-layers", "3", f"rootfs:{tmp_path}"]) == ExitCode.USAGE


def test_limits_of_the_configuration_count_unless_others_are_given(
    tmp_path: Path, engine: Engine, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = str(write_index(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crossdock.toml").write_text('[verify]\nmax-size = "10 B"\n')
    assert main(["verify", "--no-smoke", layout]) == ExitCode.FINDINGS
    assert main(["verify", "--no-smoke", "--max-size", "1 MB", layout]) == ExitCode.DONE


def test_a_node_that_is_none_is_told(tmp_path: Path, engine: Engine, capsys: Capture) -> None:
    layout = str(write_index(tmp_path))
    assert main(["verify", "--node", "http://x", layout]) == ExitCode.USAGE
    assert "is no address of a node" in capsys.readouterr().err
