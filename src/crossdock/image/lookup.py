"""Which platforms images have, many at once, and what could be used instead of those that lack one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from crossdock.errors import CrossdockError, Kind, RegistryError, UsageError
from crossdock.image.availability import Alternative, ImagePlatforms, PlatformImage
from crossdock.image.documents import MalformedError, load_object
from crossdock.image.model import MANIFEST_TYPES, Manifest
from crossdock.image.reference import Reference, parse_reference
from crossdock.image.registries import Registries
from crossdock.platforms import ARM64, Platform

T = TypeVar("T")

WANTED = (ARM64,)
"""What an image should have when nobody says otherwise."""
CANDIDATES = 6
"""Other tags of a repository that are looked at, at most, to find one with the platforms that are missing."""
ALTERNATIVES = 2
"""So many are named, of other tags and of other images each."""
_STEP = 3
_PAGE = 1000
_MOST_PAGES = 50
_LINK = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="?next\b')


def error_kind(error: CrossdockError) -> Kind:
    """The kind of any error that a look-up can end with."""
    if isinstance(error, RegistryError):
        return error.kind
    return Kind.REFERENCE if isinstance(error, UsageError) else Kind.OTHER


def look_up(
    asked: Sequence[str],
    registries: Registries,
    *,
    wanted: Sequence[Platform] = (),
    sizes: bool = False,
    on_done: Callable[[int, int], None] = lambda _done, _total: None,
    meanwhile: Callable[[], object] = lambda: None,
) -> tuple[ImagePlatforms, ...]:
    """The platforms of each image, in the order asked for; what fails for one is told with it and stops no other.

    For an image without one of ``wanted``, alternatives are looked for. ``sizes`` asks for the size of each platform
    as well, a further request for each. ``on_done`` hears how many of how many images are done; ``meanwhile`` is done
    while the first answers are on their way.
    """
    return registries.run(_Lookup(registries, tuple(wanted), sizes).all(asked, on_done), meanwhile)


class ImageFinder:
    """What registries say of images, each asked for once however often it is wanted. Threads may share it."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._lookup = _Lookup(registries, WANTED, sizes=False)

    def __call__(self, asked: Sequence[str]) -> Mapping[str, ImagePlatforms]:
        """The platforms of each image, and alternatives where arm64 is lacking; by reference as asked for."""
        found = self._registries.run(self._lookup.all(asked, lambda _done, _total: None))
        return dict(zip(asked, found, strict=True))


def find_tags(repository: Reference, pattern: str, registries: Registries) -> tuple[str, ...]:
    """The tags of a repository that match a glob pattern, newest version first. Raises RegistryError."""
    from crossdock.image.tags import matching_tags

    return matching_tags(pattern, registries.run(_tags(repository, registries)))


class _Lookup:
    """Everything is asked for once, however many need it."""

    def __init__(self, registries: Registries, wanted: tuple[Platform, ...], sizes: bool) -> None:
        self._registries = registries
        self._wanted = wanted
        self._sizes = sizes
        self._found: dict[Reference, asyncio.Task[ImagePlatforms]] = {}
        self._tag_lists: dict[tuple[str, str], asyncio.Task[tuple[str, ...]]] = {}

    async def all(self, asked: Sequence[str], on_done: Callable[[int, int], None]) -> tuple[ImagePlatforms, ...]:
        done = 0

        async def one(text: str) -> ImagePlatforms:
            nonlocal done
            found = await self._one(text)
            done += 1
            on_done(done, len(asked))
            return found

        return tuple(await asyncio.gather(*map(one, asked)))

    async def _one(self, text: str) -> ImagePlatforms:
        try:
            reference = parse_reference(text)
        except UsageError as error:
            return ImagePlatforms(text, error=error)
        found = replace(await self._platforms(reference), asked=text)
        if found.lacks(self._wanted):
            return replace(found, alternatives=await self._alternatives(reference))
        return found

    def _platforms(self, reference: Reference) -> asyncio.Task[ImagePlatforms]:
        return _once(self._found, reference, lambda: self._ask(reference))

    async def _ask(self, reference: Reference) -> ImagePlatforms:
        image = self._registries.image(reference)
        try:
            await image.fetch()
            index = image.index()
            known = [entry for entry in index.images if entry.digest == index.descriptor.digest]
            if self._sizes:
                known = [entry for entry in index.images if entry.media_type in MANIFEST_TYPES]
                await asyncio.gather(*map(image.fetch_manifest, known))
            sizes = {entry.digest: _size(image.manifest(entry)) for entry in known}
            platforms = tuple(
                PlatformImage(entry.platform, entry.digest, sizes.get(entry.digest))
                for entry in index.images
                if entry.platform
            )
            if not platforms:
                raise image.fault("there is no platform in it: it is an artifact, no image", "Name a container image.")
        except CrossdockError as error:
            return ImagePlatforms(str(reference), error=error)
        return ImagePlatforms(str(reference), index.descriptor.digest, platforms)

    async def _alternatives(self, reference: Reference) -> tuple[Alternative, ...]:
        """Other tags that have the platforms, then other images; only what was seen to have them."""
        from crossdock.image.alternatives import architecture_tags, compatible_tags, is_older, successors

        own: list[tuple[Reference, str, str]] = []
        if reference.tag:
            try:
                tags = await self._tags(reference)
            except CrossdockError:
                tags = ()  # a registry without a list of tags; successors may still be known
            reasons = dict.fromkeys(architecture_tags(reference.tag, tags), "the same for one platform")
            for tag in compatible_tags(reference.tag, tags, limit=CANDIDATES):
                reasons[tag] = "an older tag" if is_older(tag, reference.tag) else "another tag of the same repository"
            own = [(replace(reference, tag=tag, digest=None), reason, "") for tag, reason in reasons.items()]
        known = {candidate for candidate, _, _ in own}
        others = [(parse_reference(other.reference), other.reason, other.source) for other in successors(reference)]
        others = [other for other in others if other[0] not in known]
        return (*await self._usable(own), *await self._usable(others))

    async def _usable(self, candidates: Sequence[tuple[Reference, str, str]]) -> tuple[Alternative, ...]:
        """The first candidates that have what is wanted, a few at a time so that few are asked for nothing."""
        usable: list[Alternative] = []
        for start in range(0, len(candidates), _STEP):
            step = candidates[start : start + _STEP]
            results = await asyncio.gather(*(self._platforms(reference) for reference, _, _ in step))
            for (reference, reason, source), found in zip(step, results, strict=True):
                if found.digest and not found.lacks(self._wanted):
                    pinned = replace(reference, digest=found.digest).familiar
                    platforms = tuple(have.platform for have in found.platforms)
                    usable.append(Alternative(pinned, found.digest, reason, source, platforms))
            if len(usable) >= ALTERNATIVES:
                break
        return tuple(usable[:ALTERNATIVES])

    def _tags(self, reference: Reference) -> asyncio.Task[tuple[str, ...]]:
        key = (reference.host, reference.repository)
        return _once(self._tag_lists, key, lambda: _tags(reference, self._registries))


def _size(manifest: Manifest) -> int:
    return sum(blob.size for blob in (manifest.config, *manifest.layers))


async def _tags(repository: Reference, registries: Registries) -> tuple[str, ...]:
    """All tags of a repository (distribution-spec, listing tags), page by page. Raises RegistryError."""
    registry = registries.registry(repository.host)
    found: dict[str, None] = {}
    tail = f"tags/list?n={_PAGE}"
    for _ in range(_MOST_PAGES):
        answer = await registry.get(repository, tail)
        if answer.status != 200:
            raise await registry.refusal(answer, repository, "the list of tags")
        try:
            tags = load_object(answer.body).get("tags") or []
        except MalformedError:
            tags = None
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise RegistryError(
                f"{repository.host} sent something else than a list of tags",
                where=repository.familiar,
                hint="Is this the registry you mean? A proxy or login page may have answered in its place.",
                kind=Kind.NO_IMAGE,
            )
        found |= dict.fromkeys(tags)
        following = _LINK.search(answer.headers.get("link", ""))
        _, _, query = following[1].partition("?") if following else ("", "", "")
        if not query or tail == (tail := f"tags/list?{query}"):
            break
    return tuple(found)


def _once(
    known: dict[Any, asyncio.Task[T]], key: object, work: Callable[[], Coroutine[Any, Any, T]]
) -> asyncio.Task[T]:
    if key not in known:
        known[key] = asyncio.ensure_future(work())
    return known[key]
