""".dockerignore: which files of a context the builder does not see.

Source: moby/patternmatcher (patternmatcher.go, ignorefile/ignorefile.go) and BuildKit's choice of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crossdock.errors import InputError
from crossdock.read.glob import BadPattern, character_class, clean, component
from crossdock.read.lines import SPACES
from crossdock.source import Source


@dataclass(frozen=True)
class Pattern:
    """One line of an ignore file. ``exception`` is true for a line that begins with ``!``."""

    text: str
    exception: bool
    matches: Callable[[str], bool]


Verdicts = tuple[bool, ...]
"""For each pattern, whether it matched a folder; what lies below is matched as well."""


@dataclass(frozen=True)
class IgnoreRules:
    """The patterns in their order: the last one that matches a file, or a folder above it, decides."""

    patterns: tuple[Pattern, ...]

    def ignores(self, path: str) -> bool:
        """Whether a file or folder, as a relative path with ``/``, is left out of the context."""
        verdicts: Verdicts = ()
        at = path.find("/")
        while at != -1:
            _, verdicts = self.below(path[:at], verdicts)
            at = path.find("/", at + 1)
        ignored, _ = self.below(path, verdicts)
        return ignored

    def below(self, path: str, parent: Verdicts) -> tuple[bool, Verdicts]:
        """Whether ``path`` is left out, given what matched its folder (``()`` at the top), and what matched it."""
        ignored = False
        verdicts: list[bool] = []
        for index, pattern in enumerate(self.patterns):
            matched = bool(parent) and parent[index]
            if not matched and pattern.exception == ignored:
                matched = pattern.matches(path)
            verdicts.append(matched)
            if matched:
                ignored = not pattern.exception
        return ignored, tuple(verdicts)

    def prunes(self, folder: str) -> bool:
        """Whether nothing below an ignored folder can be wanted, so that it need not be read."""
        return not any(pattern.exception and _may_match_below(pattern.text, folder) for pattern in self.patterns)


def parse_ignore(data: bytes, path: str = ".dockerignore") -> IgnoreRules:
    """Read an ignore file. Raises InputError for a pattern that Docker refuses."""
    patterns: list[Pattern] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        line = raw.decode("utf-8", "surrogateescape")
        text = line.strip(SPACES)
        if line.startswith("#") or not text:
            continue
        exception = text.startswith("!")
        if exception:
            text = text[1:].strip(SPACES)
        try:
            if not text:
                raise BadPattern
            text = clean(text)
            text = text[1:] if text.startswith("/") and len(text) > 1 else text
            patterns.append(Pattern(text, exception, _matcher(text)))
        except BadPattern as error:
            raise InputError(
                f"{line.strip()!r} is no pattern that Docker reads",
                where=f"{path}:{number}:1",
                hint="Close the bracket, write something after !, or escape a special character with \\.",
            ) from error
    return IgnoreRules(tuple(patterns))


def load_ignore(root: Path, dockerfile: Path) -> Source:
    """The ignore file that counts: the Dockerfile's own (``Dockerfile.dockerignore``), else the context's; empty when
    there is none. Raises InputError when it cannot be read."""
    for path in (dockerfile.with_name(f"{dockerfile.name}.dockerignore"), root / ".dockerignore"):
        try:
            return Source(str(path), path.read_bytes())
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(
                f"the ignore file cannot be read: {error.strerror}", where=str(path), hint="Make it readable."
            ) from error
    return Source(str(root / ".dockerignore"), b"")


def _matcher(pattern: str) -> Callable[[str], bool]:
    """What a pattern matches. ``**`` is any number of folders; at the beginning it is any text, as in Docker."""
    for part in pattern.split("/"):
        component(part)
    kind = "exact"
    out: list[str] = []
    at = 0
    while at < len(pattern):
        first, character = at == 0, pattern[at]
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("/", at + 2) else 2
            if at < len(pattern):
                out.append("(?:.*/)?")
                kind = "regex"
            elif kind == "exact":
                kind = "prefix"
            else:
                out.append(".*")
                kind = "regex"
            if first:
                kind = "suffix"
            continue
        if character == "[":
            text, at = character_class(pattern, at)
            out.append(text)
            kind = "regex"
            continue
        if character in "*?\\":
            kind = "regex"
        if character == "\\":
            at += 1
            out.append(re.escape(pattern[at]))
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(character) or re.escape(character))
        at += 1
    if kind == "exact":
        return pattern.__eq__
    if kind == "prefix":
        prefix = pattern[:-2]
        return lambda path: path.startswith(prefix)
    if kind == "suffix":
        suffix = pattern[2:]
        return lambda path: path.endswith(suffix) or (suffix.startswith("/") and path == suffix[1:])
    compiled = re.compile("".join(out), re.DOTALL)
    return lambda path: compiled.fullmatch(path) is not None


def _may_match_below(pattern: str, folder: str) -> bool:
    """Whether a pattern could match the folder or something in it, judged by the components before its first ``**``."""
    wanted, there = pattern.split("/"), folder.split("/")
    for part, name in zip(wanted, there, strict=False):
        if "**" in part:
            return True
        if not component(part).fullmatch(name):
            return False
    return True
