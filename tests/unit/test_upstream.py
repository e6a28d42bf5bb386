"""The local upstream of the quickstart: what it serves, and that it ends with whoever started it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

UPSTREAM = Path(__file__).parents[2] / "tools/upstream"
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What ``prepare`` leaves, with one file and one image of one blob."""
    (tmp_path / "ready").write_text("stamp")
    published = tmp_path / "www/github.com/a/b"
    published.parent.mkdir(parents=True)
    published.write_bytes(b"\x7fELF program")
    layout = tmp_path / "images/debian/12-slim"
    document = json.dumps({"mediaType": INDEX, "manifests": []}).encode()
    digest = hashlib.sha256(document).hexdigest()
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "blobs/sha256" / digest).write_bytes(document)
    (layout / "index.json").write_text(json.dumps({"manifests": [{"digest": f"sha256:{digest}"}]}))
    return tmp_path


def _wait(announced: Path) -> str:
    deadline = time.monotonic() + 20
    while not announced.exists():
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)
    return announced.read_text().strip()


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    server = subprocess.Popen([sys.executable, UPSTREAM, "serve", folder, folder / "address"])
    try:
        yield _wait(folder / "address")
    finally:
        server.terminate()
        server.wait(10)


def _ask(address: str, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.headers.get_content_type(), answer.read()


def test_serves_files_by_their_path(address: str) -> None:
    assert address.startswith("127.0.0.1:")
    assert _ask(address, "/github.com/a/b") == (200, "application/octet-stream", b"\x7fELF program")
    assert _ask(address, "/github.com/a/b", "HEAD")[0] == 200
    assert _ask(address, "/github.com/a/c", "HEAD")[0] == 404
    assert _ask(address, "/../ready")[0] == 404
    assert _ask(address, "/%2e%2e/ready")[0] == 404


def test_serves_images_as_a_registry(address: str) -> None:
    assert _ask(address, "/v2/")[0] == 200
    status, kind, document = _ask(address, "/v2/debian/manifests/12-slim")
    assert (status, kind) == (200, INDEX)
    digest = f"sha256:{hashlib.sha256(document).hexdigest()}"
    assert _ask(address, f"/v2/debian/manifests/{digest}") == (200, INDEX, document)
    assert _ask(address, f"/v2/debian/blobs/{digest}") == (200, "application/octet-stream", document)
    assert _ask(address, "/v2/debian/manifests/13-slim")[0] == 404
    assert _ask(address, "/v2/alpine/manifests/12-slim")[0] == 404
    assert _ask(address, f"/v2/debian/blobs/sha256:{'0' * 64}")[0] == 404


def test_answers_what_is_no_http_with_a_status_line(address: str) -> None:
    """Docker tries TLS with a registry on loopback first and falls back to HTTP only on seeing HTTP."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"\x16\x03\x01\x00\x05hello\r\n\r\n")
        assert connection.recv(5) == b"HTTP/"


def test_takes_the_same_port_again(folder: Path, address: str) -> None:
    assert (folder / "port").read_text() == address.split(":")[1]


def test_ends_when_its_parent_is_gone(folder: Path) -> None:
    command = [sys.executable, str(UPSTREAM), "serve", str(folder), str(folder / "address")]
    code = f"import subprocess; subprocess.Popen({command!r}); input()"
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    host, port = _wait(folder / "address").split(":")
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.1)
