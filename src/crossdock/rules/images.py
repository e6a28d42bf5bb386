"""The images that a build for the target takes: FROM, COPY --from and RUN --mount=from=, as far as stages need them.

Source: BuildKit, frontend/dockerfile/dockerfile2llb/convert.go (resolveBaseImage, toCommand): what COPY --from and
--mount name is taken for the target platform, also in a stage that runs on the build platform.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from crossdock.errors import UsageError
from crossdock.image.alternatives import known_without_arm64
from crossdock.image.availability import ImagePlatforms
from crossdock.image.reference import Reference, parse_reference
from crossdock.platforms import AMD64, ARM64, Platform, parse_platform
from crossdock.read.declared import Declared
from crossdock.read.dockerfile_images import image_span
from crossdock.read.stages import stage_references
from crossdock.read.trace import Role, StageTrace, Trace
from crossdock.read.values import Origin, Value, literal
from crossdock.source import Span


@dataclass(frozen=True)
class UsedImage:
    """An image that is pulled: its reference, variables replaced, and where that stands in the Dockerfile."""

    value: Value
    span: Span

    @property
    def text(self) -> str | None:
        """The reference, or None where a variable in it has no value."""
        return self.value.text

    @property
    def reference(self) -> Reference | None:
        """The reference, read; None where it is none."""
        try:
            return parse_reference(self.text) if self.text else None
        except UsageError:
            return None

    @property
    def unknown(self) -> str:
        """The first variable that has no value."""
        return next((fragment.variable for fragment in self.value if fragment.text is None), "")

    def written(self, start: int, end: int, path: str) -> Span | None:
        """Where the characters ``start:end`` of the reference are written in the file, if they are in one piece."""
        origins = self.value.origin_of(start, end)
        if len(origins) != 1 or origins[0].path != path:
            return None
        span = origins[0].span
        return span if span.end - span.start == len(self.value.render()[start:end].encode()) else None


def used_images(trace: Trace) -> tuple[UsedImage, ...]:
    """The images of every stage that the image needs, in the order of the file. What runs on the platform that builds,
    and stages for other platforms, are left out."""
    needed = (stage for stage in trace.stages if stage.reaches_image and not stage.amd64_only)
    return tuple(image for stage in needed for image in _of_stage(stage, trace))


def declared_images(declared: Declared) -> tuple[UsedImage, ...]:
    """The images of a file that is no Dockerfile, one for each place."""
    source = declared.source
    found = []
    for use in declared.images:
        exact = source.text(use.location.span) == use.text
        value = literal(use.text, Origin(source.path, use.location.span)) if exact else literal(use.text)
        found.append(UsedImage(value, use.location.span))
    return tuple(found)


def references(images: Iterable[UsedImage]) -> tuple[str, ...]:
    """What a registry has to be asked for: every image, and for one with a digest what its tag is now."""
    asked: dict[str, None] = {}
    for image in images:
        if image.text:
            asked[image.text] = None
            tagged = without_digest(image.reference)
            if tagged:
                asked[tagged] = None
    return tuple(asked)


def without_digest(reference: Reference | None) -> str | None:
    """``debian:12`` for ``debian:12@sha256:…``; None where no digest or no tag is written."""
    if reference is None or reference.tag is None or reference.digest is None:
        return None
    return replace(reference, digest=None).familiar


def _of_stage(stage: StageTrace, trace: Trace) -> Iterator[UsedImage]:
    path = trace.dockerfile.source.path
    if stage.parent is None and stage.base.text != "scratch" and _is_for_target(stage, trace.target):
        yield UsedImage(stage.base, stage.stage.base.span)
    for text, flag in stage_references(stage.stage):
        if text == "scratch" or "$" in text or trace.dockerfile.stage(text) is not None:
            continue
        span = image_span(trace.dockerfile.source, flag, text)
        yield UsedImage(literal(text, Origin(path, span)), span)


def _is_for_target(stage: StageTrace, target: Platform) -> bool:
    """Whether the stage's base has to be there for the target. That of a stage which is pinned to amd64 would have to,
    and so would that of the image itself where it is made on the build platform."""
    if stage.role is Role.BUILD:
        return stage.is_image
    text = stage.platform.text if stage.platform else None
    if not text:
        return True
    try:
        return parse_platform(text) in (target, AMD64)
    except UsageError:
        return True


def is_pinned_to_one(image: UsedImage, registry: Mapping[str, ImagePlatforms]) -> bool:
    """Whether the digest beside an image is that of its amd64 image alone, and its tag, as far as is known, has arm64:
    another digest is all that is needed then."""
    reference, found = image.reference, registry.get(image.text or "")
    if reference is None or reference.digest is None or found is None or found.error:
        return False
    alone = [have for have in found.platforms if have.digest == reference.digest and have.platform.satisfies(AMD64)]
    tagged = registry.get(without_digest(reference) or "")
    return bool(alone) and not (tagged and tagged.lacks([ARM64]))


def has_arm64(text: str, registry: Mapping[str, ImagePlatforms]) -> bool | None:
    """Whether an image is there for arm64, by the registry or by what is known; None where neither says."""
    found = registry.get(text)
    if found is not None:
        return None if found.error else not found.lacks([ARM64])
    try:
        return False if known_without_arm64(parse_reference(text)) else None
    except UsageError:
        return None
