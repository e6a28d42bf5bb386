"""Files and base images over HTTP on the loopback interface: a download site and a registry that is only read."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import re
import threading
import time
from pathlib import Path


class Site(http.server.SimpleHTTPRequestHandler):
    """``/v2/…`` as the OCI distribution specification says (pulling), everything else as files below ``www``."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"
    """Also for what is no HTTP at all: Docker tries TLS first and falls back when a status line comes back."""

    def translate_path(self, path: str) -> str:
        """The file that answers a request; one that is not there becomes a 404."""
        folder = Path(self.directory).parent
        if path in {"/v2", "/v2/"}:
            return str(folder / "ready")
        found = re.fullmatch(r"/v2/([\w.-]+)/(manifests|blobs)/([\w.:-]+)", path)
        if not found:
            return super().translate_path(path)
        name, _, reference = found.groups()
        tags = sorted((folder / "images" / name).glob("*/index.json"))
        if not reference.startswith("sha256:"):
            tags = [index for index in tags if index.parent.name == reference]
            reference = _root(tags[0]) if tags else ""
        blobs = [index.parent / "blobs/sha256" / reference.removeprefix("sha256:") for index in tags]
        return str(next((blob for blob in blobs if blob.is_file()), folder / "missing"))

    def guess_type(self, path: str | os.PathLike[str]) -> str:
        """What a document says of itself; a file's bytes are only bytes."""
        with contextlib.suppress(ValueError, KeyError, OSError, TypeError):
            if "/manifests/" in self.path and Path(path).stat().st_size < 1 << 20:
                return str(json.loads(Path(path).read_bytes())["mediaType"])
        return "application/octet-stream"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the build tells what it downloads."""


def _root(index: Path) -> str:
    return str(json.loads(index.read_bytes())["manifests"][0]["digest"])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that goes away is the client's business."""


def serve(folder: Path, announce: Path) -> None:
    """Serve until stopped or orphaned, on the port of the last time if it is free: builds then find their caches."""
    parent = os.getppid()
    port = folder / "port"
    handler = functools.partial(Site, directory=str(folder / "www"))
    with _bind(int(port.read_text()) if port.exists() else 0, handler) as server:
        port.write_text(str(server.server_port))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        temporary = announce.with_name(announce.name + ".new")
        temporary.write_text(f"127.0.0.1:{server.server_port}\n")
        temporary.rename(announce)
        while os.getppid() == parent:
            time.sleep(0.5)


def _bind(port: int, handler: functools.partial[Site]) -> Server:
    try:
        return Server(("127.0.0.1", port), handler)
    except OSError:
        return Server(("127.0.0.1", 0), handler)
