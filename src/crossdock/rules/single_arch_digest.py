"""single-arch-digest: an image is pinned to the digest of its amd64 image, not of its index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from crossdock.findings import Finding, Fix, Safety
from crossdock.image.availability import ImagePlatforms, PlatformImage
from crossdock.platforms import AMD64, ARM64
from crossdock.rules.base import Example, ImageRule
from crossdock.rules.images import UsedImage, is_pinned_to_one, without_digest
from crossdock.source import Edit, Source, Span

_AMD64 = f"sha256:{'a' * 64}"
_INDEX = f"sha256:{'b' * 64}"
_ARM64 = f"sha256:{'c' * 64}"
_BOTH = (PlatformImage(AMD64, _AMD64), PlatformImage(ARM64, _ARM64))


class SingleArchDigest(ImageRule):
    """An image is pinned by digest, and the digest is that of its amd64 image alone.

    A digest that was copied from a registry's page, or from the entry of one platform in a manifest list, names the
    image of that platform. The arm64 build gets the amd64 image by it, whatever the tag beside it has.

    Pin the digest of the index, which `crossdock platforms IMAGE:TAG` or `docker buildx imagetools inspect` shows: it
    stands for the images of all platforms, and is as exact.
    """

    id = "single-arch-digest"

    VALID = (
        Example(
            f"FROM debian:12@{_INDEX}\n",
            note="the digest of an index",
            registry={
                f"debian:12@{_INDEX}": ImagePlatforms(f"debian:12@{_INDEX}", _INDEX, _BOTH),
                "debian:12": ImagePlatforms("debian:12", _INDEX, _BOTH),
            },
        ),
    )
    INVALID = (
        Example(
            f"FROM debian:12@⟦{_AMD64}⟧\n",
            fixed=f"FROM debian:12@{_INDEX}\n",
            note="safe, since the tag's amd64 image is the pinned one; when the tag has moved on, the fix is unsafe",
            registry={
                f"debian:12@{_AMD64}": ImagePlatforms(f"debian:12@{_AMD64}", _AMD64, (_BOTH[0],)),
                f"debian:12@{_INDEX}": ImagePlatforms(f"debian:12@{_INDEX}", _INDEX, _BOTH),
                "debian:12": ImagePlatforms("debian:12", _INDEX, _BOTH),
            },
        ),
    )

    def check_images(
        self, source: Source, images: tuple[UsedImage, ...], registry: Mapping[str, ImagePlatforms]
    ) -> Iterator[Finding]:
        for image in images:
            reference = image.reference
            if reference is None or reference.digest is None or not is_pinned_to_one(image, registry):
                continue
            now = registry.get(without_digest(reference) or "")
            start = len(image.text or "") - len(reference.digest)
            span = image.written(start, start + len(reference.digest), source.path)
            fix = _index_of(source, span, now, reference.digest) if span and now and not now.error else None
            name = reference.familiar.partition("@")[0]
            yield self.finding(
                source,
                span or image.span,
                f"the digest is that of {name} for amd64 alone{_why_no_fix(now)}",
                fixes=(fix,) if fix else (),
            )


def _index_of(source: Source, span: Span, now: ImagePlatforms, pinned: str) -> Fix | None:
    """The digest of what the tag is now. amd64 stays what it is if that holds the pinned image."""
    if now.digest is None:
        return None
    same = any(have.digest == pinned and have.platform.satisfies(AMD64) for have in now.platforms)
    return Fix(
        f"Pin the index of {now.asked}" + ("" if same else ", which is a newer image than the pinned one"),
        Safety.SAFE if same else Safety.UNSAFE,
        (Edit(source.path, span, now.digest.encode()),),
    )


def _why_no_fix(now: ImagePlatforms | None) -> str:
    if now is None:
        return ", and without a tag beside it nothing says which index it is from"
    return f"; what the tag is now could not be looked up: {now.error.what}" if now.error else ""
