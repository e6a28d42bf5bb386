"""The check ``base``: which layers of an image are those of its base image, so that what is wrong there is told as the
base's fault, which no instruction of the Dockerfile can mend."""

from __future__ import annotations

from dataclasses import replace

from crossdock.image.model import Image, ImageConfig, Manifest
from crossdock.platforms import Platform
from crossdock.verify.model import CheckResult, Status

CHECK = "base"


def tell_base_apart(
    base: Image, manifest: Manifest, config: ImageConfig, platform: Platform
) -> tuple[ImageConfig, CheckResult]:
    """``config`` with the base named in what made each of its layers, and whether the base was recognised. Raises as
    reading the base does."""
    offered = [entry for entry in base.index().images if entry.platform and entry.platform.satisfies(platform)]
    if not offered:
        text = f"{base.name} has no {platform}, so nothing is told apart as its own"
        return config, CheckResult(CHECK, Status.SKIPPED, text, platform)
    own = base.manifest(next((entry for entry in offered if entry.platform == platform), offered[0]))
    count, total = len(own.layers), len(manifest.layers)
    if not count or not _begins_with(manifest, config, own, base.config(own)):
        text = f"not built on {base.name} as that is now: its layers are not the first of the image"
        return config, CheckResult(CHECK, Status.SKIPPED, text, platform)
    said = config.created_by if len(config.created_by) == total else ("",) * total
    named = tuple(f"the base image {base.name}" + (f" ({text})" if text else "") for text in said[:count])
    text = f"the first {count} of {total} layers are those of {base.name}"
    return replace(config, created_by=(*named, *said[count:])), CheckResult(CHECK, Status.PASSED, text, platform)


def _begins_with(manifest: Manifest, config: ImageConfig, own: Manifest, base: ImageConfig) -> bool:
    """By the digests of the layers as packed or, as a build may pack them anew, as unpacked (diff ids)."""
    count = len(own.layers)
    packed = [layer.digest for layer in manifest.layers[:count]] == [layer.digest for layer in own.layers]
    known = len(base.diff_ids) == count and len(config.diff_ids) == len(manifest.layers)
    return packed or (known and config.diff_ids[:count] == base.diff_ids)
