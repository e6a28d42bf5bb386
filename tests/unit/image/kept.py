"""A registry of one repository in memory that keeps what is pushed, with or without lists of referrers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from faulty import Answer, Seen, Server

from crossdock.image.model import OCI_INDEX
from crossdock.image.stream import digest_of

REPOSITORY = "team/app"


@dataclass
class Kept:
    """``lists`` says whether it answers the referrers API of distribution-spec 1.1."""

    server: Server
    lists: bool = True
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    """The digest of each."""

    def __post_init__(self) -> None:
        self.server.interfere = lambda _number, seen: self.answer(seen)
        self.name = f"{self.server.host}/{REPOSITORY}:1"

    def answer(self, seen: Seen) -> Answer | None:
        kind, _, name = seen.path.removeprefix(f"/v2/{REPOSITORY}/").partition("/")
        if kind == "blobs" and seen.method == "POST":
            return Answer(202, headers={"Location": f"/v2/{REPOSITORY}/blobs/uploads/1"})
        if kind == "blobs" and seen.method == "PUT":
            self.blobs[parse_qs(seen.query)["digest"][0]] = seen.body
            return Answer(201)
        if kind == "blobs":
            return Answer(200, self.blobs[name]) if name in self.blobs else Answer(404)
        if kind == "manifests" and seen.method == "PUT":
            return self._put(name, seen.headers["content-type"], seen.body)
        if kind == "manifests":
            media_type, body = self.manifests.get(self.tags.get(name, name), ("", b""))
            return Answer(200, body, {"Content-Type": media_type}) if body else Answer(404)
        return self._referrers(name) if kind == "referrers" and self.lists else None

    def _put(self, name: str, media_type: str, body: bytes) -> Answer:
        digest = digest_of(body)
        self.manifests[digest] = (media_type, body)
        if name != digest:
            self.tags[name] = digest
        return Answer(201)

    def _referrers(self, subject: str) -> Answer:
        entries = []
        for digest, (media_type, body) in self.manifests.items():
            document = json.loads(body)
            if document.get("subject", {}).get("digest") == subject:
                copied = {key: document[key] for key in ("artifactType", "annotations")}
                entries.append({"mediaType": media_type, "digest": digest, "size": len(body), **copied})
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return Answer(200, json.dumps(index).encode(), {"Content-Type": OCI_INDEX})
