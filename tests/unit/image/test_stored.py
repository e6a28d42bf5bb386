"""Images out of the stores of engines: the program that is asked, and what becomes of its file."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from samples import write_image

from crossdock.errors import EngineError
from crossdock.image.stored import is_stored, open_stored
from crossdock.platforms import ARM64
from crossdock.process import Command, Completed, SystemRunner


class Saves(SystemRunner):
    """Has these programs, each of which writes an archive (or nothing) where it is told to."""

    def __init__(self, *programs: str, archive: bytes = b"") -> None:
        self.programs = programs
        self.archive = archive
        self.argv: tuple[str, ...] = ()
        self.file = Path()

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program in self.programs else None

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        self.argv = command.argv
        self.file = next(Path(word.removeprefix("oci-archive:")) for word in command.argv if word.endswith(".tar"))
        if self.archive:
            self.file.write_bytes(self.archive)
        return Completed(command, 0 if self.archive else 1, b"", b"no such image", 0.1)


def packed(folder: Path) -> bytes:
    write_image(folder, ARM64)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(folder, ".")
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "programs", "argv"),
    [
        ("docker-daemon:a/b:1", ("docker", "podman"), ("docker", "save", "--output", "FILE", "a/b:1")),
        ("containers-storage:a", ("podman", "buildah"), ("podman", "save", "--quiet", "--format=oci-archive")),
        ("containers-storage:a", ("buildah",), ("buildah", "push", "--quiet", "a", "oci-archive:FILE")),
        ("containerd:docker.io/a:1", ("ctr",), ("ctr", "images", "export", "--all-platforms", "FILE")),
    ],
)
def test_the_program_that_has_it_is_asked_and_nothing_stays(
    text: str, programs: tuple[str, ...], argv: tuple[str, ...], tmp_path: Path
) -> None:
    runner = Saves(*programs, archive=packed(tmp_path / "layout"))
    assert is_stored(text)
    image = open_stored(text, runner)
    assert tuple(word.replace(str(runner.file), "FILE") for word in runner.argv)[: len(argv)] == argv
    assert not runner.file.exists()
    assert image.name == text
    (entry,) = image.index().images
    assert entry.platform == ARM64
    assert image.config(image.manifest(entry)).platform == ARM64


def test_no_program_and_no_image() -> None:
    with pytest.raises(EngineError, match="podman or buildah is needed"):
        open_stored("containers-storage:a", Saves("docker"))
    with pytest.raises(EngineError, match="docker could not give the image"):
        open_stored("docker-daemon:a", Saves("docker"))
    assert not is_stored("docker://a")
