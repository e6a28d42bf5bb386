"""Images in a registry (distribution-spec, pull): one GET by tag, every byte checked, every fault named."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, TypeVar, cast

from crossdock.errors import CrossdockError, RegistryError
from crossdock.http import Body, Document, Http, Reason, Response, Unreachable, is_loopback, origin
from crossdock.image.auth import Authorizer, Keychain
from crossdock.image.documents import MAX_DOCUMENT, ImageDocuments, MalformedError, load_object
from crossdock.image.model import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
)
from crossdock.image.reference import DOCKER_HUB, Reference
from crossdock.image.settings import Settings
from crossdock.image.stream import CheckedStream, check_bytes, digest_of

ACCEPT = ", ".join((OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST))
"""One request answers for every kind of image, so no registry converts or refuses."""
_HUB_API = "registry-1.docker.io"
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1"
_VAGUE_TYPES = frozenset({"", "application/json", "text/plain", "application/octet-stream", "binary/octet-stream"})
_RESUME_WINDOW = 16 << 20
"""Bytes. A download that got this far since it last broke off has earned a full number of new attempts."""

Answer = TypeVar("Answer", Document, Response)


class Registries:
    """All registries as this machine reaches them. Made once per run and handed to whatever reads or pushes images, so
    that connections, tokens and what was learnt are shared. Threads may share it."""

    def __init__(
        self,
        http: Http,
        *,
        keychain: Keychain | None = None,
        settings: Settings | None = None,
        plain_http: bool = False,
    ) -> None:
        self.http = http
        self._keychain = keychain or Keychain()
        self._settings = settings or Settings()
        self._plain_http = plain_http
        self._known: dict[str, Registry] = {}
        self._lock = threading.Lock()

    def registry(self, host: str) -> Registry:
        """The registry that a reference names by ``host``."""
        with self._lock:
            if host not in self._known:
                self._known[host] = Registry(host, self.http, self._keychain, plain_http=self._plain_http)
            return self._known[host]

    def image(self, reference: Reference) -> RegistryImage:
        """The image that a reference names. Nothing is asked yet."""
        return RegistryImage(reference, self.registry(reference.host))


class Registry:
    """One registry: its address, its authorization, and what its refusals mean. Threads may share it.

    Plain HTTP is spoken only where ``plain_http`` asks for it, and to this machine when it does not speak TLS.
    """

    def __init__(self, host: str, http: Http, keychain: Keychain, *, plain_http: bool) -> None:
        self.host = host
        self.http = http
        self._plain_http = plain_http
        self._authorizer = Authorizer(host, http, keychain)
        self._base = ""
        self._lock = threading.Lock()

    @property
    def base(self) -> str:
        """The address that everything is below, such as ``https://registry-1.docker.io``."""
        with self._lock:
            if not self._base:
                self._base = f"{self._scheme()}://{_HUB_API if self.host == DOCKER_HUB else self.host}"
            return self._base

    def _scheme(self) -> str:
        if self._plain_http:
            return "http"
        if not is_loopback(_host_only(self.host)):
            return "https"
        try:
            self.http.fetch("GET", f"https://{self.host}/v2/", limit=MAX_DOCUMENT, attempts=1)
        except Unreachable as error:
            # If nothing answers at all, the request that follows says so, after its own retries.
            return "https" if error.reason is Reason.CERTIFICATE else "http"
        return "https"

    def fetch(
        self,
        method: str,
        path: str,
        reference: Reference,
        *,
        scopes: tuple[str, ...],
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Document:
        """Ask for a small document. ``path`` is below the registry's address, or a whole URL that it gave."""

        def send(url: str, sent: Mapping[str, str]) -> Document:
            return self.http.fetch(method, url, limit=MAX_DOCUMENT, headers=sent, body=body)

        return self._authorized(path, reference, scopes, headers or {}, send)

    def stream(
        self,
        method: str,
        path: str,
        reference: Reference,
        *,
        scopes: tuple[str, ...],
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        length: int | None = None,
        attempts: int | None = None,
    ) -> Response:
        """As ``fetch``, for bodies of any size in both directions."""

        def send(url: str, sent: Mapping[str, str]) -> Response:
            return self.http.stream(method, url, headers=sent, body=body, length=length, attempts=attempts)

        return self._authorized(path, reference, scopes, headers or {}, send)

    def _authorized(
        self,
        path: str,
        reference: Reference,
        scopes: tuple[str, ...],
        headers: Mapping[str, str],
        send: Callable[[str, Mapping[str, str]], Answer],
    ) -> Answer:
        with naming(reference):
            url = path if "://" in path else f"{self.base}{path}"
            if origin(url) != origin(self.base):
                # An upload may go to a host that the registry names; credentials may not.
                return send(url, headers)
            header = self._authorizer.header(scopes)
            answer = send(url, {**headers, "Authorization": header} if header else headers)
            if answer.status == 401 and origin(answer.url) == origin(url):
                challenge = answer.headers.get("www-authenticate", "")
                renewed = self._authorizer.answer(challenge, scopes, url, header)
                if renewed:
                    if isinstance(answer, Response):
                        answer.close()
                    answer = send(url, {**headers, "Authorization": renewed})
            return answer

    def refusal(
        self, answer: Document | Response, reference: Reference, what: str, scopes: tuple[str, ...]
    ) -> RegistryError:
        """The error for an answer that is not the one hoped for. ``what`` was asked for: ``the manifest``."""
        where = reference.familiar
        status = answer.status
        codes = _error_codes(answer)
        if status in (401, 403) or codes & {"UNAUTHORIZED", "DENIED"}:
            return RegistryError(
                f"{self.host} refused {what} (HTTP {status})", where=where, hint=self._authorizer.login_hint(scopes)
            )
        if status == 429 or "TOOMANYREQUESTS" in codes:
            wait = answer.retry_after
            after = f"in {wait:.0f} s" if wait else "later"
            return RegistryError(
                f"{self.host} answers: too many requests (HTTP {status})",
                where=where,
                hint=f"Run again {after}. Logging in with `docker login` often raises the limit.",
            )
        if status == 404 and "NAME_UNKNOWN" in codes:
            return RegistryError(
                f"there is no repository {reference.repository!r} in {self.host}",
                where=where,
                hint="Check the spelling. Some registries answer so when a login is needed.",
            )
        if status == 404 and what.startswith(("the tag", "the manifest", "the blob")):
            return RegistryError(
                f"there is no {what.removeprefix('the ')} in {self.host}", where=where, hint="Check name and tag."
            )
        if status == 413:
            return RegistryError(
                f"{what} is too large for {self.host} or a proxy before it (HTTP 413)",
                where=where,
                hint="Raise its limit for the size of requests (nginx: client_max_body_size 0).",
            )
        if status >= 500:
            return RegistryError(
                f"{self.host} failed (HTTP {status}) when asked for {what}",
                where=where,
                hint="This is a fault of the registry. Run again later, or look into its log.",
            )
        if status in (301, 302, 303, 307, 308):
            return RegistryError(
                f"{self.host} redirects where {what} was asked for",
                where=where,
                hint="Use the address it redirects to.",
            )
        return RegistryError(
            f"{self.host} answered HTTP {status}{_listed(codes)} when asked for {what}",
            where=where,
            hint="Is this the registry you mean, and does it speak the registry protocol, version 2?",
        )


class RegistryImage(ImageDocuments):
    """An image in a registry, as ``image.model.Image``."""

    def __init__(self, reference: Reference, registry: Registry) -> None:
        self.name = reference.familiar
        self.reference = reference
        self.registry = registry
        self._scopes = (f"repository:{reference.repository}:pull",)
        self._root: Descriptor | None = None
        self._documents: dict[str, bytes] = {}

    def fault(self, what: str, hint: str) -> CrossdockError:
        return RegistryError(what, where=self.name, hint=hint)

    def root(self) -> Descriptor:
        if self._root is None:
            data, media_type = self._manifest(self.reference.identifier)
            wanted = self.reference.digest
            digest = digest_of(data, (wanted or "sha256:").partition(":")[0])
            if wanted and digest != wanted:
                raise self._damaged(wanted, digest)
            self._documents[digest] = data
            self._root = Descriptor(media_type, digest, len(data))
        return self._root

    def read(self, descriptor: Descriptor) -> bytes:
        if descriptor.digest not in self._documents:
            if descriptor.size > MAX_DOCUMENT:
                raise self.fault(
                    f"{descriptor.digest} should be a document, but has {descriptor.size} bytes",
                    "No index, manifest or config is that large. Build the image again.",
                )
            if descriptor.media_type in INDEX_TYPES | MANIFEST_TYPES:
                data, _ = self._manifest(descriptor.digest)
            else:
                answer = self.registry.fetch("GET", self._blob(descriptor), self.reference, scopes=self._scopes)
                if answer.status != 200:
                    raise self.registry.refusal(answer, self.reference, f"the blob {descriptor.digest}", self._scopes)
                data = answer.body
            self._documents[descriptor.digest] = check_bytes(descriptor, data, self.fault)
        return self._documents[descriptor.digest]

    def open(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        source = _Download(self, descriptor)
        # RawIOBase has what readers use of BinaryIO; typeshed keeps the two apart.
        stream = cast(BinaryIO, CheckedStream(source, descriptor, self.fault))
        return contextlib.closing(stream)

    def blob(self, descriptor: Descriptor, start: int) -> Response:
        """The answer that brings a blob from byte ``start`` on, or from the beginning where the registry has no
        ranges. Raises RegistryError."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        answer = self.registry.stream(
            "GET", self._blob(descriptor), self.reference, scopes=self._scopes, headers=headers
        )
        if answer.status not in (200, 206):
            with answer:
                raise self.registry.refusal(answer, self.reference, f"the blob {descriptor.digest}", self._scopes)
        return answer

    def _blob(self, descriptor: Descriptor) -> str:
        return f"/v2/{self.reference.repository}/blobs/{descriptor.digest}"

    def _manifest(self, identifier: str) -> tuple[bytes, str]:
        """The bytes and the media type of an index or a manifest."""
        answer = self.registry.fetch(
            "GET",
            f"/v2/{self.reference.repository}/manifests/{identifier}",
            self.reference,
            scopes=self._scopes,
            headers={"Accept": ACCEPT},
        )
        if answer.status != 200:
            kind = "the manifest" if ":" in identifier else "the tag"
            raise self.registry.refusal(answer, self.reference, f"{kind} {identifier}", self._scopes)
        announced = answer.headers.get("docker-content-digest", "")
        if announced.startswith("sha256:") and (found := digest_of(answer.body)) != announced:
            raise self._damaged(announced, found)
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

    def _damaged(self, wanted: str, found: str) -> CrossdockError:
        return self.fault(
            f"the registry sent a manifest with the digest {found} for {wanted}",
            "It was damaged or replaced on its way. Run again; if it stays so, do not use this image.",
        )


class _Download:
    """A blob's bytes, fetched on: when the connection breaks off, the rest is asked for again."""

    def __init__(self, image: RegistryImage, descriptor: Descriptor) -> None:
        self._image = image
        self._descriptor = descriptor
        self._response: Response | None = None
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
        if self._response:
            self._response.close()
        self._response = None

    def _start(self) -> None:
        self._response = self._image.blob(self._descriptor, self._position)
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
        """Give up after too many breaks on too little progress."""
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
        self.close()


@contextmanager
def naming(reference: Reference) -> Iterator[None]:
    """Trouble on the way to a registry, told as trouble with the image that was asked for."""
    try:
        yield
    except Unreachable as error:
        raise Unreachable(f"{reference.host}: {error.what}", error.reason, where=reference.familiar) from None


def _host_only(host: str) -> str:
    """The host without its port; IPv6 addresses keep their brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not host.endswith("]") else host


def _error_codes(answer: Document | Response) -> frozenset[str]:
    """The codes of a registry's error document (distribution-spec, error codes); none when there is no such thing."""
    try:
        body = answer.body if isinstance(answer, Document) else answer.read(MAX_DOCUMENT)
        errors = json.loads(body)["errors"]
        return frozenset(error["code"] for error in errors if isinstance(error["code"], str))
    except (CrossdockError, ValueError, TypeError, KeyError, RecursionError):
        return frozenset()


def _listed(codes: frozenset[str]) -> str:
    known = sorted(code for code in codes if code.isascii() and code.replace("_", "").isalpha() and len(code) < 40)
    return f" ({', '.join(known)})" if known else ""


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
