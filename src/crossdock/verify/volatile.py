"""Files that no two builds make alike: catalogue/volatile.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CATALOGUE = Path(__file__).parents[1] / "catalogue/volatile.toml"


@dataclass(frozen=True)
class Volatile:
    """One entry; what its fields hold is said in the catalogue."""

    name: str
    paths: tuple[str, ...]
    how: str
    why: str
    source: str


@cache
def volatile_files() -> tuple[Volatile, ...]:
    with _CATALOGUE.open("rb") as file:
        entries = tomllib.load(file)["file"]
    return tuple(Volatile(**{**entry, "paths": tuple(entry["paths"])}) for entry in entries)


def volatile(path: str) -> Volatile | None:
    """The entry for a file of an image, by its path without the first slash."""
    return next((entry for entry, pattern in _patterns() if pattern.fullmatch(path)), None)


@cache
def _patterns() -> tuple[tuple[Volatile, re.Pattern[str]], ...]:
    return tuple((entry, re.compile(_pattern(entry.paths))) for entry in volatile_files())


def _pattern(paths: Iterable[str]) -> str:
    return "|".join(
        re.escape(path).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*") for path in paths
    )
