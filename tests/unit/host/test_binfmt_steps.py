"""The steps that register an emulator, run by real shells on a folder that stands for binfmt_misc."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from crossdock.host.binfmt import MACHINES, registration_line
from crossdock.host.binfmt_steps import boot_step, enable_step, register_step, service_step
from crossdock.host.script import Places, program_to_change, program_to_test, program_to_undo, script_of
from crossdock.host.steps import Step
from crossdock.platforms import ARM64, Platform, parse_platform

SHELLS = ("dash", "bash")
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
PPC = parse_platform("ppc64le")
DISTRIBUTION_ENTRY = """\
enabled
interpreter /usr/bin/qemu-ppc64le-static
flags: F
offset 0
magic 7f454c4602010100000000000000000002001500
mask ffffffffffffff00fffffffffffffffffeffffff
"""


class Machine:
    def __init__(self, folder: Path) -> None:
        self.binfmt = folder / "binfmt_misc"
        self.folders = tuple(str(folder / name) for name in ("etc/binfmt.d", "usr/lib/binfmt.d"))
        self.places = Places(folder / "state", self.binfmt, folder / "run")
        self.qemu = folder / "qemu-custom"
        self.qemu.write_text("#!/bin/sh\n")
        self.qemu.chmod(0o755)
        for made in (self.binfmt, *map(Path, self.folders)):
            made.mkdir(parents=True)
        (self.binfmt / "register").touch()
        (self.binfmt / "status").write_text("enabled\n")

    def register(self, platform: Platform = PPC, interpreter: str = "") -> Step:
        return register_step(platform, interpreter or str(self.qemu), root=self.binfmt)

    def as_the_kernel_does(self) -> None:
        """Show an entry that works, which a folder does not by itself when one is registered."""
        (self.binfmt / "qemu-ppc64le").write_text(DISTRIBUTION_ENTRY)

    def boot(self) -> Step:
        return boot_step(PPC, str(self.qemu), folders=self.folders, root=self.binfmt)

    def test(self, shell: str, step: Step) -> bool:
        return run(shell, program_to_test(step.done, self.places)).returncode == 0

    def change(self, shell: str, step: Step) -> None:
        done = run(shell, program_to_change(step, self.places))
        assert done.returncode == 0, done.stderr

    @property
    def registered(self) -> str:
        return (self.binfmt / "register").read_text()


def run(shell: str, program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([shell, "-c", program], capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_registered_is_the_same_line_as_by_fix_binfmt(shell: str, machine: Machine) -> None:
    machine.as_the_kernel_does()
    machine.change(shell, machine.register())
    line = registration_line("crossdock-ppc64le", MACHINES["ppc64le"], machine.qemu).decode()
    assert machine.registered == line
    assert "\tbinfmt\tcrossdock-ppc64le\t" in machine.places.journal.read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_debians_interpreter_gets_flag_p(shell: str, machine: Machine) -> None:
    interpreter = machine.qemu.with_name("ppc64le-binfmt-P")
    machine.qemu.rename(interpreter)
    machine.as_the_kernel_does()
    machine.change(shell, machine.register(interpreter=str(interpreter)))
    assert machine.registered == registration_line("crossdock-ppc64le", MACHINES["ppc64le"], interpreter).decode()
    assert machine.registered.endswith(":OPF")


@pytest.mark.parametrize("shell", SHELLS)
def test_an_entry_of_the_distribution_is_enough(shell: str, machine: Machine) -> None:
    assert not machine.test(shell, machine.register())
    (machine.binfmt / "qemu-ppc64le").write_text(DISTRIBUTION_ENTRY)
    assert machine.test(shell, machine.register())
    (machine.binfmt / "qemu-ppc64le").write_text(DISTRIBUTION_ENTRY.replace("flags: F", "flags: OC"))
    assert not machine.test(shell, machine.register())
    (machine.binfmt / "qemu-ppc64le").write_text(DISTRIBUTION_ENTRY.replace("enabled", "disabled"))
    assert not machine.test(shell, machine.register())


@pytest.mark.parametrize("shell", SHELLS)
def test_an_entry_of_ours_that_no_longer_does_gives_way(shell: str, machine: Machine) -> None:
    own, other = machine.binfmt / "crossdock-ppc64le", machine.binfmt / "qemu-ppc64le"
    own.write_text("enabled\n")
    machine.as_the_kernel_does()
    machine.change(shell, machine.register())
    assert own.read_text() == "-1\n"
    assert other.read_text() == DISTRIBUTION_ENTRY


@pytest.mark.parametrize("shell", SHELLS)
def test_what_does_not_work_is_not_left_registered(shell: str, machine: Machine) -> None:
    done = run(shell, program_to_change(machine.register(), machine.places))
    assert done.returncode != 0
    assert "runs no linux/ppc64le program" in done.stderr
    assert (machine.binfmt / "crossdock-ppc64le").read_text() == "-1\n"
    assert not machine.places.journal.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_an_interpreter_that_is_not_there_is_an_error(shell: str, machine: Machine) -> None:
    done = run(shell, program_to_change(machine.register(interpreter="/gone/qemu"), machine.places))
    assert done.returncode != 0
    assert "there is no program /gone/qemu" in done.stderr
    assert machine.registered == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_at_boot_and_back(shell: str, machine: Machine) -> None:
    step, file = machine.boot(), Path(machine.folders[0]) / "zz-crossdock-ppc64le.conf"
    assert not machine.test(shell, step)
    machine.change(shell, step)
    assert machine.test(shell, step)
    comment, line = file.read_text().splitlines()
    assert comment.startswith("#")
    assert line.encode() == registration_line("crossdock-ppc64le", MACHINES["ppc64le"], machine.qemu)
    numbers = [index for index, line in enumerate(machine.places.journal.read_text().splitlines(), 1) if "\t" in line]
    for number in reversed(numbers):
        assert run(shell, program_to_undo(number, machine.places)).returncode == 0
    assert not file.exists()
    assert not machine.places.journal.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_distributions_own_file_is_enough_if_it_has_flag_f(shell: str, machine: Machine) -> None:
    line = registration_line("qemu-ppc64le", MACHINES["ppc64le"], Path("/usr/bin/qemu-ppc64le-static")).decode()
    file = Path(machine.folders[1]) / "qemu-ppc64le.conf"
    file.write_text(f"{line[:-1]}OC\n")
    assert not machine.test(shell, machine.boot())
    file.write_text(f"{line}\n")
    assert machine.test(shell, machine.boot())
    # Where ours had to be registered, the distribution's is not enough after a reboot either.
    (machine.binfmt / "crossdock-ppc64le").touch()
    assert not machine.test(shell, machine.boot())


@pytest.mark.parametrize("shell", SHELLS)
def test_binfmt_misc_is_switched_on(shell: str, machine: Machine) -> None:
    step = enable_step(root=machine.binfmt)
    assert machine.test(shell, step)
    (machine.binfmt / "status").write_text("disabled\n")
    assert not machine.test(shell, step)
    machine.change(shell, step)
    assert (machine.binfmt / "status").read_text() == "1\n"


def test_the_script_is_clean(tmp_path: Path) -> None:
    file = tmp_path / "script.sh"
    steps = [
        enable_step(),
        register_step(ARM64),
        boot_step(ARM64),
        register_step(PPC, "/opt/a b/qemu-ppc64le"),
        boot_step(PPC, "/opt/a b/qemu-ppc64le"),
        service_step(),
    ]
    file.write_text(script_of(steps, title="Emulation"))
    done = subprocess.run([SHELLCHECK, "-s", "sh", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
