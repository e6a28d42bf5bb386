"""Documents of package indexes: asked for once, kept on disk, and loaded again only when their ETag changed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossdock.errors import RegistryError
from crossdock.http.client import Http
from crossdock.http.model import WHOLE_HOST, Document, Unreachable
from crossdock.http.urls import host_of, public_url
from crossdock.image.cache import cache_folder

FRESH = 3600.0
"""Seconds for which a document is taken from the disk without asking: a survey of many projects is one sitting."""
LARGEST = 256 << 20
"""Bytes; Debian's main index has 10 million when packed."""
_GONE = (404, 410)
Reduce = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Kept:
    """A document as it is on disk: what ``reduce`` left of it, None where the server had none."""

    etag: str
    modified: str
    checked: float
    body: bytes | None


class IndexCache:
    """Documents by address. Threads and processes may share it: a file is replaced whole. A convenience, as
    ``image.cache`` is: what cannot be read or written is as good as not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, address: str) -> Kept | None:
        try:
            head, _, body = self._path(address).read_bytes().partition(b"\n")
            fields = json.loads(head)
            there = None if fields["gone"] else body
            if fields["address"] != hashlib.sha256(address.encode()).hexdigest() or fields["size"] != len(body):
                return None
            return Kept(fields["etag"], fields["modified"], float(fields["checked"]), there)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, address: str, kept: Kept) -> None:
        body = kept.body or b""
        fields = {
            "address": hashlib.sha256(address.encode()).hexdigest(),
            "etag": kept.etag,
            "modified": kept.modified,
            "checked": kept.checked,
            "gone": kept.body is None,
            "size": len(body),
        }
        path = self._path(address)
        beside = path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(json.dumps(fields).encode() + b"\n" + body)
            beside.replace(path)

    def _path(self, address: str) -> Path:
        """Only a digest of the address, which may hold a password, is written."""
        return self._folder / hashlib.sha256(address.encode()).hexdigest()


def default_index_cache(environ: Mapping[str, str]) -> IndexCache | None:
    """The user's; None without a home."""
    folder = cache_folder(environ, "packages")
    return IndexCache(folder) if folder else None


class Documents:
    """Reads documents on the event loop of an ``Http``; everything that waits for the disk or computes for long is
    done in threads."""

    def __init__(self, http: Http, cache: IndexCache | None, *, fresh: float = FRESH) -> None:
        self.http = http
        self._cache = cache
        self._fresh = fresh
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._down: dict[str, Unreachable] = {}

    async def get(
        self, url: str, reduce: Reduce, *, accept: str = "", name: str = "", limit: int = LARGEST, instead_of: str = ""
    ) -> bytes | None:
        """What ``reduce`` makes of the document at ``url``; None where there is none (404, 410). ``name`` is that of
        the reduction, with its version: what another one left on disk is not taken. ``instead_of`` is an address that
        stays the same where each version of the document has a URL of its own: the new one takes the place of the old
        one on disk. Raises RegistryError."""
        address = f"{name} {accept} {instead_of or url}"
        found: bytes | None = await self.once(address, lambda: self._get(url, address, reduce, accept, limit))
        return found

    async def exists(self, url: str) -> bool:
        """Whether there is a file. Raises RegistryError where that cannot be told."""
        found: bool = await self.once(f"HEAD {url}", lambda: self._exists(url))
        return found

    async def once(self, address: str, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What ``work`` returns, begun once however many ask."""
        if address not in self._tasks:
            self._tasks[address] = asyncio.ensure_future(work())
        return await self._tasks[address]

    async def _exists(self, url: str) -> bool:
        answer = await self._fetch("HEAD", url, {}, 1 << 20)
        if answer.status in _GONE:
            return False
        if answer.status != 200:
            raise _refused(url, answer.status)
        return True

    async def _fetch(self, method: str, url: str, headers: Mapping[str, str], limit: int) -> Document:
        """A host that cannot be reached is not tried again for every package."""
        host = host_of(url)
        if host in self._down:
            raise self._down[host]
        try:
            return await self.http.fetch(method, url, headers=headers, limit=limit)
        except Unreachable as error:
            if error.reason in WHOLE_HOST:
                self._down[host] = error
            raise

    async def _get(self, url: str, address: str, reduce: Reduce, accept: str, limit: int) -> bytes | None:
        kept = await asyncio.to_thread(self._cache.read, address) if self._cache else None
        if kept and 0 <= time.time() - kept.checked < self._fresh:
            return kept.body
        headers = {"Accept": accept} if accept else {}
        if kept and kept.etag:
            headers["If-None-Match"] = kept.etag
        elif kept and kept.modified:
            headers["If-Modified-Since"] = kept.modified
        answer = await self._fetch("GET", url, headers, limit)
        if answer.status == 304 and kept:
            now = Kept(kept.etag, kept.modified, time.time(), kept.body)
        elif answer.status in _GONE:
            now = Kept("", "", time.time(), None)
        elif answer.status == 200:
            try:
                body = await asyncio.to_thread(reduce, answer.body)
            except ValueError as error:
                raise RegistryError(
                    f"the index cannot be read: {error}",
                    where=public_url(url),
                    hint="See with a browser what this address serves; a proxy may answer in its place.",
                ) from error
            now = Kept(answer.headers.get("etag", ""), answer.headers.get("last-modified", ""), time.time(), body)
        else:
            raise _refused(url, answer.status)
        if self._cache:
            await asyncio.to_thread(self._cache.keep, address, now)
        return now.body


def _refused(url: str, status: int) -> RegistryError:
    return RegistryError(
        f"the index answered HTTP {status}",
        where=public_url(url),
        hint="Check the address of the index in this machine's configuration, and whether it wants a login.",
    )
