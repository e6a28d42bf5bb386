"""Two images that ought to be the same, compared layer by layer, file by file: what ``crossdock build --prove`` shows.

Layers are streamed; of each file a hash is kept, and only files that differ are looked into. Times of change are left
out: no two builds have the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from crossdock.errors import InputError
from crossdock.image.compression import unpack
from crossdock.image.model import Descriptor, Image, ImageConfig, Manifest
from crossdock.platforms import Platform
from crossdock.verify.differing import MAX_BYTES, Nature, Part, differing
from crossdock.verify.volatile import volatile

_CHUNK = 1 << 20
_BLOCKS = 1 << 15
"""What is read at once of a layer; tarfile moves what is left of it for every header."""
_XATTR = "SCHILY.xattr."
"""Extended attributes in PAX headers (star(1), and what BuildKit and buildah write)."""
_HASH_BYTES = 16
_OWN_NAME = re.compile(r"FROM [0-9a-f]{12}")
"""What buildah notes beside a step: the image of the step before, under a name that holds the time it was made."""


@dataclass(frozen=True)
class Difference:
    """``path`` is the file in the image, or the field of the config or manifest; ``created_by`` the instruction whose
    layer holds the file."""

    nature: Nature
    path: str
    what: str
    created_by: str = ""


@dataclass(frozen=True)
class Comparison:
    """``files`` are how many entries of layers were compared; those of ``equal_layers`` of all ``layers`` were not
    looked at, as their digests are the same."""

    platform: Platform
    layers: int
    equal_layers: int
    files: int
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether code, data, attributes and config are the same. Build ids, times and records may differ."""
        return not any(one.nature.counts for one in self.differences)


@dataclass(frozen=True, slots=True)
class _File:
    """What a layer says of a file, but for times."""

    about: tuple[tuple[str, object], ...]
    digest: bytes

    @property
    def regular(self) -> bool:
        return bool(self.digest)


@dataclass(frozen=True)
class _One:
    """One of both images, for one platform."""

    image: Image
    manifest: Manifest
    config: ImageConfig
    document: Mapping[str, Any]
    """The config, and what else the manifest says of itself and its layers."""


def compare(one: Image, other: Image, platform: Platform) -> Comparison:
    """How two images differ for a platform. Raises InputError for an image that lacks it or is damaged."""
    before, after = _choose(one, platform), _choose(other, platform)
    differences = list(_configs(before, after))
    count, files, equal = len(before.manifest.layers), 0, 0
    if count != len(after.manifest.layers):
        words = f"{count} layers and {len(after.manifest.layers)}"
        differences.append(Difference(Nature.CONFIG, "layers", words))
    said = before.config.created_by if len(before.config.created_by) == count else ("",) * count
    for number, pair in enumerate(zip(before.manifest.layers, after.manifest.layers, strict=False)):
        if _is_equal(before, after, number):
            equal += 1
            continue
        looked, found = _layers(before.image, after.image, pair, said[number])
        files += looked
        differences += found
    return Comparison(platform, count, equal, files, tuple(differences))


def _choose(image: Image, platform: Platform) -> _One:
    entry = next((one for one in image.index().images if one.platform == platform), None)
    if entry is None:
        raise InputError(f"the image has no {platform}", where=image.name)
    manifest = image.manifest(entry)
    document = json.loads(image.read(manifest.config))
    said = json.loads(image.read(entry))
    layers = [{k: v for k, v in layer.items() if k not in ("digest", "size")} for layer in said["layers"]]
    document["manifest"] = {"layers": layers, "annotations": said.get("annotations")}
    return _One(image, manifest, image.config(manifest), document)


def _is_equal(before: _One, after: _One, number: int) -> bool:
    """By the digests of the layers as packed, or as unpacked."""
    ids = [one.config.diff_ids[number : number + 1] for one in (before, after)]
    packed = [one.manifest.layers[number].digest for one in (before, after)]
    return packed[0] == packed[1] or bool(ids[0] and ids[0] == ids[1])


# The config


def _configs(before: _One, after: _One) -> Iterator[Difference]:
    was, now = (dict(_fields(_without_times(one.document))) for one in (before, after))
    for path in sorted(was.keys() | now.keys()):
        if was.get(path) != now.get(path):
            yield Difference(Nature.CONFIG, path, f"{_word(was, path)} and {_word(now, path)}")


def _without_times(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config but for when it was made, and for the digests of its layers, whose content is compared instead."""
    history = [
        {k: v for k, v in step.items() if k != "created" and not (k == "comment" and _OWN_NAME.fullmatch(str(v)))}
        for step in document.get("history") or []
    ]
    return {**{k: v for k, v in document.items() if k not in ("created", "rootfs")}, "history": history}


def _fields(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _fields(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _fields(inner, f"{path}[{number}]")
    elif value not in ({}, [], None, ""):
        yield path, value


def _word(fields: Mapping[str, object], path: str) -> str:
    return json.dumps(fields[path], ensure_ascii=False) if path in fields else "nothing"


# Layers


def _layers(
    one: Image, other: Image, pair: tuple[Descriptor, Descriptor], created_by: str
) -> tuple[int, list[Difference]]:
    """How many entries two layers have, and what differs."""
    with ThreadPoolExecutor(2) as threads:  # hashing and unpacking go on at the same time
        before, after = threads.map(_read, (one, other), pair)
    found: list[Difference] = []
    inside: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        if path not in before or path not in after:
            known = volatile(path)
            which = "the first" if path in before else "the second"
            nature = Nature.RECORD if known and known.how == "content" else Nature.ATTRIBUTES
            found.append(Difference(nature, path, f"only in {which}", created_by))
            continue
        was, now = before[path], after[path]
        for (name, value), (_, new) in zip(was.about, now.about, strict=True):
            if value != new:
                words = f"{name}: {_shown(name, value)} and {_shown(name, new)}"
                found.append(Difference(Nature.ATTRIBUTES, path, words, created_by))
        if was.regular and now.regular and was.digest != now.digest:
            inside.append(path)
    with _contents(one, pair[0], inside) as first, _contents(other, pair[1], inside) as second:
        for path in inside:
            for part in _parts(path, first[path], second[path]):
                found.append(Difference(part.nature, path, part.what, created_by))
    return len(before.keys() | after.keys()), found


def _shown(name: str, value: object) -> str:
    return f"{value:o}" if name == "mode" and isinstance(value, int) else str(value) or "none"


def _read(image: Image, layer: Descriptor) -> dict[str, _File]:
    found: dict[str, _File] = {}
    for entry, content in _entries(image, layer):
        digest = b""
        if content is not None:
            hashing = hashlib.blake2b(digest_size=_HASH_BYTES)
            while chunk := content.read(_CHUNK):
                hashing.update(chunk)
            digest = hashing.digest()
        found[_path(entry)] = _File(_about(entry), digest)
    return found


def _about(entry: tarfile.TarInfo) -> tuple[tuple[str, object], ...]:
    attributes = sorted((k, v) for k, v in entry.pax_headers.items() if k.startswith(_XATTR))
    device = (entry.devmajor, entry.devminor) if entry.ischr() or entry.isblk() else ""
    return (
        ("kind", "file" if entry.isreg() else entry.type.decode("ascii", "replace")),
        ("mode", entry.mode),
        ("owner", f"{entry.uid}:{entry.gid}"),
        ("link", entry.linkname),
        ("device", device),
        ("extended attributes", ", ".join(f"{k.removeprefix(_XATTR)}={v!r}" for k, v in attributes)),
    )


def _path(entry: tarfile.TarInfo) -> str:
    return entry.name.removeprefix("./").strip("/")


@contextmanager
def _contents(image: Image, layer: Descriptor, paths: list[str]) -> Iterator[dict[str, Path]]:
    """Some files of a layer, as files of this machine while the context lasts."""
    wanted = dict.fromkeys(paths)
    found: dict[str, Path] = {}
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        if wanted:
            for entry, content in _entries(image, layer):
                path = _path(entry)
                if content is None or path not in wanted:
                    continue
                found[path] = Path(folder) / str(len(found))
                with found[path].open("wb") as file:
                    while chunk := content.read(_CHUNK):
                        file.write(chunk)
        yield found


def _parts(path: str, one: Path, other: Path) -> tuple[Part, ...]:
    sizes = [file.stat().st_size for file in (one, other)]
    if max(sizes) > MAX_BYTES:
        return (Part(Nature.DATA, f"content of {sizes[0]:,} and {sizes[1]:,} bytes, too large to be looked into"),)
    return differing(path, one.read_bytes(), other.read_bytes())


def _entries(image: Image, layer: Descriptor) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Every entry of a layer, with its content if it is a regular file. Raises InputError."""
    where = f"layer {layer.digest}"
    with image.open(layer) as packed:
        stream = cast("IO[bytes]", _Stream(unpack(packed, where)[1]))
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=_BLOCKS) as archive:
                for entry in archive:
                    cast(Any, archive).members = []  # it would remember every entry
                    yield entry, archive.extractfile(entry) if entry.isreg() else None
        except (tarfile.TarError, ValueError) as error:
            raise InputError(f"the layer is no tar archive that can be read: {error}", where=where) from error


class _Stream:
    """Pieces as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int) -> bytes:
        parts, missing = [self._rest[:size]], size - len(self._rest)
        self._rest = self._rest[size:]
        while missing > 0 and (piece := next(self._pieces, b"")):
            parts.append(piece[:missing])
            self._rest = piece[missing:]
            missing -= len(piece)
        return b"".join(parts)
