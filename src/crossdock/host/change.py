"""Takes steps on this machine, one by one, each asked for, and looks whether each has brought about what it should."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from crossdock.host.script import PLACES, Places, program_to_change, program_to_test
from crossdock.host.steps import Step
from crossdock.process import LAST_LINES, Command, CommandTimeout, LineHandler, Runner

_TEST_SECONDS = 120.0
_GRACE_SECONDS = 60.0
"""A package manager that is interrupted gets this long to leave its things in order."""


class Ending(StrEnum):
    NOTHING_TO_DO = "nothing to do"
    CHANGED = "changed"
    DECLINED = "declined"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """How a step ended. ``what`` says for a failed one what is wrong, and ``log`` holds the last lines it printed."""

    step: Step
    ending: Ending
    what: str = ""
    log: tuple[str, ...] = ()


def run_steps(
    steps: Iterable[Step],
    runner: Runner,
    *,
    confirm: Callable[[Step], bool],
    tell: Callable[[Step, str], None] = lambda _step, _line: None,
    places: Places = PLACES,
) -> tuple[Outcome, ...]:
    """Take the steps in order. What is done already is not asked for; ``confirm`` decides about the others (a declined
    one is left out, and it goes on); ``tell`` gets each line that a step prints while it runs.

    It stops at the first step that fails, which is the last outcome then. Files are changed whole or not at all, also
    when it is interrupted, and what was changed is in the journal (``undo``). Raises EngineError if there is no ``sh``.
    """
    outcomes: list[Outcome] = []
    for step in steps:
        outcomes.append(_take(step, runner, confirm, tell, places))
        if outcomes[-1].ending is Ending.FAILED:
            break
    return tuple(outcomes)


def is_done(step: Step, runner: Runner, *, places: Places = PLACES) -> bool:
    """Whether there is nothing to do. Changes nothing."""
    return _passes(step.done, runner, places)[0]


def _take(
    step: Step, runner: Runner, confirm: Callable[[Step], bool], tell: Callable[[Step, str], None], places: Places
) -> Outcome:
    if is_done(step, runner, places=places):
        return Outcome(step, Ending.NOTHING_TO_DO)
    if not confirm(step):
        return Outcome(step, Ending.DECLINED)
    log: deque[str] = deque(maxlen=LAST_LINES)

    def on_line(line: str) -> None:
        log.append(line)
        tell(step, line)

    exit_code = run_program(program_to_change(step, places), runner, on_line)
    if exit_code != 0:
        return Outcome(step, Ending.FAILED, f"it ended with exit code {exit_code}", tuple(log))
    passed, said = _passes(step.check or step.done, runner, places)
    if not passed:
        what = "it was done, and what it should bring about is not there"
        return Outcome(step, Ending.FAILED, what, said or tuple(log))
    return Outcome(step, Ending.CHANGED, log=tuple(log))


def run_program(program: str, runner: Runner, on_line: LineHandler, *, timeout: float | None = None) -> int:
    """Run a shell program and return its exit code. It goes through a private file: its text may hold what must not be
    seen in a list of processes, and its standard input would be eaten by the first command that reads."""
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        file = Path(folder) / "step.sh"
        file.write_text(program)
        return runner.stream(Command(("sh", str(file)), grace=_GRACE_SECONDS), on_line, timeout=timeout)


def _passes(test: str, runner: Runner, places: Places) -> tuple[bool, tuple[str, ...]]:
    """Whether a test passes, and the last lines that it printed."""
    said: deque[str] = deque(maxlen=LAST_LINES)
    try:
        exit_code = run_program(program_to_test(test, places), runner, said.append, timeout=_TEST_SECONDS)
    except CommandTimeout:
        return False, (*said, f"it did not answer within {_TEST_SECONDS:.0f} s")
    return exit_code == 0, tuple(said)
