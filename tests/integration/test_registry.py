"""Pulling and pushing with Debian's docker-registry, and skopeo as the peer that has to agree."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry import Registry

from crossdock.errors import CrossdockError, RegistryError
from crossdock.http.client import Http
from crossdock.http.model import Patience
from crossdock.image.archive import ArchiveImage, write_oci_archive
from crossdock.image.assemble import assemble_index
from crossdock.image.auth import Keychain
from crossdock.image.documents import contents, descriptor_json, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.locate import open_image
from crossdock.image.model import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Image
from crossdock.image.publish import push
from crossdock.image.reference import Reference, parse_reference
from crossdock.image.registries import Registries
from crossdock.image.stream import digest_of
from crossdock.platforms import AMD64, ARM64, Platform

pytestmark = pytest.mark.integration

PASSWORD = "geheim-4711/$&"
PATIENT = Patience(backoff=0.05, attempts=3)


def write_image(folder: Path, platform: Platform, size: int = 3 << 20) -> LayoutImage:
    """One platform, with a layer of ``size`` bytes that do not compress."""
    content = random.Random(str(platform)).randbytes(size)
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        entry = tarfile.TarInfo("app")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    writer = LayoutWriter(folder)
    layer = writer.add_document(gzip.compress(plain.getvalue(), 1, mtime=0), OCI_LAYER_GZIP)
    document = {
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {"Entrypoint": ["/app"]},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(plain.getvalue())]},
        "history": [{"created_by": "COPY app /"}],
    }
    config = writer.add_document(to_json(document), OCI_CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor_json(config),
        "layers": [descriptor_json(layer)],
    }
    writer.finish(writer.add_document(to_json(manifest), OCI_MANIFEST))
    return LayoutImage(folder)


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> LayoutImage:
    folder = tmp_path_factory.mktemp("image")
    images = [(write_image(folder / platform.architecture, platform), platform) for platform in (AMD64, ARM64)]
    writer = LayoutWriter(folder / "both")
    assemble_index(writer, [(image, platform) for image, platform in images])
    return LayoutImage(folder / "both")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> LayoutImage:
    """More than fits into the buffers between two programs."""
    return write_image(tmp_path_factory.mktemp("large"), ARM64, 40 << 20)


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(patience=PATIENT) as client:
        yield client


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with Registry(tmp_path / "registry") as running:
        yield running


def reference(registry: Registry, tag: str = "1") -> Reference:
    return parse_reference(f"{registry.host}/team/app:{tag}")


def skopeo(*arguments: str) -> bytes:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def everything(image: Image) -> dict[str, bytes]:
    parts = contents(image)
    found = {document.digest: image.read(document) for document in parts.documents}
    for blob in parts.blobs:
        with image.open(blob) as stream:
            found[blob.digest] = stream.read()
    return found


def test_what_is_pushed_is_what_skopeo_and_crossdock_pull(
    registry: Registry, http: Http, layout: LayoutImage, tmp_path: Path
) -> None:
    progress: list[tuple[int, int]] = []
    pushed = push(
        layout, reference(registry), Registries(http), tags=["2"], on_progress=lambda *step: progress.append(step)
    )
    assert pushed == layout.root()
    assert progress[-1][0] == progress[-1][1] > 6 << 20
    for tag in ("1", "2"):
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/team/app:{tag}")
        assert digest_of(raw) == layout.root().digest
    source, copy = f"docker://{registry.host}/team/app:1", tmp_path / "copy"
    skopeo("copy", "--all", "--src-tls-verify=false", source, f"oci:{copy}:1")
    assert everything(LayoutImage(copy)) == everything(layout)
    remote = open_image(f"{registry.host}/team/app:1", Registries(http))
    assert [entry.platform for entry in remote.index().images] == [AMD64, ARM64]
    assert everything(remote) == everything(layout)
    by_digest = open_image(f"{registry.host}/team/app@{pushed.digest}", Registries(http))
    assert by_digest.root() == layout.root()


def test_what_skopeo_pushes_is_what_crossdock_pulls(registry: Registry, http: Http, layout: LayoutImage) -> None:
    target = f"docker://{registry.host}/team/app:1"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{layout.folder}", target)
    assert everything(open_image(target, Registries(http))) == everything(layout)


def test_docker_media_types(registry: Registry, http: Http, layout: LayoutImage) -> None:
    target = f"docker://{registry.host}/team/app:1"
    skopeo("copy", "--all", "--format=v2s2", "--dest-tls-verify=false", f"oci:{layout.folder}", target)
    remote = open_image(target, Registries(http))
    assert "docker.distribution.manifest.list" in remote.root().media_type
    for entry in remote.index().images:
        assert remote.config(remote.manifest(entry)).platform == entry.platform
    assert everything(remote)


def test_a_second_push_sends_nothing(registry: Registry, http: Http, layout: LayoutImage) -> None:
    push(layout, reference(registry), Registries(http))
    before = registry.log().count("/blobs/uploads/")
    push(layout, reference(registry, "again"), Registries(http))
    assert before >= 4
    assert registry.log().count("/blobs/uploads/") == before


def test_archives_that_skopeo_reads(registry: Registry, http: Http, layout: LayoutImage, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    write_oci_archive(layout.folder, path, [f"{registry.host}/team/app:1"])
    assert digest_of(skopeo("inspect", "--raw", f"oci-archive:{path}")) == layout.root().digest
    target = f"docker://{registry.host}/team/app:from-archive"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci-archive:{path}", target)
    assert open_image(target, Registries(http)).root() == layout.root()
    push(open_image(str(path), Registries(http)), reference(registry, "again"), Registries(http))
    assert everything(open_image(f"{registry.host}/team/app:again", Registries(http))) == everything(layout)


@pytest.mark.parametrize("platform", [AMD64, ARM64])
def test_archives_that_skopeo_writes(layout: LayoutImage, tmp_path: Path, platform: Platform) -> None:
    override = f"--override-arch={platform.architecture}"
    skopeo(override, "copy", f"oci:{layout.folder}", f"docker-archive:{tmp_path / 'docker.tar'}:team/app:1")
    skopeo("copy", "--all", f"oci:{layout.folder}", f"oci-archive:{tmp_path / 'oci.tar'}:1")
    assert everything(ArchiveImage(tmp_path / "oci.tar")) == everything(layout)
    archive = ArchiveImage(tmp_path / "docker.tar", "team/app:1")
    (entry,) = archive.index().images
    assert entry.platform == platform
    (layer,) = archive.manifest(entry).layers
    original = next(entry for entry in layout.index().images if entry.platform == platform)
    with layout.open(layout.manifest(original).layers[0]) as packed, archive.open(layer) as plain:
        assert hashlib.sha256(gzip.decompress(packed.read())).digest() == hashlib.sha256(plain.read()).digest()


def logged_in(home: Path, host: str, username: str, password: str) -> Keychain:
    (home / ".docker").mkdir(parents=True, exist_ok=True)
    skopeo_like = {"auths": {host: {"username": username, "password": password}}}
    (home / ".docker" / "config.json").write_text(json.dumps(skopeo_like))
    return Keychain(environ={}, home=home)


class TestPassword:
    @pytest.fixture
    def guarded(self, tmp_path: Path) -> Iterator[Registry]:
        with Registry(tmp_path / "registry", username="user", password=PASSWORD) as running:
            yield running

    def test_the_right_one(self, guarded: Registry, http: Http, layout: LayoutImage, tmp_path: Path) -> None:
        keychain = logged_in(tmp_path / "home", guarded.host, "user", PASSWORD)
        push(layout, reference(guarded), Registries(http, keychain=keychain))
        remote = Registries(http, keychain=keychain).image(reference(guarded))
        assert everything(remote) == everything(layout)

    def test_what_skopeo_stored(
        self, guarded: Registry, http: Http, layout: LayoutImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "auth.json"
        login = ["skopeo", "login", "--tls-verify=false", f"--authfile={file}", "-u=user", "--password-stdin"]
        subprocess.run([*login, guarded.host], input=PASSWORD.encode(), check=True, capture_output=True)
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
        assert push(layout, reference(guarded), Registries(http)) == layout.root()

    def test_the_wrong_one_or_none(self, guarded: Registry, http: Http, layout: LayoutImage, tmp_path: Path) -> None:
        for keychain in (
            logged_in(tmp_path / "wrong", guarded.host, "user", "falsch-0815"),
            Keychain(environ={}, home=tmp_path / "none"),
        ):
            for attempt in (
                lambda keychain=keychain: Registries(http, keychain=keychain).image(reference(guarded)).root(),
                lambda keychain=keychain: push(layout, reference(guarded), Registries(http, keychain=keychain)),
            ):
                with pytest.raises(RegistryError, match="HTTP 401") as caught:
                    attempt()
                assert "docker login" in str(caught.value)
                assert "falsch-0815" not in describe(caught.value)

    def test_a_helper(self, guarded: Registry, http: Http, layout: LayoutImage, tmp_path: Path) -> None:
        """A real program on PATH that speaks the helpers' protocol."""
        answer = json.dumps({"ServerURL": guarded.host, "Username": "user", "Secret": PASSWORD})
        script = f"#!/bin/sh\n[ \"$1\" = get ] && read -r server; cat <<'END'\n{answer}\nEND\n"
        with helper(tmp_path, script) as keychain:
            push(layout, reference(guarded), Registries(http, keychain=keychain))

    def test_a_helper_that_hangs(
        self, guarded: Registry, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("crossdock.image.auth.HELPER_SECONDS", 0.5)
        began = time.monotonic()
        with helper(tmp_path, "#!/bin/sh\nexec sleep 60\n") as keychain, pytest.raises(RegistryError) as caught:
            Registries(http, keychain=keychain).image(reference(guarded)).root()
        assert time.monotonic() - began < 10
        assert "docker-credential-crossdock-test" in str(caught.value)

    def test_the_password_is_nowhere(
        self, guarded: Registry, http: Http, large: LayoutImage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        keychain = logged_in(tmp_path / "home", guarded.host, "user", PASSWORD)
        push(large, reference(guarded), Registries(http, keychain=keychain))
        remote = Registries(http, keychain=keychain).image(reference(guarded))
        shown = [repr(remote), repr(vars(remote)), repr(remote.root()), repr(keychain.find(guarded.host))]
        write_oci_archive(large.folder, tmp_path / "image.tar", [str(reference(guarded))])
        shown.append((tmp_path / "image.tar").read_bytes().decode("latin-1"))
        layer = remote.manifest(remote.index().images[0]).layers[0]
        with remote.open(layer) as stream:
            stream.read(1000)
            guarded.stop()
            with pytest.raises(RegistryError) as caught:
                list(iter(lambda: stream.read(1 << 20), b""))
        shown.append(describe(caught.value))
        with pytest.raises(RegistryError) as caught:
            push(large, reference(guarded), Registries(http, keychain=keychain))
        shown.append(describe(caught.value))
        shown += [guarded.log(), *capfd.readouterr()]
        secrets = [PASSWORD, base64.b64encode(f"user:{PASSWORD}".encode()).decode()]
        assert not [text for text in shown for secret in secrets if secret in text]


@contextlib.contextmanager
def helper(home: Path, script: str) -> Iterator[Keychain]:
    """A credential helper on PATH, and the login that uses it."""
    program = home / "bin" / "docker-credential-crossdock-test"
    program.parent.mkdir()
    program.write_text(script)
    program.chmod(0o755)
    (home / ".docker").mkdir()
    (home / ".docker" / "config.json").write_text('{"credsStore": "crossdock-test"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        yield Keychain(environ={}, home=home)


def describe(error: BaseException | None) -> str:
    """Everything that could be printed of an error."""
    lines = []
    while error is not None:
        lines += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(lines)


class TestFaults:
    def test_a_registry_that_goes_away_in_the_middle(self, registry: Registry, http: Http, large: LayoutImage) -> None:
        push(large, reference(registry), Registries(http))
        remote = Registries(http).image(reference(registry))
        layer = remote.manifest(remote.index().images[0]).layers[0]
        with remote.open(layer) as stream:
            stream.read(1000)
            registry.stop()
            with pytest.raises(RegistryError, match=layer.digest) as caught:
                list(iter(lambda: stream.read(1 << 20), b""))
        assert "team/app:1" in str(caught.value)

    def test_a_tag_and_a_repository_that_are_not_there(
        self, registry: Registry, http: Http, layout: LayoutImage
    ) -> None:
        push(layout, reference(registry), Registries(http))
        for text in (f"{registry.host}/team/app:none", f"{registry.host}/none/app:1"):
            with pytest.raises(RegistryError, match="there is no") as caught:
                open_image(text, Registries(http)).root()
            assert text in str(caught.value)

    def test_a_layer_that_was_damaged_in_the_registry(
        self, registry: Registry, http: Http, layout: LayoutImage
    ) -> None:
        push(layout, reference(registry), Registries(http))
        layer = layout.manifest(layout.index().images[1]).layers[0]
        value = layer.digest.removeprefix("sha256:")
        (data,) = (registry.folder / "data").rglob(f"blobs/sha256/{value[:2]}/{value}/data")
        content = bytearray(data.read_bytes())
        content[len(content) // 2] ^= 1
        data.write_bytes(content)
        remote = open_image(f"{registry.host}/team/app:1", Registries(http))
        with remote.open(layer) as stream, pytest.raises(RegistryError, match=f"{layer.digest} has the digest"):
            stream.read()


class TestTls:
    @pytest.fixture
    def secure(self, tmp_path: Path) -> Iterator[Registry]:
        with Registry(tmp_path / "registry", tls=True) as running:
            yield running

    def test_a_certificate_that_is_trusted(
        self, secure: Registry, layout: LayoutImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
        with Http(patience=PATIENT) as http:
            assert push(layout, reference(secure), Registries(http)) == layout.root()
            assert everything(open_image(f"{secure.host}/team/app:1", Registries(http))) == everything(layout)

    def test_uploads_stay_protected_when_the_registry_says_http(
        self, tmp_path: Path, layout: LayoutImage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with Registry(tmp_path / "misled", tls=True, misled=True) as misled:
            monkeypatch.setenv("SSL_CERT_FILE", str(misled.certificate))
            with Http(patience=PATIENT) as http:
                assert push(layout, reference(misled), Registries(http)) == layout.root()

    def test_one_that_is_not(self, secure: Registry, http: Http, layout: LayoutImage) -> None:
        with pytest.raises(RegistryError, match="certificate is not trusted") as caught:
            push(layout, reference(secure), Registries(http))
        assert "SSL_CERT_FILE" in str(caught.value)

    def test_one_for_another_name(self, secure: Registry, layout: LayoutImage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
        other = parse_reference(f"127.0.0.1:{secure.host.partition(':')[2]}/team/app:1")
        with Http(patience=PATIENT) as http, pytest.raises(CrossdockError, match="certificate is not trusted"):
            push(layout, other, Registries(http))
