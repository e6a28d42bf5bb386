"""Which platforms an image is there for, as a registry said it, and what could be used instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from crossdock.errors import CrossdockError
from crossdock.platforms import Platform


@dataclass(frozen=True)
class PlatformImage:
    """One platform of an image: its manifest, and the bytes that pulling it takes, where that is known."""

    platform: Platform
    digest: str
    size: int | None = None


@dataclass(frozen=True)
class Alternative:
    """An image that has what another lacks. ``reference`` ends with the digest, to be pinned."""

    reference: str
    digest: str
    reason: str
    source: str = ""
    platforms: tuple[Platform, ...] = ()


@dataclass(frozen=True)
class ImagePlatforms:
    """What is known of one image, ``asked`` for as somebody wrote it. With an ``error`` nothing else is."""

    asked: str
    digest: str | None = None
    platforms: tuple[PlatformImage, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    error: CrossdockError | None = None

    def lacks(self, wanted: Iterable[Platform]) -> tuple[Platform, ...]:
        """Those of ``wanted`` that the image, as far as it could be looked up, does not have."""
        if self.error:
            return ()
        return tuple(
            platform for platform in wanted if not any(have.platform.satisfies(platform) for have in self.platforms)
        )
