"""Which distribution a machine really runs, and which one it derives from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from crossdock.doctor.distribution_clues import Clue, clues, kernel_clue
from crossdock.doctor.distribution_table import Found, Release, called, table, takes_packages_of
from crossdock.doctor.facts import Facts

_INSTALL = {
    "apt-get": ("apt-get", "install", "-y"),
    "dnf": ("dnf", "install", "-y"),
    "yum": ("yum", "install", "-y"),
    "zypper": ("zypper", "--non-interactive", "install"),
    "apk": ("apk", "add"),
    "pacman": ("pacman", "-S", "--noconfirm", "--needed"),
}
_YUM_ONLY = {("centos", "7"), ("rhel", "7"), ("anolis", "7"), ("amzn", "2")}
_KIN = {"rhel": "centos", "raspbian": "debian"}
"""Of two that cannot be told apart by their kernels, the one that the other is taken for."""


@dataclass(frozen=True)
class Base:
    """The distribution whose packages fit. ``id`` is os-release's ID of it (debian, ubuntu, raspbian, centos, rhel,
    fedora, openeuler, anolis, opencloudos, amzn, opensuse, sles, alpine, arch). ``codename`` is empty where it has none
    (``10`` and ``buster``; ``8`` and nothing), and so is ``version`` (arch), or where only the family is known."""

    id: str
    version: str = ""
    codename: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.id, self.version, f"({self.codename})" if self.codename else "")))

    @property
    def name(self) -> str:
        """``Debian 10 (buster)``: for people."""
        return f"{called(self.id)}{str(self).removeprefix(self.id)}"


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
    """What the distribution's own archive calls these, for one architecture: a package name, or several with spaces
    between them where one is not enough (``docker.io docker-cli``); empty where it has none or nothing is known."""

    engine: str = ""
    """Docker, under whatever name: docker.io, docker, docker-engine, moby-engine."""
    podman: str = ""
    buildah: str = ""
    emulation: str = ""
    """QEMU's user mode, such that programs of amd64 (on Arm), else of arm64, run in containers."""
    buildx: str = ""
    """Empty also where ``engine`` has it inside (Amazon Linux 2023)."""
    source: str = ""
    """Where the names were seen, and of which distribution's archive, where it is the base's."""


def identify(facts: Facts) -> Distribution:
    """Which distribution a machine runs and which one it derives from.

    First comes what the catalogue knows by its own words, where the kernel decides what os-release leaves open. Any
    other is concluded from clues; ``known`` is False then, and ``base`` is None where nothing told. Never raises;
    ``reasons`` is never empty and has the most telling first.
    """
    for entry in table().entries:
        found = entry.recognise(facts)
        if found:
            return _known(found, facts)
    return _concluded(facts)


def own_packages(distribution: Distribution, architecture: str) -> OwnPackages:
    """The packages of the distribution's own archive, else those of its base, whose names a derivative mostly keeps;
    ``architecture`` as OCI calls it (``arm64``)."""
    own = tuple(_keys(distribution.id, distribution.version))
    base = tuple(_keys(distribution.base.id, distribution.base.version)) if distribution.base else ()
    key, names = table().names_of((*own, *base))
    if names is None:
        return OwnPackages()
    whose = f" (those of {distribution.base.name})" if distribution.base and key not in own else ""
    return OwnPackages(
        engine=names.name("engine", architecture),
        podman=names.name("podman", architecture),
        buildah=names.name("buildah", architecture),
        emulation=names.name("emulation", architecture),
        buildx=names.name("buildx", architecture),
        source=f"{names.source}{whose}",
    )


def install_words(distribution: Distribution) -> tuple[str, ...]:
    """The command that installs packages without asking, ``("apt-get", "install", "-y")``; empty where it is not known
    which package manager there is. It is not told to be quiet and does not fetch the lists first."""
    base = distribution.base
    if base is None:
        return ()
    yum_only = (base.id, base.version) in _YUM_ONLY
    return _INSTALL["yum" if yum_only else takes_packages_of(base.id)[0]]


def _known(found: Found, facts: Facts) -> Distribution:
    entry = found.entry
    base = _base(found.text(entry.base))
    compatible = _base(found.text(entry.compatible))
    reasons = [*found.evidence, entry.why] if entry.why else [*found.evidence]
    clue = kernel_clue(facts)
    if clue and base and not any(_same(clue.base, one) for one in (base, compatible) if one):
        reasons.append(f"{clue.says}; so the kernel comes from elsewhere, which changes nothing for the packages")
    elif clue and base and base.id != entry.id:
        reasons.insert(0, clue.says)
    codename = found.text(entry.codename)
    if not codename and base and base.id == entry.id:
        codename = base.codename
    return Distribution(
        id=entry.id,
        name=found.text(entry.name),
        version=found.text(entry.version),
        codename=codename,
        base=base,
        compatible=compatible,
        known=True,
        reasons=tuple(reasons),
        source=entry.source,
    )


def _concluded(facts: Facts) -> Distribution:
    own = facts.os_release
    id = own.get("ID", "").lower()
    name = own.get("PRETTY_NAME") or " ".join(filter(None, (own.get("NAME") or id, own.get("VERSION_ID")))).strip()
    found = clues(facts)
    reasons = [f"{clue.says}{_weighed(clue, found[0])}" for clue in found]
    if not found:
        reasons.append(
            "neither os-release, the release files, the package manager nor the kernel tells what it is made from"
        )
    if id:
        reasons.append(f"os-release says ID={own['ID']}, which is not in the catalogue")
    else:
        reasons.append("there is no os-release with an ID")
    return Distribution(
        id=id,
        name=name or "an unknown Linux",
        version=own.get("VERSION_ID", ""),
        codename=own.get("VERSION_CODENAME", ""),
        base=_value(found[0].base) if found else None,
        reasons=tuple(reasons),
    )


def _weighed(clue: Clue, first: Clue) -> str:
    if clue is first or _same(clue.base, _value(first.base)):
        return ""
    return f", but what was said before counts more than that it points to {_value(clue.base).name}"


def _same(release: Release, base: Base) -> bool:
    same_id = _KIN.get(release.id, release.id) == _KIN.get(base.id, base.id)
    return same_id and release.version in ("", base.version)


def _base(text: str) -> Base | None:
    return _value(table().release(text)) if text else None


def _value(release: Release) -> Base:
    return Base(release.id, release.version, release.codename)


def _keys(id: str, version: str) -> Iterator[str]:
    """``ol 7.9``, ``ol 7``, ``ol``."""
    yield f"{id} {version}"
    yield f"{id} {version.partition('.')[0]}"
    yield id
