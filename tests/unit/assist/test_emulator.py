"""Joining the launcher to an emulator: a file that is one program more, and no other than before."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.assist.emulator import launcher, with_launcher
from crossdock.errors import CrossdockError

ENTRY = 0x1234
_SEGMENT = struct.Struct("<IIQQQQQQ")
CODE = bytes(range(256)) * 32


def emulator(*kinds: int, machine: int = 62, content: bytes = CODE) -> bytes:
    """A file with the program headers ``kinds``; those that are loaded come one after the other."""
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, ENTRY, 64, 0, 0, 64, 56, len(kinds), 0, 0, 0)
    address, table = 0, b""
    for kind in kinds:
        table += _SEGMENT.pack(kind, 4, address, address, address, 0x2000, 0x2345, 0x1000)
        address += 0x10000 * (kind == 1)
    return identity + header + table + content


def segments(data: bytes) -> list[tuple[int, ...]]:
    (count,) = struct.unpack_from("<H", data, 56)
    return [_SEGMENT.unpack_from(data, 64 + 56 * index) for index in range(count)]


def test_the_launcher_is_one_more_loaded_segment_in_place_of_a_note() -> None:
    before = emulator(1, 1, 4, 7, 4, 1)
    after = with_launcher(before, keeps_argv0=True)
    assert [one[0] for one in segments(after)] == [1, 1, 4, 7, 1, 1]
    loaded = [one for one in segments(after) if one[0] == 1]
    assert loaded == sorted(loaded, key=lambda one: one[3])
    _, flags, offset, address, *sizes, page = loaded[-1]
    assert flags == 5
    assert offset % page == address % page == 0
    assert address >= loaded[-2][3] + loaded[-2][6]
    assert after[offset:][: sizes[1]].startswith(launcher("amd64")[:40])
    assert struct.unpack_from("<Q", after, 24) == (address,)


def test_all_that_was_there_stays() -> None:
    before = emulator(1, 4)
    after = with_launcher(before, keeps_argv0=False)
    table = 64 + 2 * 56
    assert after[table : len(before)] == before[table:]
    assert after[:24] == before[:24]
    assert segments(after)[0] == segments(before)[0]


@pytest.mark.parametrize("keeps", [True, False])
def test_the_launcher_knows_the_way_to_the_emulator(keeps: bool) -> None:
    after = with_launcher(emulator(1, 4), keeps_argv0=keeps)
    address = segments(after)[1][3]
    at = after.index(b"crossdock-launch") + 16
    assert struct.unpack_from("<qqq", after, at) == (ENTRY - address, keeps, False)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [(b"pauth\0pauth-impdef\0", True), (b"pauth-impdef\0pauth-qarma5\0", False), (b"", False)],
    ids=["7.2", "10.0", "no-arm"],
)
def test_an_old_emulator_is_told_to_sign_pointers_cheaply(options: bytes, wanted: bool) -> None:
    after = with_launcher(emulator(1, 4, content=CODE + options), keeps_argv0=True)
    assert struct.unpack_from("<qqq", after, after.index(b"crossdock-launch") + 16)[2] == wanted


def test_each_machine_gets_its_own_launcher() -> None:
    assert launcher("arm64")[:40] in with_launcher(emulator(1, 4, machine=183), keeps_argv0=True)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (emulator(1, 1), "no room"),
        (emulator(4), "no room"),
        (emulator(1, 4, machine=40), "no program of a machine"),
        (b"#!/bin/sh\n" + bytes(100), "no 64-bit program"),
        (b"\x7fELF\x02\x01", "damaged"),
        (emulator(1, 4, content=b"")[:130], "damaged"),
    ],
)
def test_what_cannot_be_joined_is_told(data: bytes, what: str) -> None:
    with pytest.raises(CrossdockError, match=what):
        with_launcher(data, keeps_argv0=True)


@given(st.binary(max_size=200), st.integers(0, 170))
def test_damaged_files_are_errors_and_nothing_else(noise: bytes, at: int) -> None:
    data = bytearray(emulator(1, 4, content=b"code"))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(CrossdockError):
        with_launcher(bytes(data), keeps_argv0=True)
