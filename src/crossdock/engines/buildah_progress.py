"""What ``buildah build`` prints, as build events.

``[2/3] STEP 4/7: RUN make`` begins a step of stage 2 (no ``[…]`` with one stage), ``--> 1f2e…`` ends it, ``--> Using
cache`` says that it was not needed, and a line beginning with ``Error:`` is the last word. Times are measured here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from crossdock.engines.buildah_dockerfile import Prepared
from crossdock.engines.model import BuildEvent, StepState
from crossdock.platforms import Platform

_STEP = re.compile(r"(?:\[(\d+)/\d+\] )?STEP (\d+)/\d+: (.*)")
_COMMIT = re.compile(r"(?:\[(\d+)/\d+\] )?COMMIT(?: .*)?")
_RESULT = re.compile(r"(?:\[\d+/\d+\] )?--> ([0-9a-f]{8,64}|Using cache .*|Pushing cache .*|Cache pulled .*)")
_ERROR = re.compile(r"(?:Error: |error: )(.*)")
_NOISE = re.compile(
    r"\[Warning\] one or more build args were not consumed"
    r"|time=\"[^\"]*\" level=warning msg=\"missing .* build argument"
    r"|subprocess exited "
)


class BuildahProgress:
    """Reads the lines of one platform's build, yields events, and remembers what failed."""

    def __init__(self, platform: Platform, prepared: Prepared, clock: Callable[[], float] = time.monotonic) -> None:
        self._platform = platform
        self._prepared = prepared
        self._clock = clock
        self._current: BuildEvent | None = None
        self._began = 0.0
        self._cached = False
        self._output: list[str] = []
        self.failed: BuildEvent | None = None
        self.line: int | None = None
        """The line of the Dockerfile of the step that runs or failed."""

    def feed(self, line: str) -> Iterator[BuildEvent]:
        if _NOISE.match(line) or not line.strip():
            return
        if step := _STEP.fullmatch(line):
            yield from self.finish()
            yield self._start(int(step[1] or 1), int(step[2]), step[3])
        elif commit := _COMMIT.fullmatch(line):
            yield from self.finish()
            yield self._begin(f"{commit[1] or 1}/commit", self._stage(int(commit[1] or 1)), "writing the image", None)
        elif result := _RESULT.fullmatch(line):
            self._cached = self._cached or "cache" in result[1].lower()
        elif error := _ERROR.match(line):
            self._output.append(line)
            if self._current:
                self.failed = replace(self._current, state=StepState.FAILED, text=error[1])
                self._current = None
                yield self.failed
        elif self._current:
            self._output.append(line)
            del self._output[:-100]
            yield replace(self._current, state=StepState.OUTPUT, text=line)
        else:
            self._output.append(line)

    def finish(self) -> Iterator[BuildEvent]:
        """The end of the running step, if there is one."""
        if self._current:
            state = StepState.CACHED if self._cached else StepState.DONE
            yield replace(self._current, state=state, seconds=round(self._clock() - self._began, 3))
        self._current = None

    def log(self) -> list[str]:
        """The last lines of the step that runs or failed."""
        return self._output

    def _start(self, stage: int, step: int, text: str) -> BuildEvent:
        known = self._prepared.steps
        line, name = None, text
        if 0 < stage <= len(known) and 0 < step <= len(known[stage - 1]):
            own = known[stage - 1][step - 1]
            # ONBUILD triggers of the base are steps too, and move the numbers.
            if own.text.partition(" ")[0] == text.partition(" ")[0].upper():
                line, name = own.line, own.text
        return self._begin(f"{stage}/{step}", self._stage(stage), name, line)

    def _begin(self, step: str, stage: str, name: str, line: int | None) -> BuildEvent:
        self._began, self._cached, self._output, self.line = self._clock(), False, [], line
        self._current = BuildEvent(StepState.STARTED, f"{self._platform} {step}", self._platform, stage, name)
        return self._current

    def _stage(self, number: int) -> str:
        names = self._prepared.stages
        return names[number - 1] if number <= len(names) else str(number - 1)
