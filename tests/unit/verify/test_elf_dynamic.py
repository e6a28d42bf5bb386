"""The dynamic section of ELF files: made ones, this machine's own, damaged ones, and out of a stream."""

from __future__ import annotations

import contextlib
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import LOADERS, elf

from crossdock.image.binary import HEAD_BYTES
from crossdock.image.elf import CorruptElf, Dynamic, read_dynamic
from crossdock.image.tar import Content
from crossdock.verify import contents
from crossdock.verify.contents import _Forward


def dynamic(data: bytes) -> Dynamic:
    return read_dynamic(lambda offset, size: data[offset : offset + size])


FULL = elf(
    interpreter=LOADERS["arm64"],
    needed=("libc.so.6", "libm.so.6"),
    rpath="/opt/a:/opt/b",
    runpath="$ORIGIN/../lib",
    soname="libx.so.1",
    wants={"libc.so.6": ("GLIBC_2.17", "GLIBC_2.34"), "libm.so.6": ("GLIBC_2.29",)},
    offers=("X_1", "X_2"),
    page_size=16384,
)
EXPECTED = Dynamic(
    LOADERS["arm64"],
    ("libc.so.6", "libm.so.6"),
    ("/opt/a", "/opt/b"),
    ("$ORIGIN/../lib",),
    "libx.so.1",
    (("libc.so.6", ("GLIBC_2.17", "GLIBC_2.34")), ("libm.so.6", ("GLIBC_2.29",))),
    ("X_1", "X_2"),
    16384,
)


def test_everything() -> None:
    assert dynamic(FULL) == EXPECTED


def test_static_programs_need_nothing() -> None:
    assert dynamic(elf()) == Dynamic(page_size=65536)
    assert dynamic(b"\x7fELF\2\1\1" + bytes(57)) == Dynamic()


@pytest.mark.skipif(sys.platform != "linux", reason="needs a dynamic program of this Linux")
def test_this_interpreter() -> None:
    data = Path("/bin/sh").resolve().read_bytes()
    found = dynamic(data)
    assert Path(found.interpreter).exists() or not found.needed
    assert any(name.startswith("libc.") for name in found.needed) or not found.needed


@pytest.mark.parametrize(("alignment", "largest"), [(1 << 21, 65536), (65536, 65536), (16384, 16384), (4096, 4096)])
def test_the_largest_page_size(alignment: int, largest: int) -> None:
    assert dynamic(elf(page_size=alignment)).page_size == largest


def _with_segment(kind: int, content: bytes, flags: int = 4) -> bytes:
    """A program whose second program header is this segment."""
    at = 64 + 2 * 56
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    note = struct.pack("<IIQQQQQQ", kind, flags, at, at, at, len(content), len(content), 4)
    data = struct.pack("<IIQQQQQQ", 1, 6, at, at, at, len(content), len(content), 65536)
    return head + note + data + content


def _property(bits: int) -> bytes:
    return struct.pack("<III4sIIII", 4, 32, 5, b"GNU\0", 0xC0000002, 4, 3, 0) + struct.pack(
        "<IIII", 0xC0008002, 4, bits, 0
    )


@pytest.mark.parametrize(("bits", "level"), [(1, ()), (3, ("x86-64-v2",)), (7, ("x86-64-v3",)), (15, ("x86-64-v4",))])
def test_the_level_of_x86_64(bits: int, level: tuple[str, ...]) -> None:
    assert dynamic(_with_segment(0x6474E553, _property(bits))).processor == level


@pytest.mark.parametrize(("bits", "marks"), [(0, ()), (1, ("BTI",)), (3, ("BTI", "PAC")), (7, ("BTI", "PAC", "GCS"))])
def test_what_arm64_code_is_protected_by(bits: int, marks: tuple[str, ...]) -> None:
    note = struct.pack("<III4sIIII", 4, 16, 5, b"GNU\0", 0xC0000000, 4, bits, 0)
    assert dynamic(_with_segment(0x6474E553, note)).marks == marks


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("GOARM64=v8.0", ()),
        ("GOARM64=v8.1,lse", ("armv8.1-a", "lse")),
        ("GOARM64=v8.0,lse", ("lse",)),
        ("GOAMD64=v3", ("x86-64-v3",)),
        ("GOARM=7", ("armv7",)),
    ],
)
def test_what_go_was_told(setting: str, expected: tuple[str, ...]) -> None:
    note = struct.pack("<III", 4, 4, 4) + b"Go\0\0" + b"id\0\0"
    info = (
        b"\xff Go buildinf:\x08\x02"
        + bytes(16)
        + b"\x06go1.24"
        + f"mod\tx\nbuild\t{setting}\nbuild\tvcs=git\n".encode()
    )
    assert dynamic(_with_segment(4, note + info)).processor == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ELF file"),
        (FULL[:60], "cut off"),
        (FULL[:100], "outside of the file"),
        (FULL[:-20], "outside of the file"),
        (
            elf(needed=("a",), wants={"a": ("A_1",)}).replace(
                struct.pack("<HHI", 1, 1, 3), struct.pack("<HHI", 1, 1, 99)
            ),
            "lies outside",
        ),
        (FULL[:54] + struct.pack("<HH", 8, 3) + FULL[58:], "too short"),
        (FULL[:54] + struct.pack("<HH", 56, 65000) + FULL[58:], "more than any program has"),
    ],
)
def test_damaged(data: bytes, message: str) -> None:
    with pytest.raises(CorruptElf, match=message):
        dynamic(data)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_any_damage(data: st.DataObject) -> None:
    whole = bytearray(FULL)
    for at, value in data.draw(st.lists(st.tuples(st.integers(4, len(whole) - 1), st.integers(0, 255)), max_size=6)):
        whole[at] = value
    with contextlib.suppress(CorruptElf):
        dynamic(bytes(whole))


class _Pieces:
    """A tar content over bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def exactly(self, size: int) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        assert len(piece) == size
        return piece

    def skip(self, size: int) -> None:
        self.exactly(size)


def forward(data: bytes, head: int = 64) -> _Forward:
    return _Forward(data[:head], Content(_Pieces(data[head:]), max(0, len(data) - head)))  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [0, 10_000])
@pytest.mark.parametrize("gap", [5000, 50_000, 500_000])
def test_from_a_stream_as_linkers_write_it(gap: int, code: int) -> None:
    """Behind the names and versions, which are asked for once the dynamic section is read, lies what is not held."""
    data = elf(
        needed=("libc.so.6",), wants={"libc.so.6": ("GLIBC_2.34",)}, offers=("X_1",), gap=gap, apart=True, code=code
    )
    reader = forward(data)
    found = read_dynamic(reader.read, reader.hold)
    assert found == dynamic(data)
    assert found.wants == (("libc.so.6", ("GLIBC_2.34",)),)


def test_a_note_that_lies_before_the_interpreter_and_is_listed_behind_it() -> None:
    """As in the libc.so.6 of Debian 13."""
    name = b"/lib/ld.so\0"
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 183, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 3, 4, 6000, 6000, 6000, len(name), len(name), 1)
    head += struct.pack("<IIQQQQQQ", 4, 4, 5000, 5000, 5000, 32, 32, 4)
    reader = forward(head.ljust(6000, b"\1") + name)
    assert read_dynamic(reader.read, reader.hold).interpreter == "/lib/ld.so"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a dynamic program of this Linux")
def test_programs_of_this_machine_from_a_stream() -> None:
    for path in {Path("/bin/sh").resolve(), Path("/usr/bin/env").resolve(), Path(sys.executable).resolve()}:
        data = path.read_bytes()
        reader = forward(data, HEAD_BYTES)
        assert read_dynamic(reader.read, reader.hold) == dynamic(data)


@pytest.mark.parametrize("gap", [0, 500, 5000, 50_000])
def test_from_a_stream(gap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "ELF_WINDOW_BYTES", 4096)
    data = elf(interpreter="/lib/ld.so", needed=("liba.so", "libb.so"), gap=gap)
    assert read_dynamic(forward(data).read) == Dynamic("/lib/ld.so", ("liba.so", "libb.so"), page_size=65536)


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 300)), max_size=8),
    st.integers(64, 600),
    st.integers(600, 1500),
)
def test_forward_gives_the_file_or_says_it_cannot(reads: list[tuple[int, int]], head: int, window: int) -> None:
    data = bytes(index % 251 for index in range(2500))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contents, "ELF_WINDOW_BYTES", window)
        source = forward(data, head)
        for offset, size in reads:
            try:
                assert source.read(offset, size) == data[offset : offset + size]
            except CorruptElf:
                assert offset >= 0
        if sorted(reads) == reads:
            assert forward(data, head).read(0, 10) == data[:10]
