"""What a tag says: its version, its variant, its architecture; the order of tags by version; tags by pattern."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property, lru_cache
from typing import NamedTuple


class Architecture(StrEnum):
    """For which processors an architecture's own tag is."""

    ANY = ""
    AMD64 = "amd64"
    ARM64 = "arm64"
    OTHER = "other"


class Kind(IntEnum):
    """How a tag says which version it is; a larger one is above in the order of tags."""

    COMMIT = 0
    """By a commit's digits (``sha-0fc1e2d``), which say nothing about older and newer."""
    MOVING = 1
    """Not at all: ``latest``, ``stable-alpine``, ``slim``."""
    DATE = 2
    """By a date, a time or a build number, which has no major version."""
    VERSION = 3


class Word(NamedTuple):
    """A word of a variant with the numbers that belong to it: ``alpine`` and 3, 18 of ``alpine3.18``."""

    text: str
    numbers: tuple[int, ...] = ()


class VersionKey(NamedTuple):
    """Orders tags by version: of two tags the newer one has the larger key, and no two tags have the same.

    Tags with a version are above dates and build numbers, those above tags that are words or commits. Versions are
    compared number by number, zeros at the end not counting (1.9 < 1.10 = 1.10.0 < 2), and a pre-release is below its
    release. Of one version, the tag with fewer words is above, then the more precise one, then the variant with the
    higher numbers (alpine3.18 above alpine3.9), then the text decides.
    """

    kind: int
    numbers: tuple[int, ...]
    stage: int
    stage_numbers: tuple[int, ...]
    brevity: int
    precision: int
    variant_numbers: tuple[tuple[int, ...], ...]
    text: str


@dataclass(frozen=True)
class Tag:
    """A tag, read. ``plain`` is its text without the architecture's name, empty where it is nothing else.

    ``numbers`` is the version, empty where there is none. ``before`` and ``after`` are the variant's words around it,
    all ``after`` where the version's place is not written (``slim``).
    """

    text: str
    plain: str
    architecture: Architecture
    kind: Kind
    numbers: tuple[int, ...]
    stage: int
    """From 0, a development version, to RELEASE."""
    stage_numbers: tuple[int, ...]
    before: tuple[Word, ...]
    after: tuple[Word, ...]
    has_place: bool
    """Whether the place of the version (or of a word like ``latest`` for it) is written."""
    style: tuple[str, ...]
    """Words that mean nothing: the ``v`` before a version, ``RELEASE``, ``Final``."""

    @property
    def is_release(self) -> bool:
        return self.stage == RELEASE

    @cached_property
    def words(self) -> tuple[Word, ...]:
        return (*self.before, *self.after)

    @cached_property
    def variant(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)

    @cached_property
    def variant_numbers(self) -> tuple[tuple[int, ...], ...]:
        return tuple(word.numbers for word in self.words)

    @cached_property
    def key(self) -> VersionKey:
        return VersionKey(
            self.kind,
            without_zeros(self.numbers),
            self.stage,
            self.stage_numbers,
            -len(self.words),
            len(self.numbers),
            self.variant_numbers,
            self.text,
        )


RELEASE = 5
_STAGES: dict[str, int] = {
    **dict.fromkeys(
        "dev develop development snapshot snapshots nightly daily canary edge unstable testing sid next experimental"
        " main master trunk head insider insiders".split(),
        0,
    ),
    **dict.fromkeys("alpha ea preview".split(), 1),
    **dict.fromkeys("milestone".split(), 2),
    **dict.fromkeys("beta pre prerelease".split(), 3),
    **dict.fromkeys("rc cr".split(), 4),
}
"""Words of pre-releases. ``devel`` is none: it is the name of a variant (nvidia/cuda)."""
_GLUED_STAGES = {"a": 1, "m": 2, "b": 3}
"""As in Python's 3.13.0b1; only between two numbers, because -b08 is a build of Java's."""
_MOVING = frozenset("latest stable lts mainline current".split())
_BRANCHES = frozenset("main master trunk head dev develop nightly daily canary edge unstable testing sid next".split())
_SAY_NOTHING = frozenset("v release final ga version".split())
_COMMIT_WORDS = frozenset("sha git commit".split())
_SYSTEMS = frozenset(
    "alpine debian ubuntu centos rhel ubi rocky rockylinux almalinux fedora ol oraclelinux amazonlinux al photon"
    " opensuse leap nanoserver ltsc".split()
)
"""A number behind these is the distribution's, not the image's version."""
_CODENAMES: dict[str, Word] = {
    **{
        name: Word("debian", (7 + index,))
        for index, name in enumerate("wheezy jessie stretch buster bullseye bookworm trixie forky duke".split())
    },
    **{
        name: Word("ubuntu", (14 + index // 2, 4 + 6 * (index % 2)))
        for index, name in enumerate(
            "trusty utopic vivid wily xenial yakkety zesty artful bionic cosmic disco eoan focal groovy hirsute impish"
            " jammy kinetic lunar mantic noble oracular plucky questing".split()
        )
    },
}
_ARCHITECTURE = re.compile(
    r"""
    (?: ^ | (?<=[-_.]) )
    (?: linux[-_.]? )?
    (?: (?P<amd64> (?: amd64 | x86[-_]64 | x64 ) (?: [-_]?v[1-4] )? )
      | (?P<arm64> arm64 (?: [-_.]?v?8 )? | aarch64 | armv8 )
      | (?: arm (?: 32 )? (?: [-_.]?v?[5-7] )? (?: hf | el )? | i[3-6]86 | (?<![.]) 386
          | ppc64(?:le|el)? | s390x | riscv64 | mips(?:64)?(?:le|el)? | loong(?:arch)?64 ) )
    (?= $ | [-_.] )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_MENTIONS_ARCHITECTURE = re.compile(r"64|86|390|arm|mips", re.IGNORECASE)
_TOKEN = re.compile(
    r"""
      (?P<date> (?<![0-9]) (?:19|20)[0-9]{2} - [0-9]{2} - [0-9]{2} (?: t [0-9]{2} - [0-9]{2} - [0-9]{2} z? )?
                (?![0-9]) )
    | (?P<commit> (?<![0-9a-z.]) g? (?=[0-9a-f]*[0-9]) (?=[0-9]*[a-f]) [0-9a-f]{7,} (?![0-9a-z])
                | (?<=sha-) [0-9a-f]{4,} (?![0-9a-z]) )
    | (?P<number> [0-9]+ )
    | (?P<word> [^0-9._+-]+ )
    """,
    re.VERBOSE,
)
_COMPACT_DATE = re.compile(r"((?:19|20)[0-9]{2})(0[1-9]|1[0-2])([0-2][0-9]|3[01])([0-9]{2})?([0-9]{2})?([0-9]{2})?")
_COMMIT = "#"


def without_zeros(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """1.10 and 1.10.0 are one version."""
    end = len(numbers)
    while end > 1 and not numbers[end - 1]:
        end -= 1
    return numbers[:end]


def version_key(tag: str) -> VersionKey:
    """The key by which tags are sorted; the newer tag has the larger one. Any text is accepted."""
    return read_tag(tag).key


def newest_first(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags, each once, from the newest version to the oldest (VersionKey says how)."""
    return tuple(sorted(dict.fromkeys(tags), key=version_key, reverse=True))


def matching_tags(pattern: str, tags: Sequence[str]) -> tuple[str, ...]:
    """The tags that match a shell pattern (``*``, ``?``, ``[a-z]``, ``[!a-z]``; case counts), newest version first."""
    matches = re.compile(fnmatch.translate(pattern)).match
    return newest_first(tag for tag in tags if matches(tag))


@dataclass(frozen=True)
class _Piece:
    """A run of letters, or of numbers joined by dots. ``glued``: nothing stands between it and the piece before."""

    text: str
    numbers: tuple[int, ...]
    dated: bool
    glued: bool

    @property
    def is_number(self) -> bool:
        return bool(self.numbers)


@lru_cache(maxsize=32_768)
def read_tag(text: str) -> Tag:
    """A tag as version, variant and architecture. Any text is accepted; what is not understood is a word."""
    plain, architecture = _split_architecture(text)
    pieces = _pieces(plain.lower())
    start = _version_start(pieces)
    if start is None:
        return _without_version(text, plain, architecture, pieces)
    end, numbers, stage, stage_numbers = _version(pieces, start)
    prefix, rest = _words(pieces[:start]), _words(pieces[end:])
    words = _Sifted.of((*prefix, *rest))
    return Tag(
        text,
        plain,
        architecture,
        Kind.DATE if pieces[start].dated else Kind.VERSION,
        numbers,
        min(stage, words.stage),
        stage_numbers or words.stage_numbers,
        tuple(word for word in prefix if word in words.kept),
        tuple(word for word in rest if word in words.kept),
        True,
        words.style,
    )


def _split_architecture(text: str) -> tuple[str, Architecture]:
    """The text without an architecture's name and the separator beside it, and which architecture that is."""
    if not _MENTIONS_ARCHITECTURE.search(text):
        return text, Architecture.ANY
    match = _ARCHITECTURE.search(text)
    if match is None:
        return text, Architecture.ANY
    before, after = text[: match.start()], text[match.end() :]
    plain = before[:-1] + after if before else after[1:]
    if match["amd64"]:
        return plain, Architecture.AMD64
    return plain, Architecture.ARM64 if match["arm64"] else Architecture.OTHER


def _pieces(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    end = 0
    for match in _TOKEN.finditer(text):
        glued = match.start() == end and end > 0
        kind, found = match.lastgroup, match[0]
        if kind == "number" and pieces and pieces[-1].is_number and text[end : match.start()] == ".":
            last = pieces[-1]
            pieces[-1] = _Piece(last.text, (*last.numbers, int(found)), last.dated, last.glued)
        elif kind == "number":
            pieces.append(_Piece(found, (int(found),), len(found) >= 6, glued))
        elif kind == "date":
            pieces.append(_Piece(found, tuple(int(part) for part in re.findall(r"[0-9]+", found)), True, glued))
        elif kind == "commit":
            pieces.append(_Piece(_COMMIT, (), False, glued))
        else:
            pieces.append(_Piece(found, (), False, glued))
        end = match.end()
    return pieces


def _compact_date(number: int) -> tuple[int, ...] | None:
    """20230131 → 2023, 1, 31, so that it compares with 2023-01-31; also with the time behind it."""
    match = _COMPACT_DATE.fullmatch(str(number)) if number > 9_999_999 else None
    return tuple(int(part) for part in match.groups() if part) if match else None


def _version_start(pieces: list[_Piece]) -> int | None:
    """The index of the number that is the version: the first that no word is glued to, except ``v``; else, in tags
    with no word like ``latest``, one behind a word that is no distribution: ``pg14``, ``n4.4``."""
    for index, piece in enumerate(pieces):
        if piece.is_number and (not piece.glued or (pieces[index - 1].text == "v" and not pieces[index - 1].glued)):
            return index
    if any(piece.text in _MOVING or piece.text in _BRANCHES for piece in pieces):
        return None
    for index, piece in enumerate(pieces):
        if piece.is_number and pieces[index - 1].text not in _SYSTEMS:
            return index
    return None


def _version(pieces: list[_Piece], start: int) -> tuple[int, tuple[int, ...], int, tuple[int, ...]]:
    """The version that starts at a piece: the index after it, its numbers, its stage and the stage's numbers."""
    first = pieces[start].numbers
    numbers = (*(_compact_date(first[0]) or first[:1]), *first[1:])
    at = start + 1
    while at < len(pieces):
        piece = pieces[at]
        following = pieces[at + 1] if at + 1 < len(pieces) else None
        if piece.is_number:  # a revision or build: 17.0.8_7, 4.0.0-20211213
            numbers, at = numbers + piece.numbers, at + 1
        elif not piece.glued or len(piece.text) != 1 or not "a" <= piece.text <= "z":
            break
        elif following is not None and following.is_number and following.glued:
            if piece.text in _GLUED_STAGES:  # 3.13.0b1
                return at + 2, numbers, _GLUED_STAGES[piece.text], following.numbers
            numbers, at = numbers + following.numbers, at + 2  # 8u212, 9.6p1
        elif following is None or not following.glued:  # 1.1.1k
            numbers, at = (*numbers, ord(piece.text) - ord("a") + 1), at + 1
        else:
            break
    return at, numbers, RELEASE, ()


def _words(pieces: list[_Piece]) -> tuple[Word, ...]:
    """Words, each with the numbers behind it, codenames as the distribution and its number."""
    words: list[Word] = []
    for piece in pieces:
        if not piece.is_number:
            words.append(_CODENAMES.get(piece.text) or Word(piece.text))
        elif words:
            words[-1] = Word(words[-1].text, words[-1].numbers + piece.numbers)
    return tuple(words)


@dataclass(frozen=True)
class _Sifted:
    """Words by what they are: those of the variant, those of a pre-release, those that say nothing."""

    kept: tuple[Word, ...]
    stage: int
    stage_numbers: tuple[int, ...]
    style: tuple[str, ...]

    @classmethod
    def of(cls, words: Iterable[Word]) -> _Sifted:
        kept: list[Word] = []
        style: list[str] = []
        stage = RELEASE
        stage_numbers: tuple[int, ...] = ()
        for word in words:
            found = 2 if word.text == "m" and word.numbers else _STAGES.get(word.text)
            if found is not None:
                stage, stage_numbers = min((stage, stage_numbers), (found, word.numbers))
            elif word.text in _SAY_NOTHING and not word.numbers:
                style.append(word.text)
            else:
                kept.append(word)
        return cls(tuple(kept), stage, stage_numbers, tuple(style))


def _without_version(text: str, plain: str, architecture: Architecture, pieces: list[_Piece]) -> Tag:
    """``latest``, ``stable-alpine``, ``slim`` (the latest there is of that variant), a commit."""
    texts = [piece.text for piece in pieces]
    commit = _COMMIT in texts
    words = _Sifted.of(
        word
        for word in _words(pieces)
        if word.text not in _MOVING and not (commit and (word.text in _COMMIT_WORDS or word.text == _COMMIT))
    )
    place = next((index for index, found in enumerate(texts) if found in _MOVING or found in _BRANCHES), None)
    before = _words(pieces[:place]) if place else ()
    split = len([word for word in before if word in words.kept])
    return Tag(
        text,
        plain,
        architecture,
        Kind.COMMIT if commit else Kind.MOVING,
        (),
        words.stage,
        words.stage_numbers,
        words.kept[:split],
        words.kept[split:],
        place is not None,
        words.style,
    )
