"""A machine's binfmt_misc of its own, in a user namespace (Linux 6.7 or newer), for tests that register and shadow.

Run as a program inside ``unshare --user --map-root-user --mount``, it plays one scenario and prints what it saw
as JSON. The folders of binfmt.d are empty ones of this mount namespace, so that nothing of the real machine is changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crossdock.doctor.diagnosis import Check
from crossdock.doctor.distribution import Base, Distribution
from crossdock.doctor.emulation import check_emulation
from crossdock.doctor.facts import BinfmtFacts, Facts, Interpreter
from crossdock.doctor.version import version_number
from crossdock.host.binfmt import (
    BINFMT,
    MACHINES,
    interpreter_places,
    is_mounted,
    needs_loader,
    parse_handler,
    registration_match,
    tiny_program,
)
from crossdock.host.change import run_steps
from crossdock.host.journal import undo
from crossdock.host.script import Places
from crossdock.host.steps import Step
from crossdock.platforms import AMD64, ARM64
from crossdock.process import SystemRunner

DISTRIBUTION = Distribution("debian", "Debian 13", "13", "trixie", Base("debian", "13", "trixie"), known=True)
HIDDEN = ("/etc/binfmt.d", "/usr/lib/binfmt.d")


def entries() -> dict[str, str]:
    """Name → text, in the folder's own order."""
    return {entry.name: entry.read_text() for entry in BINFMT.iterdir() if entry.name not in ("register", "status")}


def runs(architecture: str) -> bool:
    """Whether the smallest program runs in an empty root."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "exit"
        program.write_bytes(tiny_program(architecture) or b"")
        program.chmod(0o755)
        done = subprocess.run(["chroot", folder, "/exit"], capture_output=True, check=False, timeout=20)
    return done.returncode == 0


def facts_here(*architectures: str) -> Facts:
    """What the collector would say of emulation on this machine."""
    handlers = {name: parse_handler(name, text) for name, text in entries().items()} if is_mounted() else {}
    files = {handler.interpreter for handler in handlers.values()}
    files |= {place for name in architectures for place in interpreter_places(MACHINES[name])}
    boot = [file for folder in HIDDEN for file in sorted(Path(folder).glob("*.conf"))]
    return Facts(
        kernel=os.uname().release,
        init="systemd",
        binfmt=BinfmtFacts(
            supported=True,
            mounted=is_mounted(),
            enabled=is_mounted() and (BINFMT / "status").read_text() == "enabled\n",
            handlers=tuple(handlers[name] for name in sorted(handlers)),
            newest_first=tuple(handlers),
            interpreters=tuple(interpreter(file) for file in sorted(files) if Path(file).exists()),
            at_boot={str(file): file.read_text() for file in boot},
            service="systemd-binfmt",
        ),
        runs={name: runs(name) for name in architectures},
        runs_in_empty_root=True,
    )


def interpreter(file: str) -> Interpreter:
    head = Path(file).read_bytes()[:4096]
    # Debian's …-binfmt-P is a link to the program, and takes its arguments in another way.
    said = subprocess.run(
        [Path(file).resolve(), "--version"], capture_output=True, text=True, check=False, timeout=20
    ).stdout
    version = ".".join(map(str, version_number(said)))
    return Interpreter(file, version, not needs_loader(head) if head[:4] == b"\x7fELF" else None)


def take(state: Path, *steps: Step) -> list[list[str]]:
    """Id, ending and what was wrong of each step."""
    outcomes = run_steps(steps, SystemRunner(), confirm=lambda _: True, places=Places(state=state))
    return [[outcome.step.id, outcome.ending.value, outcome.what, *outcome.log] for outcome in outcomes]


def take_back(state: Path) -> list[bool]:
    return [one.done for one in undo(SystemRunner(), confirm=lambda _: True, places=Places(state=state))]


def verdicts(*, interpreter: str = "") -> dict[str, Check]:
    checks = check_emulation(facts_here("arm64"), (AMD64, ARM64), DISTRIBUTION, interpreter=interpreter)
    return {check.id: check for check in checks}


def said(checks: dict[str, Check]) -> dict[str, list[str]]:
    return {name: [check.state.value, check.what] for name, check in checks.items()}


def register(name: str, interpreter: str, flags: str) -> None:
    line = f"{registration_match(name, MACHINES['arm64'])}:{interpreter}:{flags}"
    (BINFMT / "register").write_bytes(line.encode())


def from_nothing(state: Path) -> dict[str, Any]:
    """Nothing is mounted or registered; the steps make it work, a second time they do nothing, and it is undone."""
    before = verdicts()
    steps = before["emulation-arm64"].steps
    first = take(state, *steps)
    after = verdicts()
    registered = entries()
    again = take(state, *steps)
    undone = take_back(state)
    return {
        "before": said(before),
        "first": first,
        "after": said(after),
        "registered": registered,
        "again": again,
        "undone": undone,
        "left": entries(),
        "files": [str(file) for folder in HIDDEN for file in Path(folder).iterdir()],
        "runs": runs("arm64"),
    }


def in_front(state: Path) -> dict[str, Any]:
    """An entry without flag F hides a good one; ours comes before both, and after undoing all is as it was."""
    qemu = next(place for place in interpreter_places(MACHINES["arm64"]) if Path(place).exists())
    register("good", qemu, "OPF" if qemu.endswith("-P") else "F")
    alone = runs("arm64")
    register("qemu-aarch64", "/usr/bin/qemu-aarch64", "OC")
    before, was = verdicts(), entries()
    taken = take(state, *before["emulation-arm64"].steps)
    after, now = verdicts(), entries()
    undone = take_back(state)
    return {
        "alone": alone,
        "before": said(before),
        "taken": taken,
        "after": said(after),
        "added": [name for name in now if name not in was],
        "newest": next(iter(now)),
        "undone": undone,
        "same": list(entries().items()) == list(was.items()),
        "runs": runs("arm64"),
    }


def switched_off(state: Path) -> dict[str, Any]:
    """All of binfmt_misc is switched off, and a step switches it on."""
    qemu = next(place for place in interpreter_places(MACHINES["arm64"]) if Path(place).exists())
    register("qemu-aarch64", qemu, "OPF" if qemu.endswith("-P") else "F")
    (BINFMT / "status").write_text("0")
    before = verdicts()
    taken = take(state, *before["emulation-arm64"].steps)
    return {"before": said(before), "taken": taken, "after": said(verdicts())}


def dynamic(state: Path) -> dict[str, Any]:
    """A given interpreter that needs libraries: the step notices that no program runs, and says so."""
    steps = verdicts(interpreter="/usr/bin/env")["emulation-arm64"].steps
    taken = take(state, *steps)
    return {"taken": taken, "undone": take_back(state), "left": entries()}


SCENARIOS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "from_nothing": from_nothing,
    "in_front": in_front,
    "switched_off": switched_off,
    "dynamic": dynamic,
}


def play(scenario: str, state: Path) -> Any:
    """Play a scenario in a namespace of its own and return what it saw."""
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, __file__, scenario, str(state)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def main() -> None:
    scenario, state = sys.argv[1:]
    for folder in HIDDEN:
        if Path(folder).is_dir():
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    # The machine's own entries stay in force until this namespace has a binfmt_misc, so they are out of the way first.
    subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], check=True)
    if scenario == "from_nothing":
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", BINFMT], check=True)  # as if it were not mounted
    json.dump(SCENARIOS[scenario](Path(state)), sys.stdout)


if __name__ == "__main__":
    main()
