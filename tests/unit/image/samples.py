"""Small images for tests: two platforms, one layer each, in OCI layouts."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

from crossdock.image.assemble import assemble_index
from crossdock.image.documents import contents, descriptor_json, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, Image
from crossdock.image.stream import digest_of
from crossdock.platforms import AMD64, ARM64, Platform


def layer(files: Mapping[str, bytes]) -> bytes:
    """A plain layer tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def config(platform: Platform, *layers: bytes) -> bytes:
    document = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {
            "Entrypoint": ["/app"],
            "Cmd": ["--serve"],
            "Env": ["PATH=/bin:/usr/bin", "EMPTY=", "MODE=a=b"],
            "WorkingDir": "/srv",
            "User": "1000:1000",
        },
        "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in layers]},
        "history": [
            {"created_by": "COPY app /app"},
            {"created_by": 'ENTRYPOINT ["/app"]', "empty_layer": True},
        ],
    }
    return to_json(document)


def write_image(folder: Path, platform: Platform, size: int = 1000) -> LayoutImage:
    """A single-platform image."""
    writer = LayoutWriter(folder)
    plain = layer({"app": f"{platform}\n".encode() * size})
    packed = writer.add_document(gzip.compress(plain, mtime=0), OCI_LAYER_GZIP)
    described = writer.add_document(config(platform, plain), OCI_CONFIG)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor_json(described),
        "layers": [descriptor_json(packed)],
    }
    writer.finish(writer.add_document(to_json(document), OCI_MANIFEST))
    return LayoutImage(folder)


def write_index(folder: Path, tags: tuple[str, ...] = (), size: int = 1000) -> LayoutImage:
    """An image for amd64 and arm64."""
    images = [(write_image(folder / platform.architecture, platform, size), platform) for platform in (AMD64, ARM64)]
    writer = LayoutWriter(folder / "both")
    assemble_index(writer, [(image, platform) for image, platform in images], tags)
    return LayoutImage(folder / "both")


def document(layout: LayoutImage, descriptor: Descriptor) -> dict[str, object]:
    loaded = json.loads(layout.read(descriptor))
    assert isinstance(loaded, dict)
    return loaded


def set_index_json(folder: Path, entries: list[dict[str, object]]) -> None:
    (folder / "index.json").write_bytes(to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}))


def everything(image: Image) -> dict[str, bytes]:
    """All content by digest."""
    parts = contents(image)
    found = {document.digest: image.read(document) for document in parts.documents}
    for blob in parts.blobs:
        with image.open(blob) as stream:
            found[blob.digest] = stream.read()
    return found
