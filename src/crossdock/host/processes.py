"""What programs on this kernel are doing, emulated ones by their own names: from /proc.

Source: proc(5). QEMU's user mode is an ordinary program of this machine; binfmt_misc starts it with the path of the
program that it emulates, and with flag P also with that program's own name (admin-guide/binfmt-misc.rst of Linux).
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossdock.host.binfmt import EXPECTS_P, Handler

PROC = Path("/proc")
_QEMU = re.compile(r"(?:.*/)?(?:qemu-[\w.-]+|[\w.]+-binfmt-P)")
_UNBLOCKABLE = {signal.SIGKILL, signal.SIGSTOP, 32, 33}
"""The last two are the C library's own (nptl(7)), and it keeps them so."""


@dataclass(frozen=True)
class Process:
    """``words`` are its command line, of an emulated program its own; ``cpu`` the seconds of processor time that all
    its threads have used, ``age`` those since its start. ``wait`` is the kernel function it sleeps in, where that may
    be seen. ``emulator`` is the path of what emulates it, if anything."""

    pid: int
    parent: int
    words: tuple[str, ...]
    state: str
    cpu: float
    age: float
    wait: str = ""
    emulator: str = ""
    cpu_of_ended: float = 0.0
    """Seconds of processor time of the processes below it that have ended."""
    crashed: signal.Signals | None = None
    """The signal that an emulated program has died of, while its emulator has not."""

    @property
    def program(self) -> str:
        return self.words[0].rpartition("/")[2] if self.words else ""


def read_tree(pid: int, handlers: Iterable[Handler] = (), proc: Path = PROC) -> tuple[Process, ...]:
    """A process and all below it, parents first; nothing where it has ended or there is no /proc."""
    return below(read_all(handlers, proc), pid)


def read_all(handlers: Iterable[Handler] = (), proc: Path = PROC) -> tuple[Process, ...]:
    """Every process that can be seen, by its number."""
    telling = {handler.interpreter: "P" in handler.flags for handler in handlers}
    folders = sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name))
    return tuple(process for folder in folders if (process := _read(folder, telling, proc)))


def below(processes: Sequence[Process], pid: int) -> tuple[Process, ...]:
    """One of these processes and all below it, parents first."""
    tree = [process for process in processes if process.pid == pid]
    for process in tree:
        tree += [one for one in processes if one.parent == process.pid]
    return tuple(tree)


def without(tree: tuple[Process, ...], wrappers: frozenset[str]) -> tuple[Process, ...]:
    """The tree below the programs of these names that stand at its top."""
    top: set[int] = set()
    for process in tree:
        if process.program in wrappers and (not top or process.parent in top):
            top.add(process.pid)
    return tuple(process for process in tree if process.pid not in top)


def read_process(pid: int, handlers: Iterable[Handler] = (), proc: Path = PROC) -> Process | None:
    """One process; None where it has ended or there is no /proc."""
    return _read(proc / str(pid), {handler.interpreter: "P" in handler.flags for handler in handlers}, proc)


def _read(folder: Path, telling: dict[str, bool], proc: Path) -> Process | None:
    try:
        # The name, in brackets, may hold anything.
        fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        line = (folder / "cmdline").read_bytes()
        uptime = float((proc / "uptime").read_text().split()[0])
    except (OSError, ValueError):
        return None
    words = tuple(word.decode("utf-8", "replace") for word in line.removesuffix(b"\0").split(b"\0"))
    own, emulator = guest_words(words, telling)
    tick = os.sysconf("SC_CLK_TCK")
    wait = ""
    with contextlib.suppress(OSError):
        wait = (folder / "wchan").read_text()
    return Process(
        pid=int(folder.name),
        parent=int(fields[1]),
        words=own,
        state=fields[0],
        cpu=(int(fields[11]) + int(fields[12])) / tick,
        age=max(0.0, uptime - int(fields[19]) / tick),
        wait=wait if wait != "0" else "",
        emulator=emulator,
        cpu_of_ended=(int(fields[13]) + int(fields[14])) / tick,
        crashed=_crashed(folder) if emulator else None,
    )


def guest_words(words: tuple[str, ...], telling: dict[str, bool]) -> tuple[tuple[str, ...], str]:
    """The command line of an emulated program, and its emulator; any other as it is. ``telling`` says of interpreters
    whether they are registered with flag P."""
    first = words[0] if words else ""
    if len(words) < 2 or not (first in telling or _QEMU.fullmatch(first)):
        return words, ""
    if telling.get(first, first.endswith(EXPECTS_P)):
        return words[2:] or words[1:], first
    return words[1:], first


def _crashed(folder: Path) -> signal.Signals | None:
    """Any thread of the emulator may be the one that does it."""
    for status in folder.glob("task/*/status"):
        with contextlib.suppress(OSError):
            if found := crashed(status.read_text("utf-8", "replace")):
                return found
    return None


def crashed(status: str) -> signal.Signals | None:
    """The signal by which QEMU is trying to end itself, of a thread's ``status``.

    When the emulated program dies of a signal, QEMU sends it to itself and waits for it with every other one blocked
    (die_with_signal in its linux-user/signal.c). But the first process of a container is not killed by signals from
    inside (pid_namespaces(7)), so there it waits for ever.
    """
    blocked = re.search(r"^SigBlk:\s*([0-9a-f]+)$", status, re.MULTILINE)
    if not blocked or not re.search(r"^NStgid:.*\t1$", status, re.MULTILINE):
        return None
    mask = int(blocked[1], 16)
    free = {number for number in range(1, 65) if not mask >> (number - 1) & 1} - _UNBLOCKABLE
    if len(free) != 1:
        return None
    with contextlib.suppress(ValueError):
        return signal.Signals(free.pop())
    return None
