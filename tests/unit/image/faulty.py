"""A scripted HTTP server on this machine that can misbehave, for tests of what happens then."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from crossdock.http.model import Patience

FAST = Patience(connect=2.0, read=1.0, document=1.0, stall=0.5, attempts=3, backoff=0.01, retry_after=2.0)


@dataclass(frozen=True)
class Answer:
    """What to answer. ``cut`` closes the connection after that many bytes of the body, ``wait`` delays the answer, and
    ``drip`` is the pause in seconds after each byte."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    wait: float = 0.0
    drip: float = 0.0
    ranges: bool = False
    hang_up: int | None = None
    """Read that many bytes of the request's body, then close the connection without an answer."""


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


Script = Callable[[int], Answer]
"""The answer to the first, second, third … request, counted from 1."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what the tests are about."""


class Server:
    """Answers each (method, path) with its script, one after the other; the last answer is repeated.

    ``interfere`` is asked first, with the number of the request, and may answer instead."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.interfere: Callable[[int, Seen], Answer | None] = lambda _number, _seen: None
        self._scripts: dict[tuple[str, str], list[Answer | Script]] = {}
        self._lock = threading.Lock()
        self._server = _Quiet(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def on(self, method: str, path: str, *answers: Answer | Script) -> None:
        self._scripts[method, path] = list(answers)

    def count(self, method: str, path: str) -> int:
        return sum((seen.method, seen.path) == (method, path) for seen in self.seen)

    def requests(self) -> list[str]:
        """What was asked for, such as ``GET /v2/``, in order."""
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    def _next(self, seen: Seen) -> Answer:
        with self._lock:
            self.seen.append(seen)
            if answer := self.interfere(len(self.seen), seen):
                return answer
            script = self._scripts.get((seen.method, seen.path)) or [Answer(404)]
            chosen = script.pop(0) if len(script) > 1 else script[0]
            return chosen if isinstance(chosen, Answer) else chosen(self.count(seen.method, seen.path))

    def _limit(self, method: str, path: str) -> int | None:
        """How much of the next request's body is read before hanging up."""
        with self._lock:
            script = self._scripts.get((method, path), ())
            return next((answer.hang_up for answer in script if isinstance(answer, Answer)), None)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's acknowledgement

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                limit, length = server._limit(self.command, parts.path), int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length if limit is None else min(length, limit))
                names = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, parts.path, parts.query, names, body)
                answer = server._next(seen)
                with contextlib.suppress(OSError):
                    if limit is not None:
                        self.close_connection = True
                        self.connection.shutdown(socket.SHUT_RDWR)
                        return
                    self._send(answer, names.get("range", ""))

            def _send(self, answer: Answer, wanted: str) -> None:
                time.sleep(answer.wait)
                content, status, headers = answer.body, answer.status, dict(answer.headers)
                if answer.ranges and wanted.startswith("bytes=") and status == 200:
                    start = int(wanted.removeprefix("bytes=").partition("-")[0])
                    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
                    content, status = content[start:], 206
                self.send_response(status)
                headers.setdefault("Content-Length", str(len(content)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "HEAD":
                    return
                if answer.drip:
                    for index in range(len(content)):
                        self.wfile.write(content[index : index + 1])
                        time.sleep(answer.drip)
                    return
                self.wfile.write(content if answer.cut is None else content[: answer.cut])
                if answer.cut is not None:
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        return Handler


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
