"""Mirrors of Docker's package repository: by name, by address, or the one that answers first."""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from crossdock.doctor.distribution import Distribution
from crossdock.doctor.docker_table import offer
from crossdock.errors import RegistryError, UsageError
from crossdock.http.urls import without_user
from crossdock.platforms import Platform

if TYPE_CHECKING:
    from crossdock.http.client import Http

_TABLE = Path(__file__).parents[1] / "catalogue/mirrors.toml"
_SECONDS = 8.0
"""A mirror that has not answered by then is no good one."""
_LIMIT = 4 << 20


@dataclass(frozen=True)
class Mirror:
    """A copy of download.docker.com. ``name`` is what --mirror takes (empty for an address), ``address`` what
    ``/linux/…`` follows, without a slash at its end; ``why`` it was taken, a sentence for people, empty where it was
    asked for."""

    name: str
    address: str
    why: str = ""
    ports: str = ""
    """Its copy of Ubuntu's ports; empty where it has none."""

    def __str__(self) -> str:
        if self.name == "official":
            return "Docker's repository"
        return f"the mirror {self.name} of Docker's repository" if self.name else f"the mirror {self.address}"


@cache
def mirrors() -> tuple[Mirror, ...]:
    """Those of the catalogue, Docker's own first."""
    return tuple(
        Mirror(entry["name"], entry["address"], ports=entry["ports"])
        for entry in tomllib.loads(_TABLE.read_text("utf-8"))["mirror"]
    )


def official() -> Mirror:
    """Docker's own."""
    return mirrors()[0]


def named(text: str) -> Mirror:
    """The mirror of this name, or at this http(s) address. Raises UsageError for anything else, and for an address
    with a user or password, which would end up in files that everybody may read."""
    names = {mirror.name: mirror for mirror in mirrors()}
    if text in names:
        return names[text]
    hint = f"Take {', '.join(names)} or an address such as https://mirror.example.org/docker-ce."
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or any(c.isspace() or c in "\"'\\" for c in text):
        raise UsageError(f"no mirror is called {text!r}", where="--mirror", hint=hint)
    if parts.username is not None or parts.password is not None:
        hint = "Give the address alone; apt reads passwords from /etc/apt/auth.conf.d."
        raise UsageError("a mirror's address has no user or password", where=without_user(text), hint=hint)
    if parts.query or parts.fragment:
        raise UsageError("a mirror's address has no ? or #", where=f"{parts.scheme}://{parts.netloc}", hint=hint)
    return Mirror("", text.rstrip("/").removesuffix("/linux"))


def nearest(http: Http, distribution: Distribution, platform: Platform) -> Mirror:
    """Of all that have the packages for this machine, the one that answers first; Docker's own, with the reason, where
    none answers or there is nothing to ask for. ``platform`` is that of the machine's packages."""
    found = offer(distribution.base, platform) or offer(distribution.compatible, platform)
    if found is None or http.offline:
        return official()
    return http.run(_first(http, mirrors(), found.metadata(platform)))


async def _first(http: Http, candidates: Sequence[Mirror], path: str) -> Mirror:
    """Ask all at once for the file that the package manager would ask for first. Of those that answer at about the
    same time, the order of the catalogue decides."""
    started = time.monotonic()
    asked = [asyncio.create_task(_has(http, f"{mirror.address}/{path}")) for mirror in candidates]
    try:
        waiting = set(asked)
        while waiting and (left := started + _SECONDS - time.monotonic()) > 0:
            done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if any(task.result() for task in done):
                break
        for mirror, task in zip(candidates, asked, strict=True):
            if task.done() and task.result():
                took = time.monotonic() - started
                return replace(mirror, why=f"{mirror.address} was the first to answer, after {took:.1f} s.")
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    names = ", ".join(mirror.name for mirror in candidates)
    why = f"None of the mirrors ({names}) answered with {path}; Docker's own is named, and --mirror names another."
    return replace(candidates[0], why=why)


async def _has(http: Http, url: str) -> bool:
    try:
        answer = await http.fetch("GET", url, limit=_LIMIT, attempts=1)
    except RegistryError:
        return False
    return answer.status == 200 and answer.body[:1] in (b"-", b"<") and b"<html" not in answer.body[:1024].lower()
