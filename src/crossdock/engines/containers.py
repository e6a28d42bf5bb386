"""One container that runs to its end in the foreground: what is asked for, and what each engine makes of it.

``docker_run`` does it with Docker and podman, ``buildah_run`` with buildah.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from signal import Signals
from typing import BinaryIO, Protocol

from crossdock.image.model import Descriptor, Image, ImageConfig
from crossdock.platforms import Platform
from crossdock.process import Command

TAIL_BYTES = 8192
"""How much of the end of a program's standard error is kept, to find out what happened."""


class Pull(StrEnum):
    MISSING = "missing"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class RunRequest:
    """What to run; each field is the flag of ``docker run`` of that name. ``image`` is a reference, or what messages
    call the file when ``content`` is the image itself, of which the engine then gets ``platform`` under a name that
    is gone afterwards."""

    image: str
    platform: Platform
    command: tuple[str, ...] = ()
    content: Image | None = None
    pull: Pull = Pull.MISSING
    entrypoint: str | None = None
    interactive: bool = False
    tty: bool = False
    env: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    network: str | None = None
    workdir: str | None = None
    user: str | None = None
    healthcheck: bool = True
    """Whether the engine runs the image's HEALTHCHECK by itself, where it would."""


@dataclass(frozen=True)
class EngineFacts:
    """An engine that answered. ``host`` is the platform of the machine that its containers run on, ``shares_kernel``
    whether that is this one."""

    name: str
    version: tuple[int, ...]
    host: Platform
    shares_kernel: bool = True
    experimental: bool = False
    """Docker's daemon takes experimental flags."""
    program: tuple[str, ...] = ()
    """The beginning of each command, where that is more than the name: ``docker --host ssh://arm``."""

    @property
    def words(self) -> tuple[str, ...]:
        return self.program or (self.name,)


@dataclass(frozen=True)
class Outcome:
    """How a container ended, as far as its engine says. ``started`` is false when its program could not even be started
    by the engine; ``trouble`` is why."""

    started: bool
    exit_code: int = 0
    """As shells have it: 128 and its number for a signal."""
    out_of_memory: bool = False
    trouble: str = ""
    again: bool = False
    """Nothing has run, and another try may do: the engine met with a passing refusal."""


def shell_code(exit_code: int) -> int:
    """139 for -11, as subprocess has SIGSEGV."""
    return 128 - exit_code if exit_code < 0 else exit_code


class Container(Protocol):
    """A container that was made and not started. What it reads is there until its context ends."""

    @property
    def command(self) -> Command:
        """What starts it in the foreground, and ends with its exit code."""
        ...

    @property
    def engine_words(self) -> EngineWords:
        """Which lines of that command's standard error are the engine's and not the program's."""
        ...

    def main_process(self, attached: int) -> int | None:
        """The process number of its program, or of a wrapper that has started it, once it runs; ``attached`` is that
        of ``command``. None where it does not run, or on another machine."""
        ...

    @property
    def wrappers(self) -> frozenset[str]:
        """Names of programs that its main process may be, and that are not the image's."""
        ...

    def signal(self, number: Signals) -> bool:
        """Send a signal to its program; False where the engine has no way to."""
        ...

    def execute(self, words: tuple[str, ...]) -> Command | None:
        """What runs these words in it beside its program, as HEALTHCHECK is run, and ends with their exit code; None
        where the engine has no way to."""
        ...

    def outcome(self, exit_code: int, noise: tuple[str, ...]) -> Outcome:
        """How it ended, when ``command`` ended with this exit code (negative for a signal) and this noise."""
        ...

    def config(self) -> ImageConfig:
        """The image's configuration with what the request has put in its place."""
        ...

    def head(self, path: str, size: int) -> tuple[str, bytes] | None:
        """The real path (without links) and the first bytes of a file in it; None where there is none, or where it
        cannot be read."""
        ...

    def layers(self, folder: Path) -> Iterator[tuple[Descriptor, BinaryIO]]:
        """Everything in it: a layer, or several from the base up, each to be read before the next is asked for.
        ``folder`` is empty, and takes what has to be written for that. Raises EngineError."""
        ...


class ContainerEngine(Protocol):
    """A real program that runs containers. Everything that decides is in pure functions; the rest runs it."""

    name: str

    def probe(self) -> EngineFacts:
        """Ask the engine whether it works. Raises EngineError with the next step when it does not."""
        ...

    def local_platform(self, image: str) -> Platform | None:
        """The platform of the image that the engine has under this name, which may not be the only one; None without
        such an image."""
        ...

    def create(
        self, request: RunRequest, on_pull: Callable[[], AbstractContextManager[None]]
    ) -> AbstractContextManager[Container]:
        """Make a container, pulling or loading its image as needed (within ``on_pull``, to tell so). It is gone
        when the context ends, and also when this process is killed. Raises EngineError."""
        ...


@dataclass(frozen=True)
class EngineWords:
    """Lines of standard error that begin so, and match as a whole, are the engine's own. ``noise`` are those that only
    say what the exit code, or another try, says already."""

    starts: tuple[str, ...]
    whole: re.Pattern[str]
    noise: re.Pattern[str] = re.compile(r"(?!)")
    anywhere: tuple[str, ...] = ()
    """Those of ``starts`` that count within a line too: the program's last one may have no end."""


class StandardError:
    """What comes from a container's standard error, passed on byte for byte as it comes, but for the engine's own
    lines, which are kept: as ``held`` or ``noise``."""

    def __init__(self, words: EngineWords, write: Callable[[bytes], None]) -> None:
        self._words = words
        self._starts = tuple(start.encode() for start in words.starts)
        self._anywhere = tuple(start.encode() for start in words.anywhere)
        self._write = write
        self._pending = b""
        """The beginning of a line that may turn out to be the engine's."""
        self._inside = False
        """In the middle of a line that is the program's."""
        self.tail = b""
        self.held: list[str] = []
        self.noise: list[str] = []

    def feed(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        *whole, rest = data.split(b"\n")
        for line in whole:
            self._piece(line + b"\n")
        if rest:
            self._piece(rest)

    def close(self) -> None:
        """The last line may have no end."""
        self._line(self._pending)
        self._pending = b""

    def lines(self) -> tuple[str, ...]:
        """The last lines, the engine's too."""
        return tuple(self.tail.decode("utf-8", "replace").splitlines())

    def _piece(self, piece: bytes) -> None:
        ends = piece.endswith(b"\n")
        if not self._pending and (self._inside or not piece.startswith(self._starts)):
            at = min((at for start in self._anywhere if (at := piece.find(start)) >= 0), default=len(piece))
            if self._inside or at < len(piece):
                self._write(piece[:at])
                piece = piece[at:]
        self._pending += piece
        if ends:
            self._line(self._pending)
        elif any(self._pending.startswith(start) or start.startswith(self._pending) for start in self._starts):
            return
        elif self._pending:
            self._write(self._pending)
        self._pending = b""
        self._inside = not ends

    def _line(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if self._words.noise.fullmatch(text):
            self.noise.append(text)
        elif self._words.whole.fullmatch(text):
            self.held.append(text)
        elif line:
            self._write(line)
