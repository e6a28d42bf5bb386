"""The check ``binaries``: is every binary in the image, also inside packages, of the platform?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from crossdock.config import Allowed
from crossdock.image.binary import Binary, Format
from crossdock.image.bundles import SEPARATOR
from crossdock.image.tar import Kind
from crossdock.platforms import DEBIAN, MULTIARCH, Platform
from crossdock.verify.exceptions import expected_elsewhere, variant_keys
from crossdock.verify.filesystem import FileSystem, Missing
from crossdock.verify.model import CheckResult, Status

CHECK = "binaries"
MAX_SHOWN = 10
"""How many wrong files of one layer are told one by one; the rest is counted."""
MAX_SHOWN_OF_ALL = 3
"""The same when no file of the image is right, and a long list says no more than a short one."""


@dataclass(frozen=True)
class _Candidate:
    """A binary in the image. ``bundle`` is the package it is in, if any: ``app.war!/lib/a.jar``."""

    path: str
    binary: Binary
    layer: int
    bundle: str = ""


def check_binaries(
    system: FileSystem, platform: Platform, created_by: tuple[str, ...], allow: tuple[Allowed, ...] = ()
) -> Iterator[CheckResult]:
    """One failure for each wrong file (bounded per layer), one skipped result for each reason that excuses some
    (``allow`` are the project's own), and one passed result with the count when nothing is wrong."""
    right: list[_Candidate] = []
    foreign: list[_Candidate] = []
    for candidate in _candidates(system):
        (right if candidate.binary.runs_on(platform.architecture) else foreign).append(candidate)
    wrong: list[_Candidate] = []
    excused: dict[str, list[str]] = {}
    allowed = 0
    packages = _foreign_packages(system, platform.architecture)
    multi = {candidate.bundle for candidate in right if candidate.bundle}
    keys = {key for item in right for key in variant_keys(item.path, (platform.architecture,))}
    for item in foreign:
        if reason := _allowed(item, allow):
            allowed += 1
        else:
            reason = _reason(item, platform, keys, multi, packages)
        if reason is None:
            wrong.append(item)
        else:
            excused.setdefault(reason, []).append(item.path)
    yield from _failures(wrong, len(right), platform, created_by)
    mixed = list(_other_floats(system, platform, created_by))
    yield from mixed
    misnamed = [item for item in right if _named_for_another(item.path, platform)]
    yield from _misnamed(misnamed, platform, created_by)
    for reason, paths in excused.items():
        first = min(paths)
        more = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
        yield CheckResult(CHECK, Status.SKIPPED, f"{reason}: /{first}{more}", platform, path=f"/{first}")
    yield from _troubles(system, platform, created_by)
    if not wrong and not misnamed and not mixed:
        count = len(right)
        message = f"{count:,} {'binary' if count == 1 else 'binaries'} for {platform.architecture}, none that is not"
        if not count:
            message = "no binaries at all" if not foreign else "no binaries that have to be of this platform"
        if allowed:
            message += f" (but {allowed:,} that this project allows)"
        yield CheckResult(CHECK, Status.PASSED, message, platform)


def _candidates(system: FileSystem) -> Iterator[_Candidate]:
    seen: set[int] = set()
    for path, placed in system.files():
        file = placed.file
        if file.kind is not Kind.FILE or (file.binary is None and not file.members) or id(file) in seen:
            continue
        seen.add(id(file))  # a hard link is the same file
        if file.binary is not None and (file.binary.architectures or file.binary.format is not Format.STATIC_LIBRARY):
            yield _Candidate(path, file.binary, placed.layer)
        for member in file.members:
            inside = f"{path}{SEPARATOR}{member.path}"
            yield _Candidate(inside, member.binary, placed.layer, inside.rpartition(SEPARATOR)[0])


def _allowed(item: _Candidate, allow: tuple[Allowed, ...]) -> str | None:
    """The project's reason for a file; what is said of a package counts for all that is in it."""
    names = {item.path, item.path.partition(SEPARATOR)[0]}
    reasons = (one.reason for one in allow if any(map(one.match, names)))
    return next((f"allowed by this project's configuration, {reason}" for reason in reasons), None)


def _reason(
    item: _Candidate, platform: Platform, keys: set[str], multi: set[str], packages: frozenset[str]
) -> str | None:
    if reason := expected_elsewhere(item.path, item.binary, platform):
        return reason
    if item.bundle in multi:
        return f"parts of packages that hold {platform.architecture} code as well"
    if keys & variant_keys(item.path, item.binary.architectures):
        return f"variants for other machines, with the one for {platform.architecture} beside them"
    if packages & set(item.binary.architectures) and _MULTIARCH_FOLDER.match(item.path):
        return "libraries of Debian packages of a foreign architecture that dpkg installed"
    return None


_MULTIARCH_FOLDER = re.compile(r"(usr/)?lib/[^/]+-linux-gnu[^/]*/|(usr/)?lib(32|64|x32)?/ld-")
_PACKAGE_LIST = re.compile(r"[^/:]+:([a-z0-9]+)\.list")


def _foreign_packages(system: FileSystem, native: str) -> frozenset[str]:
    """The architectures other than ``native`` of installed Debian packages, by the names of their file lists; none
    when there are no native packages either, as then the whole system is of the wrong architecture."""
    found = system.find("var/lib/dpkg/info")
    if isinstance(found, Missing):
        return frozenset()
    names = {name: architecture for architecture, name in DEBIAN.items()}
    matches = map(_PACKAGE_LIST.fullmatch, found.names())
    architectures = frozenset(names.get(match[1], match[1]) for match in matches if match)
    return architectures - {native} if native in architectures else frozenset()


def _failures(
    wrong: list[_Candidate], right: int, platform: Platform, created_by: tuple[str, ...]
) -> Iterator[CheckResult]:
    shown: Counter[int] = Counter()
    hint = _hint(right, platform)
    most = MAX_SHOWN if right else MAX_SHOWN_OF_ALL
    for item in sorted(wrong, key=lambda item: (item.layer, item.path)):
        shown[item.layer] += 1
        if shown[item.layer] > most:
            continue
        yield CheckResult(
            CHECK,
            Status.FAILED,
            f"/{item.path} is {item.binary.describe()}",
            platform,
            path=f"/{item.path}",
            created_by=instruction(created_by, item.layer),
            hint=hint,
        )
    for layer, count in sorted(shown.items()):
        if count > most:
            text = f"{count - most:,} more files of the same layer are not {platform.architecture}"
            yield CheckResult(
                CHECK, Status.FAILED, text, platform, created_by=instruction(created_by, layer), hint=hint
            )


def _hint(right: int, platform: Platform) -> str:
    if right:
        return (
            f"Get this file for {platform.architecture} in the instruction that brought it"
            " (crossdock check finds and port mends most of these)."
        )
    return (
        f"Nothing in this image is {platform.architecture}: look for a FROM with --platform or an image with only"
        " another architecture, and build again."
    )


_FLOAT_LOADERS = {
    "ld-linux-armhf.so.3": "hard float",
    "ld-musl-armhf.so.1": "hard float",
    "ld-linux.so.3": "soft float",
    "ld-musl-arm.so.1": "soft float",
    "ld-linux-riscv64-lp64d.so.1": "hard float",
    "ld-linux-riscv64-lp64.so.1": "soft float",
    "ld-linux-loongarch-lp64d.so.1": "hard float",
    "ld-linux-loongarch-lp64s.so.1": "soft float",
}
"""Loaders by how the programs that they load pass floating point. Sources: glibc's ``shlib-versions`` and
``ldd-rewrite.sed`` of each architecture; musl's ``arch/*/reloc.h``."""


def _other_floats(system: FileSystem, platform: Platform, created_by: tuple[str, ...]) -> Iterator[CheckResult]:
    """Programs and libraries that pass floating point in another way than all loaders in the image. A static program
    may do as it likes."""
    if platform.architecture not in ("arm", "riscv64", "loong64"):
        return
    found = {_FLOAT_LOADERS.get(path.rpartition("/")[2], "") for path, _ in system.files()} - {""}
    if len(found) != 1:
        return
    (own,) = found
    wrong = sorted(
        (path, placed.layer, placed.file.binary.floats)
        for path, placed in system.files()
        if (binary := placed.file.binary)
        and binary.is_loaded
        and binary.floats not in ("", own)
        and binary.runs_on(platform.architecture)
        and placed.file.dynamic
        and (placed.file.dynamic.needed or placed.file.dynamic.soname)
        and not expected_elsewhere(path, binary, platform)
    )
    for path, layer, floats in wrong[:MAX_SHOWN]:
        text = f"/{path} is for {floats}, and the loader in the image for {own}: it cannot be loaded"
        hint = "Take the build for the same ABI: armhf and not armel (or the other way round), lp64d and not lp64."
        yield CheckResult(CHECK, Status.FAILED, text, platform, f"/{path}", instruction(created_by, layer), hint)


_EXTENSION = re.compile(
    r"\.(?:cpython|pypy)[\w-]*?-((?:x86_64|aarch64|i386|arm|powerpc64le|s390x|riscv64)-linux-\w+)\.so$"
)


def _named_for_another(path: str, platform: Platform) -> str:
    """The architecture that the name of a Python extension module says, if it is not the platform's: Python looks for
    its own alone (sysconfig's EXT_SUFFIX), whatever is in the file."""
    match = _EXTENSION.search(path)
    said = match[1].partition("-")[0] if match else ""
    own = MULTIARCH.get(platform.architecture, said).partition("-")[0]
    return said if said != own else ""


def _misnamed(found: list[_Candidate], platform: Platform, created_by: tuple[str, ...]) -> Iterator[CheckResult]:
    for item in sorted(found, key=lambda item: item.path)[:MAX_SHOWN]:
        said = _named_for_another(item.path, platform)
        text = f"/{item.path} is named for {said}, so Python for {platform.architecture} does not find it"
        hint = (
            "It was cross-compiled with the names of the build machine: set _PYTHON_HOST_PLATFORM and"
            " SETUPTOOLS_EXT_SUFFIX."
        )
        brought = instruction(created_by, item.layer)
        yield CheckResult(CHECK, Status.FAILED, text, platform, f"/{item.path}", brought, hint)


def _troubles(system: FileSystem, platform: Platform, created_by: tuple[str, ...]) -> Iterator[CheckResult]:
    found = sorted(((path, placed) for path, placed in system.files() if placed.file.trouble), key=lambda item: item[0])
    for path, placed in found[:MAX_SHOWN]:
        text = f"/{path}: {'; '.join(placed.file.trouble[:3])}"
        brought = instruction(created_by, placed.layer)
        yield CheckResult(CHECK, Status.SKIPPED, text, platform, path=f"/{path}", created_by=brought)
    if len(found) > MAX_SHOWN:
        text = f"{len(found) - MAX_SHOWN:,} more files could not be looked at completely"
        yield CheckResult(CHECK, Status.SKIPPED, text, platform)


def instruction(created_by: tuple[str, ...], layer: int | None) -> str:
    """The instruction that made a layer, or nothing when the image does not say."""
    return created_by[layer] if layer is not None and layer < len(created_by) else ""
