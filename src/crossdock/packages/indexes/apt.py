"""Repositories of Debian's kind: Debian itself, Ubuntu with its ports, and those of vendors.

Source: the Debian wiki's RepositoryFormat (``dists/SUITE/COMPONENT/binary-ARCHITECTURE/Packages`` and its packed forms;
a suite that ends with ``/`` is a folder without components).
"""

from __future__ import annotations

import asyncio
import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from crossdock.packages.indexes.control import PackagesIndex, read_packages
from crossdock.packages.indexes.documents import Documents
from crossdock.packages.model import Answer, PackageRequest, Repository, Status, System
from crossdock.read.pieces import HOLE

_UNPACK: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    (".xz", lzma.decompress),
    (".gz", gzip.decompress),
    (".bz2", bz2.decompress),
    ("", bytes),
)
_COMPONENTS = {
    "debian": ("main", "contrib", "non-free", "non-free-firmware"),
    "ubuntu": ("main", "universe", "restricted", "multiverse"),
}
OLD_DEBIAN = "http://archive.debian.org/debian"


@dataclass(frozen=True)
class Mirrors:
    """Where distributions are: Debian, Ubuntu for amd64, and Ubuntu for everything else."""

    debian: str = "http://deb.debian.org/debian"
    ubuntu: str = "http://archive.ubuntu.com/ubuntu"
    ubuntu_ports: str = "http://ports.ubuntu.com/ubuntu-ports"


@dataclass(frozen=True)
class _Place:
    """A component of a suite. ``base`` differs by architecture only for Ubuntu."""

    base: str
    path: str
    host: str


def reduce_packages(unpack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Only names, versions and what is provided, of a Packages file that ``unpack`` unpacks."""

    def reduce(data: bytes) -> bytes:
        try:
            index = read_packages(unpack(data))
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise ValueError("it is no Packages file") from error
        lines = []
        for name, versions in index.versions.items():
            lines.append(f"Package: {name}\n" + "".join(f"Version: {version}\n" for version in sorted(versions)))
        lines.append(f"Provides: {', '.join(sorted(index.provided))}\n")
        return "".join(lines).encode()

    return reduce


def own_places(system: System, architecture: str, mirrors: Mirrors) -> list[_Place]:
    """Where a distribution has its own packages; none for one that is not known here."""
    if not system.codename or system.distribution not in _COMPONENTS:
        return []
    if system.distribution == "debian":
        base = OLD_DEBIAN if system.release.isdigit() and int(system.release) < 11 else mirrors.debian
        suites = [system.codename]
    else:
        base = mirrors.ubuntu if architecture == "amd64" else mirrors.ubuntu_ports
        suites = [system.codename, f"{system.codename}-updates"]
    return [
        _Place(base, f"dists/{suite}/{component}/binary-{architecture}", f"{system.distribution} {system.codename}")
        for component in _COMPONENTS[system.distribution]
        for suite in suites
    ]


def places_of(repository: Repository, architecture: str) -> list[_Place]:
    """Where a further repository has its packages."""
    base = repository.url.rstrip("/")
    host = urlsplit(repository.url).hostname or repository.url
    if repository.suite.endswith("/"):
        return [_Place(base, repository.suite.strip("/"), host)]
    return [
        _Place(base, f"dists/{repository.suite}/{component}/binary-{architecture}", host)
        for component in repository.components or ("main",)
    ]


async def ask(request: PackageRequest, documents: Documents, mirrors: Mirrors) -> Answer:
    """Ask the distribution's mirrors, and then the further repositories of the image."""
    unread = request.opaque or any(HOLE in f"{r.url}{r.suite}" or "://" not in r.url for r in request.repositories)
    further = [r for r in request.repositories if HOLE not in f"{r.url}{r.suite}" and r.url.startswith("http")]
    if not own_places(request.system, "arm64", mirrors):
        if not further or request.system.distribution not in {"debian", "ubuntu"}:
            return Answer(
                Status.UNKNOWN, "which release of which distribution the image is cannot be told from its name"
            )
        unread = True

    async def search(architecture: str) -> tuple[str, bool]:
        """Who has the package, and whether the distribution's own index is there."""
        own = own_places(request.system, architecture, mirrors)
        found, there = await _search(request.name, own, documents)
        if not found:
            for repository in further:
                found = found or (await _search(request.name, places_of(repository, architecture), documents))[0]
        return found, there or not own

    having, there = await search("arm64")
    if having:
        return Answer(Status.AVAILABLE, source=having)
    if not there:
        return Answer(Status.UNKNOWN, f"the mirror has no {request.system.codename} for arm64")
    having, _ = await search("amd64")
    if having and not (unread and having == f"{request.system.distribution} {request.system.codename}"):
        return Answer(Status.MISSING, f"{having} has it for amd64 only", source=having, certain=not unread)
    if unread:
        return Answer(Status.UNKNOWN, "it may come from a repository that could not be read")
    return Answer(Status.UNKNOWN, "no index of its repositories has it")


async def _search(name: str, places: list[_Place], documents: Documents) -> tuple[str, bool]:
    """The first of the places, in their order, that has the package, and whether any index was there. The next index
    is only loaded where the one before has it not: universe is ten times as large as main."""
    there = False
    for place in places:
        index = await documents.once(f"{place.base} {place.path}", lambda place=place: _index(place, documents))  # type: ignore[misc]
        there = there or index is not None
        if index and index.has(name):
            return place.host, True
    return "", there


async def _index(place: _Place, documents: Documents) -> PackagesIndex | None:
    for suffix, unpack in _UNPACK:
        url = f"{place.base.rstrip('/')}/{place.path}/Packages{suffix}"
        text = await documents.get(url, reduce_packages(unpack), name="packages-1")
        if text is not None:
            return await asyncio.to_thread(read_packages, text)
    return None
