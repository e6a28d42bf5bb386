"""Archives: an OCI layout or a ``docker save`` in one tar file, read in place, and the writer of OCI archives."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import posixpath
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from crossdock.errors import CrossdockError, InputError
from crossdock.image.documents import (
    MAX_DOCUMENT,
    ImageDocuments,
    MalformedError,
    contents,
    descriptor_json,
    load_list,
    load_object,
    to_json,
)
from crossdock.image.layout import (
    COPY_CHUNK,
    INDEX_FILE,
    LAYOUT_FILE,
    LAYOUT_MARK,
    LayoutImage,
    choose_root,
    index_json,
)
from crossdock.image.model import OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor
from crossdock.image.reference import parse_reference
from crossdock.image.stream import CheckedStream, check_bytes, digest_of
from crossdock.source import replacing

DOCKER_MANIFEST_FILE = "manifest.json"
_GZIP = b"\x1f\x8b"
_COMPRESSIONS = {b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_MAX_MEMBERS = 200_000
_MAX_LINKS = 8
_MAX_RATIO = 100
"""How much larger than its gzip an archive may be. Layers hardly shrink at all when they are compressed already, and
plain ones to a third; what grows a hundredfold was made to fill disks."""
_ALWAYS_FINE = 1 << 30
"""Bytes that an archive may have whatever the ratio."""
_REBUILD = "The archive is damaged or incomplete. Write it again."


@dataclass(frozen=True)
class _Member:
    """Where a file's bytes are in the tar."""

    offset: int
    size: int


class _Handle:
    """An open file for as long as anything still reads from it."""

    def __init__(self, file: BinaryIO) -> None:
        self.descriptor = os.dup(file.fileno())

    def __del__(self) -> None:
        os.close(self.descriptor)


class ArchiveImage(ImageDocuments):
    """An image in an archive, as ``image.model.Image``. Blobs are read at their offsets in the tar; only a gzipped tar
    is decompressed first, into a temporary file without a name. ``tag`` chooses one of several images.

    A Docker archive has no manifest; an OCI manifest is made up for it, of config and layers as they are.
    """

    def __init__(self, path: Path, tag: str | None = None) -> None:
        self.path = path
        self.name = f"{path}:{tag}" if tag else str(path)
        self._tag = tag
        self._handle: _Handle | None = None
        self._members: Mapping[str, _Member] = {}
        self._documents: dict[str, bytes] = {}
        """Documents that are in the archive under no digest."""
        self._blobs: dict[str, _Member] = {}
        """The same for blobs."""
        self._root: Descriptor | None = None

    def fault(self, what: str, hint: str) -> CrossdockError:
        return InputError(what, where=self.name, hint=hint)

    def root(self) -> Descriptor:
        if self._root is None:
            with self._plain_tar() as file:
                self._members = self._scan(file)
                self._handle = _Handle(file)
            if {INDEX_FILE, LAYOUT_FILE} <= self._members.keys():
                self._root = self._oci_root()
            elif DOCKER_MANIFEST_FILE in self._members:
                self._root = self._docker_root()
            else:
                raise self.fault(
                    f"is no image: there is neither {INDEX_FILE} nor {DOCKER_MANIFEST_FILE} in it",
                    "Write one with `crossdock build -o type=oci,dest=FILE .` or `docker save -o FILE IMAGE`.",
                )
        return self._root

    def read(self, descriptor: Descriptor) -> bytes:
        self.root()
        data = self._documents.get(descriptor.digest)
        if data is None:
            data = self._bytes(self._blob(descriptor.digest), descriptor.digest)
        return check_bytes(descriptor, data, self.fault)

    def open(self, descriptor: Descriptor, *, verify: bool = True) -> AbstractContextManager[BinaryIO]:
        self.root()
        made_up = self._documents.get(descriptor.digest)
        source = io.BytesIO(made_up) if made_up is not None else self._section(self._blob(descriptor.digest))
        return contextlib.closing(cast(BinaryIO, CheckedStream(source, descriptor, self.fault, verify=verify)))

    @contextmanager
    def _plain_tar(self) -> Iterator[BinaryIO]:
        """The tar itself, seekable."""
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise self.fault(f"cannot be read: {error.strerror or error}", "Check the path.") from error
        with file:
            try:
                magic = file.read(8)
                file.seek(0)
            except OSError as error:
                raise self.fault(f"cannot be read: {error.strerror or error}", "Name a file.") from error
            for other, name in _COMPRESSIONS.items():
                if magic.startswith(other):
                    raise self.fault(f"is compressed with {name}", f"Decompress it first, with `{name} -d`.")
            if not magic.startswith(_GZIP):
                yield file
                return
            with tempfile.TemporaryFile(prefix="crossdock-") as plain:
                self._decompress(file, plain)
                yield cast(BinaryIO, plain)

    def _decompress(self, file: BinaryIO, plain: IO[bytes]) -> None:
        limit = max(_ALWAYS_FINE, _MAX_RATIO * os.fstat(file.fileno()).st_size)
        with gzip.GzipFile(fileobj=file) as packed:
            while True:
                try:
                    chunk = packed.read(COPY_CHUNK)
                except (OSError, EOFError, zlib.error) as error:
                    raise self.fault("the gzip stream is damaged or cut off", _REBUILD) from error
                if not chunk:
                    return
                if plain.tell() > limit:
                    raise self.fault(
                        f"decompresses to more than {limit >> 20} MiB, which no real archive of its size does",
                        "Do not use it, or decompress it with gunzip first if you know what it is.",
                    )
                try:
                    plain.write(chunk)
                    plain.flush()
                except OSError as error:
                    raise self.fault(
                        f"cannot be decompressed into {tempfile.gettempdir()}: {error.strerror or error}",
                        "Free some space, set TMPDIR to a larger disk, or decompress it with gunzip first.",
                    ) from error

    def _scan(self, file: BinaryIO) -> Mapping[str, _Member]:
        """Every regular file by its name; links are followed, as old Docker links layers that occur twice."""
        members: dict[str, _Member] = {}
        links: dict[str, str] = {}
        file.seek(0, io.SEEK_END)
        size = file.tell()
        file.seek(0)
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for number, entry in enumerate(tar):
                    if number >= _MAX_MEMBERS:
                        raise self.fault(f"has more than {_MAX_MEMBERS} files", "It is no archive of an image.")
                    name = posixpath.normpath(entry.name)
                    if entry.isreg() and not entry.issparse():
                        members[name] = _Member(entry.offset_data, entry.size)
                    elif entry.issym():
                        links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), entry.linkname))
                    elif entry.islnk():
                        links[name] = posixpath.normpath(entry.linkname)
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            raise self.fault("is no tar archive, or is cut off", _REBUILD) from error
        except OSError as error:
            raise self.fault(f"cannot be read: {error.strerror or error}", "Check the disk.") from error
        if any(member.offset + member.size > size for member in members.values()):
            raise self.fault("is cut off", _REBUILD)
        for name in links:
            target = name
            for _ in range(_MAX_LINKS):
                target = links.get(target, target)
            if target in members:
                members.setdefault(name, members[target])
        return members

    def _oci_root(self) -> Descriptor:
        data = self._bytes(self._members[INDEX_FILE], INDEX_FILE)
        self._documents[digest_of(data)] = data
        return choose_root(data, self._tag, self.fault)

    def _docker_root(self) -> Descriptor:
        """``docker save``: manifest.json lists images, each with a config file and layer files from the base up."""
        data = self._bytes(self._members[DOCKER_MANIFEST_FILE], DOCKER_MANIFEST_FILE)
        try:
            entry = self._chosen([_DockerEntry.parse(item) for item in load_list(data)])
            config = self._bytes(self._named(entry.config), entry.config)
            diff_ids = _diff_ids(config)
        except MalformedError as error:
            raise self.fault(f"{DOCKER_MANIFEST_FILE}: {error}", _REBUILD) from error
        if len(diff_ids) != len(entry.layers):
            raise self.fault(f"it has {len(entry.layers)} layers, and the config names {len(diff_ids)}", _REBUILD)
        layers = [self._layer(path, diff_id) for path, diff_id in zip(entry.layers, diff_ids, strict=True)]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor_json(self._made_up(config, OCI_CONFIG)),
            "layers": [descriptor_json(layer) for layer in layers],
        }
        return self._made_up(to_json(manifest), OCI_MANIFEST)

    def _chosen(self, entries: Sequence[_DockerEntry]) -> _DockerEntry:
        found = [entry for entry in entries if self._tag is None or entry.has_tag(self._tag)]
        if len({entry.config for entry in found}) == 1:
            return found[0]
        held = ", ".join(tag for entry in entries for tag in entry.tags) or "images without a name"
        if not found:
            raise self.fault(f"there is no image {self._tag or ''} in it".replace("  ", " "), f"It holds: {held}.")
        raise self.fault(
            "it holds several images", f"Name one by its tag, as in docker-archive:FILE:NAME:TAG. It holds: {held}."
        )

    def _layer(self, path: str, diff_id: str) -> Descriptor:
        """A layer file. Docker writes them plain, so that the diff id is the digest; some builders write them gzipped,
        and then the digest has to be computed."""
        member = self._named(path)
        if self._section(member).read(2) != _GZIP:
            self._blobs[diff_id] = member
            return Descriptor(OCI_LAYER, diff_id, member.size)
        digest, section = hashlib.sha256(), self._section(member)
        while chunk := section.read(COPY_CHUNK):
            digest.update(chunk)
        self._blobs[f"sha256:{digest.hexdigest()}"] = member
        return Descriptor(OCI_LAYER_GZIP, f"sha256:{digest.hexdigest()}", member.size)

    def _made_up(self, data: bytes, media_type: str) -> Descriptor:
        descriptor = Descriptor(media_type, digest_of(data), len(data))
        self._documents[descriptor.digest] = data
        return descriptor

    def _named(self, path: str) -> _Member:
        member = self._members.get(posixpath.normpath(path))
        if member is None:
            raise self.fault(f"{path} is missing in it", _REBUILD)
        return member

    def _blob(self, digest: str) -> _Member:
        return self._blobs.get(digest) or self._named(f"blobs/{digest.replace(':', '/')}")

    def _section(self, member: _Member) -> _Section:
        assert self._handle is not None
        return _Section(self._handle, member)

    def _bytes(self, member: _Member, what: str) -> bytes:
        if member.size > MAX_DOCUMENT:
            raise self.fault(f"{what} is larger than {MAX_DOCUMENT} bytes", "It is no document of an image.")
        try:
            return self._section(member).read(member.size)
        except OSError as error:
            raise self.fault(f"{what} cannot be read: {error.strerror or error}", "Check the disk.") from error


class _Section:
    """The bytes of one member. Reads at a position of its own, so threads can read several at once."""

    def __init__(self, handle: _Handle, member: _Member) -> None:
        self._handle = handle
        self._position = member.offset
        self._end = member.offset + member.size

    def read(self, size: int, /) -> bytes:
        data = os.pread(self._handle.descriptor, min(size, self._end - self._position), self._position)
        self._position += len(data)
        return data

    def close(self) -> None:
        """The file stays open for the other sections."""


@dataclass(frozen=True)
class _DockerEntry:
    """One image of a Docker archive's manifest.json."""

    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]

    @classmethod
    def parse(cls, item: object) -> _DockerEntry:
        if not isinstance(item, dict) or not isinstance(item.get("Config"), str):
            raise MalformedError("an entry has no config")
        tags, layers = item.get("RepoTags") or [], item.get("Layers") or []
        for value in (tags, layers):
            if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
                raise MalformedError("tags and layers should be lists of texts")
        return cls(item["Config"], tuple(tags), tuple(layers))

    def has_tag(self, wanted: str) -> bool:
        return any(wanted == tag or tag.endswith((f":{wanted}", f"/{wanted}")) for tag in self.tags)


def _diff_ids(config: bytes) -> tuple[str, ...]:
    rootfs = load_object(config).get("rootfs")
    found = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise MalformedError("the config has no rootfs.diff_ids")
    return tuple(found)


def write_oci_archive(layout: Path, destination: Path, tags: Sequence[str] = ()) -> None:
    """Write the image of an OCI layout as one tar file that skopeo, podman and ``docker load`` read.

    Docker's classic image store (any before 29, unless switched over) reads no OCI layout and holds one platform per
    name: for an image of one platform the archive says in Docker's own manifest.json as well what is in it.

    The same layout gives the same bytes. The content is checked on the way; the file appears whole or not at all.
    Raises InputError for an incomplete layout, CrossdockError when it cannot be written.
    """
    image = LayoutImage(layout)
    parts = contents(image)
    with replacing(destination) as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        found = {descriptor.digest: descriptor for descriptor in (*parts.blobs, *parts.documents)}
        paths = {_blob_name(descriptor): descriptor for descriptor in found.values()}
        for folder in sorted({"blobs", *(posixpath.dirname(path) for path in paths)}):
            tar.addfile(_entry(folder, 0, folder=True))
        for path in sorted(paths):
            descriptor = paths[path]
            if descriptor in parts.documents:
                # The index may be the layout's index.json itself, which is no blob there.
                tar.addfile(_entry(path, descriptor.size), io.BytesIO(image.read(descriptor)))
            else:
                with image.open(descriptor) as source:
                    tar.addfile(_entry(path, descriptor.size), source)
        own = {INDEX_FILE: index_json(image.root(), tags), LAYOUT_FILE: LAYOUT_MARK}
        if docker := _docker_manifest(image, tags):
            own[DOCKER_MANIFEST_FILE] = docker
        for name, data in own.items():
            tar.addfile(_entry(name, len(data)), io.BytesIO(data))


def _docker_manifest(image: LayoutImage, tags: Sequence[str]) -> bytes | None:
    """Docker's manifest.json over the blobs of the archive, for an image of one platform (moby, image/spec v1.2)."""
    images = image.index().images
    if len(images) != 1 or not images[0].platform:
        return None
    manifest = image.manifest(images[0])
    names = [reference.familiar for text in tags if (reference := parse_reference(text)).tag]
    entry = {
        "Config": _blob_name(manifest.config),
        "RepoTags": names or None,
        "Layers": [_blob_name(layer) for layer in manifest.layers],
    }
    return to_json([entry])


def _blob_name(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor.digest.replace(':', '/')}"


def _entry(name: str, size: int, *, folder: bool = False) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = (tarfile.DIRTYPE, 0o755) if folder else (tarfile.REGTYPE, 0o644)
    entry.size = size
    return entry
