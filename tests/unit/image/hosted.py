"""Images on a scripted server, as far as looking up their platforms needs them: indexes, manifests, configs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faulty import Answer, Server

from crossdock.http.client import Http
from crossdock.image.auth import Keychain
from crossdock.image.availability import ImagePlatforms
from crossdock.image.cache import DocumentCache
from crossdock.image.lookup import look_up
from crossdock.image.model import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from crossdock.image.registries import Registries
from crossdock.image.settings import Endpoint, Settings
from crossdock.image.stream import digest_of

BOTH = ("linux/amd64", "linux/arm64")
ERRORS = {"manifest": "MANIFEST_UNKNOWN", "repository": "NAME_UNKNOWN"}


def to_json(document: object) -> bytes:
    return json.dumps(document).encode()


def entry(platform: str | None, body: bytes = b"", media_type: str = OCI_MANIFEST, **more: object) -> dict[str, Any]:
    """A descriptor in an index; without ``body`` of a manifest that nobody will ask for."""
    described: dict[str, Any] = {"mediaType": media_type, "digest": digest_of(body or repr(platform).encode())}
    described["size"] = len(body) or 7
    if platform:
        described["platform"] = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    return described | more


def index_of(*entries: str | dict[str, Any]) -> bytes:
    described = [entry(one) if isinstance(one, str) else one for one in entries]
    return to_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": described})


def put(server: Server, name: str, body: bytes | None = None, media_type: str = OCI_INDEX, **headers: str) -> str:
    """Put an index (by default one for amd64 and arm64) or a manifest below ``name``, ``team/app:1``; its digest."""
    body = index_of(*BOTH) if body is None else body
    repository, _, tag = name.partition(":")
    answer = Answer(200, body, {"Content-Type": media_type, **headers})
    for identifier in (tag, digest_of(body)):
        server.on("GET", f"/v2/{repository}/manifests/{identifier}", answer)
    return digest_of(body)


def put_single(server: Server, name: str, platform: str = "linux/arm64", size: int = 1000, **config: object) -> bytes:
    """Put a single image with a layer of ``size`` bytes; its manifest."""
    os, architecture = platform.split("/")
    content = to_json({"os": os, "architecture": architecture, **config})
    layer = {"mediaType": OCI_LAYER_GZIP, "digest": digest_of(b"layer"), "size": size}
    described = {"mediaType": OCI_CONFIG, "digest": digest_of(content), "size": len(content)}
    body = to_json({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": [layer]})
    put(server, name, body, OCI_MANIFEST)
    server.on("GET", f"/v2/{name.partition(':')[0]}/blobs/{digest_of(content)}", Answer(200, content))
    return body


def put_tags(server: Server, repository: str, *tags: str) -> None:
    server.on("GET", f"/v2/{repository}/tags/list", Answer(200, to_json({"name": repository, "tags": tags})))


def unknown(what: str) -> Answer:
    """The 404 that registries answer for a ``manifest`` or a ``repository``."""
    return Answer(404, to_json({"errors": [{"code": ERRORS[what], "message": "not there"}]}))


@dataclass(frozen=True)
class Places(Settings):
    """Settings that say where some registries and their mirrors are."""

    known: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)

    def endpoints(self, host: str, repository: str, *, by_digest: bool = False) -> tuple[Endpoint, ...]:
        return self.known.get(host) or super().endpoints(host, repository, by_digest=by_digest)


def registries(
    http: Http,
    *,
    keychain: Keychain | None = None,
    cache: Path | None = None,
    **places: tuple[Endpoint, ...],
) -> Registries:
    """Registries whose configuration is empty, however this machine is configured. ``docker_io`` in ``places`` says
    where docker.io is."""
    return Registries(
        http,
        keychain=keychain or Keychain(environ={}, home=Path("/nonexistent")),
        settings=Places(known={name.replace("_", "."): where for name, where in places.items()}),
        cache=DocumentCache(cache) if cache else None,
        plain_http=True,
    )


def found_in(looked: tuple[ImagePlatforms, ...]) -> list[list[str]]:
    """The platforms of each image, as text."""
    return [[str(have.platform) for have in image.platforms] for image in looked]


def look_up_one(text: str, reached: Registries, **options: Any) -> ImagePlatforms:
    (found,) = look_up([text], reached, **options)
    return found
