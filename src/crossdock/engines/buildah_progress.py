"""What ``buildah build`` prints, as build events.

``[2/3] STEP 4/7: RUN make`` begins a step of stage 2 (no ``[…]`` with one stage), ``--> 1f2e…`` ends it, ``--> Using
cache`` says that it was not needed, and a line beginning with ``Error:`` is the last word. Times are measured here.
Stages are built one at a time, but in no fixed order: a step that needs another stage (``--from``, ``from=``) may have
begun before it, and goes on when that stage has ended (buildah, imagebuildah/executor.go: waitForStage).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from crossdock.engines.buildah_dockerfile import Prepared
from crossdock.engines.model import BuildEvent, StepState
from crossdock.platforms import Platform

_STEP = re.compile(r"(?:\[(\d+)/\d+\] )?STEP (\d+)/(\d+): (.*)")
_COMMIT = re.compile(r"(?:\[(\d+)/\d+\] )?COMMIT(?: .*)?")
_RESULT = re.compile(r"(?:\[\d+/\d+\] )?--> ([0-9a-f]{8,64}|Using cache .*|Pushing cache .*|Cache pulled .*)")
_ERROR = re.compile(r"(?:Error: |error: )(.*)")
_NOISE = re.compile(
    r"\[Warning\] one or more build args were not consumed"
    r"|time=\"[^\"]*\" level=warning msg=\"missing .* build argument"
    r"|subprocess exited "
)


@dataclass
class _Open:
    """A step that has begun; ``last`` is whether it is its stage's last one."""

    stage: int
    event: BuildEvent
    began: float
    line: int | None
    last: bool
    cached: bool = False
    output: list[str] = field(default_factory=list)


class BuildahProgress:
    """Reads the lines of one platform's build, yields events, and remembers what failed."""

    def __init__(self, platform: Platform, prepared: Prepared, clock: Callable[[], float] = time.monotonic) -> None:
        self._platform = platform
        self._prepared = prepared
        self._clock = clock
        self._open: list[_Open] = []
        """At most one for each stage; the last one runs, those before it wait."""
        self._output: list[str] = []
        """Of the step that runs or failed."""
        self.failed: BuildEvent | None = None
        self.line: int | None = None
        """The line of the Dockerfile of the step that runs or failed."""

    def feed(self, line: str) -> Iterator[BuildEvent]:
        if _NOISE.match(line) or not line.strip():
            return
        if step := _STEP.fullmatch(line):
            yield from self._finish(int(step[1] or 1))
            yield self._start(int(step[1] or 1), int(step[2]), step[4], last=step[2] == step[3])
        elif commit := _COMMIT.fullmatch(line):
            stage = int(commit[1] or 1)
            yield from self._finish(stage)
            yield self._begin(stage, "commit", "writing the image", None, last=False)
        elif result := _RESULT.fullmatch(line):
            if self._open:
                running, cache = self._open[-1], "cache" in result[1].lower()
                running.cached = running.cached or cache
                if running.last and not cache:
                    yield from self._finish(running.stage)
        elif error := _ERROR.match(line):
            self._output.append(line)
            if self._open:
                self.failed = replace(self._open[-1].event, state=StepState.FAILED, text=error[1])
                self._open.clear()
                yield self.failed
        elif self._open:
            self._output.append(line)
            del self._output[:-100]
            yield replace(self._open[-1].event, state=StepState.OUTPUT, text=line)
        else:
            self._output.append(line)

    def finish(self) -> Iterator[BuildEvent]:
        """The end of all steps that have begun."""
        for one in reversed(self._open.copy()):
            yield from self._finish(one.stage)

    def _finish(self, stage: int) -> Iterator[BuildEvent]:
        """The end of a stage's running step, if there is one; what waited for it goes on."""
        for one in [one for one in self._open if one.stage == stage]:
            self._open.remove(one)
            state = StepState.CACHED if one.cached else StepState.DONE
            yield replace(one.event, state=state, seconds=round(self._clock() - one.began, 3))
        if self._open:
            self._output, self.line = self._open[-1].output, self._open[-1].line

    def log(self) -> list[str]:
        """The last lines of the step that runs or failed."""
        return self._output

    def _start(self, stage: int, step: int, text: str, *, last: bool) -> BuildEvent:
        known = self._prepared.steps
        line, name = None, text
        if 0 < stage <= len(known) and 0 < step <= len(known[stage - 1]):
            own = known[stage - 1][step - 1]
            # ONBUILD triggers of the base are steps too, and move the numbers.
            if own.text.partition(" ")[0] == text.partition(" ")[0].upper():
                line, name = own.line, own.text
        return self._begin(stage, str(step), name, line, last=last)

    def _begin(self, stage: int, step: str, name: str, line: int | None, *, last: bool) -> BuildEvent:
        key, label = f"{self._platform} {stage}/{step}", self._stage(stage)
        event = BuildEvent(StepState.STARTED, key, self._platform, label, name)
        self._open.append(_Open(stage, event, self._clock(), line, last))
        self._output, self.line = self._open[-1].output, line
        return event

    def _stage(self, number: int) -> str:
        names = self._prepared.stages
        return names[number - 1] if number <= len(names) else str(number - 1)
