"""Distributions of RPMs: which images they are and where their repositories are, from catalogue/rpm.toml.

Source of the variables: dnf.conf(5), "Variables"; zypper(8), "Repository variables".
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crossdock.packages.model import System

_CATALOGUE = Path(__file__).parents[1] / "catalogue/rpm.toml"
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True)
class _Image:
    distribution: str
    name: re.Pattern[str]
    tag: re.Pattern[str] | None


@dataclass(frozen=True)
class _Repositories:
    """One entry of the catalogue; ``packages`` bring it, or else it is there from the beginning."""

    distribution: str
    releases: str
    releasever: str
    bases: tuple[str, ...]
    arm64_bases: tuple[str, ...]
    paths: tuple[str, ...]
    packages: tuple[str, ...]

    def are_for(self, system: System) -> bool:
        return bool(
            re.fullmatch(self.distribution, system.distribution) and re.fullmatch(self.releases, system.release)
        )


@dataclass(frozen=True)
class RpmMirrors:
    """The addresses that this machine has configured for its own distribution, with their variables. They take the
    place of the usual ones, which a closed network does not reach."""

    distribution: str = ""
    addresses: tuple[str, ...] = ()


Alternatives = tuple[str, ...]
"""Addresses of one repository; the first that is there counts."""


@cache
def _catalogue() -> tuple[tuple[_Image, ...], tuple[_Repositories, ...]]:
    document = tomllib.loads(_CATALOGUE.read_text("utf-8"))
    images = tuple(
        _Image(
            entry["id"],
            re.compile(f"(?:.*/)?{entry['image']}"),
            re.compile(entry["tag"]) if "tag" in entry else None,
        )
        for entry in document["distribution"]
    )
    repositories = tuple(
        _Repositories(
            entry["id"],
            entry["releases"],
            entry.get("releasever", "{release}"),
            tuple(entry["bases"]),
            tuple(entry.get("arm64_bases", entry["bases"])),
            tuple(entry["paths"]),
            tuple(entry.get("packages", ())),
        )
        for entry in (*document["repositories"], *document["addition"])
    )
    return images, repositories


def rpm_system(name: str, tag: str) -> tuple[str, str] | None:
    """Distribution and release of an image, by its name and its tag; the release is empty where they do not tell it.
    None for an image that is none of these."""
    for image in _catalogue()[0]:
        match = image.name.fullmatch(name)
        if match is None:
            continue
        told = match if image.tag is None else image.tag.match(tag)
        release = told["release"] if told else ""
        return image.distribution, release if release.isalpha() else release.upper()
    return None


def own_repositories(system: System, architecture: str, mirrors: RpmMirrors) -> list[Alternatives]:
    """The repositories that a system has from the beginning, in the order in which they are asked; none for one that
    is not known. ``architecture`` as rpm calls it."""
    found: list[Alternatives] = []
    for entry in _catalogue()[1]:
        if not entry.packages and entry.are_for(system):
            for addresses in _addresses(entry, system, architecture):
                path = addresses[0].removeprefix(f"{_fill(_bases(entry, architecture)[0], system, architecture)}/")
                nearer = _mirrored(path, system, architecture, mirrors)
                found.append(tuple(nearer) or addresses)
    return found


def brought_repositories(package: str, system: System, architecture: str) -> list[Alternatives]:
    """The repositories that come with a package; none where that is not known."""
    return [
        addresses
        for entry in _catalogue()[1]
        if package in entry.packages and entry.are_for(system)
        for addresses in _addresses(entry, system, architecture)
    ]


def expand(address: str, system: System, architecture: str) -> str:
    """An address with its variables replaced as dnf and zypper do; those that are not known stay."""
    major, minor = _parts(system.release)
    entry = next((entry for entry in _catalogue()[1] if not entry.packages and entry.are_for(system)), None)
    values = {"basearch": architecture, "arch": architecture}
    if system.release:
        releasever = _fill(entry.releasever, system, architecture) if entry else system.release
        values |= {"releasever": releasever} if releasever else {}
        values |= {"releasever_major": major, "releasever_minor": minor, "stream": f"{major}-stream"}
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], match[0]), address)


def _bases(entry: _Repositories, architecture: str) -> tuple[str, ...]:
    return entry.arm64_bases if architecture == "aarch64" else entry.bases


def _addresses(entry: _Repositories, system: System, architecture: str) -> Iterator[Alternatives]:
    for path in entry.paths:
        whole = (f"{base}/{path}".rstrip("/") for base in _bases(entry, architecture))
        yield tuple(_fill(address, system, architecture) for address in whole)


def _mirrored(path: str, system: System, architecture: str, mirrors: RpmMirrors) -> Iterator[str]:
    """Where the machine's own mirror has the same folder. One that names a release is for that release."""
    if mirrors.distribution == system.distribution:
        for address in mirrors.addresses:
            if "$release" in address or "{release" in address or f"/{system.release}/" in address:
                filled = expand(address, system, architecture).rstrip("/")
                if filled.endswith(f"/{path}"):
                    yield filled


def _fill(text: str, system: System, architecture: str) -> str:
    major, minor = _parts(system.release)
    values = {"release": system.release, "major": major, "minor": minor, "arch": architecture}
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _parts(release: str) -> tuple[str, str]:
    major, _, minor = re.sub("[.-]", " ", release).partition(" ")
    return major, minor
