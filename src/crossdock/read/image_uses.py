"""Images that a file uses: as they are to be looked up, and where they are written.

References stay text here: what they mean is the business of the image package.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crossdock.findings import Location, Skipped


@dataclass(frozen=True)
class ImageUse:
    """An image as it is to be looked up, variables replaced, and where it is written (with its variables)."""

    text: str
    location: Location


@dataclass(frozen=True)
class ImagesFound:
    """The images of one file in the order in which they are written, and what could not be told and why.

    An image that is written at two places is there twice. A place has several images when they depend on the platform
    that is built for (``FROM tool-${TARGETARCH}``).
    """

    images: tuple[ImageUse, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def in_order(images: Iterable[ImageUse], skipped: Iterable[Skipped]) -> ImagesFound:
    """What was found, sorted by place; the same at the same place counts once."""
    by_place = sorted(images, key=lambda image: image.location.span.start)
    return ImagesFound(tuple(dict.fromkeys(by_place)), tuple(dict.fromkeys(skipped)))
