"""crossdock run, as far as the command line goes: which platform, which words, which exit code; no engine is there."""

from __future__ import annotations

import contextlib
import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossdock.cli.main import main
from crossdock.engines.containers import EngineFacts, RunRequest
from crossdock.errors import EngineError
from crossdock.image.assemble import assemble_index
from crossdock.image.documents import descriptor_json, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from crossdock.image.stream import digest_of
from crossdock.platforms import AMD64, ARM64, Platform, parse_platform
from crossdock.verify.run_end import Explained

Capture = pytest.CaptureFixture[str]
ARMV7 = parse_platform("linux/arm/v7")


class Engine:
    """It has these images, and keeps what it was asked to run."""

    name = "docker"

    def __init__(self, host: Platform, local: Platform | None) -> None:
        self.host = host
        self.local = local
        self.requests: list[RunRequest] = []

    def probe(self) -> EngineFacts:
        return EngineFacts("docker", (28,), self.host, shares_kernel=False)

    def local_platform(self, image: str) -> Platform | None:
        return self.local

    @contextlib.contextmanager
    def create(self, request: RunRequest, on_pull: object) -> Iterator[None]:
        self.requests.append(request)
        yield


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    """Runs the command line, and returns the request."""

    def run(
        *arguments: str, host: Platform = AMD64, local: Platform | None = None, ended: Explained | None = None
    ) -> tuple[int, RunRequest | None]:
        engine = Engine(host, local)
        monkeypatch.setattr("crossdock.cli.run.choose_to_run", lambda name, runner: engine)
        monkeypatch.setattr("crossdock.cli.run.run_to_the_end", lambda *_, **__: ended or Explained(0))
        code = main(["run", *arguments])
        return code, engine.requests[0] if engine.requests else None

    return run


def write(folder: Path, *platforms: Platform) -> Path:
    """A layout with an image of one empty layer for each platform."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w"):
        pass
    images = []
    for number, platform in enumerate(platforms):
        writer = LayoutWriter(folder / str(number))
        layer = writer.add_document(gzip.compress(packed.getvalue(), mtime=0), OCI_LAYER_GZIP)
        config = {
            "os": platform.os,
            "architecture": platform.architecture,
            "variant": platform.variant,
            "rootfs": {"type": "layers", "diff_ids": [digest_of(packed.getvalue())]},
        }
        parts = {
            "config": descriptor_json(writer.add_document(to_json(config), OCI_CONFIG)),
            "layers": [descriptor_json(layer)],
        }
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, **parts}
        writer.finish(writer.add_document(to_json(manifest), OCI_MANIFEST))
        images.append((LayoutImage(folder / str(number)), platform))
    assemble_index(LayoutWriter(folder / "layout"), images)
    return folder / "layout"


@pytest.mark.parametrize(
    ("arguments", "host", "local", "platform"),
    [
        ((), AMD64, None, ARM64),
        ((), ARM64, None, AMD64),
        ((), parse_platform("riscv64"), None, ARM64),
        ((), AMD64, AMD64, ARM64),
        ((), AMD64, ARMV7, ARMV7),
        ((), ARM64, AMD64, AMD64),
        (("--platform", "linux/arm/v7"), AMD64, ARM64, ARMV7),
        (("--platform", "linux/amd64"), AMD64, ARM64, AMD64),
    ],
)
def test_what_is_foreign_is_run(
    asked, arguments: tuple[str, ...], host: Platform, local: Platform | None, platform: Platform
) -> None:
    _, request = asked(*arguments, "app:1", host=host, local=local)
    assert (request.image, request.platform, request.content) == ("app:1", platform, None)


def test_a_file_says_which_platforms_it_has(asked, tmp_path: Path, capsys: Capture) -> None:
    both, arm, one = (tmp_path / name for name in ("both", "arm", "one"))
    both = write(both, AMD64, ARM64)
    arm = write(arm, ARMV7, parse_platform("s390x"))
    one = write(one, AMD64)
    assert asked(str(both))[1].platform == ARM64
    assert asked(str(both), host=ARM64)[1].platform == AMD64
    assert asked(str(one))[1].platform == AMD64, "there is only one"
    request = asked("--platform", "linux/amd64/v3", str(both))[1]
    assert (request.platform, request.content.name) == (AMD64, str(both))
    for arguments in ([str(arm)], ["--platform", "arm64", str(one)]):
        assert asked(*arguments) == (2, None)
        assert "the image has no linux/arm64; it has linux/" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ((), ()),
        (("--", "uname", "-m"), ("uname", "-m")),
        (("uname", "-m"), ("uname", "-m")),
        (("--", "--", "x"), ("--", "x")),
        (("sh", "--platform", "x", "--", "-t"), ("sh", "--platform", "x", "--", "-t")),
    ],
)
def test_what_follows_the_image_is_the_programs(asked, words: tuple[str, ...], command: tuple[str, ...]) -> None:
    assert asked("docker://app:1", *words)[1].command == command


def test_flags_are_those_of_docker_run(asked) -> None:
    flags = "--rm -i -e A=1 --env B -v /a:/b -p 80:8080 --network host --entrypoint sh -w /w -u 5 --pull always"
    _, request = asked(*flags.split(), "app", "-c", "id")
    assert request == RunRequest(
        *("app", ARM64, ("-c", "id")),
        pull=request.pull,
        entrypoint="sh",
        interactive=True,
        env=("A=1", "B"),
        volumes=("/a:/b",),
        publish=("80:8080",),
        network="host",
        workdir="/w",
        user="5",
    )
    assert request.pull == "always"


def test_the_exit_code_is_the_programs_and_words_come_afterwards(asked, capsys: Capture) -> None:
    assert asked("app", ended=Explained(42))[0] == 42
    assert capsys.readouterr() == ("", "")
    error = EngineError("/app is for s390x", where="app (linux/arm64)", hint="Build it again.")
    assert asked("app", ended=Explained(126, error))[0] == 126
    assert capsys.readouterr().err == "crossdock: app (linux/arm64): /app is for s390x\n  Build it again.\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 2),
        (["--platform", "linux/amd64,linux/arm64", "app"], 2),
        (["--timeout", "0", "app"], 2),
        (["-it", "app"], 2),
        (["./nowhere.tar"], 3),
        ([" "], 2),
    ],
)
def test_a_wrong_call_runs_nothing(
    asked, arguments: list[str], code: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.isatty", lambda _: False)
    assert asked(*arguments) == (code, None)
    assert capsys.readouterr().err.startswith("crossdock: ")
