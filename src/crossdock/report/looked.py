"""What looking up images gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crossdock.errors import CrossdockError
from crossdock.image.availability import ImagePlatforms
from crossdock.image.lookup import WANTED
from crossdock.image.registry import Limit
from crossdock.platforms import Platform

if TYPE_CHECKING:
    from crossdock.findings import Skipped


@dataclass(frozen=True)
class Looked:
    """Images in the order asked for; ``require`` are the platforms that each must have; ``limits`` what registries
    still allow, by host."""

    images: tuple[ImagePlatforms, ...]
    require: tuple[Platform, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    limits: tuple[tuple[str, Limit], ...] = ()

    @property
    def wanted(self) -> tuple[Platform, ...]:
        """What to say of each image whether it has it."""
        return self.require or WANTED

    @property
    def failures(self) -> tuple[CrossdockError, ...]:
        return tuple(image.error for image in self.images if image.error)

    @property
    def lacking(self) -> tuple[ImagePlatforms, ...]:
        return tuple(image for image in self.images if image.lacks(self.require))
