"""What is known of the files that upstream projects publish: catalogue/upstream, one file a project.

docs/catalogue.md describes the format. What it says of a URL comes before the general vocabulary (rules/names); that
a file exists is still looked up before a fix relies on it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from crossdock.rules.names import Token, arm64_names
from crossdock.rules.url_pattern import Change, Match, UrlPattern, changes, keys_of

FOLDER = Path(__file__).parents[1] / "catalogue/upstream"
_URL = re.compile(r'^url = "([^"]+)"', re.MULTILINE)
_UNKNOWN = re.compile(r"[^\w.+~%:-]")
"""Characters that stand in a version only where a part of it is not known."""


@dataclass(frozen=True)
class Files:
    """One ``[[files]]``: the files of a project that fit one URL."""

    project: str
    pattern: UrlPattern
    arm64: UrlPattern
    words: tuple[tuple[str, str], ...]
    """Each name of amd64 with its counterpart; empty where there never was a file for arm64."""
    since: str
    until: str
    arm64_since: str
    arm64_after: str
    instead: str
    instead_url: str
    checksum: str
    examples: tuple[str, ...]

    @property
    def never(self) -> bool:
        return not self.words

    @property
    def neutral(self) -> bool:
        """Whether it is one file for every architecture, in spite of its name."""
        return bool(self.words) and all(amd64 == arm64.lower() for amd64, arm64 in self.words)

    def covers(self, version: str) -> bool:
        """Whether these are the files of this version; an unknown one is taken for the newest."""
        if not version:
            return not self.until
        numbers = _numbers(version)
        return (not self.since or numbers >= _numbers(self.since)) and (
            not self.until or numbers <= _numbers(self.until)
        )

    def is_before_arm64(self, version: str) -> bool:
        if not version:
            return False
        numbers = _numbers(version)
        return bool(
            (self.arm64_since and numbers < _numbers(self.arm64_since))
            or (self.arm64_after and numbers <= _numbers(self.arm64_after))
        )


@dataclass(frozen=True)
class UpstreamFile:
    """A URL of an amd64 file that the catalogue knows."""

    url: str
    files: Files
    version: str
    """The version that the URL names; empty where it is not known."""
    changes: tuple[Change, ...]
    """What is different in the URL of the file for arm64; where there is none, ``text`` of each is empty."""

    @property
    def missing(self) -> str:
        """Why there is no file for arm64 and what to do, a clause; empty where there is one."""
        files = self.files
        if not (files.never or files.is_before_arm64(self.version)):
            return ""
        when = ""
        if files.never and files.until:
            when = f" up to version {files.until}"
        elif files.arm64_since:
            when = f" before version {files.arm64_since}"
        elif files.arm64_after:
            when = f" up to version {files.arm64_after}"
        page = f" ({files.instead_url})" if files.instead_url else ""
        instead = f"; instead: {files.instead}{page}" if files.instead else ""
        return f"{files.project} has no such file for arm64{when}{instead}"

    @property
    def tokens(self) -> tuple[Token, ...]:
        """What ties the URL to amd64, also where the words do not say it."""
        return tuple(Token(self.url[c.start : c.end], c.start, c.end) for c in self.changes)

    def arm64_name(self, token: str) -> str | None:
        """What stands in the place of a token; None where it is none of the URL's, or there is no arm64."""
        if self.missing:
            return None
        return next((c.text for c in self.changes if self.url[c.start : c.end] == token), None)

    @property
    def arm64_url(self) -> str | None:
        """The URL of the file for arm64; None where there is none."""
        if self.missing:
            return None
        url = self.url
        for change in sorted(self.changes, key=lambda change: -change.start):
            url = url[: change.start] + change.text + url[change.end :]
        return url


@lru_cache(maxsize=4096)
def upstream_file(url: str) -> UpstreamFile | None:
    """What the catalogue knows of the amd64 file at a URL; None where it is not listed."""
    for files in _candidates(url):
        match = files.pattern.match(url)
        version = _known_version(match) if match else ""
        if match and files.covers(version):
            changed = () if files.neutral else tuple(_changes(files, match))
            return UpstreamFile(url, files, version, changed)
    return None


def published_checksums(arm64_url: str) -> str | None:
    """Where the project publishes the checksum of its file for arm64 at a URL; None where that is not known."""
    for files in _candidates(arm64_url):
        match = files.arm64.match(arm64_url) if files.checksum else None
        if match and files.covers(_known_version(match)):
            folder, _, name = arm64_url[: match.end].rpartition("/")
            # The last version is the one in the file's own name, if that has one.
            version = next(reversed(match.versions), "")
            return f"{folder}/{files.checksum.format(file=name, version=version)}"
    return None


def _candidates(url: str) -> Iterator[Files]:
    """The files of every project that may be meant by a URL."""
    if "/" in url:
        for path in dict.fromkeys(path for key in keys_of(url) for path in _index().get(key, ())):
            yield from read_project(path)


def _known_version(match: Match) -> str:
    """The version that a URL names; empty where it is a variable's, or latest."""
    version = next((text for text in match.versions if re.search(r"\d", text)), "")
    return "" if _UNKNOWN.search(version) else version


def amd64_file_tokens(url: str, found: tuple[Token, ...]) -> tuple[Token, ...]:
    """What ties a URL to amd64: what the catalogue knows, and the words that were found in it otherwise."""
    known = upstream_file(url)
    if known is None:
        return found
    if known.files.neutral:
        return ()
    others = (t for t in found if not any(t.start < own.end and own.start < t.end for own in known.tokens))
    return tuple(sorted((*known.tokens, *others), key=lambda token: token.start))


def arm64_file_names(url: str, token: str) -> tuple[str, ...]:
    """What a token of a URL may be for arm64, best first: what the project is known to call it, then what is usual.
    Nothing where the project has no such file for arm64."""
    known = upstream_file(url)
    if known and known.missing:
        return ()
    told = known.arm64_name(token) if known else None
    usual = arm64_names(token)
    return usual if told is None else tuple(dict.fromkeys((told, *usual)))


def missing_for_arm64(url: str) -> str:
    """Why there is no such file for arm64 and what to do, a clause; empty where nothing like that is known."""
    known = upstream_file(url)
    return known.missing if known else ""


def _changes(files: Files, match: Match) -> Iterator[Change]:
    words = dict(files.words) or dict.fromkeys(files.pattern.words, "")
    return changes(match, files.pattern, files.arm64, words)


@cache
def read_project(path: Path) -> tuple[Files, ...]:
    """The files of one project, in the order in which they are written: the first that fits is meant."""
    data = tomllib.loads(path.read_text("utf-8"))
    return tuple(_files(data, entry) for entry in data["files"])


def _files(data: dict[str, Any], entry: dict[str, Any]) -> Files:
    words = {amd64.lower(): arm64 for amd64, arm64 in entry["arch"].items()}
    counterparts = tuple((amd64, arm64) for amd64, arm64 in words.items() if arm64 is not False)
    return Files(
        project=data["name"],
        pattern=UrlPattern(entry["url"], tuple(words)),
        arm64=UrlPattern(entry.get("arm64_url", entry["url"]), tuple(arm64.lower() for _, arm64 in counterparts)),
        words=counterparts,
        since=entry.get("since", ""),
        until=entry.get("until", ""),
        arm64_since=entry.get("arm64_since", ""),
        arm64_after=entry.get("arm64_after", ""),
        instead=entry.get("instead", ""),
        instead_url=entry.get("instead_url", ""),
        checksum=entry.get("checksum", ""),
        examples=tuple(entry["example"]),
    )


@cache
def _index() -> dict[str, tuple[Path, ...]]:
    """The projects by the keys of their URLs. The lines that hold a URL are read here, and a project's file only as a
    whole when one of its keys is met: few of the catalogue's projects are in any one Dockerfile."""
    found: dict[str, list[Path]] = {}
    for path in sorted(FOLDER.glob("*.toml"), key=attrgetter("name")):
        for url in _URL.findall(path.read_text("utf-8")):
            for key in UrlPattern(url, ()).index_keys():
                if path not in found.setdefault(key, []):
                    found[key].append(path)
    return {key: tuple(paths) for key, paths in found.items()}


def _numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, for comparing; zeros at its end do not count."""
    numbers = [int(digits) for digits in re.findall(r"\d+", version.replace("%2B", "+"))]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
