"""Watches the RUN steps of a build, and has it stopped when one of them hangs.

A step hangs when for long it neither prints nor computes nor writes (a silent download does), or when it takes longer
than it may. What it does is what the processes of its container do. Where those cannot be seen (a builder on another
machine, the processes of others hidden by hidepid), only how long it takes counts.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from crossdock.engines.model import BuildEvent, StepState
from crossdock.host.processes import PROC, Process, below, read_all

IDLE_SECONDS = 600.0
_IDLE_SHARE = 0.01
"""How much of one processor a step may use and still count as idle: waiting Java machines wake now and then."""
_IDLE_BYTES = 64 << 10
"""What it may write meanwhile: threads wake each other by writing to pipes, too."""
_LONGEST_WAIT = 5.0
_VARIABLE = re.compile(r"\$(?:\{[^}]*\}|\w+)")
_WANTING = "RD"
"""States of processes that run or would, or wait for a disk (proc(5))."""
_RUNTIME = re.compile(r"(?:.*-)?(?:runc|crun)")
_EXECUTOR = re.compile(r".*/executor/\w+")
"""Where BuildKit's executor keeps the container of a step; its runtime's command line names it (executor/runcexecutor
in its source)."""


@dataclass(frozen=True)
class Limits:
    """Seconds; 0 for none. ``idle``: without output and without processor time. ``step``: for one RUN step in all."""

    idle: float = IDLE_SECONDS
    step: float = 0.0


UNLIMITED = Limits(idle=0)


@dataclass(frozen=True)
class Hung:
    """The step (as it began), why it counts as hung, and the last lines that it printed."""

    step: BuildEvent
    why: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Work:
    """``seconds`` of processor time and ``written`` bytes so far, and whether a processor or a disk is waited for, as
    on a busy machine."""

    seconds: float
    written: int
    wanted: bool

    def differs(self, before: Work, period: float) -> bool:
        """Whether it is more, in a period of so many seconds, than what waits and wakes now and then does."""
        seconds, written = self.seconds - before.seconds, self.written - before.written
        return not (0 <= seconds <= _IDLE_SHARE * period and 0 <= written <= _IDLE_BYTES)


def bytes_written(pid: int) -> int:
    """By a process and those below it that have ended (proc(5), io); 0 where that may not be seen."""
    with contextlib.suppress(OSError):
        if found := re.search(r"^wchar: (\d+)", (PROC / str(pid) / "io").read_text(), re.MULTILINE):
            return int(found[1])
    return 0


@dataclass
class _Step:
    event: BuildEvent
    began: float
    since: float
    """Since when it has done nothing that was noticed."""
    before: Work | None = None
    """What it had done by then."""
    lines: tuple[str, ...] = ()


class Watch:
    """An event handler. While the context ``watching`` lasts, it looks at the running steps now and then; at the first
    that hangs it sets ``stop`` and remembers it in ``hung``."""

    def __init__(
        self,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        processes: Callable[[], Sequence[Process]] = read_all,
        written: Callable[[int], int] = bytes_written,
    ) -> None:
        self.hung: Hung | None = None
        self.stop = threading.Event()
        self._limits, self._clock, self._processes, self._written = limits, clock, processes, written
        self._steps: dict[str, _Step] = {}
        self._lock = threading.Lock()

    def __call__(self, event: BuildEvent) -> None:
        with self._lock:
            now = self._clock()
            if event.state is StepState.STARTED and event.name.startswith("RUN "):
                self._steps[event.step] = _Step(event, now, now)
            elif event.state is StepState.OUTPUT and (step := self._steps.get(event.step)):
                step.since, step.before = now, None
                step.lines = (*step.lines[-19:], event.text)
            elif event.state in (StepState.DONE, StepState.CACHED, StepState.FAILED):
                self._steps.pop(event.step, None)

    @contextmanager
    def watching(self) -> Iterator[None]:
        wanted = [limit for limit in (self._limits.idle, self._limits.step) if limit]
        if not wanted:
            yield
            return
        ended = threading.Event()
        pause = min(_LONGEST_WAIT, min(wanted) / 10)
        thread = threading.Thread(target=self._look_until, args=(ended, pause), name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def look(self) -> None:
        """Look once at all running steps."""
        with self._lock:
            steps = list(self._steps.values())
            if not steps:
                return
            processes = self._processes() if self._limits.idle else ()
            now = self._clock()
            for step in steps:
                if why := self._why(step, now, processes):
                    self.hung = Hung(step.event, why, step.lines)
                    self.stop.set()
                    return

    def _look_until(self, ended: threading.Event, pause: float) -> None:
        while not ended.wait(pause) and not self.stop.is_set():
            self.look()

    def _why(self, step: _Step, now: float, processes: Sequence[Process]) -> str:
        limits = self._limits
        if limits.step and now - step.began >= limits.step:
            return f"it was not done after {limits.step:g} s"
        if not limits.idle:
            return ""
        work = work_of(step.event, processes, self._written)
        if work is None or step.before is None or work.wanted or work.differs(step.before, limits.idle):
            step.since, step.before = now, work
        elif now - step.since >= limits.idle:
            return f"for {limits.idle:g} s it printed nothing, wrote nothing and used no processor time"
        return ""


def work_of(step: BuildEvent, processes: Sequence[Process], written: Callable[[int], int]) -> Work | None:
    """What the processes of a running step do; None where they cannot be seen.

    Of several steps that run at once, those that are started by the same words count together, and so do all if none
    is started by the step's.
    """
    trees = list(_containers(processes))
    if not trees:
        return None
    own = [tree for tree in trees if (text := _shell_text(tree)) and ends_with(step.name, text)]
    found = [process for tree in own or trees for process in tree]
    seconds = sum(process.cpu + process.cpu_of_ended for process in found)
    return Work(seconds, sum(written(one.pid) for one in found), any(one.state in _WANTING for one in found))


def _containers(processes: Sequence[Process]) -> Iterator[tuple[Process, ...]]:
    """The processes of each step: BuildKit's are below a runtime, buildah's below the buildah that this one runs."""
    for process in processes:
        buildkit = _RUNTIME.fullmatch(process.program) and any(map(_EXECUTOR.fullmatch, process.words))
        buildah = process.program == "buildah" and process.parent == os.getpid()
        if buildkit or buildah:
            yield below(processes, process.pid)


def _shell_text(tree: Sequence[Process]) -> str:
    """What the first shell was given, as RUN gives it: ``SHELL -c TEXT``."""
    return next((one.words[-1] for one in tree if len(one.words) >= 3 and one.words[-2] == "-c"), "")


def ends_with(shown: str, text: str) -> bool:
    """Whether what an engine shows of an instruction ends with a text of it, but for blanks and the ends of continued
    lines. BuildKit puts in the values of variables that the Dockerfile sets."""
    shown = "".join(shown.split())
    *parts, last = _VARIABLE.split("".join(text.replace("\\\n", "").split()))
    at = 0
    for part in parts:
        found = shown.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return shown.endswith(last, at)
