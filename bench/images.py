"""Images to measure with: many small ones in a registry, and a big one as an OCI archive."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ATTESTATION = "application/vnd.in-toto+json"

AMD64, ARM64 = "linux/amd64", "linux/arm64"
REPOSITORIES = 10
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Blob:
    """Bytes in a registry: what a descriptor says of them."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True)
class Tagged:
    """A tag of the registry, what is right to say of it, and what must be read to say it."""

    name: str
    """``repository:tag``, without the host."""
    digest: str
    platforms: tuple[str, ...]
    paths: tuple[str, ...]
    """The documents that say so, as paths of URLs: the index, or the manifest and its config."""
    size: int
    """Bytes of those documents."""


# --- many small images in a registry ---------------------------------------------------------------------------------


def fill(host: str, tags: int) -> list[Tagged]:
    """Put ``tags`` images into a registry: by turns an index of two platforms, with an attestation for each as
    `docker buildx build` makes them, and one manifest for amd64 alone. All differ; equal calls make equal images."""
    shares = [(number, range(number, tags, REPOSITORIES)) for number in range(REPOSITORIES)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        groups = pool.map(lambda share: _fill_repository(host, f"team/service-{share[0]}", share[1]), shares)
        found = [image for group in groups for image in group]
    random.Random(tags).shuffle(found)
    return found


def _fill_repository(host: str, repository: str, numbers: range) -> list[Tagged]:
    made = random.Random(repository)
    with Uploader(host, repository) as uploader:
        layers = [uploader.blob(made.randbytes(1000 + number), LAYER) for number in range(8)]
        statement = uploader.blob(made.randbytes(1000), ATTESTATION)
        return [_tagged(uploader, made, layers, statement, number) for number in numbers]


def _tagged(uploader: Uploader, made: random.Random, layers: list[Blob], statement: Blob, number: int) -> Tagged:
    tag = f"1.{number}"
    name, manifests = f"{uploader.repository}:{tag}", f"/v2/{uploader.repository}/manifests/{tag}"
    if (number // REPOSITORIES) % 2:
        config = uploader.blob(_config(made, AMD64), CONFIG)
        manifest = uploader.manifest(_manifest(config, made.sample(layers, made.randint(4, 8))), MANIFEST, tag)
        paths = (manifests, f"/v2/{uploader.repository}/blobs/{config.digest}")
        return Tagged(name, manifest.digest, (AMD64,), paths, manifest.size + config.size)
    images, attestations = [], []
    for platform in (AMD64, ARM64):
        config = uploader.blob(_config(made, platform), CONFIG)
        image = uploader.manifest(_manifest(config, made.sample(layers, made.randint(4, 8))), MANIFEST)
        about = uploader.blob(_config(made, "unknown/unknown"), CONFIG)
        attestation = uploader.manifest(_manifest(about, [statement]), MANIFEST)
        images.append(_descriptor(image, platform))
        attestations.append(
            _descriptor(attestation, "unknown/unknown")
            | {
                "annotations": {
                    "vnd.docker.reference.digest": image.digest,
                    "vnd.docker.reference.type": "attestation-manifest",
                }
            }
        )
    index = uploader.manifest(_index([*images, *attestations]), INDEX, tag)
    return Tagged(name, index.digest, (AMD64, ARM64), (manifests,), index.size)


def _config(made: random.Random, platform: str) -> bytes:
    """A config as long as real ones: 2 to 6 KB of history, labels and environment."""
    os_name, architecture = platform.split("/")
    wanted, history = made.randint(1300, 4800), list[dict[str, str]]()
    while wanted > 0:
        step = f"RUN /bin/sh -c install {made.randbytes(made.randint(20, 120)).hex()} # buildkit"
        history.append({"created": "2025-01-01T00:00:00Z", "created_by": step})
        wanted -= len(step) + 100  # about what JSON adds
    return _encoded(
        {
            "architecture": architecture,
            "os": os_name,
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Entrypoint": ["/usr/local/bin/service"]},
            "created": "2025-01-01T00:00:00Z",
            "history": history,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{made.randbytes(32).hex()}" for _ in range(6)]},
        }
    )


def _manifest(config: Blob, layers: list[Blob]) -> bytes:
    described = [_descriptor(layer) for layer in layers]
    return _encoded({"schemaVersion": 2, "mediaType": MANIFEST, "config": _descriptor(config), "layers": described})


def _index(manifests: list[dict[str, object]]) -> bytes:
    return _encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def _descriptor(blob: Blob, platform: str = "") -> dict[str, object]:
    described: dict[str, object] = {"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size}
    if platform:
        os_name, architecture = platform.split("/")
        described["platform"] = {"architecture": architecture, "os": os_name}
    return described


def _encoded(document: object) -> bytes:
    return json.dumps(document, indent=2).encode()


class Uploader:
    """A connection that fills one repository of a registry. Raises SystemExit where the registry does not agree."""

    def __init__(self, host: str, repository: str) -> None:
        self.repository = repository
        self._connection = http.client.HTTPConnection(host, timeout=60)

    def __enter__(self) -> Uploader:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def blob(self, content: bytes, media_type: str) -> Blob:
        blob = _blob(content, media_type)
        place = self._request("POST", f"/v2/{self.repository}/blobs/uploads/", b"", {}, 202)
        parts = urlsplit(place)
        target = f"{parts.path}?{parts.query}&digest={blob.digest}"
        self._request("PUT", target, content, {"Content-Type": "application/octet-stream"}, 201)
        return blob

    def manifest(self, content: bytes, media_type: str, tag: str = "") -> Blob:
        blob = _blob(content, media_type)
        target = f"/v2/{self.repository}/manifests/{tag or blob.digest}"
        self._request("PUT", target, content, {"Content-Type": media_type}, 201)
        return blob

    def _request(self, method: str, target: str, body: bytes, headers: dict[str, str], wanted: int) -> str:
        """Returns the answer's Location."""
        self._connection.request(method, target, body, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != wanted:
            raise SystemExit(f"the registry answered {method} {target} with {response.status}: {answer.decode()}")
        return response.headers.get("Location", "")


def _blob(content: bytes, media_type: str) -> Blob:
    return Blob(media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


# --- a big image -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Archive:
    """One image of two platforms, as an OCI archive and as the OCI layout that was packed into it."""

    archive: Path
    layout: Path
    digest: str
    """Of the index that a push has to leave in the registry."""
    size: int
    """Bytes of all blobs."""


def make_archive(folder: Path, size: int, layers: int = 4) -> Archive:
    """An image of two platforms with ``layers`` layers each and ``size`` bytes in all, which no compression makes
    smaller: gzip, as every builder makes them, around random bytes."""
    layout = folder / "layout"
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def store(content: bytes, media_type: str) -> Blob:
        blob = _blob(content, media_type)
        (blobs / blob.digest.removeprefix("sha256:")).write_bytes(content)
        return blob

    images = []
    for platform in (AMD64, ARM64):
        stored = [_store_layer(blobs, size // (2 * layers)) for _ in range(layers)]
        os_name, architecture = platform.split("/")
        rootfs = {"type": "layers", "diff_ids": [unpacked for _, unpacked in stored]}
        config = store(_encoded({"architecture": architecture, "os": os_name, "config": {}, "rootfs": rootfs}), CONFIG)
        images.append(_descriptor(store(_manifest(config, [blob for blob, _ in stored]), MANIFEST), platform))
    index = store(_index(images), INDEX)
    (layout / "index.json").write_bytes(_index([_descriptor(index)]))
    (layout / "oci-layout").write_bytes(_encoded({"imageLayoutVersion": "1.0.0"}))
    archive = folder / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(layout.rglob("*")):
            tar.add(path, str(path.relative_to(layout)), recursive=False)
    return Archive(archive, layout, index.digest, sum(path.stat().st_size for path in blobs.iterdir()))


def _store_layer(blobs: Path, size: int) -> tuple[Blob, str]:
    """Write a layer of one file, piece by piece. Returns it and its diff id."""
    pack = zlib.compressobj(0, wbits=31)
    packed, unpacked, written = hashlib.sha256(), hashlib.sha256(), 0
    unnamed = blobs / "unnamed"
    with unnamed.open("wb") as file:
        for part in _tar(size):
            unpacked.update(part)
            piece = pack.compress(part)
            packed.update(piece)
            written += file.write(piece)
        rest = pack.flush()
        packed.update(rest)
        written += file.write(rest)
    unnamed.rename(blobs / packed.hexdigest())
    return Blob(LAYER, f"sha256:{packed.hexdigest()}", written), f"sha256:{unpacked.hexdigest()}"


def _tar(size: int) -> Iterator[bytes]:
    file = tarfile.TarInfo("data")
    file.size = size
    yield file.tobuf()
    for start in range(0, size, MEGABYTE):
        yield os.urandom(min(MEGABYTE, size - start))
    yield bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
