"""What goes into an engine and what comes out of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from crossdock.platforms import Platform
from crossdock.process import Command


@dataclass(frozen=True)
class BuildRequest:
    """One build, in docker buildx build's own terms; each field is the flag of that name.

    ``dockerfile`` are the bytes to build, as ported in memory. ``context`` is a folder; ``ignore`` are the bytes of
    the ignore file that applies (empty: none). The engine writes both next to each other in a folder of its own, so
    that the user's tree stays untouched.
    """

    context: Path
    dockerfile: bytes = field(repr=False)
    ignore: bytes = field(repr=False)
    platforms: tuple[Platform, ...]
    tags: tuple[str, ...] = ()
    build_args: tuple[str, ...] = ()
    """``NAME=value``, or ``NAME`` to take it from the environment."""
    target: str | None = None
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    no_cache: bool = False
    pull: bool = False
    network: str | None = None
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    build_contexts: tuple[str, ...] = ()
    stop: threading.Event | None = field(default=None, repr=False, compare=False)
    """No flag: the build is ended, and fails, when it is set."""


class StepState(StrEnum):
    STARTED = "started"
    OUTPUT = "output"
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"


@dataclass(frozen=True)
class BuildEvent:
    """One piece of progress. ``step`` identifies the step within this build; ``name`` is the instruction as the engine
    shows it; ``seconds`` is how long the step has taken, where the engine says so."""

    state: StepState
    step: str
    platform: Platform | None = None
    stage: str = ""
    name: str = ""
    text: str = ""
    seconds: float | None = None


EventHandler = Callable[[BuildEvent], None]


def both(one: EventHandler, other: EventHandler) -> EventHandler:
    def see(event: BuildEvent) -> None:
        one(event)
        other(event)

    return see


@dataclass(frozen=True)
class EngineInfo:
    """An engine that answered. ``loads_index`` tells whether --load can take several platforms at once;
    ``shares_kernel`` whether its containers run on this machine's kernel, and not in a VM or on another machine;
    ``builds_here`` whether builds do, and not on the nodes of a builder; ``builder`` is its name, where it has one."""

    name: str
    version: str
    detail: str
    loads_index: bool
    shares_kernel: bool = True
    builds_here: bool = True
    builder: str = ""


class SmokeVerdict(StrEnum):
    RAN = "ran"
    FAILED = "failed"
    EXEC_FORMAT_ERROR = "exec format error"
    MISSING_LOADER = "missing loader"
    HUNG = "hung"


@dataclass(frozen=True)
class SmokeResult:
    """How an image's container ended. ``verdict`` RAN means that it started and either ended with 0 or was still
    running, as services do, when the time limit came."""

    platform: Platform
    verdict: SmokeVerdict
    exit_code: int | None
    seconds: float
    output: tuple[str, ...]


class Engine(Protocol):
    """A real program that builds images. Everything that decides is in the pure ``commands``; the rest runs it."""

    name: str

    def probe(self) -> EngineInfo:
        """Ask the engine whether it works. Raises EngineError with the next step when it does not."""
        ...

    def commands(self, request: BuildRequest, work: Path) -> tuple[Command, ...]:
        """What ``build`` would run, in order; ``work`` is the folder that holds Dockerfile, output and state."""
        ...

    def build(self, request: BuildRequest, work: Path, on_event: EventHandler) -> Path:
        """Build and return the OCI layout (a folder below ``work``) whose index.json names one image index with every
        platform. Raises EngineError with the failing step and its last lines; leaves nothing else behind."""
        ...

    def smoke(self, layout: Path, platform: Platform, command: tuple[str, ...] | None, timeout: float) -> SmokeResult:
        """Start the image of one platform, with its own entrypoint unless ``command`` is given, without network."""
        ...

    def load(self, layout: Path, platforms: tuple[Platform, ...], tags: tuple[str, ...]) -> tuple[Platform, ...]:
        """Put the image into the engine's own store under ``tags``; return the platforms that it could take."""
        ...
