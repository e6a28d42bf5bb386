"""Decompressing a stream piece by piece, with limits: gzip, zstd, xz, bzip2 or none, told apart by their magic.

Sources: RFC 1952 (gzip, several members), RFC 8878 (zstd, several frames).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Protocol

from crossdock.errors import InputError

READ_BYTES = 256 << 10
CHUNK_BYTES = 1 << 20
"""How much a decompressor may yield at once; what bounds the memory."""
MAX_BYTES = 256 << 30
"""What one stream may unpack to."""
MAX_RATIO = 250
"""How many times its packed size a stream may unpack to, once that is more than ``FREE_BYTES``."""
FREE_BYTES = 1 << 30
MAX_WINDOW_BYTES = 128 << 20
"""The most memory a zstd or xz stream may ask for."""


class Compression(StrEnum):
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    XZ = "xz"
    BZIP2 = "bzip2"


def detect(head: bytes) -> Compression:
    """From the first bytes; NONE for everything that is not known as compressed."""
    if head[:2] == b"\x1f\x8b":
        return Compression.GZIP
    if head[:4] == b"\x28\xb5\x2f\xfd" or (head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F):
        return Compression.ZSTD
    if head[:6] == b"\xfd7zXZ\0":
        return Compression.XZ
    if head[:3] == b"BZh" and head[4:10] == b"1AY&SY":
        return Compression.BZIP2
    return Compression.NONE


class Readable(Protocol):
    """Anything with ``read``; fewer bytes than asked for only at the end, none behind it."""

    def read(self, size: int = ..., /) -> bytes: ...


class Packed:
    """A stream of packed bytes that can be looked at before it is read and counts what it gave."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._ahead = b""
        self._at = 0
        self.given = 0

    def peek(self, size: int) -> bytes:
        while len(self._ahead) - self._at < size:
            more = self._stream.read(READ_BYTES)
            if not more:
                break
            self._ahead = self._ahead[self._at :] + more
            self._at = 0
        return self._ahead[self._at : self._at + size]

    def read(self) -> bytes:
        """The next piece, of any length; empty at the end."""
        piece = self._ahead[self._at :] or self._stream.read(READ_BYTES)
        self._ahead, self._at = b"", 0
        self.given += len(piece)
        return piece

    def take(self, size: int) -> bytes:
        """Exactly ``size`` bytes, fewer at the end."""
        piece = self.peek(size)
        self._at += len(piece)
        self.given += len(piece)
        return piece

    def give_back(self, piece: bytes) -> None:
        self._ahead, self._at = piece + self._ahead[self._at :], 0
        self.given -= len(piece)


def unpack(stream: Readable, where: str) -> tuple[Compression, Iterator[bytes]]:
    """What compression a stream has, and its unpacked bytes in pieces of at most ``CHUNK_BYTES``.

    The stream is read to its end. While iterating, raises InputError at ``where`` when it is cut off, damaged,
    followed by something else, or unpacks to more than the limits above.
    """
    packed = Packed(stream)
    compression = detect(packed.peek(16))
    return compression, _limited(packed, _pieces(packed, compression, where), where)


def unpack_head(packed: bytes, size: int) -> bytes:
    """The first ``size`` unpacked bytes out of the first packed ones, as many as they hold: none of what is damaged or
    not packed. Never raises; unpacks no more than is asked for, but for zstd, whose blocks are whole."""
    try:
        match detect(packed[:16]):
            case Compression.GZIP:
                return zlib.decompressobj(wbits=31).decompress(packed, size)
            case Compression.XZ:
                return _xz_decoder().decompress(packed, size)
            case Compression.BZIP2:
                return bz2.BZ2Decompressor().decompress(packed, size)
            case Compression.ZSTD:
                import zstandard

                library = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
                with library.stream_reader(packed, read_size=len(packed)) as reader:
                    return reader.read(size)
            case Compression.NONE:
                return b""
    except Exception:  # each library has errors of its own, and here all of them mean that nothing can be seen
        return b""


def _pieces(packed: Packed, compression: Compression, where: str) -> Iterator[bytes]:
    match compression:
        case Compression.NONE:
            return _plain(packed)
        case Compression.GZIP:
            return _members(packed, *_gzip_decoder(), compression, where)
        case Compression.XZ:
            return _members(packed, _xz_decoder, lzma.LZMAError, compression, where)
        case Compression.BZIP2:
            return _members(packed, bz2.BZ2Decompressor, OSError, compression, where)
        case Compression.ZSTD:
            return _zstd_frames(packed, where)


def _limited(packed: Packed, pieces: Iterator[bytes], where: str) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > FREE_BYTES and (total > MAX_BYTES or total > packed.given * MAX_RATIO):
            raise InputError(
                f"{packed.given:,} packed bytes unpack to more than {total:,}; that is a decompression bomb",
                where=where,
                hint="Do not use this image or file. Real layers unpack to some ten times their size at most.",
            )
        yield piece


def _plain(packed: Packed) -> Iterator[bytes]:
    while piece := packed.read():
        yield piece


class _Decoder(Protocol):
    """What the standard library's and isal's decompressor objects have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


class _ZlibDecoder:
    """zlib's gzip decoder with the interface of the others, for machines without isal."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def needs_input(self) -> bool:
        return not self._decoder.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data

    def decompress(self, data: bytes, max_length: int = 0) -> bytes:
        return self._decoder.decompress(self._decoder.unconsumed_tail + data, max_length)


def _gzip_decoder() -> tuple[Callable[[], _Decoder], type[Exception]]:
    """The fastest there is, and what it raises."""
    try:
        from isal import igzip_lib
    except ImportError:
        return _ZlibDecoder, zlib.error
    failure: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]  # its stub calls the class an instance
    return lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP), failure


def _xz_decoder() -> _Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, MAX_WINDOW_BYTES)


def _members(
    packed: Packed,
    new_decoder: Callable[[], _Decoder],
    failure: type[Exception],
    compression: Compression,
    where: str,
) -> Iterator[bytes]:
    while True:
        decoder = new_decoder()
        while not decoder.eof:
            data = packed.read() if decoder.needs_input else b""
            try:
                piece = decoder.decompress(data, CHUNK_BYTES)
            except failure as error:
                raise _damaged(compression, f"is damaged: {error}", where) from error
            if piece:
                yield piece
            elif not data and decoder.needs_input and not decoder.eof:
                raise _damaged(compression, "is cut off", where)
        packed.give_back(decoder.unused_data)
        _skip_padding(packed)
        head = packed.peek(16)
        if not head:
            return
        if detect(head) is not compression:
            raise _damaged(compression, "is followed by something that is none", where)


def _skip_padding(packed: Packed) -> None:
    """Zero bytes behind a member are padding (gzip(1), xz(1))."""
    while packed.peek(1) == b"\0":
        rest = packed.read().lstrip(b"\0")
        packed.give_back(rest)


_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_BLOCK = 128 << 10


def _zstd_frames(packed: Packed, where: str) -> Iterator[bytes]:
    """Frames are walked block by block and handed over in groups that cannot unpack to more than a chunk, as the
    library has no such limit and does not tell when a stream is cut off."""
    import zstandard

    library = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)

    def take(size: int) -> bytes:
        data = packed.take(size)
        if len(data) < size:
            raise _damaged(Compression.ZSTD, "is cut off", where)
        return data

    while head := packed.peek(16):
        if head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F:
            left = int.from_bytes(take(8)[4:], "little")
            while left:
                left -= len(take(min(left, READ_BYTES)))
            continue
        if head[:4] != _ZSTD_MAGIC:
            _skip_padding(packed)
            if packed.peek(1):
                raise _damaged(Compression.ZSTD, "is followed by something that is none", where)
            return
        decoder = library.decompressobj()
        group = take(_zstd_header_size(head))
        checksum = bool(head[4] & 4)
        size, last = 0, False
        while not last:
            header = take(3)
            block = int.from_bytes(header, "little")
            last, kind, length = bool(block & 1), block >> 1 & 3, block >> 3
            if length > _ZSTD_BLOCK or kind == 3:
                raise _damaged(Compression.ZSTD, "is damaged: a block is longer than the format allows", where)
            group += header + take(1 if kind == 1 else length)
            size += _ZSTD_BLOCK if kind == 2 else length
            if last and checksum:
                group += take(4)
            if last or size + _ZSTD_BLOCK > CHUNK_BYTES:
                try:
                    piece = decoder.decompress(group)
                except zstandard.ZstdError as error:
                    raise _damaged(Compression.ZSTD, f"is damaged: {error}", where) from error
                group, size = b"", 0
                if piece:
                    yield piece
        if not decoder.eof:
            raise _damaged(Compression.ZSTD, "is damaged: a frame has no end", where)


def _zstd_header_size(head: bytes) -> int:
    """The length of a frame's magic and header (RFC 8878 section 3.1.1.1)."""
    flags = head[4] if len(head) > 4 else 0
    single = flags >> 5 & 1
    dictionary = (0, 1, 2, 4)[flags & 3]
    content = (single, 2, 4, 8)[flags >> 6]
    return 5 + (1 - single) + dictionary + content


def _damaged(compression: Compression, what: str, where: str) -> InputError:
    return InputError(
        f"the {compression.value} stream {what}",
        where=where,
        hint="Pull, copy or build it again; what is there was not written or transferred completely.",
    )
