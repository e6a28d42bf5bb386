"""What is known of packages without asking anyone: catalogue/packages.toml and catalogue/debian.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from crossdock.packages.model import Answer, Ecosystem, PackageRequest, Status
from crossdock.packages.versions import key

_FOLDER = Path(__file__).parents[1] / "catalogue"
"""Not by importlib.resources, which takes 5 ms to import."""


@dataclass(frozen=True)
class Entry:
    """One entry of catalogue/packages.toml, which says what the fields mean; empty where it says nothing."""

    ecosystem: Ecosystem
    names: tuple[str, ...]
    since: str
    before: str
    distributions: tuple[str, ...]
    compiles: bool
    unless: frozenset[str]
    certain: bool
    dispensable: bool
    instead: str
    source: str

    def covers(self, request: PackageRequest) -> bool:
        """Whether the entry is about what is asked for, in that version and in that image."""
        if self.distributions and request.system.distribution not in self.distributions:
            return False
        if self.unless & request.environment:
            return False
        limit = self.since or self.before
        return not limit or (bool(request.exact) and key(request.exact) < key(limit))


@cache
def entries() -> tuple[Entry, ...]:
    """The entries of catalogue/packages.toml, read when first asked for."""
    return tuple(
        Entry(
            Ecosystem(entry["ecosystem"]),
            tuple(entry["names"]),
            entry.get("since", ""),
            entry.get("before", ""),
            tuple(entry.get("distributions", ())),
            entry.get("compiles", False),
            frozenset(entry.get("unless", ())),
            entry.get("certain", True),
            entry.get("dispensable", False),
            entry.get("instead", ""),
            entry["source"],
        )
        for entry in tomllib.loads((_FOLDER / "packages.toml").read_text("utf-8"))["package"]
    )


_Pattern = tuple[str, str, Entry]
"""What stands before the first ``*`` of a name, which is quick to compare, the whole name, and the entry."""


@cache
def _by_name() -> tuple[Mapping[tuple[Ecosystem, str], tuple[Entry, ...]], Mapping[Ecosystem, tuple[_Pattern, ...]]]:
    """The entries by name, and those whose names have a ``*`` by ecosystem."""
    exact: dict[tuple[Ecosystem, str], tuple[Entry, ...]] = {}
    patterns: dict[Ecosystem, tuple[_Pattern, ...]] = {}
    for entry in entries():
        for name in entry.names:
            if "*" in name:
                found = (name.partition("*")[0], name, entry)
                patterns[entry.ecosystem] = (*patterns.get(entry.ecosystem, ()), found)
            else:
                exact[entry.ecosystem, name] = (*exact.get((entry.ecosystem, name), ()), entry)
    return exact, patterns


def plain_name(request: PackageRequest) -> str:
    """The name as its ecosystem compares it (PEP 503 for pip)."""
    if request.ecosystem is Ecosystem.PIP:
        return request.name.lower().replace("_", "-").replace(".", "-")
    return request.name


def _entries_for(request: PackageRequest) -> Iterator[Entry]:
    exact, patterns = _by_name()
    name = plain_name(request)
    yield from exact.get((request.ecosystem, name), ())
    for prefix, pattern, entry in patterns.get(request.ecosystem, ()):
        if name.startswith(prefix) and fnmatchcase(name, pattern):
            yield entry


@dataclass(frozen=True)
class DebianNames:
    """Of each release the packages that it has for amd64 alone; ``seen`` is the day on which that was so."""

    releases: Mapping[str, frozenset[str]]
    main: frozenset[str]
    seen: str


@cache
def debian_names() -> DebianNames:
    """catalogue/debian.toml, read when first asked for."""
    document = tomllib.loads((_FOLDER / "debian.toml").read_text("utf-8"))
    releases: dict[str, set[str]] = {}
    main: set[str] = set()
    for group in document["names"]:
        packages = group["packages"].split()
        main.update(packages if group["main"] else ())
        for release in group["releases"]:
            releases.setdefault(release, set()).update(packages)
    return DebianNames(
        {release: frozenset(names) for release, names in releases.items()}, frozenset(main), str(document["seen"])
    )


def known(request: PackageRequest) -> Answer | None:
    """What the catalogue says; None where it says nothing. A lock file's own word comes first."""
    if request.stated:
        return request.stated
    entry = next((entry for entry in _entries_for(request) if entry.covers(request)), None)
    if request.ecosystem is Ecosystem.APT and any(request.name in names for names in debian_names().releases.values()):
        return _debian(request, entry)
    if entry is None:
        return None
    if entry.since:
        detail = f"the first version {'compiled for it' if entry.compiles else 'with arm64'} is {entry.since}"
    else:
        detail = ""
    return Answer(
        Status.SOURCE if entry.compiles else Status.MISSING,
        detail,
        nearest=entry.since,
        instead=entry.instead,
        source=entry.source,
        certain=entry.certain,
        dispensable=entry.dispensable,
    )


def _debian(request: PackageRequest, entry: Entry | None) -> Answer | None:
    """What Debian's own indexes say, for a package that one of its releases has for amd64 alone."""
    names = debian_names()
    having = [release for release, packages in names.releases.items() if request.name in packages]
    system = request.system
    instead, source = (entry.instead, entry.source) if entry else ("", "catalogue/debian.toml")
    dispensable = entry is not None and entry.dispensable
    own = not (request.opaque or request.repositories)
    if system.distribution == "debian" and system.codename in names.releases:
        if system.codename not in having:
            return Answer(Status.AVAILABLE, source=source)
        detail = f"Debian {system.codename} has it for amd64 only"
        return Answer(Status.MISSING, detail, instead=instead, source=source, certain=own, dispensable=dispensable)
    everywhere = len(having) == len(names.releases)
    if entry is None and not (everywhere and request.name in names.main):
        return None
    if system.distribution == "debian" and not everywhere:
        return None
    known_there = system.distribution == "debian" or entry is not None
    detail, certain = "Debian has it for amd64 only", own and known_there
    return Answer(Status.MISSING, detail, instead=instead, source=source, certain=certain, dispensable=dispensable)
