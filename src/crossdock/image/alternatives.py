"""What could be used instead of an image that lacks arm64: other tags of its repository, and images that succeeded it.

Nothing here asks a registry: these are candidates, best first, and what they are good for is looked up by the caller.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

from crossdock.image.reference import DOCKER_HUB, Reference, parse_reference
from crossdock.image.tags import Architecture, Kind, Tag, read_tag

_CATALOGUE = Path(__file__).parents[1] / "catalogue/images.toml"
"""Not by importlib.resources, which takes 5 ms to import."""
_OFFICIAL = "Docker publishes official images for each architecture by itself too; this one is for arm64 alone"
_OFFICIAL_SOURCE = "https://github.com/docker-library/official-images#architectures-other-than-amd64"


def compatible_tags(tag: str, tags: Sequence[str], *, limit: int) -> tuple[str, ...]:
    """The tags that could stand in for ``tag``, best first, at most ``limit``; never ``tag`` itself, none twice.

    They have the variant's words in the same places. First come those of the same major version, then higher ones,
    of each first those that are as precise as ``tag`` and whose variant has the same numbers (alpine3.18), each newest
    first. Older versions come only where there is nothing else (``is_older`` tells), pre-releases only to one who has
    a pre-release, tags for one architecture never. For a tag of one architecture the tag without it is first, and for
    one that says no version (``latest``, ``slim``, a commit) the newest versions are.

    Where there are more than ``limit``, every major version gets a place before any gets a second, then every minor
    one: the next older patch of an image without arm64 most likely has none either.
    """
    if limit <= 0:
        return ()
    asked = read_tag(tag)
    plain = [asked.plain or "latest"] if asked.architecture else []
    plain = [other for other in plain if other in tags]
    found = [
        other
        for other in _read(tuple(tags)).general.get(asked.variant, ())
        if (other.is_release or not asked.is_release) and _comparable(asked, other) and other.text not in (tag, *plain)
    ]
    newer = [other for other in found if not _is_older(other, asked)]
    ordered = sorted(newer if newer or plain else found, key=lambda other: _distance(asked, other))
    room = limit - len(plain)
    return (*plain, *(other.text for other in _spread(ordered, room)))


def architecture_tags(tag: str, tags: Sequence[str]) -> tuple[str, ...]:
    """The tags that are ``tag`` for arm64 alone: ``1.2-arm64``, ``arm64v8-1.2`` for ``1.2`` or ``1.2-amd64``.

    First those that name the architecture where ``tag`` does. They hold one platform, so an image of several cannot be
    built from one of them.
    """
    asked = read_tag(tag)
    found = [
        other
        for other in _read(tuple(tags)).arm64
        if (other.plain or "latest") == (asked.plain or "latest") and other.text != tag
    ]
    in_front = not tag.startswith(asked.plain)
    return tuple(
        other.text
        for other in sorted(
            found, key=lambda other: (other.text.startswith(asked.plain) == in_front, len(other.text), other.text)
        )
    )


@dataclass(frozen=True)
class _Tags:
    """The tags of a repository, read, each once: those for no architecture in particular, by variant, newest first and
    without commits; and those for arm64."""

    general: Mapping[tuple[str, ...], Sequence[Tag]]
    arm64: tuple[Tag, ...]


@lru_cache(maxsize=16)
def _read(tags: tuple[str, ...]) -> _Tags:
    """Kept for the next image of the same repository: often many are asked for, and have the same tags beside them."""
    read = [read_tag(text) for text in dict.fromkeys(tags)]
    general: dict[tuple[str, ...], list[Tag]] = defaultdict(list)
    for tag in sorted(read, key=lambda tag: tag.key, reverse=True):
        if tag.architecture is Architecture.ANY and tag.kind is not Kind.COMMIT:
            general[tag.variant].append(tag)
    return _Tags(general, tuple(tag for tag in read if tag.architecture is Architecture.ARM64))


def is_older(tag: str, asked: str) -> bool:
    """Whether ``tag`` has a lower version than ``asked``; as far as the less precise of them says: 5.7 is not older
    than 5.7.1."""
    return _is_older(read_tag(tag), read_tag(asked))


def _is_older(other: Tag, asked: Tag) -> bool:
    for ours, theirs in zip(other.numbers, asked.numbers, strict=False):
        if ours != theirs:
            return ours < theirs
    if not other.numbers and not asked.numbers:  # bullseye against bookworm
        pairs = zip(other.variant_numbers, asked.variant_numbers, strict=False)
        return other.stage < asked.stage or any(mine and mine < its for mine, its in pairs)
    return (other.stage, other.stage_numbers) < (asked.stage, asked.stage_numbers)


def _comparable(asked: Tag, other: Tag) -> bool:
    """Whether one could stand in for the other, as far as versions go; both are of one variant."""
    if asked.numbers and other.kind is not asked.kind:
        return False  # latest says nothing of its version, and 20230101 beside 1.2.3 counts something else
    return not (asked.has_place and other.has_place) or len(asked.before) == len(other.before)


def _distance(asked: Tag, other: Tag) -> tuple[bool, bool, bool, int, bool, bool]:
    """How far a tag is from the one that was asked for: smaller is better, and of one distance the newer is."""
    has_major = asked.kind is Kind.VERSION
    return (
        not other.numbers,
        has_major and other.numbers[:1] != asked.numbers[:1],
        not other.is_release,
        abs(len(other.numbers) - len(asked.numbers)) if asked.numbers else 0,
        asked.variant_numbers != other.variant_numbers,
        bool(asked.numbers) and other.style != asked.style,
    )


def _spread(ordered: Sequence[Tag], limit: int) -> Iterator[Tag]:
    """``limit`` of the tags in their order: the first of each major version, the first of each minor one, the rest."""
    chosen: set[str] = set()
    for depth in (1, 2, None):
        seen: set[tuple[int, ...]] = set()
        for tag in ordered:
            if len(chosen) >= limit:
                break
            series = tag.numbers[:depth]
            if depth is None or series not in seen:
                chosen.add(tag.text)
            seen.add(series)
    return (tag for tag in ordered if tag.text in chosen)


@dataclass(frozen=True)
class Successor:
    """Another image that took the place of one: a reference as people write it, why, and a page that says so.

    Not looked up: whether it is there, and for which platforms, the registry has to say.
    """

    reference: str
    reason: str
    source: str


@dataclass(frozen=True)
class Entry:
    """One entry of catalogue/images.toml, which says what the fields mean; empty where it says nothing."""

    name: str
    tags: str
    before: str
    since: str
    use: tuple[str, ...]
    reason: str
    source: str
    lacks: bool
    package: str

    def rest(self, name: str) -> str | None:
        """What the name's ``*`` stands for; None where the entry is about another image."""
        start, star, end = self.name.partition("*")
        if not star:
            return "" if name == start else None
        if len(name) <= len(start) + len(end) or not (name.startswith(start) and name.endswith(end)):
            return None
        return name[len(start) : len(name) - len(end)]

    def means(self, tag: str | None) -> bool:
        """Whether the entry is about this tag. Of an image without a tag nothing is known, so it may be."""
        if tag is None:
            return True
        if self.tags and not fnmatch.fnmatchcase(tag, self.tags):
            return False
        limit = self.since or self.before
        return not limit or (bool(read_tag(tag).numbers) and is_older(tag, limit))

    def replacements(self, name: str, tag: str | None) -> Iterator[str]:
        """The references to use instead, those left out that need a tag or number which is not there."""
        if self.since:
            yield f"{name}:{self.since}"
        numbers = read_tag(tag).numbers if tag else ()
        known = {"rest": self.rest(name), "tag": tag, "major": str(numbers[0]) if numbers else None}
        for template in self.use:
            missing = [key for key, value in known.items() if value is None and f"{{{key}}}" in template]
            if not missing:
                yield template.format(**known)


@cache
def catalogue() -> tuple[Entry, ...]:
    """The entries of catalogue/images.toml, read when first asked for."""
    text = _CATALOGUE.read_text("utf-8")
    return tuple(
        Entry(
            name=entry["name"],
            tags=entry.get("tags", ""),
            before=entry.get("before", ""),
            since=entry.get("since", ""),
            use=tuple(entry.get("use", ())),
            reason=entry["reason"],
            source=entry["source"],
            package=entry.get("package", ""),
            lacks=entry.get("lacks", "before" in entry or "since" in entry),
        )
        for entry in tomllib.loads(text)["image"]
    )


def successors(reference: Reference) -> tuple[Successor, ...]:
    """What took the place of an image that has no arm64, best first, none twice and never the image itself.

    A successor's own successors follow (amd64/mysql:5.7 → mysql:5.7 → mysql:8.4). Last, for an official image of Docker
    Hub, comes the copy that Docker publishes for arm64 alone.
    """
    found: dict[str, Successor] = {}
    for successor in _in_catalogue(reference):
        found.setdefault(successor.reference, successor)
    for first in tuple(found):
        for successor in _in_catalogue(parse_reference(first)):
            found.setdefault(successor.reference, successor)
    official = reference.repository.removeprefix("library/")
    if reference.host == DOCKER_HUB and official != reference.repository and reference.tag:
        text = f"arm64v8/{official}:{reference.tag}"
        found.setdefault(text, Successor(text, _OFFICIAL, _OFFICIAL_SOURCE))
    found.pop(replace(reference, digest=None).familiar, None)
    return tuple(found.values())


def known_without_arm64(reference: Reference) -> Entry | None:
    """What the catalogue says of an image that never got arm64, for when no registry can be asked; None where it says
    nothing certain, also of an image that is known by its digest only."""
    if reference.tag is None:
        return None
    return next((entry for _, entry in _entries(reference) if entry.lacks), None)


def debian_package(reference: Reference) -> str:
    """Debian's package of what an image holds, where the catalogue knows one that has arm64; else empty."""
    return next((entry.package for _, entry in _entries(reference) if entry.package), "")


def _in_catalogue(reference: Reference) -> Iterator[Successor]:
    for name, entry in _entries(reference):
        for text in entry.replacements(name, reference.tag):
            yield Successor(text, entry.reason, entry.source)


def _entries(reference: Reference) -> Iterator[tuple[str, Entry]]:
    """What the catalogue has about an image, with the name as people write it."""
    name = replace(reference, tag=None, digest=None).familiar
    for entry in catalogue():
        if entry.rest(name) is not None and entry.means(reference.tag):
            yield name, entry
