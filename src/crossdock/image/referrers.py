"""What is said about an image beside it in its registry: artifacts whose manifest names the image as its subject.

Sources: distribution-spec 1.1, "Pushing Manifests with Subject", "Listing Referrers", "Referrers Tag Schema";
image-spec 1.1, manifest.md, "Guidance for an Empty Descriptor" and "Guidelines for Artifact Usage".
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import BinaryIO, cast
from urllib.parse import urlencode

from crossdock.errors import CrossdockError, InputError, Kind, RegistryError
from crossdock.http.model import Document
from crossdock.image.documents import ImageDocuments, MalformedError, descriptor_json, parse_index, to_json
from crossdock.image.model import OCI_INDEX, OCI_MANIFEST, Descriptor
from crossdock.image.publish import push
from crossdock.image.reference import Reference
from crossdock.image.registries import Registries
from crossdock.image.stream import CheckedStream, digest_of

OCI_EMPTY = "application/vnd.oci.empty.v1+json"
_EMPTY = b"{}"
_ATTEMPTS = 4
"""How often the list of a registry that keeps none itself is written, when others write it at the same time."""
_REFUSED = frozenset({401, 403, 429})


class Referrers:
    """The artifacts about one image (or index) of a repository. Everything is asked of the registry itself: a mirror
    may have a list that is old, and takes nothing. Raises RegistryError."""

    def __init__(self, registries: Registries, repository: Reference, subject: Descriptor) -> None:
        self._registries = registries
        self._registry = registries.registry(repository.host)
        self._server = self._registry.itself(repository)
        self._subject = subject
        self._reference = Reference(repository.host, repository.repository, digest=subject.digest)

    def list(self, artifact_type: str) -> tuple[Descriptor, ...]:
        """The manifests of that type; of a very long list, the first page. What they say is read by ``read``."""
        found = self._registries.run(self._all(artifact_type))
        return tuple(entry for entry in found if entry.written.get("artifactType") == artifact_type)

    def read(self, entry: Descriptor) -> bytes:
        """The one layer of an artifact, checked against its digest."""
        image = self._registries.image(self._at(entry.digest))
        manifest = image.manifest(image.root())
        if len(manifest.layers) != 1:
            raise image.fault(f"it has {len(manifest.layers)} layers instead of one", "It is another kind of artifact.")
        return image.read(manifest.layers[0])

    def attach(self, content: bytes, artifact_type: str, annotations: Mapping[str, str]) -> Descriptor:
        """Push an artifact with this content about the image; returns its manifest."""
        artifact = _Artifact(content, artifact_type, self._subject, annotations)
        manifest = push(artifact, self._at(artifact.root().digest), self._registries)
        self._registries.run(self._enter(artifact.entry()))
        return manifest

    def _at(self, digest: str) -> Reference:
        return Reference(self._reference.host, self._reference.repository, digest=digest)

    async def _all(self, artifact_type: str) -> tuple[Descriptor, ...]:
        found = await self._by_api(artifact_type)
        return await self._by_tag() if found is None else found

    async def _by_api(self, artifact_type: str) -> tuple[Descriptor, ...] | None:
        """What the registry lists; None where it keeps no lists."""
        query = urlencode({"artifactType": artifact_type})
        path = f"referrers/{self._subject.digest}?{query}"
        answer = await self._server.fetch("GET", path, self._reference, headers={"Accept": OCI_INDEX})
        if answer.status in _REFUSED or answer.status >= 500:
            raise await self._registry.refusal(answer, self._reference, "the list of referrers")
        # Whatever else an old registry or a page before it answers to a path that it does not know, it is no list.
        is_list = answer.status == 200 and _media_type(answer) == OCI_INDEX
        return self._entries(answer) if is_list else None

    async def _by_tag(self) -> tuple[Descriptor, ...]:
        """What the tag lists that stands in for the registry's own list."""
        tag = fallback_tag(self._subject.digest)
        answer = await self._server.fetch("GET", f"manifests/{tag}", self._reference, headers={"Accept": OCI_INDEX})
        if answer.status == 404:
            return ()
        if answer.status != 200:
            raise await self._registry.refusal(answer, self._reference, f"the tag {tag}")
        if _media_type(answer) != OCI_INDEX:
            raise self._no_list(f"the tag {tag} is {_media_type(answer) or 'of no type'}")
        return self._entries(answer)

    async def _enter(self, entry: Descriptor) -> None:
        """Let the list have an entry, where the registry keeps none by itself. That is seen from whether it answers
        with one: what readers ask first has to be what is kept."""
        if await self._by_api(str(entry.written["artifactType"])) is not None:
            return
        tag = fallback_tag(self._subject.digest)
        for _ in range(_ATTEMPTS):
            listed = await self._by_tag()
            if any(one.digest == entry.digest for one in listed):
                return
            manifests = [descriptor_json(one) for one in (*listed, entry)]
            body = to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})
            headers = {"Content-Type": OCI_INDEX}
            path = f"manifests/{tag}"
            answer = await self._server.fetch("PUT", path, self._reference, push=True, headers=headers, body=body)
            if answer.status not in (200, 201, 202, 204):
                raise await self._registry.refusal(answer, self._reference, f"the upload of the tag {tag}", push=True)
        raise RegistryError(
            f"others changed the tag {tag} each time that it was written",
            where=self._reference.familiar,
            hint="Run again when they have finished.",
        )

    def _entries(self, answer: Document) -> tuple[Descriptor, ...]:
        try:
            whole = Descriptor(OCI_INDEX, digest_of(answer.body), len(answer.body))
            return parse_index(whole, answer.body).manifests
        except MalformedError as error:
            raise self._no_list(f"the list of referrers: {error}") from error

    def _no_list(self, what: str) -> RegistryError:
        hint = "It has to be an image index. Find out who wrote it, and delete it."
        return RegistryError(what, where=self._reference.familiar, hint=hint, kind=Kind.NO_IMAGE)


def fallback_tag(digest: str) -> str:
    """The tag that lists what is said about ``digest`` in registries that keep no such lists."""
    algorithm, _, value = digest.partition(":")
    return f"{algorithm[:32]}-{value[:64]}"


def _media_type(answer: Document) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


class _Artifact(ImageDocuments):
    """An artifact of one layer about ``subject``, as an image that can be pushed."""

    def __init__(self, content: bytes, artifact_type: str, subject: Descriptor, annotations: Mapping[str, str]) -> None:
        self.name = artifact_type
        self._annotations = annotations
        self._blobs: dict[str, bytes] = {}
        self._manifest = self._add(
            OCI_MANIFEST,
            to_json(
                {
                    "schemaVersion": 2,
                    "mediaType": OCI_MANIFEST,
                    "artifactType": artifact_type,
                    "config": descriptor_json(self._add(OCI_EMPTY, _EMPTY)),
                    "layers": [descriptor_json(self._add(artifact_type, content))],
                    "subject": descriptor_json(Descriptor(subject.media_type, subject.digest, subject.size)),
                    "annotations": dict(annotations),
                }
            ),
        )

    def entry(self) -> Descriptor:
        """Its manifest as the list of referrers has it."""
        root = self._manifest
        written = {"artifactType": self.name}
        return Descriptor(root.media_type, root.digest, root.size, annotations=self._annotations, written=written)

    def root(self) -> Descriptor:
        return self._manifest

    def read(self, descriptor: Descriptor) -> bytes:
        return self._blobs[descriptor.digest]

    def open(self, descriptor: Descriptor, *, verify: bool = True) -> AbstractContextManager[BinaryIO]:
        source = io.BytesIO(self.read(descriptor))
        return contextlib.closing(cast(BinaryIO, CheckedStream(source, descriptor, self.fault, verify=verify)))

    def fault(self, what: str, hint: str) -> CrossdockError:
        return InputError(what, where=self.name, hint=hint)

    def _add(self, media_type: str, data: bytes) -> Descriptor:
        digest = digest_of(data)
        self._blobs[digest] = data
        return Descriptor(media_type, digest, len(data))
