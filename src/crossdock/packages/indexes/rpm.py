"""Repositories of RPMs: those of the distribution, and those that the image adds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from crossdock.errors import RegistryError
from crossdock.http.urls import public_url
from crossdock.packages.indexes.documents import Documents
from crossdock.packages.indexes.repodata import RpmIndex, reduce_primary, reduce_repomd, split_version
from crossdock.packages.model import Answer, PackageRequest, Repository, Status
from crossdock.packages.repo_files import first_mirror, is_list, repository_addresses
from crossdock.packages.rpm_distributions import (
    Alternatives,
    RpmMirrors,
    brought_repositories,
    expand,
    own_repositories,
)
from crossdock.packages.versions import key
from crossdock.read.pieces import HOLE

_SMALL = 4 << 20
"""Bytes of a list of mirrors, of a .repo file, of repomd.xml."""


@dataclass(frozen=True)
class _Place:
    """A repository, and whose it is."""

    addresses: Alternatives
    whose: str
    own: bool


@dataclass
class _Search:
    """What looking for a package on one architecture found."""

    whose: str = ""
    own: bool = False
    there: bool = False
    """Whether the distribution has this architecture at all, as far as could be seen."""
    unread: bool = False
    nearest: set[str] = field(default_factory=set)
    trouble: RegistryError | None = None


async def ask(request: PackageRequest, documents: Documents, mirrors: RpmMirrors) -> Answer:
    """Ask the distribution's repositories, and then the further ones of the image."""
    wanted = re.sub(r"\.(?:noarch|aarch64)$", "", f"{request.name}-{request.exact}" if request.exact else request.name)
    if wanted.startswith("@"):
        return Answer(Status.UNKNOWN, "groups and modules are not looked up")
    system = f"{request.system.distribution} {request.system.release}"
    if not own_repositories(request.system, "aarch64", mirrors) and not request.repositories:
        known = f"where {system} has its packages is not known"
        untold = "which release of which distribution the image is cannot be told from its name"
        return Answer(Status.UNKNOWN, known if request.system.release else untold)
    arm64 = await _search(wanted, request, "aarch64", documents, mirrors)
    if arm64.whose:
        return Answer(Status.AVAILABLE, source=arm64.whose)
    if arm64.trouble:
        raise arm64.trouble
    if not arm64.there:
        return Answer(Status.UNKNOWN, f"the mirror has no {system} for aarch64")
    amd64 = await _search(wanted, request, "x86_64", documents, mirrors)
    unread = arm64.unread or amd64.unread
    if amd64.whose and not (unread and amd64.own):
        nearest = _nearest(request.exact, arm64.nearest)
        detail = f"{amd64.whose} has it for x86_64 only" + (f"; for aarch64 it has {nearest}" if nearest else "")
        return Answer(Status.MISSING, detail, nearest, source=amd64.whose, certain=not unread)
    if amd64.trouble and not amd64.whose:
        raise amd64.trouble
    if unread:
        return Answer(Status.UNKNOWN, "it may come from a repository that could not be read")
    return Answer(Status.UNKNOWN, "no index of its repositories has it")


async def _search(
    wanted: str, request: PackageRequest, architecture: str, documents: Documents, mirrors: RpmMirrors
) -> _Search:
    """Look through the repositories in their order. The next one is only loaded where the one before has it not, and
    one that cannot be had is remembered: the others may have it."""
    found = _Search(unread=request.opaque)
    places = await _places(request, architecture, documents, mirrors, found)
    found.there = not any(place.own for place in places)
    for place in places:
        try:
            index = await _first(place.addresses, request, architecture, documents)
        except RegistryError as error:
            found.trouble = found.trouble or error
            continue
        if index is None:
            continue
        found.there = True
        if index.has(wanted, architecture):
            found.whose, found.own = place.whose, place.own
            return found
        split = split_version(wanted, index, architecture)
        if split:
            found.nearest.update(index.versions(split[0], architecture))
    return found


async def _places(
    request: PackageRequest, architecture: str, documents: Documents, mirrors: RpmMirrors, found: _Search
) -> list[_Place]:
    """The repositories of the image. What cannot be read makes ``found`` unread, or is its trouble."""
    system = request.system
    own = own_repositories(system, architecture, mirrors)
    found.unread = found.unread or not own
    places = [_Place(addresses, f"{system.distribution} {system.release}", own=True) for addresses in own]
    for repository in request.repositories:
        try:
            further = await _addresses(repository, request, architecture, documents)
        except RegistryError as error:
            found.trouble = found.trouble or error
            continue
        found.unread = found.unread or not further
        for addresses in further:
            if any("$" in address or HOLE in address for address in addresses):
                found.unread = True
            else:
                places.append(_Place(addresses, urlsplit(addresses[0]).hostname or addresses[0], own=False))
    return places


async def _addresses(
    repository: Repository, request: PackageRequest, architecture: str, documents: Documents
) -> Sequence[Alternatives]:
    """Where a further repository is for an architecture; nothing where that cannot be told."""
    if "://" not in repository.url:
        return brought_repositories(repository.url, request.system, architecture)
    written: Sequence[str] = (repository.url,)
    if repository.url.endswith(".repo"):
        url = expand(repository.url, request.system, architecture)
        text = None if HOLE in url else await documents.get(url, _as_it_is, name="repo", limit=_SMALL)
        written = repository_addresses(text.decode("utf-8", "replace")) if text else ()
    named = (expand(address, request.system, architecture) for address in written)
    # Where it is written for amd64 alone, it is asked whether the same is there for arm64.
    return [(re.sub(r"(?<![^\W_])x86_64(?![^\W_])", architecture, address),) for address in named]


async def _first(
    addresses: Alternatives, request: PackageRequest, architecture: str, documents: Documents
) -> RpmIndex | None:
    """The index at the first of the addresses that is a repository; None where none is."""
    for address in addresses:
        if is_list(address):
            text = await documents.get(address, _as_it_is, name="mirrors", limit=_SMALL)
            mirror = first_mirror(text.decode("utf-8", "replace")) if text else ""
            if not mirror:
                continue
            address = expand(mirror, request.system, architecture)
        index: RpmIndex | None = await documents.once(
            f"read {address}",
            lambda address=address: _index(address.rstrip("/"), documents),  # type: ignore[misc]
        )
        if index is not None:
            return index
    return None


async def _index(address: str, documents: Documents) -> RpmIndex | None:
    path = await documents.get(f"{address}/repodata/repomd.xml", reduce_repomd, name="repomd-1", limit=_SMALL)
    if path is None:
        return None
    text = await documents.get(f"{address}/{path.decode()}", reduce_primary, name="primary-1", instead_of=address)
    if text is None:
        raise RegistryError(
            "repomd.xml names a primary.xml that is not there",
            where=public_url(f"{address}/repodata/repomd.xml"),
            hint="The repository may just be renewed: try again later.",
        )
    return RpmIndex(text)


def _as_it_is(data: bytes) -> bytes:
    return data


def _nearest(version: str, versions: set[str]) -> str:
    """Of the versions that there are, the next one up, else the newest."""
    having = sorted(versions, key=key)
    return next((one for one in having if version and key(one) > key(version)), having[-1] if having else "")
