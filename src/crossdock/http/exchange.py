"""One request on its way through libcurl: what is sent, what has come so far, and what went wrong."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from urllib.parse import urljoin

import pycurl

from crossdock import __version__
from crossdock.errors import Kind, RegistryError
from crossdock.http.model import STALL_BYTES, Patience, Reason, Trust, Unreachable
from crossdock.http.pipe import Pipe
from crossdock.http.urls import host_of, is_loopback, origin, public_url

_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
_BUFFER = 1 << 20
_STATUS_LINE = re.compile(r"HTTP/[0-9.]+ ([0-9]{3})(?: |$)")
_SUPPRESS_CONNECT_HEADERS = 265
"""CURLOPT_SUPPRESS_CONNECT_HEADERS, which pycurl has no name for: a proxy's own answer is not the server's."""
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch, Kylin desktop
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL, openEuler, Kylin server
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, Alpine
)
"""Where systems keep the authorities they trust, as Go's crypto/x509 (root_linux.go) looks for them."""

# What libcurl's error codes mean here (libcurl-errors(3)); pycurl has no names for the last ones.
_REASONS = {
    pycurl.E_UNSUPPORTED_PROTOCOL: Reason.NOT_HTTP,  # of an answer: that of an address was looked at before
    8: Reason.NOT_HTTP,  # CURLE_WEIRD_SERVER_REPLY
    pycurl.E_URL_MALFORMAT: Reason.INVALID,
    pycurl.E_COULDNT_RESOLVE_PROXY: Reason.PROXY,
    pycurl.E_COULDNT_RESOLVE_HOST: Reason.DNS,
    pycurl.E_COULDNT_CONNECT: Reason.REFUSED,
    pycurl.E_OPERATION_TIMEDOUT: Reason.TIMEOUT,
    pycurl.E_SSL_CONNECT_ERROR: Reason.BROKEN,
    pycurl.E_PEER_FAILED_VERIFICATION: Reason.CERTIFICATE,
    pycurl.E_SSL_CERTPROBLEM: Reason.CERTIFICATE,
    pycurl.E_SSL_CACERT_BADFILE: Reason.CERTIFICATE,
    97: Reason.PROXY,  # CURLE_PROXY
}


@dataclass(frozen=True)
class Upload:
    """A body that is streamed: ``chunks`` starts it anew for each attempt, ``length`` is its size in bytes."""

    chunks: Callable[[], Iterator[bytes]]
    length: int


@dataclass(frozen=True)
class Request:
    """What to ask. Credentials are among the headers, so no repr shows those, nor the address."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | Upload | None = field(default=None, repr=False)
    trust: Trust = field(default_factory=Trust)

    def redirected(self, location: str) -> Request:
        """The same request to another place. Credentials and trust go along only to the same scheme, host and port."""
        where = public_url(self.url)
        try:
            target = urljoin(self.url, location)
            elsewhere = origin(target) != origin(self.url)
        except ValueError:
            raise Unreachable("redirects to what is no address", Reason.REDIRECT, where=where) from None
        if self.url.lower().startswith("https:") and not target.lower().startswith("https:"):
            raise Unreachable(f"redirects from https to {public_url(target)}", Reason.REDIRECT, where=where)
        if not elsewhere:
            return replace(self, url=target)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _CREDENTIAL_HEADERS}
        return replace(self, url=target, headers=kept, trust=Trust())


class Exchange:
    """A request given to libcurl. Its callbacks run in the event loop and must not wait.

    Without ``sink`` the body is collected, up to ``limit`` bytes. ``on_headers`` is called once, when the answer's
    status and headers are known, and may set ``sink``, which says False when it cannot take more just now.
    """

    def __init__(self, request: Request, patience: Patience, *, limit: int, whole: bool) -> None:
        self.request = request
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.trouble: Exception | None = None
        self.sink: Callable[[bytes], bool] | None = None
        self.on_headers: Callable[[], None] = lambda: None
        self.upload: Pipe | None = None
        self._limit = limit
        self._proxied = False
        self.curl = pycurl.Curl()
        try:
            self._address()
            if request.url.lower().startswith("https:"):
                self._trust()
            self._content()
            self._time_limits(patience, whole=whole)
        except (pycurl.error, UnicodeError, ValueError):
            raise Unreachable("is not an address that can be asked", Reason.INVALID, where=self.where) from None

    @property
    def where(self) -> str:
        return public_url(self.request.url)

    def _address(self) -> None:
        curl, request = self.curl, self.request
        host = host_of(request.url)
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        curl.setopt(pycurl.PIPEWAIT, 1)  # rather a stream of an HTTP/2 connection than another connection
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.BUFFERSIZE, _BUFFER)
        # What is hashed must be what was stored, so nothing in between may compress it.
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": f"crossdock/{__version__}"}
        headers |= request.headers
        lines = [f"{name}: {value}" for name, value in headers.items()]
        if any(c in line for line in lines for c in "\r\n\0"):
            raise ValueError("a header with a line break")
        # Neither waiting for "100 Continue" nor a made-up type of content.
        unwanted = ["Expect:"] + ["Content-Type:"] * ("content-type" not in {name.lower() for name in headers})
        curl.setopt(pycurl.HTTPHEADER, lines + unwanted)
        # This machine is reached without a proxy.
        proxy = "" if is_loopback(host) else _proxy(request.url.partition(":")[0].lower())
        self._proxied = bool(proxy)
        curl.setopt(pycurl.PROXY, proxy)
        curl.setopt(_SUPPRESS_CONNECT_HEADERS, 1)
        curl.setopt(pycurl.NOPROXY, os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "")
        curl.setopt(pycurl.HEADERFUNCTION, self._on_header)
        curl.setopt(pycurl.WRITEFUNCTION, self._on_body)

    def _trust(self) -> None:
        curl, trust = self.curl, self.request.trust
        bundle = os.environ.get("SSL_CERT_FILE") or _bundle()
        if trust.authorities:
            known = [path for path in (bundle, *map(str, trust.authorities)) if path]
            curl.setopt(pycurl.CAINFO_BLOB, b"\n".join(self._read(path) for path in known))
        elif bundle and not trust.insecure:  # reading it takes 5 ms
            curl.setopt(pycurl.CAINFO, bundle)
        if folder := os.environ.get("SSL_CERT_DIR"):
            curl.setopt(pycurl.CAPATH, folder)
        if trust.certificate:
            curl.setopt(pycurl.SSLCERT, str(trust.certificate))
        if trust.key:
            curl.setopt(pycurl.SSLKEY, str(trust.key))
        if trust.insecure:
            curl.setopt(pycurl.SSL_VERIFYPEER, 0)
            curl.setopt(pycurl.SSL_VERIFYHOST, 0)

    def _read(self, path: str) -> bytes:
        try:
            return Path(path).read_bytes()
        except OSError as error:
            raise Unreachable(
                f"the certificates in {path} cannot be read: {error.strerror}", Reason.CERTIFICATE, where=self.where
            ) from None

    def _content(self) -> None:
        curl, request = self.curl, self.request
        if isinstance(request.body, Upload):
            self.upload = Pipe()
            curl.setopt(pycurl.UPLOAD, 1)
            curl.setopt(pycurl.INFILESIZE_LARGE, request.body.length)
            curl.setopt(pycurl.UPLOAD_BUFFERSIZE, _BUFFER)
            curl.setopt(pycurl.READFUNCTION, self._on_read)
        elif request.body is not None or request.method in ("POST", "PUT", "PATCH"):
            curl.setopt(pycurl.POSTFIELDS, request.body or b"")
        elif request.method == "HEAD":
            curl.setopt(pycurl.NOBODY, 1)
        if request.method not in ("GET", "HEAD"):
            curl.setopt(pycurl.CUSTOMREQUEST, request.method)

    def _time_limits(self, patience: Patience, *, whole: bool) -> None:
        curl = self.curl
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, int(patience.connect * 1000))
        # libcurl gives up on what stays below LIMIT bytes a second for TIME seconds; pauses do not count.
        if whole:
            curl.setopt(pycurl.TIMEOUT_MS, int(patience.document * 1000))
            curl.setopt(pycurl.LOW_SPEED_LIMIT, 1)
            curl.setopt(pycurl.LOW_SPEED_TIME, math.ceil(patience.read))
        else:
            curl.setopt(pycurl.LOW_SPEED_LIMIT, math.ceil(STALL_BYTES / patience.stall))
            curl.setopt(pycurl.LOW_SPEED_TIME, math.ceil(patience.stall))

    def _on_header(self, data: bytes) -> None:
        line = data.decode("latin-1").strip()
        if status := _STATUS_LINE.match(line):
            # The first of an answer; an interim answer (1xx) may have come before.
            self.headers.clear()
            self.status = int(status[1])
        elif line:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value
        elif self.status >= 200:
            self.on_headers()

    def _on_body(self, data: bytes) -> int | None:
        if self.sink:
            return None if self.sink(data) else pycurl.WRITEFUNC_PAUSE
        self.body += data
        if len(self.body) <= self._limit:
            return None
        self.trouble = RegistryError(
            f"the answer is larger than {self._limit} bytes",
            where=self.where,
            hint="This is not a document of the kind that was asked for. Check the address.",
            kind=Kind.TOO_LARGE,
        )
        return -1

    def _on_read(self, size: int) -> bytes | int:
        assert self.upload is not None
        try:
            data = self.upload.take(size)
        except Exception as error:
            self.trouble = error
            return int(pycurl.READFUNC_ABORT)
        return int(pycurl.READFUNC_PAUSE) if data is None else data

    def failure(self, error: pycurl.error) -> Exception:
        """What a person should read instead of libcurl's error."""
        if self.trouble:
            return self.trouble
        code, text = error.args[0], str(error.args[1]) if len(error.args) > 1 else ""
        reason = _REASONS.get(code, Reason.BROKEN)
        lower = text.lower()
        if reason is Reason.TIMEOUT:
            return Unreachable(self._too_slow(), reason, where=self.where)
        if code == pycurl.E_SSL_CONNECT_ERROR and any(sign in lower for sign in _NO_TLS):
            return Unreachable("the server does not speak TLS", Reason.NOT_TLS, where=self.where)
        if "certificate required" in lower or "bad certificate" in lower:
            what = "the server wants a client certificate that it trusts"
            return Unreachable(what, Reason.CERTIFICATE, where=self.where)
        if reason is Reason.CERTIFICATE:
            what = f"the server's certificate is not trusted: {text.removeprefix('SSL certificate problem: ')}"
            if code != pycurl.E_PEER_FAILED_VERIFICATION:
                what = "a certificate that is configured cannot be used"
            return Unreachable(what, reason, where=self.where)
        if self._proxied and (
            reason is Reason.REFUSED or (reason is Reason.BROKEN and self.curl.getinfo(pycurl.HTTP_CONNECTCODE) >= 400)
        ):
            reason = Reason.PROXY
        if reason is Reason.REFUSED and self.curl.getinfo(pycurl.OS_ERRNO) != errno.ECONNREFUSED:
            return Unreachable("cannot connect", reason, where=self.where)
        return Unreachable(_WHAT[reason] if not self.status else _MIDWAY, reason, where=self.where)

    def _too_slow(self) -> str:
        if not self.curl.getinfo(pycurl.PRETRANSFER_TIME):
            return "the server did not accept the connection in time"
        return "the server sends too slowly" if self.status else "the server did not answer in time"


_NO_TLS = ("wrong version", "http request", "packet length", "record layer", "unknown protocol")
"""What OpenSSL says, in its various versions, of an answer that is no TLS."""
_MIDWAY = "the connection broke off in the middle"
_WHAT = {
    Reason.INVALID: "is not an address that can be asked",
    Reason.PROXY: "the proxy refused the connection",
    Reason.DNS: "the host name cannot be resolved",
    Reason.REFUSED: "the connection was refused",
    Reason.BROKEN: "the connection broke before an answer came",
    Reason.NOT_HTTP: "the server does not speak HTTP",
}


@cache
def _bundle() -> str:
    """The authorities that this system trusts; empty when they are not where systems keep them."""
    return next((path for path in _BUNDLES if Path(path).exists()), "")


def _proxy(scheme: str) -> str:
    """The proxy that the environment names for a scheme; upper and lower case, as most programs have it."""
    names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    return next((os.environ[name] for name in names if os.environ.get(name)), "")
