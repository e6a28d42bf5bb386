"""What is known to go wrong under a version of QEMU's user-mode emulation, from the catalogue."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crossdock.doctor.version import version_number

_CATALOGUE = Path(__file__).parents[1] / "catalogue"


@dataclass(frozen=True)
class Trouble:
    """One entry of catalogue/qemu.toml; what its fields hold is said there."""

    id: str
    versions: tuple[tuple[str, str], ...]
    """From the first on, until before the second; empty where no version is known to be free of it."""
    guests: tuple[str, ...]
    programs: tuple[str, ...]
    warning: bool
    certain: bool
    looks: str
    remedy: str
    source: str
    also: tuple[str, ...] = ()

    def affects(self, version: str) -> bool:
        """Whether this version of QEMU has it. Every version does where none is known to be free of it."""
        number = version_number(version)
        return not self.versions or any(
            version_number(first) <= number and (not fixed or number < version_number(fixed))
            for first, fixed in self.versions
        )


def troubles(version: str, guest: str) -> tuple[Trouble, ...]:
    """What is known of this version of QEMU when it emulates ``guest`` (an architecture as OCI calls it), the worst and
    the surest first. What concerns every version is left out; ``troubles_of`` has it."""
    if not version_number(version):
        return ()
    found = [one for one in all_troubles() if one.versions and _concerns(one, guest) and one.affects(version)]
    return tuple(sorted(found, key=lambda one: (not one.warning, not one.certain)))


def troubles_of(program: str, guest: str, version: str = "") -> tuple[Trouble, ...]:
    """What is known to go wrong with a program (``java``, ``node``; a path's last part will do) when ``guest`` is
    emulated, by this version of QEMU or, if it is not known, by any."""
    name = program.rpartition("/")[2]
    known = bool(version_number(version))
    return tuple(
        one
        for one in all_troubles()
        if name in one.programs and _concerns(one, guest) and (not known or one.affects(version))
    )


@cache
def all_troubles() -> tuple[Trouble, ...]:
    entries = tomllib.loads((_CATALOGUE / "qemu.toml").read_text("utf-8"))["trouble"]
    return tuple(
        Trouble(
            id=entry["id"],
            versions=tuple((first, fixed) for first, fixed in entry["versions"]),
            guests=tuple(entry.get("guests", ())),
            programs=tuple(entry.get("programs", ())),
            warning=entry["grade"] == "warning",
            certain=entry["certain"],
            looks=entry["looks"],
            remedy=entry["remedy"],
            source=entry["source"],
            also=tuple(entry.get("also", ())),
        )
        for entry in entries
    )


def _concerns(trouble: Trouble, guest: str) -> bool:
    return not trouble.guests or guest in trouble.guests
