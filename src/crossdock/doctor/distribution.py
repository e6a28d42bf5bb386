"""Which distribution a machine really runs, and which one it derives from."""

from __future__ import annotations

from dataclasses import dataclass

from crossdock.doctor.facts import Facts


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
    compatible: Base | None = None
    """Another one whose packages run here too, for what nobody builds for the base: centos 8 on openEuler 20.03."""
    known: bool = False
    """Whether the catalogue has it; else it was concluded."""
    reasons: tuple[str, ...] = ()
    """What it was recognised by and what the base was concluded from, one sentence each, for people."""
    source: str = ""
    """Where the catalogue has it from."""


@dataclass(frozen=True)
class OwnPackages:
    """What the distribution's own archive calls these, for one architecture; empty where it has none."""

    engine: str = ""
    """Docker, under whatever name: docker.io, docker, docker-engine, moby-engine."""
    podman: str = ""
    buildah: str = ""
    emulation: str = ""
    """QEMU's user mode, such that programs of amd64 (on Arm), else of arm64, can be run in containers."""
    buildx: str = ""
    source: str = ""
    """Where it was seen."""


def identify(facts: Facts) -> Distribution:
    """Which distribution these facts are of. Never raises; ``reasons`` is never empty."""
    return Distribution("", "an unknown Linux", reasons=(f"{len(facts.os_release)} lines of os-release",))


def own_packages(distribution: Distribution, architecture: str) -> OwnPackages:
    """The packages of the distribution's own archive; ``architecture`` as OCI calls it (``arm64``)."""
    return OwnPackages()


def install_words(distribution: Distribution) -> tuple[str, ...]:
    """The package manager's command that installs without asking, ``("apt-get", "install", "-y")``; empty where it is
    not known which package manager there is."""
    return ()
