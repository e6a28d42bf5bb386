"""The one place that speaks HTTP: time limits, bounded retries, careful redirects, streamed bodies, an offline switch.

Everything above is built on two calls of ``Http``: ``stream`` for bodies of any size and ``fetch`` for small ones.
No message or repr holds a credential: user names, passwords and queries (which carry signatures) never leave a URL.
"""

from __future__ import annotations

import hashlib
import ipaddress
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

from crossdock import __version__
from crossdock.errors import RegistryError

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
Body = bytes | Callable[[], Iterator[bytes]]
"""What to send: bytes, or a function that starts the stream anew for each attempt."""

CHUNK = 256 * 1024
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
_HEAD_REFUSED = frozenset({400, 401, 403, 405, 406, 500, 501, 503})
"""Answers to HEAD after which GET may still succeed: signed URLs and some object stores know GET only."""


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try. All times in seconds.

    ``document`` bounds the whole body of a small document; ``stall`` is the window in which a streamed body must
    bring at least ``CHUNK`` bytes, so that a server that drips is not waited for all night.
    """

    connect: float = 10.0
    read: float = 30.0
    document: float = 60.0
    stall: float = 120.0
    attempts: int = 4
    backoff: float = 0.5
    retry_after: float = 60.0
    """A longer ``Retry-After`` than this is not waited for but reported."""


@dataclass(frozen=True)
class Trust:
    """Whom to believe when one server speaks TLS, and who we say we are. Files are PEM.

    ``authorities`` are added to the system's store; ``certificate`` and ``key`` are the client's own; with ``insecure``
    the server's certificate is not verified.
    """

    authorities: tuple[Path, ...] = ()
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False


class Reason(StrEnum):
    """Why there was no answer."""

    REFUSED = "refused"
    DNS = "dns"
    TIMEOUT = "timeout"
    CERTIFICATE = "certificate"
    NOT_TLS = "not tls"
    BROKEN = "broken"
    PROXY = "proxy"
    REDIRECT = "redirect"
    INVALID = "invalid"


_HINTS = {
    Reason.REFUSED: "Is the server running, and is the port right? Start it, or check the address, and run again.",
    Reason.DNS: "Check the spelling of the host name and this machine's DNS settings, or use --offline.",
    Reason.TIMEOUT: "Check the network and the proxy settings (HTTPS_PROXY, NO_PROXY), then run again.",
    Reason.CERTIFICATE: "Add the authority's certificate to this system's trust store, or name it in SSL_CERT_FILE.",
    Reason.NOT_TLS: "The server speaks plain HTTP on this port. If that is intended, run again with --plain-http.",
    Reason.BROKEN: "Run again; if it keeps happening, look into the server's log and any proxy in between.",
    Reason.PROXY: "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment.",
    Reason.REDIRECT: "Ask the operator of the server, or use the address it redirects to.",
    Reason.INVALID: "Write it as https://host/path.",
}
_PASSING = frozenset({Reason.REFUSED, Reason.DNS, Reason.TIMEOUT, Reason.BROKEN, Reason.PROXY})

_WHOLE_HOST = frozenset({Reason.DNS, Reason.REFUSED, Reason.TIMEOUT, Reason.PROXY, Reason.CERTIFICATE})
"""What will be no different for another address of the same host."""


class Unreachable(RegistryError):
    """No usable answer came. ``reason`` says why; ``passing`` whether trying again may help."""

    def __init__(self, what: str, reason: Reason, *, where: str | None = None) -> None:
        super().__init__(what, where=where, hint=_HINTS[reason])
        self.reason = reason

    @property
    def passing(self) -> bool:
        return self.reason in _PASSING


class Offline(RegistryError):
    """The network was needed and ``--offline`` forbids it."""


class EvidenceStatus(StrEnum):
    FOUND = "found"
    MISSING = "missing"
    UNKNOWN = "unknown"
    """It could not be looked up; ``detail`` says why. Never to be read as found or missing."""


@dataclass(frozen=True)
class Evidence:
    """What an existence check saw. ``url`` is the one that was asked, without user and password; ``detail`` is for
    people: ``HTTP 200 after a redirect to objects.example.org``."""

    url: str
    status: EvidenceStatus
    detail: str


@dataclass(frozen=True)
class Document:
    """A small answer, read to its end. ``headers`` have lower-case names."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def retry_after(self) -> float | None:
        return _retry_after(self.headers)


class Response:
    """An answer whose body is still to come. Close it, or use it in ``with``. ``headers`` have lower-case names."""

    def __init__(self, raw: httpx2.Response, patience: Patience) -> None:
        self._raw = raw
        self._patience = patience
        self.status: int = raw.status_code
        self.url: str = str(raw.url)
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in raw.headers.items()}

    def __repr__(self) -> str:
        return f"Response({self.status}, {public_url(self.url)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def retry_after(self) -> float | None:
        return _retry_after(self.headers)

    def close(self) -> None:
        with suppress(Exception):
            self._raw.close()

    def chunks(self) -> Iterator[bytes]:
        """The body as it was sent (any Content-Encoding kept). Raises Unreachable when it breaks off or stalls."""
        began, arrived = time.monotonic(), 0
        for chunk in _translated(self._raw.iter_raw(), self.url):
            yield chunk
            arrived += len(chunk)
            now = time.monotonic()
            if arrived >= CHUNK:
                began, arrived = now, 0
            elif now - began > self._patience.stall:
                raise Unreachable("the server sends too slowly", Reason.TIMEOUT, where=public_url(self.url))

    def read(self, limit: int) -> bytes:
        """The whole body. Raises RegistryError when it has more than ``limit`` bytes."""
        deadline = time.monotonic() + self._patience.document
        body = bytearray()
        for chunk in _translated(self._raw.iter_raw(), self.url):
            body += chunk
            if len(body) > limit:
                raise RegistryError(
                    f"the answer is larger than {limit} bytes",
                    where=public_url(self.url),
                    hint="This is not a document of the kind that was asked for. Check the address.",
                )
            if time.monotonic() > deadline:
                raise Unreachable("the server sends too slowly", Reason.TIMEOUT, where=public_url(self.url))
        return bytes(body)


@dataclass(frozen=True)
class _Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Body | None = field(default=None, repr=False)
    length: int | None = None

    def redirected(self, location: str) -> _Request:
        """The same request to another place. Credentials go along only to the same scheme, host and port."""
        try:
            target = urljoin(self.url, location)
            elsewhere = origin(target) != origin(self.url)
        except ValueError:
            raise Unreachable("redirects to what is no address", Reason.REDIRECT, where=public_url(self.url)) from None
        if self.url.lower().startswith("https:") and not target.lower().startswith("https:"):
            raise Unreachable(
                f"redirects from https to {public_url(target)}", Reason.REDIRECT, where=public_url(self.url)
            )
        if not elsewhere:
            return replace(self, url=target)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _CREDENTIAL_HEADERS}
        return replace(self, url=target, headers=kept)


class Http:
    """An HTTP client. Threads may share it; connections are kept open and reused until ``close``.

    Proxies come from the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), except for this machine itself.
    """

    def __init__(self, *, offline: bool = False, patience: Patience | None = None) -> None:
        self.offline = offline
        self.patience = patience or Patience()
        self._lock = threading.Lock()
        self._clients: dict[bool, httpx2.Client] = {}
        self._down: dict[str, Unreachable] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        length: int | None = None,
        attempts: int | None = None,
    ) -> Response:
        """Send a request and return its answer as soon as the headers are there, whatever its status.

        A streamed ``body`` needs its ``length`` in bytes. Statuses 408, 429 and 5xx and broken connections are tried
        again up to ``attempts`` times. Raises Unreachable when no answer came, Offline when that was asked for.
        """
        return self._attempt(_Request(method, url, headers or {}, body, length), attempts, lambda response: response)

    def fetch(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        length: int | None = None,
        attempts: int | None = None,
    ) -> Document:
        """As ``stream``, with the body read to its end; one that breaks off is asked for again. Raises RegistryError
        when it has more than ``limit`` bytes."""

        def finish(response: Response) -> Document:
            with response:
                return Document(response.status, response.url, response.headers, response.read(limit))

        return self._attempt(_Request(method, url, headers or {}, body, length), attempts, finish)

    def exists(self, url: str) -> Evidence:
        """Whether ``url`` can be downloaded: HEAD, then GET of one byte where HEAD is refused. Never raises for
        trouble on the network: that is ``unknown``, with the reason. A host that did not answer is not asked twice."""
        shown = _without_user(url)
        if self.offline:
            return Evidence(shown, EvidenceStatus.UNKNOWN, "not looked up: --offline")
        host = shown.partition("://")[2].partition("/")[0]
        try:
            if host in self._down:
                raise self._down[host]
            with self.stream("HEAD", url, attempts=2) as response:
                evidence, final = _judge(shown, response), response.status not in _HEAD_REFUSED
            if not final:
                with self.stream("GET", url, headers={"Range": "bytes=0-0"}, attempts=2) as response:
                    evidence = _judge(shown, response)
        except Unreachable as error:
            if error.reason in _WHOLE_HOST:
                self._down[host] = error
            return Evidence(shown, EvidenceStatus.UNKNOWN, error.what)
        except RegistryError as error:
            return Evidence(shown, EvidenceStatus.UNKNOWN, error.what)
        return evidence

    def fetch_digest(self, url: str, algorithm: str = "sha256", limit: int = 2 << 30) -> str:
        """The hex digest of what ``url`` serves, streamed. ``algorithm`` is one of hashlib's. Raises RegistryError
        when it cannot be read whole, is a web page's error, or has more than ``limit`` bytes."""
        if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
            raise RegistryError(f"{algorithm!r} is not a digest algorithm", where=public_url(url), hint="Use sha256.")

        def finish(response: Response) -> str:
            with response:
                if response.status != 200:
                    raise RegistryError(
                        f"answered HTTP {response.status}",
                        where=public_url(url),
                        hint="Open the address in a browser; if the file moved, change it where it is written.",
                    )
                digest, size = hashlib.new(algorithm), 0
                for chunk in response.chunks():
                    digest.update(chunk)
                    size += len(chunk)
                    if size > limit:
                        raise RegistryError(
                            f"the file is larger than {limit} bytes",
                            where=public_url(url),
                            hint="Compute its checksum by hand.",
                        )
                return digest.hexdigest()

        return self._attempt(_Request("GET", url, {}), None, finish)

    def pause(self, number: int, asked: float | None = None) -> bool:
        """Wait before the attempt that follows attempt ``number``; ``asked`` are the seconds that the server wants.
        False, without waiting, when that is longer than anybody should sit and wait."""
        if asked is not None and asked > self.patience.retry_after:
            return False
        backoff = self.patience.backoff * 2.0 ** (number - 1) * random.uniform(0.5, 1.0)
        time.sleep(backoff if asked is None else asked + random.uniform(0, 0.1))
        return True

    def _attempt(self, request: _Request, attempts: int | None, finish: Callable[[Response], T]) -> T:
        """Ask until an answer stands, and let ``finish`` read it: a body that breaks off is a reason to ask again."""
        attempts = attempts or self.patience.attempts
        for number in range(1, attempts + 1):
            last = number == attempts
            try:
                response = self._follow(request)
                if last or response.status not in _RETRIED or not self.pause(number, response.retry_after):
                    return finish(response)
                response.close()
            except Unreachable as error:
                if last or not error.passing:
                    raise
                self.pause(number)
        raise AssertionError("the last attempt returns or raises")

    def _follow(self, request: _Request) -> Response:
        """One request and the redirects it leads to. Only GET and HEAD are redirected; the rest is the caller's."""
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send(request)
            location = response.headers.get("location")
            if request.method not in ("GET", "HEAD") or response.status not in _REDIRECTS or not location:
                return response
            response.close()
            request = request.redirected(location)
        raise Unreachable(f"redirects more than {_MAX_REDIRECTS} times", Reason.REDIRECT, where=public_url(request.url))

    def _send(self, request: _Request) -> Response:
        where = public_url(request.url)
        if self.offline:
            raise Offline(
                "the network is needed, and --offline was given", where=where, hint="Run again without --offline."
            )
        client = self._client(direct=is_loopback(_host(request.url)))
        import httpx2

        sent = {
            "User-Agent": f"crossdock/{__version__}",
            "Accept": "*/*",
            # What is hashed must be what was stored, so nothing in between may compress it.
            "Accept-Encoding": "identity",
            **request.headers,
        }
        if request.length is not None:
            sent["Content-Length"] = str(request.length)
        content = request.body() if callable(request.body) else request.body
        try:
            built = client.build_request(request.method, request.url, headers=sent, content=content)
            return Response(client.send(built, stream=True), self.patience)
        except httpx2.HTTPError as error:
            raise _unreachable(error, request.url) from None
        except (httpx2.InvalidURL, UnicodeError):
            raise Unreachable("is not an address that can be asked", Reason.INVALID, where=where) from None

    def _client(self, *, direct: bool) -> httpx2.Client:
        with self._lock:
            if direct not in self._clients:
                self._clients[direct] = _new_client(self.patience, direct)
            return self._clients[direct]


def is_loopback(host: str) -> bool:
    """Whether a host name or address (IPv6 with or without brackets) means this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what credentials are bound to."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or {"https": 443, "http": 80}.get(scheme, 0)


def public_url(url: str) -> str:
    """A URL that may be shown: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(an address that cannot be read)"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def _without_user(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"


def _host(url: str) -> str:
    """The host of an http or https address. Raises Unreachable for anything else."""
    try:
        parts = urlsplit(url)
        if parts.scheme.lower() in ("http", "https") and parts.hostname and (parts.port or 1) > 0:
            return parts.hostname
    except ValueError:
        pass
    raise Unreachable("is not an http or https address", Reason.INVALID, where=public_url(url))


def _new_client(patience: Patience, direct: bool) -> httpx2.Client:
    import httpx2

    try:
        return httpx2.Client(
            timeout=httpx2.Timeout(patience.read, connect=patience.connect, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16),
            # This machine is reached without a proxy, but with the same trusted certificates (SSL_CERT_FILE).
            verify=httpx2.create_ssl_context(),
            trust_env=not direct,
        )
    except (ValueError, ImportError, OSError, httpx2.InvalidURL):
        # The library's own message would repeat the proxy's address with its password.
        raise Unreachable("a proxy or certificate setting of the environment cannot be used", Reason.PROXY) from None


def _translated(chunks: Iterator[bytes], url: str) -> Iterator[bytes]:
    import httpx2

    try:
        yield from chunks
    except httpx2.HTTPError as error:
        raise _unreachable(error, url, midway=True) from None


def _unreachable(error: httpx2.HTTPError, url: str, *, midway: bool = False) -> Unreachable:
    """What a person should read instead of the library's exception, which may hold addresses with credentials."""
    import httpx2

    where = public_url(url)
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Unreachable(
                f"the server's certificate is not trusted: {cause.verify_message}", Reason.CERTIFICATE, where=where
            )
    text = " ".join(str(cause) for cause in causes)
    if re.search(r"WRONG_VERSION_NUMBER|HTTP_REQUEST|record layer failure|UNKNOWN_PROTOCOL", text, re.IGNORECASE):
        return Unreachable("the server does not speak TLS", Reason.NOT_TLS, where=where)
    if isinstance(error, httpx2.ConnectTimeout):
        return Unreachable("the server did not accept the connection in time", Reason.TIMEOUT, where=where)
    if isinstance(error, httpx2.TimeoutException):
        return Unreachable("the server did not answer in time", Reason.TIMEOUT, where=where)
    if isinstance(error, httpx2.ProxyError):
        return Unreachable("the proxy refused the connection", Reason.PROXY, where=where)
    if isinstance(error, httpx2.ConnectError):
        if re.search(r"Name or service|getaddrinfo|nodename|name resolution|No address associated", text):
            return Unreachable("the host name cannot be resolved", Reason.DNS, where=where)
        refused = re.search(r"refused", text, re.IGNORECASE)
        return Unreachable("the connection was refused" if refused else "cannot connect", Reason.REFUSED, where=where)
    broken = "the connection broke off in the middle" if midway else "the connection broke before an answer came"
    return Unreachable(broken, Reason.BROKEN, where=where)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number or a date."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal() and len(text) < 10:
        return float(text)
    import email.utils

    try:
        date = email.utils.parsedate_to_datetime(text)
        return max(0.0, date.timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _judge(url: str, response: Response) -> Evidence:
    there = urlsplit(response.url).hostname
    redirected = f" after a redirect to {there}" if there != urlsplit(url).hostname else ""
    detail = f"HTTP {response.status}{redirected}"
    if response.status in (404, 410):
        return Evidence(url, EvidenceStatus.MISSING, detail)
    # 416: the range of an empty file cannot be given, but the file is there.
    if response.status not in (200, 203, 206, 416):
        return Evidence(url, EvidenceStatus.UNKNOWN, detail)
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    path = urlsplit(url).path.lower()
    if kind == "text/html" and not path.endswith(("/", ".html", ".htm")) and path:
        return Evidence(url, EvidenceStatus.UNKNOWN, f"{detail}, but it is a web page")
    return Evidence(url, EvidenceStatus.FOUND, detail)
