"""What upstream projects call their files: names by project and version, and assets whose amd64 name has no suffix.

Facts, not code: extend the tables. Each candidate is still looked up before a fix relies on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from crossdock.rules.names import Token


@dataclass(frozen=True)
class Project:
    """How one project names arm64. ``url`` finds it in a download's URL; ``names`` maps its amd64 words to its arm64
    words: of several versions with different names, the one that is written decides."""

    url: str
    names: tuple[tuple[str, str], ...]


PROJECTS: tuple[Project, ...] = (
    Project(r"just-containers/s6-overlay", (("amd64", "aarch64"), ("x86_64", "aarch64"))),
    Project(r"Yelp/dumb-init", (("amd64", "arm64"), ("x86_64", "aarch64"))),
    Project(r"protocolbuffers/protobuf|google/protobuf", (("x86_64", "aarch_64"),)),
    Project(r"nodejs\.org|node-v", (("x64", "arm64"),)),
    Project(
        r"adoptium|adoptopenjdk|AdoptOpenJDK|temurin|azul\.com|graalvm|java\.net",
        (("x64", "aarch64"), ("amd64", "aarch64")),
    ),
    Project(r"actions/runner", (("x64", "arm64"),)),
    Project(r"hadolint", (("x86_64", "arm64"),)),
    Project(r"conftest", (("x86_64", "arm64"),)),
    Project(r"google-cloud-sdk|google-cloud-cli", (("x86_64", "arm"),)),
    Project(r"stedolan/jq|jqlang/jq", (("linux64", "linux-arm64"), ("linux-amd64", "linux-arm64"))),
    Project(r"oven-sh/bun", (("x64", "aarch64"),)),
    Project(r"BtbN/FFmpeg-Builds", (("linux64", "linuxarm64"),)),
    Project(r"geckodriver", (("linux64", "linux-aarch64"),)),
    Project(r"chromedriver|chrome-for-testing", (("linux64", "linux-arm64"),)),
    Project(r"compute/cuda/repos", (("x86_64", "sbsa"),)),
    Project(r"oracle\.com/.*instantclient", (("x64", "arm64"), ("x86_64", "aarch64"))),
    Project(r"gohugoio/hugo", (("64bit", "ARM64"), ("amd64", "arm64"))),
    Project(
        r"conda|miniforge|mambaforge|docker\.com/linux/static|awscli|Kitware/CMake|ziglang|koalaman/shellcheck",
        (("x86_64", "aarch64"),),
    ),
)


@dataclass(frozen=True)
class Suffixless:
    """Assets whose amd64 name says nothing: the pattern's group 1 is what changes, and ``arm64`` the template (as of
    ``re.Match.expand``) of what it becomes; empty where there is nothing for arm64."""

    pattern: str
    arm64: str


SUFFIXLESS: tuple[Suffixless, ...] = (
    Suffixless(
        r"krallin/tini/releases/download/[^/]+/((tini(?:-static|-muslc)?)((?:\.asc|\.sha\w+)?))$", r"\2-arm64\3"
    ),
    Suffixless(r"krallin/tini/releases/download/[^/]+/tini_[^/]*?(?<!-arm64)(\.(?:deb|rpm))$", r"-arm64\1"),
    Suffixless(r"ninja-build/ninja/releases/download/[^/]+/(ninja-linux\.zip)$", r"ninja-linux-aarch64.zip"),
    Suffixless(r"alpine-pkg-glibc/releases/download/[^/]+/(glibc(?:-bin|-dev)?-(?!i18n)[^/]*\.apk)$", ""),
    Suffixless(r"(steamcmd_linux\.tar\.gz)$", ""),
)
_COMPILED = tuple((re.compile(entry.pattern), entry) for entry in SUFFIXLESS)


def suffixless(url: str) -> Token | None:
    """The file's name in a URL that means amd64 without saying so."""
    for pattern, _ in _COMPILED:
        if match := pattern.search(url):
            return Token(match[1], match.start(1), match.end(1))
    return None


def suffixless_arm64(url: str) -> str | None:
    """What the suffix-less file is called for arm64; None where there is none."""
    for pattern, entry in _COMPILED:
        if match := pattern.search(url):
            return match.expand(entry.arm64) or None
    return None


def preferred(url: str, token: str) -> tuple[str, ...]:
    """The arm64 names that are known for this project, best first; empty where the project is not listed."""
    found: list[str] = []
    for project in PROJECTS:
        if re.search(project.url, url):
            found += [arm for amd, arm in project.names if amd.lower() == token.lower()]
    return tuple(dict.fromkeys(found))
