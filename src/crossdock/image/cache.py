"""A cache of indexes, manifests and configs on disk, by digest: what has a digest never changes.

It is a convenience: what cannot be read or written is as good as not there, and what is damaged is not used.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from crossdock.image.reference import Reference
from crossdock.image.stream import digest_of

_LARGEST = 1 << 20
"""Bytes. Larger documents are rare, and not worth the space."""


@dataclass(frozen=True)
class Cached:
    media_type: str
    data: bytes


class DocumentCache:
    """Documents by digest, and which digest a tag had when it was last asked. Threads and processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def document(self, digest: str) -> Cached | None:
        raw = self._read(self._document_path(digest))
        media_type, separator, data = raw.partition(b"\n")
        if not separator or digest_of(data, digest.partition(":")[0]) != digest:
            return None
        return Cached(media_type.decode("latin-1"), data)

    def keep(self, digest: str, media_type: str, data: bytes) -> None:
        if len(data) <= _LARGEST:
            self._write(self._document_path(digest), media_type.encode("latin-1", "replace") + b"\n" + data)

    def tagged(self, reference: Reference) -> str | None:
        """The digest that a tag had."""
        return self._read(self._tag_path(reference)).decode("latin-1") or None

    def keep_tag(self, reference: Reference, digest: str) -> None:
        self._write(self._tag_path(reference), digest.encode())

    # Plain strings and calls, because hundreds of small files are read and written in one go.

    def _document_path(self, digest: str) -> str:
        return f"{self._folder}/{digest.replace(':', '-')}"

    def _tag_path(self, reference: Reference) -> str:
        name = f"{reference.host}/{reference.repository}:{reference.tag}"
        return f"{self._folder}/tag-{hashlib.sha256(name.encode()).hexdigest()}"

    def _read(self, path: str) -> bytes:
        try:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123
                return file.read()
        except OSError:
            return b""

    def _write(self, path: str, data: bytes) -> None:
        """In place, which is twice as quick as beside it and renamed: what is only written in part has not the digest
        that it is read by, and is as good as not there."""
        with contextlib.suppress(OSError), self._create(path) as file:
            file.write(data)

    def _create(self, path: str) -> BinaryIO:
        try:
            return open(path, "wb", buffering=0)  # noqa: PTH123
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            return open(path, "wb")  # noqa: PTH123


def default_cache(environ: Mapping[str, str]) -> DocumentCache | None:
    """The user's; None without a home."""
    folder = cache_folder(environ, "images")
    return DocumentCache(folder) if folder else None


def cache_folder(environ: Mapping[str, str], name: str) -> Path | None:
    """The user's folder for one kind of cached things, below XDG_CACHE_HOME, else ~/.cache (XDG base directory
    specification); None without a home."""
    base = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    return Path(base) / "crossdock" / name if base else None
