"""Verifying a root file system that is no image: a folder (a chroot, a mounted disk) or a tar (docker export)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from crossdock.config import Allowed
from crossdock.errors import InputError
from crossdock.image.compression import Compression, detect
from crossdock.image.model import OCI_LAYER, Descriptor
from crossdock.image.tar import Content, Kind
from crossdock.platforms import Platform
from crossdock.verify.binaries import check_binaries
from crossdock.verify.contents import File, LayerContents, read_file, read_layer
from crossdock.verify.filesystem import FileSystem
from crossdock.verify.machines import Machine, check_machine
from crossdock.verify.model import CheckResult, Status, VerifyResult

_SUFFIX = {Compression.GZIP: "+gzip", Compression.ZSTD: "+zstd"}
"""Of a layer's media type."""
_MOST_SHOWN = 5


def verify_root(
    path: Path, platform: Platform, machine: Machine | None = None, allow: tuple[Allowed, ...] = ()
) -> VerifyResult:
    """Check all binaries below a folder, or in a tar, against ``platform``, which nothing there says by itself; those
    that ``allow`` names may be of another. Raises InputError for a path that is neither."""
    name = f"rootfs:{path}"
    system = FileSystem()
    results: list[CheckResult] = []
    if path.is_dir():
        contents, passed_over = read_folder(path)
        if passed_over:
            shown = ", ".join(f"/{one}" for one in passed_over[:_MOST_SHOWN])
            more = f" and {len(passed_over) - _MOST_SHOWN} more" if len(passed_over) > _MOST_SHOWN else ""
            text = f"not looked into, as other file systems are mounted there: {shown}{more}"
            results.append(CheckResult("layers", Status.SKIPPED, text, platform))
    else:
        contents = _read_tar(path)
    system.add(contents)
    files = sum(file.kind is Kind.FILE for _, file in contents.files)
    results.append(CheckResult("layers", Status.PASSED, f"{files:,} files", platform))
    results += check_binaries(system, platform, (), allow)
    results += check_machine(system, platform, (), machine)
    return VerifyResult(name, "", (platform,), tuple(results))


def read_folder(root: Path) -> tuple[LayerContents, tuple[str, ...]]:
    """The facts about each file below a folder, and the folders that were passed over because something else is mounted
    there. What cannot be read is noted with its file."""
    device = root.stat().st_dev
    files: list[tuple[str, File]] = []
    linked: dict[int, File] = {}
    passed_over: list[str] = []
    pending = [""]
    while pending:
        folder = pending.pop()
        for entry in _entries(root / folder, files, folder):
            path = f"{folder}/{entry.name}".lstrip("/")
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                files.append((path, File(Kind.DIRECTORY, status.st_mode)))
                if status.st_dev == device:
                    pending.append(path)
                else:
                    passed_over.append(path)
                continue
            file = linked.get(status.st_ino) or _read(entry, path, status)
            if status.st_nlink > 1:
                linked[status.st_ino] = file  # a hard link is the same file
            files.append((path, file))
    return LayerContents("", (), (), tuple(files), ()), tuple(sorted(passed_over))


def _entries(folder: Path, files: list[tuple[str, File]], name: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        trouble = (f"cannot be read: {error.strerror}",)
        files.append((f"{name}/".lstrip("/"), File(Kind.OTHER, 0, trouble=trouble)))


def _read(entry: os.DirEntry[str], path: str, status: os.stat_result) -> File:
    if stat.S_ISLNK(status.st_mode):
        return File(Kind.SYMLINK, status.st_mode, str(Path(entry.path).readlink()))
    if not stat.S_ISREG(status.st_mode):
        return File(Kind.OTHER, status.st_mode)
    try:
        with Path(entry.path).open("rb") as file:
            return read_file(path, status.st_mode, status.st_size, Content(_Forward(file), status.st_size))
    except OSError as error:
        return File(Kind.FILE, status.st_mode, trouble=(f"cannot be read: {error.strerror}",))


class _Forward:
    """A file as the source of a ``Content``: what is skipped is not read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def exactly(self, size: int) -> bytes:
        return self._file.read(size)

    def skip(self, size: int) -> None:
        self._file.seek(size, os.SEEK_CUR)


def _read_tar(path: Path) -> LayerContents:
    try:
        with path.open("rb") as file:
            kind = _SUFFIX.get(detect(file.read(16)), "")
            file.seek(0)
            return read_layer(file, Descriptor(f"{OCI_LAYER}{kind}", str(path), path.stat().st_size))
    except OSError as error:
        hint = "Name a folder with a root file system, or a tar of one (docker export)."
        raise InputError(f"cannot be read: {error.strerror or error}", where=str(path), hint=hint) from error
