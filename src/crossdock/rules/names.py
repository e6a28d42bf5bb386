"""The words by which text names amd64 and arm64: finding them, and what another architecture's word would be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_AMD64 = re.compile(
    r"""
      (?<![a-z]) (?: amd[-_]?64 (?!gpu|(?!linux)[a-z]{5}) )                # amd64, also after digits: linux2amd64
    | (?<=linux) amd64
    | x86[-_]?64                                        # x86_64, x86-64, x8664, also after letters: linux26x86_64
    | (?: (?<![a-z0-9]) | (?<=x86) ) x64 (?![a-z0-9])
    | (?<=linux) x64 (?![a-z0-9])
    | (?<![a-z0-9]) x64 (?=linux)
    | linux64 (?![0-9])
    | (?: linux | linux_[a-z]+ | x11 )\.64 (?![0-9a-z]|\.\d)
    | (?<![a-z0-9]) linux[-_]64 (?![0-9a-z]|\.\d)       # linux-64, but not version 64.0 for Linux
    | (?<![a-z0-9]) lin64 (?![0-9a-z])
    | (?<![a-z]) (?: em64t | intel64 | gcc_64 ) (?![a-z0-9])
    | (?<![0-9]) 64[-_]?bit (?![a-z])                     # 64bit, 64-bit
    """,
    re.IGNORECASE | re.VERBOSE,
)
_X86 = re.compile(
    r"(?<![a-z0-9])(?:i[3-6]86|x86(?![-_]?64)|ia32|32[-_]?bit)(?![a-z0-9])|(?:linux|lin)[-_]?(?:32|x86(?![-_]?64))(?![0-9a-z]|\.\d)"
    r"|(?<![a-z0-9.])386(?![a-z0-9]|\.\d)",
    re.IGNORECASE,
)
"""32-bit x86. Machines that run amd64 run it too, and arm64 ones do not."""
_ARM64 = re.compile(r"(?<![a-z])(?:arm[-_]?64|aarch[-_]?64|armv8|linuxarm64|sbsa)", re.IGNORECASE)
_ANY = re.compile(
    f"{_AMD64.pattern}|{_ARM64.pattern}|{_X86.pattern}|(?<![a-z])(?:amd|arm)(?![a-z])", re.IGNORECASE | re.VERBOSE
)
_OTHER_SYSTEM = re.compile(
    r"(?<![a-z])(?:darwin|macos|osx|apple|windows|win32|win64|win-x64|mingw\w*|msys2?|freebsd|openbsd)(?![a-z])|\.exe\b|\.msi\b",
    re.IGNORECASE,
)
_TOOLS_FOR_AMD64 = re.compile(
    r"crossbuild-essential-amd64|(?:gcc|g\+\+|binutils)[\w.+-]*-(?:x86-64|i686)-linux-gnu|qemu-(?:x86_64|system|user)",
    re.I,
)
"""Programs that run on any architecture and deal with amd64."""

LIBRARY_PATH = re.compile(
    r"x86_64-linux-(?:gnu|musl)(?!-)|(?<=/lib/)i386-linux-gnu(?!/pkgconfig)|(?<=/targets/)x86_64-linux|ld-linux-x86-64|(?:ld-|libc\.)musl-(?P<musl>x86_64)"
    r"|/jvm/[^\s:/]*(?P<jvm>amd64|x86_64|i386)|lib/(?P<lib>amd64)\b"
    r"|cpython-\d+-x86_64|openjdk-(?P<openjdk>amd64|i386)|(?<=/usr/lib/)x86_64\b(?!-linux)"
    r"|(?<=/bin/)x86_64-linux\b(?!-)|(?<=arch/)x86(?:_64)?(?=/boot)|(?<![\w.-])/(?:usr/)?lib32\b",
    re.IGNORECASE,
)
"""Multiarch directories, dynamic loaders and folders of JVMs, TeX Live and kernel builds, named for amd64."""
TRIPLE = re.compile(
    r"x86_64-(?:unknown|pc|alpine|redhat|suse|apple|w64)?-?linux-(?:gnu|musl)(?:x32)?"
    r"|x86_64-(?:redhat|suse|amazon|pc|unknown)-linux\b",
    re.IGNORECASE,
)
"""GNU and Rust target triples of amd64 Linux."""

_NO_ARCHITECTURE = re.compile(
    r"[-_.](?P<linux>(?-i:[Ll]inux))(?:\.(?:zip|tar\.\w+|tgz|txz|tbz2?|run|bin|gz|bz2|xz))?$|(?<=/)(?P<library>[^/]+\.(?:so(?:\.\d+)*|AppImage))$",
    re.IGNORECASE,
)
_ANY_ARCHITECTURE = re.compile(
    r"(?<![a-z])(?:arm(?:64|hf|el|v\d)?(?![a-z]|-(?:none|linux|eabi|embedded))|aarch)|ppc|s390|riscv|loong|/android/|LATEST_RELEASE",
    re.IGNORECASE,
)

_BARE = re.compile(
    r"(?:(?:os\.)?linux[-_/.]?)?(?:gnu[-_]|musl[-_])?(?:amd64|x86[-_]64|x86|i[3-6]86|x64|64-?bit|linux64|64)(?:[-_](?:linux|gnu|musl))?",
    re.IGNORECASE,
)

PAIRS: dict[str, tuple[str, ...]] = {
    "amd64": ("arm64", "aarch64"),
    "x86_64": ("aarch64", "arm64", "aarch_64"),
    "x86-64": ("aarch64", "arm64"),
    "x64": ("arm64", "aarch64"),
    "linux64": ("linux-arm64", "linux-aarch64", "linuxarm64", "linux_arm64"),
    "linux-64": ("linux-aarch64", "linux-arm64"),
    "64bit": ("ARM64", "arm64", "aarch64"),
    "64-bit": ("ARM64", "arm64"),
    "linux": ("linux-arm64", "linux-aarch64", "linux_arm64"),
}
"""What a project that calls amd64 so may call arm64, most usual first. Which one it is, is looked up, never assumed."""


@dataclass(frozen=True)
class Token:
    """A word that names amd64 at the characters ``start:end`` of a text."""

    text: str
    start: int
    end: int


def amd64_tokens(text: str) -> tuple[Token, ...]:
    """The words that name amd64 Linux. Words in the name of another system's file, and of tools that handle amd64 on
    any machine, do not count."""
    if "64" not in text:
        return ()
    found = [Token(m[0], m.start(), m.end()) for m in _AMD64.finditer(text)]
    if not found:
        return ()
    tools = [m.span() for m in _TOOLS_FOR_AMD64.finditer(text)]
    return tuple(
        token
        for token in found
        if not any(low <= token.start < high for low, high in tools) and not _other_system(text, token)
    )


def x86_tokens(text: str) -> tuple[Token, ...]:
    """The words that name amd64 Linux or 32-bit x86 Linux, in their order."""
    found = amd64_tokens(text)
    if "86" not in text and "32" not in text:
        return found
    more = [Token(m[0], m.start(), m.end()) for m in _X86.finditer(text)]
    tools = [m.span() for m in _TOOLS_FOR_AMD64.finditer(text)]
    found += tuple(
        token
        for token in more
        if not any(low <= token.start < high for low, high in tools) and not _other_system(text, token)
    )
    return tuple(sorted(found, key=lambda token: token.start))


def _other_system(text: str, token: Token) -> bool:
    """Whether the word belongs to a file for macOS or Windows: its path segment or the file's name says so."""
    start = max(text.rfind("/", 0, token.start), text.rfind(" ", 0, token.start)) + 1
    ends = [at for at in (text.find("/", token.end), text.find(" ", token.end)) if at >= 0]
    segment = text[start : min(ends, default=len(text))]
    if _OTHER_SYSTEM.search(segment):
        return True
    last = text.rstrip("/").rsplit("/", 1)[-1]
    return _OTHER_SYSTEM.search(last) is not None or re.search(r"/(?:darwin|windows|macos)/$", text[:start]) is not None


def unnamed(url: str) -> Token | None:
    """What makes a download a compiled file of no named architecture, which is amd64 then: its name ends in
    ``-linux``, or it is a shared library or an AppImage. Android's tools are Java programs."""
    path = url.partition("?")[0]
    if _ANY_ARCHITECTURE.search(path) or x86_tokens(path):
        return None
    return next(spans(_NO_ARCHITECTURE, path), None)


def names_arm64(text: str) -> bool:
    return _ARM64.search(text) is not None


def without_names(text: str) -> str:
    """The text with one sign for every name of amd64 or arm64: two texts that differ only in it belong together."""
    return _ANY.sub("\0", text)


def is_bare(text: str) -> bool:
    """Whether a value is nothing but the name of amd64 or of 32-bit x86: ``amd64``, ``linux-x86_64``, ``i386``."""
    return _BARE.fullmatch(text.strip()) is not None


def arm64_names(token: str) -> tuple[str, ...]:
    """What the token may be for arm64, in the token's own case, most usual first; nothing for what is no
    architecture's name."""
    names = PAIRS.get(token.lower(), ("arm64", "aarch64") if x86_tokens(token) else ())
    if token.isupper() and not any(name.isupper() for name in names):
        return tuple(name.upper() for name in names)
    return names


def spans(pattern: re.Pattern[str], text: str) -> Iterator[Token]:
    """The matches; of one with a named group only that."""
    for match in pattern.finditer(text):
        part = match.lastgroup or 0
        yield Token(match[part], match.start(part), match.end(part))
