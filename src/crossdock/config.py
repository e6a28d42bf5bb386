"""A project's own settings: crossdock.toml, or the table [tool.crossdock] of pyproject.toml (docs/configuration.md)."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossdock.errors import InputError, UsageError
from crossdock.platforms import Platform, parse_platform

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    from crossdock.findings import Finding

NAME = "crossdock.toml"
RULE_IDS = frozenset(
    (
        "pinned-platform build-platform-in-final-stage base-without-arm64 single-arch-digest "
        "arch-prefixed-image platforms-without-arm64 builder-not-set-up shadowed-platform-argument "
        "undeclared-platform-argument frozen-architecture-variable amd64-download amd64-checksum "
        "amd64-package-file amd64-repository package-without-arm64 foreign-architecture amd64-goarch "
        "amd64-target-triple amd64-compiler-flag amd64-build-output amd64-library-path "
        "amd64-binary-in-context"
    ).split()
)
"""The ids of all rules. They stand here, and a test compares them, because importing the rules takes long, and
``verify`` needs none of them."""
_SETTINGS = ("exclude", "ignore", "platforms", "verify")
_OF_IGNORE = ("paths", "reason", "rule")
_OF_VERIFY = ("allow", "max-layers", "max-size", "max-size-difference")
_OF_ALLOW = ("path", "reason")


@dataclass(frozen=True)
class Patterns:
    """Paths below a folder, as .gitignore writes them."""

    folder: Path
    lines: tuple[str, ...]

    def match(self, path: Path) -> bool:
        try:
            relative = path.absolute().resolve().relative_to(self.folder)
        except ValueError:
            return False
        return self._spec.match_file(relative.as_posix())

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec

        return GitIgnoreSpec.from_lines(self.lines)


@dataclass(frozen=True)
class Ignore:
    """A rule that does not apply, and why: everywhere, or in ``paths`` only."""

    rule: str
    reason: str
    paths: Patterns | None = None


@dataclass(frozen=True)
class Allowed:
    """Files of an image that may be of another architecture, and why. ``path`` is written as in .gitignore, from the
    image's root."""

    path: str
    reason: str

    def match(self, path: str) -> bool:
        """``path`` is relative to the image's root."""
        return self._spec.match_file(path)

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec

        return GitIgnoreSpec.from_lines([self.path])


@dataclass(frozen=True)
class Limits:
    """What an image may be at most; None where nobody says. ``size`` of a platform's packed layers in bytes,
    ``difference`` between platforms in per cent of the smallest."""

    size: int | None = None
    difference: float | None = None
    layers: int | None = None


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kMGT]?)(i?)B?)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str) -> int:
    """``500MB``, ``1.5 GB`` (powers of 1000), ``200MiB`` (of 1024), or bytes. Raises UsageError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UsageError(f"{text!r} is no size", hint="Write 500MB, 1.5GB, 200MiB or a number of bytes.")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[(match[2] or "").lower()])


@dataclass(frozen=True)
class Config:
    """The settings of one project. ``path`` is the file they are in, None where there is none."""

    path: Path | None = None
    exclude: Patterns | None = None
    ignore: tuple[Ignore, ...] = ()
    platforms: tuple[Platform, ...] = ()
    allow: tuple[Allowed, ...] = ()
    limits: Limits = Limits()

    def excludes(self, path: Path) -> bool:
        """Whether a file that was found by searching is left out."""
        return self.exclude is not None and self.exclude.match(path)

    def reason_to_ignore(self, finding: Finding) -> str | None:
        """Why a finding does not count; None where it does."""
        for ignore in self.ignore:
            if ignore.rule == finding.rule and (
                ignore.paths is None or ignore.paths.match(Path(finding.location.path))
            ):
                return ignore.reason
        return None


@dataclass(frozen=True)
class Configs:
    """The settings of whatever project a file belongs to, each read once. ``rules`` are the ids that there are."""

    rules: frozenset[str]
    _known: dict[Path, Config] = field(default_factory=dict, repr=False)

    def of(self, path: Path) -> Config:
        """The settings for a file or folder: those of the nearest folder above that has some, up to the top of the
        repository. Raises UsageError for a setting that has no meaning, InputError for a file that cannot be read."""
        folder = path.absolute()
        return self._of_folder(folder if folder.is_dir() else folder.parent)

    def reason_to_ignore(self, finding: Finding) -> str | None:
        return self.of(Path(finding.location.path)).reason_to_ignore(finding)

    def _of_folder(self, folder: Path) -> Config:
        if folder not in self._known:
            found = _read_folder(folder, self.rules)
            if found is None and folder != folder.parent and not (folder / ".git").exists():
                found = self._of_folder(folder.parent)
            self._known[folder] = found or Config()
        return self._known[folder]


def _read_folder(folder: Path, rules: frozenset[str]) -> Config | None:
    for name in (NAME, "pyproject.toml"):
        path = folder / name
        try:
            text = path.read_bytes().decode()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read: {error}", where=str(path), hint="Save it as UTF-8 text.") from error
        if name != NAME and "crossdock" not in text:
            continue
        try:
            table: Any = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"this is not valid TOML: {error}", where=str(path), hint="Correct it there.") from error
        if name != NAME:
            tools = table.get("tool")
            table = tools.get("crossdock") if isinstance(tools, dict) else None
            if table is None:
                continue
        return _Reader(path, text, rules).config(table)
    return None


class _Reader:
    """Settings out of a table, with an error that names file and line for what has no meaning."""

    def __init__(self, path: Path, text: str, rules: frozenset[str]) -> None:
        self._path, self._text, self._rules = path, text, rules

    def config(self, table: object) -> Config:
        settings = self._table(table, "tool.crossdock", _SETTINGS)
        ignore = self._tables(settings, "ignore", "Write [[ignore]] (docs/configuration.md).")
        verify = self._table(settings.get("verify", {}), "verify", _OF_VERIFY)
        allow = self._tables(verify, "allow", 'Write allow = [{path = "…", reason = "…"}].')
        platforms = tuple(dict.fromkeys(self._platform(text) for text in self._texts(settings, "platforms")))
        return Config(
            self._path,
            self._patterns(settings, "exclude"),
            tuple(map(self._ignore, ignore)),
            platforms,
            tuple(map(self._allowed, allow)),
            self._limits(verify),
        )

    def _limits(self, table: Mapping[str, object]) -> Limits:
        size, difference, layers = (table.get(key) for key in ("max-size", "max-size-difference", "max-layers"))
        if isinstance(size, str):
            try:
                size = parse_size(size)
            except UsageError as error:
                raise self._wrong("max-size", error.what, error.hint or "") from error
        for key, value, kinds in (
            ("max-size", size, (int,)),
            ("max-size-difference", difference, (int, float)),
            ("max-layers", layers, (int,)),
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, kinds) or value < 0):
                raise self._wrong(key, f"{key} is a number", 'Write max-size = "500MB" or max-size-difference = 20.')
        return Limits(size, difference, layers)  # type: ignore[arg-type]

    def _ignore(self, table: object) -> Ignore:
        settings = self._table(table, "ignore", _OF_IGNORE)
        rule, reason = settings.get("rule"), settings.get("reason")
        if rule not in self._rules:
            raise self._wrong(str(rule), f"there is no rule {rule!r}", _nearest(str(rule), self._rules))
        return Ignore(rule, self._reason(reason, str(rule), "an ignored rule"), self._patterns(settings, "paths"))

    def _allowed(self, table: object) -> Allowed:
        settings = self._table(table, "allow", _OF_ALLOW)
        path = settings.get("path")
        if not isinstance(path, str) or not path.strip():
            raise self._wrong("allow", "what is allowed needs a path", 'Write path = "opt/vendor/**".')
        return Allowed(path, self._reason(settings.get("reason"), path, "what is allowed"))

    def _reason(self, reason: object, word: str, what: str) -> str:
        if not isinstance(reason, str) or not reason.strip():
            raise self._wrong(word, f"{what} needs a reason", 'Write reason = "why this is meant to be so".')
        return reason.strip()

    def _tables(self, settings: Mapping[str, object], key: str, hint: str) -> list[object]:
        tables = settings.get(key, [])
        if not isinstance(tables, list):
            raise self._wrong(key, f"{key} is a list of tables", hint)
        return tables

    def _table(self, table: object, name: str, known: Collection[str]) -> Mapping[str, object]:
        if not isinstance(table, dict):
            raise self._wrong(name, f"{name} is a table", "See docs/configuration.md.")
        for key in table:
            if key not in known:
                raise self._wrong(key, f"there is no setting {key!r}", _nearest(key, known))
        return table

    def _patterns(self, settings: Mapping[str, object], key: str) -> Patterns | None:
        lines = tuple(self._texts(settings, key))
        return Patterns(self._path.parent.resolve(), lines) if lines else None

    def _texts(self, settings: Mapping[str, object], key: str) -> Iterator[str]:
        values = settings.get(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self._wrong(key, f"{key} is a list of texts", f'Write {key} = ["…"].')
        yield from values

    def _platform(self, text: str) -> Platform:
        try:
            return parse_platform(text)
        except UsageError as error:
            raise self._wrong(text, error.what, error.hint or "") from error

    def _wrong(self, word: str, what: str, hint: str) -> UsageError:
        """An error at the first line that has the word; TOML's reader does not tell lines."""
        pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        lines = (n for n, line in enumerate(self._text.splitlines(), 1) if pattern.search(line.partition("#")[0]))
        return UsageError(what, where=f"{self._path}:{next(lines, 1)}", hint=hint)


def _nearest(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(sorted(known))}."
