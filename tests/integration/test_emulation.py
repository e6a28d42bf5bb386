"""Emulation, for real: registering QEMU with the kernel, running an arm64 program by it, and taking it back."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from busybox import busybox

from crossdock.errors import CrossdockError
from crossdock.host.binfmt import BINFMT, check_emulation, find_interpreter, read_handlers, register
from crossdock.platforms import AMD64, ARM64, parse_platform
from crossdock.process import Command, SystemRunner

pytestmark = pytest.mark.integration

RISCV = parse_platform("linux/riscv64")
"""Nobody else on this machine builds for it, so what is registered for it is this test's alone."""


@pytest.fixture
def name() -> str:
    return f"crossdock-test-{secrets.token_hex(4)}"


def test_a_registration_runs_arm64_programs_in_an_empty_root_and_is_taken_back(name: str, tmp_path: Path) -> None:
    runner = SystemRunner()
    before = {entry.name for entry in read_handlers()}
    registration = register(ARM64, runner, name=name)
    try:
        assert {entry.name for entry in read_handlers()} == before | {name}
        assert check_emulation((AMD64, ARM64), runner) == ()
        (tmp_path / "busybox").write_bytes(busybox("arm64"))
        (tmp_path / "busybox").chmod(0o755)
        # In a chroot without QEMU, as in a container: that is what flag F is for.
        done = runner.run(Command(("chroot", str(tmp_path), "/busybox", "uname", "-m")))
        assert done.text == "aarch64\n"
    finally:
        registration.undo()
    assert {entry.name for entry in read_handlers()} == before
    registration.undo()


def test_without_a_handler_the_kernel_refuses_and_the_check_says_so(name: str) -> None:
    runner = SystemRunner()
    if any("riscv" in entry.name for entry in read_handlers()):
        pytest.fail("something is registered for riscv64 on this machine; this test needs it free")
    (problem,) = check_emulation((RISCV,), runner)
    assert "no handler" in problem.what
    assert "--fix-binfmt" in problem.hint
    registration = register(RISCV, runner, name=name)
    try:
        assert check_emulation((RISCV,), runner) == ()
    finally:
        registration.undo()
    assert check_emulation((RISCV,), runner) == (problem,)


def test_a_handler_without_flag_f_does_not_count(name: str) -> None:
    runner = SystemRunner()
    registration = register(RISCV, runner, name=name)
    line = (
        f":{name}-plain:M::\\x7fELF\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xf3\\x00::"
    )
    registration.undo()
    (BINFMT / "register").write_text(f"{line}{find_interpreter(RISCV)}:")
    try:
        (problem,) = check_emulation((RISCV,), runner)
        assert "without flag F" in problem.what
        assert f"{name}-plain" in problem.what
    finally:
        (BINFMT / f"{name}-plain").write_text("-1")


def test_a_dynamically_linked_emulator_is_refused(name: str, tmp_path: Path) -> None:
    fake = tmp_path / "qemu-aarch64"
    fake.write_bytes(Path("/usr/bin/env").read_bytes())
    fake.chmod(0o755)
    with pytest.raises(CrossdockError, match="linked dynamically"):
        register(ARM64, SystemRunner(), interpreter=fake, name=name)
    assert not (BINFMT / name).exists()


def test_the_same_name_is_not_taken_twice(name: str) -> None:
    runner = SystemRunner()
    registration = register(RISCV, runner, name=name)
    try:
        with pytest.raises(CrossdockError, match="already"):
            register(RISCV, runner, name=name)
    finally:
        registration.undo()


def test_only_root_may_register(name: str) -> None:
    code = (
        "import sys; from crossdock.host.binfmt import register; from crossdock.platforms import ARM64\n"
        "from crossdock.process import SystemRunner; from crossdock.errors import CrossdockError\n"
        f"try: register(ARM64, SystemRunner(), name={name!r})\n"
        "except CrossdockError as error: print(error)\n"
    )
    if os.geteuid() != 0:
        pytest.fail("the integration tests need root")
    # The identity changes in a child, whose interpreter other users may not be able to read; so after the start.
    script = f"import os, crossdock.host.binfmt, crossdock.process\nos.setuid(65534)\n{code}"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "only root" in done.stdout
    assert "sudo crossdock" in done.stdout
