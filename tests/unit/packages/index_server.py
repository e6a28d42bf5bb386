"""A package index on this machine: files by path, with ETags, and a record of what was asked for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class IndexServer:
    """Serves ``files`` (path without the first slash → bytes; an int is a status). ``seen`` has each request's method,
    path and the status of its answer."""

    def __init__(self, files: Mapping[str, bytes | int] | None = None) -> None:
        self.files: dict[str, bytes | int] = dict(files or {})
        self.seen: list[tuple[str, str, int]] = []
        self.accepted: dict[str, str] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet, else each answer waits for the client's acknowledgement

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _serve(self) -> None:
                path = self.path.partition("?")[0].removeprefix("/")
                server.accepted[path] = self.headers.get("Accept", "")
                content = server.files.get(path, 404)
                body = content if isinstance(content, bytes) else b""
                tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
                status = content if isinstance(content, int) else 200
                if status == 200 and self.headers.get("If-None-Match") == tag:
                    status, body = 304, b""
                server.seen.append((self.command, path, status))
                self.send_response(status)
                self.send_header("ETag", tag)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_GET = do_HEAD = _serve

        return Handler
