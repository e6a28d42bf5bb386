"""Images as the OCI image specification describes them: descriptors, indexes, manifests, configs.

Docker's schema 2 types are read as their OCI counterparts; the original media type and bytes stay with the descriptor.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from crossdock.platforms import Platform

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
CONFIG_TYPES = frozenset({OCI_CONFIG, DOCKER_CONFIG})
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"

REFERENCE_NAME = "org.opencontainers.image.ref.name"
"""Annotation of a descriptor in an OCI layout's index.json (image-spec, annotations.md)."""
ATTESTATION_TYPE = "vnd.docker.reference.type"
"""Annotation by which BuildKit marks attestation manifests; those are no platform."""
ATTESTATION_SUBJECT = "vnd.docker.reference.digest"
"""Annotation of an attestation manifest: the digest of the manifest that it is about."""


@dataclass(frozen=True)
class Descriptor:
    """A content descriptor (image-spec, descriptor.md). ``size`` in bytes; ``digest`` as ``algorithm:hex``."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The JSON object that this was read from, so that an entry copied into another index loses nothing."""

    @property
    def is_attestation(self) -> bool:
        return ATTESTATION_TYPE in self.annotations or (self.platform is not None and self.platform.os == "unknown")


@dataclass(frozen=True)
class Index:
    """An image index (image-spec, image-index.md), attestations included."""

    descriptor: Descriptor
    manifests: tuple[Descriptor, ...]

    @property
    def images(self) -> tuple[Descriptor, ...]:
        return tuple(entry for entry in self.manifests if not entry.is_attestation)


@dataclass(frozen=True)
class Manifest:
    """An image manifest (image-spec, manifest.md); ``layers`` from the base up."""

    descriptor: Descriptor
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class Healthcheck:
    """HEALTHCHECK (moby, image/spec/v1.2, "Healthcheck"): the command and, in seconds, when it is run. Docker and
    podman run it first after ``interval``, and call a container unhealthy when it has failed ``retries`` times in a row
    after ``start_period``."""

    command: tuple[str, ...]
    interval: float = 30.0
    timeout: float = 30.0
    start_period: float = 0.0
    retries: int = 3


@dataclass(frozen=True)
class ImageConfig:
    """The parts of an image config that crossdock uses (image-spec, config.md)."""

    platform: Platform
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    env: Mapping[str, str]
    working_directory: str
    user: str
    created_by: tuple[str, ...]
    """What made each layer, in the order of ``Manifest.layers`` (history entries without a layer left out); shorter
    or empty when the image carries no full history."""
    diff_ids: tuple[str, ...] = ()
    """The digest of each layer's tar, unpacked."""
    healthcheck: Healthcheck | None = None


class Image(Protocol):
    """Anything that holds an image: an OCI layout, an archive, a repository in a registry.

    Every method checks what it returns against the descriptor's digest and size, and raises InputError (local) or
    RegistryError (remote) naming the digest when they differ, when a blob is missing, or when a document is larger
    than 8 MiB or not the JSON it should be.
    """

    @property
    def name(self) -> str:
        """What the user called it: a path or a reference."""
        ...

    def root(self) -> Descriptor:
        """The index, or the single manifest when there is no index."""
        ...

    def index(self) -> Index:
        """The root as an index. For a single manifest: an index of one whose platform comes from the config."""
        ...

    def manifest(self, descriptor: Descriptor) -> Manifest: ...

    def config(self, manifest: Manifest) -> ImageConfig: ...

    def read(self, descriptor: Descriptor) -> bytes:
        """The raw bytes of a document (index, manifest, config): what a digest is computed over."""
        ...

    def open(self, descriptor: Descriptor, *, verify: bool = True) -> AbstractContextManager[BinaryIO]:
        """The raw (still compressed) bytes of a layer as a stream. The digest is checked when the end is reached;
        without ``verify`` only the size is, for a receiver that checks the digest itself."""
        ...
