"""What a file that is no Dockerfile declares about platforms: images, pins, the platforms that are built for.

One model for compose files, Kubernetes manifests, Helm values, workflows, pipelines and bake files, so that rules need
not know any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossdock.errors import UsageError
from crossdock.findings import Skipped
from crossdock.platforms import AMD64, ARM64, Platform, parse_platform
from crossdock.read.image_uses import ImageUse
from crossdock.source import Edit, Source, Span


class FileKind(StrEnum):
    """What a file is, in the words of its users."""

    COMPOSE = "compose file"
    KUBERNETES = "Kubernetes manifest"
    HELM = "Helm values"
    WORKFLOW = "GitHub Actions workflow"
    PIPELINE = "GitLab CI pipeline"
    BAKE = "bake file"


@dataclass(frozen=True)
class Mend:
    """Edits that would mend something. ``safe`` says that on amd64 nothing changes by them."""

    title: str
    edits: tuple[Edit, ...]
    safe: bool


@dataclass(frozen=True)
class Pin:
    """``what`` (``service web``) is fixed to amd64 by the text at ``span``. ``certain`` is false where it only may be:
    a variable decides, or machines of both kinds may be there on purpose. ``image`` is what runs there, if it is pulled
    and not built: without arm64 it needs the pin."""

    what: str
    span: Span
    certain: bool
    mend: Mend | None = None
    image: str = ""


@dataclass(frozen=True)
class PlatformList:
    """``what`` is built for ``platforms`` (as written), which stand at ``span``. Without any, it is built for the
    platform of the machine that builds. ``published`` says that the image is pushed, as far as can be seen."""

    what: str
    platforms: tuple[str, ...]
    span: Span
    published: bool = True
    mend: Mend | None = None

    @property
    def names_amd64(self) -> bool:
        return any(known and AMD64.satisfies(known) for known in map(_platform, self.platforms))

    @property
    def names_arm64(self) -> bool:
        return any(known and known.satisfies(ARM64) for known in map(_platform, self.platforms))


@dataclass(frozen=True)
class Missing:
    """A step that a build for several platforms needs, and that is not there."""

    what: str
    span: Span
    mend: Mend | None = None


@dataclass(frozen=True)
class DockerfileUse:
    """A Dockerfile that is built, by its path and that of its context folder, as whoever names this file would name
    them."""

    path: str
    context: str


@dataclass(frozen=True)
class Declared:
    """One file. ``lists`` are all platform lists of it, also those that name arm64."""

    source: Source
    kind: FileKind
    images: tuple[ImageUse, ...] = ()
    pins: tuple[Pin, ...] = ()
    lists: tuple[PlatformList, ...] = ()
    missing: tuple[Missing, ...] = ()
    dockerfiles: tuple[DockerfileUse, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def is_amd64(text: str) -> bool:
    """Whether a text names the platform amd64, as an architecture or with its system."""
    known = _platform(text)
    return known is not None and (known.os, known.architecture) == ("linux", "amd64")


def _platform(text: str) -> Platform | None:
    try:
        return parse_platform(text)
    except UsageError:
        return None
