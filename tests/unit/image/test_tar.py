"""The tar walker against Python's tarfile, and on what no program should write."""

from __future__ import annotations

import contextlib
import io
import struct
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.image.tar import Entry, Kind, Tar, normalise

KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.GNUTYPE_SPARSE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK,
    tarfile.CHRTYPE: Kind.DEVICE,
    tarfile.BLKTYPE: Kind.DEVICE,
    tarfile.FIFOTYPE: Kind.FIFO,
}


def pieces(data: bytes, size: int = 700) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def walk(data: bytes, size: int = 700) -> list[tuple[Entry, bytes]]:
    return [(entry, content.take(entry.size)) for entry, content in Tar(pieces(data, size), "test")]


def archive(*entries: tuple[str, bytes, bytes, str], format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as tar:
        for name, kind, body, link in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(body)
            tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


part = st.text(st.sampled_from("ab.é漢 -_"), min_size=1, max_size=30).filter(lambda text: text not in (".", ".."))
names = st.lists(part, min_size=1, max_size=12).map("/".join)
kinds = st.sampled_from([kind for kind in KINDS if kind != tarfile.GNUTYPE_SPARSE])


@st.composite
def entries(draw: st.DrawFn) -> tuple[str, bytes, bytes, str]:
    name, kind = draw(names), draw(kinds)
    if kind == tarfile.AREGTYPE and len(name.encode()) > 100:
        # tarfile takes a slash at the end of the cut-off short name for the mark of a folder.
        kind = tarfile.REGTYPE
    plain = kind in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
    body = draw(st.binary(max_size=2000)) if plain else b""
    link = draw(names) if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return name, kind, body, link


@given(
    st.lists(entries(), max_size=6),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
    st.integers(1, 3000),
)
@settings(max_examples=150, deadline=None)
def test_agrees_with_tarfile(wanted: list[tuple[str, bytes, bytes, str]], format: int, size: int) -> None:
    data = archive(*wanted, format=format)
    found = walk(data, size)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = tar.getmembers()
        assert len(found) == len(members)
        for (entry, body), info in zip(found, members, strict=True):
            assert entry.name == normalise(info.name)
            assert entry.kind is KINDS[info.type]
            assert entry.mode == info.mode
            if entry.kind is Kind.SYMLINK:
                assert entry.link == info.linkname
            if entry.kind is Kind.HARDLINK:
                assert entry.link == normalise(info.linkname)
            if entry.kind is Kind.FILE:
                file = tar.extractfile(info)
                assert file is not None
                assert body == file.read()


@given(st.lists(entries(), min_size=1, max_size=4), st.data())
@settings(max_examples=200, deadline=None)
def test_damage_is_an_error_or_harmless(wanted: list[tuple[str, bytes, bytes, str]], data: st.DataObject) -> None:
    whole = bytearray(archive(*wanted))
    del whole[data.draw(st.integers(0, len(whole))) :]
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, max(0, len(whole) - 1)), st.integers(0, 255)))):
        if whole:
            whole[at] = value
    with contextlib.suppress(InputError):
        for _, content in Tar(pieces(bytes(whole)), "test"):
            content.take(100)


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("./usr/bin/x", "usr/bin/x"),
        ("/usr/bin/x", "usr/bin/x"),
        ("usr//bin/./x/", "usr/bin/x"),
        ("usr/lib/../bin/x", "usr/bin/x"),
        ("./", ""),
        (".", ""),
        ("..x/...", "..x/..."),
        ("../etc/passwd", None),
        ("a/../../etc/passwd", None),
        ("/..", None),
    ],
)
def test_names(name: str, clean: str | None) -> None:
    assert normalise(name) == clean


def test_escaping_names_are_told() -> None:
    data = archive(("../../etc/cron.d/x", tarfile.REGTYPE, b"evil", ""), ("ok", tarfile.LNKTYPE, b"", "../shadow"))
    (first, _), (second, _) = walk(data)
    assert first.escapes
    assert first.name == "../../etc/cron.d/x"
    assert second.escapes


def header(name: bytes, size: bytes, kind: bytes = b"0", rest: bytes = b"") -> bytes:
    block = bytearray(512)
    block[:100] = name.ljust(100, b"\0")
    block[100:108] = b"0000755\0"
    block[124:136] = size
    block[156:157] = kind
    block[257:265] = b"ustar  \0"
    block[386 : 386 + len(rest)] = rest
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def test_base_256_sizes() -> None:
    size = b"\x80" + (5).to_bytes(11, "big")
    data = header(b"x", size) + b"hello".ljust(512, b"\0") + bytes(1024)
    assert [body for _, body in walk(data)] == [b"hello"]
    negative = header(b"x", b"\xff" * 12)
    with pytest.raises(InputError, match="size out of range"):
        walk(negative)


def test_old_gnu_sparse() -> None:
    rest = b"".join(f"{number:011o}\0".encode() for number in (512, 5, 2000, 0)) + bytes(96 - 48) + b"\0"
    rest += f"{2000:011o}\0".encode()
    data = header(b"x", b"00000000005\0", b"S", rest) + b"hello".ljust(512, b"\0") + bytes(1024)
    ((entry, body),) = walk(data)
    assert entry.size == 2000
    assert body == bytes(512) + b"hello" + bytes(2000 - 517)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        file = tar.extractfile("x")
        assert file is not None
        assert file.read() == body


def test_sparse_content_skips() -> None:
    rest = b"".join(f"{number:011o}\0".encode() for number in (512, 5, 8**11 - 1, 0)) + bytes(96 - 48) + b"\0"
    rest += f"{8**11 - 1:011o}\0".encode()
    data = header(b"x", b"00000000005\0", b"S", rest) + b"hello".ljust(512, b"\0") + bytes(1024)
    for entry, content in Tar(pieces(data), "test"):
        assert entry.size == 8**11 - 1
        content.skip(514)
        assert content.take(3) == b"llo"
        content.skip(1 << 40)
        assert content.take(1) == b""


def pax(records: dict[str, str], body: bytes, name: str = "x") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.pax_headers, info.size = records, len(body)
        tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


@pytest.mark.parametrize(
    ("records", "body"),
    [
        ({"GNU.sparse.map": "10,5,20,0", "GNU.sparse.size": "20", "GNU.sparse.name": "real"}, b"hello"),
        (
            {
                "GNU.sparse.major": "1",
                "GNU.sparse.minor": "0",
                "GNU.sparse.name": "real",
                "GNU.sparse.realsize": "20",
            },
            b"2\n10\n5\n20\n0\n".ljust(512, b"\0") + b"hello",
        ),
    ],
)
def test_pax_sparse(records: dict[str, str], body: bytes) -> None:
    ((entry, content),) = walk(pax(records, body))
    assert entry.name == "real"
    assert content == bytes(10) + b"hello" + bytes(5)


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.map": "10,5,3,9", "GNU.sparse.size": "20"},
        {"GNU.sparse.map": "10,500", "GNU.sparse.size": "2000"},
        {"GNU.sparse.map": "1", "GNU.sparse.size": "20"},
        {"GNU.sparse.map": "x,y", "GNU.sparse.size": "20"},
        {"GNU.sparse.major": "1", "GNU.sparse.realsize": "20"},
        {"size": "-1"},
        {"size": "99999999999999999999"},
    ],
)
def test_damaged_pax(records: dict[str, str]) -> None:
    with pytest.raises(InputError):
        walk(pax(records, b"hello"))


def test_large_headers_are_refused() -> None:
    data = header(b"././@LongLink", f"{1 << 30:011o}\0".encode(), b"L")
    with pytest.raises(InputError, match="a header of 1,073,741,824 bytes"):
        walk(data)


def test_not_a_tar() -> None:
    for data in (b"hello", b"x" * 600, struct.pack("512s", b"\x7fELF")):
        with pytest.raises(InputError, match="no tar archive"):
            walk(data)


def test_ends() -> None:
    whole = archive(("a", tarfile.REGTYPE, b"hello", ""))
    assert walk(b"") == []
    assert walk(bytes(1024)) == []
    assert len(walk(whole[:1024])) == 1
    with pytest.raises(InputError, match="cut off"):
        walk(whole[:600])
    with pytest.raises(InputError, match="goes on"):
        walk(whole[:1024] + bytes(512) + whole[:1024])
