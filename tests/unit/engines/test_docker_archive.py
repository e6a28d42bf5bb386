"""The archive that every docker load reads."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from crossdock.engines.docker_archive import write_docker_archive
from crossdock.image.documents import descriptor_json, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from crossdock.image.stream import digest_of
from crossdock.platforms import ARM64


class InPieces(LayoutImage):
    """As an image in a registry: a read may give less than was asked for."""

    @contextmanager
    def open(self, descriptor: Descriptor, *, verify: bool = True) -> Iterator[BinaryIO]:
        with super().open(descriptor, verify=verify) as stream:
            yield cast("BinaryIO", _Pieces(stream))


class _Pieces:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(min(size, 7) if size >= 0 else size)


def test_what_comes_in_pieces_is_written_whole(tmp_path: Path) -> None:
    writer = LayoutWriter(tmp_path / "layout")
    data = gzip.compress(bytes(range(256)) * 40, mtime=0)
    layer = writer.add_document(data, OCI_LAYER_GZIP)
    rootfs = {"type": "layers", "diff_ids": [digest_of(gzip.decompress(data))]}
    config = writer.add_document(to_json({"os": "linux", "architecture": "arm64", "rootfs": rootfs}), OCI_CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor_json(config)}
    manifest["layers"] = [descriptor_json(layer)]
    writer.finish(writer.add_document(to_json(manifest), OCI_MANIFEST))
    write_docker_archive(InPieces(tmp_path / "layout"), ARM64, ("a:1",), tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        (listed,) = json.loads(cast("io.BufferedReader", archive.extractfile("manifest.json")).read())
        (name,) = listed["Layers"]
        assert cast("io.BufferedReader", archive.extractfile(name)).read() == data
