"""Artifacts about an image: pushed with their subject, and found again in registries with and without such lists."""

from __future__ import annotations

import json

import pytest
from faulty import Answer, Server
from hosted import registries
from kept import Kept

from crossdock.errors import RegistryError
from crossdock.http.client import Http
from crossdock.image.model import OCI_INDEX, OCI_MANIFEST, Descriptor
from crossdock.image.reference import parse_reference
from crossdock.image.referrers import OCI_EMPTY, Referrers, fallback_tag
from crossdock.image.stream import digest_of

NOTE = "application/vnd.example.note"
IMAGE = b'{"an": "image"}'
SUBJECT = Descriptor(OCI_INDEX, digest_of(IMAGE), len(IMAGE))
TAG = fallback_tag(SUBJECT.digest)


def referrers(kept: Kept, http: Http) -> Referrers:
    return Referrers(registries(http), parse_reference(kept.name), SUBJECT)


@pytest.mark.parametrize("lists", [True, False])
def test_what_is_attached_is_found_and_read(server: Server, http: Http, lists: bool) -> None:
    kept = Kept(server, lists)
    about = referrers(kept, http)
    assert about.list(NOTE) == ()
    first = about.attach(b"one", NOTE, {"n": "1"})
    second = about.attach(b"two", NOTE, {"n": "2"})
    about.attach(b"other", "application/vnd.example.other", {})
    found = about.list(NOTE)
    assert [(entry.digest, entry.annotations) for entry in found] == [
        (first.digest, {"n": "1"}),
        (second.digest, {"n": "2"}),
    ]
    assert [about.read(entry) for entry in found] == [b"one", b"two"]
    assert (TAG in kept.tags) is not lists


def test_the_manifest_is_an_artifact_of_the_specification(server: Server, http: Http) -> None:
    kept = Kept(server)
    manifest = referrers(kept, http).attach(b"one", NOTE, {"n": "1"})
    media_type, body = kept.manifests[manifest.digest]
    assert media_type == OCI_MANIFEST
    assert json.loads(body) == {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": NOTE,
        "config": {"mediaType": OCI_EMPTY, "digest": digest_of(b"{}"), "size": 2},
        "layers": [{"mediaType": NOTE, "digest": digest_of(b"one"), "size": 3}],
        "subject": {"mediaType": OCI_INDEX, "digest": SUBJECT.digest, "size": SUBJECT.size},
        "annotations": {"n": "1"},
    }


def test_the_list_by_tag_keeps_what_others_wrote(server: Server, http: Http) -> None:
    kept = Kept(server, lists=False)
    other = {"mediaType": OCI_MANIFEST, "digest": digest_of(b"x"), "size": 1, "artifactType": "a/b", "more": 1}
    kept._put(TAG, OCI_INDEX, json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [other]}).encode())
    about = referrers(kept, http)
    mine = about.attach(b"one", NOTE, {"n": "1"})
    again = about.attach(b"one", NOTE, {"n": "1"})
    assert again == mine
    entries = json.loads(kept.manifests[kept.tags[TAG]][1])["manifests"]
    assert entries == [
        other,
        {
            "mediaType": OCI_MANIFEST,
            "digest": mine.digest,
            "size": mine.size,
            "artifactType": NOTE,
            "annotations": {"n": "1"},
        },
    ]


def test_a_list_that_another_writes_over_is_written_again(server: Server, http: Http) -> None:
    kept = Kept(server, lists=False)
    empty = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
    times = 0

    def answer(seen: object) -> Answer | None:
        nonlocal times
        found = Kept.answer(kept, seen)  # type: ignore[arg-type]
        if (seen.method, seen.path.rpartition("/")[2]) == ("PUT", TAG) and times < most:  # type: ignore[attr-defined]
            times += 1
            kept._put(TAG, OCI_INDEX, empty)
        return found

    kept.answer = answer  # type: ignore[method-assign]
    most = 2
    about = referrers(kept, http)
    about.attach(b"one", NOTE, {})
    assert len(about.list(NOTE)) == 1
    most = 100
    with pytest.raises(RegistryError, match="others changed the tag"):
        about.attach(b"two", NOTE, {})


@pytest.mark.parametrize(
    ("media_type", "body", "what"),
    [(OCI_MANIFEST, b'{"layers": []}', "is application/vnd.oci.image.manifest"), (OCI_INDEX, b"[]", "not a JSON")],
)
def test_a_tag_that_is_no_list_is_left_alone(
    server: Server, http: Http, media_type: str, body: bytes, what: str
) -> None:
    kept = Kept(server, lists=False)
    kept._put(TAG, media_type, body)
    with pytest.raises(RegistryError, match=what):
        referrers(kept, http).attach(b"one", NOTE, {})
    assert kept.tags[TAG] == digest_of(body)


@pytest.mark.parametrize(
    "answer", [Answer(200, b"<html>", {"Content-Type": "text/html"}), Answer(400), Answer(404), Answer(405)]
)
def test_a_registry_that_does_not_know_the_question_has_no_lists(server: Server, http: Http, answer: Answer) -> None:
    kept = Kept(server, lists=False)
    server.on("GET", f"/v2/team/app/referrers/{SUBJECT.digest}", answer)
    about = referrers(kept, http)
    about.attach(b"one", NOTE, {})
    assert len(about.list(NOTE)) == 1


@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_refusal_is_no_empty_list(server: Server, http: Http, status: int) -> None:
    kept = Kept(server, lists=False)
    server.on("GET", f"/v2/team/app/referrers/{SUBJECT.digest}", Answer(status))
    with pytest.raises(RegistryError):
        referrers(kept, http).list(NOTE)


def test_a_long_digest_makes_a_tag_that_is_allowed() -> None:
    assert fallback_tag(f"sha512:{'a' * 128}") == f"sha512-{'a' * 64}"
