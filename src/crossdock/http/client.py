"""The HTTP client: one event loop in a thread of its own, on which all connections live."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, Self, TypeVar

import pycurl

from crossdock.http.exchange import Exchange, Request, Upload
from crossdock.http.model import Document, Offline, Patience, Reason, Trust, Unreachable
from crossdock.http.pipe import Pipe
from crossdock.http.urls import host_of, origin, public_url

T = TypeVar("T")

DOCUMENTS_PER_HOST = 64
"""Requests for small documents on their way at once to one host: enough to hide 50 ms of latency."""
_ERROR_LIMIT = 8 << 20
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10


class Response:
    """An answer (status 2xx) whose body is still coming. A thread other than the client's reads it with ``chunks``, and
    whoever does not read it to its end closes it. ``headers`` have lower-case names."""

    def __init__(self, status: int, url: str, headers: Mapping[str, str], pipe: Pipe, stop: Callable[[], None]) -> None:
        self.status = status
        self.url = url
        self.headers = headers
        self._pipe = pipe
        self._stop = stop

    def __repr__(self) -> str:
        return f"Response({self.status}, {public_url(self.url)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stop()

    def chunks(self) -> Iterator[bytes]:
        """The body as it was sent (any Content-Encoding kept). Raises Unreachable when it breaks off or stalls."""
        while chunk := self._pipe.get():
            yield chunk


class Http:
    """An HTTP client. HTTP/1.1 with connections kept open, HTTP/2 where a server offers it; proxies come from the
    environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY), except for this machine itself.

    ``fetch`` and ``stream`` are coroutines for the client's own event loop; ``run`` runs one from any other thread.
    """

    def __init__(self, *, offline: bool = False, patience: Patience | None = None) -> None:
        self.offline = offline
        self.patience = patience or Patience()
        self._lock = threading.Lock()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._multi: pycurl.AsyncCurlMulti | None = None
        self._places: dict[tuple[str, str, int], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(DOCUMENTS_PER_HOST)
        )
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, work: Coroutine[Any, Any, T], meanwhile: Callable[[], object] = lambda: None) -> T:
        """Run a coroutine on the client's event loop and wait for what it returns or raises. Ctrl-C cancels it.
        ``meanwhile`` is done in this thread before it begins to wait."""
        future = self.start(work)
        try:
            meanwhile()
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """As ``run``, without waiting."""
        try:
            loop = self._started()
        except Unreachable:
            work.close()
            raise
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("the event loop cannot wait for itself")
        return asyncio.run_coroutine_threadsafe(work, loop)

    def close(self) -> None:
        """End whatever is still on its way, and all connections. What other threads ask for from then on is refused, so
        that none of them holds up the end."""
        with self._lock:
            self._closed = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._multi:
            await self._multi.aclose()
            self._multi = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise Unreachable("the transfer was stopped", Reason.BROKEN)
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="http", daemon=True)
                self._thread.start()
            return self._loop

    # ------------------------------------------------------------ requests

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        limit: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | Upload | None = None,
        trust: Trust | None = None,
        attempts: int | None = None,
        watch: Callable[[Document | None], None] | None = None,
    ) -> Document:
        """Send a request and return its answer, whatever its status, with the body read to its end.

        Statuses 408, 429 and 5xx, broken connections and bodies that break off are tried again up to ``attempts``
        times. Raises Unreachable when no answer came, RegistryError when it has more than ``limit`` bytes, Offline when
        that was asked for.

        ``watch`` is called when its turn has come to be sent, with None, and with each answer, also those that are
        followed by another attempt; what it raises ends all.
        """
        request = Request(method, url, headers or {}, body, trust or Trust())

        def send(step: Request) -> Coroutine[Any, Any, Document]:
            return self._document(step, limit, watch or _unwatched)

        async with contextlib.AsyncExitStack() as place:
            if not isinstance(body, Upload) and host_of(url):
                # Kept until the last attempt, so that what waits does not press on a server that is in trouble.
                await place.enter_async_context(self._places[origin(url)])
            answer = await self._attempt(request, attempts, send)
        assert isinstance(answer, Document)
        return answer

    async def stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        trust: Trust | None = None,
        attempts: int | None = None,
    ) -> Response | Document:
        """GET a body of any size: a Response as soon as a good answer's headers are there, a Document for any other
        status. Tried again as ``fetch`` does, until the body begins."""
        request = Request("GET", url, headers or {}, None, trust or Trust())
        return await self._attempt(request, attempts, self._response)

    async def pause(self, number: int, asked: float | None = None) -> bool:
        """Wait before the attempt that follows attempt ``number``; ``asked`` are the seconds that the server wants.
        False, without waiting, when that is longer than anybody should sit and wait."""
        if asked is not None and asked > self.patience.retry_after:
            return False
        backoff = self.patience.backoff * 2.0 ** (number - 1) * random.uniform(0.5, 1.0)
        await asyncio.sleep(backoff if asked is None else asked + random.uniform(0, backoff))
        return True

    async def _attempt(
        self,
        request: Request,
        attempts: int | None,
        send: Callable[[Request], Coroutine[Any, Any, Document | Response]],
    ) -> Document | Response:
        if self.offline:
            raise Offline(where=public_url(request.url))
        attempts = attempts or self.patience.attempts
        for number in range(1, attempts + 1):
            last = number == attempts
            try:
                answer = await self._follow(request, send)
            except Unreachable as error:
                if last or not error.passing:
                    raise
                await self.pause(number)
                continue
            if (
                last
                or isinstance(answer, Response)
                or answer.status not in _RETRIED
                or not await self.pause(number, answer.retry_after)
            ):
                return answer
        raise AssertionError("the last attempt returns or raises")

    async def _follow(
        self, request: Request, send: Callable[[Request], Coroutine[Any, Any, Document | Response]]
    ) -> Document | Response:
        """One request and the redirects it leads to. Only GET and HEAD are redirected; the rest is the caller's."""
        for _ in range(_MAX_REDIRECTS + 1):
            answer = await send(request)
            location = answer.headers.get("location")
            if request.method not in ("GET", "HEAD") or answer.status not in _REDIRECTS or not location:
                return answer
            request = request.redirected(location)
        raise Unreachable(f"redirects more than {_MAX_REDIRECTS} times", Reason.REDIRECT, where=public_url(request.url))

    async def _document(self, request: Request, limit: int, watch: Callable[[Document | None], None]) -> Document:
        exchange = Exchange(request, self.patience, limit=limit, whole=not isinstance(request.body, Upload))
        watch(None)
        await self._transfer(exchange)
        answer = Document(exchange.status, request.url, exchange.headers, bytes(exchange.body))
        watch(answer)
        return answer

    async def _response(self, request: Request) -> Document | Response:
        exchange = Exchange(request, self.patience, limit=_ERROR_LIMIT, whole=False)
        pipe = Pipe()
        known = asyncio.Event()

        def on_headers() -> None:
            if 200 <= exchange.status < 300:
                exchange.sink = pipe.offer
            known.set()

        exchange.on_headers = on_headers
        loop = asyncio.get_running_loop()
        pipe.wake = lambda: _later(loop, exchange.curl.pause, pycurl.PAUSE_CONT)
        ended = loop.create_task(self._into(pipe, exchange))
        self._tasks.add(ended)
        ended.add_done_callback(self._tasks.discard)
        ended.add_done_callback(lambda _: known.set())
        try:
            async with asyncio.timeout(self.patience.connect + self.patience.read):
                await known.wait()
        except TimeoutError:
            ended.cancel()
            raise Unreachable("the server did not answer in time", Reason.TIMEOUT, where=exchange.where) from None
        except asyncio.CancelledError:
            ended.cancel()
            raise
        if exchange.sink is None:
            await ended
            return Document(exchange.status, request.url, exchange.headers, bytes(exchange.body))
        return Response(exchange.status, request.url, exchange.headers, pipe, lambda: _later(loop, ended.cancel))

    async def _into(self, pipe: Pipe, exchange: Exchange) -> None:
        """Transfer, and let the reader of ``pipe`` know how it ended; what ends before there is a reader is raised."""
        error: Exception | None = Unreachable("the transfer was stopped", Reason.BROKEN, where=exchange.where)
        try:
            await self._transfer(exchange)
            error = None
        except Exception as failed:
            error = failed
            if exchange.sink is None:
                raise
        finally:
            pipe.finish(error)

    async def _transfer(self, exchange: Exchange) -> None:
        """Let libcurl do the exchange, to its end. Raises what went wrong."""
        if self._multi is None:
            self._multi = pycurl.AsyncCurlMulti()
            self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * DOCUMENTS_PER_HOST)
        source: Future[None] | None = None
        loop = asyncio.get_running_loop()
        body = exchange.request.body
        if exchange.upload and isinstance(body, Upload):
            exchange.upload.wake = lambda: _later(loop, exchange.curl.pause, pycurl.PAUSE_CONT)
            source = loop.run_in_executor(None, _pump, body, exchange.upload)  # type: ignore[assignment]
        try:
            await self._multi.perform(exchange.curl)
        except pycurl.error as error:
            raise exchange.failure(error) from None
        finally:
            if exchange.upload and source:
                exchange.upload.finish()
                await asyncio.shield(source)  # type: ignore[arg-type]


def _unwatched(_answer: Document | None) -> None:
    """Most requests need no watching."""


def _pump(body: Upload, pipe: Pipe) -> None:
    """In a thread: bring the body to where libcurl takes it from."""
    try:
        for chunk in body.chunks():
            if not pipe.put(chunk):
                return
        pipe.finish()
    except Exception as error:
        pipe.finish(error)


def _later(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """From another thread: let the loop do something, unless it has ended."""

    def guarded() -> None:
        with contextlib.suppress(pycurl.error):  # a transfer that has just ended cannot be continued
            call(*arguments)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(guarded)
