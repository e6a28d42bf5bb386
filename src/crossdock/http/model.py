"""What goes to and comes from HTTP: answers, patience, trust, and why there was no answer.

No message or repr holds a credential: user names, passwords and queries (which carry signatures) never leave a URL.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from crossdock.errors import Kind, RegistryError


@dataclass(frozen=True)
class Patience:
    """How long to wait and how often to try. All times in seconds.

    ``read`` bounds the wait for the next byte, ``document`` the whole of a small answer; ``stall`` is the window in
    which a streamed body must bring at least ``STALL_BYTES``, so that a server that drips is not waited for all night.
    """

    connect: float = 10.0
    read: float = 30.0
    document: float = 60.0
    stall: float = 120.0
    attempts: int = 4
    backoff: float = 0.5
    retry_after: float = 60.0
    """A longer ``Retry-After`` than this is not waited for but reported."""


STALL_BYTES = 256 * 1024


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
    NOT_HTTP = "not http"
    PROXY = "proxy"
    REDIRECT = "redirect"
    INVALID = "invalid"


_HINTS = {
    Reason.REFUSED: "Is the server running, and is the port right? Start it, or check the address, and run again.",
    Reason.DNS: "Check the spelling of the host name, this machine's DNS settings, and whether a proxy is needed.",
    Reason.TIMEOUT: "Check the network and the proxy settings (HTTPS_PROXY, NO_PROXY), then run again.",
    Reason.CERTIFICATE: "Add the authority's certificate to this system's trust store, or name it in SSL_CERT_FILE.",
    Reason.NOT_TLS: "The server speaks plain HTTP on this port. If that is intended, run again with --plain-http.",
    Reason.BROKEN: "Run again; if it keeps happening, look into the server's log and any proxy in between.",
    Reason.NOT_HTTP: "Check host and port: something else than a registry or web server answers there.",
    Reason.PROXY: "Check HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment.",
    Reason.REDIRECT: "Ask the operator of the server, or use the address it redirects to.",
    Reason.INVALID: "Write it as https://host/path.",
}
_KINDS = {
    Reason.DNS: Kind.DNS,
    Reason.TIMEOUT: Kind.TIMEOUT,
    Reason.CERTIFICATE: Kind.TLS,
    Reason.NOT_TLS: Kind.TLS,
    Reason.REDIRECT: Kind.REDIRECT,
}
_PASSING = frozenset({Reason.REFUSED, Reason.DNS, Reason.TIMEOUT, Reason.BROKEN, Reason.PROXY})
WHOLE_HOST = frozenset({Reason.DNS, Reason.REFUSED, Reason.TIMEOUT, Reason.PROXY, Reason.CERTIFICATE})
"""What will be no different for another address of the same host."""


class Unreachable(RegistryError):
    """No usable answer came. ``reason`` says why; ``passing`` whether trying again may help."""

    def __init__(self, what: str, reason: Reason, *, where: str | None = None) -> None:
        super().__init__(what, where=where, hint=_HINTS[reason], kind=_KINDS.get(reason, Kind.UNREACHABLE))
        self.reason = reason

    @property
    def passing(self) -> bool:
        return self.reason in _PASSING


class Offline(RegistryError):
    """The network was needed and ``--offline`` forbids it."""

    def __init__(self, *, where: str | None = None) -> None:
        super().__init__(
            "the network is needed, and --offline was given",
            where=where,
            hint="Run again without --offline.",
            kind=Kind.OFFLINE,
        )


@dataclass(frozen=True)
class Document:
    """A small answer, read to its end. ``headers`` have lower-case names; repeated ones are joined by commas."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def retry_after(self) -> float | None:
        """Seconds that a Retry-After header asks for (RFC 9110, 10.2.3): a number or a date."""
        text = self.headers.get("retry-after", "").strip()
        if text.isdecimal() and len(text) < 10:
            return float(text)
        import email.utils

        try:
            date = email.utils.parsedate_to_datetime(text)
            return max(0.0, date.timestamp() - time.time())
        except (TypeError, ValueError, OverflowError):
            return None
