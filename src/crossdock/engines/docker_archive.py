"""One platform of an image as the archive that every ``docker load`` reads, old or new.

Source: moby, image/spec/v1.2 (``manifest.json`` of a combined image); layers may be compressed.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import BinaryIO

from crossdock.errors import EngineError
from crossdock.image.model import Descriptor, Image
from crossdock.platforms import Platform


def write_docker_archive(image: Image, platform: Platform, names: tuple[str, ...], file: Path) -> None:
    """Write ``image`` for ``platform`` under ``names`` (with tags). Raises EngineError if it has no such platform or
    the disk is full."""
    chosen = next((entry for entry in image.index().images if entry.platform == platform), None)
    if chosen is None:
        raise EngineError(f"the image has no {platform}", where=image.name, hint="Build it for this platform as well.")
    manifest = image.manifest(chosen)
    config = _blob(manifest.config)
    layers = [f"{_blob(layer)}.tar" for layer in manifest.layers]
    listing = [{"Config": f"{config}.json", "RepoTags": list(names), "Layers": layers}]
    try:
        with tarfile.open(file, "w") as archive:
            _add(archive, "manifest.json", json.dumps(listing).encode())
            _add(archive, f"{config}.json", image.read(manifest.config))
            for layer in {layer.digest: layer for layer in manifest.layers}.values():
                entry = tarfile.TarInfo(f"{_blob(layer)}.tar")
                entry.size = layer.size
                with image.open(layer) as stream:
                    archive.addfile(entry, _Whole(stream))  # type: ignore[arg-type]  # it only reads
    except OSError as error:
        file.unlink(missing_ok=True)
        raise EngineError(
            f"cannot write the archive for Docker: {error.strerror or error}",
            where=str(file),
            hint="Free some space, or point TMPDIR at a larger disk.",
        ) from error


class _Whole:
    """A stream of which each read gives all that is asked for: what comes from a registry comes in pieces, and tarfile
    takes a short one for the end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        pieces = []
        while size and (piece := self._stream.read(size)):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


def _blob(descriptor: Descriptor) -> str:
    return descriptor.digest.partition(":")[2]


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
