"""Which programs QEMU ran, how often, and for how long: recorded by perf(1), for the processes below ours.

An assisted build should leave little to QEMU; this says what is left. What the launcher takes before it starts a native
program is told apart, under the name ``(launcher)``, and all that ran natively under ``(native)``.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

HERTZ = 997
"""Samples a second on each processor: a prime, so that nothing runs in step with it."""
_LINE = re.compile(
    r"\s*(?P<name>.{1,16}?)\s+(?P<process>\d+)(?:/\d+)?\s+(?P<time>[\d.]+):\s*(?P<event>PERF_RECORD_\w+)?(?P<rest>.*)"
)


@dataclass
class _Program:
    """What one process runs from one exec to the next."""

    name: str
    emulated: bool = False
    native: bool = False
    samples: int = 0


@dataclass
class Usage:
    """How often programs of a name were started, and for how many seconds they kept a processor busy."""

    starts: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    def rows(self) -> list[str]:
        names = sorted(self.seconds.keys() | self.starts.keys(), key=lambda name: -self.seconds[name])
        return [f"{self.starts[name]:6} starts {self.seconds[name]:8.2f} s  {name}" for name in names]


@contextlib.contextmanager
def recording(data: Path) -> Iterator[None]:
    """perf records the whole machine into a file while the context lasts."""
    argv = ["perf", "record", "--all-cpus", "--freq", str(HERTZ), "--event", "cpu-clock", "--output", str(data)]
    recorder = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        recorder.send_signal(signal.SIGINT)
        recorder.wait()


def usage(data: Path, *, ours: int | None = None) -> Usage:
    """What was recorded of the processes that descend from ``ours``, this process if not given."""
    argv = [
        "perf",
        "script",
        "--input",
        str(data),
        "--fields",
        "comm,pid,time",
        "--show-task-events",
        "--show-mmap-events",
    ]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace"
    ) as script:
        assert script.stdout
        return _summed(_followed(script.stdout, ours or os.getpid()))


def _followed(lines: Iterator[str], ours: int) -> dict[int, list[_Program]]:
    """What each process of ours ran, in order."""
    family = {ours}
    ran: dict[int, list[_Program]] = defaultdict(list)
    for line in lines:
        found = _LINE.match(line)
        if not found:
            continue
        event, rest, process = found["event"], found["rest"], int(found["process"])
        if event == "PERF_RECORD_FORK":
            child, parent = (int(pair) for pair in re.findall(r"\((\d+):\d+\)", rest))
            if parent in family and child not in family:
                family.add(child)
                if ran[parent]:
                    last = ran[parent][-1]
                    ran[child].append(_Program(last.name, last.emulated, last.native))
        elif process not in family:
            continue
        elif event == "PERF_RECORD_COMM" and rest.startswith(" exec"):
            ran[process].append(_Program(rest.split(": ", 1)[1].rsplit(":", 1)[0]))
        elif event == "PERF_RECORD_MMAP2" and ran[process]:
            path = rest.rsplit(" ", 1)[-1]
            ran[process][-1].emulated |= "-binfmt-P" in path or "qemu-" in path
            ran[process][-1].native |= "/.crossdock/" in path
        elif event is None and ran[process]:
            ran[process][-1].samples += 1
    return ran


def _summed(ran: dict[int, list[_Program]]) -> Usage:
    found = Usage()
    for programs in ran.values():
        for program, following in zip_longest(programs, programs[1:]):
            if program.native:
                name = "(native)"
            elif not program.emulated:
                name = "(outside)"
            elif following and following.native and following.name == program.name:
                name = "(launcher)"
            else:
                name = program.name
            found.starts[name] += 1
            found.seconds[name] += program.samples / HERTZ  # type: ignore[assignment]
    return found
