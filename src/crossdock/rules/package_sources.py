"""Package sources in text: where the index of a source for arm64 would be, which tells whether it has any.

Sources: the Debian wiki's DebianRepository/Format (``dists/SUITE/COMPONENT/binary-ARCHITECTURE/Packages.gz``),
sources.list(5), and dnf.conf(5) (``baseurl``, below which is ``repodata/repomd.xml``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from crossdock.read.pieces import HOLE
from crossdock.source import Span

_LINE = re.compile(
    r"^[ \t]*deb[ \t]+(?:\[[^\]\n]*\][ \t]+)?(?P<url>\S+)[ \t]+(?P<suite>\S+)(?P<components>(?:[ \t]+[\w./-]+)*)",
    re.MULTILINE,
)
_STANZA = re.compile(r"^(?:[A-Z][\w-]*:[^\n]*\n?(?:[ \t][^\n]*\n?)*)+", re.MULTILINE)
_BASE = re.compile(r"\bbaseurl[ \t]*=[ \t]*(?P<url>[^\s\"'\\,]+)")
_ADDRESS = re.compile(r"https?://[\w.-]+(?::\d+)?(?:/[^\s\"'\\$`{}<>|]*)?")
_WORD = re.compile(r"[\w./+~-]+")


@dataclass(frozen=True)
class PackageSource:
    """One source in a text. ``indexes`` are the URLs that answer when it is there for arm64; empty where they are not
    known."""

    span: Span
    indexes: tuple[str, ...]


def package_sources(text: str) -> tuple[PackageSource, ...]:
    """The sources of apt and yum in a text, in its order."""
    found = [*_lines(text), *_stanzas(text), *_bases(text)]
    return tuple(sorted(found, key=lambda source: source.span.start))


def _lines(text: str) -> Iterator[PackageSource]:
    for match in _LINE.finditer(text):
        indexes = _apt([match["url"]], [match["suite"]], match["components"].split())
        yield PackageSource(Span(match.start(), match.end()), indexes)


def _stanzas(text: str) -> Iterator[PackageSource]:
    for match in _STANZA.finditer(text):
        pairs = (field.partition(":") for field in re.split(r"\n(?![ \t])", match[0]))
        fields = {name.lower(): value.split() for name, _, value in pairs}
        if "uris" in fields:
            indexes = _apt(fields["uris"], fields.get("suites", []), fields.get("components", []))
            yield PackageSource(Span(match.start(), match.end()), indexes)


def _bases(text: str) -> Iterator[PackageSource]:
    for match in _BASE.finditer(text):
        url = match["url"]
        indexes = (f"{url.rstrip('/')}/repodata/repomd.xml",) if _is_address(url) else ()
        yield PackageSource(Span(match.start(), match.end()), indexes)


def _apt(urls: list[str], suites: list[str], components: list[str]) -> tuple[str, ...]:
    """Nothing for a source without components: its one index does not say for which architecture it is."""
    words = [*suites, *components]
    if not components or not all(_is_address(url) for url in urls) or not all(_WORD.fullmatch(word) for word in words):
        return ()
    return tuple(
        f"{url.rstrip('/')}/dists/{suite}/{component}/binary-arm64/Packages.gz"
        for url in urls
        for suite in suites
        for component in components
    )


def _is_address(url: str) -> bool:
    return _ADDRESS.fullmatch(url) is not None and HOLE not in url
