"""Pulling: one request where one is enough, every byte checked, and a clear error for every way a registry can fail."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from faulty import FAST, Answer, Server, closed_port
from samples import write_index

from crossdock.errors import RegistryError
from crossdock.http.client import Http
from crossdock.http.model import Offline
from crossdock.image.auth import Keychain
from crossdock.image.documents import MAX_DOCUMENT, contents
from crossdock.image.layout import LayoutImage
from crossdock.image.model import DOCKER_LIST, OCI_INDEX, OCI_LAYER, Descriptor
from crossdock.image.reference import parse_reference
from crossdock.image.registries import Registries
from crossdock.image.registry_image import RegistryImage
from crossdock.platforms import AMD64, ARM64

REPOSITORY = "/v2/team/app"
TAG = f"{REPOSITORY}/manifests/1"
SECRET = "geheim-4711"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutImage:
    return write_index(tmp_path / "image")


def serve(server: Server, layout: LayoutImage) -> None:
    """Put the whole image on the server."""
    parts = contents(layout)
    for document in parts.documents:
        answer = Answer(200, layout.read(document), {"Content-Type": document.media_type})
        server.on("GET", f"{REPOSITORY}/manifests/{document.digest}", answer)
    server.on("GET", TAG, answer)
    for blob in parts.blobs:
        with layout.open(blob) as stream:
            server.on("GET", f"{REPOSITORY}/blobs/{blob.digest}", Answer(200, stream.read()))


def image(server: Server, http: Http, home: Path, text: str = "team/app:1") -> RegistryImage:
    reference = parse_reference(f"{server.host}/{text}")
    return Registries(http, plain_http=True, keychain=Keychain(environ={}, home=home)).image(reference)


def fails(image: RegistryImage, message: str) -> RegistryError:
    with pytest.raises(RegistryError, match=message) as caught:
        image.root()
    assert image.name in str(caught.value)
    assert caught.value.hint
    return caught.value


def test_one_request_gives_the_platforms(server: Server, http: Http, layout: LayoutImage, tmp_path: Path) -> None:
    serve(server, layout)
    remote = image(server, http, tmp_path)
    assert remote.root() == layout.root()
    assert [entry.platform for entry in remote.index().images] == [AMD64, ARM64]
    assert len(server.seen) == 1
    for kind in (OCI_INDEX, DOCKER_LIST):
        assert kind in server.seen[0].headers["accept"]


def test_everything_can_be_read(server: Server, http: Http, layout: LayoutImage, tmp_path: Path) -> None:
    serve(server, layout)
    remote = image(server, http, tmp_path)
    for entry in remote.index().images:
        manifest = remote.manifest(entry)
        assert remote.config(manifest).platform == entry.platform
        for size in (1, 7, 1 << 20):
            with remote.open(manifest.layers[0]) as stream:
                content = b"".join(iter(lambda size=size: stream.read(size), b""))
            assert f"sha256:{hashlib.sha256(content).hexdigest()}" == manifest.layers[0].digest


def test_plain_http_is_found_out_on_this_machine(
    server: Server, http: Http, layout: LayoutImage, tmp_path: Path
) -> None:
    serve(server, layout)
    reference = parse_reference(f"{server.host}/team/app:1")
    remote = Registries(http, keychain=Keychain(environ={}, home=tmp_path)).image(reference)
    assert remote.root() == layout.root()


def test_elsewhere_plain_http_is_not_tried(http: Http, tmp_path: Path) -> None:
    remote = Registries(http, keychain=Keychain(environ={}, home=tmp_path)).image(parse_reference("r.invalid/a:1"))
    assert http.run(remote.registry.itself(remote.reference).base()) == "https://r.invalid"
    asked = Registries(http, plain_http=True).image(parse_reference("r.invalid/a:1"))
    assert http.run(asked.registry.itself(asked.reference).base()) == "http://r.invalid"
    hub = Registries(http).image(parse_reference("alpine"))
    assert http.run(hub.registry.itself(hub.reference).base()) == "https://registry-1.docker.io"


def test_offline(tmp_path: Path) -> None:
    with Http(offline=True) as http, pytest.raises(Offline):
        Registries(http).image(parse_reference("alpine")).root()


class TestFaults:
    def test_nothing_listens(self, http: Http, tmp_path: Path) -> None:
        reference = parse_reference(f"127.0.0.1:{closed_port()}/team/app:1")
        fails(Registries(http, keychain=Keychain(environ={}, home=tmp_path)).image(reference), "connection was refused")

    def test_too_slow(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(200, b"{}", wait=1.5))
        fails(image(server, http, tmp_path), "did not answer in time")

    def test_no_login(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'}))
        error = fails(image(server, http, tmp_path), "refused")
        assert f"docker login {server.host}" in str(error)

    def test_refused_again_and_again(self, server: Server, http: Http, tmp_path: Path) -> None:
        challenge = {"WWW-Authenticate": f'Bearer realm="{server.url}/token"'}
        server.on("GET", TAG, Answer(401, headers=challenge))
        server.on("GET", "/token", Answer(200, b'{"token": "a"}'), Answer(200, b'{"token": "b"}'))
        fails(image(server, http, tmp_path), "refused")
        assert server.count("GET", TAG) == 2
        assert server.count("GET", "/token") == 1

    def test_a_wrong_password_is_not_shown(self, server: Server, http: Http, tmp_path: Path) -> None:
        (tmp_path / ".docker").mkdir()
        config = {"auths": {server.host: {"username": "user", "password": SECRET}}}
        (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))
        refusal = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": SECRET, "detail": SECRET}]}).encode()
        server.on("GET", TAG, Answer(401, refusal, {"WWW-Authenticate": "Basic realm=x"}))
        error = fails(image(server, http, tmp_path), "refused")
        assert "authorization" in server.seen[-1].headers
        assert SECRET not in f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"
        assert "stored login was refused" in str(error)

    def test_a_broken_helper_is_told_when_it_matters(
        self, server: Server, http: Http, layout: LayoutImage, tmp_path: Path
    ) -> None:
        (tmp_path / ".docker").mkdir()
        (tmp_path / ".docker" / "config.json").write_text('{"credsStore": "none-such-here"}')
        serve(server, layout)
        assert image(server, http, tmp_path).root() == layout.root()
        server.on("GET", TAG, Answer(401, headers={"WWW-Authenticate": "Basic realm=x"}))
        assert "docker-credential-none-such-here" in str(fails(image(server, http, tmp_path), "refused"))

    def test_forbidden(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(403))
        fails(image(server, http, tmp_path), "HTTP 403")

    @pytest.mark.parametrize(
        ("code", "message"), [("MANIFEST_UNKNOWN", "there is no tag 1"), ("NAME_UNKNOWN", "no repository 'team/app'")]
    )
    def test_not_there(self, server: Server, http: Http, tmp_path: Path, code: str, message: str) -> None:
        server.on("GET", TAG, Answer(404, json.dumps({"errors": [{"code": code}]}).encode()))
        fails(image(server, http, tmp_path), message)

    def test_too_many_requests_then_enough(
        self, server: Server, http: Http, layout: LayoutImage, tmp_path: Path
    ) -> None:
        serve(server, layout)
        good = Answer(200, layout.read(layout.root()), {"Content-Type": OCI_INDEX})
        server.on("GET", TAG, Answer(429, headers={"Retry-After": "0"}), good)
        assert image(server, http, tmp_path).root() == layout.root()

    def test_too_many_requests(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(429, headers={"Retry-After": "1800"}))
        assert "in 1800 s" in str(fails(image(server, http, tmp_path), "too many requests"))
        assert server.count("GET", TAG) == 1

    def test_failing(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(500, b"<html>"))
        fails(image(server, http, tmp_path), "HTTP 500")
        assert server.count("GET", TAG) == FAST.attempts

    def test_a_login_page_instead_of_a_manifest(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(200, b"<html>", {"Content-Type": "text/html"}))
        fails(image(server, http, tmp_path), "sent text/html")

    def test_schema_1(self, server: Server, http: Http, tmp_path: Path) -> None:
        kind = "application/vnd.docker.distribution.manifest.v1+prettyjws"
        server.on("GET", TAG, Answer(200, b"{}", {"Content-Type": kind}))
        fails(image(server, http, tmp_path), "schema 1")

    def test_a_media_type_that_is_not_said(
        self, server: Server, http: Http, layout: LayoutImage, tmp_path: Path
    ) -> None:
        server.on("GET", TAG, Answer(200, layout.read(layout.root()), {"Content-Type": "application/json"}))
        assert image(server, http, tmp_path).root() == layout.root()

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"schemaVersion": 2}', b"{"])
    def test_a_media_type_that_cannot_be_guessed(self, server: Server, http: Http, tmp_path: Path, body: bytes) -> None:
        server.on("GET", TAG, Answer(200, body))
        fails(image(server, http, tmp_path), "instead of an image manifest")

    def test_a_media_type_that_is_wrong(self, server: Server, http: Http, layout: LayoutImage, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(200, layout.read(layout.root()), {"Content-Type": DOCKER_LIST}))
        with pytest.raises(RegistryError, match="calls itself"):
            image(server, http, tmp_path).index()

    def test_an_index_that_is_none(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(200, b'{"manifests": {}}', {"Content-Type": OCI_INDEX}))
        with pytest.raises(RegistryError, match="should be a list"):
            image(server, http, tmp_path).index()

    def test_another_digest_than_asked_for(
        self, server: Server, http: Http, layout: LayoutImage, tmp_path: Path
    ) -> None:
        wanted = "sha256:" + "0" * 64
        answer = Answer(200, layout.read(layout.root()), {"Content-Type": OCI_INDEX})
        server.on("GET", f"{REPOSITORY}/manifests/{wanted}", answer)
        fails(image(server, http, tmp_path, f"team/app@{wanted}"), "with the digest")

    def test_another_digest_than_announced(
        self, server: Server, http: Http, layout: LayoutImage, tmp_path: Path
    ) -> None:
        headers = {"Content-Type": OCI_INDEX, "Docker-Content-Digest": "sha256:" + "0" * 64}
        server.on("GET", TAG, Answer(200, layout.read(layout.root()), headers))
        fails(image(server, http, tmp_path), "with the digest")

    def test_a_manifest_of_50_megabytes(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", TAG, Answer(200, b" " * (50 << 20), {"Content-Type": OCI_INDEX}))
        with pytest.raises(RegistryError, match="larger than"):
            image(server, http, tmp_path).root()

    def test_a_config_that_says_it_has_50_megabytes(self, server: Server, http: Http, tmp_path: Path) -> None:
        with pytest.raises(RegistryError, match="should be a document"):
            image(server, http, tmp_path).read(Descriptor(OCI_INDEX, "sha256:" + "0" * 64, 50 << 20))
        assert MAX_DOCUMENT < 50 << 20


CONTENT = bytes(range(256)) * 8000
BLOB = Descriptor(OCI_LAYER, f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", len(CONTENT))
PATH = f"{REPOSITORY}/blobs/{BLOB.digest}"


class TestLayers:
    def read(self, image: RegistryImage, blob: Descriptor = BLOB) -> bytes:
        with image.open(blob) as stream:
            return stream.read()

    @pytest.mark.parametrize("ranges", [True, False])
    def test_what_breaks_off_is_resumed(self, server: Server, http: Http, tmp_path: Path, ranges: bool) -> None:
        cut = Answer(200, CONTENT, cut=700_000, ranges=ranges)
        later = Answer(200, CONTENT, cut=900_000, ranges=ranges)
        server.on("GET", PATH, cut, later, Answer(200, CONTENT, ranges=ranges))
        assert self.read(image(server, http, tmp_path)) == CONTENT
        assert server.count("GET", PATH) == 3
        assert server.seen[1].headers["range"].startswith("bytes=")

    def test_what_always_breaks_off(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", PATH, Answer(200, CONTENT, cut=1000))
        with pytest.raises(RegistryError, match=f"broke off in the middle, after .* of {BLOB.size} bytes") as caught:
            self.read(image(server, http, tmp_path))
        assert BLOB.digest in str(caught.value)
        assert server.count("GET", PATH) == FAST.attempts

    def test_an_end_without_a_length_that_comes_too_early(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", PATH, Answer(200, CONTENT[:-1]))
        with pytest.raises(RegistryError, match=BLOB.digest):
            self.read(image(server, http, tmp_path))

    @pytest.mark.parametrize("content", [CONTENT[:-1] + b"x", b"x" + CONTENT[1:], CONTENT + b"x"])
    def test_other_bytes(self, server: Server, http: Http, tmp_path: Path, content: bytes) -> None:
        server.on("GET", PATH, Answer(200, content))
        with pytest.raises(RegistryError, match=BLOB.digest):
            self.read(image(server, http, tmp_path))

    def test_not_there(self, server: Server, http: Http, tmp_path: Path) -> None:
        with pytest.raises(RegistryError, match=f"there is no blob {BLOB.digest}"):
            self.read(image(server, http, tmp_path))

    def test_a_storage_on_another_host_gets_no_credentials(self, server: Server, http: Http, tmp_path: Path) -> None:
        (tmp_path / ".docker").mkdir()
        config = {"auths": {server.host: {"username": "user", "password": SECRET}}}
        (tmp_path / ".docker" / "config.json").write_text(json.dumps(config))
        with Server() as storage:
            storage.on("GET", "/blob", Answer(200, CONTENT))
            away = Answer(307, headers={"Location": f"{storage.url}/blob?signature=1"})
            server.on("GET", PATH, Answer(401, headers={"WWW-Authenticate": "Basic realm=x"}), away)
            assert self.read(image(server, http, tmp_path)) == CONTENT
            assert "authorization" in server.seen[-1].headers
            assert "authorization" not in storage.seen[0].headers

    def test_a_stream_that_is_left_early_is_closed(self, server: Server, http: Http, tmp_path: Path) -> None:
        server.on("GET", PATH, Answer(200, CONTENT))
        with image(server, http, tmp_path).open(BLOB) as stream:
            assert stream.read(10) == CONTENT[:10]
        assert self.read(image(server, http, tmp_path)) == CONTENT

    def test_an_empty_blob(self, server: Server, http: Http, tmp_path: Path) -> None:
        empty = Descriptor(OCI_LAYER, f"sha256:{hashlib.sha256(b'').hexdigest()}", 0)
        server.on("GET", f"{REPOSITORY}/blobs/{empty.digest}", Answer(200, b""))
        assert self.read(image(server, http, tmp_path), empty) == b""
