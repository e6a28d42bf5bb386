"""One index from images that were built separately: what it keeps of them, and what it cannot take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from samples import write_image, write_index

from crossdock.errors import InputError
from crossdock.image.assemble import AssembledImage, Part, choose, is_whole, left_out, part_built_for, parts_of
from crossdock.image.documents import contents, descriptor_json, to_json
from crossdock.image.layout import CONTAINERD_NAME, LayoutImage, LayoutWriter
from crossdock.image.model import (
    ATTESTATION_SUBJECT,
    ATTESTATION_TYPE,
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    REFERENCE_NAME,
    Descriptor,
    Image,
)
from crossdock.platforms import AMD64, ARM64, Platform

S390X = Platform("linux", "s390x")


def index_of(folder: Path, entries: list[dict[str, object]], annotations: Mapping[str, str] | None = None) -> Image:
    """The layout in ``folder`` with an index over these entries as its only image."""
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    if annotations:
        document["annotations"] = annotations
    writer = LayoutWriter(folder)
    writer.finish(writer.add_document(to_json(document), OCI_INDEX))
    return LayoutImage(folder)


def entry_for(image: LayoutImage, platform: Platform, **more: object) -> dict[str, object]:
    """How an index names the only manifest of a layout; ``more`` as in ``os_version``, ``annotations``."""
    written: dict[str, object] = {"architecture": platform.architecture, "os": platform.os}
    for key in ("os_version", "os_features"):
        if key in more:
            written[key.replace("_", ".")] = more.pop(key)
    return {**descriptor_json(image.root()), "platform": written, **more}


def attestation(folder: Path, subject: str, says: str = "provenance") -> dict[str, object]:
    """An attestation manifest as BuildKit writes it, stored in the layout; returns its entry."""
    writer = LayoutWriter(folder)
    statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": subject}], "says": says}
    layer = writer.add_document(to_json(statement), "application/vnd.in-toto+json")
    config = writer.add_document(b"{}", "application/vnd.oci.image.config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor_json(config),
        "layers": [descriptor_json(layer)],
    }
    return {
        **descriptor_json(writer.add_document(to_json(manifest), OCI_MANIFEST)),
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {ATTESTATION_TYPE: "attestation-manifest", ATTESTATION_SUBJECT: subject},
    }


def attested(folder: Path, platform: Platform, annotations: Mapping[str, str] | None = None) -> Image:
    """What ``docker buildx build --provenance=true`` gives for one platform: an index of manifest and attestation."""
    image = write_image(folder, platform)
    entries = [entry_for(image, platform), attestation(folder, image.root().digest, str(platform))]
    return index_of(folder, entries, annotations)


def written(image: Image) -> dict[str, object]:
    document = json.loads(image.read(image.root()))
    assert isinstance(document, dict)
    return document


def entries(image: Image) -> list[dict[str, object]]:
    found = written(image)["manifests"]
    assert isinstance(found, list)
    return found


def joined(*images: Image) -> AssembledImage:
    return AssembledImage([part for image in images for part in parts_of(image)])


def test_separate_images_become_one_that_can_be_read_whole(tmp_path: Path) -> None:
    images = [write_image(tmp_path / platform.architecture, platform) for platform in (AMD64, ARM64)]
    image = joined(*images)
    assert image.root().media_type == OCI_INDEX
    assert [entry.platform for entry in image.index().images] == [AMD64, ARM64]
    assert image.name == f"{images[0].name} + {images[1].name}"
    parts = contents(image)
    assert {document.digest for document in parts.documents} == {
        image.root().digest,
        *(part.root().digest for part in images),
    }
    for blob in parts.blobs:
        with image.open(blob) as stream:
            assert len(stream.read()) == blob.size
        holder = image.lies_in(blob.digest)
        assert holder in images
    assert image.lies_in(image.root().digest) is None
    assert joined(*images).root() == image.root(), "the same parts give the same digest"


def test_attestations_follow_their_manifest_and_keep_their_link(tmp_path: Path) -> None:
    amd64, arm64 = attested(tmp_path / "amd64", AMD64), attested(tmp_path / "arm64", ARM64)
    image = joined(amd64, arm64)
    found = entries(image)
    assert [entry["platform"]["architecture"] for entry in found] == ["amd64", "arm64", "unknown", "unknown"]
    for manifest, about in zip(found[:2], found[2:], strict=True):
        assert about["annotations"] == {
            ATTESTATION_TYPE: "attestation-manifest",
            ATTESTATION_SUBJECT: manifest["digest"],
        }
    assert found[2:] == [entries(amd64)[1], entries(arm64)[1]]
    assert {blob.media_type for blob in contents(image).blobs} >= {"application/vnd.in-toto+json"}
    assert left_out(image) == ()


def test_attestations_of_platforms_that_are_left_out_are_left_out(tmp_path: Path) -> None:
    both = joined(attested(tmp_path / "amd64", AMD64), attested(tmp_path / "arm64", ARM64))
    image = AssembledImage(parts_of(both, [ARM64]))
    assert [entry.platform for entry in image.index().images] == [ARM64]
    (about,) = (entry for entry in image.index().manifests if entry.is_attestation)
    assert about.annotations[ATTESTATION_SUBJECT] == image.index().images[0].digest
    assert left_out(both) == ()


def test_an_attestation_about_a_manifest_that_was_made_anew_does_not_dangle(tmp_path: Path) -> None:
    """As after a conversion: the manifest has another digest, and the statement is about the old one."""
    folder = tmp_path / "converted"
    image = write_image(folder, AMD64)
    stale = attestation(folder, f"sha256:{'0' * 64}")
    converted = index_of(folder, [entry_for(image, AMD64), stale])
    assert [entry.digest for entry in left_out(converted)] == [stale["digest"]]
    assert not is_whole(converted, parts_of(converted))
    result = joined(converted, write_image(tmp_path / "arm64", ARM64))
    assert not [entry for entry in result.index().manifests if entry.is_attestation]


def test_annotations_of_entries_stay_except_names(tmp_path: Path) -> None:
    folder = tmp_path / "amd64"
    image = write_image(folder, AMD64)
    notes = {"org.opencontainers.image.revision": "abc", "com.example.x": "y"}
    names = {REFERENCE_NAME: "1", CONTAINERD_NAME: "docker.io/library/a:1"}
    named = index_of(folder, [entry_for(image, AMD64, annotations={**notes, **names})])
    assert entries(joined(named, write_image(tmp_path / "arm64", ARM64)))[0]["annotations"] == notes


def test_annotations_of_the_index_stay_where_the_images_agree(tmp_path: Path) -> None:
    same = {"org.opencontainers.image.source": "https://example.com/app", REFERENCE_NAME: "1"}
    amd64 = attested(tmp_path / "amd64", AMD64, {**same, "builder": "one"})
    arm64 = attested(tmp_path / "arm64", ARM64, {**same, "builder": "two"})
    assert written(joined(amd64, arm64))["annotations"] == {"org.opencontainers.image.source": same[next(iter(same))]}


def test_what_an_entry_says_of_its_system_stays(tmp_path: Path) -> None:
    folder = tmp_path / "windows"
    windows = Platform("windows", "amd64")
    image = write_image(folder, windows)
    more = {"os_version": "10.0.20348.1", "os_features": ["win32k"]}
    there = index_of(folder, [entry_for(image, windows, **more, artifactType="application/x", urls=["https://e.com"])])
    (entry, _) = entries(joined(there, write_image(tmp_path / "arm64", ARM64)))
    assert entry["platform"] == {
        "architecture": "amd64",
        "os": "windows",
        "os.version": "10.0.20348.1",
        "os.features": ["win32k"],
    }
    assert (entry["artifactType"], entry["urls"]) == ("application/x", ["https://e.com"])


def test_two_images_for_one_platform_are_refused(tmp_path: Path) -> None:
    one, other = write_image(tmp_path / "one", AMD64), write_image(tmp_path / "other", AMD64, size=2)
    with pytest.raises(InputError, match=r"other: linux/amd64 is in .*one as well") as caught:
        joined(one, other)
    assert "Leave one out" in str(caught.value)


def test_versions_of_windows_are_not_one_platform(tmp_path: Path) -> None:
    windows = Platform("windows", "amd64")
    found = []
    for version in ("10.0.17763.1", "10.0.20348.1"):
        image = write_image(tmp_path / version, windows, size=len(found) + 1)
        found.append(index_of(tmp_path / version, [entry_for(image, windows, os_version=version)]))
    assert [entry["platform"]["os.version"] for entry in entries(joined(*found))] == ["10.0.17763.1", "10.0.20348.1"]


def as_docker(folder: Path, platform: Platform) -> LayoutImage:
    """An image of Docker's own media types."""
    image = write_image(folder, platform)
    manifest = json.loads(image.read(image.root()))
    manifest["mediaType"] = DOCKER_MANIFEST
    manifest["config"]["mediaType"] = DOCKER_CONFIG
    writer = LayoutWriter(folder)
    writer.finish(writer.add_document(to_json(manifest), DOCKER_MANIFEST))
    return LayoutImage(folder)


def test_manifests_of_dockers_type_alone_give_dockers_list(tmp_path: Path) -> None:
    amd64, arm64 = as_docker(tmp_path / "amd64", AMD64), as_docker(tmp_path / "arm64", ARM64)
    image = joined(amd64, arm64)
    assert image.root().media_type == written(image)["mediaType"] == DOCKER_LIST
    assert [entry.platform for entry in image.index().images] == [AMD64, ARM64]
    mixed = joined(amd64, write_image(tmp_path / "oci", ARM64))
    assert mixed.root().media_type == OCI_INDEX
    assert [entry["mediaType"] for entry in entries(mixed)] == [DOCKER_MANIFEST, OCI_MANIFEST]


def test_an_index_in_an_index_is_laid_flat(tmp_path: Path) -> None:
    inner = write_index(tmp_path / "inner")
    outer = index_of(tmp_path / "inner" / "both", [descriptor_json(inner.root())])
    flat = joined(outer, write_image(tmp_path / "s390x", S390X))
    assert [entry.platform for entry in flat.index().images] == [AMD64, ARM64, S390X]
    assert all(entry["mediaType"] == OCI_MANIFEST for entry in entries(flat))


def test_platforms_are_chosen_from_all_images(tmp_path: Path) -> None:
    amd64, arm64 = write_image(tmp_path / "amd64", AMD64), write_image(tmp_path / "arm64", ARM64)
    parts = [*parts_of(amd64), *parts_of(arm64)]
    assert [part.image for part in choose(parts, [ARM64])] == [arm64]
    assert choose(parts, []) == tuple(parts)
    with pytest.raises(InputError, match="there is no linux/s390x") as caught:
        choose(parts, [AMD64, S390X])
    assert "It has: linux/amd64, linux/arm64" in str(caught.value)
    assert amd64.name in str(caught.value)
    with pytest.raises(InputError, match="there is no linux/arm64"):
        parts_of(amd64, [ARM64])


def test_what_has_all_that_is_wanted_is_whole(tmp_path: Path) -> None:
    image = write_index(tmp_path)
    assert is_whole(image, parts_of(image, [AMD64, ARM64]))
    assert not is_whole(image, parts_of(image, [ARM64]))
    single = write_image(tmp_path / "single", ARM64)
    assert is_whole(single, parts_of(single, [ARM64]))


def test_nothing_for_any_platform(tmp_path: Path) -> None:
    folder = tmp_path / "only"
    write_image(folder, AMD64)
    image = index_of(folder, [attestation(folder, f"sha256:{'0' * 64}")])
    with pytest.raises(InputError, match="no image for any platform"):
        parts_of(image)


def test_what_was_built_is_held_against_what_was_asked_for(tmp_path: Path) -> None:
    amd64 = write_image(tmp_path / "amd64", AMD64)
    with pytest.raises(InputError, match="says in its config that it is linux/amd64"):
        part_built_for(amd64, ARM64)
    assert part_built_for(amd64, ARM64, unverified=True).manifest.platform == ARM64
    found = part_built_for(attested(tmp_path / "arm64", ARM64), ARM64)
    assert isinstance(found, Part)
    assert [entry.annotations[ATTESTATION_SUBJECT] for entry in found.attestations] == [found.manifest.digest]


def test_a_descriptor_keeps_what_crossdock_does_not_know(tmp_path: Path) -> None:
    digest = f"sha256:{'1' * 64}"
    descriptor = Descriptor(OCI_MANIFEST, digest, 5, AMD64, {}, {"platform": {"os": "linux"}, "data": "aGVsbG8="})
    assert descriptor_json(descriptor) == {
        "mediaType": OCI_MANIFEST,
        "digest": digest,
        "size": 5,
        "data": "aGVsbG8=",
        "platform": {"architecture": "amd64", "os": "linux"},
    }
    assert descriptor_json(replace(descriptor, platform=None)).keys() == {"mediaType", "digest", "size", "data"}
