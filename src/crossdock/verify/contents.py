"""What one layer brings: the facts about each of its files that verification needs, and nothing else of them."""

from __future__ import annotations

import bisect
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from posixpath import basename
from typing import BinaryIO, cast

from crossdock.errors import CrossdockError
from crossdock.image.binary import HEAD_BYTES, LIBRARY_HEAD_BYTES, Binary, Format, identify
from crossdock.image.bundles import Member, is_bundle, look_into
from crossdock.image.compression import unpack_head
from crossdock.image.elf import CorruptElf, Dynamic, read_dynamic
from crossdock.image.layers import walk, whiteout_target
from crossdock.image.model import Descriptor
from crossdock.image.packages import MAX_BYTES, UNREAD, is_package_database, read_packages
from crossdock.image.tar import Content, Kind

ELF_WINDOW_BYTES = 16 << 20
"""How much of an ELF file from its start is held while its dynamic section, which comes late, is waited for."""
BUNDLE_MEMORY_BYTES = 32 << 20
"""A larger .jar or .deb is looked into through an unnamed temporary file."""
MAX_BUNDLE_BYTES = 4 << 30
MAX_TEXT_BYTES = 64 << 10
PACKED_MODULE_BYTES = 160 << 10
"""How much of a packed kernel module is read: more than a block of zstd, which unpacks whole (RFC 8878)."""
SCRIPT_LINE_BYTES = 256
"""How much of a ``#!`` line the kernel reads (BINPRM_BUF_SIZE)."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, link or folder of a layer. ``link`` is a symlink's text or a hard link's path.

    ``script`` is the first line behind ``#!`` of an executable script, as bytes decode (a trailing carriage return is
    kept: the kernel keeps it too). ``text`` is the whole content of the loader's configuration files, ``packages``
    what a database of packages lists, with versions. ``trouble`` says
    what could not be read. ``fingerprint`` tells one binary from another by size and first bytes, within this process.
    """

    kind: Kind
    mode: int
    link: str = ""
    binary: Binary | None = None
    dynamic: Dynamic | None = None
    script: str = ""
    members: tuple[Member, ...] = ()
    text: str = ""
    packages: tuple[tuple[str, str], ...] = ()
    trouble: tuple[str, ...] = ()
    fingerprint: int = 0


@dataclass(frozen=True)
class LayerContents:
    """The facts about one layer, in the order they apply: what is hidden of the layers below, then what is put there.

    ``escaping`` are names that lead outside of the image.
    """

    digest: str
    hidden: tuple[str, ...]
    opaque: tuple[str, ...]
    files: tuple[tuple[str, File], ...]
    escaping: tuple[str, ...]


def read_layer(stream: BinaryIO, descriptor: Descriptor) -> LayerContents:
    """Stream a layer once. Raises InputError naming its digest when it is damaged."""
    hidden: list[str] = []
    opaque: list[str] = []
    files: list[tuple[str, File]] = []
    escaping: list[str] = []
    for entry, content in walk(stream, descriptor):
        if entry.escapes:
            escaping.append(entry.name)
            continue
        if (target := whiteout_target(entry.name)) is not None:
            path, is_opaque = target
            if is_opaque:
                opaque.append(path)
            elif path:
                hidden.append(path)
            continue
        if entry.kind is Kind.FILE:
            file = read_file(entry.name, entry.mode, entry.size, content)
        elif entry.link:
            file = File(entry.kind, entry.mode, entry.link)
        else:
            file = _plain(entry.kind, entry.mode)
        files.append((entry.name, file))
    return LayerContents(descriptor.digest, tuple(hidden), tuple(opaque), tuple(files), tuple(escaping))


_PACKED_MODULES = (".ko.xz", ".ko.zst", ".ko.gz")
"""Kernel modules (Linux, CONFIG_MODULE_COMPRESS)."""


def read_file(name: str, mode: int, size: int, content: Content) -> File:
    """The facts about one regular file; ``name`` is its path, as far as it is known."""
    head = content.take(HEAD_BYTES)
    binary = identify(head)
    if binary is not None:
        fingerprint = hash((size, head))
        if binary.format is Format.STATIC_LIBRARY and not binary.architectures:
            binary = identify(head + content.take(LIBRARY_HEAD_BYTES)) or binary
        file = File(Kind.FILE, mode, binary=binary, fingerprint=fingerprint)
        if binary.format is Format.ELF and binary.is_loaded:
            return _with_dynamic(file, _Forward(head, content))
        return file
    if head[:2] == b"#!" and mode & 0o111:
        line = head[2:SCRIPT_LINE_BYTES].partition(b"\n")[0]
        return File(Kind.FILE, mode, script=line.decode("utf-8", "surrogateescape"))
    if name.endswith(_PACKED_MODULES):
        packed = head + content.take(PACKED_MODULE_BYTES)
        return File(Kind.FILE, mode, binary=identify(unpack_head(packed, HEAD_BYTES)))
    if is_package_database(name):
        return _database(name, mode, size, head, content)
    if UNREAD.match(name):
        return File(Kind.FILE, mode, trouble=("a database of rpm in an older form, which is not read",))
    if is_bundle(name, head):
        return _bundle(name, mode, size, head, content)
    if _is_loader_configuration(name):
        text = head + content.take(MAX_TEXT_BYTES - len(head))
        return File(Kind.FILE, mode, text=text.decode("utf-8", "replace"))
    return _plain(Kind.FILE, mode)


@cache
def _plain(kind: Kind, mode: int) -> File:
    """Most files say nothing but their mode: one object stands for all of them."""
    return File(kind, mode)


def _with_dynamic(file: File, forward: _Forward) -> File:
    try:
        return replace(file, dynamic=read_dynamic(forward.read, forward.hold))
    except CorruptElf as error:
        return replace(file, trouble=(error.what,))


def _database(name: str, mode: int, size: int, head: bytes, content: Content) -> File:
    if size > MAX_BYTES:
        return File(Kind.FILE, mode, trouble=(f"not looked into: {size:,} bytes are too many",))
    packages = read_packages(name, head + content.take(size))
    return File(Kind.FILE, mode, packages=tuple(sorted(packages.items())))


def _bundle(name: str, mode: int, size: int, head: bytes, content: Content) -> File:
    if size > MAX_BUNDLE_BYTES:
        return File(Kind.FILE, mode, trouble=(f"not looked into: {size:,} bytes are too many",))
    try:
        with tempfile.SpooledTemporaryFile(BUNDLE_MEMORY_BYTES) as spool:
            spool.write(head)
            for piece in _pieces(content):
                spool.write(piece)
            spool.seek(0)
            bundle = look_into(basename(name), cast("BinaryIO", spool))
    except OSError as error:
        raise CrossdockError(
            f"cannot keep a large archive of the image for a moment: {error.strerror or error}",
            where=tempfile.gettempdir(),
            hint="Free some space there, or set TMPDIR to a folder that has it.",
        ) from error
    return File(Kind.FILE, mode, members=bundle.members, trouble=bundle.notes)


def _pieces(content: Content) -> Iterator[bytes]:
    while piece := content.take(1 << 20):
        yield piece


def _is_loader_configuration(name: str) -> bool:
    if not name.startswith("etc/ld"):
        return False
    return name == "etc/ld.so.conf" or name.startswith(("etc/ld.so.conf.d/", "etc/ld-musl-"))


class _Forward:
    """Reading an ELF file out of a stream: of what is passed over, the first ELF_WINDOW_BYTES are held, or the parts
    that ``hold`` names, and behind that what was asked for. To ask for anything else that was passed over is a
    CorruptElf that says so; what linkers write does not need it."""

    def __init__(self, head: bytes, content: Content) -> None:
        self._content = content
        self._starts = [0]
        self._pieces = [head]
        """What is held, ascending; there may be gaps."""
        self._at = len(head)
        self._parts: tuple[tuple[int, int], ...] = ((0, ELF_WINDOW_BYTES),)

    def hold(self, parts: Sequence[tuple[int, int]]) -> None:
        """Hold these parts (offsets of start and end) alone. Copying costs more than all else that is done here."""
        held = ((start, min(end, start + ELF_WINDOW_BYTES)) for start, end in parts)
        self._parts = tuple(sorted(held))

    def read(self, offset: int, size: int) -> bytes:
        end = offset + size
        while self._at < end and self._content.left:
            limit = next((last for first, last in self._parts if first <= self._at < last), 0)
            if not limit and self._at < offset:
                following = min((first for first, _ in self._parts if first > self._at), default=offset)
                left = self._content.left
                self._content.skip(min(offset, following) - self._at)
                self._at += left - self._content.left
                continue
            piece = self._content.take(min((min(end, limit) if limit else end) - self._at, 1 << 20))
            self._starts.append(self._at)
            self._pieces.append(piece)
            self._at += len(piece)
        return self._held(offset, min(end, self._at))

    def _held(self, offset: int, end: int) -> bytes:
        out: list[bytes] = []
        number = bisect.bisect_right(self._starts, offset) - 1
        while offset < end:
            start, piece = self._starts[number], self._pieces[number]
            if not start <= offset < start + len(piece):
                raise CorruptElf("its parts are in an unusual order, too far from each other")
            out.append(piece[offset - start : end - start])
            offset += len(out[-1])
            number += 1
            if number == len(self._starts) and offset < end:
                raise CorruptElf("its parts are in an unusual order, too far from each other")
        return b"".join(out)
