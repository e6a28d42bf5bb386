"""Pushing: nothing is sent twice, nothing is visible before it is whole, and the registry's answer is checked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote

import pytest
from faulty import FAST, Answer, Seen, Server
from interrupted import SLOW, interrupted_when
from samples import write_image, write_index

from crossdock.errors import InputError, RegistryError
from crossdock.http.client import Http
from crossdock.image.auth import Keychain
from crossdock.image.documents import contents
from crossdock.image.layout import LayoutImage, blob_path
from crossdock.image.model import OCI_INDEX
from crossdock.image.publish import push
from crossdock.image.reference import parse_reference
from crossdock.image.registries import Registries
from crossdock.platforms import AMD64

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
    given = [seen.headers.get("authorization", "") for seen in empty.seen if seen.method == "POST"]
    assert any(header.startswith("Basic ") for header in given)


def test_a_token_with_the_right_to_push_is_asked_for(empty: Server, layout: LayoutImage, tmp_path: Path) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{empty.url}/token"'}
    for blob in contents(layout).blobs:
        empty.on("HEAD", f"{REPOSITORY}/blobs/{blob.digest}", Answer(401, headers=challenge), Answer(404))
    empty.on("GET", "/token", Answer(200, b'{"token": "t1", "expires_in": 300}'))
    send(layout, empty, tmp_path)
    tokens = [seen for seen in empty.seen if seen.path == "/token"]
    assert len(tokens) == 1
    assert parse_qs(tokens[0].query)["scope"] == ["repository:team/app:pull,push"]


# ---------------------------------------------------------------- one blob on its way


@pytest.fixture
def single(server: Server, tmp_path: Path) -> LayoutImage:
    """An image of one platform whose registry has everything but its layer."""
    image = write_image(tmp_path / "single", AMD64, size=50_000)
    manifest = image.manifest(image.root())
    server.on("HEAD", f"{REPOSITORY}/blobs/{manifest.config.digest}", Answer(200))
    server.on("POST", UPLOADS, Answer(202, headers={"Location": "/upload/1?state=x"}))
    server.on("PUT", f"{REPOSITORY}/manifests/1", Answer(201))
    server.on("GET", f"{REPOSITORY}/manifests/1", Answer(200, image.read(image.root())))
    return image


def blob_of(image: LayoutImage) -> tuple[str, bytes]:
    digest = image.manifest(image.root()).layers[0].digest
    return digest, blob_path(image.folder, digest).read_bytes()


def rises_to_the_end(progress: list[tuple[int, int]]) -> bool:
    done = [count for count, _ in progress]
    return done == sorted(done) and progress[-1][0] == progress[-1][1]


def requests(server: Server, method: str, path: str) -> list[Seen]:
    return [seen for seen in server.seen if (seen.method, seen.path) == (method, path)]


def test_an_upload_that_breaks_off_goes_on_from_there(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    digest, data = blob_of(single)
    server.on("PUT", "/upload/1", Answer(hang_up=1000))
    server.on("GET", "/upload/1", Answer(204, headers={"Range": "0-999", "Location": "/upload/2?state=y"}))
    server.on("PATCH", "/upload/2", Answer(202, headers={"Location": "/upload/3"}))
    server.on("PUT", "/upload/3", Answer(201))
    assert rises_to_the_end(send(single, server, tmp_path))
    (rest,) = requests(server, "PATCH", "/upload/2")
    assert rest.headers["content-range"] == f"1000-{len(data) - 1}"
    assert rest.query == "state=y"
    assert rest.body == data[1000:]
    (last,) = requests(server, "PUT", "/upload/3")
    assert (last.query, last.body) == (f"digest={quote(digest, safe='')}", b"")
    assert server.count("POST", UPLOADS) == 1


def test_what_breaks_off_again_and_again_ends_when_it_gets_further(
    server: Server, single: LayoutImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More breaks than there are attempts, each after some progress."""
    monkeypatch.setattr("crossdock.image.publish._EARNED", 100)
    _, data = blob_of(single)
    ends = [200 * number - 1 for number in range(1, 7)]
    server.on("PUT", "/upload/1", Answer(hang_up=200), Answer(201))
    server.on("GET", "/upload/1", *(Answer(204, headers={"Range": f"0-{end}"}) for end in ends))
    server.on("PATCH", "/upload/1", *(Answer(hang_up=200) for _ in ends[1:]), Answer(202))
    assert rises_to_the_end(send(single, server, tmp_path))
    got = b"".join(seen.body for seen in server.seen if seen.path == "/upload/1" and seen.method in ("PUT", "PATCH"))
    assert got == data
    assert server.count("POST", UPLOADS) == 1


def test_what_breaks_off_without_getting_further_is_given_up(
    server: Server, single: LayoutImage, tmp_path: Path
) -> None:
    server.on("PUT", "/upload/1", Answer(hang_up=1000))
    server.on("GET", "/upload/1", Answer(204, headers={"Range": "0-999"}))
    server.on("PATCH", "/upload/1", Answer(hang_up=0))
    with pytest.raises(RegistryError, match="broke") as caught:
        send(single, server, tmp_path)
    assert "team/app:1" in str(caught.value)
    assert server.count("PATCH", "/upload/1") == FAST.attempts - 1


@pytest.mark.parametrize(
    "state",
    [
        Answer(404),
        Answer(204, headers={"Range": "0-0"}),  # of one byte and of none
        Answer(204, headers={"Range": "nonsense"}),
        Answer(200),
    ],
)
def test_an_upload_that_is_forgotten_begins_anew(
    server: Server, single: LayoutImage, tmp_path: Path, state: Answer
) -> None:
    server.on("PUT", "/upload/1", Answer(hang_up=1000), Answer(201))
    server.on("GET", "/upload/1", state)
    assert rises_to_the_end(send(single, server, tmp_path))
    assert server.count("POST", UPLOADS) == 2
    assert requests(server, "PUT", "/upload/1")[-1].body == blob_of(single)[1]


def test_what_was_forgotten_is_sent_in_pieces(
    server: Server, single: LayoutImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Registries that forget what came within a broken request remember whole requests."""
    _, data = blob_of(single)
    size = len(data) // 3 + 1
    monkeypatch.setattr("crossdock.image.publish.CHUNKS", (size,))
    server.on("PUT", "/upload/1", Answer(hang_up=1000), Answer(201))
    server.on("PATCH", "/upload/1", Answer(202), Answer(hang_up=10), Answer(202))
    server.on("GET", "/upload/1", Answer(404), Answer(204, headers={"Range": f"0-{size - 1}"}))
    assert rises_to_the_end(send(single, server, tmp_path))
    ranges = [seen.headers["content-range"] for seen in requests(server, "PATCH", "/upload/1")]
    assert ranges == [f"0-{size - 1}", *[f"{size}-{2 * size - 1}"] * 2, f"{2 * size}-{len(data) - 1}"]
    assert server.count("POST", UPLOADS) == 2


def test_a_blob_that_arrived_although_the_answer_did_not(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    digest, data = blob_of(single)
    server.on("HEAD", f"{REPOSITORY}/blobs/{digest}", Answer(404), Answer(200))
    server.on("PUT", "/upload/1", Answer(hang_up=len(data)))
    assert rises_to_the_end(send(single, server, tmp_path))
    assert server.count("PUT", "/upload/1") == 1


def test_chunks_become_smaller_until_they_are_taken(
    server: Server, single: LayoutImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, data = blob_of(single)
    large, small = len(data) // 2 + 1, len(data) // 4 + 1
    monkeypatch.setattr("crossdock.image.publish.CHUNKS", (len(data) * 2, large, small, 1))
    server.on("PUT", "/upload/1", Answer(413), Answer(201))
    server.on("PATCH", "/upload/1", Answer(413), Answer(202))
    assert rises_to_the_end(send(single, server, tmp_path))
    first, *chunks = requests(server, "PATCH", "/upload/1")
    assert first.headers["content-range"] == f"0-{large - 1}"
    starts = range(0, len(data), small)
    assert [chunk.headers["content-range"] for chunk in chunks] == [
        f"{start}-{min(start + small, len(data)) - 1}" for start in starts
    ]
    assert b"".join(chunk.body for chunk in chunks) == data
    assert server.count("POST", UPLOADS) == 3
    assert parse_qs(requests(server, "PUT", "/upload/1")[-1].query)["digest"] == [digest]


def test_a_chunk_that_breaks_off_goes_on_from_the_last_one(
    server: Server, single: LayoutImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, data = blob_of(single)
    chunk = len(data) // 3 + 1
    monkeypatch.setattr("crossdock.image.publish.CHUNKS", (chunk,))
    server.on("PUT", "/upload/1", Answer(413), Answer(201))
    server.on("PATCH", "/upload/1", Answer(202), Answer(hang_up=7), Answer(202))
    server.on("GET", "/upload/1", Answer(204, headers={"Range": f"0-{chunk + 6}"}))
    assert rises_to_the_end(send(single, server, tmp_path))
    patches = requests(server, "PATCH", "/upload/1")
    assert patches[2].headers["content-range"].startswith(f"{chunk + 7}-")
    assert b"".join(patch.body for patch in patches) == data


def test_damage_is_found_when_the_registry_refuses(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    digest, data = blob_of(single)
    blob_path(single.folder, digest).write_bytes(data[:-1] + b"x")
    server.on("PUT", "/upload/1", Answer(400, b'{"errors": [{"code": "DIGEST_INVALID"}]}'))
    with pytest.raises(InputError, match=digest) as caught:
        send(single, server, tmp_path)
    assert str(single.folder) in str(caught.value)
    assert server.count("PUT", "/upload/1") == 1


def test_a_refusal_without_damage_is_the_registrys(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    server.on("PUT", "/upload/1", Answer(400, b'{"errors": [{"code": "DIGEST_INVALID"}]}'))
    with pytest.raises(RegistryError, match=r"HTTP 400 \(DIGEST_INVALID\)"):
        send(single, server, tmp_path)


def test_a_blob_that_is_cut_off_here(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    digest, data = blob_of(single)
    blob_path(single.folder, digest).write_bytes(data[:-100])
    server.on("PUT", "/upload/1", Answer(201))
    with pytest.raises(InputError, match=rf"{digest} ends after"):
        send(single, server, tmp_path)
    assert not [seen for seen in server.seen if "manifests" in seen.path]


# ---------------------------------------------------------------- cross-repository mount


def lend(image: LayoutImage, server: Server, home: Path) -> list[tuple[int, int]]:
    digest, _ = blob_of(image)
    progress: list[tuple[int, int]] = []
    with Http(patience=FAST) as http:
        push(
            image,
            parse_reference(f"{server.host}/team/app:1"),
            Registries(http, keychain=Keychain(environ={}, home=home), plain_http=True),
            sources={digest: parse_reference(f"{server.host}/team/base:1")},
            on_progress=lambda done, total: progress.append((done, total)),
        )
    return progress


def test_a_blob_is_lent_by_another_repository(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    digest, _ = blob_of(single)
    server.on("POST", UPLOADS, Answer(201, headers={"Location": f"{REPOSITORY}/blobs/{digest}"}))
    assert rises_to_the_end(lend(single, server, tmp_path))
    (asked,) = requests(server, "POST", UPLOADS)
    assert parse_qs(asked.query) == {"mount": [digest], "from": ["team/base"]}
    assert not [seen for seen in server.seen if seen.path.startswith("/upload/")]


def test_a_mount_that_is_not_done_goes_on_as_an_upload(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    server.on("PUT", "/upload/1", Answer(201))
    assert rises_to_the_end(lend(single, server, tmp_path))
    assert server.count("POST", UPLOADS) == 1
    assert requests(server, "PUT", "/upload/1")[0].body == blob_of(single)[1]


@pytest.mark.parametrize("status", [401, 403, 404, 405])
def test_a_mount_that_is_refused_does_not_end_the_push(
    server: Server, single: LayoutImage, tmp_path: Path, status: int
) -> None:
    server.on("POST", UPLOADS, Answer(status), Answer(202, headers={"Location": "/upload/1"}))
    server.on("PUT", "/upload/1", Answer(201))
    assert rises_to_the_end(lend(single, server, tmp_path))
    assert [bool(seen.query) for seen in requests(server, "POST", UPLOADS)] == [True, False]


def test_reading_the_lender_is_asked_for_in_the_token(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    challenge = Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{server.url}/token"'})
    server.on("POST", UPLOADS, challenge, Answer(201))
    server.on("GET", "/token", Answer(200, b'{"token": "t1", "expires_in": 300}'))
    assert rises_to_the_end(lend(single, server, tmp_path))
    (token,) = requests(server, "GET", "/token")
    assert parse_qs(token.query)["scope"] == ["repository:team/app:pull,push", "repository:team/base:pull"]


def test_another_registry_lends_nothing(server: Server, single: LayoutImage, tmp_path: Path) -> None:
    server.on("PUT", "/upload/1", Answer(201))
    with Http(patience=FAST) as http:
        push(
            single,
            parse_reference(f"{server.host}/team/app:1"),
            Registries(http, keychain=Keychain(environ={}, home=tmp_path), plain_http=True),
            sources={blob_of(single)[0]: parse_reference("registry.example/team/base:1")},
        )
    assert [seen.query for seen in requests(server, "POST", UPLOADS)] == [""]


# ---------------------------------------------------------------- interruption


def test_an_interruption_ends_an_upload_that_is_not_answered(
    server: Server, single: LayoutImage, tmp_path: Path
) -> None:
    server.on("PUT", "/upload/1", Answer(201, wait=5))
    with interrupted_when(lambda: server.count("PUT", "/upload/1") > 0):
        send(single, server, tmp_path)
    assert not [seen for seen in server.seen if "manifests" in seen.path]


def test_an_interruption_ends_a_push_whose_source_is_silent(
    server: Server, single: LayoutImage, tmp_path: Path
) -> None:
    """From registry to registry: the thread that reads must not be waited for."""
    server.on("PUT", "/upload/1", Answer(201))
    digest, data = blob_of(single)
    root = single.root()
    with Server() as lender:
        content_type = {"Content-Type": root.media_type}
        lender.on("GET", "/v2/app/manifests/1", Answer(200, single.read(root), content_type))
        lender.on("GET", f"/v2/app/blobs/{digest}", Answer(200, data, drip=60))
        with interrupted_when(lambda: server.count("POST", UPLOADS) > 0), Http(patience=SLOW) as http:
            registries = Registries(http, keychain=Keychain(environ={}, home=tmp_path), plain_http=True)
            image = registries.image(parse_reference(f"{lender.host}/app:1"))
            push(image, parse_reference(f"{server.host}/team/app:1"), registries)
    assert not [seen for seen in server.seen if "manifests" in seen.path]
