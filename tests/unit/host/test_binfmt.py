"""Reading binfmt_misc, judging it, and what is written to it; without a kernel that listens."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.errors import CrossdockError, EngineError
from crossdock.host.binfmt import (
    MACHINES,
    Handler,
    check_emulation,
    find_interpreter,
    needs_loader,
    parse_handler,
    read_handlers,
    register,
    registration_line,
    smallest_program,
)
from crossdock.platforms import AMD64, ARM64, Platform, parse_platform
from crossdock.process import Command, Completed, LineHandler

QEMU_AARCH64 = """\
enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
JAR = "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"
RISCV = parse_platform("riscv64")


class Programs:
    """A runner on whose machine nothing can be started, and only these programs are installed."""

    def __init__(self, *installed: str) -> None:
        self.installed = installed

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program in self.installed else None

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        raise EngineError("cannot start: Exec format error")

    def stream(self, command: Command, on_line: LineHandler, *, timeout: float | None = None) -> int:
        raise AssertionError


def binfmt(folder: Path, *, status: str = "enabled", **entries: str) -> Path:
    (folder / "register").touch()
    (folder / "status").write_text(f"{status}\n")
    for name, text in entries.items():
        (folder / name).write_text(text)
    return folder


def test_a_handler_is_read() -> None:
    handler = parse_handler("qemu-aarch64", QEMU_AARCH64)
    assert handler.enabled
    assert handler.fixed
    assert handler.interpreter == "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"
    assert handler.magic[18:20] == b"\xb7\x00"
    assert handler.mask[7] == 0


def test_an_entry_by_extension_takes_no_program() -> None:
    assert not parse_handler("jar", JAR).takes(MACHINES["arm64"].header())


@pytest.mark.parametrize("text", ["magic 7f4\n", "offset x\n", "magic 7f45\nmask ff\n"])
def test_what_the_kernel_does_not_write_is_an_error(text: str) -> None:
    with pytest.raises(CrossdockError, match="qemu"):
        parse_handler("qemu", text)


@pytest.mark.parametrize("kind", [2, 3])
def test_a_handler_is_known_by_what_it_takes_not_by_its_name(kind: int) -> None:
    handler = parse_handler("some-name", QEMU_AARCH64)
    taken = [name for name, machine in MACHINES.items() if handler.takes(machine.header(kind))]
    assert taken == ["arm64"]


def test_a_disabled_handler_takes_nothing() -> None:
    handler = parse_handler("qemu-aarch64", QEMU_AARCH64.replace("enabled", "disabled"))
    assert not handler.takes(MACHINES["arm64"].header())


def test_a_handler_may_have_no_mask_and_an_offset() -> None:
    assert Handler("h", True, "/i", "F", 18, b"\xb7\x00").takes(MACHINES["arm64"].header())
    assert not Handler("h", True, "/i", "F", 18, b"\xb7\x01").takes(MACHINES["arm64"].header())


def test_binfmt_misc_switched_off_as_a_whole_has_no_handlers(tmp_path: Path) -> None:
    assert len(read_handlers(binfmt(tmp_path, arm=QEMU_AARCH64))) == 1
    (tmp_path / "status").write_text("disabled\n")
    assert read_handlers(tmp_path) == ()


def test_what_is_there_is_no_problem(tmp_path: Path) -> None:
    root = binfmt(tmp_path, anything=QEMU_AARCH64, jar=JAR)
    assert check_emulation((AMD64, ARM64, parse_platform("386")), Programs(), root=root, host=AMD64) == ()


def test_the_machines_own_platform_needs_nothing(tmp_path: Path) -> None:
    assert check_emulation((ARM64,), Programs(), root=tmp_path / "none", host=ARM64) == ()


def test_a_handler_without_f_is_a_problem(tmp_path: Path) -> None:
    root = binfmt(tmp_path, qemu=QEMU_AARCH64.replace("POF", "PO"))
    (problem,) = check_emulation((ARM64, ARM64), Programs("apt-get"), root=root, host=AMD64)
    assert problem.platform == ARM64
    assert "without flag F" in problem.what


def test_a_second_handler_with_f_is_enough(tmp_path: Path) -> None:
    root = binfmt(tmp_path, old=QEMU_AARCH64.replace("POF", "PO"), new=QEMU_AARCH64)
    assert check_emulation((ARM64,), Programs(), root=root, host=AMD64) == ()


def test_without_anything_the_next_step_is_to_install_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossdock.host.binfmt.find_interpreter", lambda platform: None)
    for root in (binfmt(tmp_path), tmp_path / "not-mounted"):
        (problem,) = check_emulation((ARM64,), Programs("apt-get"), root=root, host=AMD64)
        assert "`sudo apt-get install qemu-user-static`" in problem.hint
        assert "linux/arm64" in str(problem)


def test_a_platform_nothing_emulates(tmp_path: Path) -> None:
    (problem,) = check_emulation((Platform("windows", "amd64"),), Programs(), root=tmp_path, host=AMD64)
    assert "no emulator" in problem.what


def test_the_registration_is_what_distributions_register() -> None:
    line = registration_line("n", MACHINES["arm64"], Path("/usr/libexec/qemu-binfmt/aarch64-binfmt-P"))
    name, kind, offset, magic, mask, interpreter, flags = line.decode().split(":")[1:]
    assert (name, kind, offset, flags) == ("n", "M", "", "OPF")
    assert interpreter == "/usr/libexec/qemu-binfmt/aarch64-binfmt-P"
    assert bytes.fromhex(magic.replace("\\x", "")) == parse_handler("q", QEMU_AARCH64).magic
    assert bytes.fromhex(mask.replace("\\x", "")) == parse_handler("q", QEMU_AARCH64).mask
    assert registration_line("n", MACHINES["arm64"], Path("/usr/bin/qemu-aarch64-static")).endswith(b":F")


def test_interpreters_are_found_where_distributions_put_them(tmp_path: Path) -> None:
    assert find_interpreter(ARM64, tmp_path) is None
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/qemu-aarch64").touch()
    assert find_interpreter(ARM64, tmp_path) == tmp_path / "usr/bin/qemu-aarch64"
    (tmp_path / "usr/bin/qemu-aarch64-static").touch()
    assert find_interpreter(ARM64, tmp_path) == tmp_path / "usr/bin/qemu-aarch64-static"
    assert find_interpreter(RISCV, tmp_path) is None


def elf(*kinds: int, bits: int = 64) -> bytes:
    machine = MACHINES["amd64"] if bits == 64 else MACHINES["386"]
    if bits == 64:
        rest = struct.pack("<IQQQIHHHHHH", 1, 0, 64, 0, 0, 64, 56, len(kinds), 0, 0, 0)
        return machine.header() + rest + b"".join(struct.pack("<I52x", kind) for kind in kinds)
    rest = struct.pack("<IIIIIHHHHHH", 1, 0, 52, 0, 0, 52, 32, len(kinds), 0, 0, 0)
    return machine.header() + rest + b"".join(struct.pack("<I28x", kind) for kind in kinds)


@pytest.mark.parametrize("bits", [32, 64])
def test_a_loader_is_seen_in_the_program_headers(bits: int) -> None:
    assert needs_loader(elf(6, 3, 1, bits=bits))
    assert not needs_loader(elf(1, 1, bits=bits))


def test_an_emulator_must_be_a_static_program_of_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "qemu"
    for data, message in (
        (b"#!/bin/sh\n", "no program of this machine"),
        (smallest_program(MACHINES["riscv64"], b""), "no program of this machine"),
    ):
        file.write_bytes(data)
        file.chmod(0o755)
        with pytest.raises(CrossdockError, match=message):
            register(ARM64, Programs(), interpreter=file, root=tmp_path)
    with pytest.raises(CrossdockError, match="colon"):
        register(ARM64, Programs(), interpreter=tmp_path / "a:b", root=tmp_path)
    with pytest.raises(CrossdockError, match="cannot be read"):
        register(ARM64, Programs(), interpreter=tmp_path / "gone", root=tmp_path)


@given(st.text())
def test_any_text_is_a_handler_or_a_clear_error(text: str) -> None:
    with contextlib.suppress(CrossdockError):
        parse_handler("name", text).takes(MACHINES["arm64"].header())
