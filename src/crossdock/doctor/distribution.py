"""Which distribution a machine really runs, and which one it derives from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Base:
    """The distribution whose packages fit. ``id`` is os-release's ID of it (debian, ubuntu, centos, rhel, fedora,
    openeuler, anolis, amzn, opensuse, sles, alpine, arch, raspbian); ``version`` and ``codename`` are empty where it
    has none (``10`` and ``buster``; ``8`` and nothing)."""

    id: str
    version: str = ""
    codename: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.id, self.version, f"({self.codename})" if self.codename else "")))


@dataclass(frozen=True)
class Distribution:
    """``id`` and ``version`` as the catalogue calls it; ``name`` as people do (``Kylin V10 server SP3``)."""

    id: str
    name: str
    version: str = ""
    codename: str = ""
    base: Base | None = None
    """None where nothing is known that its packages could be taken from."""
    known: bool = False
    """Whether the catalogue has it; else it was concluded."""
    reasons: tuple[str, ...] = ()
    """What it was recognised by and what the base was concluded from, one sentence each, for people."""
    source: str = ""
    """Where the catalogue has it from."""
