"""Build progress: one line per platform, redrawn in place, on a terminal; elsewhere a plain line for each step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.cells import cell_len, set_cell_size

from crossdock.engines.model import BuildEvent, StepState
from crossdock.platforms import Platform
from crossdock.report.style import Style, fit, harmless

REDRAW_SECONDS = 0.25
_RED, _GREEN, _BOLD, _DIM, _RESET = "\x1b[31m", "\x1b[32m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_CLEAR_LINE, _UP = "\x1b[2K", "\x1b[{}A"
_SPINNER = "|/-\\"


@dataclass
class _Step:
    """A step while the build runs."""

    title: str
    began: float


@dataclass
class _Row:
    """One platform's line. ``current`` are its running steps, the newest last."""

    began: float
    done: int = 0
    cached: int = 0
    failed: bool = False
    current: list[str] = field(default_factory=list)
    said: str = "waiting"


class BuildProgress:
    """Takes BuildEvents (it is an EventHandler) and writes text through ``write``.

    Use it as a context manager around the build: leaving it stops the redrawing and puts the last state below what
    was written before. With ``live`` false nothing is ever redrawn; ``output`` then also shows every line that the
    steps print. (The last lines of a failing step are in the EngineError.) Events may come from any thread.
    """

    def __init__(
        self,
        platforms: Sequence[Platform],
        style: Style,
        write: Callable[[str], object],
        *,
        live: bool,
        output: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._style, self._write, self._live, self._clock = style, write, live, clock
        self._shows_output = output and not live
        self._began = clock()
        self._rows: dict[Platform | None, _Row] = {platform: _Row(self._began) for platform in platforms}
        self._steps: dict[str, _Step] = {}
        self._drawn = 0
        self._turn = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._redrawer: threading.Thread | None = None

    def __enter__(self) -> Self:
        if self._live:
            self._redrawer = threading.Thread(target=self._redraw_until_ended, name="progress", daemon=True)
            self._redrawer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._redrawer:
            self._redrawer.join()
        with self._lock:
            for row in self._rows.values():
                row.current.clear()
                if not row.failed:
                    row.said = "built" if kind is None else "stopped"
            if self._live:
                self._draw(final=True)

    def __call__(self, event: BuildEvent) -> None:
        with self._lock:
            row = self._rows.get(event.platform)
            if row is None:
                row = self._rows.setdefault(event.platform, _Row(self._clock()))
            step = self._steps.setdefault(event.step, _Step(_title(event), self._clock()))
            if event.name and event.state is not StepState.OUTPUT:
                step.title = _title(event)
            getattr(self, f"_{event.state.value}")(event, row, step)

    # one method per StepState

    def _started(self, event: BuildEvent, row: _Row, step: _Step) -> None:
        step.began = self._clock()
        if event.step not in row.current:
            row.current.append(event.step)
        self._line(event, "  " + step.title)

    def _output(self, event: BuildEvent, _row: _Row, _step: _Step) -> None:
        if self._shows_output:
            for line in event.text.splitlines():
                self._line(event, f"  │ {harmless(line)}")

    def _done(self, event: BuildEvent, row: _Row, step: _Step) -> None:
        self._finish(event, row)
        row.done += 1
        seconds = self._clock() - step.began if event.seconds is None else event.seconds
        self._line(event, f"✓ {self._short(step.title)}  {seconds:.1f} s")

    def _cached(self, event: BuildEvent, row: _Row, step: _Step) -> None:
        self._finish(event, row)
        row.done += 1
        row.cached += 1
        self._line(event, f"✓ {self._short(step.title)}  cached")

    def _failed(self, event: BuildEvent, row: _Row, step: _Step) -> None:
        self._finish(event, row)
        row.failed = True
        row.said = f"failed: {step.title}"
        self._line(event, f"✗ {step.title}")

    @staticmethod
    def _finish(event: BuildEvent, row: _Row) -> None:
        if event.step in row.current:
            row.current.remove(event.step)

    # plain lines

    def _short(self, title: str) -> str:
        """A step's title once more: its first line said all of it."""
        room = max(20, self._style.width - 40)
        return title if cell_len(title) <= room else set_cell_size(title, room - 1) + "…"

    def _line(self, event: BuildEvent, words: str) -> None:
        if self._live:
            return
        platform = f"{event.platform}" if event.platform else ""
        self._write(fit(f"{self._elapsed(self._began):>7}  {platform:<12}  {words}", self._style) + "\n")

    # redrawing

    def _redraw_until_ended(self) -> None:
        while not self._ended.wait(REDRAW_SECONDS):
            with self._lock:
                self._draw()

    def _draw(self, *, final: bool = False) -> None:
        self._turn += 1
        shown = {platform: row for platform, row in self._rows.items() if platform or row.current}
        lines = [self._drawn_row(platform, row) for platform, row in shown.items()]
        back = _UP.format(self._drawn) if self._drawn else ""
        missing = max(0, self._drawn - len(lines))
        body = "".join(f"{_CLEAR_LINE}{line}\n" for line in lines) + f"{_CLEAR_LINE}\n" * missing
        self._write(back + fit(body, self._style) + (_UP.format(missing) if missing else ""))
        self._drawn = 0 if final else len(lines)

    def _drawn_row(self, platform: Platform | None, row: _Row) -> str:
        name = f"{platform or 'context'!s:<12}"
        count = ("1 step" if row.done == 1 else f"{row.done} steps") + (f", {row.cached} cached" if row.cached else "")
        if row.current:
            step = self._steps[row.current[-1]]
            sign, what, time_ = _SPINNER[self._turn % 4], step.title, self._elapsed(step.began)
        else:
            sign = "✗" if row.failed else "✓" if row.said == "built" else " "
            what, time_ = row.said, self._elapsed(self._began)
        tail = f"  {time_}"
        room = self._style.width - 1 - cell_len(sign) - 1 - cell_len(name) - 1 - cell_len(tail)
        words = f"{what}  ({count})" if row.done and cell_len(what) + cell_len(count) + 4 <= room else what
        if cell_len(words) > room:
            words = set_cell_size(words, max(0, room - 1)) + "…"
        colour = _RED if row.failed else _GREEN if row.said == "built" else ""
        return f"{self._paint(sign, colour)} {self._paint(name, _BOLD)} {words}{self._paint(tail, _DIM)}"

    def _elapsed(self, since: float) -> str:
        seconds = max(0.0, self._clock() - since)
        return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60}:{int(seconds) % 60:02} min"

    def _paint(self, words: str, code: str) -> str:
        return f"{code}{words}{_RESET}" if code and self._style.colour else words


def _title(event: BuildEvent) -> str:
    name = " ".join(harmless(event.name or event.step).split())
    return f"[{harmless(event.stage)}] {name}" if event.stage and f"[{event.stage}" not in name else name
