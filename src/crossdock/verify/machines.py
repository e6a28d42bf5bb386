"""The check ``machine``: whether the image's programs can be loaded and executed on a machine's kernel and processor.

Programs that need pages no larger than some size, or a later processor than the first of their architecture, start on
most machines and fail on others (``ELF load command alignment not page-aligned``, ``Illegal instruction``).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crossdock.errors import UsageError
from crossdock.image.binary import Format
from crossdock.platforms import Platform
from crossdock.verify.binaries import instruction
from crossdock.verify.contents import File
from crossdock.verify.exceptions import expected_elsewhere
from crossdock.verify.filesystem import FileSystem
from crossdock.verify.model import CheckResult, Status

CHECK = "machine"
_TABLE = Path(__file__).parents[1] / "catalogue/machines.toml"
_LARGE_PAGES = 65536
_LEVEL = re.compile(r"(armv|x86-64-v)(\d+)(?:\.(\d+))?(?:-a)?")
_LSE_SINCE = (8, 1)


@dataclass(frozen=True)
class Machine:
    """What a kind of machine asks of programs. ``page_sizes`` in bytes, of the kernels that it may run."""

    name: str
    processor: str
    page_sizes: tuple[int, ...]

    def executes(self, feature: str) -> bool:
        """Whether its processor has what a program says to need; ``armv8.1-a``, ``lse``."""
        own = _level(self.processor)
        if feature == "lse":
            return own[1:] >= _LSE_SINCE
        level = _level(feature)
        return bool(level) and level[0] == own[0] and level[1:] <= own[1:]


@cache
def machines() -> dict[str, Machine]:
    """By each of their names."""
    entries = tomllib.loads(_TABLE.read_text("utf-8"))["machine"]
    return {
        name: Machine(entry["name"], entry["processor"], tuple(entry["page_size"]))
        for entry in entries
        for name in (entry["name"], *entry.get("known_as", ()))
    }


def machine_named(text: str) -> Machine:
    """Raises UsageError for a name that is not in the catalogue."""
    found = machines().get(text.lower())
    if found is None:
        names = ", ".join(sorted({machine.name for machine in machines().values()}))
        raise UsageError(f"no machine is called {text!r}", where="--machine", hint=f"Choose one of {names}.")
    return found


def check_machine(
    system: FileSystem, platform: Platform, created_by: tuple[str, ...], machine: Machine | None
) -> Iterator[CheckResult]:
    """A failure for what does not start on ``machine``; without one, a warning for what will not start on some."""
    if platform.architecture != "arm64":
        return
    status = Status.FAILED if machine else Status.WARNING
    largest = max(machine.page_sizes) if machine else _LARGE_PAGES
    where = machine.name if machine else "some machines"

    def small_pages(file: File) -> str:
        size = file.dynamic.page_size if file.dynamic else 0
        return f"pages of at most {size >> 10} KiB" if 0 < size < largest else ""

    def later_processor(file: File) -> str:
        needs = file.dynamic.processor if file.dynamic else ()
        return ", ".join(need for need in needs if machine is None or not machine.executes(need))

    found = False
    for fault, hint in (
        (small_pages, _PAGES_HINT.format(size=f"{largest >> 10} KiB")),
        (later_processor, "Compile it for the first processors of its architecture (GOARM64=v8.0, -march=armv8-a)."),
    ):
        files = sorted(_with(system, platform, fault))
        if not files:
            continue
        found = True
        path, layer, needs = files[0]
        more = f" ({len(files) - 1:,} more like it)" if len(files) > 1 else ""
        text = f"/{path} needs {needs}, and does not start on {where}{more}"
        yield CheckResult(CHECK, status, text, platform, f"/{path}", instruction(created_by, layer), hint)
    if not found:
        text = f"all programs can be loaded with pages of up to {largest >> 10} KiB, and say to need no later processor"
        text += _protection(system, platform)
        yield CheckResult(CHECK, Status.PASSED, text, platform)


_PAGES_HINT = (
    "Link it with -Wl,-z,max-page-size=65536 (GNU ld's default for arm64), or take a later release of it: there are"
    " kernels with pages of {size}."
)


def _protection(system: FileSystem, platform: Platform) -> str:
    """How many programs and libraries are made for BTI and PAC. It is told, and nothing is wrong without it."""
    loaded = [file.dynamic for _, file, _ in _of_platform(system, platform) if file.dynamic]
    counts = {mark: sum(mark in one.marks for one in loaded) for mark in ("BTI", "PAC")}
    if not any(counts.values()):
        return ""
    return f"; of {len(loaded):,} files " + " and ".join(f"{count:,} are made for {m}" for m, count in counts.items())


def _of_platform(system: FileSystem, platform: Platform) -> Iterator[tuple[str, File, int]]:
    """What is loaded of the platform's programs and libraries, with the layer."""
    for path, placed in system.files():
        binary = placed.file.binary
        if binary and binary.format is Format.ELF and binary.is_loaded and binary.runs_on(platform.architecture):
            yield path, placed.file, placed.layer


def _with(system: FileSystem, platform: Platform, fault: Callable[[File], str]) -> Iterator[tuple[str, int, str]]:
    """Programs and libraries of the platform that have this fault."""
    for path, file, layer in _of_platform(system, platform):
        assert file.binary is not None
        if (needs := fault(file)) and not expected_elsewhere(path, file.binary, platform):
            yield path, layer, needs


def _level(text: str) -> tuple[int | str, ...]:
    match = _LEVEL.fullmatch(text)
    return (match[1], int(match[2]), int(match[3] or 0)) if match else ()
