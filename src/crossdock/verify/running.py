"""Running a container in the foreground, watching it, and finding out what was wrong when it did not go well."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, Signals

from crossdock.engines.containers import Container, EngineFacts, RunRequest, StandardError
from crossdock.host.binfmt import emulator_version, read_handlers
from crossdock.host.processes import Process, read_process, read_tree, without
from crossdock.image.binary import HEAD_BYTES, Format, identify
from crossdock.image.model import ImageConfig
from crossdock.platforms import Platform
from crossdock.process import Attached, Runner
from crossdock.verify.contents import SCRIPT_LINE_BYTES, read_layer
from crossdock.verify.entrypoint import DEFAULT_PATH, MAX_INTERPRETERS
from crossdock.verify.filesystem import FileSystem
from crossdock.verify.run_end import (
    Contents,
    Emulator,
    Ending,
    Explained,
    crashed_and_hangs,
    explain,
    timed_out,
)

LOOK_SECONDS = 0.5
"""How long a program that is still running at its time limit is looked at."""
_WATCH_SECONDS = 1.0
_END_SECONDS = 10.0
_TRIES = 3
_CRASH = b"qemu: uncaught target signal"


def run_to_the_end(
    container: Container,
    request: RunRequest,
    engine: EngineFacts,
    runner: Runner,
    *,
    timeout: float | None,
    write: Callable[[bytes], None],
    tell: Callable[[str], None],
    output: Callable[[bytes], None] | None = None,
    meanwhile: Callable[[], bool] | None = None,
) -> Explained:
    """Run it, with this process's standard input and output. ``write`` passes its standard error on, ``tell`` notes of
    ours; its standard output goes to ``output`` where that is given, and an interruption then ends all and not the
    program alone. ``meanwhile`` is called every second while it
    runs, and says whether that is enough: it is stopped then, and counts as having run. Raises KeyboardInterrupt when
    it is interrupted and does not end by itself, EngineError."""
    return _Run(container, request, engine, runner, write, tell, output, meanwhile).run(timeout)


class _Run:
    def __init__(
        self,
        container: Container,
        request: RunRequest,
        engine: EngineFacts,
        runner: Runner,
        write: Callable[[bytes], None],
        tell: Callable[[str], None],
        output: Callable[[bytes], None] | None,
        meanwhile: Callable[[], bool] | None,
    ) -> None:
        self._container = container
        self._output = output
        self._meanwhile = meanwhile
        self._request = request
        self._engine = engine
        self._runner = runner
        self._tell = tell
        self._stderr = StandardError(container.engine_words, write)
        self._write = write
        self._where = f"{request.image} ({request.platform})"
        self._main: int | None = None
        self._attached_to = 0

    def run(self, timeout: float | None) -> Explained:
        ended = self._attached(timeout)
        for _ in range(_TRIES - 1):
            if isinstance(ended, Ending) and ended.outcome.again:
                ended = self._attached(timeout)
        if isinstance(ended, Explained):
            return ended
        found = explain(ended, self._request.image, self._request.platform, self._emulator, self._contents)
        if found.error is None:
            for line in ended.held:
                self._tell(line)
            if text := self._native():
                self._tell(text)
        return found

    def _attached(self, timeout: float | None) -> Ending | Explained:
        self._stderr = stderr = StandardError(self._container.engine_words, self._write)
        command = self._container.command
        interactive, tty = self._request.interactive, self._request.tty
        with self._runner.attached(
            command,
            stdin=interactive,
            terminal=tty,
            on_stdout=self._output,
            on_stderr=stderr.feed,
            on_signal=self._pass_signal,
        ) as program:
            self._attached_to = program.pid
            try:
                ended = self._watch(program, timeout)
            except BaseException:
                self._container.signal(SIGKILL)
                raise
            if isinstance(ended, Explained) and self._container.signal(SIGKILL):
                program.wait(_END_SECONDS)
        stderr.close()
        if isinstance(ended, Explained):
            return ended
        return Ending(self._container.outcome(ended, tuple(stderr.noise)), stderr.lines(), tuple(stderr.held))

    def _watch(self, program: Attached, timeout: float | None) -> int | Explained:
        """Its exit code, or why it has to be stopped."""
        deadline = None if timeout is None else time.monotonic() + timeout
        told = False
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            code = program.wait(_WATCH_SECONDS if left is None else min(left, _WATCH_SECONDS))
            if program.asked and self._output:
                raise KeyboardInterrupt
            if code is not None:
                return code
            if program.asked and not told:
                told = True
                self._tell("crossdock: the program was told to end; once more kills it")
            if self._emulated and (crashed := self._crashed()):
                return crashed
            if self._meanwhile and self._meanwhile():
                return Explained(0, stopped=True)
            if deadline is not None and time.monotonic() >= deadline:
                return self._stopped(timeout or 0.0)

    @property
    def _emulated(self) -> bool:
        return self._engine.shares_kernel and not self._request.platform.runs_natively_on(self._engine.host)

    def _emulator(self) -> Emulator | None:
        if self._request.platform.runs_natively_on(self._engine.host):
            return None
        version = emulator_version(self._request.platform, self._runner) if self._engine.shares_kernel else ""
        return Emulator(self._request.platform, version)

    def _pass_signal(self, number: Signals) -> bool:
        """To the image's own program, which what runs it (buildah) would just kill."""
        if self._container.signal(number):
            return True
        program = next(iter(self._tree()), None)
        if program is None:
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(program.pid, number)
        return True

    def _main_process(self) -> int | None:
        if self._main is None and self._engine.shares_kernel:
            self._main = self._container.main_process(self._attached_to)
        return self._main

    def _crashed(self) -> Explained | None:
        if not self._request.tty and _CRASH not in self._stderr.tail:
            return None
        pid = self._main_process()
        process = read_process(pid, read_handlers()) if pid is not None else None
        if process is None or process.crashed is None:
            return None
        emulator = self._emulator()
        return crashed_and_hangs(process.crashed, self._where, emulator) if emulator else None

    def _stopped(self, seconds: float) -> Explained:
        before = self._tree()
        time.sleep(LOOK_SECONDS if before else 0.0)
        return timed_out(seconds, self._where, before, self._tree(), LOOK_SECONDS, self._emulator())

    def _tree(self) -> tuple[Process, ...]:
        pid = self._main_process()
        return without(read_tree(pid, read_handlers()), self._container.wrappers) if pid is not None else ()

    def _contents(self) -> Contents:
        system = FileSystem()
        with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
            for descriptor, stream in self._container.layers(Path(folder)):
                system.add(read_layer(stream, descriptor))
        return Contents(system, self._container.config())

    def _native(self) -> str:
        """A note about a program for this machine in an image that says to be for another."""
        if self._request.platform.runs_natively_on(self._engine.host):
            return ""
        found = foreign_program(self._container, self._container.config(), self._request.platform)
        if not found:
            return ""
        machine = self._request.platform.architecture
        return (
            f"crossdock: warning: {self._where}: {found}. It ran because this machine is of that architecture; on"
            f" {machine} it is an exec format error.\n  `crossdock verify` lists all such programs of an image."
        )


def foreign_program(container: Container, config: ImageConfig, platform: Platform) -> str:
    """``/app is an ELF executable for amd64`` where the first program of a container is one for another architecture
    than its platform's; empty otherwise, and where that could not be seen."""
    words = (*config.entrypoint, *config.command)
    pending = words[0] if words else ""
    for _ in range(MAX_INTERPRETERS):
        found = _look_up(container, config, pending)
        if found is None:
            return ""
        path, head = found
        binary = identify(head)
        if binary is not None:
            wrong = binary.format is not Format.ELF or not binary.runs_on(platform.architecture)
            return f"{path} is {binary.describe()}" if wrong else ""
        if not head.startswith(b"#!"):
            return ""
        line = head[2:SCRIPT_LINE_BYTES].partition(b"\n")[0].decode("utf-8", "replace").split()
        if not line:
            return ""
        by_env = line[0].rpartition("/")[2] == "env" and len(line) > 1 and not line[1].startswith("-")
        pending = line[1] if by_env else line[0]
    return ""


def _look_up(container: Container, config: ImageConfig, program: str) -> tuple[str, bytes] | None:
    folder = config.working_directory or "/"
    if "/" in program:
        return container.head(program if program.startswith("/") else f"{folder}/{program}", HEAD_BYTES)
    for part in (config.env.get("PATH") or DEFAULT_PATH).split(":"):
        if program and (found := container.head(f"{part or folder}/{program}", HEAD_BYTES)):
            return found
    return None
