"""What ``push`` and ``index create`` share: from the images that a user names to one image in a registry."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crossdock.cli.messages import say
from crossdock.cli.options import GivenLogin, registries
from crossdock.cli.output import style_of, transferring, write
from crossdock.errors import UsageError
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
    from crossdock.image.reference import is_tag, parse_reference
    from crossdock.report.sent import Sent

    destination = parse_reference(_no_file(reference))
    for tag in tags:
        if not is_tag(tag):
            raise UsageError(f"-t {tag}: is not a tag", hint="Write the tag alone, as in -t latest.")
    with ExitStack() as stack:
        reached = stack.enter_context(registries(plain_http, login=login, hosts={destination.host}))
        image = together([open_image(source, reached) for source in sources], platforms)
        found = tuple(entry.platform for entry in image.index().images if entry.platform)
        with transferring(f"Pushing {destination.familiar}") as on_progress:
            root = push(image, destination, reached, tags=tags, sources=_lenders(image), on_progress=on_progress)
    return Sent(tuple(sources), destination.familiar, root.digest, found)


def _no_file(reference: str) -> str:
    """The reference, unless it is a file that was meant as a source: ``push a.tar b.tar`` would otherwise go to Docker
    Hub as ``b.tar``. Raises UsageError."""
    from crossdock.image.layout import LAYOUT_FILE
    from crossdock.image.locate import ARCHIVE_ENDS

    path = Path(reference)
    if reference.endswith(ARCHIVE_ENDS) or path.is_file() or (path / LAYOUT_FILE).is_file():
        raise UsageError(
            f"{reference} is a file, not the name to push to",
            hint="Add the name, as in: crossdock push app.tar HOST/NAME:TAG",
        )
    return reference


def together(images: Sequence[ImageDocuments], platforms: Sequence[Platform]) -> ImageDocuments:
    """The one image itself, byte for byte, or a new index of what is wanted of one or of several."""
    from crossdock.image.assemble import AssembledImage, choose, is_whole, left_out, parts_of

    if len(images) == 1 and not platforms:
        return images[0]
    parts = choose([part for image in images for part in parts_of(image)], platforms)
    if len(images) == 1 and is_whole(images[0], parts):
        return images[0]
    for image in images:
        for entry in left_out(image):
            kind = "attestation, whose image is not in it," if entry.is_attestation else "entry for no platform"
            say(f"crossdock: note: {image.name}: the {kind} is left out: {entry.digest}")
    return AssembledImage(parts)


def _lenders(image: ImageDocuments) -> dict[str, Reference]:
    """Which blobs lie in which repository of a registry, so that it need not be sent them."""
    from crossdock.image.assemble import AssembledImage
    from crossdock.image.documents import contents
    from crossdock.image.registry_image import RegistryImage

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
