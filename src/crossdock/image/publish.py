"""Pushing an image to a registry (distribution-spec, push): the same bytes, the same digests, the root last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from crossdock.errors import RegistryError
from crossdock.http import CHUNK, Response, Unreachable, public_url
from crossdock.image.documents import Contents, contents
from crossdock.image.model import Descriptor, Image
from crossdock.image.reference import Reference
from crossdock.image.registry import ACCEPT, Registries, Registry
from crossdock.image.stream import digest_of

Progress = Callable[[int, int], None]
"""Takes the bytes that are at the registry and the bytes in all. Called from several threads, one at a time."""

UPLOADS = 4
"""Blobs on their way at once: enough to fill a line with latency, few enough for a small registry."""
_ACCEPTED = frozenset({200, 201, 204})
_WORTH_REPEATING = frozenset({404, 408, 416, 429, 500, 502, 503, 504})
"""404 and 416: the registry forgot the upload, as those without a shared state do when they restart."""


def push(
    image: Image,
    destination: Reference,
    registries: Registries,
    *,
    tags: Sequence[str] = (),
    on_progress: Progress | None = None,
) -> Descriptor:
    """Push ``image`` to ``destination`` and under further ``tags`` of that repository; returns its root as pushed.

    Content that the registry already has is not sent again. Nothing is visible under a tag before everything below it
    is there, and at the end the registry is asked whether it has what was meant. Raises RegistryError, or what
    reading ``image`` raises.
    """
    root = image.root()
    if destination.digest and destination.digest != root.digest:
        raise RegistryError(
            f"the image has the digest {root.digest}, so it cannot be pushed as {destination.digest}",
            where=destination.familiar,
            hint="Push to a tag.",
        )
    parts = contents(image)
    registry = registries.registry(destination.host)
    pushing = _Push(image, destination, registry, parts, on_progress)
    pushing.blobs()
    pushing.documents()
    for name in dict.fromkeys([destination.tag or root.digest, *tags]):
        pushing.tag(root, name)
    return root


class _Push:
    """One push on its way."""

    def __init__(
        self, image: Image, reference: Reference, registry: Registry, parts: Contents, on_progress: Progress | None
    ) -> None:
        self._image = image
        self._reference = reference
        self._registry = registry
        self._parts = parts
        self._scopes = (f"repository:{reference.repository}:pull,push",)
        self._on_progress = on_progress
        self._total = sum(part.size for part in (*parts.blobs, *parts.documents))
        self._sent: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def blobs(self) -> None:
        """Send every blob. The first failure, or Ctrl-C, stops the others."""
        with ThreadPoolExecutor(UPLOADS, thread_name_prefix="push") as pool:
            # Large ones first, so that the last to end is a small one.
            order = sorted(self._parts.blobs, key=lambda blob: -blob.size)
            futures = [pool.submit(self._blob, blob) for blob in order]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                self._stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def documents(self) -> None:
        """Send every manifest and index but the root."""
        for descriptor in self._parts.documents[:-1]:
            self._put(descriptor, descriptor.digest)
            self._report(descriptor, descriptor.size)

    def tag(self, root: Descriptor, name: str) -> None:
        """Make the root visible as ``name`` (a tag or its digest), and look whether that is what the registry has."""
        self._put(root, name)
        answer = self._registry.fetch(
            "GET", self._manifest_path(name), self._reference, scopes=self._scopes, headers={"Accept": ACCEPT}
        )
        if answer.status != 200:
            raise self._registry.refusal(answer, self._reference, f"what was just pushed as {name}", self._scopes)
        found = digest_of(answer.body, root.digest.partition(":")[0])
        if found != root.digest:
            raise RegistryError(
                f"{self._registry.host} has {found} under {name}, not {root.digest}, which was pushed",
                where=self._reference.familiar,
                hint="Someone else may have pushed at the same time, or the registry changes images. Push again.",
            )
        self._report(root, root.size)

    def _put(self, descriptor: Descriptor, name: str) -> None:
        answer = self._registry.fetch(
            "PUT",
            self._manifest_path(name),
            self._reference,
            scopes=self._scopes,
            headers={"Content-Type": descriptor.media_type},
            body=self._image.read(descriptor),
        )
        if answer.status not in _ACCEPTED:
            raise self._registry.refusal(answer, self._reference, f"the upload of {descriptor.digest}", self._scopes)

    def _blob(self, blob: Descriptor) -> None:
        """Send a blob unless it is there. An upload that breaks off is started again."""
        http = self._registry.http
        for number in range(1, http.patience.attempts + 1):
            if self._stopped.is_set() or self._is_there(blob):
                break
            last = number == http.patience.attempts
            try:
                answer = self._upload(blob)
            except Unreachable as error:
                if last or not error.passing:
                    raise
                http.pause(number)
                continue
            with answer:
                if answer.status in _ACCEPTED:
                    break
                if last or answer.status not in _WORTH_REPEATING or not http.pause(number, answer.retry_after):
                    raise self._registry.refusal(answer, self._reference, f"the upload of {blob.digest}", self._scopes)
        self._report(blob, blob.size)

    def _is_there(self, blob: Descriptor) -> bool:
        path = f"/v2/{self._reference.repository}/blobs/{blob.digest}"
        answer = self._registry.fetch("HEAD", path, self._reference, scopes=self._scopes)
        if answer.status in (401, 403, 429):
            raise self._registry.refusal(
                answer, self._reference, f"the push to {self._reference.repository}", self._scopes
            )
        return answer.status == 200

    def _upload(self, blob: Descriptor) -> Response:
        """One attempt: ask where to, then send it all in one request."""
        path = f"/v2/{self._reference.repository}/blobs/uploads/"
        answer = self._registry.fetch("POST", path, self._reference, scopes=self._scopes)
        location = answer.headers.get("location", "")
        if answer.status != 202 or not location:
            raise self._registry.refusal(
                answer, self._reference, f"the push to {self._reference.repository}", self._scopes
            )
        address = self._upload_address(urljoin(f"{self._registry.base}{path}", location))
        return self._registry.stream(
            "PUT",
            f"{address}{'&' if urlsplit(address).query else '?'}{urlencode({'digest': blob.digest})}",
            self._reference,
            scopes=self._scopes,
            headers={"Content-Type": "application/octet-stream"},
            body=lambda: self._pieces(blob),
            length=blob.size,
            attempts=1,
        )

    def _upload_address(self, address: str) -> str:
        """A registry behind a TLS proxy may say http where it means https; content must not go out unprotected."""
        base = urlsplit(self._registry.base)
        parts = urlsplit(address)
        if base.scheme == "http" or parts.scheme == "https":
            return address
        if parts.hostname == base.hostname:
            return urlunsplit((base.scheme, base.netloc, parts.path, parts.query, ""))
        raise RegistryError(
            f"{self._registry.host} wants the upload sent to {public_url(address)}, without protection",
            where=self._reference.familiar,
            hint="Ask its operator to name an https address.",
        )

    def _pieces(self, blob: Descriptor) -> Iterator[bytes]:
        """The blob from its start, as often as it is sent."""
        sent = 0
        with self._image.open(blob) as source:
            while chunk := source.read(CHUNK):
                if self._stopped.is_set():
                    raise RegistryError("the push was stopped", where=self._reference.familiar)
                yield chunk
                sent += len(chunk)
                self._report(blob, sent)

    def _report(self, part: Descriptor, sent: int) -> None:
        with self._lock:
            self._sent[part.digest] = sent
            if self._on_progress:
                self._on_progress(sum(self._sent.values()), self._total)

    def _manifest_path(self, name: str) -> str:
        return f"/v2/{self._reference.repository}/manifests/{name}"
