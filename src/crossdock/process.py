"""The only place that starts programs: argument lists, time limits, streamed output, clean endings, redaction."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from crossdock.errors import EngineError

GRACE_SECONDS = 10.0
"""How long a program may take to end after it was asked to, before it is killed with all its children."""


@dataclass(frozen=True)
class Command:
    """A program to run. ``secrets`` are strings that must not appear when the command or its output is shown."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        words = [f"{name}={value}" for name, value in self.env.items()] + list(self.argv)
        return redact(shlex.join(words), self.secrets)


@dataclass(frozen=True)
class Completed:
    """How a command ended. ``exit_code`` is negative for a signal, as in subprocess."""

    command: Command
    exit_code: int
    stdout: bytes
    stderr: bytes
    seconds: float

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")


class CommandTimeout(EngineError):
    """A program did not end within its time limit and was stopped."""


LineHandler = Callable[[str], None]


class Runner(Protocol):
    """What starts programs. ``SystemRunner`` is the real one; unit tests pass a scripted one."""

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        """Run to the end and return all output. Raises EngineError if it cannot start or, with ``check``, exits
        with anything but 0; CommandTimeout after ``timeout`` seconds."""
        ...

    def stream(self, command: Command, on_line: LineHandler, *, timeout: float | None = None) -> int:
        """Run, hand over each line of stdout and stderr (merged, redacted) as it comes, return the exit code."""
        ...

    def which(self, program: str) -> str | None:
        """The path of a program, or None."""
        ...


def redact(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


class SystemRunner:
    """Runs real programs, each in a process group of its own, and leaves none behind: on a time limit, an error or
    Ctrl-C the whole group is asked to end (SIGINT, so that engines clean up), and killed when it does not."""

    def which(self, program: str) -> str | None:
        return shutil.which(program)

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        began = time.monotonic()
        with self._start(command, stdin=input is not None, merged=False) as process:
            try:
                stdout, stderr = process.communicate(input, timeout)
            except subprocess.TimeoutExpired as error:
                raise _timed_out(command, timeout) from error
        done = Completed(command, process.returncode, stdout, stderr, time.monotonic() - began)
        if check and done.exit_code != 0:
            tail = redact((stderr or stdout).decode("utf-8", "replace"), command.secrets).strip().splitlines()[-20:]
            raise EngineError(f"`{command.argv[0]}` ended with exit code {done.exit_code}", log=tuple(tail))
        return done

    def stream(self, command: Command, on_line: LineHandler, *, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._start(command, stdin=False, merged=True) as process:
            assert process.stdout is not None
            for line in _lines(process.stdout, deadline, command):
                on_line(redact(line, command.secrets))
            try:
                return process.wait(None if deadline is None else max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired as error:
                raise _timed_out(command, timeout) from error

    @contextlib.contextmanager
    def _start(self, command: Command, *, stdin: bool, merged: bool) -> Iterator[subprocess.Popen[bytes]]:
        try:
            process = subprocess.Popen(
                command.argv,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merged else subprocess.PIPE,
                env={**os.environ, **command.env},
                cwd=command.cwd,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise EngineError(f"the program {command.argv[0]!r} is not installed") from error
        except OSError as error:
            raise EngineError(f"cannot start {command.argv[0]!r}: {error.strerror}") from error
        try:
            yield process
        finally:
            _end(process)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _timed_out(command: Command, timeout: float | None) -> CommandTimeout:
    return CommandTimeout(f"`{command.argv[0]}` did not end within {timeout:.0f} s and was stopped")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group if anything of it is still there."""
    for number, patience in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


def _lines(pipe: IO[bytes], deadline: float | None, command: Command) -> Iterator[str]:
    """Lines as they arrive; a carriage return ends one too, as progress displays use it."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and (left <= 0 or not selector.select(left)):
                raise CommandTimeout(f"`{command.argv[0]}` took too long and was stopped")
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                break
            *whole, pending = (pending + chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace")
    if pending:
        yield pending.decode("utf-8", "replace")
