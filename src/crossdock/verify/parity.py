"""The check ``parity``: whether the platforms of an image hold the same: packages, their versions, programs, size.

That a file is missing on arm64 is seldom meant: a download that was skipped, a package without arm64, a plugin that was
not compiled. What is named after its architecture counts as the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crossdock.image.model import ImageConfig
from crossdock.image.tar import Kind
from crossdock.platforms import MULTIARCH, Platform
from crossdock.verify.exceptions import architecture_words
from crossdock.verify.filesystem import FileSystem
from crossdock.verify.model import CheckResult, Status

CHECK = "parity"
MAX_SHOWN = 8
SIZE_RATIO = 1.5
"""How much larger one platform may be than another before it is told."""
_PROGRAMS = re.compile(r"(?:usr/)?s?bin/|usr/local/|opt/|srv/|app/|home/|root/")
"""Where a project puts its own files, and where programs are. A distribution's libraries and data differ by nature."""
_BY_PROCESSOR = frozenset({"libquadmath0", "libhwasan0"})
"""gcc depends on them where the processor has what they are for (debian/rules.conf of gcc-12), so they tell nothing."""
_NOT_COMPARED = re.compile(r"(?:.*/)?(?:__pycache__/|\.cache/|\.npm/)|root/\.")


@dataclass(frozen=True)
class Inventory:
    """What one platform of an image holds. ``programs`` are normalised paths, ``size`` the packed layers' in bytes."""

    platform: Platform
    programs: frozenset[str]
    size: int
    packages: Mapping[str, str] = field(default_factory=dict)


def take_inventory(system: FileSystem, platform: Platform, config: ImageConfig, size: int) -> Inventory:
    working = config.working_directory.strip("/")
    words = _words(platform)
    programs = set()
    packages: dict[str, str] = {}
    for path, placed in system.files():
        file = placed.file
        if file.packages:
            packages.update((words.sub("{arch}", name), version) for name, version in file.packages)
        if file.kind not in (Kind.FILE, Kind.SYMLINK, Kind.HARDLINK) or _NOT_COMPARED.match(path):
            continue
        if file.link.rpartition("/")[2] == "setarch":  # util-linux links the names of each processor's modes to it
            continue
        if _PROGRAMS.match(path) or (working and path.startswith(f"{working}/")):
            programs.add(words.sub("{arch}", path))
    packages = {name: version for name, version in packages.items() if name not in _BY_PROCESSOR}
    return Inventory(platform, frozenset(programs), size, packages)


def check_parity(inventories: Sequence[Inventory]) -> Iterator[CheckResult]:
    """Each platform against the first, which is amd64 where it is there."""
    if len(inventories) < 2:
        return
    first, *others = sorted(inventories, key=lambda one: (one.platform.architecture != "amd64", one.platform))
    for other in others:
        told = [*_packages(first, other), *_programs(first, other), *_size(first, other)]
        yield from (CheckResult(CHECK, Status.WARNING, message, other.platform, hint=hint) for message, hint in told)
        if not told:
            packages = f"{len(other.packages):,} packages in the same versions, " if other.packages else ""
            text = f"{packages}{len(other.programs):,} programs and files of the project as for {first.platform}"
            yield CheckResult(CHECK, Status.PASSED, text, other.platform)


def _packages(first: Inventory, other: Inventory) -> Iterator[tuple[str, str]]:
    if not first.packages or not other.packages:
        return
    hint = "Look whether it is there for both; what is installed for one alone belongs into a `case` on TARGETARCH."
    yield from _only("packages", set(first.packages), set(other.packages), first, other, hint)
    differing = sorted(
        f"{name} {version} and {other.packages[name]}"
        for name, version in first.packages.items()
        if other.packages.get(name, version) != version
    )
    if differing:
        text = f"packages of other versions than for {first.platform}: {_listed(differing)}"
        yield text, "They were built at different times: build all platforms in one go, without an old cache."


def _programs(first: Inventory, other: Inventory) -> Iterator[tuple[str, str]]:
    hint = "Look at the instruction that brings it, for the other platform too."
    yield from _only("files", set(first.programs), set(other.programs), first, other, hint)


def _only(
    what: str, first: set[str], other: set[str], one: Inventory, two: Inventory, hint: str
) -> Iterator[tuple[str, str]]:
    prefix = "/" if what == "files" else ""
    for missing, there, lacking in ((first - other, one, two), (other - first, two, one)):
        if missing:
            named = _listed(sorted(f"{prefix}{name}" for name in missing))
            yield f"{what} for {there.platform} that {lacking.platform} does not have: {named}", hint


def _size(first: Inventory, other: Inventory) -> Iterator[tuple[str, str]]:
    small, large = sorted((first, other), key=lambda one: one.size)
    if small.size and large.size > SIZE_RATIO * small.size:
        text = f"{large.platform} is {large.size / small.size:.1f} times as large as {small.platform}"
        yield (
            f"{text} ({large.size / 1e6:,.0f} MB against {small.size / 1e6:,.0f} MB)",
            "Look for what one of them lacks.",
        )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - MAX_SHOWN:,} more" if len(names) > MAX_SHOWN else ""
    return ", ".join(names[:MAX_SHOWN]) + more


def _words(platform: Platform) -> re.Pattern[str]:
    """What names the platform's architecture in a path."""
    triple = MULTIARCH.get(platform.architecture, "")
    triples = {triple, triple.replace("_", "-")}  # Debian's package names have no underscore
    words = sorted({*triples, *architecture_words(platform.architecture)} - {""}, key=len, reverse=True)
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, words))})(?![a-z0-9])", re.IGNORECASE)
