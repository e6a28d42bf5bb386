"""Whether builds can be assisted on a machine, from what its kernel has registered."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from crossdock.assist.registration import available
from crossdock.host.binfmt import MACHINES
from crossdock.platforms import AMD64, ARM64, DEFAULT_TARGETS, Platform


@pytest.fixture(autouse=True)
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


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
    found = available(DEFAULT_TARGETS, AMD64, root=root)
    assert (found.platforms, found.missing) == (frozenset({ARM64}), "")


def test_platforms_without_packs_and_native_ones_need_no_reason(tmp_path: Path) -> None:
    root = kernel(tmp_path, emulator(tmp_path))
    for targets in ((AMD64,), (Platform("linux", "s390x"),), (Platform("linux", "arm", "v7"),)):
        found = available(targets, AMD64, root=root)
        assert (found.platforms, found.missing) == (frozenset(), "")


def test_why_it_cannot_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(root: Path) -> str:
        found = available((ARM64,), AMD64, root=root)
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
    assert "no emulator" in available((ARM64,), AMD64, root=root).missing
    kernel(tmp_path, emulator(tmp_path))
    assert available((ARM64,), AMD64, root=root).platforms == {ARM64}
