"""What ``push`` and ``index create`` share: from the images that a user names to one image in a registry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

from crossdock.cli.options import GivenLogin, registries
from crossdock.cli.output import style_of, transferring, write
from crossdock.platforms import Platform

if TYPE_CHECKING:
    from crossdock.image.documents import ImageDocuments
    from crossdock.image.reference import Reference
    from crossdock.report.sent import Sent


def send(
    sources: Sequence[str],
    reference: str,
    *,
    platforms: Sequence[Platform],
    tags: Sequence[str],
    login: GivenLogin | None,
    plain_http: bool,
) -> Sent:
    """Push the image that ``sources`` make together, as one index where they are several or not all of one image is
    wanted. Raises CrossdockError."""
    from crossdock.image.locate import open_image
    from crossdock.image.publish import push
    from crossdock.image.reference import parse_reference
    from crossdock.report.sent import Sent

    destination = parse_reference(reference)
    with ExitStack() as stack:
        reached = stack.enter_context(registries(plain_http, login=login, hosts={destination.host}))
        image = together([open_image(source, reached) for source in sources], platforms)
        with transferring(f"Pushing {destination.familiar}") as on_progress:
            root = push(image, destination, reached, tags=tags, sources=_lenders(image), on_progress=on_progress)
        found = tuple(entry.platform for entry in image.index().images if entry.platform)
    return Sent(tuple(sources), destination.familiar, root.digest, found)


def together(images: Sequence[ImageDocuments], platforms: Sequence[Platform]) -> ImageDocuments:
    """The one image itself, byte for byte, or a new index of what is wanted of one or of several."""
    if len(images) == 1 and not platforms:
        return images[0]
    from crossdock.image.assemble import AssembledImage, parts_of

    if len(images) == 1:
        return AssembledImage(parts_of(images[0], platforms))
    parts = [part for image in images for part in parts_of(image)]
    wanted = [part for part in parts if _wanted(part.manifest.platform, platforms)]
    image = AssembledImage(wanted)
    if platforms:
        parts_of(image, platforms)  # says which one is missing
    return image


def _wanted(platform: Platform | None, platforms: Sequence[Platform]) -> bool:
    return platform is not None and (not platforms or any(platform.satisfies(wanted) for wanted in platforms))


def _lenders(image: ImageDocuments) -> dict[str, Reference]:
    """Which blobs lie in which repository of a registry, so that it need not be sent them."""
    from crossdock.image.assemble import AssembledImage
    from crossdock.image.documents import contents
    from crossdock.image.registry import RegistryImage

    found = {}
    for blob in contents(image).blobs:
        holder = image.lies_in(blob.digest) if isinstance(image, AssembledImage) else image
        if isinstance(holder, RegistryImage):
            found[blob.digest] = holder.reference
    return found


def tell(sent: Sent, verb: Literal["push", "pull", "index"], format_: str) -> None:
    """Say what was done."""
    if format_ == "json":
        from crossdock.report.json import encode, sent_report

        write(encode(sent_report(sent, verb)))
    else:
        from crossdock.report.sent import sent_text

        write(sent_text(sent, style_of(sys.stdout)))
