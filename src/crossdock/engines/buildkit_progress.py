"""BuildKit's ``--progress=plain`` output as build events.

Lines are ``#N text``: the vertex's name first, then its output (``#N 1.23 text``), transfers, and its end (``DONE
1.2s``, ``CACHED``, ``ERROR: …``, ``CANCELED``); ``...`` says that the display turns to another vertex. The shape is the
same from Docker 19.03 on. What follows the last vertex of a failed build repeats its output and names file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from crossdock.engines.model import BuildEvent, StepState
from crossdock.errors import CrossdockError
from crossdock.platforms import Platform, parse_platform

_LINE = re.compile(r"#(\d+) ?(.*)")
_DONE = re.compile(r"DONE (\d+(?:\.\d+)?)s")
_OUTPUT = re.compile(r"(\d+\.\d+) ?(.*)")
_NAME = re.compile(r"\[(?P<inside>[^\]]*)\] ?(?P<rest>.*)")
_POSITION = re.compile(r"\d+/\d+")
_WHERE = re.compile(r"(?:Dockerfile|[\w./-]+):(\d+)$")


class BuildkitProgress:
    """Reads lines, yields events; remembers for the error what failed, where, and the last lines of each step.

    ``platform`` is that of a build of one platform, where BuildKit does not name it.
    """

    def __init__(self, platform: Platform | None = None) -> None:
        self._platform = platform
        self._steps: dict[str, BuildEvent] = {}
        self._titles: dict[str, str] = {}
        self._output: dict[str, list[str]] = {}
        self.failed: BuildEvent | None = None
        self.line: int | None = None
        """The line of the Dockerfile that BuildKit names as the cause."""
        self.tail: list[str] = []
        """What was printed outside of any step: the final error, the first complaint of the client."""

    def feed(self, line: str) -> Iterator[BuildEvent]:
        match = _LINE.fullmatch(line)
        if not match:
            self._outside(line)
            return
        number, text = match.groups()
        known = self._steps.get(number)
        if known is None:
            step = self._named(number, text)
            self._steps[number], self._titles[number] = step, text
            if number != "0":
                yield step
            return
        if text in ("", "...", self._titles[number]):
            return
        yield from self._of_step(known, text)

    def _named(self, number: str, text: str) -> BuildEvent:
        step = parse_name(number, text)
        if self._platform is None:
            return step
        return replace(step, step=f"{self._platform} {number}", platform=step.platform or self._platform)

    def _of_step(self, step: BuildEvent, text: str) -> Iterator[BuildEvent]:
        if done := _DONE.fullmatch(text):
            yield replace(step, state=StepState.DONE, seconds=float(done[1]))
        elif text == "CACHED":
            yield replace(step, state=StepState.CACHED)
        elif text.startswith("ERROR"):
            event = replace(step, state=StepState.FAILED, text=text.removeprefix("ERROR").lstrip(": "))
            self.failed = self.failed or event
            yield event
        elif text == "CANCELED":
            return
        else:
            output = _OUTPUT.fullmatch(text)
            shown = output[2] if output else text
            lines = self._output.setdefault(step.step, [])
            lines.append(shown)
            del lines[:-100]
            seconds = float(output[1]) if output else None
            yield replace(step, state=StepState.OUTPUT, text=shown, seconds=seconds)

    def _outside(self, line: str) -> None:
        if not line.strip():
            return
        if where := _WHERE.fullmatch(line.strip()):
            self.line = int(where[1])
        self.tail.append(line)
        del self.tail[:-60]

    def log(self) -> list[str]:
        """The last lines that matter: those of the failed step, else what was printed outside of any."""
        if self.failed:
            return [*self._output.get(self.failed.step, []), self.failed.text]
        return self.tail


def parse_name(number: str, text: str) -> BuildEvent:
    """``[linux/arm64 build 2/4] RUN make`` → platform, stage and instruction. ``linux/amd64->arm64`` is a stage that
    runs on amd64 for arm64: its platform here is the target, as the plan's."""
    match = _NAME.fullmatch(text)
    if not match or match["inside"].startswith(("internal", "context", "auth")):
        return BuildEvent(StepState.STARTED, number, name=text)
    platform: Platform | None = None
    stage = ""
    for word in match["inside"].split():
        if "/" in word and not _POSITION.fullmatch(word) and platform is None:
            platform = _platform(word)
        elif not _POSITION.fullmatch(word):
            stage = word
    return BuildEvent(StepState.STARTED, number, platform, stage, match["rest"] or text)


def _platform(word: str) -> Platform | None:
    target = word.rpartition("->")[2]
    if "/" not in target:
        target = f"{word.partition('/')[0]}/{target}"
    try:
        return parse_platform(target)
    except CrossdockError:
        return None
