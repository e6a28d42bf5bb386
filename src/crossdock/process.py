"""The only place that starts programs: argument lists, time limits, streamed output, clean endings, redaction."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from crossdock.errors import EngineError

GRACE_SECONDS = 10.0
"""How long a program may take to end after it was asked to, before it is killed with all its children."""
END_SECONDS = 2.0
"""The same for one that was in the foreground, and is to end because its time is over."""
POLL_SECONDS = 0.5
STOP_SECONDS = 0.1
"""How often it is looked whether a program should stop."""
LAST_LINES = 20
"""How many lines of a failed program's output an error carries."""
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Command:
    """A program to run. ``secrets`` are strings that must not appear when the command or its output is shown; ``grace``
    are the seconds that it gets to end by itself when it has to be stopped, 0 to kill it at once. ``without`` are
    beginnings of names of environment variables that are kept from it. ``stop`` ends it when it is set: what runs in
    a thread other than the main one does not hear of Ctrl-C by itself."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    grace: float | None = field(default=None, repr=False)
    without: tuple[str, ...] = ()
    stop: threading.Event | None = field(default=None, repr=False, compare=False)

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
BytesHandler = Callable[[bytes], None]
SignalHandler = Callable[[signal.Signals], bool]
"""Passes a signal on, or says that it cannot."""


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

    def running(self, command: Command, on_line: LineHandler | None = None) -> AbstractContextManager[Running]:
        """A service: the program runs while the context lasts, and is ended with all its children when it is left,
        for whatever reason. ``on_line`` gets each line of output (merged, redacted), in a thread of its own. Raises
        EngineError if the program cannot start."""
        ...

    def attached(
        self,
        command: Command,
        *,
        stdin: bool = False,
        terminal: bool = False,
        on_stderr: BytesHandler | None = None,
        on_signal: SignalHandler | None = None,
    ) -> AbstractContextManager[Attached]:
        """A program that takes this one's place: its standard output is this one's own, and with ``stdin`` its input
        too; nothing is buffered or changed. ``terminal`` hands the terminal over. Otherwise ``on_stderr`` gets what it
        writes to standard error as it comes, in a thread of its own, and has to pass it on. ``on_signal`` passes the
        first signal on, while it is waited for; without it, the program gets it. It is ended with the context. Raises
        EngineError if it cannot start."""
        ...

    def guard(self, commands: Sequence[Command]) -> AbstractContextManager[None]:
        """Should this process be killed while the context lasts (SIGKILL, out of memory), so that it cannot clean up
        itself, then these commands are run, one after the other; a shell waits for that."""
        ...

    def which(self, program: str) -> str | None:
        """The path of a program, or None."""
        ...


class Attached:
    """A program that has taken this one's place. SIGINT, SIGTERM and SIGHUP are the program's: it gets the first one,
    and ``command.grace`` seconds to end by itself, in its own way and with its own exit code."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        command: Command,
        on_stderr: BytesHandler | None,
        on_signal: SignalHandler | None,
        *,
        shared: bool,
    ) -> None:
        self.command = command
        self.asked: signal.Signals | None = None
        """The first signal that came."""
        self._process = process
        self._on_stderr = on_stderr
        self._on_signal = on_signal
        self._shared = shared
        self._passed = False
        self._until: float | None = None
        """When its time to end by itself is over."""
        self._ended = False
        # A signal handler may not touch locks, which the thread that it interrupts may hold; a pipe it may.
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._threads = [threading.Thread(target=self._await, name=f"end of {command.argv[0]}", daemon=True)]
        if process.stderr:
            name = f"errors of {command.argv[0]}"
            self._threads.append(threading.Thread(target=self._read, args=(process.stderr,), name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, negative for a signal, once the program has ended and all it said was passed on; None when it
        has not ended after ``timeout`` seconds. Raises KeyboardInterrupt at the second signal, or when the program did
        not end in time after the first."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._ended:
            if self.asked and not self._passed:
                self._passed = True
                self._pass(self.asked)
            ends = [end for end in (deadline, self._until) if end is not None]
            left = max(0.0, min(ends) - time.monotonic()) if ends else None
            if select.select([self._woken], [], [], left)[0]:
                os.read(self._woken, 64)
                continue
            if self._until is not None and time.monotonic() >= self._until:
                raise KeyboardInterrupt
            if deadline is not None and time.monotonic() >= deadline:
                return None
        for thread in self._threads[1:]:
            thread.join(4 * POLL_SECONDS)  # what it left running in the background may hold the pipe
        return self._process.returncode

    def ask(self, number: signal.Signals) -> None:
        """A signal has come; called by signal handlers. The second one is not waited for."""
        again, self.asked = self.asked is not None, self.asked or number
        self._until = time.monotonic() + (0.0 if again else _grace(self.command))
        self._notify()

    def _pass(self, number: signal.Signals) -> None:
        if self._on_signal and self._on_signal(number):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._shared:
                os.killpg(self._process.pid, number)
            elif number != signal.SIGINT:  # the terminal has sent that to both already
                os.kill(self._process.pid, number)

    def end(self) -> None:
        """Make sure that it has ended."""
        if self._shared:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.terminate()  # so that it gives the terminal back as it was
                self._process.wait(2.0)
            self._process.kill()
        else:
            _end_group(self._process, END_SECONDS, (signal.SIGTERM,))
        for thread in self._threads:
            thread.join(4 * POLL_SECONDS)
        if not self._threads[0].is_alive():
            os.close(self._wake)
            os.close(self._woken)

    def _await(self) -> None:
        self._process.wait()
        self._ended = True
        self._notify()

    def _notify(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full: enough to wake anybody
            os.write(self._wake, b".")

    def _read(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed at the end, though something in the background has it
            while chunk := os.read(pipe.fileno(), 65536):
                if self._on_stderr:
                    self._on_stderr(chunk)


class Running:
    """A program that runs beside this one. Its output is read all the time, and the last lines are kept."""

    def __init__(self, process: subprocess.Popen[bytes], command: Command, on_line: LineHandler | None) -> None:
        self.command = command
        self._process = process
        self._on_line = on_line
        self._tail: deque[str] = deque(maxlen=LAST_LINES)
        self._reader = threading.Thread(target=self._read, name=f"output of {command.argv[0]}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, negative for a signal, once the program has ended by itself and all it said is known; None
        when it has not ended after ``timeout`` seconds."""
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        self.all_read()
        return code

    def all_read(self) -> None:
        """Wait until what the program said is read; call this when it has ended."""
        self._reader.join(4 * POLL_SECONDS)  # the reader notices the end within one

    def last_lines(self) -> tuple[str, ...]:
        return tuple(self._tail)

    def how_it_ended(self) -> str:
        """``ended with exit code 1``, ``was killed by SIGKILL``; what an error says after the name of the program."""
        code = self._process.poll()
        if code is None:
            return "is still running"
        if code >= 0:
            return f"ended with exit code {code}"
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in _lines(self._process, self._process.stdout, None, self.command):
            line = redact(line, self.command.secrets)
            self._tail.append(line)
            if self._on_line:
                self._on_line(line)


def redact(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Cleaning up: a second Ctrl-C does not stop it half-way. Without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


class SystemRunner:
    """Runs real programs, each in a process group of its own, and leaves none behind: on a time limit, an error or
    Ctrl-C the whole group is asked to end (SIGINT, so that engines clean up), and killed when it does not."""

    def which(self, program: str) -> str | None:
        return shutil.which(program)

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        began = time.monotonic()
        with self._start(
            command, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            if command.stop:
                threading.Thread(target=_ended_when, args=(command.stop, process, command), daemon=True).start()
            try:
                stdout, stderr = process.communicate(input, timeout)
            except subprocess.TimeoutExpired as error:
                raise _timed_out(command, timeout) from error
        if command.stop and command.stop.is_set():
            raise EngineError(f"`{command.argv[0]}` was stopped")
        done = Completed(command, process.returncode, stdout, stderr, time.monotonic() - began)
        if check and done.exit_code != 0:
            lines = redact((stderr or stdout).decode("utf-8", "replace"), command.secrets).strip().splitlines()
            tail = tuple(lines[-LAST_LINES:])
            raise EngineError(f"`{command.argv[0]}` ended with exit code {done.exit_code}", log=tail)
        return done

    def stream(self, command: Command, on_line: LineHandler, *, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._start(command) as process:
            assert process.stdout is not None
            if command.stop:
                threading.Thread(target=_ended_when, args=(command.stop, process, command), daemon=True).start()
            for line in _lines(process, process.stdout, deadline, command):
                on_line(redact(line, command.secrets))
            try:
                exit_code = process.wait(None if deadline is None else max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired as error:
                raise _timed_out(command, timeout) from error
        if command.stop and command.stop.is_set():
            raise EngineError(f"`{command.argv[0]}` was stopped")
        return exit_code

    @contextlib.contextmanager
    def running(self, command: Command, on_line: LineHandler | None = None) -> Iterator[Running]:
        with self._start(command) as process:
            program = Running(process, command, on_line)
            try:
                yield program
            finally:
                with uninterrupted():
                    # Services expect SIGTERM. They may have inherited that SIGINT is ignored, from a shell's `&`.
                    _end_group(process, _grace(command), (signal.SIGTERM,))
                    program.all_read()

    @contextlib.contextmanager
    def attached(
        self,
        command: Command,
        *,
        stdin: bool = False,
        terminal: bool = False,
        on_stderr: BytesHandler | None = None,
        on_signal: SignalHandler | None = None,
    ) -> Iterator[Attached]:
        # What sets a terminal's modes has to be in its foreground, and so in this one's process group. Anything else
        # gets a session of its own, out of which it may read from a terminal without hearing of Ctrl-C by itself.
        shared = terminal
        started: list[Attached] = []
        early: list[signal.Signals] = []

        def take(number: signal.Signals) -> None:
            if started:
                started[0].ask(number)
            else:
                early.append(number)

        with (
            _signals_to(take),
            _terminal_restored(shared),
            self._start(
                command,
                stdin=None if stdin else subprocess.DEVNULL,
                stdout=None,
                stderr=subprocess.PIPE if on_stderr and not terminal else None,
                alone=not shared,
            ) as process,
            self.guard([] if shared else [Command(("kill", "-s", "KILL", "--", f"-{process.pid}"))]),
        ):
            program = Attached(process, command, on_stderr, on_signal, shared=shared)
            started.append(program)
            for number in early:
                program.ask(number)
            try:
                yield program
            finally:
                with uninterrupted():
                    program.end()

    @contextlib.contextmanager
    def guard(self, commands: Sequence[Command]) -> Iterator[None]:
        if not commands:
            yield
            return
        lines = [shlex.join((*_with_env(one.env), *one.argv)) for one in commands]
        # The pipe ends with whoever holds its other side: this process alone. A line says that nothing is to be done.
        script = "; ".join(["read -r _ && exit", *lines])
        quiet = subprocess.DEVNULL
        with subprocess.Popen(
            ("sh", "-c", script), stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, cwd="/", start_new_session=True
        ) as shell:
            try:
                yield
            finally:
                assert shell.stdin is not None
                with uninterrupted(), contextlib.suppress(OSError):
                    shell.stdin.write(b"\n")
                    shell.stdin.close()

    @contextlib.contextmanager
    def _start(
        self,
        command: Command,
        *,
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = subprocess.STDOUT,
        alone: bool = True,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A program, in a session and process group of its own if it is ``alone``; the pipes are closed at the end."""
        try:
            process = subprocess.Popen(
                command.argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=_environment(command),
                cwd=command.cwd,
                start_new_session=alone,
            )
        except OSError as error:
            if command.cwd is not None and not command.cwd.is_dir():
                raise EngineError(
                    f"cannot start {command.argv[0]!r} in a folder that is none", where=str(command.cwd)
                ) from error
            if isinstance(error, FileNotFoundError):
                raise EngineError(
                    f"the program {command.argv[0]!r} is not installed", hint="Install it, or add its folder to PATH."
                ) from error
            raise EngineError(f"cannot start {command.argv[0]!r}: {error.strerror}") from error
        try:
            yield process
        except BaseException:
            with uninterrupted():
                if alone:
                    _end_group(process, _grace(command), (signal.SIGINT, signal.SIGTERM))
            raise
        finally:
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _with_env(env: Mapping[str, str]) -> tuple[str, ...]:
    return ("env", *(f"{name}={value}" for name, value in env.items())) if env else ()


@contextlib.contextmanager
def _signals_to(handler: Callable[[signal.Signals], None]) -> Iterator[None]:
    """While this lasts, what would interrupt this program goes to ``handler``. Without effect outside the main thread;
    what is ignored (nohup) stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _INTERRUPTS}
    taken = [number for number, old in before.items() if old is not signal.SIG_IGN]
    for number in taken:
        signal.signal(number, lambda number, _: handler(signal.Signals(number)))
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number] or signal.SIG_DFL)


@contextlib.contextmanager
def _terminal_restored(used: bool) -> Iterator[None]:
    """A program that was killed leaves the terminal as it had set it: without echo, for one."""
    if not used or not os.isatty(0):
        yield
        return
    import termios

    modes = termios.tcgetattr(0)
    try:
        yield
    finally:
        # This program is in the foreground, so that the kernel does not stop it for this.
        termios.tcsetattr(0, termios.TCSADRAIN, modes)


def _ended_when(stop: threading.Event, process: subprocess.Popen[bytes], command: Command) -> None:
    """In a thread: end a program when ``stop`` is set."""
    while process.poll() is None:
        if stop.wait(STOP_SECONDS):
            _end_group(process, _grace(command), (signal.SIGINT, signal.SIGTERM))


def _timed_out(command: Command, timeout: float | None) -> CommandTimeout:
    return CommandTimeout(f"`{command.argv[0]}` did not end within {timeout or 0:.0f} s and was stopped")


def _grace(command: Command) -> float:
    return GRACE_SECONDS if command.grace is None else command.grace


def _environment(command: Command) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(command.without)}
    return {**inherited, **command.env}


def _end_group(process: subprocess.Popen[bytes], grace: float, asking: tuple[signal.Signals, ...]) -> None:
    """End a program and everything it started that is still in its process group: by the signals ``asking``, the first
    of which gets ``grace`` seconds, and then by force."""
    steps = [(number, min(2.0, grace) if index else grace) for index, number in enumerate(asking if grace else ())]
    for number, patience in [*steps, (signal.SIGKILL, 5.0)]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if process.poll() is not None and not _group_lives(process.pid):
                return
            time.sleep(0.02)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lines(
    process: subprocess.Popen[bytes], pipe: IO[bytes], deadline: float | None, command: Command
) -> Iterator[str]:
    """Lines as they arrive; a carriage return ends one too, as progress displays use it.

    The end is the end of the output, or of the program: what it left running in the background may hold the pipe.
    """
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            left = POLL_SECONDS if deadline is None else min(POLL_SECONDS, deadline - time.monotonic())
            if left <= 0:
                raise CommandTimeout(f"`{command.argv[0]}` took too long and was stopped")
            if not selector.select(left):
                if ended:
                    break
                continue
            chunk = os.read(pipe.fileno(), 65536)
            if not chunk:
                break
            *whole, pending = (pending + chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", "replace")
    if pending:
        yield pending.decode("utf-8", "replace")
