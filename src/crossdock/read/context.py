"""The build context: the files that COPY and ADD can see."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from crossdock.errors import InputError
from crossdock.read.glob import BadPattern, clean, component
from crossdock.read.ignore import IgnoreRules, Verdicts, load_ignore, parse_ignore


@dataclass(frozen=True)
class ContextFile:
    """A file or symbolic link. ``path`` is relative to the context, with ``/``; ``size`` in bytes; ``link`` is where a
    symbolic link points to, as written in it."""

    path: str
    size: int
    executable: bool
    link: str | None


@dataclass(frozen=True)
class Context:
    """A folder as the builder gets it: without what the ignore file leaves out, and with ``overlay`` (path → bytes)
    lying over it, for files that were ported in memory."""

    root: Path
    ignore: bytes = field(repr=False)
    overlay: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def files(self) -> Iterator[ContextFile]:
        """Every file, sorted by path. Links are not followed. Raises InputError for a folder that cannot be read."""
        yield from self._listed

    def read(self, path: str, limit: int | None = None) -> bytes | None:
        """The bytes of a file, at most ``limit`` of them. None for what is no file, is ignored, or is a link that leads
        out of the context. Raises InputError when it is there and cannot be read."""
        path = _inside(path)
        if self._rules.ignores(path):
            return None
        if path in self.overlay:
            return self.overlay[path][:limit]
        root = self.root.resolve()
        try:
            target = (root / path).resolve()
            if not target.is_relative_to(root) or not target.is_file():
                return None
            with target.open("rb") as file:
                return file.read(-1 if limit is None else limit)
        except (RuntimeError, ValueError):  # a circle of links, a NUL in the name
            return None
        except OSError as error:
            if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
                return None
            raise _unreadable(self.root / path, error) from error

    def match(self, pattern: str) -> tuple[str, ...]:
        """The files that a source of COPY stands for, sorted: a file, everything below a folder, or Go's globs."""
        wanted = [part for part in _inside(pattern).split("/") if part != "."]
        try:
            parts = [component(part) for part in wanted]
        except BadPattern:
            return ()

        def matches(path: str) -> bool:
            names = path.split("/")
            fits = (part.fullmatch(name) for part, name in zip(parts, names, strict=False))
            return len(names) >= len(parts) and all(fits)

        return tuple(entry.path for entry in self._listed if matches(entry.path))

    def with_files(self, files: Mapping[str, bytes]) -> Context:
        """The same context with these files lying over it."""
        return replace(self, overlay=MappingProxyType({**self.overlay, **files}))

    @cached_property
    def _rules(self) -> IgnoreRules:
        return parse_ignore(self.ignore)

    @cached_property
    def _listed(self) -> tuple[ContextFile, ...]:
        found = {entry.path: entry for entry in self._walk()}
        for path, data in self.overlay.items():
            if not self._rules.ignores(path):
                below = found.get(path)
                found[path] = ContextFile(path, len(data), below.executable if below else False, None)
        return tuple(found[path] for path in sorted(found))

    def _walk(self) -> Iterator[ContextFile]:
        rules = self._rules
        folders: list[tuple[str, Verdicts]] = [("", ())]
        while folders:
            folder, above = folders.pop()
            try:
                with os.scandir(self.root / folder) as entries:
                    for entry in entries:
                        path = f"{folder}{entry.name}"
                        ignored, verdicts = rules.below(path, above)
                        if entry.is_dir(follow_symlinks=False):
                            if not (ignored and rules.prunes(path)):
                                folders.append((f"{path}/", verdicts))
                        elif not ignored and (file := _file(entry, path)):
                            yield file
            except OSError as error:
                raise _unreadable(self.root / folder, error) from error


def load_context(root: Path, dockerfile: Path) -> Context:
    """The context of a build. Raises InputError when it is no folder or its ignore file cannot be read."""
    if not root.is_dir():
        raise InputError(
            "the build context is not a folder" if root.exists() else "the build context does not exist",
            where=str(root),
            hint="Name the folder that holds the files to copy, such as `.`.",
        )
    ignore = load_ignore(root, dockerfile)
    parse_ignore(ignore.data, ignore.path)
    return Context(root, ignore.data)


def _inside(path: str) -> str:
    """A path as the builder takes it: from the context's root, which ``..`` cannot leave."""
    return clean(f"/{path}")[1:] or "."


def _file(entry: os.DirEntry[str], path: str) -> ContextFile | None:
    """None for what is neither file nor link (sockets, pipes, devices)."""
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return ContextFile(path, status.st_size, False, str(Path(entry.path).readlink()))
    if not stat.S_ISREG(status.st_mode):
        return None
    return ContextFile(path, status.st_size, bool(status.st_mode & 0o111), None)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"the build context cannot be read: {error.strerror or error}",
        where=str(path),
        hint="Make it readable, or leave it out in .dockerignore.",
    )
