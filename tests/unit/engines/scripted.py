"""A runner that answers from a script instead of starting programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crossdock.errors import EngineError
from crossdock.process import Command, Completed, LineHandler


@dataclass
class ScriptedRunner:
    """``answers`` maps the beginning of a command line to (exit code, stdout, stderr); the longest one wins."""

    installed: tuple[str, ...]
    answers: Mapping[str, tuple[int, str, str]] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}" if program in self.installed else None

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        exit_code, stdout, stderr = self._answer(command)
        if check and exit_code:
            raise EngineError(f"`{command.argv[0]}` ended with exit code {exit_code}", log=tuple(stderr.splitlines()))
        return Completed(command, exit_code, stdout.encode(), stderr.encode(), 0.0)

    def stream(self, command: Command, on_line: LineHandler, *, timeout: float | None = None) -> int:
        exit_code, stdout, stderr = self._answer(command)
        for line in (stdout + stderr).splitlines():
            on_line(line)
        return exit_code

    def _answer(self, command: Command) -> tuple[int, str, str]:
        line = " ".join(command.argv)
        self.started.append(line)
        fitting = [begin for begin in self.answers if line.startswith(begin)]
        if not fitting:
            raise AssertionError(f"unexpected command: {line}")
        return self.answers[max(fitting, key=len)]
