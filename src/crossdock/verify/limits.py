"""The check ``limits``: how large the image of a platform may be, of how many layers, and how different platforms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from crossdock.config import Limits
from crossdock.errors import InputError
from crossdock.image.model import Image
from crossdock.platforms import Platform
from crossdock.verify.model import CheckResult, Status

CHECK = "limits"


@dataclass(frozen=True)
class Weight:
    """``size`` of the packed layers in bytes, as registries keep and send them."""

    platform: Platform
    size: int
    layers: int


def weigh(image: Image, platforms: Sequence[Platform]) -> list[Weight]:
    """Of those platforms that can be read; the check ``config`` tells of others."""
    found = []
    for platform in platforms:
        entry = next((entry for entry in image.index().images if entry.platform == platform), None)
        if entry is None:
            continue
        with suppress(InputError):
            layers = image.manifest(entry).layers
            found.append(Weight(platform, sum(layer.size for layer in layers), len(layers)))
    return found


def check_limits(weights: Sequence[Weight], limits: Limits) -> Iterator[CheckResult]:
    """Nothing where no limit is set; else a failure for each that is passed, and one result for each platform that
    keeps to all of them."""
    if limits == Limits():
        return
    smallest = min(weights, key=lambda one: one.size, default=None)
    for one in weights:
        told = []
        if limits.size is not None and one.size > limits.size:
            text = f"{_megabytes(one.size)} packed, and at most {_megabytes(limits.size)} are allowed"
            told.append((text, "Leave build tools behind in an earlier stage, and caches of package managers out."))
        if limits.layers is not None and one.layers > limits.layers:
            text = f"{one.layers} layers, and at most {limits.layers} are allowed"
            told.append((text, "Join RUN and COPY instructions that belong together."))
        if limits.difference is not None and smallest and smallest.size:
            larger = 100 * (one.size - smallest.size) / smallest.size
            if larger > limits.difference:
                text = (
                    f"{larger:.0f} % larger than {smallest.platform} ({_megabytes(one.size)} against"
                    f" {_megabytes(smallest.size)}), and at most {limits.difference:g} % are allowed"
                )
                told.append((text, "Look for what one of them lacks: the check parity compares them."))
        for text, hint in told:
            yield CheckResult(CHECK, Status.FAILED, text, one.platform, hint=hint)
        if not told:
            text = f"{_megabytes(one.size)} packed in {one.layers} layers, within the limits"
            yield CheckResult(CHECK, Status.PASSED, text, one.platform)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
