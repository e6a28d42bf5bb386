"""Registries and the images in them (distribution-spec, pull): one GET by tag, every byte checked, faults named."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar, cast

from crossdock.errors import CrossdockError, Kind, RegistryError
from crossdock.http.client import Http, Response
from crossdock.http.exchange import Upload
from crossdock.http.model import WHOLE_HOST, Document, Reason, Trust, Unreachable
from crossdock.http.urls import is_loopback, origin
from crossdock.image.auth import Authorizer, Keychain
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
from crossdock.image.settings import Endpoint, Settings
from crossdock.image.stream import CheckedStream, check_bytes, digest_of

ACCEPT = {"Accept": ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))}
"""One request answers for every kind of image, so no registry converts or refuses."""
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_VAGUE_TYPES = frozenset({"", "application/json", "text/plain", "application/octet-stream", "binary/octet-stream"})
_RESUME_WINDOW = 16 << 20
"""Bytes. A download that got this far since it last broke off has earned a full number of new attempts."""
_MIRROR_ATTEMPTS = 2

_LIMIT = re.compile(r"(\d{1,9})(?:\s*;\s*w=(\d{1,9}))?")

T = TypeVar("T")
Answer = TypeVar("Answer", Document, Document | Response)


class Registries:
    """All registries as this machine reaches them. Made once per run and handed to whatever reads or pushes images, so
    that connections, tokens and what was learnt are shared. Threads may share it."""

    def __init__(
        self,
        http: Http,
        *,
        keychain: Keychain | None = None,
        settings: Settings | None = None,
        cache: DocumentCache | None = None,
        plain_http: bool = False,
    ) -> None:
        self.http = http
        self.cache = cache
        self._keychain = keychain or Keychain()
        self._settings = settings or Settings()
        self._plain_http = plain_http
        self._known: dict[str, Registry] = {}
        self._lock = threading.Lock()

    def registry(self, host: str) -> Registry:
        """The registry that a reference names by ``host``."""
        with self._lock:
            if host not in self._known:
                self._known[host] = Registry(
                    host, self.http, self._keychain, self._settings, plain_http=self._plain_http
                )
            return self._known[host]

    def image(self, reference: Reference) -> RegistryImage:
        """The image that a reference names. Nothing is asked yet."""
        return RegistryImage(reference, self.registry(reference.host), self.cache)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what the coroutines of registries and images do, and wait for it. Not from within one of them."""
        return self.http.run(work)

    def limits(self) -> tuple[tuple[str, Limit], ...]:
        """Which registries said how much they still give, and how much that is."""
        with self._lock:
            return tuple((host, known.limit) for host, known in self._known.items() if known.limit)


@dataclass(frozen=True)
class Limit:
    """How many pulls a registry allows in ``seconds``, and how many are left (Docker Hub's ratelimit headers)."""

    allowed: int
    left: int
    seconds: int | None = None


class Registry:
    """One registry and its mirrors: where its content is asked for, and what its refusals mean.

    The coroutines are for the HTTP client's event loop. Mirrors are asked first and only for reading; whatever they do
    not give is asked from the registry itself.
    """

    def __init__(
        self, host: str, http: Http, keychain: Keychain, settings: Settings, *, plain_http: bool = False
    ) -> None:
        self.host = host
        self.http = http
        self.limit: Limit | None = None
        self._keychain = keychain
        self._settings = settings
        self._plain_http = plain_http
        self._servers: dict[Endpoint, Server] = {}
        self._exhausted: Document | None = None
        """The refusal after which no manifest is asked for any more."""

    async def get(
        self, reference: Reference, tail: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Document:
        """A small document below the repository: ``manifests/1.0``, ``blobs/sha256:…``, ``tags/list``. Raises
        RegistryError when no answer came."""
        manifest = method == "GET" and tail.startswith("manifests/")

        def watch(answer: Document | None) -> None:
            self._watch_limit(reference, answer)

        def ask(server: Server) -> Coroutine[Any, Any, Document]:
            watched = watch if manifest and not server.endpoint.mirror else None
            return server.fetch(method, tail, reference, headers=headers, watch=watched)

        answer = await self._from_any(reference, tail, ask)
        patience = self.http.patience.retry_after
        if manifest and answer.status == 429 and (answer.retry_after is None or answer.retry_after > patience):
            self._exhausted = answer
        return answer

    async def stream(
        self, reference: Reference, tail: str, *, headers: Mapping[str, str] | None = None
    ) -> Document | Response:
        """As ``get``, for bodies of any size."""

        def ask(server: Server) -> Coroutine[Any, Any, Document | Response]:
            return server.stream(tail, reference, headers=headers)

        return await self._from_any(reference, tail, ask)

    def itself(self, reference: Reference) -> Server:
        """Where to write: the registry, never a mirror."""
        return self._server(self._settings.itself(self.host, reference.repository))

    async def _from_any(
        self, reference: Reference, tail: str, ask: Callable[[Server], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """Ask mirrors and registry in turn, until one gives what is asked for."""
        endpoints = self._settings.endpoints(self.host, reference.repository, by_digest=":" in tail)
        *mirrors, itself = (self._server(endpoint) for endpoint in endpoints)
        for mirror in mirrors:
            if mirror.down:
                continue
            try:
                answer = await ask(mirror)
            except RegistryError as error:
                mirror.down = isinstance(error, Unreachable)
                continue
            if answer.status < 300 and not answer.headers.get("content-type", "").startswith("text/html"):
                return answer  # a page comes from a proxy that wants a login, or from what is no mirror
        return await ask(itself)

    def _server(self, endpoint: Endpoint) -> Server:
        if endpoint not in self._servers:
            trust = replace(self._settings.trust(endpoint.host), insecure=endpoint.insecure)
            plain = endpoint.plain_http or (self._plain_http and not endpoint.mirror)
            # A mirror has a login of its own; Docker Hub's is kept under the name that people use.
            login = endpoint.host if endpoint.mirror else self.host
            self._servers[endpoint] = Server(
                self.host, endpoint, Authorizer(login, self.http, self._keychain), trust, plain
            )
        return self._servers[endpoint]

    def _watch_limit(self, reference: Reference, answer: Document | None) -> None:
        """Remember what the registry still allows, and ask no more once it allows nothing: neither again nor for what
        still waits for its turn. Raises RegistryError then."""
        if answer:
            allowed, left = (_limit(answer.headers.get(f"ratelimit-{name}", "")) for name in ("limit", "remaining"))
            if allowed and left:
                self.limit = Limit(allowed[0], left[0], allowed[1])
            if answer.status == 429 and left and left[0] == 0:
                self._exhausted = answer
        if self._exhausted and (answer is None or answer.status == 429):
            raise self._too_many(self._exhausted, reference)

    async def refusal(self, answer: Document, reference: Reference, what: str, *, push: bool = False) -> RegistryError:
        """The error for an answer that is not the one hoped for. ``what`` was asked for: ``the manifest``."""
        where = reference.familiar
        status = answer.status
        codes = _error_codes(answer)
        if status in (401, 403) or codes & {"UNAUTHORIZED", "DENIED"}:
            return RegistryError(
                f"{self.host} refused {what} (HTTP {status})",
                where=where,
                hint=await self.itself(reference).login_hint(reference, push=push),
                kind=Kind.FORBIDDEN if status == 403 else Kind.UNAUTHORIZED,
            )
        if status == 429 or "TOOMANYREQUESTS" in codes:
            return self._too_many(answer, reference)
        if status == 404 and "NAME_UNKNOWN" in codes:
            return RegistryError(
                f"there is no repository {reference.repository!r} in {self.host}",
                where=where,
                hint="Check the spelling. Some registries answer so when a login is needed.",
                kind=Kind.NO_REPOSITORY,
            )
        if status == 404 and what.startswith(("the tag", "the manifest", "the blob")):
            return RegistryError(
                f"there is no {what.removeprefix('the ')} in {self.host}",
                where=where,
                hint="Check name and tag.",
                kind=Kind.NO_TAG,
            )
        if status == 413:
            return RegistryError(
                f"{what} is too large for {self.host} or a proxy before it (HTTP 413)",
                where=where,
                hint="Raise its limit for the size of requests (nginx: client_max_body_size 0).",
                kind=Kind.TOO_LARGE,
            )
        if status >= 500:
            return RegistryError(
                f"{self.host} failed (HTTP {status}) when asked for {what}",
                where=where,
                hint="This is a fault of the registry. Run again later, or look into its log.",
                kind=Kind.SERVER,
            )
        if status in (301, 302, 303, 307, 308):
            return RegistryError(
                f"{self.host} redirects where {what} was asked for",
                where=where,
                hint="Use the address it redirects to.",
                kind=Kind.REDIRECT,
            )
        return RegistryError(
            f"{self.host} answered HTTP {status}{_listed(codes)} when asked for {what}",
            where=where,
            hint="Is this the registry you mean, and does it speak the registry protocol, version 2?",
        )

    def _too_many(self, answer: Document, reference: Reference) -> RegistryError:
        wait = answer.retry_after
        after = f"in {wait:.0f} s" if wait else "later"
        return RegistryError(
            f"{self.host} answers: too many requests (HTTP {answer.status})",
            where=reference.familiar,
            hint=f"Run again {after}. Logging in with `docker login` often raises the limit.",
            kind=Kind.RATE_LIMIT,
        )


class Server:
    """One server that answers for a registry: its address and its authorization.

    Plain HTTP is spoken only where the configuration or ``plain`` says so, and to this machine, or one that is
    configured as insecure, when it does not speak TLS.
    """

    def __init__(self, name: str, endpoint: Endpoint, authorizer: Authorizer, trust: Trust, plain: bool) -> None:
        self.endpoint = endpoint
        self.down = False
        """Whether it did not answer; it is not asked again then, if it is a mirror."""
        self._name = name
        self._authorizer = authorizer
        self._http = authorizer.http
        self._trust = trust
        self._plain = plain
        self._base = ""
        self._finding = asyncio.Lock()
        self._answered = False
        self._gone: Unreachable | None = None
        """Why it never answered, after all attempts: then those that wait for their turn need not try it all again."""

    async def base(self) -> str:
        """The address that everything is below, such as ``https://registry-1.docker.io``."""
        async with self._finding:
            if not self._base:
                self._base = f"{await self._scheme()}://{self.endpoint.host}"
            return self._base

    async def _scheme(self) -> str:
        if self._plain:
            return "http"
        if not (self.endpoint.insecure or is_loopback(_host_only(self.endpoint.host))):
            return "https"
        try:
            url = f"https://{self.endpoint.host}/v2/"
            await self._http.fetch("GET", url, limit=MAX_DOCUMENT, trust=self._trust, attempts=1)
        except Unreachable as error:
            # If nothing answers at all, the request that follows says so, after its own retries.
            return "http" if error.reason in (Reason.NOT_TLS, Reason.BROKEN, Reason.REFUSED) else "https"
        return "https"

    async def fetch(
        self,
        method: str,
        path: str,
        reference: Reference,
        *,
        push: bool = False,
        source: str = "",
        headers: Mapping[str, str] | None = None,
        body: bytes | Upload | None = None,
        attempts: int | None = None,
        watch: Callable[[Document | None], None] | None = None,
    ) -> Document:
        """Ask for a small document, or send something. ``path`` is below the repository, or a whole URL that the
        registry gave. ``push`` asks for the right to write, and ``source`` to read that repository as well."""

        def watched(answer: Document | None) -> None:
            if answer:
                self._answered = True
            elif self._gone:
                raise self._gone
            if watch:
                watch(answer)

        def send(url: str, sent: Mapping[str, str], trust: Trust) -> Coroutine[Any, Any, Document]:
            return self._http.fetch(
                method,
                url,
                limit=MAX_DOCUMENT,
                headers=sent,
                body=body,
                trust=trust,
                attempts=self._attempts(attempts),
                watch=watched,
            )

        return await self._authorized(path, reference, self._scopes(reference, push, source), headers or {}, send)

    async def stream(
        self, path: str, reference: Reference, *, headers: Mapping[str, str] | None = None
    ) -> Document | Response:
        """As ``fetch``, to read bodies of any size."""

        def send(url: str, sent: Mapping[str, str], trust: Trust) -> Coroutine[Any, Any, Document | Response]:
            return self._http.stream(url, headers=sent, trust=trust, attempts=self._attempts(None))

        return await self._authorized(path, reference, self._scopes(reference, False, ""), headers or {}, send)

    async def login_hint(self, reference: Reference, *, push: bool = False) -> str:
        return await self._authorizer.login_hint(self._scopes(reference, push, ""))

    def _attempts(self, asked: int | None) -> int | None:
        return _MIRROR_ATTEMPTS if self.endpoint.mirror else asked

    def _repository(self, reference: Reference) -> str:
        return self.endpoint.path(reference.repository)

    def _scopes(self, reference: Reference, push: bool, source: str) -> tuple[str, ...]:
        own = f"repository:{self._repository(reference)}:{'pull,push' if push else 'pull'}"
        return (own, f"repository:{source}:pull") if source else (own,)

    async def _authorized(
        self,
        path: str,
        reference: Reference,
        scopes: tuple[str, ...],
        headers: Mapping[str, str],
        send: Callable[[str, Mapping[str, str], Trust], Coroutine[Any, Any, Answer]],
    ) -> Answer:
        try:
            base = await self.base()
            url = path if "://" in path else f"{base}/v2/{self._repository(reference)}/{path}"
            if url is path and origin(url) != origin(base):
                # An upload may go to a host that the registry names; credentials may not.
                return await send(url, headers, Trust())
            header = self._authorizer.header(scopes)
            answer = await send(url, {**headers, "Authorization": header} if header else headers, self._trust)
            if answer.status == 401 and origin(answer.url) == origin(url):
                challenge = answer.headers.get("www-authenticate", "")
                renewed = await self._authorizer.answer(challenge, scopes, url, header, self._trust)
                if renewed:
                    answer = await send(url, {**headers, "Authorization": renewed}, self._trust)
            return answer
        except Unreachable as error:
            if error.reason in WHOLE_HOST and not self._answered:
                self._gone = error
            # Trouble on the way to a registry, told as trouble with the image that was asked for.
            name = f"{self._name}'s mirror {self.endpoint.host}" if self.endpoint.mirror else self._name
            raise Unreachable(f"{name}: {error.what}", error.reason, where=reference.familiar) from None


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
            wanted = self.reference.digest or await self._unchanged()
            cached = self._cache.document(wanted) if self._cache and wanted else None
            if wanted and cached and cached.media_type in INDEX_TYPES | MANIFEST_TYPES:
                self._root = self._known(wanted, cached.media_type, cached.data)
            else:
                self._root = await self._ask_root()
        return self._root

    async def _unchanged(self) -> str | None:
        """The digest of a tag of Docker Hub, if it still is the one that it had."""
        known = self._cache.tagged(self.reference) if self._cache and self.registry.host == DOCKER_HUB else None
        if not known or not self._cache or not self._cache.document(known):
            return None
        tail = f"manifests/{self.reference.identifier}"
        answer = await self.registry.get(self.reference, tail, method="HEAD", headers=ACCEPT)
        return known if answer.status == 200 and answer.headers.get("docker-content-digest") == known else None

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


def _host_only(host: str) -> str:
    """The host without its port; IPv6 addresses keep their brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not host.endswith("]") else host


def _error_codes(answer: Document) -> frozenset[str]:
    """The codes of a registry's error document (distribution-spec, error codes); none when there is no such thing."""
    try:
        errors = json.loads(answer.body)["errors"]
        return frozenset(error["code"] for error in errors if isinstance(error["code"], str))
    except (ValueError, TypeError, KeyError, RecursionError):
        return frozenset()


def _listed(codes: frozenset[str]) -> str:
    known = sorted(code for code in codes if code.isascii() and code.replace("_", "").isalpha() and len(code) < 40)
    return f" ({', '.join(known)})" if known else ""


def _limit(header: str) -> tuple[int, int | None] | None:
    """``100;w=21600``: a number, and the seconds it is for (as Docker Hub writes ratelimit headers)."""
    match = _LIMIT.fullmatch(header.strip())
    return (int(match[1]), int(match[2]) if match[2] else None) if match else None


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
