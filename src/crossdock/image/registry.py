"""A registry and its mirrors (distribution-spec): where content is asked for, limits, and what refusals mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from crossdock.errors import Kind, RegistryError
from crossdock.http.client import Http, Response
from crossdock.http.model import Document, Unreachable
from crossdock.image.auth import Authorizer, Keychain
from crossdock.image.reference import Reference
from crossdock.image.server import Server
from crossdock.image.settings import Endpoint, Settings

_LIMIT = re.compile(r"(\d{1,9})(?:\s*;\s*w=(\d{1,9}))?")

Answer = TypeVar("Answer", Document, Document | Response)


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
        self._orders: dict[tuple[str, bool], tuple[Server, ...]] = {}
        self._unhelpful: dict[str, str] = {}
        """Mirrors that did not give what was asked for, and why not, when they were asked last."""
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
        *mirrors, itself = self._in_order(reference.repository, by_digest=":" in tail)
        for mirror in mirrors:
            if mirror.down:
                continue
            try:
                answer = await ask(mirror)
            except RegistryError as error:
                mirror.down = isinstance(error, Unreachable)
                self._unhelpful[mirror.endpoint.host] = error.what
                continue
            if answer.status < 300 and not answer.headers.get("content-type", "").startswith("text/html"):
                return answer  # a page comes from a proxy that wants a login, or from what is no mirror
            self._unhelpful[mirror.endpoint.host] = f"HTTP {answer.status}"
        try:
            return await ask(itself)
        except RegistryError as error:
            self._with_mirrors(error)
            raise

    def _in_order(self, repository: str, *, by_digest: bool) -> tuple[Server, ...]:
        key = (repository, by_digest)
        if key not in self._orders:
            endpoints = self._settings.endpoints(self.host, repository, by_digest=by_digest)
            self._orders[key] = tuple(map(self._server, endpoints))
        return self._orders[key]

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

    def _with_mirrors(self, error: RegistryError) -> RegistryError:
        """The error of the registry itself, with what its mirrors said added to the hint."""
        said = "; ".join(f"its mirror {host} was asked before: {why}" for host, why in self._unhelpful.items())
        if said and said not in (error.hint or ""):
            error.hint = f"{error.hint or ''} ({said})".strip()
        return error

    async def refusal(self, answer: Document, reference: Reference, what: str, *, push: bool = False) -> RegistryError:
        """The error for an answer that is not the one hoped for. ``what`` was asked for: ``the manifest``."""
        error = await self._refusal(answer, reference, what, push=push)
        return error if push else self._with_mirrors(error)

    async def _refusal(self, answer: Document, reference: Reference, what: str, *, push: bool) -> RegistryError:
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
