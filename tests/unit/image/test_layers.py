"""Layers: compressions and their limits, media types, whiteouts."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.image import compression
from crossdock.image.compression import Compression, unpack
from crossdock.image.layers import walk, whiteout_target
from crossdock.image.model import Descriptor

LAYER = "application/vnd.oci.image.layer.v1.tar"
BODY = bytes(range(256)) * 6000 + b"end"


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True, write_content_size=False).compress(data)


def zstd_stream(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.GZIP: gzip.compress,
    Compression.ZSTD: zstd,
    Compression.XZ: lzma.compress,
    Compression.BZIP2: bz2.compress,
}
PACKED = [kind for kind in Compression if kind is not Compression.NONE]


def unpacked(data: bytes) -> bytes:
    return b"".join(unpack(io.BytesIO(data), "test")[1])


def layer() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("usr/bin/x")
        info.size = len(BODY)
        tar.addfile(info, io.BytesIO(BODY))
    return out.getvalue()


def descriptor(media_type: str, size: int = 1) -> Descriptor:
    return Descriptor(media_type, "sha256:abc", size)


@pytest.mark.parametrize("kind", list(Compression))
def test_round_trip(kind: Compression) -> None:
    data = PACKERS[kind](BODY)
    found, pieces = unpack(io.BytesIO(data), "test")
    assert found is kind
    assert b"".join(pieces) == BODY
    if kind is not Compression.NONE:
        assert unpacked(data + PACKERS[kind](b"second")) == BODY + b"second"


@pytest.mark.parametrize("kind", PACKED)
@given(cut=st.integers(1, 2000))
@settings(max_examples=20, deadline=None)
def test_cut_off(kind: Compression, cut: int) -> None:
    data = PACKERS[kind](BODY)
    cut = 1 + cut % (len(data) - 17)
    with pytest.raises(InputError, match="cut off"):
        unpacked(data[:-cut])


@pytest.mark.parametrize("kind", PACKED)
def test_garbage_behind(kind: Compression) -> None:
    with pytest.raises(InputError, match="followed by something"):
        unpacked(PACKERS[kind](BODY) + b"garbage")
    assert unpacked(PACKERS[kind](BODY) + bytes(3000)) == BODY


@pytest.mark.parametrize("kind", PACKED)
def test_damaged(kind: Compression) -> None:
    data = bytearray(PACKERS[kind](BODY))
    for at in range(len(data) // 2, len(data)):
        data[at] ^= 0x55
    with pytest.raises(InputError, match=kind.value):
        unpacked(bytes(data))


@given(st.sampled_from(PACKED), st.data())
@settings(deadline=None)
def test_any_damage(kind: Compression, data: st.DataObject) -> None:
    whole = bytearray(PACKERS[kind](b"hello world" * 50))
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=4)):
        whole[at] = value
    with contextlib.suppress(InputError):
        unpacked(bytes(whole))


@given(st.integers(0, 3_000_000))
@settings(max_examples=20, deadline=None)
def test_zstd_sizes(size: int) -> None:
    data = (b"0123456789" * (size // 10 + 1))[:size]
    assert unpacked(zstd(data)) == data
    assert unpacked(zstd_stream(data)) == data


def test_zstd_skippable_frame() -> None:
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    assert unpacked(skippable + zstd(BODY) + skippable) == BODY


def test_zlib_takes_over_from_isal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_gzip_decoder", lambda: (compression._ZlibDecoder, zlib.error))
    assert unpacked(gzip.compress(BODY) + gzip.compress(b"second")) == BODY + b"second"
    with pytest.raises(InputError, match="cut off"):
        unpacked(gzip.compress(BODY)[:-9])
    with pytest.raises(InputError, match="damaged"):
        unpacked(b"\x1f\x8b\x08" + b"x" * 100)


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.ZSTD])
def test_bomb(kind: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "FREE_BYTES", 4 << 20)
    bomb = PACKERS[kind](bytes(40 << 20))
    found, pieces = unpack(io.BytesIO(bomb), "layer sha256:x")
    sizes = map(len, pieces)
    with pytest.raises(InputError, match="decompression bomb") as error:
        assert max(sizes) <= compression.CHUNK_BYTES
    assert found is kind
    assert error.value.where == "layer sha256:x"


def test_zstd_window_is_bounded() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=29, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(InputError, match="damaged"):
        unpacked(packer.compress(BODY) + packer.flush())


@pytest.mark.parametrize(
    ("media_type", "pack"),
    [
        (LAYER, bytes),
        (f"{LAYER}+gzip", gzip.compress),
        (f"{LAYER}+zstd", zstd),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip.compress),
        ("application/vnd.docker.image.rootfs.diff.tar", bytes),
    ],
)
def test_media_types(media_type: str, pack: Callable[[bytes], bytes]) -> None:
    ((entry, content),) = [
        (entry, content.take(9)) for entry, content in walk(io.BytesIO(pack(layer())), descriptor(media_type))
    ]
    assert entry.name == "usr/bin/x"
    assert content == BODY[:9]


@pytest.mark.parametrize(
    ("media_type", "pack", "message"),
    [
        (f"{LAYER}+gzip", zstd, "is compressed with zstd, but .* says compressed with gzip"),
        (LAYER, gzip.compress, "says not compressed"),
        (f"{LAYER}+gzip", bytes, "is not compressed"),
        (f"{LAYER}+gzip+encrypted", gzip.compress, "encrypted"),
        ("application/vnd.in-toto+json", bytes, "no file system layer"),
        ("", bytes, "no file system layer"),
    ],
)
def test_wrong_media_type(media_type: str, pack: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        list(walk(io.BytesIO(pack(layer())), descriptor(media_type)))
    assert error.value.where == "layer sha256:abc"


def test_stream_is_read_to_its_end() -> None:
    stream = io.BytesIO(gzip.compress(layer() + bytes(1 << 20)) + bytes(100))
    list(walk(stream, descriptor(f"{LAYER}+gzip")))
    assert stream.read() == b""


def test_compressed_garbage() -> None:
    with pytest.raises(InputError, match="no tar archive"):
        list(walk(io.BytesIO(zlib.compress(b"x", wbits=31)), descriptor(f"{LAYER}+gzip")))


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("usr/bin/x", None),
        ("usr/bin/.wh.x", ("usr/bin/x", False)),
        (".wh.x", ("x", False)),
        ("usr/.wh..wh..opq", ("usr", True)),
        (".wh..wh..opq", ("", True)),
        (".wh..wh.plnk", ("", False)),
        ("a/.wh.", ("", False)),
    ],
)
def test_whiteouts(name: str, target: tuple[str, bool] | None) -> None:
    assert whiteout_target(name) == target
