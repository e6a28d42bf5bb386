"""OCI layouts: choosing the image, checking every byte, joining platforms, leaving nothing half-written."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import document, set_index_json, write_image, write_index

from crossdock.errors import CrossdockError, InputError
from crossdock.image.assemble import assemble_index
from crossdock.image.documents import (
    MAX_DOCUMENT,
    MalformedError,
    contents,
    descriptor_json,
    parse_config,
    parse_descriptor,
    parse_index,
    parse_manifest,
    to_json,
)
from crossdock.image.layout import LayoutImage, LayoutWriter, blob_path
from crossdock.image.model import (
    ATTESTATION_SUBJECT,
    ATTESTATION_TYPE,
    DOCKER_LIST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    REFERENCE_NAME,
    Descriptor,
)
from crossdock.platforms import AMD64, ARM64, Platform


def test_two_platforms(tmp_path: Path) -> None:
    image = write_index(tmp_path)
    index = image.index()
    assert index.descriptor == image.root()
    assert [entry.platform for entry in index.images] == [AMD64, ARM64]
    for entry in index.images:
        manifest = image.manifest(entry)
        config = image.config(manifest)
        assert config.platform == entry.platform
        assert (config.entrypoint, config.command) == (("/app",), ("--serve",))
        assert config.env == {"PATH": "/bin:/usr/bin", "EMPTY": "", "MODE": "a=b"}
        assert (config.working_directory, config.user) == ("/srv", "1000:1000")
        assert config.created_by == ("COPY app /app",)
        with image.open(manifest.layers[0]) as stream:
            assert len(stream.read()) == manifest.layers[0].size


def test_a_single_manifest_is_an_index_of_one(tmp_path: Path) -> None:
    index = write_image(tmp_path, ARM64).index()
    assert [(entry.media_type, entry.platform) for entry in index.manifests] == [(OCI_MANIFEST, ARM64)]


def test_several_tags_of_one_image_are_one_image(tmp_path: Path) -> None:
    image = write_index(tmp_path, ("r.example/app:1", "r.example/app:2"))
    entries = json.loads((image.folder / "index.json").read_bytes())["manifests"]
    assert [entry["annotations"][REFERENCE_NAME] for entry in entries] == ["1", "2"]
    assert image.root().media_type == OCI_INDEX
    for tag in ("2", "r.example/app:2"):
        assert LayoutImage(image.folder, tag).root() == image.root()


def test_index_json_that_lists_platforms_is_the_index(tmp_path: Path) -> None:
    image = write_index(tmp_path)
    entries = [descriptor_json(entry) for entry in image.index().manifests]
    set_index_json(image.folder, entries)
    direct = LayoutImage(image.folder)
    assert [entry.platform for entry in direct.index().images] == [AMD64, ARM64]
    assert direct.read(direct.root()) == (image.folder / "index.json").read_bytes()
    assert contents(direct).documents[-1] == direct.root()
    LayoutWriter(image.folder).finish(direct.root(), ["app:1"])
    assert everything_is_there(LayoutImage(image.folder, "1"), direct.root())


def everything_is_there(image: LayoutImage, root: Descriptor) -> bool:
    parts = contents(image)
    return image.root() == root and all(
        LayoutWriter(image.folder).has(part) for part in (*parts.blobs, *parts.documents)
    )


def test_an_index_in_an_index(tmp_path: Path) -> None:
    image = write_index(tmp_path)
    writer = LayoutWriter(image.folder)
    outer = writer.add_document(to_json({"schemaVersion": 2, "manifests": [descriptor_json(image.root())]}), OCI_INDEX)
    writer.finish(outer)
    nested = LayoutImage(image.folder)
    assert [entry.platform for entry in nested.index().images] == [AMD64, ARM64]
    assert len(contents(nested).documents) == 4


def test_indexes_nested_without_end_are_refused(tmp_path: Path) -> None:
    image = write_index(tmp_path)
    writer, root = LayoutWriter(image.folder), image.root()
    for _ in range(10):
        root = writer.add_document(to_json({"schemaVersion": 2, "manifests": [descriptor_json(root)]}), OCI_INDEX)
    writer.finish(root)
    with pytest.raises(InputError, match="nested too deeply"):
        LayoutImage(image.folder).index()
    with pytest.raises(InputError):
        contents(LayoutImage(image.folder))


def test_a_platform_missing_in_the_index_comes_from_the_config(tmp_path: Path) -> None:
    image = write_index(tmp_path)
    writer = LayoutWriter(image.folder)
    entries = [descriptor_json(replace(entry, platform=None)) for entry in image.index().manifests]
    writer.finish(writer.add_document(to_json({"schemaVersion": 2, "manifests": entries}), OCI_INDEX))
    assert [entry.platform for entry in LayoutImage(image.folder).index().images] == [AMD64, ARM64]


def test_several_images_need_a_tag(tmp_path: Path) -> None:
    image = write_index(tmp_path)
    first, second = image.index().manifests
    set_index_json(
        image.folder,
        [
            descriptor_json(replace(first, annotations={REFERENCE_NAME: "one"})),
            descriptor_json(replace(second, annotations={REFERENCE_NAME: "two"})),
        ],
    )
    with pytest.raises(InputError, match="several images") as caught:
        LayoutImage(image.folder).root()
    assert "one, two" in str(caught.value)
    assert LayoutImage(image.folder, "two").root().digest == second.digest
    with pytest.raises(InputError, match="no image tagged 'three'") as caught:
        LayoutImage(image.folder, "three").root()
    assert "one, two" in str(caught.value)


class TestDamage:
    def test_no_layout(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no OCI layout"):
            LayoutImage(tmp_path).root()

    def test_no_index(self, tmp_path: Path) -> None:
        image = write_image(tmp_path, ARM64)
        (image.folder / "index.json").unlink()
        with pytest.raises(InputError, match=r"index\.json is missing"):
            LayoutImage(image.folder).root()

    @pytest.mark.parametrize("content", [b"", b"[]", b"{", b"null", b'{"manifests": 1}', b'{"manifests": []}', b"\xff"])
    def test_an_index_that_is_none(self, tmp_path: Path, content: bytes) -> None:
        image = write_image(tmp_path, ARM64)
        (image.folder / "index.json").write_bytes(content)
        with pytest.raises(InputError) as caught:
            LayoutImage(image.folder).root()
        assert caught.value.hint

    def test_a_blob_that_is_missing(self, tmp_path: Path) -> None:
        image = write_index(tmp_path)
        entry = image.index().images[1]
        blob_path(image.folder, entry.digest).unlink()
        with pytest.raises(InputError, match=entry.digest):
            image.manifest(entry)

    def test_a_document_with_other_bytes(self, tmp_path: Path) -> None:
        image = write_index(tmp_path)
        entry = image.index().images[1]
        path = blob_path(image.folder, entry.digest)
        path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))
        with pytest.raises(InputError, match="has the digest sha256:"):
            image.manifest(entry)

    @pytest.mark.parametrize("how", ["changed", "shorter", "longer", "empty"])
    def test_a_layer_with_other_bytes(self, tmp_path: Path, how: str) -> None:
        image = write_index(tmp_path)
        layer = image.manifest(image.index().images[0]).layers[0]
        path = blob_path(image.folder, layer.digest)
        content = path.read_bytes()
        damaged = {
            "changed": content[:-1] + bytes([content[-1] ^ 1]),
            "shorter": content[:-1],
            "longer": content + b"x",
            "empty": b"",
        }
        path.write_bytes(damaged[how])
        with image.open(layer) as stream, pytest.raises(InputError, match=layer.digest):
            list(iter(lambda: stream.read(7), b""))

    def test_a_document_larger_than_any_real_one(self, tmp_path: Path) -> None:
        image = write_image(tmp_path, ARM64)
        (image.folder / "index.json").write_bytes(b" " * (MAX_DOCUMENT + 1))
        with pytest.raises(InputError, match="larger than"):
            LayoutImage(image.folder).root()

    def test_a_digest_that_is_a_path(self, tmp_path: Path) -> None:
        image = write_image(tmp_path, ARM64)
        entry = descriptor_json(image.root()) | {"digest": "sha256:../../../../etc/passwd"}
        set_index_json(image.folder, [entry])
        with pytest.raises(InputError, match="no digest"):
            LayoutImage(image.folder).root()


class TestWriter:
    def test_what_is_not_what_the_descriptor_says_is_not_kept(self, tmp_path: Path) -> None:
        writer = LayoutWriter(tmp_path / "out")
        good = writer.add_document(b"content", OCI_CONFIG)
        bad = replace(good, digest="sha256:" + "0" * 64)
        with pytest.raises(InputError, match="has the digest"):
            writer.add_blob(bad, io.BytesIO(b"content"))
        assert [path.name for path in (tmp_path / "out" / "blobs" / "sha256").iterdir()] == [good.digest[7:]]

    def test_an_interrupted_copy_leaves_nothing(self, tmp_path: Path) -> None:
        class Interrupted(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                raise KeyboardInterrupt

        writer = LayoutWriter(tmp_path / "out")
        with pytest.raises(KeyboardInterrupt):
            writer.add_blob(Descriptor(OCI_CONFIG, "sha256:" + "0" * 64, 5), Interrupted())
        assert list((tmp_path / "out" / "blobs" / "sha256").iterdir()) == []

    def test_an_image_that_is_not_there_cannot_be_named(self, tmp_path: Path) -> None:
        image = write_image(tmp_path, ARM64)
        with pytest.raises(InputError, match="is missing"):
            LayoutWriter(tmp_path).finish(replace(image.root(), digest="sha256:" + "0" * 64), ["app:1"])
        assert LayoutImage(tmp_path).root() == image.root()

    def test_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CrossdockError, match="cannot write"):
            LayoutWriter(tmp_path / "file" / "out")


class TestAssemble:
    def test_the_same_images_give_the_same_digest(self, tmp_path: Path) -> None:
        first, second = write_index(tmp_path / "1"), write_index(tmp_path / "2")
        assert first.root() == second.root()
        assert document(first, first.root())["mediaType"] == OCI_INDEX

    def test_an_image_of_another_platform_is_refused(self, tmp_path: Path) -> None:
        image = write_image(tmp_path / "amd64", AMD64)
        with pytest.raises(InputError, match="built for linux/arm64 says in its config that it is linux/amd64"):
            assemble_index(LayoutWriter(tmp_path / "out"), [(image, ARM64)])
        assert not (tmp_path / "out" / "index.json").exists()

    def test_attestations_come_along(self, tmp_path: Path) -> None:
        image = write_index(tmp_path)
        arm = image.index().images[1]
        writer = LayoutWriter(image.folder)
        config = writer.add_document(b"{}", OCI_CONFIG)
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor_json(config), "layers": []}
        notes = {ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_SUBJECT: arm.digest}
        about = writer.add_document(to_json(manifest), OCI_MANIFEST, Platform("unknown", "unknown"), notes)
        entries = [descriptor_json(entry) for entry in (arm, about)]
        root = writer.add_document(to_json({"schemaVersion": 2, "manifests": entries}), OCI_INDEX)
        writer.finish(root)
        built = LayoutImage(image.folder)
        amd = write_image(tmp_path / "amd", AMD64)
        out = LayoutWriter(tmp_path / "out")
        assemble_index(out, [(built, ARM64), (amd, AMD64)])
        index = LayoutImage(tmp_path / "out").index()
        assert [entry.platform for entry in index.images] == [ARM64, AMD64]
        assert [entry.annotations.get(ATTESTATION_SUBJECT) for entry in index.manifests] == [None, None, arm.digest]

    def test_a_platform_that_was_not_built(self, tmp_path: Path) -> None:
        image = write_index(tmp_path)
        with pytest.raises(InputError, match="no linux/arm/v7"):
            assemble_index(LayoutWriter(tmp_path / "out"), [(image, Platform("linux", "arm", "v7"))])


SOME = Descriptor(OCI_INDEX, "sha256:" + "0" * 64, 0)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["manifests", "layers", "config", "digest", "size", "mediaType", "platform", "annotations", "os", "history"]
FIELDS += ["architecture", "schemaVersion", "Env", "Cmd", "created_by", "empty_layer"]
SHAPED = st.recursive(
    JSON | st.just("sha256:" + "a" * 64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.binary(max_size=50) | SHAPED.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_document_or_malformed(data: bytes) -> None:
    for parse in (
        lambda: parse_index(SOME, data),
        lambda: parse_manifest(replace(SOME, media_type=OCI_MANIFEST), data),
        lambda: parse_config(data),
    ):
        with contextlib.suppress(MalformedError):
            parse()


@settings(deadline=None)
@given(SHAPED)
def test_anything_is_a_descriptor_or_malformed(entry: object) -> None:
    try:
        found = parse_descriptor(entry)
    except MalformedError:
        return
    assert parse_descriptor(descriptor_json(found)).digest == found.digest


def test_json_nested_without_end() -> None:
    with pytest.raises(MalformedError):
        parse_index(SOME, b'{"manifests":' + b"[" * 200_000)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"schemaVersion": 1, "fsLayers": []}', "schema 1"),
        (b'{"mediaType": "%s", "manifests": []}' % DOCKER_LIST.encode(), "calls itself"),
        (b'{"manifests": [], "layers": []}', "at once"),
    ],
)
def test_an_index_that_is_something_else(data: bytes, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        parse_index(SOME, data)
