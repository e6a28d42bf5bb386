"""What a distribution that nobody put into the table derives from: clues, the most reliable first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from crossdock.doctor.distribution_table import Release, called, kernel_text, table, takes_packages_of
from crossdock.doctor.facts import Facts

_PLATFORMS = {"el": "centos", "f": "fedora", "an": "anolis", "al": "anolis", "oc": "opencloudos"}
"""The letters of PLATFORM_ID (``platform:el8``), which names the system that modules are built for."""
_RPM_FILES = (
    (r"CentOS (?:Linux |Stream )?release (\d+)", "centos"),
    (r"Red Hat Enterprise Linux.* release (\d+)", "rhel"),
    (r"openEuler release (\d\d\.\d\d)", "openeuler"),
    (r"Anolis OS release (\d+)", "anolis"),
    (r"Fedora release (\d+)", "fedora"),
)
_FAMILIES = {
    "ubuntu": "ubuntu",
    "debian": "debian",
    "raspbian": "raspbian",
    "centos": "centos",
    "rhel": "rhel",
    "fedora": "fedora",
    "openeuler": "openeuler",
    "anolis": "anolis",
    "suse": "opensuse",
    "opensuse": "opensuse",
    "sles": "sles",
    "alpine": "alpine",
    "arch": "arch",
    "archlinux": "arch",
}
_LONGEST_QUOTE = 160


@dataclass(frozen=True)
class Clue:
    """``base`` is what it points to, ``says`` why, as a sentence without its full stop."""

    base: Release
    says: str


def clues(facts: Facts) -> tuple[Clue, ...]:
    """All that points to a base, the most reliable first. What the package manager contradicts is left out."""
    for found in ((*_named(facts), *_files(facts), *_numbers(facts), *_kernel(facts)), _family(facts)):
        fitting = tuple(clue for clue in found if _fits(clue.base.id, facts.package_managers))
        if fitting:
            return fitting
    return ()


def kernel_clue(facts: Facts) -> Clue | None:
    """Who built the kernel, as far as it says."""
    return next(_kernel(facts), None)


def _named(facts: Facts) -> Iterator[Clue]:
    """os-release names the base outright."""
    own = facts.os_release
    for variable, id in (("UBUNTU_CODENAME", "ubuntu"), ("DEBIAN_CODENAME", "debian")):
        release = table().by_codename(own.get(variable, ""), (id,))
        if release:
            yield Clue(release, f"os-release names the release it is built on: {variable}={release.codename}")
    match = re.fullmatch(r"platform:(el|f|an|al|oc)(\d+).*", own.get("PLATFORM_ID", ""))
    if match:
        release = table().release(f"{_PLATFORMS[match[1]]} {match[2]}")
        yield Clue(
            release, f"os-release says PLATFORM_ID={match[0]}, which is that of {called(release.id)} {release.version}"
        )
    likes = [_FAMILIES[like] for like in _like(facts) if like in _FAMILIES]
    codename = table().by_codename(own.get("VERSION_CODENAME", ""), likes)
    if codename:
        yield Clue(
            codename, f"os-release says VERSION_CODENAME={codename.codename}, a release of {called(codename.id)}"
        )


def _files(facts: Facts) -> Iterator[Clue]:
    for path, text in facts.release_files.items():
        for pattern, id in _RPM_FILES:
            match = re.search(pattern, text, re.IGNORECASE)
            if match:
                yield Clue(table().release(f"{id} {match[1]}"), f"{path} says “{match[0]}”")
    # Ubuntu has the name of a Debian release there (bookworm/sid), Debian a number.
    match = re.match(r"(\d+)(?:\.\d+)?\s*$", facts.release_files.get("/etc/debian_version", ""))
    if match:
        yield Clue(table().release(f"debian {match[1]}"), f"/etc/debian_version says {match[0].strip()}")


def _numbers(facts: Facts) -> Iterator[Clue]:
    """A rebuild of RHEL has its numbers."""
    like = next((like for like in ("rhel", "centos") if like in _like(facts)), "")
    match = re.match(r"([789]|10)(\.\d+)?$", facts.os_release.get("VERSION_ID", ""))
    if like and match:
        release = table().release(f"{like} {match[1]}")
        yield Clue(
            release,
            f"os-release says ID_LIKE={facts.os_release['ID_LIKE']} and VERSION_ID={match[0]}, and rebuilds of RHEL "
            "have its numbers",
        )


def _kernel(facts: Facts) -> Iterator[Clue]:
    text = kernel_text(facts)
    for mark in table().kernels:
        read = mark.read(text)
        if read:
            yield Clue(table().release(read[0]), f"{read[1]}: “{_shortened(text)}”")
            return


def _family(facts: Facts) -> Iterator[Clue]:
    for like in _like(facts):
        if like in _FAMILIES:
            release = Release(_FAMILIES[like])
            yield Clue(
                release, f"os-release says ID_LIKE={facts.os_release['ID_LIKE']}, and nothing tells which release"
            )
            return


def _shortened(text: str) -> str:
    line = text.splitlines()[0]
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


def _like(facts: Facts) -> list[str]:
    return facts.os_release.get("ID_LIKE", "").lower().split()


def _fits(id: str, managers: tuple[str, ...]) -> bool:
    """Whether the package managers that are there (if that is known) take packages of this base."""
    return not managers or any(manager in managers for manager in takes_packages_of(id))
