"""Archives: read in place whatever wrote them, written the same each time, and damage told plainly."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import resource
import tarfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import config, everything, layer, write_image, write_index

from crossdock.errors import CrossdockError, InputError
from crossdock.http.client import Http
from crossdock.image.archive import ArchiveImage, write_oci_archive
from crossdock.image.layout import LayoutImage, blob_path
from crossdock.image.locate import open_image
from crossdock.image.model import OCI_LAYER, OCI_LAYER_GZIP
from crossdock.image.registries import Registries
from crossdock.image.registry_image import RegistryImage
from crossdock.image.stream import digest_of
from crossdock.platforms import AMD64, ARM64


def tar(path: Path, members: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as out:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
        for name, target in (links or {}).items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            out.addfile(entry)
    return path


class TestOciArchive:
    def test_holds_what_the_layout_holds(self, tmp_path: Path) -> None:
        image = write_index(tmp_path)
        write_oci_archive(image.folder, tmp_path / "image.tar", ["r.example/app:1"])
        archive = ArchiveImage(tmp_path / "image.tar")
        assert archive.root() == image.root()
        assert [entry.platform for entry in archive.index().images] == [AMD64, ARM64]
        assert everything(archive) == everything(image)

    def test_the_same_layout_gives_the_same_bytes(self, tmp_path: Path) -> None:
        first, second = write_index(tmp_path / "a"), write_index(tmp_path / "b")
        write_oci_archive(first.folder, tmp_path / "a.tar", ["app:1", "app:2"])
        write_oci_archive(second.folder, tmp_path / "b.tar", ["app:1", "app:2"])
        assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()

    def test_only_what_belongs_to_the_image_is_written(self, tmp_path: Path) -> None:
        image = write_index(tmp_path)
        (image.folder / "blobs" / "sha256" / ("0" * 64)).write_bytes(b"left over")
        write_oci_archive(image.folder, tmp_path / "image.tar")
        with tarfile.open(tmp_path / "image.tar") as out:
            assert not any("0" * 64 in name for name in out.getnames())

    def test_gzipped(self, tmp_path: Path) -> None:
        image = write_index(tmp_path)
        write_oci_archive(image.folder, tmp_path / "image.tar")
        (tmp_path / "image.tar.gz").write_bytes(gzip.compress((tmp_path / "image.tar").read_bytes()))
        assert everything(ArchiveImage(tmp_path / "image.tar.gz")) == everything(image)

    def test_threads_read_at_once(self, tmp_path: Path) -> None:
        image = write_index(tmp_path, size=200_000)
        write_oci_archive(image.folder, tmp_path / "image.tar")
        archive = ArchiveImage(tmp_path / "image.tar")
        archive.root()
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: everything(archive), range(8)))
        assert all(result == everything(image) for result in results)

    def test_several_images_need_a_tag(self, tmp_path: Path) -> None:
        image = write_index(tmp_path, ("app:1",))
        write_oci_archive(image.folder, tmp_path / "image.tar", ["app:1", "app:2"])
        assert ArchiveImage(tmp_path / "image.tar", "2").root() == image.root()
        with pytest.raises(InputError, match="no image tagged '3'"):
            ArchiveImage(tmp_path / "image.tar", "3").root()

    def test_an_incomplete_layout_leaves_no_archive(self, tmp_path: Path) -> None:
        image = write_index(tmp_path)
        last = image.manifest(image.index().images[1]).layers[0]
        blob_path(image.folder, last.digest).write_bytes(b"x" * last.size)
        (tmp_path / "out").mkdir()
        with pytest.raises(InputError, match=last.digest):
            write_oci_archive(image.folder, tmp_path / "out" / "image.tar")
        assert list((tmp_path / "out").iterdir()) == []

    def test_an_older_archive_survives_a_failure(self, tmp_path: Path) -> None:
        (tmp_path / "image.tar").write_bytes(b"old")
        with pytest.raises(InputError):
            write_oci_archive(tmp_path / "none", tmp_path / "image.tar")
        assert (tmp_path / "image.tar").read_bytes() == b"old"

    def test_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        image = write_image(tmp_path / "in", ARM64)
        with pytest.raises(CrossdockError, match="cannot write"):
            write_oci_archive(image.folder, tmp_path / "no" / "folder" / "image.tar")

    def test_a_device_is_not_replaced(self, tmp_path: Path) -> None:
        image = write_image(tmp_path / "in", ARM64)
        (tmp_path / "link").symlink_to("/dev/null")
        for destination in (Path("/dev/null"), tmp_path / "link", tmp_path):
            with pytest.raises(CrossdockError, match="no regular file"):
                write_oci_archive(image.folder, destination)

    def test_a_full_disk_leaves_nothing(self, tmp_path: Path) -> None:
        image = write_image(tmp_path / "in", ARM64)
        (tmp_path / "out").mkdir()
        with no_space(), pytest.raises(CrossdockError, match="cannot write"):
            write_oci_archive(image.folder, tmp_path / "out" / "image.tar")
        assert list((tmp_path / "out").iterdir()) == []

    def test_a_full_disk_while_decompressing(self, tmp_path: Path) -> None:
        image = write_image(tmp_path / "in", ARM64)
        write_oci_archive(image.folder, tmp_path / "image.tar")
        (tmp_path / "image.tar.gz").write_bytes(gzip.compress((tmp_path / "image.tar").read_bytes()))
        with no_space(), pytest.raises(InputError, match="cannot be decompressed") as caught:
            ArchiveImage(tmp_path / "image.tar.gz").root()
        assert "TMPDIR" in str(caught.value)


@contextlib.contextmanager
def no_space() -> Iterator[None]:
    """No file can grow beyond 1000 bytes: the nearest to a full disk that a test can have without root."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class TestDockerArchive:
    """The format of ``docker save`` before Docker 25, and of builders that write the same."""

    def save(self, path: Path, *, packed: bool = False, prefix: str = "", tags: tuple[str, ...] = ("app:1",)) -> Path:
        plain = layer({"app": b"arm64" * 500})
        entry = {"Config": "c.json", "RepoTags": list(tags), "Layers": ["l0/layer.tar", "l1/layer.tar"]}
        members = {
            f"{prefix}c.json": config(ARM64, plain, plain),
            f"{prefix}l0/layer.tar": gzip.compress(plain, mtime=0) if packed else plain,
            f"{prefix}manifest.json": json.dumps([entry]).encode(),
        }
        return tar(path, members, {f"{prefix}l1/layer.tar": "../l0/layer.tar"})

    def test_config_and_layers_make_a_manifest(self, tmp_path: Path) -> None:
        archive = ArchiveImage(self.save(tmp_path / "app.tar"))
        (entry,) = archive.index().images
        assert entry.platform == ARM64
        manifest = archive.manifest(entry)
        assert [blob.media_type for blob in manifest.layers] == [OCI_LAYER] * 2
        assert manifest.layers[0] == manifest.layers[1]
        with archive.open(manifest.layers[1]) as stream:
            assert stream.read() == layer({"app": b"arm64" * 500})
        assert archive.config(manifest).created_by == ("COPY app /app",)
        assert digest_of(archive.read(manifest.descriptor)) == entry.digest

    def test_gzipped_layers(self, tmp_path: Path) -> None:
        archive = ArchiveImage(self.save(tmp_path / "app.tar", packed=True))
        blob = archive.manifest(archive.index().images[0]).layers[0]
        assert blob.media_type == OCI_LAYER_GZIP
        with archive.open(blob) as stream:
            assert gzip.decompress(stream.read()) == layer({"app": b"arm64" * 500})

    def test_names_that_begin_with_a_dot(self, tmp_path: Path) -> None:
        assert ArchiveImage(self.save(tmp_path / "app.tar", prefix="./")).index().images[0].platform == ARM64

    @pytest.mark.parametrize("tag", ["app:1", "1", "r.example/team/app:1"])
    def test_by_tag(self, tmp_path: Path, tag: str) -> None:
        path = self.save(tmp_path / "app.tar", tags=("r.example/team/app:1",))
        assert ArchiveImage(path, tag).index().images[0].platform == ARM64

    def test_a_tag_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no image other:2") as caught:
            ArchiveImage(self.save(tmp_path / "app.tar"), "other:2").root()
        assert "app:1" in str(caught.value)

    @pytest.mark.parametrize(
        "manifest",
        [
            b"",
            b"{}",
            b"[]",
            b"[1]",
            b'[{"Config": 1}]',
            b'[{"Config": "gone.json", "Layers": []}]',
            b'[{"Config": "c.json", "Layers": ["a"]}]',
            b'[{"Config": "c.json", "Layers": 7}]',
            b'[{"Config": "manifest.json", "Layers": []}]',
        ],
    )
    def test_a_manifest_that_is_none(self, tmp_path: Path, manifest: bytes) -> None:
        plain = layer({"app": b"x"})
        path = tar(tmp_path / "app.tar", {"c.json": config(ARM64, plain, plain), "manifest.json": manifest, "a": plain})
        with pytest.raises(InputError) as caught:
            ArchiveImage(path).root()
        assert caught.value.hint


class TestDamage:
    def test_no_image(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is no image"):
            ArchiveImage(tar(tmp_path / "a.tar", {"README": b"hello"})).root()

    @pytest.mark.parametrize("content", [b"", b"\0" * 10, b"text" * 1000, b"\x1f\x8b", b"\x1f\x8b" + b"x" * 1000])
    def test_no_tar(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.tar").write_bytes(content)
        with pytest.raises(InputError):
            ArchiveImage(tmp_path / "a.tar").root()

    def test_another_compression_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.tar").write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 100)
        with pytest.raises(InputError, match="compressed with zstd"):
            ArchiveImage(tmp_path / "a.tar").root()

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read"):
            ArchiveImage(tmp_path / "none.tar").root()

    def test_a_bomb(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("crossdock.image.archive._ALWAYS_FINE", 1 << 20)
        (tmp_path / "a.tar.gz").write_bytes(gzip.compress(bytes(50 << 20)))
        with pytest.raises(InputError, match="no real archive"):
            ArchiveImage(tmp_path / "a.tar.gz").root()

    @pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.7, 0.9, 0.999])
    @pytest.mark.parametrize("packed", [False, True])
    def test_cut_off(self, tmp_path: Path, share: float, packed: bool) -> None:
        image = write_index(tmp_path, size=20_000)
        write_oci_archive(image.folder, tmp_path / "image.tar")
        content = (tmp_path / "image.tar").read_bytes().rstrip(b"\0")
        content = gzip.compress(content) if packed else content
        (tmp_path / "image.tar").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(InputError) as caught:
            everything(ArchiveImage(tmp_path / "image.tar"))
        assert caught.value.hint

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_any_damage_is_an_error_or_does_no_harm(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        folder = tmp_path_factory.mktemp("damage")
        image = write_index(folder, size=10)
        write_oci_archive(image.folder, folder / "image.tar")
        content = bytearray((folder / "image.tar").read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        (folder / "image.tar").write_bytes(content)
        try:
            found = everything(ArchiveImage(folder / "image.tar"))
        except InputError:
            return
        assert all(digest_of(value) == digest for digest, value in found.items())


class TestOpening:
    """What users call an image."""

    def test_a_folder_a_file_and_a_reference(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        image = write_index(tmp_path, ("app:1",))
        write_oci_archive(image.folder, tmp_path / "app:2.tar", ["app:1"])
        monkeypatch.chdir(tmp_path)
        with Http(offline=True) as http:
            for text in ("both", str(image.folder), "oci:both", "oci:both:1", "oci-archive:app:2.tar"):
                assert open_image(text, Registries(http)).root() == image.root(), text
            for text in ("app:2.tar", "oci-archive:app:2.tar:1", f"oci-archive:{tmp_path}/app:2.tar:1"):
                assert open_image(text, Registries(http)).root() == image.root(), text
            for text in ("docker://both", "alpine:3.20", "quay.io/a/b@sha256:" + "0" * 64):
                assert isinstance(open_image(text, Registries(http)), RegistryImage), text
            assert isinstance(open_image("both", Registries(http)), LayoutImage)

    @pytest.mark.parametrize(
        "text",
        ["./none", "/none/at/all", "../none", "none.tar", "dist/none.tar.gz", "oci:none", "oci-archive:none.tar:1"],
    )
    def test_a_path_that_is_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match="no such file or folder"), Http(offline=True) as http:
            open_image(text, Registries(http))

    def test_a_folder_that_is_no_image(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no OCI layout"), Http(offline=True) as http:
            open_image(str(tmp_path), Registries(http))

    @pytest.mark.parametrize("text", ["", " ", "What is this?", "a" * 5000, "docker://UPPER CASE", "nul\0byte"])
    def test_what_is_nothing(self, text: str) -> None:
        with pytest.raises(CrossdockError) as caught, Http(offline=True) as http:
            open_image(text, Registries(http))
        assert caught.value.hint


def test_an_archive_of_one_platform_is_also_what_old_docker_reads(tmp_path: Path) -> None:
    image = write_image(tmp_path / "single", ARM64)
    write_oci_archive(image.folder, tmp_path / "app.tar", ["nginx:1.27", f"registry.example/app@{image.root().digest}"])
    with tarfile.open(tmp_path / "app.tar") as archive:
        member = archive.extractfile("manifest.json")
        assert member
        (entry,) = json.loads(member.read())
        assert entry["RepoTags"] == ["nginx:1.27"]
        config, (layer,) = archive.extractfile(entry["Config"]), entry["Layers"]
        assert config
        assert digest_of(config.read()) == image.manifest(image.root()).config.digest
        assert archive.getmember(layer).size == image.manifest(image.root()).layers[0].size
    assert ArchiveImage(tmp_path / "app.tar").root().digest == image.root().digest


def test_an_archive_of_several_platforms_is_none_for_old_docker(tmp_path: Path) -> None:
    image = write_index(tmp_path / "image")
    write_oci_archive(image.folder, tmp_path / "app.tar", ["nginx:1.27"])
    with tarfile.open(tmp_path / "app.tar") as archive:
        assert "manifest.json" not in archive.getnames()
