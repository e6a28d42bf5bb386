"""Files that list packages: requirements.txt, package.json and its lock, Gemfile.lock, pom.xml.

Sources: pip's "Requirements File Format"; npm's package.json and package-lock.json (os, cpu, optional); Bundler's
Gemfile.lock; Maven's POM reference (classifier). What cannot be read yields nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from crossdock.packages.commands import npm_name, requirement
from crossdock.packages.model import Answer, Status
from crossdock.source import Span

MAX_SIZE = 32 << 20
"""Bytes; no lock file that people keep is larger."""


@dataclass(frozen=True)
class Listed:
    """A package that a file lists, and where it stands there. ``stated`` is what the file itself says of arm64."""

    name: str
    version: str
    span: Span
    direct: bool = True
    classifier: str = ""
    stated: Answer | None = None


# --- pip -------------------------------------------------------------------------------------------------------------

_LINE = re.compile(rb"[^\n]*\n?")


@dataclass(frozen=True)
class Requirements:
    """``files`` are further requirements files, as written; ``indexes`` the URLs of further indexes."""

    listed: tuple[Listed, ...]
    files: tuple[str, ...]
    indexes: tuple[str, ...]


def read_requirements(data: bytes) -> Requirements:
    """Read a requirements file. Comments, options and hashes are passed over; a line that goes on belongs together."""
    listed: list[Listed] = []
    files: list[str] = []
    indexes: list[str] = []
    for start, line in _logical_lines(data):
        text = re.sub(r"(?:^|\s)#.*", "", line)
        text = re.sub(r"\s--(?:hash|global-option|config-settings)\S*.*", "", text).rstrip()
        stripped = text.lstrip()
        if match := re.match(r"(?:-r|--requirement)[ =]*(\S+)", stripped):
            files.append(match[1])
        elif match := re.match(r"(?:-i|--index-url|--extra-index-url|-f|--find-links)[ =]*(\S+)", stripped):
            indexes.append(match[1])
        elif stripped and not stripped.startswith("-") and (found := requirement(stripped)):
            begin = start + len(text[: len(text) - len(stripped)].encode("utf-8", "surrogateescape"))
            width = len(stripped.partition(";")[0].rstrip().encode("utf-8", "surrogateescape"))
            listed.append(Listed(*found, Span(begin, begin + width)))
    return Requirements(tuple(listed), tuple(files), tuple(indexes))


def _logical_lines(data: bytes) -> Iterator[tuple[int, str]]:
    at, text, start = 0, "", 0
    for raw in _LINE.findall(data):
        line = raw.decode("utf-8", "surrogateescape").rstrip("\r\n")
        start = start if text else at
        at += len(raw)
        if line.endswith("\\"):
            text += line[:-1] + " "
            continue
        yield start, text + line
        text = ""
    if text:
        yield start, text


# --- npm -------------------------------------------------------------------------------------------------------------


def read_package_json(data: bytes, *, production: bool = False) -> tuple[Listed, ...]:
    """The dependencies that a package.json names, without the optional ones."""
    document = _object(data)
    groups = ("dependencies",) if production else ("dependencies", "devDependencies")
    found: list[Listed] = []
    for group in groups:
        for name, version in mapping(document, group).items():
            parsed = npm_name(name) if isinstance(version, str) else None
            span = _key_span(data, name)
            if parsed and span and re.match(r"[\d^~<>=*v]", version):
                found.append(Listed(name, version, span))
    return tuple(found)


def read_package_lock(data: bytes, *, production: bool = False) -> tuple[Listed, ...]:
    """The packages of a package-lock.json (versions 2 and 3), each with what its ``os`` and ``cpu`` say of arm64; of
    a lock of version 1, which has neither, only names and versions."""
    document = _object(data)
    packages = mapping(document, "packages")
    root = mapping(packages, "")
    direct = set(mapping(root, "dependencies")) | set(mapping(root, "devDependencies"))
    found: list[Listed] = []
    for path, entry in packages.items():
        if "node_modules/" not in path or not isinstance(entry, dict) or entry.get("link"):
            continue
        if production and entry.get("dev"):
            continue
        name, version = path.rpartition("node_modules/")[2], str(entry.get("version", ""))
        stated = _stated(entry, packages)
        top_level = path == f"node_modules/{name}"
        if stated or (top_level and name in direct and not entry.get("optional")):
            span = _key_span(data, path)
            if span:
                inner = Span(span.end - len(name.encode()), span.end)
                found.append(Listed(name, f"={version}" if version else "", inner, name in direct, stated=stated))
    for name, entry in mapping(document, "dependencies").items() if not packages else ():
        span = _key_span(data, name)
        if span and isinstance(entry, dict) and not entry.get("optional") and not (production and entry.get("dev")):
            version = str(entry.get("version", ""))
            found.append(Listed(name, f"={version}" if version[:1].isdigit() else "", span, direct=False))
    return tuple(found)


def _stated(entry: Mapping[str, Any], packages: Mapping[str, Any]) -> Answer | None:
    """What an entry of a lock says: that it must not be installed on arm64, or that its arm64 part is not locked."""
    optional = bool(entry.get("optional") or entry.get("devOptional") or entry.get("peer"))
    if not optional and allows(entry, "os", "linux") and not allows(entry, "cpu", "arm64"):
        return Answer(
            Status.MISSING,
            f"the lock file has it for {', '.join(map(str, entry['cpu']))} only, so npm ends with EBADPLATFORM",
            instead="Move it to optionalDependencies, beside its counterpart for arm64",
        )
    parts = [name for name in mapping(entry, "optionalDependencies") if "linux" in name]
    mine = [name for name in parts if re.search(r"arm64|aarch64", name)]
    its = [name for name in parts if re.search(r"x64|x86_64|amd64", name)]
    if mine and its and _locked(packages, its) and not _locked(packages, mine):
        return Answer(
            Status.MISSING,
            f"it needs {mine[0]} on arm64, which the lock file does not hold",
            instead="Delete node_modules and package-lock.json, run `npm install`, and commit the new lock file",
            source="https://github.com/npm/cli/issues/4828",
        )
    return None


def _locked(packages: Mapping[str, Any], names: list[str]) -> bool:
    endings = tuple(f"node_modules/{name}" for name in names)
    return any(path.endswith(endings) for path in packages)


def allows(entry: Mapping[str, Any], field: str, value: str) -> bool:
    """Whether npm's ``os`` or ``cpu`` admits a value: lists of names that are wanted, or, with ``!``, unwanted."""
    names = entry.get(field)
    if not isinstance(names, list) or not names:
        return True
    if f"!{value}" in names:
        return False
    wanted = [name for name in names if isinstance(name, str) and not name.startswith("!")]
    return not wanted or value in wanted or "any" in wanted


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object below a key of a JSON object; an empty one where there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _key_span(data: bytes, key: str) -> Span | None:
    """Where a key is written; by searching for it, which is much quicker than keeping the place of everything."""
    written = f'"{key}"'.encode()
    at = data.find(written)
    while at >= 0:
        end = at + len(written)
        if data[end : end + 20].lstrip().startswith(b":"):
            return Span(at + 1, end - 1)
        at = data.find(written, end)
    return None


# --- RubyGems --------------------------------------------------------------------------------------------------------


_GEM = re.compile(r"^    ([A-Za-z0-9][\w.-]*) \((\d[\w.]*)\)$", re.MULTILINE)


def read_gemfile_lock(data: bytes, *, frozen: bool) -> tuple[Listed, ...]:
    """The gems of a Gemfile.lock that are locked for any platform; and, where it is ``frozen`` and names x86-64 but
    not arm64 below PLATFORMS, that line.

    Source: Bundler's "Your bundle only supports platforms …" (Bundler::Definition#validate_platforms!).
    """
    text = data.decode("latin-1")  # a character is a byte, so positions are spans
    wanted = set(re.findall(r"^  ([\w.-]+)", text.partition("\nDEPENDENCIES\n")[2], re.MULTILINE))
    found = [
        Listed(match[1], f"={match[2]}", Span(*match.span(1)), direct=match[1] in wanted)
        for match in _GEM.finditer(text)
    ]
    platforms = re.search(r"^PLATFORMS\n((?:  \S.*\n?)+)", text, re.MULTILINE)
    names = platforms[1].split() if platforms else []
    if not frozen or any(name.startswith(("ruby", "aarch64-linux", "arm64-linux")) for name in names):
        return tuple(found)
    x86 = re.compile(r"^  (x86_64-linux\S*)", re.MULTILINE).search(text, platforms.start()) if platforms else None
    if x86:
        answer = Answer(
            Status.MISSING,
            "the lock file is for this platform only, and Bundler refuses to change it in a frozen install",
            instead="Run `bundle lock --add-platform aarch64-linux` and commit the lock file",
            source="https://bundler.io/man/bundle-lock.1.html",
        )
        found.append(Listed(x86[1], "", Span(*x86.span(1)), stated=answer))
    return tuple(found)


# --- Maven -----------------------------------------------------------------------------------------------------------

_DEPENDENCY = re.compile(rb"<dependency>.*?</dependency>", re.DOTALL)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_X86 = re.compile(r"linux[-_](?:x86_64|amd64|x64)|(?:x86_64|amd64|x64)[-_]linux|natives-linux$")


_PROGRAM = re.compile(rb"<(?:protocArtifact|pluginArtifact)>\s*([^<\s]+)\s*</")
_PROPERTY = re.compile(rb"<([\w.-]+)>\s*([^<$\s]+)\s*</\1>")


def read_pom(data: bytes) -> tuple[Listed, ...]:
    """The dependencies whose classifier is Linux on x86-64, where none of the same artifact is for arm64; and the
    programs that protobuf's plugin fetches by classifier."""
    blank = _COMMENT.sub(lambda match: b" " * len(match[0]), data)
    properties = dict(_PROPERTY.findall(blank))
    found: list[Listed] = []
    others: set[str] = set()
    for match in _DEPENDENCY.finditer(blank):
        name = ":".join(_element(match[0], tag)[0] for tag in (b"groupId", b"artifactId"))
        classifier, at = _element(match[0], b"classifier")
        if re.search(r"aarch|arm64", classifier):
            others.add(name)
        elif _X86.search(classifier):
            version, _ = _element(match[0], b"version")
            start = match.start() + at
            span = Span(start, start + len(classifier.encode()))
            found.append(Listed(name, _filled(version, properties), span, classifier=classifier))
    found = [listed for listed in found if listed.name not in others]
    for match in _PROGRAM.finditer(blank):
        parts = match[1].decode("utf-8", "replace").split(":")
        if len(parts) == 5 and parts[3] == "exe":
            group, artifact, version, _, classifier = parts
            version = _filled(version, properties)
            found.append(Listed(f"{group}:{artifact}", version, Span(*match.span(1)), classifier=classifier))
    return tuple(found)


def _filled(version: str, properties: Mapping[bytes, bytes]) -> str:
    """A version with ``${name}`` replaced by the file's own property; empty where it comes from elsewhere."""
    text = re.sub(
        r"\$\{([\w.-]+)\}", lambda m: properties.get(m[1].encode(), m[0].encode()).decode("utf-8", "replace"), version
    )
    return "" if "$" in text else text


def _element(data: bytes, tag: bytes) -> tuple[str, int]:
    match = re.search(rb"<" + tag + rb">\s*([^<]*?)\s*</" + tag + rb">", data)
    return (match[1].decode("utf-8", "replace"), match.start(1)) if match else ("", 0)
