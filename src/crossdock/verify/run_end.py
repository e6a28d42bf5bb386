"""How a container's end is judged: whether the program's own, or for a reason that can be named, with the file."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from crossdock.doctor.qemu import Trouble, troubles, troubles_of
from crossdock.engines.containers import Outcome
from crossdock.engines.model import SmokeVerdict
from crossdock.engines.smoke import judge
from crossdock.engines.trouble import LAST_LINES, failure
from crossdock.errors import EngineError, ExitCode
from crossdock.host.processes import Process
from crossdock.image.model import ImageConfig
from crossdock.platforms import Platform
from crossdock.verify.binaries import check_binaries
from crossdock.verify.entrypoint import check_entrypoint
from crossdock.verify.filesystem import FileSystem
from crossdock.verify.model import CheckResult, Status

TIMED_OUT = 124
"""As timeout(1)."""
CANNOT_EXECUTE = 126
NOT_FOUND = 127
"""As shells and ``docker run``."""

_START = re.compile(
    r"(?:^|: )(?:exec|fork/exec)[: ]|exec user process caused|exec container process"
    r"|crun: (?:executable file |open executable: )"
)
"""An engine's words about the program itself, and not about a volume or a port."""
_UNUSABLE = re.compile(r"permission denied|operation not permitted|exec format error|is a directory", re.IGNORECASE)
_ABSENT = re.compile(r"executable file (?:`.*` )?not found|no such file or directory", re.IGNORECASE)
_LIBRARY = re.compile(
    r"error while loading shared libraries: \S+: cannot open shared object"  # glibc
    r"|^Error loading shared library \S+: No such file"  # musl
)
_UNCAUGHT = re.compile(r"qemu: uncaught target signal (\d+)")
_CRASHES = frozenset({signal.SIGILL, signal.SIGTRAP, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS})
_BUSY = 0.5
"""Seconds of processor time in a second, from which on a program is computing and not waiting."""


@dataclass(frozen=True)
class Ending:
    """``lines`` are the last of standard error, ``held`` what the engine itself said in it."""

    outcome: Outcome
    lines: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class Emulator:
    """What emulates ``guest`` here; ``version`` is empty where it does not show."""

    guest: Platform
    version: str = ""

    def __str__(self) -> str:
        return f"QEMU {self.version}" if self.version else "an emulator (QEMU)"


@dataclass(frozen=True)
class Explained:
    """The exit code to end with, and what is to be told; nothing where the program's own words are enough. ``verdict``
    is how it went in a word."""

    exit_code: int
    error: EngineError | None = None
    verdict: SmokeVerdict = field(default=SmokeVerdict.RAN, compare=False)
    stopped: bool = False
    """It ran for as long as was wanted, and was stopped then."""


def explain(
    ending: Ending,
    image: str,
    platform: Platform,
    emulator: Callable[[], Emulator | None],
    contents: Callable[[], Contents],
) -> Explained:
    """``emulator`` and ``contents`` are asked only when they are needed: what emulates this platform, or None where it
    runs natively, and what is in the container. ``contents`` may raise EngineError."""
    code = _exit_code(ending)
    verdict = judge(code, (*ending.held, ending.outcome.trouble, *ending.lines))
    if not ending.outcome.started and verdict is SmokeVerdict.RAN:
        verdict = SmokeVerdict.FAILED
    found = _explain(ending, code, verdict, f"{image} ({platform})", platform, emulator, contents)
    return replace(found, verdict=verdict)


def _explain(
    ending: Ending,
    code: int,
    verdict: SmokeVerdict,
    where: str,
    platform: Platform,
    emulator: Callable[[], Emulator | None],
    contents: Callable[[], Contents],
) -> Explained:
    said = "\n".join(ending.held)
    if not ending.outcome.started or (ending.held and code in (CANNOT_EXECUTE, NOT_FOUND)):
        if code == ExitCode.CANNOT:
            held = ending.held or (ending.outcome.trouble,)
            hint = "Check volumes, ports, network and user."
            return Explained(code, failure("the engine could not start the container", held, where=where, hint=hint))
        return Explained(code, _broken(where, platform, contents, said))
    if ending.outcome.out_of_memory:
        what = "the container used more memory than it may have, and was killed"
        hint = "Give the container or the engine's machine more; under emulation programs need more than natively."
        return Explained(code, EngineError(what, where=where, hint=hint))
    if verdict in (SmokeVerdict.EXEC_FORMAT_ERROR, SmokeVerdict.MISSING_LOADER) or (
        code and any(map(_LIBRARY.search, ending.lines))
    ):
        return Explained(code, _broken(where, platform, contents, ""))
    number = _signal(code)
    if number == signal.SIGKILL:
        what = "the program was killed (SIGKILL), most likely because memory ran out"
        return Explained(
            code, EngineError(what, where=where, hint="`dmesg` tells; give the machine more memory or swap.")
        )
    if number in _CRASHES and (by := emulator()):
        return Explained(code, crash(number, where, by))
    return Explained(code)


def _exit_code(ending: Ending) -> int:
    """The program's own, or for one that did not start what shells say. What the engine could not do is 3."""
    text = "\n".join((*ending.held, ending.outcome.trouble))
    if _START.search(text):
        if _UNUSABLE.search(text):
            return CANNOT_EXECUTE
        if _ABSENT.search(text):
            return NOT_FOUND
    if not ending.outcome.started:
        return ExitCode.CANNOT
    return ending.outcome.exit_code


def _signal(code: int) -> signal.Signals | None:
    try:
        return signal.Signals(code - 128) if code > 128 else None
    except ValueError:
        return None


@dataclass(frozen=True)
class Contents:
    """Everything in a container, and how it is started."""

    system: FileSystem
    config: ImageConfig


def _broken(where: str, platform: Platform, contents: Callable[[], Contents], said: str) -> EngineError | None:
    """What in the image keeps its program from starting. None where nothing is found and the engine said nothing: then
    it was in a script, whose own words tell."""
    try:
        found = contents()
    except EngineError as error:
        problem = f"{said}; the image could not be looked into: {error.what}" if said else error.what
        return EngineError(problem, where=where, hint="`crossdock verify` looks into an image.")
    failed = list(_failed(check_entrypoint(found.system, found.config, platform)))
    if failed:
        first = failed[0]
        brought = f" It came with `{first.created_by}`." if first.created_by else ""
        more = tuple(result.message for result in failed[1:4])
        return EngineError(first.message, where=where, hint=f"{first.hint}{brought}".strip(), log=more)
    wrong = list(_failed(check_binaries(found.system, platform, found.config.created_by)))
    if wrong:
        files = tuple(result.message for result in wrong[:4])
        what = f"its first program is right, but there are programs in the image that are not for {platform}"
        return EngineError(what, where=where, hint=f"{wrong[0].hint} `crossdock verify` lists all.", log=files)
    if "exec format error" in said.lower():
        what = f"the image is right, but the machine that it was to run on cannot run {platform} programs"
        hint = "Emulation has to be registered there: `crossdock doctor` on that machine tells, and --fix does it."
        return EngineError(what, where=where, hint=hint)
    return EngineError(said.splitlines()[0], where=where, hint="Check the command.") if said else None


def _failed(results: Iterable[CheckResult]) -> Iterable[CheckResult]:
    return (result for result in results if result.status is Status.FAILED)


def crash(number: signal.Signals, where: str, emulator: Emulator) -> EngineError:
    """A program that was ended by a signal while it was emulated."""
    known = _known(emulator, ())
    hint = _advice(known) if known else "It may run well on a real machine of this platform; try one, or another QEMU."
    if number == signal.SIGILL:
        hint = f"It used an instruction that the emulated processor lacks: try `--env QEMU_CPU=max`.\n{hint}"
    what = f"the program crashed ({number.name}, exit code {128 + number}) while {emulator} emulated it"
    return EngineError(what, where=where, hint=hint)


def crashed_and_hangs(number: signal.Signals, where: str, emulator: Emulator) -> Explained:
    """A program that crashed as the first of its container, where QEMU cannot end by its signal."""
    error = crash(number, where, emulator)
    return Explained(
        128 + number,
        EngineError(
            f"{error.what}, and would have hung for ever: QEMU cannot end as the first process of a container",
            where=where,
            hint=error.hint,
        ),
        SmokeVerdict.ILLEGAL_INSTRUCTION if number == signal.SIGILL else SmokeVerdict.FAILED,
    )


def timed_out(
    seconds: float,
    where: str,
    before: tuple[Process, ...],
    after: tuple[Process, ...],
    between: float,
    by: Emulator | None,
) -> Explained:
    """A program that was still running at its time limit: what it was doing. ``before`` and ``after`` are its processes
    ``between`` seconds apart."""
    used = {process.pid: process.cpu for process in before}
    busy = {one.pid: (one.cpu - used.get(one.pid, one.cpu)) / max(between, 0.01) for one in after}
    lines = tuple(_doing(process, busy[process.pid]) for process in after)
    known = _known(by, tuple(process.program for process in after)) if after and by else ()
    if any(_computes(process, busy[process.pid]) for process in after):
        hint = "It was computing. Emulated, that takes several times as long as natively: give it more time."
    elif after:
        hint = "It was waiting for something. A service does; a program that should have ended may hang when emulated."
    else:
        hint = "What it was doing does not show from here."
    if known:
        hint += f"\n{_advice(known)}"
    what = f"still running after {seconds:g} s (--timeout), and stopped"
    return Explained(TIMED_OUT, EngineError(what, where=where, hint=hint, log=lines[-LAST_LINES:]), SmokeVerdict.HUNG)


def _doing(process: Process, rate: float) -> str:
    name = " ".join(process.words) or f"process {process.pid}"
    name = name if len(name) <= 80 else f"{name[:79]}…"
    if _computes(process, rate):
        state = "computing"
    elif process.state == "D":
        state = "waiting for a device or disk"
    elif process.state == "T":
        state = "stopped"
    elif process.state == "Z":
        state = "ended, and nobody has asked for its exit code"
    else:
        state = "waiting"
    kernel = f" in {process.wait}" if process.wait and state.startswith("waiting") else ""
    time = f"{process.cpu:.1f} s of processor time in {process.age:.1f} s"
    return f"`{name}` (process {process.pid}): {state}{kernel}, {time}"


def _computes(process: Process, rate: float) -> bool:
    """Whether it has a processor, or wants one: on a busy machine it may get little of it."""
    return rate >= _BUSY or process.state == "R"


def _known(emulator: Emulator, programs: tuple[str, ...]) -> tuple[Trouble, ...]:
    """What the catalogue (catalogue/qemu.toml) knows of these programs, or, without any, of this version."""
    guest = emulator.guest.architecture
    if not programs:
        return troubles(emulator.version, guest)
    found = {one.id: one for name in programs for one in troubles_of(name, guest, emulator.version)}
    return tuple(found.values())


def _advice(known: tuple[Trouble, ...]) -> str:
    return "\n".join(f"Known: {one.looks}. To do: {one.remedy}. ({one.source})" for one in known[:2])
