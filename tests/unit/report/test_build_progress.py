"""Build progress on a terminal and in a log."""

import re
import threading

import pytest

from crossdock.engines.model import BuildEvent, StepState
from crossdock.errors import EngineError
from crossdock.platforms import AMD64, ARM64
from crossdock.report.progress import BuildProgress
from crossdock.report.style import Style


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def screen(text: str) -> list[str]:
    """What a terminal shows after this text: cursor up, clear line, line feed."""
    rows, row = [""], 0
    for piece in re.findall(r"\x1b\[\d*[A-Za-z]|\n|[^\x1b\n]+", text):
        if piece == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif piece.endswith("A"):
            row -= int(piece[2:-1])
        elif piece == "\x1b[2K":
            rows[row] = ""
        else:
            rows[row] += piece
    return [line for line in rows if line]


def events() -> list[BuildEvent]:
    run = "RUN make && make install PREFIX=/a/very/long/path/that/goes/on"
    return [
        BuildEvent(StepState.STARTED, "a1", AMD64, "build", run),
        BuildEvent(StepState.STARTED, "r1", ARM64, "build", run),
        BuildEvent(StepState.OUTPUT, "r1", ARM64, text="cc -c x.c\x1b[2J"),
        BuildEvent(StepState.DONE, "a1", AMD64, "build", run, seconds=3.25),
    ]


def test_in_a_log_every_step_is_a_line() -> None:
    out: list[str] = []
    with BuildProgress((AMD64, ARM64), Style(60), out.append, live=False, clock=Clock()) as progress:
        for event in events():
            progress(event)
        progress(BuildEvent(StepState.FAILED, "r1", ARM64, "build", "RUN make"))
    lines = "".join(out).splitlines()
    assert len(lines) == 4
    assert "linux/amd64     [build] RUN make" in lines[0]
    assert "linux/amd64   ✓ [build] RUN make" in lines[2]
    assert lines[2].endswith("3.2 s")
    assert "linux/arm64   ✗ [build] RUN make" in lines[3]
    assert "\x1b" not in "".join(out)


def test_in_a_log_output_is_shown_on_request_and_is_harmless() -> None:
    out: list[str] = []
    with BuildProgress((AMD64,), Style(60), out.append, live=False, output=True) as progress:
        for event in events():
            progress(event)
    assert "│ cc -c x.c�[2J" in "".join(out)


def test_on_a_terminal_there_is_one_line_per_platform() -> None:
    out: list[str] = []
    clock = Clock()
    progress = BuildProgress((AMD64, ARM64), Style(60), out.append, live=True, clock=clock)
    for event in events():
        progress(event)
    progress._draw()
    clock.now = 75.0
    progress(BuildEvent(StepState.STARTED, "c", None, "", "transferring context"))
    progress._draw()
    shown = screen("".join(out))
    assert [line.split()[0] for line in shown[:1]] == ["linux/amd64"]
    assert len(shown) == 3
    assert all(len(line) <= 60 for line in shown)
    assert shown[1].endswith("1:15 min")
    progress(BuildEvent(StepState.DONE, "c", None, "", "transferring context"))
    progress._draw()
    assert len(screen("".join(out))) == 2


def test_the_last_state_stays_on_the_terminal() -> None:
    out: list[str] = []
    with BuildProgress((AMD64, ARM64), Style(60), out.append, live=True) as progress:
        for event in events():
            progress(event)
        progress(BuildEvent(StepState.CACHED, "r1", ARM64, "build", "RUN make"))
    assert [line[:19] for line in screen("".join(out))] == ["✓ linux/amd64  buil", "✓ linux/arm64  buil"]
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_what_failed_and_what_was_stopped_is_told_apart() -> None:
    out: list[str] = []

    def build() -> None:
        with BuildProgress((AMD64, ARM64), Style(80), out.append, live=True) as progress:
            for event in events():
                progress(event)
            progress(BuildEvent(StepState.FAILED, "r1", ARM64, "build", "RUN make"))
            raise EngineError("failed")

    with pytest.raises(EngineError):
        build()
    amd64, arm64 = screen("".join(out))
    assert amd64.startswith("  linux/amd64  stopped")
    assert arm64.startswith("✗ linux/arm64  failed: [build] RUN make")


def test_ascii_only() -> None:
    out: list[str] = []
    with BuildProgress((AMD64, ARM64), Style(40, unicode=False), out.append, live=True) as progress:
        for event in events():
            progress(event)
    assert "".join(out).isascii()
