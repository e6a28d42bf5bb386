"""One index from manifests that lie in several images: platforms that were built separately, or some of an image's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import BinaryIO

from crossdock.errors import CrossdockError, InputError
from crossdock.image.documents import ImageDocuments, MalformedError, descriptor_json, load_object, to_json
from crossdock.image.layout import CONTAINERD_NAME, LayoutWriter
from crossdock.image.model import (
    ATTESTATION_SUBJECT,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    OCI_INDEX,
    REFERENCE_NAME,
    Descriptor,
    Image,
)
from crossdock.image.stream import digest_of
from crossdock.platforms import Platform

_NAMING = frozenset({REFERENCE_NAME, CONTAINERD_NAME})
"""Annotations that say what an image is called where it lies; in another index they would be wrong."""


@dataclass(frozen=True)
class Part:
    """One platform's manifest, with the attestations about it, and the image in which both lie."""

    image: Image
    manifest: Descriptor
    attestations: tuple[Descriptor, ...] = ()


def parts_of(image: Image, platforms: Sequence[Platform] = ()) -> tuple[Part, ...]:
    """The platforms of an image, or those asked for, in the image's own order. Raises InputError for one that is not
    there, and what reading the image raises."""
    index = image.index()
    parts = tuple(Part(image, entry, _about(index.manifests, entry)) for entry in index.images if entry.platform)
    if not parts:
        raise InputError("there is no image for any platform in it", where=image.name, hint="Name a container image.")
    return choose(parts, platforms)


def choose(parts: Sequence[Part], platforms: Sequence[Platform]) -> tuple[Part, ...]:
    """The parts for any of ``platforms``, all where none is named. Raises InputError for one that no part is for."""
    for platform in platforms:
        if not any(_is(part.manifest, platform) for part in parts):
            there = ", ".join(dict.fromkeys(str(part.manifest.platform) for part in parts))
            raise InputError(
                f"there is no {platform} in it", where=_names(parts), hint=f"It has: {there}. Name one of these."
            )
    return tuple(part for part in parts if not platforms or any(_is(part.manifest, wanted) for wanted in platforms))


def left_out(image: Image) -> tuple[Descriptor, ...]:
    """The entries of an image's index that ``parts_of`` cannot take along, as they belong to no platform in it: above
    all attestations about manifests that are not there."""
    parts = parts_of(image)
    taken = {entry.digest for part in parts for entry in (part.manifest, *part.attestations)}
    return tuple(entry for entry in image.index().manifests if entry.digest not in taken)


def is_whole(image: Image, parts: Sequence[Part]) -> bool:
    """Whether ``parts`` are all that the image has, so that it can be taken as it is, with its digest."""
    taken = {entry.digest for part in parts for entry in (part.manifest, *part.attestations)}
    return all(entry.digest in taken for entry in image.index().manifests)


def part_built_for(image: Image, platform: Platform, *, unverified: bool = False) -> Part:
    """The manifest that was built for ``platform``: the image's root itself, or the one in its index.

    Its config is held against the platform, and InputError is raised when it says another. With ``unverified`` that is
    let pass, as BuildKit's indexes have it: an engine hands over what it made, and verify judges it.
    """
    root = manifest = image.root()
    attestations: tuple[Descriptor, ...] = ()
    if root.media_type in INDEX_TYPES:
        entries = image.index().manifests
        candidates = [entry for entry in entries if not entry.is_attestation]
        matching = [entry for entry in candidates if entry.platform == platform] or [
            entry for entry in candidates if len(candidates) == 1
        ]
        if not matching:
            raise InputError(
                f"there is no {platform} in the image that was built for it",
                where=image.name,
                hint="Look at what the engine built with `crossdock verify`.",
            )
        manifest, attestations = matching[0], _about(entries, matching[0])
    found = image.config(image.manifest(manifest)).platform
    if not found.satisfies(platform):
        if not unverified:
            raise InputError(
                f"the image built for {platform} says in its config that it is {found}",
                where=image.name,
                hint="A base image or --platform in the Dockerfile is pinned. `crossdock check` shows where.",
            )
        found = platform
    return Part(image, replace(manifest, platform=found), attestations)


def _is(entry: Descriptor, platform: Platform) -> bool:
    return entry.platform is not None and entry.platform.satisfies(platform)


def _about(entries: Sequence[Descriptor], manifest: Descriptor) -> tuple[Descriptor, ...]:
    return tuple(entry for entry in entries if entry.annotations.get(ATTESTATION_SUBJECT) == manifest.digest)


class AssembledImage(ImageDocuments):
    """An index over ``parts``, as ``image.model.Image``. Nothing is copied: content is read from where it lies.

    Entries keep what their index said of them (annotations, ``os.version``), except names. The index itself keeps the
    annotations on which the images agree. Manifests of Docker's own type alone give Docker's
    manifest list, which old registries and engines want. Raises InputError when two parts are for one platform.

    Manifests stay as they are, so an attestation keeps its link (``vnd.docker.reference.digest``) and what it says of
    its subject stays true. One about a manifest that is not here is no part of anything and left out (``left_out``
    tells which): it could only be linked to another manifest by claiming what nobody attested, because the statement in
    it, which may be signed, names its subject by digest.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.name = _names(parts)
        self._where = {part.manifest.digest: part.image for part in parts}
        self._where |= {about.digest: part.image for part in parts for about in part.attestations}
        _refuse_twice(parts)
        said = _common_annotations([part.image for part in parts])
        # Platforms first and attestations last is the order that other tools write.
        entries = [part.manifest for part in parts] + [about for part in parts for about in part.attestations]
        docker = not said and all(entry.media_type == DOCKER_MANIFEST for entry in entries)
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": DOCKER_LIST if docker else OCI_INDEX,
            "manifests": [descriptor_json(_unnamed(entry)) for entry in entries],
        }
        if said:
            document["annotations"] = dict(sorted(said.items()))
        self._data = to_json(document)
        self._root = Descriptor(str(document["mediaType"]), digest_of(self._data), len(self._data))
        for part in parts:
            for entry in (part.manifest, *part.attestations):
                manifest = part.image.manifest(entry)
                self._where |= {blob.digest: part.image for blob in (manifest.config, *manifest.layers)}

    def fault(self, what: str, hint: str) -> CrossdockError:
        return InputError(what, where=self.name, hint=hint)

    def root(self) -> Descriptor:
        return self._root

    def read(self, descriptor: Descriptor) -> bytes:
        if descriptor.digest == self._root.digest:
            return self._data
        return self._where[descriptor.digest].read(descriptor)

    def open(self, descriptor: Descriptor, *, verify: bool = True) -> AbstractContextManager[BinaryIO]:
        return self._where[descriptor.digest].open(descriptor, verify=verify)

    def lies_in(self, digest: str) -> Image | None:
        """The image that has this content; None for the index itself."""
        return self._where.get(digest)


def _unnamed(entry: Descriptor) -> Descriptor:
    return replace(entry, annotations={key: text for key, text in entry.annotations.items() if key not in _NAMING})


def _names(parts: Sequence[Part]) -> str:
    return " + ".join(dict.fromkeys(part.image.name for part in parts))


def _refuse_twice(parts: Sequence[Part]) -> None:
    known: dict[str, Part] = {}
    for part in parts:
        other = known.setdefault(_runs_on(part.manifest), part)
        if other is not part:
            raise InputError(
                f"{part.manifest.platform} is in {other.image.name} as well",
                where=part.image.name,
                hint="An index has one image for each platform. Leave one out, or first make an image of what you want "
                "of it: crossdock index create NAME --from IMAGE --platform OS/ARCH",
            )


def _runs_on(manifest: Descriptor) -> str:
    """A platform with what else tells images apart: Windows has one for each version (image-spec, image-index.md)."""
    written = manifest.written.get("platform")
    more = written if isinstance(written, dict) else {}
    return f"{manifest.platform} {more.get('os.version')} {more.get('os.features')}"


def _common_annotations(images: Sequence[Image]) -> dict[str, str]:
    """The annotations of the images' indexes on which all agree."""
    common: dict[str, str] | None = None
    for image in dict.fromkeys(images):
        said: object = {}
        if image.root().media_type in INDEX_TYPES:
            try:
                said = load_object(image.read(image.root())).get("annotations")
            except MalformedError:
                said = None
        own = {key: text for key, text in said.items() if isinstance(text, str)} if isinstance(said, dict) else {}
        common = own if common is None else dict(common.items() & own.items())
    return {key: text for key, text in (common or {}).items() if key not in _NAMING}


def assemble_index(
    writer: LayoutWriter,
    images: Sequence[tuple[Image, Platform]],
    tags: Sequence[str] = (),
    *,
    unverified: bool = False,
) -> Descriptor:
    """Join images that were built one platform at a time into one index, and finish the layout.

    Each is (where it is, the platform it was built for), as ``part_built_for`` takes them. Returns the index.
    """
    image = AssembledImage([part_built_for(image, platform, unverified=unverified) for image, platform in images])
    for entry in image.index().manifests:
        writer.copy(image, entry)
    root = image.root()
    writer.add_document(image.read(root), root.media_type)
    writer.finish(root, tags)
    return root
