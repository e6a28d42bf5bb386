"""An image like another one, with more files, whose configuration says something else."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossdock.image.assemble import assemble_index
from crossdock.image.documents import descriptor_json, load_object, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from crossdock.image.stream import digest_of
from crossdock.platforms import Platform


def changed(
    base: Path, folder: Path, platforms: tuple[Platform, ...], files: Mapping[str, bytes] | None = None, **run: Any
) -> str:
    """Write a layout with these platforms of the base, executable ``files`` in one more layer, and ``run`` in place of
    what its configuration says; its path."""
    found = LayoutImage(base, "latest")
    images = []
    more = _tar(files or {})
    for platform in platforms:
        manifest = found.manifest(next(entry for entry in found.index().images if entry.platform == platform))
        config = load_object(found.read(manifest.config))
        config["config"] |= run
        config["rootfs"]["diff_ids"].append(digest_of(more))
        config["history"].append({"created_by": "COPY files / # buildkit"})
        writer = LayoutWriter(folder / platform.architecture)
        for layer in manifest.layers:
            with found.open(layer) as stream:
                writer.add_blob(layer, stream)
        added = writer.add_document(gzip.compress(more, mtime=0), OCI_LAYER_GZIP)
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor_json(writer.add_document(to_json(config), OCI_CONFIG)),
            "layers": [descriptor_json(layer) for layer in (*manifest.layers, added)],
        }
        writer.finish(writer.add_document(to_json(document), OCI_MANIFEST))
        images.append((LayoutImage(folder / platform.architecture), platform))
    layout = folder / "layout"
    assemble_index(LayoutWriter(layout), images)
    return str(layout)


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
