"""A proxy before a registry, of the kinds that networks have: it takes no large requests, breaks off, or is slow."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

PIECE = 1 << 16


@dataclass(frozen=True)
class Break:
    """Break the connection of the first request of this method, once ``after`` bytes of its body have gone through.
    Only bodies of at least ``least`` bytes count, and with ``start`` only those whose Content-Range begins there or
    later."""

    method: str
    after: int
    least: int = 1 << 20
    start: int = 0


class Relay:
    """A running proxy. ``host`` is ``localhost:PORT``; ``rate`` is in bytes of bodies a second and connection."""

    def __init__(
        self, registry: str, *, breaks: Sequence[Break] = (), largest: int | None = None, rate: float | None = None
    ) -> None:
        self.broken: list[Break] = []
        self._registry = registry
        self._breaks = list(breaks)
        self._largest = largest
        self._rate = rate
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.host = f"localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _break(self, method: str, length: int, start: int) -> Break | None:
        with self._lock:
            for each in self._breaks:
                if method == each.method and length >= each.least and start >= each.start:
                    self._breaks.remove(each)
                    self.broken.append(each)
                    return each
        return None

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _serve(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                if relay._largest is not None and length > relay._largest:
                    self.close_connection = True
                    self.send_response(413)
                    self.send_header("Content-Length", "0")
                    self.send_header("Connection", "close")
                    self.end_headers()
                    return
                start = int((self.headers.get("Content-Range") or "0").partition("-")[0])
                stop = relay._break(self.command, length, start)
                if stop and not stop.after:
                    self._hang_up()
                    return
                with contextlib.closing(http.client.HTTPConnection(relay._registry)) as upstream:
                    upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        upstream.putheader(name, value)
                    upstream.endheaders()
                    if not self._bring(upstream, length, stop.after if stop else length) or stop:
                        self._hang_up()
                        return
                    self._answer(upstream.getresponse())

            def _bring(self, upstream: http.client.HTTPConnection, length: int, end: int) -> bool:
                """The body to the registry, up to ``end``; False when the client has gone."""
                gone = 0
                while gone < min(length, end):
                    piece = self.rfile.read(min(PIECE, min(length, end) - gone))
                    if not piece:
                        return False
                    upstream.send(piece)
                    gone += len(piece)
                    if relay._rate:
                        time.sleep(len(piece) / relay._rate)
                return True

            def _answer(self, answer: http.client.HTTPResponse) -> None:
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("date", "server", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                self.send_header("Content-Length", answer.headers.get("Content-Length") or str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _hang_up(self) -> None:
                self.close_connection = True
                with contextlib.suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections that break are what this is for."""
