"""The binaries inside packages and archives: zip (.jar, .war, .whl, .egg …), .deb, .tar and Alpine's .apk.

Only the first bytes of each member are looked at; nothing is unpacked to disk. Bundles inside bundles are followed
one level (a .jar in a .war). Sources: APPNOTE.TXT (zip), deb(5).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from crossdock.errors import InputError
from crossdock.image.binary import HEAD_BYTES, LIBRARY_HEAD_BYTES, Binary, Format, identify
from crossdock.image.compression import Readable, unpack
from crossdock.image.tar import Content, Kind, Tar

SEPARATOR = "!/"
"""Between a bundle's path and a member's, as Java writes it: ``lib/a.jar!/native/b.so``."""
MAX_DEPTH = 2
MAX_MEMBERS = 200_000
"""Members of one outer bundle, those of inner ones included."""
MAX_INNER_BYTES = 64 << 20
"""The largest bundle inside a bundle that is looked into."""
MAX_INNER_TOTAL = 1 << 30

_ZIP = b"PK\x03\x04"
_ZIP_SUFFIXES = (".jar", ".war", ".ear", ".whl", ".egg", ".zip", ".apk", ".nupkg", ".aar", ".pex", ".pyz")
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2", ".apk", ".gem")
_NO_BINARY = tuple(
    ".class .java .kt .sig .py .pyi .pyc .js .mjs .ts .map .xml .xsd .html .htm .properties .json .yaml .yml .toml .css"
    " .md .rst .txt .svg .png .gif .jpg .ttf .woff .woff2 .h .sql .MF .kotlin_module .kotlin_metadata".split()
)
"""Members that are not opened: this saves most of the time on a .jar and no binary goes by these names."""


@dataclass(frozen=True, slots=True)
class Member:
    """A binary inside a bundle; ``path`` is relative to the outer bundle."""

    path: str
    binary: Binary


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was found. ``notes`` say what could not be looked at, and why."""

    members: tuple[Member, ...]
    notes: tuple[str, ...] = ()


def is_bundle(name: str, head: bytes) -> bool:
    """Whether a file of this name with these first bytes (16 do) is one ``look_into`` understands.

    Compressed files count only by their name: a gzip file may be anything, and unpacking each manual page is slow.
    """
    if head[:4] == _ZIP:
        return True
    if head[:21] == b"!<arch>\ndebian-binary":
        return True
    lower = name.lower()
    return lower.endswith(_TAR_SUFFIXES) or (lower.endswith(_ZIP_SUFFIXES) and head[:4] != b"PK\x05\x06")


def look_into(name: str, file: BinaryIO) -> Bundle:
    """The binaries in a bundle. ``file`` has to be seekable. Damage is no error but a note, with what was seen so far:
    whether a broken archive matters depends on who asks."""
    search = _Search()
    search.bundle(name, "", file, 1)
    return Bundle(tuple(search.found), tuple(search.notes))


class _Search:
    def __init__(self) -> None:
        self.found: list[Member] = []
        self.notes: list[str] = []
        self._seen = 0
        self._inner = 0

    def bundle(self, name: str, prefix: str, file: BinaryIO, depth: int) -> None:
        head = file.read(24)
        file.seek(0)
        try:
            if head[:21] == b"!<arch>\ndebian-binary":
                self._debian(name, prefix, file, depth)
            elif head[:4] == _ZIP or zipfile.is_zipfile(file):
                self._zip(name, prefix, file, depth)
            else:
                file.seek(0)
                self._tar(name, prefix, file, depth)
        except _Enough:
            pass
        except InputError as error:
            self.notes.append(f"{name}: {error.what}")

    def _zip(self, name: str, prefix: str, file: BinaryIO, depth: int) -> None:
        try:
            with zipfile.ZipFile(file) as archive:
                for info in archive.infolist():
                    self._count(name)
                    if info.is_dir() or info.file_size < 8 or info.filename.endswith(_NO_BINARY):
                        continue
                    if info.flag_bits & 1:
                        self.notes.append(f"{prefix}{info.filename}: is encrypted")
                        continue
                    with archive.open(info) as member:
                        self._member(prefix + info.filename, member, info.file_size, depth)
        except (_Enough, InputError):
            raise
        except Exception as error:  # zipfile raises a dozen kinds on damaged files
            raise InputError(f"is a damaged zip archive: {error or type(error).__name__}") from error

    def _tar(self, name: str, prefix: str, file: Readable, depth: int) -> None:
        for entry, content in Tar(unpack(file, name)[1], name):
            self._count(name)
            if entry.kind is Kind.FILE and entry.size >= 8 and not entry.name.endswith(_NO_BINARY):
                self._member(prefix + entry.name, _TarMember(content), entry.size, depth)

    def _debian(self, name: str, prefix: str, file: BinaryIO, depth: int) -> None:
        """A Debian package is an ar archive whose member ``data.tar.*`` holds the files (deb(5))."""
        file.seek(8)
        while True:
            header = file.read(60)
            if len(header) < 60:
                raise InputError("is a Debian package without data")
            digits = header[48:58].strip()
            if not digits.isdigit() or header[58:] != b"`\n":
                raise InputError("is a damaged Debian package")
            if header.startswith(b"data.tar"):
                self._tar(name, prefix, _Window(file, int(digits)), depth)
                return
            file.seek(int(digits) + (int(digits) & 1), io.SEEK_CUR)

    def _member(self, path: str, content: Readable, size: int, depth: int) -> None:
        head = _read(content, HEAD_BYTES)
        binary = identify(head)
        if binary is not None:
            if binary.format is Format.STATIC_LIBRARY and not binary.architectures:
                binary = identify(head + _read(content, LIBRARY_HEAD_BYTES)) or binary
            self.found.append(Member(path, binary))
        elif is_bundle(path, head):
            if depth >= MAX_DEPTH:
                self.notes.append(f"{path}: not looked into, bundles are followed {MAX_DEPTH} levels deep")
            elif size > MAX_INNER_BYTES or self._inner + size > MAX_INNER_TOTAL:
                self.notes.append(f"{path}: not looked into, {size:,} bytes are too many inside another bundle")
            else:
                self._inner += size
                whole = io.BytesIO(head + _read(content, size - len(head)))
                self.bundle(path, path + SEPARATOR, whole, depth + 1)

    def _count(self, name: str) -> None:
        self._seen += 1
        if self._seen > MAX_MEMBERS:
            self.notes.append(f"{name}: has more than {MAX_MEMBERS:,} members; the rest was not looked at")
            raise _Enough


class _Enough(Exception):
    """A limit was reached; what was found so far counts."""


class _TarMember:
    """A tar entry's content as something to read from."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def read(self, size: int = 0, /) -> bytes:
        return self._content.take(size)


class _Window:
    """The next ``size`` bytes of a file as something to read from."""

    def __init__(self, file: Readable, size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = 0, /) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _read(content: Readable, size: int) -> bytes:
    """``size`` bytes, fewer at the end; never trusts a stated size with memory."""
    return b"".join(_pieces(content, size))


def _pieces(content: Readable, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := content.read(min(size, 1 << 20))):
        size -= len(piece)
        yield piece
