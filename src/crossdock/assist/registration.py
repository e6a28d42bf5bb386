"""The launcher in the kernel while an assisted build runs, in front of the emulator that is in use.

Other containers on the machine notice nothing: without a pack the launcher is the same QEMU with the same flags. The
entry of the emulator stays below it and is in force again when ours is removed. Should crossdock be killed, a shell
removes it; should even that fail, what stays works as before, because the kernel keeps the file open.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crossdock.assist.emulator import MARKER, with_launcher
from crossdock.assist.packs import HOSTS, TARGETS
from crossdock.assist.registrars import Entry, registrar
from crossdock.errors import CrossdockError, EngineError
from crossdock.host.binfmt import (
    BINFMT,
    MACHINES,
    Handler,
    check_emulation,
    read_handlers,
    registration_match,
    smallest_program,
)
from crossdock.platforms import Platform
from crossdock.process import Command, Runner

_NAME = "crossdock-assist"
_WAITS = {
    "amd64": bytes.fromhex("6a22 58 0f05"),  # pause()
    "arm64": bytes.fromhex("000080d2 010080d2 020080d2 030080d2 280980d2 010000d4"),  # ppoll(0, 0, 0, 0)
}
"""Programs that do nothing until they are killed."""


@dataclass(frozen=True)
class Availability:
    """The platforms whose builds can be assisted on this machine, and why others cannot, in words."""

    platforms: frozenset[Platform] = frozenset()
    missing: str = ""


def available(targets: Iterable[Platform], host: Platform, runner: Runner, *, root: Path = BINFMT) -> Availability:
    """What is possible here, without changing anything."""
    foreign = [platform for platform in targets if not platform.runs_natively_on(host)]
    able = [p for p in foreign if p.os == "linux" and p.architecture in TARGETS and not p.variant]
    if host.architecture not in HOSTS or not able:
        return Availability()
    if obstacle := registrar(runner, root=root).obstacle():
        return Availability(missing=obstacle)
    found: list[Platform] = []
    for platform in able:
        try:
            _joined(_in_use(platform, root), platform, runner)
        except CrossdockError as error:
            return Availability(frozenset(found), f"{error.what}")
        found.append(platform)
    return Availability(frozenset(found))


@contextlib.contextmanager
def registered(platforms: Iterable[Platform], runner: Runner, *, root: Path = BINFMT) -> Iterator[None]:
    """The kernel starts programs of these platforms by the launcher while the context lasts. Raises CrossdockError
    when that cannot be."""
    by = registrar(runner, root=root)
    with contextlib.ExitStack() as entries:
        for platform in platforms:
            entries.enter_context(by.registered(launcher_entry(platform, runner, root)))
            if problems := check_emulation((platform,), runner, root=root):
                raise CrossdockError(f"the launcher does not work here: {problems[0].what}")
        yield


def launcher_entry(platform: Platform, runner: Runner, root: Path) -> Entry:
    """What to register for a platform here. Raises CrossdockError."""
    machine = MACHINES[platform.architecture]
    below = _in_use(platform, root)
    name = f"{_NAME}-{machine.qemu}-{os.getpid()}"
    # Debian's QEMU takes the end of its own name for a sign that flag P is there, so it keeps the name.
    file = Path(below.interpreter).name
    return Entry(name, registration_match(name, machine), _joined(below, platform, runner), file, below.flags)


def _in_use(platform: Platform, root: Path) -> Handler:
    """The entry by which the kernel runs programs of a platform in containers. Raises CrossdockError."""
    header = MACHINES[platform.architecture].header()
    found = {handler.name: handler for handler in read_handlers(root) if handler.takes(header)}
    # The kernel asks the entry that was registered last first, and lists it first.
    order = [name for name in _listed(root) if name in found and not name.startswith(_NAME)]
    if not order:
        raise CrossdockError(f"no emulator for {platform} is registered with the kernel")
    handler = found[order[0]]
    if not handler.fixed:
        raise CrossdockError(f"the emulator for {platform} is registered without flag F")
    return handler


def _listed(root: Path) -> list[str]:
    try:
        return os.listdir(root)  # noqa: PTH208 - the order counts
    except OSError:
        return []


def _joined(handler: Handler, platform: Platform, runner: Runner) -> bytes:
    file = Path(handler.interpreter)
    try:
        qemu = file.read_bytes()
    except OSError as error:
        # As after `docker run --privileged tonistiigi/binfmt --install arm64`: the file was in that container.
        qemu = _of_a_process(platform, runner)
        if not qemu:
            raise CrossdockError(f"the emulator in use, {file}, is no file on this machine") from error
    # What a process shows may be the launcher of another build.
    return qemu if MARKER in qemu else with_launcher(qemu, keeps_argv0="P" in handler.flags)


def _of_a_process(platform: Platform, runner: Runner) -> bytes:
    """The emulator that a program of the platform is run by, read from the process; empty if that does not work."""
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        program = Path(folder) / "wait"
        program.write_bytes(smallest_program(MACHINES[platform.architecture], _WAITS[platform.architecture]))
        program.chmod(0o700)
        try:
            with runner.running(Command((str(program),), grace=0)) as process:
                qemu = Path(f"/proc/{process.pid}/exe").read_bytes()
        except (OSError, EngineError):
            return b""
    return qemu
