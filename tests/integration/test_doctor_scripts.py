"""The doctor's way to machines without crossdock, in a throwaway Debian 12 and 13: facts are collected there, judged
here, and the script that comes of it is run there. The kernel's list of emulators belongs to the test alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from debian_root import Root, make_archive, unpack, with_own_kernel_list

from crossdock.doctor.examine import examine
from crossdock.doctor.install import Source
from crossdock.doctor.material import collector, read_facts
from crossdock.host.change import run_steps
from crossdock.platforms import DEFAULT_TARGETS
from crossdock.process import Command, Completed, SystemRunner

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ENTRIES = "/proc/sys/fs/binfmt_misc"


@dataclass(frozen=True)
class Machine:
    root: Root

    def facts(self) -> str:
        self.root.path("/root/collect.sh").write_text(collector())
        ran = self.root.run("sh", "/root/collect.sh")
        assert ran.returncode == 0, ran.stdout
        return ran.stdout

    def judged(self, folder: Path, *arguments: str, code: int = 0) -> str:
        (folder / "facts.json").write_text(self.facts())
        argv = [sys.executable, "-m", "crossdock", "doctor", "--from", str(folder / "facts.json"), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def states(self, folder: Path) -> dict[str, str]:
        report = json.loads(self.judged(folder, "--format", "json", code=1))
        return {check["id"]: check["state"] for check in report["checks"]}

    def answering(self, answers: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run with a terminal, at which somebody types."""
        ours, theirs = os.openpty()
        try:
            os.write(ours, answers.encode())
            argv = self.root.command("env", "DEBIAN_FRONTEND=noninteractive", *command)
            return subprocess.run(
                argv, stdin=theirs, capture_output=True, text=True, timeout=120, check=False, cwd="/",
            )  # fmt: skip
        finally:
            os.close(ours)
            os.close(theirs)

    def entries(self) -> list[str]:
        return self.root.run("ls", ENTRIES).stdout.split()

    def packages(self) -> set[str]:
        listed = self.root.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n").stdout.splitlines()
        return {line[3:] for line in listed if line.startswith("ii")}


class InRoot(SystemRunner):
    """Starts in a root what is meant for the machine."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def stream(self, command: Command, on_line: Callable[[str], None], *, timeout: float | None = None) -> int:
        shell, file = command.argv
        self._root.path("/root/step.sh").write_text(Path(file).read_text())
        return super().stream(Command(self._root.command(shell, "/root/step.sh")), on_line, timeout=timeout)

    def run(self, command: Command, **_: Any) -> Completed:
        raise AssertionError(f"steps are shell programs, not {command}")


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp(request.param) / "root.tar"
    make_archive(request.param, file)
    return file


@pytest.fixture
def machine(archive: Path, tmp_path: Path) -> Iterator[Machine]:
    with with_own_kernel_list(unpack(archive, tmp_path / "root")) as root:
        yield Machine(root)


def test_a_machine_that_has_nothing(machine: Machine, tmp_path: Path) -> None:
    states = machine.states(tmp_path)
    assert (states["docker"], states["emulation-arm64"]) == ("problem", "problem")
    packages = machine.packages()
    script = machine.judged(tmp_path, "--script", "--install", "distribution")
    (tmp_path / "prepare.sh").write_text(script)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, "-s", "sh", tmp_path / "prepare.sh"], timeout=60, check=True)

    before = machine.root.state()
    foreseen = machine.root.script(script, "--dry-run").stdout
    assert foreseen.count("[to do]") == 3
    assert machine.root.state() == before, "a dry run changes nothing"

    ran = machine.root.script(script)
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert ran.stdout.endswith("All is done.\n"), ran.stdout[-3000:]
    assert "crossdock-aarch64" in machine.entries()
    assert machine.states(tmp_path)["emulation-arm64"] == "good", "a real arm64 program ran in an empty root"
    assert machine.root.run("docker", "--version").returncode == 0

    installed = {"docker.io", "qemu-user-static", "qemu-user-binfmt"} & machine.packages()
    assert len(installed) == 2

    before = machine.root.state()
    again = machine.root.script(script)
    assert again.stdout.count("  - nothing to do\n") == 3, again.stdout
    assert machine.root.state() == before
    assert machine.root.script(script, "--dry-run").stdout.count("[done]") == 3

    # Others may have come to need the packages: somebody has to say that they go.
    undone = machine.root.script(script, "--undo")
    assert undone.returncode == 0, undone.stdout[-3000:]
    assert undone.stdout.count("left, as nobody is there to be asked: Remove the packages") == 2
    assert "crossdock-aarch64" not in machine.entries()
    assert installed <= machine.packages()
    assert machine.states(tmp_path)["emulation-arm64"] == "problem"
    undone = machine.answering("y\ny\n", "sh", "/root/script.sh", "--undo")
    assert undone.returncode == 0, undone.stdout[-3000:]
    assert packages <= machine.packages()
    assert not installed & machine.packages()
    assert "Nothing was changed by crossdock" in machine.root.script(script, "--undo").stdout


def test_a_machine_with_docker_and_qemu(machine: Machine, tmp_path: Path) -> None:
    """What is there stays there, also when the rest is taken back."""
    trixie = "trixie" in machine.root.path("/etc/os-release").read_text()
    names = "docker.io docker-cli docker-buildx qemu-user" if trixie else "docker.io qemu-user-static"
    install = f"apt-get -qq update && apt-get install -qq -y --no-install-recommends mount {names}"
    ready = machine.root.run("sh", "-c", install, environment={"DEBIAN_FRONTEND": "noninteractive"})
    assert ready.returncode == 0, ready.stdout[-3000:]
    packages = machine.packages()
    diagnosis = examine(read_facts(machine.facts(), "there"), DEFAULT_TARGETS, install=Source.DISTRIBUTION)
    ids = [step.id for step in diagnosis.steps]
    assert ids[0] == "binfmt-register-aarch64"

    runner = InRoot(machine.root)
    taken = run_steps(diagnosis.steps, runner, confirm=lambda _: True)
    assert [outcome.ending for outcome in taken] == ["changed"] * len(ids), taken
    assert "crossdock-aarch64" in machine.entries()
    assert machine.states(tmp_path)["emulation-arm64"] == "good"

    before = machine.root.state()
    again = run_steps(diagnosis.steps, runner, confirm=lambda _: pytest.fail("nothing is left to ask about"))
    assert [outcome.ending for outcome in again] == ["nothing to do"] * len(ids)
    assert machine.root.state() == before

    # The script knows what the steps have done: they write one journal.
    script = machine.judged(tmp_path, "--script", "--install", "distribution")
    undone = machine.root.script(script, "--undo")
    assert undone.returncode == 0, undone.stdout[-3000:]
    assert machine.entries() == ["register", "status"]
    assert machine.packages() == packages
