"""Whether a file exists upstream, and its digest: what fixes rely on, asked from ordinary threads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from crossdock.errors import RegistryError
from crossdock.http.client import Http, Response
from crossdock.http.model import WHOLE_HOST, Document, Unreachable
from crossdock.http.urls import public_url, without_user

_HEAD_REFUSED = frozenset({400, 401, 403, 405, 406, 500, 501, 503})
"""Answers to HEAD after which GET may still succeed: signed URLs and some object stores know GET only."""
_PAGE_LIMIT = 8 << 20


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


class WebProber:
    """Asks web servers about files, as ``fixes.decide.Prober``. Threads may share it."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._down: dict[str, Unreachable] = {}

    def exists(self, url: str) -> Evidence:
        """Whether ``url`` can be downloaded: HEAD, then GET of one byte where HEAD is refused. Never raises for
        trouble on the network: that is ``unknown``, with the reason. A host that did not answer is not asked twice."""
        shown = without_user(url)
        if self._http.offline:
            return Evidence(shown, EvidenceStatus.UNKNOWN, "not looked up: --offline")
        host = shown.partition("://")[2].partition("/")[0]
        try:
            if host in self._down:
                raise self._down[host]
            answer: Document | Response = self._http.run(self._http.fetch("HEAD", url, limit=_PAGE_LIMIT, attempts=2))
            if answer.status in _HEAD_REFUSED:
                answer = self._http.run(self._http.stream(url, headers={"Range": "bytes=0-0"}, attempts=2))
                if isinstance(answer, Response):
                    answer.close()
        except Unreachable as error:
            if error.reason in WHOLE_HOST:
                self._down[host] = error
            return Evidence(shown, EvidenceStatus.UNKNOWN, error.what)
        except RegistryError as error:
            return Evidence(shown, EvidenceStatus.UNKNOWN, error.what)
        return _judge(shown, answer)

    def fetch_text(self, url: str) -> str | None:
        """What a small file says, such as a list of checksums; None where it cannot be had, whatever the reason."""
        if self._http.offline:
            return None
        try:
            answer = self._http.run(self._http.fetch("GET", url, limit=_PAGE_LIMIT, attempts=2))
        except RegistryError:
            return None
        return answer.body.decode("utf-8", "replace") if answer.status == 200 else None

    def fetch_digest(self, url: str, algorithm: str = "sha256", limit: int = 2 << 30) -> str:
        """The hex digest of what ``url`` serves, streamed. ``algorithm`` is one of hashlib's. Raises RegistryError
        when it cannot be read whole, is a web page's error, or has more than ``limit`` bytes."""
        if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
            raise RegistryError(f"{algorithm!r} is not a digest algorithm", where=public_url(url), hint="Use sha256.")
        attempts = self._http.patience.attempts
        for number in range(1, attempts + 1):
            answer = self._http.run(self._http.stream(url))
            if isinstance(answer, Document) or answer.status != 200:
                raise RegistryError(
                    f"answered HTTP {answer.status}",
                    where=public_url(url),
                    hint="Open the address in a browser; if the file moved, change it where it is written.",
                )
            try:
                return _digest(answer, algorithm, limit)
            except Unreachable as error:  # in the middle; what comes before is tried again by the client itself
                if number == attempts or not error.passing:
                    raise
                self._http.run(self._http.pause(number))
        raise AssertionError("the last attempt returns or raises")


def _digest(answer: Response, algorithm: str, limit: int) -> str:
    digest, size = hashlib.new(algorithm), 0
    with answer:
        for chunk in answer.chunks():
            digest.update(chunk)
            size += len(chunk)
            if size > limit:
                raise RegistryError(
                    f"the file is larger than {limit} bytes",
                    where=public_url(answer.url),
                    hint="Compute its checksum by hand.",
                )
    return digest.hexdigest()


def _judge(url: str, answer: Document | Response) -> Evidence:
    there = urlsplit(answer.url).hostname
    redirected = f" after a redirect to {there}" if there != urlsplit(url).hostname else ""
    detail = f"HTTP {answer.status}{redirected}"
    if answer.status in (404, 410):
        return Evidence(url, EvidenceStatus.MISSING, detail)
    # 416: the range of an empty file cannot be given, but the file is there.
    if answer.status not in (200, 203, 206, 416):
        return Evidence(url, EvidenceStatus.UNKNOWN, detail)
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    path = urlsplit(url).path.lower()
    if kind == "text/html" and not path.endswith(("/", ".html", ".htm")) and path:
        return Evidence(url, EvidenceStatus.UNKNOWN, f"{detail}, but it is a web page")
    return Evidence(url, EvidenceStatus.FOUND, detail)
