"""Indexes, manifests and configs: JSON bytes to the types of ``image.model``, and what every kind of image shares."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, TypeVar

from crossdock.errors import CrossdockError, InputError
from crossdock.image.model import (
    CONFIG_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Healthcheck,
    Image,
    ImageConfig,
    Index,
    Manifest,
)
from crossdock.platforms import Platform, normalise

MAX_DOCUMENT = 8 << 20
"""Bytes. No real index, manifest or config comes near it; a larger one is a mistake or an attack."""
MAX_NESTING = 4
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_MALFORMED_HINT = "The image is not what the OCI image specification describes. Build it again with a current tool."

T = TypeVar("T")


class MalformedError(ValueError):
    """A document is not what its media type says. The caller knows where it came from and makes the error of it."""


class ImageDocuments(ABC):
    """The part of ``image.model.Image`` that is the same wherever the bytes come from.

    Subclasses give ``root``, ``read`` and ``open``, and ``fault`` for the kind of error that fits the place.
    """

    name: str

    @abstractmethod
    def root(self) -> Descriptor: ...

    @abstractmethod
    def read(self, descriptor: Descriptor) -> bytes: ...

    @abstractmethod
    def open(self, descriptor: Descriptor, *, verify: bool = True) -> AbstractContextManager[BinaryIO]: ...

    @abstractmethod
    def fault(self, what: str, hint: str) -> CrossdockError:
        """An error about this image."""

    def index(self) -> Index:
        root = self.root()
        entries = self._entries(root, 0) if root.media_type in INDEX_TYPES else (root,)
        return Index(root, tuple(self._with_platform(entry) for entry in entries))

    def manifest(self, descriptor: Descriptor) -> Manifest:
        return self._parsed(parse_manifest, descriptor)

    def config(self, manifest: Manifest) -> ImageConfig:
        if manifest.config.media_type not in CONFIG_TYPES:
            raise self.fault(
                f"{manifest.descriptor.digest} is no container image but an artifact ({manifest.config.media_type})",
                "Name a container image.",
            )
        return self._parsed(lambda _, data: parse_config(data), manifest.config)

    def _parsed(self, parse: Callable[[Descriptor, bytes], T], descriptor: Descriptor) -> T:
        data = self.read(descriptor)
        try:
            return parse(descriptor, data)
        except MalformedError as error:
            raise self.fault(f"{descriptor.digest}: {error}", _MALFORMED_HINT) from error

    def _entries(self, descriptor: Descriptor, depth: int) -> tuple[Descriptor, ...]:
        """The manifests of an index and of the indexes in it."""
        if depth >= MAX_NESTING:
            raise self.fault("its indexes are nested too deeply", "Build the image again as one index of manifests.")
        found: list[Descriptor] = []
        for entry in self._parsed(parse_index, descriptor).manifests:
            found += self._entries(entry, depth + 1) if entry.media_type in INDEX_TYPES else [entry]
        return tuple(found)

    def _with_platform(self, entry: Descriptor) -> Descriptor:
        """``platform`` is optional in an index; the config knows it."""
        if entry.platform is not None or entry.is_attestation or entry.media_type not in MANIFEST_TYPES:
            return entry
        manifest = self.manifest(entry)
        if manifest.config.media_type not in CONFIG_TYPES:
            return entry
        return replace(entry, platform=self.config(manifest).platform)


@dataclass(frozen=True)
class Contents:
    """Everything an image consists of, each digest once. ``documents`` are manifests and indexes, each after what it
    names, the root last; ``blobs`` are configs and layers."""

    blobs: tuple[Descriptor, ...]
    documents: tuple[Descriptor, ...]


def contents(image: Image) -> Contents:
    """What has to be copied to copy the image, attestations included. Raises as the image does."""
    blobs: dict[str, Descriptor] = {}
    documents: dict[str, Descriptor] = {}

    def visit(descriptor: Descriptor, depth: int) -> None:
        if descriptor.digest in documents:
            return
        if descriptor.media_type in MANIFEST_TYPES:
            manifest = image.manifest(descriptor)
            blobs.update({blob.digest: blob for blob in (manifest.config, *manifest.layers)})
        elif descriptor.media_type in INDEX_TYPES and depth < MAX_NESTING:
            for entry in parse_index(descriptor, image.read(descriptor)).manifests:
                visit(entry, depth + 1)
        else:
            raise InputError(
                f"{descriptor.digest} is {descriptor.media_type or 'of no type'}, which cannot be copied as an image",
                where=image.name,
                hint=_MALFORMED_HINT,
            )
        documents[descriptor.digest] = descriptor

    try:
        visit(image.root(), 0)
    except MalformedError as error:
        raise InputError(str(error), where=image.name, hint=_MALFORMED_HINT) from error
    return Contents(tuple(blobs.values()), tuple(documents.values()))


def parse_index(descriptor: Descriptor, data: bytes) -> Index:
    """image-spec, image-index.md; Docker's manifest list is the same. Raises MalformedError."""
    document = _document(descriptor, data)
    if "layers" in document:
        raise MalformedError("it is an index and a manifest at once")
    entries = _list(document, "manifests", required=True)
    return Index(descriptor, tuple(parse_descriptor(entry) for entry in entries))


def parse_manifest(descriptor: Descriptor, data: bytes) -> Manifest:
    """image-spec, manifest.md; Docker's schema 2 is the same. Raises MalformedError."""
    if descriptor.media_type not in MANIFEST_TYPES:
        raise MalformedError(f"it is no image manifest but {descriptor.media_type}")
    document = _document(descriptor, data)
    if "manifests" in document:
        raise MalformedError("it is an index and a manifest at once")
    layers = tuple(parse_descriptor(entry) for entry in _list(document, "layers"))
    return Manifest(descriptor, parse_descriptor(document.get("config")), layers)


def parse_config(data: bytes) -> ImageConfig:
    """image-spec, config.md. Raises MalformedError."""
    document = load_object(data)
    platform = _platform(document)
    if platform is None:
        raise MalformedError("the image config has no os and architecture")
    run = document.get("config") or {}
    if not isinstance(run, dict):
        raise MalformedError('"config" should be an object')
    content = document.get("rootfs") or {}
    if not isinstance(content, dict):
        raise MalformedError('"rootfs" should be an object')
    pairs = (item.partition("=") for item in _strings(run, "Env"))
    history = [entry for entry in _list(document, "history") if isinstance(entry, dict)]
    return ImageConfig(
        platform=platform,
        entrypoint=_strings(run, "Entrypoint"),
        command=_strings(run, "Cmd"),
        env={name: value for name, _, value in pairs},
        working_directory=_string(run, "WorkingDir"),
        user=_string(run, "User"),
        created_by=tuple(_string(entry, "created_by") for entry in history if not entry.get("empty_layer")),
        diff_ids=_strings(content, "diff_ids"),
        healthcheck=_healthcheck(run),
    )


def _healthcheck(run: Mapping[str, Any]) -> Healthcheck | None:
    """None where there is none, or where it was switched off (``HEALTHCHECK NONE``). Times are nanoseconds, and 0
    stands for the default."""
    found = run.get("Healthcheck") or {}
    if not isinstance(found, dict):
        raise MalformedError('"Healthcheck" should be an object')
    kind, *words = _strings(found, "Test") or ("NONE",)
    if kind == "CMD-SHELL":
        words = [*(_strings(run, "Shell") or ("/bin/sh", "-c")), *words]
    elif kind != "CMD":
        words = []
    if not words:
        return None

    def seconds(key: str, default: float) -> float:
        value = found.get(key) or 0
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            raise MalformedError(f'"{key}" should be a number of nanoseconds')
        return value / 1e9 or default

    retries = found.get("Retries") or 3
    if isinstance(retries, bool) or not isinstance(retries, int):
        raise MalformedError('"Retries" should be a number')
    times = seconds("Interval", 30.0), seconds("Timeout", 30.0), seconds("StartPeriod", 0.0)
    return Healthcheck(tuple(words), *times, retries)


def parse_descriptor(entry: object) -> Descriptor:
    """image-spec, descriptor.md. Raises MalformedError."""
    if not isinstance(entry, dict):
        raise MalformedError("a descriptor is missing or no object")
    digest, size = _string(entry, "digest"), entry.get("size")
    if not _DIGEST.fullmatch(digest):
        raise MalformedError(f"{digest[:80]!r} is no digest that can be checked")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise MalformedError(f"the descriptor of {digest} has no size")
    annotations = entry.get("annotations") or {}
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise MalformedError(f"the annotations of {digest} are no texts")
    platform = entry.get("platform")
    if platform is not None and not isinstance(platform, dict):
        raise MalformedError(f"the platform of {digest} is no object")
    return Descriptor(
        media_type=_string(entry, "mediaType"),
        digest=digest,
        size=size,
        platform=_platform(platform or {}),
        annotations=annotations,
        written=entry,
    )


def descriptor_json(descriptor: Descriptor) -> dict[str, object]:
    """A descriptor as it is written into an index; what it was read with that crossdock does not know is kept."""
    known = {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
    others = {key: value for key, value in descriptor.written.items() if key not in ("platform", "annotations")}
    out: dict[str, object] = {**known, **others, **known}
    written = descriptor.written.get("platform")
    if descriptor.platform and isinstance(written, dict) and _platform(written) == descriptor.platform:
        out["platform"] = written
    elif descriptor.platform:
        platform = {"architecture": descriptor.platform.architecture, "os": descriptor.platform.os}
        if descriptor.platform.variant:
            platform["variant"] = descriptor.platform.variant
        out["platform"] = platform
    if descriptor.annotations:
        out["annotations"] = dict(sorted(descriptor.annotations.items()))
    return out


def to_json(document: Mapping[str, object] | Sequence[object]) -> bytes:
    """The same document always gives the same bytes, hence the same digest."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def load_object(data: bytes) -> dict[str, Any]:
    """A JSON object. Raises MalformedError."""
    document = _json(data)
    if not isinstance(document, dict):
        raise MalformedError("it is not a JSON object")
    return document


def load_list(data: bytes) -> list[Any]:
    """A JSON array. Raises MalformedError."""
    document = _json(data)
    if not isinstance(document, list):
        raise MalformedError("it is not a JSON array")
    return document


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedError("it is not JSON") from error


def _document(descriptor: Descriptor, data: bytes) -> dict[str, Any]:
    document = load_object(data)
    if document.get("schemaVersion") == 1:
        raise MalformedError("it is in Docker's old format, schema 1")
    said = document.get("mediaType")
    if said and said != descriptor.media_type:
        raise MalformedError(f"it calls itself {said!r}, but was announced as {descriptor.media_type}")
    return document


def _platform(entry: Mapping[str, Any]) -> Platform | None:
    os, architecture, variant = (_string(entry, key) for key in ("os", "architecture", "variant"))
    return normalise(os, architecture, variant) if os and architecture else None


def _string(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f'"{key}" should be a text')
    return value


def _strings(entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = _list(entry, key)
    if not all(isinstance(value, str) for value in found):
        raise MalformedError(f'"{key}" should be a list of texts')
    return tuple(found)


def _list(entry: Mapping[str, Any], key: str, *, required: bool = False) -> list[Any]:
    value = entry.get(key)
    if value is None and not required:
        return []
    if not isinstance(value, list):
        raise MalformedError(f'"{key}" should be a list')
    return value
