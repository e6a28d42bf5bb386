"""Layers: the entries of one, streamed once, and what whiteouts mean (image-spec, layer.md)."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import basename, dirname
from typing import BinaryIO

from crossdock.errors import InputError
from crossdock.image.compression import Compression, unpack
from crossdock.image.model import Descriptor
from crossdock.image.tar import Content, Entry, Tar

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
"""Names that begin so, other than OPAQUE, are a storage driver's own and no part of the image."""


def walk(stream: BinaryIO, descriptor: Descriptor) -> Iterator[tuple[Entry, Content]]:
    """Each entry of a layer with its content, forward only. ``stream`` holds the packed bytes and is read to its end.

    An entry that leads outside of the image is yielded with ``escapes`` set and must not be followed.
    Raises InputError naming the layer's digest when it is damaged, cut off, a decompression bomb, no tar archive, or
    compressed in another way than its media type says.
    """
    where = f"layer {descriptor.digest}"
    stated = _stated_compression(descriptor.media_type, where)
    compression, pieces = unpack(stream, where)
    if compression is not stated and not (compression is Compression.NONE and descriptor.size == 0):
        raise InputError(
            f"the layer is {_words(compression)}, but its media type {descriptor.media_type} says {_words(stated)}",
            where=where,
            hint="Build or copy the image again with a tool that writes the right media type.",
        )
    yield from Tar(pieces, where)


def whiteout_target(name: str) -> tuple[str, bool] | None:
    """For the name of a whiteout: the path below which it removes things, and whether it is opaque (removes what is in
    that folder) or plain (removes the path itself); None for any other name. ``("", False)`` is one to ignore."""
    if WHITEOUT not in name:
        return None
    last = basename(name)
    if not last.startswith(WHITEOUT):
        return None
    folder = dirname(name)
    if last == OPAQUE:
        return folder, True
    if last.startswith(_RESERVED) or last == WHITEOUT:
        return "", False
    last = last.removeprefix(WHITEOUT)
    return (f"{folder}/{last}" if folder else last), False


def _stated_compression(media_type: str, where: str) -> Compression:
    if media_type.endswith(("+gzip", ".tar.gzip")):
        return Compression.GZIP
    if media_type.endswith(("+zstd", ".tar.zstd")):
        return Compression.ZSTD
    if media_type.endswith((".tar", "+tar")):
        return Compression.NONE
    if media_type.endswith("+encrypted"):
        raise InputError(
            "the layer is encrypted", where=where, hint="Decrypt the image first, for example with skopeo."
        )
    raise InputError(
        f"{media_type or 'an empty media type'} is no file system layer",
        where=where,
        hint="This is an artifact and not a container image, or its manifest is damaged.",
    )


def _words(compression: Compression) -> str:
    return "not compressed" if compression is Compression.NONE else f"compressed with {compression.value}"
