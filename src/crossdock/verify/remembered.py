"""What was found of an image, by its digest: what has not changed need not be read again.

Only images in registries are remembered, since their content is what their digest says. A result counts for the same
platforms, machine and exceptions, and only while crossdock looks at images by the same code.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec

from crossdock.config import Allowed
from crossdock.image.cache import cache_folder
from crossdock.platforms import Platform
from crossdock.source import write_atomically
from crossdock.verify.machines import Machine
from crossdock.verify.model import VerifyResult

WHEN = "%Y-%m-%d %H:%M UTC"
"""How ``VerifyResult.remembered`` says a time."""
_PACKAGE = Path(__file__).parents[1]


class Remembered:
    """Results in a folder. What cannot be read or written is as good as not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(
        self, digest: str, platforms: tuple[Platform, ...], machine: Machine | None, allow: tuple[Allowed, ...] = ()
    ) -> VerifyResult | None:
        try:
            data = self._path(digest, platforms, machine, allow).read_bytes()
            return msgspec.json.decode(data, type=VerifyResult)
        except (OSError, msgspec.MsgspecError):
            return None

    def keep(
        self,
        result: VerifyResult,
        platforms: tuple[Platform, ...],
        machine: Machine | None,
        allow: tuple[Allowed, ...] = (),
    ) -> None:
        now = datetime.now(UTC).strftime(WHEN)
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._path(result.digest, platforms, machine, allow)
            write_atomically(path, msgspec.json.encode(replace(result, remembered=now)))

    def _path(
        self, digest: str, platforms: tuple[Platform, ...], machine: Machine | None, allow: tuple[Allowed, ...]
    ) -> Path:
        exceptions = [text for one in allow for text in (one.path, one.reason)]
        words = [digest, *map(str, platforms), machine.name if machine else "", *exceptions, _code()]
        return self._folder / hashlib.sha256("\0".join(words).encode()).hexdigest()


def default_memory(environ: Mapping[str, str]) -> Remembered | None:
    """The user's; None without a home."""
    folder = cache_folder(environ, "verified")
    return Remembered(folder) if folder else None


@cache
def _code() -> str:
    """The digest of all that decides what is found."""
    digest = hashlib.sha256()
    for file in sorted(
        [*_PACKAGE.glob("verify/*.py"), *_PACKAGE.glob("image/*.py"), *_PACKAGE.glob("catalogue/*.toml")]
    ):
        digest.update(file.read_bytes())
    return digest.hexdigest()
