"""OCI image layouts (image-spec, image-layout.md): a folder as an image, and the writer of such folders."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from crossdock.errors import CrossdockError, InputError
from crossdock.image.documents import (
    MAX_DOCUMENT,
    ImageDocuments,
    MalformedError,
    descriptor_json,
    parse_index,
    to_json,
)
from crossdock.image.model import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    REFERENCE_NAME,
    Descriptor,
    Image,
)
from crossdock.image.reference import parse_reference
from crossdock.image.stream import CheckedStream, Readable, check_bytes, digest_of
from crossdock.platforms import Platform
from crossdock.source import write_atomically

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT_MARK = b'{"imageLayoutVersion":"1.0.0"}'
CONTAINERD_NAME = "io.containerd.image.name"
"""Annotation of an index.json entry with the full reference; what ``docker load`` and containerd name the image by."""
COPY_CHUNK = 1 << 20


class LayoutImage(ImageDocuments):
    """An image in an OCI layout folder, as ``image.model.Image``. ``tag`` chooses one of several."""

    def __init__(self, folder: Path, tag: str | None = None) -> None:
        self.folder = folder
        self.name = f"{folder}:{tag}" if tag else str(folder)
        self._tag = tag
        self._root: Descriptor | None = None
        self._index_json = b""
        self._index_digest = ""

    def fault(self, what: str, hint: str) -> CrossdockError:
        return InputError(what, where=self.name, hint=hint)

    def root(self) -> Descriptor:
        if self._root is None:
            if not (self.folder / LAYOUT_FILE).is_file():
                raise self.fault(
                    f"is no OCI layout: it has no file {LAYOUT_FILE!r}",
                    "Write one with `docker buildx build -o type=oci,tar=false,dest=FOLDER`.",
                )
            self._index_json = self._bytes(self.folder / INDEX_FILE, INDEX_FILE)
            self._index_digest = digest_of(self._index_json)
            self._root = choose_root(self._index_json, self._tag, self.fault)
        return self._root

    def read(self, descriptor: Descriptor) -> bytes:
        if descriptor.digest == self._index_digest:
            return self._index_json
        data = self._bytes(self._path(descriptor), descriptor.digest)
        return check_bytes(descriptor, data, self.fault)

    def open(self, descriptor: Descriptor, *, verify: bool = True) -> AbstractContextManager[BinaryIO]:
        file = self._open(self._path(descriptor), descriptor.digest)
        return contextlib.closing(cast(BinaryIO, CheckedStream(file, descriptor, self.fault, verify=verify)))

    def _path(self, descriptor: Descriptor) -> Path:
        return blob_path(self.folder, descriptor.digest)

    def _open(self, path: Path, what: str) -> BinaryIO:
        try:
            return path.open("rb")
        except FileNotFoundError:
            raise self.fault(f"{what} is missing", "The layout is incomplete. Build or copy it again.") from None
        except OSError as error:
            raise self.fault(f"{what} cannot be read: {error.strerror}", "Make the file readable.") from error

    def _bytes(self, path: Path, what: str) -> bytes:
        with self._open(path, what) as file:
            try:
                data = file.read(MAX_DOCUMENT + 1)
            except OSError as error:
                raise self.fault(f"{what} cannot be read: {error.strerror}", "Check the disk.") from error
        if len(data) > MAX_DOCUMENT:
            raise self.fault(f"{what} is larger than {MAX_DOCUMENT} bytes", "It is no document of an image.")
        return data


def blob_path(folder: Path, digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    return folder / "blobs" / algorithm / value


def choose_root(index_json: bytes, tag: str | None, fault: Callable[[str, str], CrossdockError]) -> Descriptor:
    """The image that a layout's index.json means: the one with the tag, or the only one.

    When its entries are the platforms of one image, index.json itself is the index.
    """
    whole = Descriptor(OCI_INDEX, digest_of(index_json), len(index_json))
    try:
        entries = parse_index(whole, index_json).manifests
    except MalformedError as error:
        raise fault(f"{INDEX_FILE}: {error}", "Build or copy the image again.") from error
    usable = [entry for entry in entries if entry.media_type in INDEX_TYPES | MANIFEST_TYPES]
    chosen = [entry for entry in usable if tag is None or tag in _names(entry)]
    if not chosen:
        what = f"there is no image tagged {tag!r}" if tag else "there is no image in it"
        raise fault(what, f"It holds: {_listed(usable)}." if usable else "Build or copy the image again.")
    if len({entry.digest for entry in chosen}) == 1:
        return replace(chosen[0], annotations={}, platform=None)
    if len(chosen) == len(entries) and _is_one_image(chosen):
        return whole
    raise fault(
        f"it holds several images{f' tagged {tag!r}' if tag else ''}",
        f"Name one by its tag, as in oci:FOLDER:TAG or oci-archive:FILE:TAG. It holds: {_listed(chosen)}.",
    )


def _is_one_image(entries: Sequence[Descriptor]) -> bool:
    """Whether these are the platforms of one image: manifests, each for a platform of its own, under one name."""
    platforms = [entry.platform for entry in entries if not entry.is_attestation]
    names = {entry.annotations.get(REFERENCE_NAME) for entry in entries}
    return (
        all(entry.media_type in MANIFEST_TYPES for entry in entries)
        and None not in platforms
        and len(set(platforms)) == len(platforms) > 0
        and len(names) == 1
    )


def _names(entry: Descriptor) -> tuple[str, ...]:
    """What a tag may be written as: the tag, the full reference, or the digest."""
    named = (entry.annotations[key] for key in (REFERENCE_NAME, CONTAINERD_NAME) if key in entry.annotations)
    return (*named, entry.digest)


def _listed(entries: Iterable[Descriptor]) -> str:
    shown = [name if (name := _names(entry)[0]) != entry.digest else f"{name[:19]}…" for entry in entries]
    return ", ".join(dict.fromkeys(shown))


class LayoutWriter:
    """Writes an OCI layout. Content is checked while it is written, and every file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._writing():
            (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)

    def has(self, descriptor: Descriptor) -> bool:
        try:
            return blob_path(self.folder, descriptor.digest).stat().st_size == descriptor.size
        except OSError:
            return False

    def add_document(
        self, data: bytes, media_type: str, platform: Platform | None = None, annotations: dict[str, str] | None = None
    ) -> Descriptor:
        descriptor = Descriptor(media_type, digest_of(data), len(data), platform, annotations or {})
        if not self.has(descriptor):
            with self._temporary(descriptor) as file:
                file.write(data)
        return descriptor

    def add_blob(self, descriptor: Descriptor, source: Readable) -> None:
        """Copy a blob. Raises InputError when it is not what the descriptor says; then nothing is kept."""
        if self.has(descriptor):
            return
        with self._temporary(descriptor) as file:
            digest, size = hashlib.new(descriptor.digest.partition(":")[0]), 0
            while chunk := source.read(COPY_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
            found = f"{digest.name}:{digest.hexdigest()}"
            if (found, size) != (descriptor.digest, descriptor.size):
                raise InputError(
                    f"{descriptor.digest} has the digest {found} and {size} of {descriptor.size} bytes",
                    where=str(self.folder),
                    hint="The content was damaged on its way. Fetch or build the image again.",
                )

    def copy(self, image: Image, descriptor: Descriptor) -> None:
        """Copy a manifest with its config and layers."""
        manifest = image.manifest(descriptor)
        for blob in (manifest.config, *manifest.layers):
            if not self.has(blob):
                with image.open(blob) as source:
                    self.add_blob(blob, source)
        self.add_document(image.read(descriptor), descriptor.media_type)

    def finish(self, root: Descriptor, tags: Sequence[str] = ()) -> None:
        """Make the folder a layout whose only image is ``root``, under each tag (a reference) or without a name."""
        if not self.has(root):
            self._keep_index_json(root)
        with self._writing():
            write_atomically(self.folder / INDEX_FILE, index_json(root, tags))
            write_atomically(self.folder / LAYOUT_FILE, LAYOUT_MARK)

    def _keep_index_json(self, root: Descriptor) -> None:
        """The index may be what index.json itself was until now; then it becomes a blob before that is replaced."""
        with self._writing():
            path = self.folder / INDEX_FILE
            data = path.read_bytes() if path.is_file() else b""
        if digest_of(data) != root.digest:
            raise InputError(
                f"{root.digest} is missing", where=str(self.folder), hint="The layout is incomplete. Build it again."
            )
        self.add_document(data, root.media_type)

    @contextmanager
    def _temporary(self, descriptor: Descriptor) -> Iterator[BinaryIO]:
        """A file that becomes the blob when the block ends well, and vanishes otherwise."""
        target = blob_path(self.folder, descriptor.digest)
        with self._writing():
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".part-", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    yield file
                Path(name).chmod(0o644)
                Path(name).replace(target)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    Path(name).unlink()
                raise

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CrossdockError(
                f"cannot write: {error.strerror or error}",
                where=str(self.folder),
                hint="Free some space or make the folder writable, and run again.",
            ) from error


def index_json(root: Descriptor, tags: Sequence[str]) -> bytes:
    """A layout's index.json with one image. Each tag gives an entry that names it, as engines and skopeo read it."""
    entries = []
    for text in tags or [""]:
        annotations = dict(root.annotations)
        if text:
            reference = parse_reference(text)
            annotations |= {CONTAINERD_NAME: str(reference), REFERENCE_NAME: reference.tag or "latest"}
        entries.append(descriptor_json(replace(root, annotations=annotations)))
    return to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
