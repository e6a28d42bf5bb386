"""OCI layouts as engines leave them, joined into the one layout with one index that the rest works on."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from crossdock.errors import EngineError
from crossdock.image.archive import ArchiveImage
from crossdock.image.assemble import assemble_index
from crossdock.image.layout import LayoutImage, LayoutWriter, blob_path
from crossdock.image.model import INDEX_TYPES, REFERENCE_NAME, Descriptor, Image
from crossdock.platforms import Platform


def open_layout(folder: Path) -> Image:
    return LayoutImage(folder)


def as_index(folder: Path) -> None:
    """Make the image in a layout an index, also where there is only one platform, and take its names away: names are
    given when it is published."""
    image = LayoutImage(folder)
    root = image.root()
    if root.media_type in INDEX_TYPES:
        LayoutWriter(folder).finish(root)
        return
    platform = image.config(image.manifest(root)).platform
    assemble_index(LayoutWriter(folder), [(image, platform)])


def assemble(parts: Sequence[tuple[Platform, Path]], folder: Path) -> Path:
    """Join images of one platform each (layouts, or archives of them) into one layout."""
    images = [(ArchiveImage(part) if part.is_file() else LayoutImage(part), platform) for platform, part in parts]
    assemble_index(LayoutWriter(folder), images, unverified=True)
    return folder


def one_platform(layout: Path, platform: Platform, folder: Path, tag: str, *, triggers: bool = True) -> None:
    """Make ``folder`` a layout whose only image, tagged ``tag``, is that of one platform; its layers are links.

    This is how buildah gets an image of another platform than its own: from an index in an untagged layout, buildah
    1.39 takes the contents of the platform asked for and the identity of its own. Without ``triggers`` the image has no
    ONBUILD, which ``buildah from`` would execute. Raises EngineError.
    """
    image = LayoutImage(layout)
    entry = next((entry for entry in image.index().images if entry.platform == platform), None)
    if entry is None:
        raise EngineError(f"the image has no {platform}", where=str(layout), hint="Build it for this platform as well.")
    writer = LayoutWriter(folder)
    manifest = image.manifest(entry)
    config, document = image.read(manifest.config), image.read(entry)
    settings = json.loads(config)
    if not triggers and (settings.get("config") or {}).pop("OnBuild", None):
        config = json.dumps(settings).encode()
        parsed = json.loads(document)
        added = writer.add_document(config, manifest.config.media_type)
        parsed["config"] |= {"digest": added.digest, "size": added.size}
        document = json.dumps(parsed).encode()
    writer.add_document(config, manifest.config.media_type)
    root = writer.add_document(document, entry.media_type)
    for layer in manifest.layers:
        link = blob_path(folder, layer.digest)
        if not link.exists():
            link.symlink_to(blob_path(layout, layer.digest).absolute())
    _finish(folder, root, tag)


def one_image(layout: Path, name: str | None, folder: Path, tag: str) -> None:
    """Make ``folder`` a layout whose only image, tagged ``tag``, is the one that ``name`` (a tag or a digest) chooses
    in ``layout``; blobs are links. This is how buildah gets a base: it finds an image by its tag only, and 1.39 mixes
    up the platforms of one without. Raises InputError."""
    image = LayoutImage(layout, name)
    root = image.root()
    for blob in (layout / "blobs").glob("*/*"):
        link = folder / blob.relative_to(layout)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob.absolute())
    LayoutWriter(folder).add_document(image.read(root), root.media_type)
    _finish(folder, root, tag)


def _finish(folder: Path, root: Descriptor, tag: str) -> None:
    """index.json with the short tag alone: by a full reference, as others write it, buildah finds nothing."""
    annotations = {REFERENCE_NAME: tag}
    descriptor = {"mediaType": root.media_type, "digest": root.digest, "size": root.size, "annotations": annotations}
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))


def unpack(archive: Path, folder: Path) -> None:
    """An OCI archive of the engine's into a folder; the archive is removed."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise EngineError(f"the engine's archive cannot be unpacked: {error}", where=str(archive)) from error
    finally:
        archive.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a folder of ours, whatever state it is in."""
    shutil.rmtree(folder, ignore_errors=True)
    Path(f"{folder}.tar").unlink(missing_ok=True)
