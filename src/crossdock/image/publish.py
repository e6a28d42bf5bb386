"""Pushing an image to a registry (distribution-spec, push): the same bytes, the same digests, the root last."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from crossdock.errors import CrossdockError, RegistryError
from crossdock.http.exchange import Upload
from crossdock.http.model import Document, Unreachable
from crossdock.http.urls import public_url
from crossdock.image.documents import Contents, contents
from crossdock.image.model import Descriptor, Image
from crossdock.image.reference import Reference
from crossdock.image.registries import Registries
from crossdock.image.registry_image import ACCEPT
from crossdock.image.stream import Progress, digest_of

UPLOADS = 4
"""Blobs on their way at once: enough to fill a line with latency, few enough for a small registry."""
PIECE = 1 << 20
CHUNKS = (64 << 20, 8 << 20, 1 << 20)
"""Bytes for each request, tried in turn when something in between takes no large requests (HTTP 413)."""
_ACCEPTED = frozenset({200, 201, 202, 204})
_WORTH_REPEATING = frozenset({404, 408, 416, 429, 500, 502, 503, 504})
"""404 and 416: the registry forgot the upload, as those without a shared state do when they restart."""
_SAID_WHY = frozenset({401, 403, 413, 429})
"""Refusals that have nothing to do with what was sent."""
_EARNED = 16 << 20
"""Bytes. An upload that got this far since it last broke off has earned a full number of new attempts."""
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,15})")


def push(
    image: Image,
    destination: Reference,
    registries: Registries,
    *,
    tags: Sequence[str] = (),
    sources: Mapping[str, Reference] | None = None,
    on_progress: Progress | None = None,
) -> Descriptor:
    """Push ``image`` to ``destination`` and under further ``tags`` of that repository; returns its root as pushed.

    Content that the registry already has is not sent again; ``sources`` names, by digest, the repositories in which
    some of it is known to be, so that those of the same registry lend it (cross-repository mount). Nothing is visible
    under a tag before everything below it is there, and at the end the registry is asked whether it has what was meant.
    Raises RegistryError, or what reading ``image`` raises.
    """
    root = image.root()
    if destination.digest and destination.digest != root.digest:
        raise RegistryError(
            f"the image has the digest {root.digest}, so it cannot be pushed as {destination.digest}",
            where=destination.familiar,
            hint="Push to a tag.",
        )
    parts = contents(image)
    pushing = _Push(image, destination, registries, parts, sources or {}, on_progress)
    registries.run(pushing.all(tuple(dict.fromkeys([destination.tag or root.digest, *tags]))))
    return root


@dataclass
class _Place:
    """Where an upload is continued: the address that the registry gave last, and the bytes that it has."""

    address: str
    offset: int = 0


class _Push:
    """One push on its way. Its coroutines run on the HTTP client's event loop, where nothing may wait for a file."""

    def __init__(
        self,
        image: Image,
        reference: Reference,
        registries: Registries,
        parts: Contents,
        sources: Mapping[str, Reference],
        on_progress: Progress | None,
    ) -> None:
        self._image = image
        self._reference = reference
        self._registry = registries.registry(reference.host)
        self._server = self._registry.itself(reference)
        self._http = registries.http
        self._parts = parts
        self._documents = {part.digest: image.read(part) for part in parts.documents}
        self._sources = sources
        self._on_progress = on_progress
        self._total = sum(part.size for part in (*parts.blobs, *parts.documents))
        self._sent: dict[str, int] = {}
        self._lock = threading.Lock()
        self._places = asyncio.Semaphore(UPLOADS)

    async def all(self, names: Sequence[str]) -> None:
        await self._blobs()
        for descriptor in self._parts.documents[:-1]:
            await self._put(descriptor, descriptor.digest)
            self._report(descriptor, descriptor.size)
        for name in names:
            await self._tag(self._parts.documents[-1], name)

    async def _blobs(self) -> None:
        """Send every blob. The first failure, or Ctrl-C, stops the others."""
        # Large ones first, so that the last to end is a small one.
        order = sorted(self._parts.blobs, key=lambda blob: -blob.size)
        tasks = [asyncio.ensure_future(self._blob(blob)) for blob in order]
        try:
            for task in asyncio.as_completed(tasks):
                await task
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tag(self, root: Descriptor, name: str) -> None:
        """Make the root visible as ``name`` (a tag or its digest), and look whether that is what the registry has."""
        await self._put(root, name)
        answer = await self._ask("GET", f"manifests/{name}", headers=ACCEPT)
        if answer.status != 200:
            raise await self._refusal(answer, f"what was just pushed as {name}")
        found = digest_of(answer.body, root.digest.partition(":")[0])
        if found != root.digest:
            raise RegistryError(
                f"{self._registry.host} has {found} under {name}, not {root.digest}, which was pushed",
                where=self._reference.familiar,
                hint="Someone else may have pushed at the same time, or the registry changes images. Push again.",
            )
        self._report(root, root.size)

    async def _put(self, descriptor: Descriptor, name: str) -> None:
        answer = await self._ask(
            "PUT",
            f"manifests/{name}",
            headers={"Content-Type": descriptor.media_type},
            body=self._documents[descriptor.digest],
        )
        if answer.status not in _ACCEPTED:
            raise await self._refusal(answer, f"the upload of {descriptor.digest}")

    async def _blob(self, blob: Descriptor) -> None:
        async with self._places:
            if not await self._is_there(blob):
                await self._upload(blob)
            self._report(blob, blob.size)

    async def _is_there(self, blob: Descriptor) -> bool:
        answer = await self._ask("HEAD", f"blobs/{blob.digest}")
        if answer.status in (401, 403, 429):
            raise await self._refusal(answer, f"the push to {self._reference.repository}")
        return answer.status == 200

    async def _upload(self, blob: Descriptor) -> None:
        """Send a blob. What breaks off goes on from where the registry got to, if it remembers, else from the start.

        The Docker registry (2.8 and before, hence Harbor) forgets an upload that broke off within a request, and
        remembers one that broke off between two. So what broke off once is sent in pieces from then on.
        """
        place: _Place | None = None
        chunk: int | None = None
        sizes = [size for size in CHUNKS if size < blob.size]
        failures = furthest = 0
        while True:
            if place is None:
                place = await self._begin(blob)
                if place is None:
                    return  # lent by another repository
            answer: Document | None = None
            broken: Unreachable | None = None
            try:
                answer = await self._send(blob, place, chunk)
            except Unreachable as error:
                if not error.passing:
                    raise
                broken = error
            if answer:
                if answer.status in _ACCEPTED:
                    return
                if answer.status == 413 and sizes:
                    chunk, place = sizes.pop(0), None
                    continue
            failures += 1
            if broken and failures >= self._attempts:
                raise broken
            if answer and (failures >= self._attempts or answer.status not in _WORTH_REPEATING):
                raise await self._why(answer, blob)
            if not await self._http.pause(failures, answer.retry_after if answer else None):
                assert answer is not None
                raise await self._why(answer, blob)
            if await self._is_there(blob):
                return
            if broken and sizes and chunk is None:
                chunk = sizes.pop(0)
            place = await self._resumed(place) if broken or (answer and answer.status >= 500) else None
            if place and place.offset - furthest >= _EARNED:
                failures, furthest = 0, place.offset

    @property
    def _attempts(self) -> int:
        return self._http.patience.attempts

    async def _begin(self, blob: Descriptor) -> _Place | None:
        """Ask where to send a blob; None when another repository of the registry has lent it (a mount)."""
        path, source = "blobs/uploads/", self._sources.get(blob.digest)
        lender = source.repository if source and source.host == self._reference.host else ""
        if lender == self._reference.repository:
            lender = ""
        query = f"?{urlencode({'mount': blob.digest, 'from': lender})}" if lender else ""
        answer = await self._ask("POST", path + query, source=lender)
        if lender and answer.status == 201:
            return None
        if lender and answer.status != 202:
            answer = await self._ask("POST", path)  # who may not read there may still upload
        if answer.status != 202:
            raise await self._refusal(answer, f"the push to {self._reference.repository}")
        return _Place(self._next(answer, ""))

    async def _send(self, blob: Descriptor, place: _Place, chunk: int | None) -> Document:
        """Send the rest of a blob from ``place`` on: in one request, or in requests of ``chunk`` bytes. ``place`` moves
        with what the registry has confirmed."""
        if chunk is None and place.offset == 0:
            return await self._complete(blob, place, Upload(lambda: self._pieces(blob, 0, blob.size), blob.size))
        while place.offset < blob.size:
            start = place.offset
            end = min(start + (chunk or blob.size), blob.size)
            answer = await self._ask(
                "PATCH",
                place.address,
                headers={"Content-Type": "application/octet-stream", "Content-Range": f"{start}-{end - 1}"},
                body=Upload(lambda start=start, end=end: self._pieces(blob, start, end), end - start),  # type: ignore[misc]
                attempts=1,
            )
            if answer.status != 202:
                return answer
            place.address, place.offset = self._next(answer, place.address), end
        return await self._complete(blob, place, b"")

    async def _complete(self, blob: Descriptor, place: _Place, body: bytes | Upload) -> Document:
        joint = "&" if urlsplit(place.address).query else "?"
        return await self._ask(
            "PUT",
            f"{place.address}{joint}{urlencode({'digest': blob.digest})}",
            headers={"Content-Type": "application/octet-stream"},
            body=body,
            attempts=1,
        )

    async def _resumed(self, place: _Place) -> _Place | None:
        """Where to go on with an upload that broke off; None when the registry has forgotten it."""
        try:
            answer = await self._ask("GET", place.address)
        except Unreachable:
            return None
        match = _RANGE.fullmatch(answer.headers.get("range", ""))
        if answer.status != 204 or not match:
            return None
        # "0-0" is what registries say of one byte and of none; then it begins anew.
        return _Place(self._next(answer, place.address), int(match[1]) + 1) if int(match[1]) else None

    def _next(self, answer: Document, before: str) -> str:
        """The address for the next step of an upload. Raises RegistryError when there is none that is safe."""
        location = answer.headers.get("location", "")
        if not location:
            if before:
                return before
            raise RegistryError(
                f"{self._registry.host} does not say where to send content",
                where=self._reference.familiar,
                hint="Is this the registry you mean, and does it speak the registry protocol, version 2?",
            )
        address = urljoin(answer.url, location)
        base, parts = urlsplit(answer.url), urlsplit(address)
        if base.scheme == "http" or parts.scheme == "https":
            return address
        # A registry behind a TLS proxy may say http where it means https; content must not go out unprotected.
        if parts.hostname == base.hostname:
            return urlunsplit((base.scheme, base.netloc, parts.path, parts.query, ""))
        raise RegistryError(
            f"{self._registry.host} wants the upload sent to {public_url(address)}, without protection",
            where=self._reference.familiar,
            hint="Ask its operator to name an https address.",
        )

    def _pieces(self, blob: Descriptor, start: int, end: int) -> Iterator[bytes]:
        """Bytes ``start`` to ``end`` of a blob, as often as they are sent. Runs in a thread of its own."""
        position = 0
        with self._image.open(blob, verify=False) as source:  # the registry checks it
            while position < end and (piece := source.read(min(PIECE, end - position))):
                position += len(piece)
                if position > start:
                    yield piece[-(position - start) :] if position - start < len(piece) else piece
                    self._report(blob, position)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Upload | None = None,
        source: str = "",
        attempts: int | None = None,
    ) -> Document:
        return await self._server.fetch(
            method, path, self._reference, push=True, source=source, headers=headers, body=body, attempts=attempts
        )

    async def _why(self, answer: Document, blob: Descriptor) -> CrossdockError:
        """The error for a blob that was not taken: damage here where there is some, else what the registry says."""
        if answer.status not in _SAID_WHY:
            await asyncio.to_thread(self._check, blob)
        return await self._refusal(answer, f"the upload of {blob.digest}")

    async def _refusal(self, answer: Document, what: str) -> CrossdockError:
        return await self._registry.refusal(answer, self._reference, what, push=True)

    def _check(self, blob: Descriptor) -> None:
        """When the registry does not like what was sent: whether it is damaged here. Raises what is found."""
        with self._image.open(blob) as source:
            while source.read(PIECE):
                pass

    def _report(self, part: Descriptor, sent: int) -> None:
        with self._lock:
            self._sent[part.digest] = max(sent, self._sent.get(part.digest, 0))
            if self._on_progress:
                self._on_progress(sum(self._sent.values()), self._total)
