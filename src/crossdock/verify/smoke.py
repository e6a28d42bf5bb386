"""Smoke runs as checks: starting the image of each platform that has passed everything else."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from crossdock.engines.containers import TAIL_BYTES, Container, Pull, RunRequest
from crossdock.engines.model import SmokeResult, SmokeVerdict
from crossdock.engines.smoke import OUTPUT_LINES
from crossdock.errors import CrossdockError, EngineError
from crossdock.image.model import Image, ImageConfig
from crossdock.platforms import Platform
from crossdock.process import Runner
from crossdock.verify.health import Health
from crossdock.verify.model import CheckResult, Status, VerifyResult
from crossdock.verify.places import Place, Places
from crossdock.verify.run_end import Explained
from crossdock.verify.running import run_to_the_end

CHECK = "smoke"
Start = Callable[[Platform], Iterable[CheckResult]]
"""Starts the image of one platform and says how that went. May raise EngineError."""


def with_smoke_runs(result: VerifyResult, start: Start) -> VerifyResult:
    """``result`` with checks ``smoke`` for each platform. One that has failed already is not started."""

    def checks(platform: Platform) -> Iterable[CheckResult]:
        if any(entry.status is Status.FAILED and entry.platform in (platform, None) for entry in result.results):
            return (CheckResult(CHECK, Status.SKIPPED, "not started: a check has failed already", platform),)
        return start(platform)

    started = [entry for platform in result.platforms for entry in checks(platform)]
    return replace(result, results=(*result.results, *started))


def smoke_runs(
    image: Image,
    platform: Platform,
    places: Places,
    commands: tuple[tuple[str, ...], ...],
    runner: Runner,
    limit: float,
) -> Iterator[CheckResult]:
    """Start the image as it is, with its HEALTHCHECK; or, where there are ``commands``, once with each of them in place
    of its CMD, which has to end with 0. Raises EngineError when there can be no container."""
    try:
        place = places.of(platform)
    except EngineError as error:
        yield CheckResult(CHECK, Status.SKIPPED, f"not started: {error.what}", platform, hint=error.hint or "")
        return
    for command in commands or ((),):
        yield from _one_run(image, platform, place, command, runner, limit)


def _one_run(
    image: Image, platform: Platform, place: Place, command: tuple[str, ...], runner: Runner, limit: float
) -> Iterator[CheckResult]:
    request = RunRequest(
        image=image.name,
        platform=platform,
        command=command,
        content=image,
        pull=Pull.NEVER,
        network="none",
        healthcheck=False,
    )
    tail = _Tail()
    with place.engine.create(request, contextlib.nullcontext) as container:
        health = None if command else _health(image, platform, container, runner, limit)
        began = time.monotonic()
        ended = run_to_the_end(
            container,
            request,
            place.facts,
            runner,
            timeout=limit,
            write=tail.add,
            tell=lambda _: None,
            output=tail.add,
            meanwhile=health.ask if health else None,
        )
        seconds = min(time.monotonic() - began, limit)
    yield _run_check(ended, SmokeResult(platform, ended.verdict, None, seconds, tail.lines()), place, command)
    if health and (found := health.result(platform)):
        yield found


def _run_check(ended: Explained, smoke: SmokeResult, place: Place, command: tuple[str, ...]) -> CheckResult:
    is_service = not command and (ended.stopped or ended.verdict is SmokeVerdict.HUNG)
    smoke = replace(smoke, verdict=SmokeVerdict.RAN) if is_service else replace(smoke, exit_code=ended.exit_code)
    found = smoke_check(smoke, None if is_service else ended.error, place.words(smoke.platform))
    return replace(found, message=f"`{shlex.join(command)}`: {found.message}") if command else found


def _health(image: Image, platform: Platform, container: Container, runner: Runner, limit: float) -> Health | None:
    check = _config(image, platform).healthcheck
    return Health(check, container, runner, limit) if check else None


def _config(image: Image, platform: Platform) -> ImageConfig:
    entry = next(entry for entry in image.index().images if entry.platform == platform)
    return image.config(image.manifest(entry))


class _Tail:
    """The end of what a program prints, on both ways."""

    def __init__(self) -> None:
        self._bytes = b""

    def add(self, data: bytes) -> None:
        self._bytes = (self._bytes + data)[-TAIL_BYTES:]

    def lines(self) -> tuple[str, ...]:
        return tuple(self._bytes.decode("utf-8", "replace").splitlines()[-OUTPUT_LINES:])


def smoke_check(smoke: SmokeResult, error: CrossdockError | None = None, way: str = "") -> CheckResult:
    """What a smoke run says, as a check. ``error`` is what the image's own files say about it, ``way`` how it was run:
    natively or emulated."""
    last = next((line.strip() for line in reversed(smoke.output) if line.strip()), "")
    said = f": {last[:200]}" if last else ""
    why = f": {error.what}" if error else said
    log = error.log if isinstance(error, EngineError) else ()
    seconds = f"{smoke.seconds:.1f} s"
    match smoke.verdict:
        case SmokeVerdict.RAN:
            ending = f"ended with 0 after {seconds}" if smoke.exit_code == 0 else f"still running after {seconds}"
            way = f" {way}" if way else ""
            return CheckResult(CHECK, Status.PASSED, f"started{way} and {ending}", smoke.platform)
        case SmokeVerdict.FAILED:
            text = f"ended with exit code {smoke.exit_code} after {seconds}{why}"
            hint = "If it needs arguments or a server to start, name some with --run, or say --no-smoke."
        case SmokeVerdict.EXEC_FORMAT_ERROR:
            text = f"exec format error{why}"
            hint = (
                f"A program in the image is not for {smoke.platform}; the checks binaries and entrypoint name it."
                " If they pass, this machine cannot run such programs."
            )
        case SmokeVerdict.MISSING_LOADER:
            text = f"a program's loader or library is missing{why}"
            hint = "The check entrypoint names the file; install its C library or link the program statically."
        case SmokeVerdict.ILLEGAL_INSTRUCTION:
            text = f"illegal instruction, after {seconds}{why}"
            hint = (
                "It was compiled for a later processor than the one it ran on: --machine tells for which machines that"
                " matters. Compile it for the first processors of its architecture."
            )
        case SmokeVerdict.HUNG:
            doing = f" {'; '.join(log)}." if log else ""
            printed = f" It printed last: {last[:200]}" if last else " It printed nothing."
            text = f"hung: still running after {seconds}.{doing}{printed}"
            hint = "Some programs hang under emulation: run it on an Arm machine (--node), or give a shorter command."
    if error and error.hint:
        hint = error.hint
    return CheckResult(CHECK, Status.FAILED, text, smoke.platform, hint=hint)
