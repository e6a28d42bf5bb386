"""Pushing: nothing is sent twice, nothing is visible before it is whole, and the registry's answer is checked."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from faulty import FAST, Answer, Server
from samples import write_index

from crossdock.errors import InputError, RegistryError
from crossdock.http.client import Http
from crossdock.image.auth import Keychain
from crossdock.image.documents import contents
from crossdock.image.layout import LayoutImage, blob_path
from crossdock.image.model import OCI_INDEX
from crossdock.image.publish import push
from crossdock.image.reference import parse_reference
from crossdock.image.registry import Registries

REPOSITORY = "/v2/team/app"
UPLOADS = f"{REPOSITORY}/blobs/uploads/"
SECRET = "geheim-4711"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def layout(tmp_path: Path) -> LayoutImage:
    return write_index(tmp_path / "image", size=50_000)


@pytest.fixture
def empty(server: Server, layout: LayoutImage) -> Server:
    """A registry that has nothing and takes everything."""
    server.on("POST", UPLOADS, Answer(202, headers={"Location": "/upload/1?state=x"}))
    server.on("PUT", "/upload/1", Answer(201))
    for document in contents(layout).documents:
        server.on("PUT", f"{REPOSITORY}/manifests/{document.digest}", Answer(201))
    for tag in ("1", "2"):
        server.on("PUT", f"{REPOSITORY}/manifests/{tag}", Answer(201))
        server.on("GET", f"{REPOSITORY}/manifests/{tag}", Answer(200, layout.read(layout.root())))
    return server


def send(layout: LayoutImage, server: Server, home: Path, *, tags: tuple[str, ...] = ()) -> list[tuple[int, int]]:
    progress: list[tuple[int, int]] = []
    with Http(patience=FAST) as http:
        root = push(
            layout,
            parse_reference(f"{server.host}/team/app:1"),
            Registries(http, keychain=Keychain(environ={}, home=home), plain_http=True),
            tags=tags,
            on_progress=lambda done, total: progress.append((done, total)),
        )
    assert root == layout.root()
    return progress


def test_everything_is_sent_once_and_the_root_last(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    progress = send(layout, empty, tmp_path)
    parts = contents(layout)
    uploads = [seen for seen in empty.seen if seen.path == "/upload/1"]
    assert {parse_qs(seen.query)["digest"][0] for seen in uploads} == {blob.digest for blob in parts.blobs}
    assert all(parse_qs(seen.query)["state"] == ["x"] for seen in uploads)
    for seen in uploads:
        digest = parse_qs(seen.query)["digest"][0]
        assert seen.body == blob_path(layout.folder, digest).read_bytes()
        assert seen.headers["content-length"] == str(len(seen.body))
    documents = [
        seen.path.rpartition("/")[2] for seen in empty.seen if seen.method == "PUT" and "manifests" in seen.path
    ]
    assert documents == [*(document.digest for document in parts.documents[:-1]), "1"]
    assert empty.seen[-2].headers["content-type"] == OCI_INDEX
    total = sum(part.size for part in (*parts.blobs, *parts.documents))
    assert progress[-1] == (total, total)
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)


def test_several_tags_are_pushed_once(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    progress = send(layout, empty, tmp_path, tags=("2", "1"))
    assert len([seen for seen in empty.seen if seen.path == "/upload/1"]) == len(contents(layout).blobs)
    for tag in ("1", "2"):
        assert empty.count("PUT", f"{REPOSITORY}/manifests/{tag}") == 1
    assert progress[-1][0] == progress[-1][1]


def test_what_is_there_is_not_sent(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    for blob in contents(layout).blobs:
        empty.on("HEAD", f"{REPOSITORY}/blobs/{blob.digest}", Answer(200))
    progress = send(layout, empty, tmp_path)
    assert empty.count("POST", UPLOADS) == 0
    assert progress[-1][0] == progress[-1][1]


@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_an_upload_that_fails_is_started_again(empty: Server, layout: LayoutImage, tmp_path: Path, status: int) -> None:
    empty.on("PUT", "/upload/1", Answer(status, headers={"Retry-After": "0"}), Answer(201))
    progress = send(layout, empty, tmp_path)
    assert empty.count("POST", UPLOADS) == len(contents(layout).blobs) + 1
    assert progress[-1][0] == progress[-1][1]


def test_an_upload_that_always_fails(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    empty.on("PUT", "/upload/1", Answer(500))
    with pytest.raises(RegistryError, match="HTTP 500") as caught:
        send(layout, empty, tmp_path)
    assert "team/app:1" in str(caught.value)
    assert not [seen for seen in empty.seen if "manifests" in seen.path]


def test_a_refused_push_is_not_repeated(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    empty.on("POST", UPLOADS, Answer(403, json.dumps({"errors": [{"code": "DENIED"}]}).encode()))
    with pytest.raises(RegistryError, match="refused the push to team/app") as caught:
        send(layout, empty, tmp_path)
    assert "docker login" in str(caught.value)


def test_what_is_no_registry(server: Server, layout: LayoutImage, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="HTTP 404 when asked for the push") as caught:
        send(layout, server, tmp_path)
    assert "is this the registry" in str(caught.value).lower()


def test_a_proxy_that_takes_no_large_requests(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    empty.on("PUT", "/upload/1", Answer(413))
    with pytest.raises(RegistryError, match="too large for") as caught:
        send(layout, empty, tmp_path)
    assert "client_max_body_size" in str(caught.value)


def test_a_registry_that_is_read_only(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    empty.on("POST", UPLOADS, Answer(405, json.dumps({"errors": [{"code": "UNSUPPORTED"}]}).encode()))
    with pytest.raises(RegistryError, match=r"HTTP 405 \(UNSUPPORTED\)"):
        send(layout, empty, tmp_path)


def test_a_manifest_that_is_refused(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    digest = contents(layout).documents[0].digest
    answer = Answer(400, json.dumps({"errors": [{"code": "MANIFEST_INVALID"}]}).encode())
    empty.on("PUT", f"{REPOSITORY}/manifests/{digest}", answer)
    with pytest.raises(RegistryError, match="MANIFEST_INVALID"):
        send(layout, empty, tmp_path)
    assert empty.count("PUT", f"{REPOSITORY}/manifests/1") == 0


def test_a_registry_that_has_something_else_afterwards(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    empty.on("GET", f"{REPOSITORY}/manifests/1", Answer(200, b"{}"))
    with pytest.raises(RegistryError, match=r"has sha256:44136fa3.* under 1, not"):
        send(layout, empty, tmp_path)


def test_a_damaged_layout_is_not_published(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    layer = layout.manifest(layout.index().images[1]).layers[0]
    path = blob_path(layout.folder, layer.digest)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=layer.digest):
        send(layout, empty, tmp_path)
    assert not [seen for seen in empty.seen if "manifests" in seen.path]


def test_an_interruption_stops_the_push(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    asked: list[int] = []

    def interrupt(done: int, total: int) -> None:
        if not asked:  # a second one would reach whatever runs then
            asked.append(done)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        time.sleep(0.2)

    with Http(patience=FAST) as http, pytest.raises(KeyboardInterrupt):
        push(
            layout,
            parse_reference(f"{empty.host}/team/app:1"),
            Registries(http, plain_http=True),
            on_progress=interrupt,
        )
    assert not [seen for seen in empty.seen if "manifests" in seen.path]


def test_another_digest_cannot_be_pushed(empty: Server, layout: LayoutImage) -> None:
    reference = parse_reference(f"{empty.host}/team/app@sha256:{'0' * 64}")
    with Http(patience=FAST) as http, pytest.raises(RegistryError, match="cannot be pushed as"):
        push(layout, reference, Registries(http, plain_http=True))
    assert empty.seen == []


def test_an_upload_to_another_host_gets_no_credentials(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    config = {"auths": {empty.host: {"username": "user", "password": SECRET}}}
    (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))
    with Server() as storage:
        storage.on("PUT", "/elsewhere", Answer(201))
        unauthorized = Answer(401, headers={"WWW-Authenticate": "Basic realm=x"})
        empty.on("POST", UPLOADS, unauthorized, Answer(202, headers={"Location": f"{storage.url}/elsewhere"}))
        send(layout, empty, tmp_path)
        assert len(storage.seen) == len(contents(layout).blobs)
        assert not [seen for seen in storage.seen if "authorization" in seen.headers]
    assert [seen for seen in empty.seen if seen.method == "POST"][-1].headers["authorization"].startswith("Basic ")


def test_a_token_with_the_right_to_push_is_asked_for(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{empty.url}/token"'}
    for blob in contents(layout).blobs:
        empty.on("HEAD", f"{REPOSITORY}/blobs/{blob.digest}", Answer(401, headers=challenge), Answer(404))
    empty.on("GET", "/token", Answer(200, b'{"token": "t1", "expires_in": 300}'))
    send(layout, empty, tmp_path)
    tokens = [seen for seen in empty.seen if seen.path == "/token"]
    assert len(tokens) == 1
    assert parse_qs(tokens[0].query)["scope"] == ["repository:team/app:pull,push"]
