"""Images that a build is given under another name: what is looked up in their place.

Source: Docker's reference of ``docker buildx build``, ``--build-context`` (``docker-image://``, ``oci-layout://``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from crossdock.errors import CrossdockError, UsageError
from crossdock.image.availability import ImagePlatforms, PlatformImage
from crossdock.image.layout import LayoutImage
from crossdock.image.reference import parse_reference

LookUp = Callable[[Sequence[str]], Mapping[str, ImagePlatforms]]
OCI_CONTEXT = re.compile(r"oci-layout://(?P<path>[^@]*?)(?::(?P<tag>[\w][\w.-]*))?(?:@(?P<digest>\w+:[0-9a-f]+))?")
"""An image in a folder; its index.json says which one, where there are several."""
_IMAGE = "docker-image://"


def with_given(contexts: Sequence[str], look_up: LookUp | None) -> LookUp | None:
    """``look_up`` as a build with these ``NAME=SOURCE`` sees images: the ones that are given come from there. None
    where nothing is looked up. A source that is no image is not known here, and its name is looked up as before."""
    given = {_plain(name): source for name, _, source in (text.partition("=") for text in contexts)}
    if look_up is None or not given:
        return look_up

    def look(asked: Sequence[str]) -> Mapping[str, ImagePlatforms]:
        sources = {text: given.get(_plain(text), "") for text in asked}
        elsewhere = {text: source.removeprefix(_IMAGE) for text, source in sources.items() if source.startswith(_IMAGE)}
        layouts = {text: match for text, source in sources.items() if (match := OCI_CONTEXT.fullmatch(source))}
        others = [elsewhere.get(text, text) for text in asked if text not in layouts]
        seen = look_up(list(dict.fromkeys(others)))
        found = {text: _in_layout(text, match) for text, match in layouts.items()}
        return {
            text: found[text] if text in found else replace(seen[elsewhere.get(text, text)], asked=text)
            for text in asked
        }

    return look


def _plain(name: str) -> str:
    """A name as a build compares it: ``debian`` is ``docker.io/library/debian:latest``."""
    try:
        return parse_reference(name).familiar
    except UsageError:
        return name


def _in_layout(asked: str, match: re.Match[str]) -> ImagePlatforms:
    try:
        index = LayoutImage(Path(match["path"]), match["digest"] or match["tag"]).index()
    except CrossdockError as error:
        return ImagePlatforms(asked, error=error)
    have = tuple(PlatformImage(entry.platform, entry.digest) for entry in index.images if entry.platform)
    return ImagePlatforms(asked, index.descriptor.digest, have)
