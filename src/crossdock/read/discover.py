"""Finding the files in folders that can be checked: Dockerfiles, and what else declares platforms."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from crossdock.errors import InputError
from crossdock.findings import Skipped
from crossdock.read.files import LARGEST, is_dockerfile_name, is_other_file, looks_like_manifest, may_be_manifest

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

NAMES = ("Dockerfile", "Dockerfile.*", "*.Dockerfile", "*.dockerfile", "Containerfile", "Containerfile.*")
_NOT = ("*.dockerignore", "*.containerignore", "*~", "*.bak", "*.orig", "*.rej", "*.sw[op]", "*.tmp", ".#*", "#*")
_TEMPLATES = ("*.erb", "*.j2", "*.jinja", "*.jinja2", "*.m4", "*.mustache", "*.template", "*.tmpl", "*.tpl")


@dataclass(frozen=True)
class FoundFiles:
    """What was found: Dockerfiles, other files that declare platforms, and what was passed over and why."""

    dockerfiles: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def find_files(paths: Iterable[Path]) -> FoundFiles:
    """The Dockerfiles, compose files, Kubernetes manifests, workflows, pipelines and bake files in ``paths``.

    A file is taken as it is. A folder is searched, without what its .gitignore files (and those above it in the same
    repository) leave out, without .git, and without following links to folders. Raises InputError for a path that does
    not exist.
    """
    found: dict[Path, bool] = {}
    skipped: list[Skipped] = []
    for path in paths:
        if path.is_dir():
            found |= sorted(_search(path, skipped))
        elif path.is_file():
            found[path] = _is_name(path.name) or is_dockerfile_name(path.name)
        else:
            raise InputError(
                "this is neither a file nor a folder" if path.exists() else "there is no such file or folder",
                where=str(path),
                hint="Name a Dockerfile, or a folder to search for Dockerfiles.",
            )
    dockerfiles = tuple(path for path, is_dockerfile in found.items() if is_dockerfile)
    others = tuple(path for path, is_dockerfile in found.items() if not is_dockerfile)
    return FoundFiles(dockerfiles, others, tuple(skipped))


def _is_name(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in NAMES) and not any(
        fnmatchcase(name, pattern) for pattern in _NOT
    )


def _search(top: Path, skipped: list[Skipped]) -> Iterator[tuple[Path, bool]]:
    """Each file, and whether it is a Dockerfile."""
    real = top.resolve()
    folders = [(top, _GitIgnore.above(real))]
    while folders:
        folder, ignore = folders.pop()
        ignore = ignore.inside(real / folder.relative_to(top))
        try:
            with os.scandir(folder) as scan:
                entries = list(scan)
        except OSError as error:
            skipped.append(Skipped(str(folder), f"the folder cannot be read: {error.strerror}"))
            continue
        for entry in entries:
            path = folder / entry.name
            there = real / path.relative_to(top)
            if entry.is_dir(follow_symlinks=False):
                if entry.name == "templates" and (folder / "Chart.yaml").is_file():
                    how = f"render them: helm template {folder} | crossdock platforms -f -"
                    skipped.append(Skipped(f"the templates of the chart {folder}", how))
                elif entry.name != ".git" and not ignore.ignores(there, folder=True):
                    folders.append((path, ignore))
            elif _is_name(entry.name) and entry.is_file():
                if ignore.ignores(there, folder=False):
                    skipped.append(Skipped(str(path), "left out by .gitignore"))
                elif any(fnmatchcase(entry.name, pattern) for pattern in _TEMPLATES):
                    skipped.append(Skipped(str(path), "a template, not a Dockerfile"))
                else:
                    yield path, True
            elif _is_other(path) and entry.is_file() and not ignore.ignores(there, folder=False):
                yield path, False


def _is_other(path: Path) -> bool:
    """Whether a file of another kind is to be read. A Kubernetes manifest may have any name, so it is looked into."""
    if is_other_file(path):
        return True
    if not may_be_manifest(path):
        return False
    try:
        return path.stat().st_size <= LARGEST and looks_like_manifest(path.read_bytes())
    except OSError:
        return False


class _GitIgnore:
    """The .gitignore files from the repository's top down to a folder; the deepest that says something decides.
    Paths are resolved ones."""

    def __init__(self, levels: tuple[tuple[Path, GitIgnoreSpec], ...] = ()) -> None:
        self._levels = levels

    @classmethod
    def above(cls, folder: Path) -> _GitIgnore:
        """The files above ``folder``, from the top of its repository; none outside a repository."""
        for top in (folder, *folder.parents):
            if (top / ".git").exists():
                ignore = cls()
                for level in reversed([level for level in folder.parents if level.is_relative_to(top)]):
                    ignore = ignore.inside(level)
                return ignore
        return cls()

    def inside(self, folder: Path) -> _GitIgnore:
        """The same with the .gitignore of a folder one level deeper, if it has one."""
        try:
            text = (folder / ".gitignore").read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            return self
        return _GitIgnore((*self._levels, (folder, _spec(text.splitlines()))))

    def ignores(self, path: Path, *, folder: bool) -> bool:
        for level, spec in reversed(self._levels):
            relative = path.relative_to(level).as_posix()
            verdict = spec.check_file(f"{relative}/" if folder else relative).include
            if verdict is not None:
                return verdict
        return False


def _spec(lines: list[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except (ValueError, re.error):  # git passes over a line that it cannot read, and takes the others
        return GitIgnoreSpec.from_lines([line for line in lines if _readable(line)])


def _readable(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except (ValueError, re.error):
        return False
    return True
