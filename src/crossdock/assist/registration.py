"""Registers the launcher with the kernel while an assisted build runs, in front of the emulator that is in use.

Other containers on the machine notice nothing: without a pack the launcher is the same QEMU with the same flags. The
entry of the emulator stays below it and is in force again when ours is removed. Should crossdock be killed, a shell
removes it; should even that fail, what stays works as before, because the kernel keeps the file open.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from crossdock.assist.emulator import with_launcher
from crossdock.assist.packs import HOSTS, TARGETS
from crossdock.errors import CrossdockError
from crossdock.host.binfmt import (
    BINFMT,
    MACHINES,
    Handler,
    Registration,
    check_emulation,
    check_interpreter,
    read_handlers,
    registration_match,
)
from crossdock.platforms import Platform
from crossdock.process import Command, Runner

_NAME = "crossdock-assist"


@dataclass(frozen=True)
class Availability:
    """The platforms whose builds can be assisted on this machine, and why others cannot, in words."""

    platforms: frozenset[Platform] = frozenset()
    missing: str = ""


def available(targets: Iterable[Platform], host: Platform, *, root: Path = BINFMT) -> Availability:
    """What is possible here, without changing anything."""
    foreign = [platform for platform in targets if not platform.runs_natively_on(host)]
    able = [p for p in foreign if p.os == "linux" and p.architecture in TARGETS and not p.variant]
    if host.architecture not in HOSTS or not able:
        return Availability()
    if os.geteuid() != 0:
        return Availability(missing="only root may register the launcher of native programs with the kernel")
    found: list[Platform] = []
    for platform in able:
        try:
            _joined(_in_use(platform, root))
        except CrossdockError as error:
            return Availability(frozenset(found), f"{error.what}")
        found.append(platform)
    return Availability(frozenset(found))


@contextlib.contextmanager
def registered(platforms: Iterable[Platform], folder: Path, runner: Runner, *, root: Path = BINFMT) -> Iterator[None]:
    """The kernel starts programs of these platforms by the launcher while the context lasts. Its files go into
    ``folder``. Raises CrossdockError when that cannot be."""
    with contextlib.ExitStack() as entries:
        for platform in platforms:
            entries.enter_context(_registered(platform, folder, runner, root))
        yield


@contextlib.contextmanager
def _registered(platform: Platform, folder: Path, runner: Runner, root: Path) -> Iterator[None]:
    machine = MACHINES[platform.architecture]
    below = _in_use(platform, root)
    # Debian's QEMU takes the end of its own name for a sign that flag P is there, so it keeps the name.
    file = folder / machine.qemu / Path(below.interpreter).name
    name = f"{_NAME}-{machine.qemu}-{os.getpid()}"
    line = f"{registration_match(name, machine)}:{file}:{below.flags}"
    # The file stays as long as the entry: one that names a file which is not there would look broken to people.
    remove = Command(("sh", "-c", f"echo -1 >{shlex.quote(str(root / name))}"))
    with runner.guard((remove,)):
        try:
            file.parent.mkdir(parents=True)
            file.write_bytes(_joined(below))
            file.chmod(0o755)
            check_interpreter(file)
            (root / "register").write_bytes(line.encode())
        except OSError as error:
            raise CrossdockError(f"the launcher could not be registered: {error.strerror}", where=str(file)) from error
        try:
            if problems := check_emulation((platform,), runner, root=root):
                raise CrossdockError(f"the launcher does not work here: {problems[0].what}")
            yield
        finally:
            Registration(name, str(file), root).undo()


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


def _joined(handler: Handler) -> bytes:
    file = Path(handler.interpreter)
    try:
        qemu = file.read_bytes()
    except OSError as error:
        raise CrossdockError(f"the emulator in use, {file}, is no file on this machine") from error
    return with_launcher(qemu, keeps_argv0="P" in handler.flags)
