"""Debian's Packages files: names, versions and what is provided.

Source: deb822(5); Debian policy, chapter 5 and section 7.5 (Provides); the Debian wiki's RepositoryFormat.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_FIELD = re.compile(rb"^(Package|Version|Provides): *([^\n]*)", re.MULTILINE)


@dataclass(frozen=True)
class PackagesIndex:
    """The packages of one index: each with its versions, and the names that only are provided by others."""

    versions: Mapping[str, frozenset[str]]
    provided: frozenset[str]

    def has(self, name: str) -> bool:
        return name in self.versions or name in self.provided


def read_packages(data: bytes) -> PackagesIndex:
    """Read a Packages file. What is no paragraph with a name is passed over."""
    versions: dict[str, set[str]] = {}
    provided: set[str] = set()
    name = ""
    for match in _FIELD.finditer(data):
        field, value = match[1], match[2].decode("utf-8", "replace").strip()
        if field == b"Package":
            name = value
            versions.setdefault(name, set())
        elif field == b"Version" and name:
            versions[name].add(value)
        elif field == b"Provides":
            provided.update(_provided(value))
    return PackagesIndex({name: frozenset(found) for name, found in versions.items()}, frozenset(provided))


def _provided(text: str) -> Iterator[str]:
    for part in text.split(","):
        words = part.split()
        if words:
            yield words[0].partition(":")[0]
