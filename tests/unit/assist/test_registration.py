"""Whether builds can be assisted on a machine, from what its kernel has registered."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from crossdock.assist.registrars import registrar
from crossdock.assist.registration import available, launcher_entry
from crossdock.errors import CrossdockError, EngineError
from crossdock.host.binfmt import MACHINES
from crossdock.platforms import AMD64, ARM64, DEFAULT_TARGETS, Platform
from crossdock.process import Command, Completed, SystemRunner


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


class NoPrograms(SystemRunner):
    """A machine on which nothing starts."""

    def __init__(self, installed: tuple[str, ...] = ()) -> None:
        self.installed = installed

    def which(self, program: str) -> str | None:
        return program if program in self.installed else None

    def running(self, command: Command, on_line: object = None) -> NoReturn:
        raise EngineError(f"{command} does not start")


class Daemon(NoPrograms):
    """Docker that answers, and puts an entry into the kernel when a container writes one."""

    def __init__(self, root: Path, answer: str) -> None:
        super().__init__(("docker",))
        self.root, self.answer, self.started = root, answer, list[tuple[str, ...]]()
        self.image: dict[str, bytes] = {}

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        self.started.append(command.argv)
        if command.argv[1] == "import":
            with tarfile.open(fileobj=io.BytesIO(input or b"")) as archive:
                members = {name: archive.extractfile(name) for name in archive.getnames()}
                self.image = {name: file.read() if file else b"" for name, file in members.items()}
        if command.argv[1] == "run":
            file, text = command.argv[-2:]
            if file == "register":
                (self.root / text.split(":")[1]).write_text("enabled\n")
            else:
                (self.root / file).unlink()
        return Completed(command, 0, self.answer.encode() if command.argv[1] == "info" else b"", b"", 0.0)

    @contextlib.contextmanager
    def guard(self, commands: Sequence[Command]) -> Iterator[None]:
        yield


HERE = f'{os.uname().release} ["name=seccomp,profile=builtin"]\n'


def emulator(folder: Path) -> Path:
    """The smallest file that a launcher can be joined to."""
    header = MACHINES["amd64"].header() + struct.pack("<IQQQIHHHHHH", 1, 0x100, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    table = b"".join(struct.pack("<IIQQQQQQ", kind, 5, 0, 0, 0, 176, 176, 0x1000) for kind in (1, 4))
    file = folder / "qemu-aarch64"
    file.write_bytes(header + table)
    return file


def kernel(folder: Path, interpreter: Path | str, *, flags: str = "POF", name: str = "qemu-aarch64") -> Path:
    """A folder that looks like binfmt_misc with one entry."""
    root = folder / "binfmt_misc"
    root.mkdir(exist_ok=True)
    (root / "status").write_text("enabled\n")
    machine = MACHINES["arm64"]
    (root / name).write_text(
        f"enabled\ninterpreter {interpreter}\nflags: {flags}\noffset 0\n"
        f"magic {machine.header().hex()}\nmask {machine.mask().hex()}\n"
    )
    return root


def test_arm64_can_be_assisted_where_its_emulator_is_a_file_here(tmp_path: Path) -> None:
    root = kernel(tmp_path, emulator(tmp_path))
    found = available(DEFAULT_TARGETS, AMD64, NoPrograms(), root=root)
    assert (found.platforms, found.missing) == (frozenset({ARM64}), "")


def test_platforms_without_packs_and_native_ones_need_no_reason(tmp_path: Path) -> None:
    root = kernel(tmp_path, emulator(tmp_path))
    for targets in ((AMD64,), (Platform("linux", "s390x"),), (Platform("linux", "arm", "v7"),)):
        found = available(targets, AMD64, NoPrograms(), root=root)
        assert (found.platforms, found.missing) == (frozenset(), "")


def test_why_it_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(root: Path) -> str:
        found = available((ARM64,), AMD64, NoPrograms(), root=root)
        assert not found.platforms
        return found.missing

    assert "no emulator for linux/arm64 is registered" in missing(tmp_path / "nothing")
    # As after `docker run --privileged tonistiigi/binfmt --install arm64`: the file was in that container.
    assert "/usr/bin/qemu-none, is no file on this machine" in missing(kernel(tmp_path, "/usr/bin/qemu-none"))
    assert "without flag F" in missing(kernel(tmp_path, emulator(tmp_path), flags="OC"))
    (tmp_path / "script").write_text("#!/bin/sh\n")
    assert "no 64-bit program" in missing(kernel(tmp_path, tmp_path / "script"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "only root" in missing(kernel(tmp_path, emulator(tmp_path)))


def test_a_launcher_of_another_build_is_not_what_is_in_use(tmp_path: Path) -> None:
    root = kernel(tmp_path, "/tmp/gone/aarch64-binfmt-P", name="crossdock-assist-aarch64-7")
    assert "no emulator" in available((ARM64,), AMD64, NoPrograms(), root=root).missing
    kernel(tmp_path, emulator(tmp_path))
    assert available((ARM64,), AMD64, NoPrograms(), root=root).platforms == {ARM64}


def test_who_may_use_docker_may_register_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    root = kernel(tmp_path, emulator(tmp_path))
    daemon = Daemon(root, HERE)
    assert available((ARM64,), AMD64, daemon, root=root).platforms == {ARM64}
    entry = launcher_entry(ARM64, daemon, root)
    with registrar(daemon, root=root).registered(entry):
        assert (root / entry.name).exists()
        assert sorted(daemon.image) == ["binfmt", "qemu-aarch64", "registrar"]
        assert b"crossdock-launch" in daemon.image["qemu-aarch64"]
    assert not (root / entry.name).exists()
    assert daemon.started[-1] == ("docker", "image", "rm", "--force", f"{entry.name}:launcher")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "or who may use Docker"),
        ('5.10.0-desktop ["name=seccomp"]', "Docker runs on another machine"),
        (f'{os.uname().release} ["name=seccomp","name=rootless"]', "has not its rights"),
    ],
)
def test_a_docker_that_cannot_is_not_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, why: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    root = kernel(tmp_path, emulator(tmp_path))
    assert why in available((ARM64,), AMD64, Daemon(root, answer), root=root).missing


def test_a_daemon_with_a_kernel_of_its_own_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    root = kernel(tmp_path, emulator(tmp_path))
    daemon = Daemon(tmp_path, HERE)
    with (
        pytest.raises(CrossdockError, match="another kernel"),
        registrar(daemon, root=root).registered(launcher_entry(ARM64, daemon, root)),
    ):
        pass
    assert daemon.started[-1][1] == "image"
