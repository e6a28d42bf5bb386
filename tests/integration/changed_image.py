"""An image like another one, whose configuration says something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crossdock.image.assemble import assemble_index
from crossdock.image.documents import descriptor_json, load_object, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_MANIFEST
from crossdock.platforms import Platform


def changed(base: Path, folder: Path, platforms: tuple[Platform, ...], **run: Any) -> str:
    """Write a layout with these platforms of the base, ``run`` in place of what its configuration says; its path."""
    found = LayoutImage(base, "latest")
    images = []
    for platform in platforms:
        manifest = found.manifest(next(entry for entry in found.index().images if entry.platform == platform))
        config = load_object(found.read(manifest.config))
        config["config"] |= run
        writer = LayoutWriter(folder / platform.architecture)
        for layer in manifest.layers:
            with found.open(layer) as stream:
                writer.add_blob(layer, stream)
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor_json(writer.add_document(to_json(config), OCI_CONFIG)),
            "layers": [descriptor_json(layer) for layer in manifest.layers],
        }
        writer.finish(writer.add_document(to_json(document), OCI_MANIFEST))
        images.append((LayoutImage(folder / platform.architecture), platform))
    layout = folder / "layout"
    assemble_index(LayoutWriter(layout), images)
    return str(layout)
