"""URLs with placeholders, as catalogue/upstream writes them: matching one, and what its counterpart changes.

The notation, of which docs/catalogue.md is the user's description::

    {version}   a version; what it matched is told
    {arch}      the name of amd64, one of the words given; it may be the empty word
    {a,b}       one of these texts; ``{,-static}`` may be nothing
    *           anything but a slash

``http`` and ``https`` are the same, letter case does not count, anything may stand before the host (mirrors are often
put in front of the whole address), and a checksum's or signature's ending may follow. Where a GitHub address names a
release, ``releases/latest/download`` is meant as well. A pattern that begins with ``**/`` means that file on any host.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise, product

ANYWHERE = "**/"
VERSION, ARCH, ANY = "{version}", "{arch}", "*"
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|\*")
_SCHEME = re.compile(r"https?://")
_ENDING = r"(?:\.(?:sha\d*(?:sums?)?|md5(?:sum)?|asc|sig|minisig|pem|sbom))?(?:[?#].*)?$"
"""What may follow the file's own name: the checksum or signature beside it, a query."""
_OTHERS = re.compile(
    r"(?<![a-z])(?:arm|aarch|i[3-6]86|x86(?![-_]64)|ppc|s390|riscv|mips|loong|darwin|macos|osx|apple|windows|win(?:32|64))"
    r"|freebsd",
    re.IGNORECASE,
)
"""Another architecture or system: no version, and nothing that a ``*`` stands for."""
_RELEASES = "/releases/"
_HEAD = re.compile(r"(?:\*\*/|https?://)(?:(?:\{[^{}]*\}|[^{}/])+/){0,2}(?:\{[^{}]*\}|[^{}/])*")
"""A pattern's host and the first two parts of its path, where an alternative counts as one part."""
_HOSTS_OF_MANY = frozenset({"github.com"})
"""Hosts where owner and repository say more than the host."""


@dataclass(frozen=True)
class Change:
    """The characters ``start:end`` of a URL, and what stands there in the URL of the file for arm64."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Match:
    """A URL that fits a pattern: the place of each of the pattern's pieces in it."""

    url: str
    spans: tuple[tuple[int, int], ...]
    versions: tuple[str, ...]
    """What stood for each ``{version}``, also where it has no digits (latest, a variable)."""

    @property
    def end(self) -> int:
        """Where the file's own name ends; a checksum's ending or a query may follow."""
        return self.spans[-1][1]


@dataclass(frozen=True)
class UrlPattern:
    """A pattern and the words that ``{arch}`` may be, in lower case."""

    text: str
    words: tuple[str, ...]

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """Placeholders and the fixed texts between them, without the scheme.

        The tag of a GitHub release begins and ends with a piece, so that it can be left out.
        """
        address = _SCHEME.sub("", self.text.removeprefix(ANYWHERE))
        tag = _tag(address)
        borders = {0, len(address), *tag}
        for part in _PLACEHOLDER.finditer(address):
            borders |= {part.start(), part.end()}
        ordered = sorted(borders)
        return tuple(address[low:high] for low, high in pairwise(ordered))

    @cached_property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(piece for piece in self.pieces if _PLACEHOLDER.fullmatch(piece))

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        address = "".join(self.pieces)
        low, high = _tag(address) or (-1, -1)
        parts, at = [], 0
        for piece in self.pieces:
            parts += ["(?:latest/download|"] if at == low else [")"] if at == high else []
            parts.append(f"({self._of(piece)})")
            at += len(piece)
        return re.compile(f"(?:^|(?<=[/@])){''.join(parts)}{_ENDING}", re.IGNORECASE)

    def _of(self, piece: str) -> str:
        if piece in {ANY, VERSION}:
            return "[^/?#&]*?"
        if piece == ARCH:
            options = sorted(self.words, key=len, reverse=True)
        else:
            options = piece[1:-1].split(",") if _PLACEHOLDER.fullmatch(piece) else [piece]
        return "|".join(re.escape(option) for option in options)

    @cached_property
    def _fixed(self) -> tuple[str, ...]:
        """The texts that every URL which fits has in it, in lower case."""
        low, high = _tag("".join(self.pieces)) or (-1, -1)
        starts = accumulate((len(piece) for piece in self.pieces), initial=0)
        return tuple(
            piece.lower()
            for start, piece in zip(starts, self.pieces, strict=False)
            if not (low <= start < high or _PLACEHOLDER.fullmatch(piece))
        )

    def match(self, url: str) -> Match | None:
        lower = url.lower()
        # Compiling an expression costs more than many of these, and most patterns of a host do not fit.
        if not all(text in lower for text in self._fixed):
            return None
        found = self._expression.search(url)
        if found is None:
            return None
        spans: list[tuple[int, int]] = []
        for number in range(1, len(self.pieces) + 1):
            end = spans[-1][1] if spans else found.start()
            spans.append(found.span(number) if found[number] is not None else (end, end))
        wild = (found[n] or "" for n, piece in enumerate(self.pieces, start=1) if piece in {ANY, VERSION})
        if any(_OTHERS.search(text) for text in wild):
            return None
        versions = tuple(found[n] or "" for n, piece in enumerate(self.pieces, start=1) if piece == VERSION)
        return Match(url, tuple(spans), versions)

    def index_keys(self) -> Iterator[str]:
        """What a URL has to hold to fit this pattern, as ``keys_of`` says it: a host, or a whole part of its path."""
        for address in _spelled_out(self.text):
            if address.startswith(ANYWHERE):
                yield _first_word(address)
                continue
            parts = _SCHEME.sub("", address).lower().split("/")
            many = parts[0] in _HOSTS_OF_MANY
            yield "/".join(parts[:3]) if many else next(part for part in parts if not _PLACEHOLDER.search(part))


def keys_of(url: str) -> Iterator[str]:
    """The keys under which a pattern that fits this URL is found."""
    parts = url.lower().partition("?")[0].split("/")
    for number, part in enumerate(parts):
        yield "/".join(parts[number : number + 3]) if part in _HOSTS_OF_MANY else part
    yield _first_word(parts[-1])


def changes(match: Match, pattern: UrlPattern, arm64: UrlPattern, words: Mapping[str, str]) -> Iterator[Change]:
    """What differs between a URL and its counterpart, whose pattern has the same placeholders in the same order.

    ``words`` has the new text for each ``{arch}``. An empty name of amd64 has no characters to point at; there the
    fixed text around it is what changes, up to a slash or a placeholder. Other texts change by whole parts of the path.
    """
    for number, (old, new) in enumerate(zip(pattern.pieces, arm64.pieces, strict=True)):
        start, end = match.spans[number]
        text = match.url[start:end]
        if old == ARCH and text:
            yield Change(start, end, words[text.lower()])
        elif old == ARCH:
            low, high = _around(match, pattern, number)
            yield Change(low, high, match.url[low:start] + words[""] + match.url[end:high])
        elif old.lower() != new.lower() and text:
            yield _differing(text, new, start)


def _around(match: Match, pattern: UrlPattern, number: int) -> tuple[int, int]:
    """The fixed text on both sides of a piece, within its part of the path."""
    low = high = number
    while low > 0 and _is_fixed(pattern.pieces[low - 1]):
        low -= 1
    while high + 1 < len(pattern.pieces) and _is_fixed(pattern.pieces[high + 1]):
        high += 1
    start, end = match.spans[number]
    left = match.url[match.spans[low][0] : start].rpartition("/")[2]
    right = match.url[end : match.spans[high][1]].partition("/")[0]
    if not left and not right and number:
        # Nothing fixed is beside it: then what a placeholder stands for.
        left = match.url[match.spans[number - 1][0] : start]
    return start - len(left), end + len(right)


def _is_fixed(piece: str) -> bool:
    return piece not in {ANY, VERSION, ARCH}


def _differing(old: str, new: str, at: int) -> Change:
    """The parts of a path, from slash to slash, in which two texts differ."""
    low = _common(old, new)
    low = old.rfind("/", 0, low) + 1
    high = _common(old[low:][::-1], new[low:][::-1])
    slash = old.find("/", len(old) - high)
    high = len(old) - slash if slash >= 0 else 0
    return Change(at + low, at + len(old) - high, new[low : len(new) - high])


def _common(first: str, second: str) -> int:
    """How many characters two texts have in common at their beginning."""
    pairs = zip(first.lower(), second.lower(), strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


def _tag(address: str) -> tuple[int, int] | tuple[()]:
    """Where ``download/TAG`` is in the address of a GitHub release's file; a tag may have slashes in it."""
    low = address.find(f"{_RELEASES}download/")
    if not address.startswith("github.com/") or low < 0:
        return ()
    return low + len(_RELEASES), address.rfind("/")


def _first_word(path: str) -> str:
    """The word with which a file's name begins, marked so that it is no host and no folder."""
    name = re.match(r"[a-z]*", path.rsplit("/", 1)[-1].lower())
    return f"/{name[0] if name else ''}"


def _spelled_out(text: str) -> Iterator[str]:
    """The beginning of the pattern, as far as keys are made of it, once for each combination of its alternatives."""
    head = _HEAD.match(text)
    parts = re.split(r"(\{[^{}]*,[^{}]*\})", head[0] if head else text)
    options = [part[1:-1].split(",") if number % 2 else [part] for number, part in enumerate(parts)]
    for combination in product(*options):
        yield "".join(combination)
