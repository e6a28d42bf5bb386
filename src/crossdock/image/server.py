"""One server that answers for a registry: its address, its authorization, and whether it answers at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from crossdock.http.client import Response
from crossdock.http.exchange import Upload
from crossdock.http.model import WHOLE_HOST, Document, Reason, Trust, Unreachable
from crossdock.http.urls import is_loopback, origin
from crossdock.image.auth import Authorizer
from crossdock.image.documents import (
    MAX_DOCUMENT,
)
from crossdock.image.reference import Reference
from crossdock.image.settings import Endpoint

_MIRROR_ATTEMPTS = 2

Answer = TypeVar("Answer", Document, Document | Response)


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
            # Only whether it speaks TLS; nothing is sent that could be stolen, and the certificate is looked at later.
            url, anyone = f"https://{self.endpoint.host}/v2/", replace(self._trust, insecure=True)
            await self._http.fetch("GET", url, limit=MAX_DOCUMENT, trust=anyone, attempts=1)
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


def _host_only(host: str) -> str:
    """The host without its port; IPv6 addresses keep their brackets."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() and not host.endswith("]") else host
