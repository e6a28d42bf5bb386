"""Pulling into a file or a folder: several blobs at once, checked, and whole or not at all."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol

import pytest
from faulty import Answer, Server
from interrupted import SLOW, interrupted_when
from samples import everything, write_image, write_index

from crossdock.errors import CrossdockError, InputError, RegistryError
from crossdock.http.client import Http
from crossdock.image.archive import ArchiveImage
from crossdock.image.auth import Keychain
from crossdock.image.documents import contents
from crossdock.image.layout import LayoutImage, blob_path
from crossdock.image.model import Descriptor, Image
from crossdock.image.pull import DOWNLOADS, Progress, pull_archive, pull_layout
from crossdock.image.reference import parse_reference
from crossdock.image.registries import Registries
from crossdock.image.registry_image import RegistryImage
from crossdock.platforms import AMD64


class Pull(Protocol):
    def __call__(self, image: Image, destination: Path, tags: Sequence[str] = (), *, on_progress: Progress) -> None: ...


@pytest.fixture
def image(tmp_path_factory: pytest.TempPathFactory) -> LayoutImage:
    return write_index(tmp_path_factory.mktemp("image"))


@pytest.fixture(params=["archive", "layout"])
def pull(request: pytest.FixtureRequest) -> Pull:
    return pull_archive if request.param == "archive" else pull_layout


def quiet(done: int, total: int) -> None:
    """Nobody watches."""


def remote(server: Server, image: LayoutImage, http: Http, home: Path) -> RegistryImage:
    """The image in a registry, as ``team/app:1``."""
    root = image.root()
    content_type = {"Content-Type": root.media_type}
    server.on("GET", "/v2/team/app/manifests/1", Answer(200, image.read(root), content_type))
    parts = contents(image)
    for entry in parts.documents:
        answer = Answer(200, image.read(entry), {"Content-Type": entry.media_type})
        server.on("GET", f"/v2/team/app/manifests/{entry.digest}", answer)
    for blob in parts.blobs:
        data = blob_path(image.folder, blob.digest).read_bytes()
        server.on("GET", f"/v2/team/app/blobs/{blob.digest}", Answer(200, data))
    registries = Registries(http, keychain=Keychain(environ={}, home=home), plain_http=True)
    return registries.image(parse_reference(f"{server.host}/team/app:1"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def largest(image: Image) -> Descriptor:
    return max(contents(image).blobs, key=lambda blob: blob.size)


def test_an_archive_and_a_layout_have_everything(image: LayoutImage, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    pull_archive(image, tmp_path / "app.tar", ["team/app:1"], on_progress=lambda *step: steps.append(step))
    pull_layout(image, tmp_path / "layout", ["team/app:1"], on_progress=quiet)
    for copy in (ArchiveImage(tmp_path / "app.tar", "1"), LayoutImage(tmp_path / "layout", "1")):
        assert copy.root().digest == image.root().digest
        assert everything(copy) == everything(image)
    assert names(tmp_path) == ["app.tar", "layout"]
    done = [count for count, _ in steps]
    assert done == sorted(done)
    parts = contents(image)
    assert steps[-1] == (total := sum(part.size for part in (*parts.blobs, *parts.documents)), total)


def test_the_same_image_gives_the_same_archive(image: LayoutImage, tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        pull_archive(image, tmp_path / name, ["team/app:1"], on_progress=quiet)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_from_a_registry(server: Server, http: Http, image: LayoutImage, pull: Pull, tmp_path: Path) -> None:
    pull(remote(server, image, http, tmp_path), tmp_path / "out", on_progress=quiet)
    copy = LayoutImage(tmp_path / "out") if (tmp_path / "out").is_dir() else ArchiveImage(tmp_path / "out")
    assert everything(copy) == everything(image)
    paths = [seen.path for seen in server.seen]
    assert len(paths) == len(set(paths)), "nothing is fetched twice"


class Watched(LayoutImage):
    """Counts how many blobs are open at once; each waits until it is as many as there may be."""

    def __init__(self, folder: Path, expected: int) -> None:
        super().__init__(folder)
        self._together = threading.Barrier(expected)

    def open(self, descriptor: Descriptor, *, verify: bool = True) -> AbstractContextManager[BinaryIO]:
        self._together.wait(5)
        return super().open(descriptor, verify=verify)


def test_several_blobs_are_fetched_at_once(image: LayoutImage, tmp_path: Path) -> None:
    count = len(contents(image).blobs)
    assert 1 < count <= DOWNLOADS
    pull_layout(Watched(image.folder, count), tmp_path / "layout", on_progress=quiet)
    assert everything(LayoutImage(tmp_path / "layout")) == everything(image)


def test_damaged_content_is_refused(server: Server, http: Http, image: LayoutImage, pull: Pull, tmp_path: Path) -> None:
    blob = largest(image)
    source = remote(server, image, http, tmp_path)
    data = blob_path(image.folder, blob.digest).read_bytes()
    server.on("GET", f"/v2/team/app/blobs/{blob.digest}", Answer(200, data[:-1] + b"x"))
    with pytest.raises(RegistryError, match=f"{blob.digest} has the digest"):
        pull(source, tmp_path / "out", on_progress=quiet)
    assert names(tmp_path) == []


def test_a_damaged_layout_is_not_copied(image: LayoutImage, pull: Pull, tmp_path: Path) -> None:
    blob = largest(image)
    path = blob_path(image.folder, blob.digest)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=f"{blob.digest} has the digest"):
        pull(image, tmp_path / "out", on_progress=quiet)
    assert names(tmp_path) == []


def test_a_blob_that_is_missing(server: Server, http: Http, image: LayoutImage, pull: Pull, tmp_path: Path) -> None:
    source = remote(server, image, http, tmp_path)
    server.on("GET", f"/v2/team/app/blobs/{largest(image).digest}", Answer(404))
    with pytest.raises(RegistryError, match="there is no blob"):
        pull(source, tmp_path / "out", on_progress=quiet)
    assert names(tmp_path) == []


def test_an_archive_that_is_there_is_replaced_in_one_step(image: LayoutImage, tmp_path: Path) -> None:
    (tmp_path / "app.tar").write_bytes(b"old")
    seen: list[bytes] = []
    pull_archive(image, tmp_path / "app.tar", on_progress=lambda *_: seen.append((tmp_path / "app.tar").read_bytes()))
    assert set(seen) == {b"old"}
    assert ArchiveImage(tmp_path / "app.tar").root().digest == image.root().digest


def test_an_archive_stays_when_the_next_cannot_be_had(image: LayoutImage, tmp_path: Path) -> None:
    (tmp_path / "app.tar").write_bytes(b"old")
    blob_path(image.folder, largest(image).digest).unlink()
    with pytest.raises(InputError, match="is missing"):
        pull_archive(image, tmp_path / "app.tar", on_progress=quiet)
    assert (tmp_path / "app.tar").read_bytes() == b"old"
    assert names(tmp_path) == ["app.tar"]


def test_a_folder_that_is_there_stays(image: LayoutImage, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(CrossdockError, match="cannot put the layout there") as caught:
        pull_layout(image, tmp_path / "out", on_progress=quiet)
    assert "does not exist yet" in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine"]


def test_a_folder_that_is_not_there(image: LayoutImage, pull: Pull, tmp_path: Path) -> None:
    with pytest.raises(CrossdockError, match="cannot write there: No such file") as caught:
        pull(image, tmp_path / "no" / "out", on_progress=quiet)
    assert str(tmp_path / "no" / "out") in str(caught.value)


def test_a_disk_that_fills_up(image: LayoutImage, pull: Pull, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit on the size of files stands for it: permissions and quotas do not stop root."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
    try:
        with pytest.raises(CrossdockError, match="cannot write: File too large") as caught:
            pull(image, tmp_path / "out", on_progress=quiet)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.where == str(tmp_path / "out")
    assert "free some space" in str(caught.value).lower()
    assert names(tmp_path) == []


# ---------------------------------------------------------------- interruption


@pytest.mark.parametrize("silence", [Answer(wait=5), Answer(drip=60)])
def test_an_interruption_does_not_wait_for_a_silent_registry(
    server: Server, tmp_path_factory: pytest.TempPathFactory, pull: Pull, tmp_path: Path, silence: Answer
) -> None:
    image = write_image(tmp_path_factory.mktemp("single"), AMD64)
    blob = largest(image)
    path = f"/v2/team/app/blobs/{blob.digest}"
    with interrupted_when(lambda: server.count("GET", path) > 0), Http(patience=SLOW) as http:
        source = remote(server, image, http, tmp_path)
        server.on("GET", path, replace(silence, body=blob_path(image.folder, blob.digest).read_bytes()))
        pull(source, tmp_path / "out", on_progress=quiet)
    assert names(tmp_path) == []


def test_one_failure_does_not_wait_for_the_other_downloads(
    server: Server, image: LayoutImage, pull: Pull, tmp_path: Path
) -> None:
    first, second, *_ = sorted(contents(image).blobs, key=lambda blob: -blob.size)
    with Http(patience=SLOW) as http:
        source = remote(server, image, http, tmp_path)
        data = blob_path(image.folder, first.digest).read_bytes()
        server.on("GET", f"/v2/team/app/blobs/{first.digest}", Answer(200, data, drip=60))
        server.on("GET", f"/v2/team/app/blobs/{second.digest}", Answer(404))
        began = time.monotonic()
        with pytest.raises(RegistryError, match="there is no blob"):
            pull(source, tmp_path / "out", on_progress=quiet)
        assert time.monotonic() - began < 3
    assert names(tmp_path) == []
