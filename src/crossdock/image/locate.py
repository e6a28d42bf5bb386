"""From what a user calls an image to the image: a folder, an archive or a reference."""

from __future__ import annotations

from pathlib import Path

from crossdock.errors import CrossdockError, InputError, UsageError
from crossdock.image.archive import ArchiveImage
from crossdock.image.documents import ImageDocuments
from crossdock.image.layout import LAYOUT_FILE, LayoutImage
from crossdock.image.reference import parse_reference
from crossdock.image.registries import Registries

_REGISTRY = "docker://"
_PATH_STARTS = ("/", "./", "../", "~")
ARCHIVE_ENDS = (".tar", ".tar.gz", ".tgz", ".oci", ".tar.zst")


def open_image(text: str, registries: Registries) -> ImageDocuments:
    """The image that ``text`` names; an ``image.model.Image``. Nothing is read from a registry yet.

    An existing folder is an OCI layout and an existing file an archive, so a path wins over a reference. skopeo's
    prefixes say it explicitly: ``oci:FOLDER[:TAG]``, ``oci-archive:FILE[:TAG]``, ``docker-archive:FILE[:NAME]`` and
    ``docker://REFERENCE``. Raises InputError for a path that is none, UsageError for what cannot be a reference.
    """
    if local := open_local(text):
        return local
    try:
        return registries.image(parse_reference(text.removeprefix(_REGISTRY)))
    except UsageError as error:
        if text.startswith(_REGISTRY):
            raise
        raise UsageError(
            error.what, where=error.where, hint=f"There is no file or folder of that name either. {error.hint}"
        ) from None


def open_local(text: str) -> ImageDocuments | None:
    """The image in a folder or a file, as ``open_image`` has it; None where ``text`` may be a reference. Raises
    InputError for a path that is none."""
    if not text.strip():
        raise UsageError("an image has no name", hint="Name a folder, an archive or a reference such as alpine:3.20.")
    if text.startswith(_REGISTRY):
        return None
    for prefix in ("oci:", "oci-archive:", "docker-archive:"):
        if text.startswith(prefix):
            path, tag = _path_and_tag(text.removeprefix(prefix))
            return _local(path, tag)
    path = Path(text).expanduser()
    if _exists(path):
        return _local(path, None)
    if text.startswith(_PATH_STARTS) or text.endswith(ARCHIVE_ENDS):
        raise InputError("there is no such file or folder", where=text, hint="Check the path.")
    return None


def _local(path: Path, tag: str | None) -> ImageDocuments:
    if not _exists(path):
        raise InputError("there is no such file or folder", where=str(path), hint="Check the path.")
    if not path.is_dir():
        return ArchiveImage(path, tag)
    if not (path / LAYOUT_FILE).is_file():
        raise InputError(
            f"the folder is no OCI layout: it has no file {LAYOUT_FILE!r}",
            where=str(path),
            hint="A project is for `crossdock check`; a root file system is named rootfs:FOLDER.",
        )
    return LayoutImage(path, tag)


def _path_and_tag(text: str) -> tuple[Path, str | None]:
    """``PATH:TAG``, where the path itself may have colons: the longest existing path is meant."""
    path = Path(text).expanduser()
    at = len(text)
    while not _exists(path) and (at := text.rfind(":", 0, at)) > 0:
        candidate = Path(text[:at]).expanduser()
        if _exists(candidate):
            return candidate, text[at + 1 :] or None
    return path, None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise CrossdockError(
                "cannot be looked at: no permission", where=str(path), hint="Make the folder readable."
            ) from error
        return False
