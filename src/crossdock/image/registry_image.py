"""An image in a registry (distribution-spec, pull): one GET by tag, every byte checked, every fault named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

from crossdock.errors import CrossdockError, Kind, RegistryError
from crossdock.http.client import Response
from crossdock.http.model import Document, Reason, Unreachable
from crossdock.image.cache import DocumentCache
from crossdock.image.documents import (
    MAX_DOCUMENT,
    MAX_NESTING,
    ImageDocuments,
    MalformedError,
    load_object,
    parse_index,
)
from crossdock.image.model import (
    CONFIG_TYPES,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Index,
)
from crossdock.image.reference import DOCKER_HUB, Reference
from crossdock.image.registry import Registry
from crossdock.image.stream import CheckedStream, check_bytes, digest_of

ACCEPT = {"Accept": ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))}
"""One request answers for every kind of image, so no registry converts or refuses."""
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_VAGUE_TYPES = frozenset({"", "application/json", "text/plain", "application/octet-stream", "binary/octet-stream"})
_RESUME_WINDOW = 16 << 20
"""Bytes. A download that got this far since it last broke off has earned a full number of new attempts."""


class RegistryImage(ImageDocuments):
    """An image in a registry, as ``image.model.Image``. ``fetch`` is for the HTTP client's event loop, and brings all
    that ``index`` needs; the rest is for other threads, and asks when it is used."""

    def __init__(self, reference: Reference, registry: Registry, cache: DocumentCache | None = None) -> None:
        self.name = reference.familiar
        self.reference = reference
        self.registry = registry
        self._cache = cache
        self._root: Descriptor | None = None
        self._documents: dict[str, bytes] = {}

    def fault(self, what: str, hint: str) -> CrossdockError:
        return RegistryError(what, where=self.name, hint=hint, kind=Kind.NO_IMAGE)

    def root(self) -> Descriptor:
        return self._root or self.registry.http.run(self._fetch_root())

    def index(self) -> Index:
        if self._root is None:
            self.registry.http.run(self.fetch())
        return super().index()

    def read(self, descriptor: Descriptor) -> bytes:
        known = self._documents.get(descriptor.digest)
        return self.registry.http.run(self._fetch(descriptor)) if known is None else known

    def open(self, descriptor: Descriptor, *, verify: bool = True) -> AbstractContextManager[BinaryIO]:
        source = _Download(self, descriptor)
        # RawIOBase has what readers use of BinaryIO; typeshed keeps the two apart.
        stream = cast(BinaryIO, CheckedStream(source, descriptor, self.damaged, verify=verify))
        return contextlib.closing(stream)

    async def fetch(self) -> None:
        """The documents that tell the platforms: the index alone, or a single manifest and its config. Then ``index``
        answers without asking. Raises RegistryError."""
        await self._fetch_platforms(await self._fetch_root())

    async def fetch_manifest(self, descriptor: Descriptor) -> None:
        """One platform's manifest, so that ``manifest`` answers without asking. Raises RegistryError."""
        await self._fetch(descriptor)

    async def _fetch_platforms(self, descriptor: Descriptor, depth: int = 0) -> None:
        data = await self._fetch(descriptor)
        try:
            if descriptor.media_type in INDEX_TYPES:
                entries = parse_index(descriptor, data).manifests if depth < MAX_NESTING else ()
                unclear = [
                    entry
                    for entry in entries
                    if entry.media_type in INDEX_TYPES
                    or (entry.platform is None and not entry.is_attestation and entry.media_type in MANIFEST_TYPES)
                ]
                for entry in unclear:
                    await self._fetch_platforms(entry, depth + 1)
                return
        except MalformedError:
            return  # ``index`` says what is wrong
        try:
            config = self.manifest(descriptor).config
        except CrossdockError:
            return  # this too
        if config.media_type in CONFIG_TYPES:
            await self._fetch(config)

    async def blob(self, descriptor: Descriptor, start: int) -> Response:
        """The answer that brings a blob from byte ``start`` on, or from the beginning where the registry has no
        ranges. Raises RegistryError."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        answer = await self.registry.stream(self.reference, f"blobs/{descriptor.digest}", headers=headers)
        if isinstance(answer, Document):
            raise await self.registry.refusal(answer, self.reference, f"the blob {descriptor.digest}")
        return answer

    async def _fetch_root(self) -> Descriptor:
        """By digest from the cache; a tag in one GET. Docker Hub counts GETs but not HEADs, so there a tag whose
        digest is cached is only looked at."""
        if self._root is None:
            self._root = await self._cached_root() or await self._ask_root()
        return self._root

    async def _cached_root(self) -> Descriptor | None:
        if not self._cache:
            return None
        digest = self.reference.digest
        if not digest and self.registry.host == DOCKER_HUB:
            digest = self._cache.tagged(self.reference)
        cached = self._cache.document(digest) if digest else None
        if not digest or not cached or cached.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            return None
        if not self.reference.digest and not await self._still_has(digest):
            return None
        return self._known(digest, cached.media_type, cached.data)

    async def _still_has(self, digest: str) -> bool:
        """Whether the tag still is what it was."""
        tail = f"manifests/{self.reference.identifier}"
        answer = await self.registry.get(self.reference, tail, method="HEAD", headers=ACCEPT)
        return answer.status == 200 and answer.headers.get("docker-content-digest") == digest

    async def _ask_root(self) -> Descriptor:
        data, media_type = await self._manifest(self.reference.identifier)
        wanted = self.reference.digest
        digest = digest_of(data, (wanted or "sha256:").partition(":")[0])
        if wanted and digest != wanted:
            raise self._replaced(wanted, digest)
        if self._cache and self.reference.tag and not wanted and self.registry.host == DOCKER_HUB:
            self._cache.keep_tag(self.reference, digest)
        return self._known(digest, media_type, data, keep=True)

    def _known(self, digest: str, media_type: str, data: bytes, *, keep: bool = False) -> Descriptor:
        self._documents[digest] = data
        if keep and self._cache:
            self._cache.keep(digest, media_type, data)
        return Descriptor(media_type, digest, len(data))

    async def _fetch(self, descriptor: Descriptor) -> bytes:
        if descriptor.digest not in self._documents:
            if descriptor.size > MAX_DOCUMENT:
                raise RegistryError(
                    f"{descriptor.digest} should be a document, but has {descriptor.size} bytes",
                    where=self.name,
                    hint="No index, manifest or config is that large. Build the image again.",
                    kind=Kind.TOO_LARGE,
                )
            cached = self._cache.document(descriptor.digest) if self._cache else None
            if cached:
                data = check_bytes(descriptor, cached.data, self.damaged)
            elif descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES:
                data = check_bytes(descriptor, (await self._manifest(descriptor.digest))[0], self.damaged)
            else:
                answer = await self.registry.get(self.reference, f"blobs/{descriptor.digest}")
                if answer.status != 200:
                    raise await self.registry.refusal(answer, self.reference, f"the blob {descriptor.digest}")
                data = check_bytes(descriptor, answer.body, self.damaged)
            self._known(descriptor.digest, descriptor.media_type, data, keep=cached is None)
        return self._documents[descriptor.digest]

    async def _manifest(self, identifier: str) -> tuple[bytes, str]:
        """The bytes and the media type of an index or a manifest."""
        answer = await self.registry.get(self.reference, f"manifests/{identifier}", headers=ACCEPT)
        if answer.status != 200:
            kind = "the manifest" if ":" in identifier else "the tag"
            raise await self.registry.refusal(answer, self.reference, f"{kind} {identifier}")
        announced = answer.headers.get("docker-content-digest", "")
        if announced.startswith("sha256:") and (found := digest_of(answer.body)) != announced:
            raise self._replaced(announced, found)
        return answer.body, self._media_type(answer)

    def _media_type(self, answer: Document) -> str:
        said = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if said in INDEX_TYPES | MANIFEST_TYPES:
            return said
        if said.startswith(_SCHEMA_1):
            raise self.fault(
                "the image is in Docker's old format (schema 1), which has no platforms",
                "Pull and push it again with a current Docker, or use a newer tag.",
            )
        if said in _VAGUE_TYPES:
            found = _sniffed(answer.body)
            if found:
                return found
        raise self.fault(
            f"the registry sent {said or 'something without a media type'} instead of an image manifest",
            "Is this the registry you mean? A proxy or login page may have answered in its place.",
        )

    def damaged(self, what: str, hint: str) -> CrossdockError:
        return RegistryError(what, where=self.name, hint=hint, kind=Kind.DIGEST)

    def _replaced(self, wanted: str, found: str) -> CrossdockError:
        return self.damaged(
            f"the registry sent a manifest with the digest {found} for {wanted}",
            "It was damaged or replaced on its way. Run again; if it stays so, do not use this image.",
        )


class _Download:
    """A blob's bytes, fetched on: when the connection breaks off, the rest is asked for again. ``close`` may be called
    from another thread; a ``read`` that waits ends with an error then."""

    def __init__(self, image: RegistryImage, descriptor: Descriptor) -> None:
        self._image = image
        self._descriptor = descriptor
        self._asked: Future[Response] | None = None
        self._response: Response | None = None
        self._closed = False
        self._chunks: Iterator[bytes] = iter(())
        self._pending = b""
        self._taken = 0
        self._position = 0
        self._failures = 0
        self._failed_at = 0

    def read(self, size: int, /) -> bytes:
        while self._taken == len(self._pending):
            self._pending, self._taken = b"", 0
            try:
                if self._response is None:
                    self._start()
                    continue
                chunk = next(self._chunks, b"")
                if not chunk and self._position < self._descriptor.size:
                    raise Unreachable("the connection broke off in the middle", Reason.BROKEN)
            except Unreachable as error:
                self._count(error)
                continue
            if not chunk:
                return b""
            self._pending += chunk
            self._position += len(chunk)
        piece = self._pending[self._taken : self._taken + size]
        self._taken += len(piece)
        return piece

    def close(self) -> None:
        self._closed = True
        self._leave()

    def _leave(self) -> None:
        """Let go of the connection, or of the wait for one."""
        asked, response, self._response = self._asked, self._response, None
        if asked:
            asked.cancel()
        if response:
            response.close()

    def _start(self) -> None:
        self._asked = self._image.registry.http.start(self._image.blob(self._descriptor, self._position))
        stopped = Unreachable("the transfer was stopped", Reason.BROKEN, where=self._image.name)
        try:
            # Looked at after each step, as ``close`` may come in between and not see what that step brings.
            if self._closed:
                raise stopped
            self._response = self._asked.result()
            if self._closed:
                raise stopped
        except CancelledError:
            raise stopped from None
        except BaseException:
            self._leave()
            raise
        self._chunks = self._response.chunks()
        if self._position and self._response.status == 200:
            self._skip(self._position)

    def _skip(self, count: int) -> None:
        """Pass over what is already there, where the registry started from the beginning."""
        while count > 0:
            chunk = next(self._chunks, b"")
            if not chunk:
                return
            if len(chunk) > count:
                rest = chunk[count:]
                self._pending = rest
                self._position += len(rest)
            count -= len(chunk)

    def _count(self, error: Unreachable) -> None:
        """Give up after too many breaks on too little progress, and when nobody wants it any more."""
        if self._closed:
            raise error
        if self._position - self._failed_at >= _RESUME_WINDOW:
            self._failures = 0
        self._failures += 1
        self._failed_at = self._position
        if self._failures >= self._image.registry.http.patience.attempts:
            raise RegistryError(
                f"{self._descriptor.digest}: {error.what}, after {self._position} of {self._descriptor.size} bytes",
                where=self._image.name,
                hint=error.hint,
            ) from None
        self._leave()


def _sniffed(data: bytes) -> str | None:
    """The media type of a manifest whose registry does not say: from the document itself."""
    try:
        document = load_object(data)
    except MalformedError:
        return None
    said = document.get("mediaType")
    if isinstance(said, str) and said in INDEX_TYPES | MANIFEST_TYPES:
        return said
    if document.get("schemaVersion") != 2:
        return None
    if isinstance(document.get("manifests"), list):
        return OCI_INDEX
    return OCI_MANIFEST if isinstance(document.get("layers"), list) else None
