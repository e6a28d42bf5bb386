"""What identify reads from the first bytes of files."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.image.binary import ANY, HEAD_BYTES, Binary, Format, identify

MACHINES = [
    (62, 2, 1, "amd64"),
    (183, 2, 1, "arm64"),
    (183, 2, 2, "arm64be"),
    (183, 1, 1, "arm64-ilp32"),
    (62, 1, 1, "x32"),
    (3, 1, 1, "386"),
    (40, 1, 1, "arm"),
    (20, 1, 2, "ppc"),
    (21, 2, 1, "ppc64le"),
    (21, 2, 2, "ppc64"),
    (22, 2, 2, "s390x"),
    (22, 1, 2, "s390"),
    (8, 1, 1, "mipsle"),
    (8, 1, 2, "mips"),
    (8, 2, 1, "mips64le"),
    (243, 2, 1, "riscv64"),
    (243, 1, 1, "riscv32"),
    (258, 2, 1, "loong64"),
    (247, 2, 1, "bpf"),
    (9999, 2, 1, "machine-9999"),
]


def elf(machine: int = 183, elf_class: int = 2, data: int = 1, kind: int = 2) -> bytes:
    order = ">" if data == 2 else "<"
    return (
        b"\x7fELF" + bytes([elf_class, data, 1]) + bytes(9) + struct.pack(order + "HHI", kind, machine, 1) + bytes(44)
    )


def pe(
    machine: int,
    *,
    dll: bool = False,
    magic: int = 0x20B,
    subsystem: int = 3,
    managed: int | None = None,
) -> bytes:
    """A PE file with one section; ``managed`` are the flags of a .NET header."""
    size = 240 if magic == 0x20B else 224
    head = b"MZ" + bytes(0x3A) + struct.pack("<I", 0x80) + bytes(0x40) + b"PE\0\0"
    head += struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, size, 0x2000 if dll else 2)
    optional = bytearray(size)
    struct.pack_into("<H", optional, 0, magic)
    struct.pack_into("<H", optional, 68, subsystem)
    if managed is not None:
        struct.pack_into("<II", optional, (112 if magic == 0x20B else 96) + 14 * 8, 0x2008, 72)
    section = b".text\0\0\0" + struct.pack("<IIII", 0x1000, 0x2000, 0x200, 0x200) + bytes(16)
    body = (head + bytes(optional) + section).ljust(0x208, b"\0")
    return body + bytes(16) + struct.pack("<I", managed or 0) + bytes(64)


def ar(*members: tuple[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, body in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) & 1)
    return out


@pytest.mark.parametrize(("machine", "elf_class", "data", "name"), MACHINES)
def test_elf_machines(machine: int, elf_class: int, data: int, name: str) -> None:
    found = identify(elf(machine, elf_class, data))
    floats = "soft float" if name.startswith("riscv64") else ""
    assert found == Binary(Format.ELF, (name,), "executable", 32 * elf_class, data == 2, floats=floats)


@pytest.mark.parametrize(
    ("machine", "flags", "floats"),
    [
        (40, 0x5000200, "soft float"),
        (40, 0x5000400, "hard float"),
        (40, 0x5000002, ""),  # Go's: it calls no C code
        (243, 0x5, "hard float"),
        (258, 0x43, "hard float"),
        (183, 0xFFFF, ""),
    ],
)
def test_how_floating_point_is_passed(machine: int, flags: int, floats: str) -> None:
    elf_class, at = (1, 36) if machine == 40 else (2, 48)
    data = bytearray(elf(machine, elf_class))
    struct.pack_into("<I", data, at, flags)
    found = identify(bytes(data))
    assert found is not None
    assert found.floats == floats


def test_elf_kinds_and_description() -> None:
    kinds = [identify(elf(kind=number)) for number in range(1, 5)]
    assert [found.kind for found in kinds if found] == [
        "relocatable object",
        "executable",
        "shared object",
        "core dump",
    ]
    assert kinds[2] is not None
    assert kinds[2].describe() == "ELF 64-bit LSB shared object, arm64"
    big = identify(elf(21, 2, 2))
    assert big is not None
    assert big.describe() == "ELF 64-bit MSB executable, ppc64"


@pytest.mark.skipif(sys.platform != "linux", reason="needs a program of this Linux")
def test_running_interpreter() -> None:
    found = identify(Path(sys.executable).resolve().read_bytes()[:HEAD_BYTES])
    assert found is not None
    assert found.kind in ("executable", "PIE executable")


@pytest.mark.parametrize(
    ("head", "architectures", "kind"),
    [
        (struct.pack("<IIII", 0xFEEDFACF, 0x0100000C, 0, 2) + bytes(16), ("arm64",), "executable"),
        (struct.pack("<IIII", 0xFEEDFACF, 0x01000007, 3, 6) + bytes(16), ("amd64",), "dynamic library"),
        (struct.pack(">IIII", 0xFEEDFACE, 18, 0, 8) + bytes(12), ("ppc",), "bundle"),
        (
            struct.pack(">II", 0xCAFEBABE, 2)
            + struct.pack(">5I", 0x01000007, 3, 4096, 10, 12)
            + struct.pack(">5I", 0x0100000C, 0, 16384, 10, 14),
            ("amd64", "arm64"),
            "universal binary",
        ),
        (struct.pack(">II", 0xCAFEBABF, 1) + struct.pack(">IIQQII", 0x0100000C, 0, 4096, 10, 12, 0), ("arm64",), None),
    ],
)
def test_mach_o(head: bytes, architectures: tuple[str, ...], kind: str | None) -> None:
    found = identify(head)
    assert found is not None
    assert found.format is Format.MACH_O
    assert found.architectures == architectures
    assert kind in (None, found.kind)


@pytest.mark.parametrize("major", [45, 52, 61, 69])
def test_java_class_is_no_mach_o(major: int) -> None:
    assert identify(struct.pack(">IHH", 0xCAFEBABE, 0, major) + struct.pack(">5I", 0x01000007, 3, 1, 1, 1) * 4) is None


def test_pe() -> None:
    found = identify(pe(0x8664))
    assert found is not None
    assert (found.architectures, found.kind, found.bits, found.managed) == (("amd64",), "executable", 64, False)
    library = identify(pe(0xAA64, dll=True))
    assert library is not None
    assert library.describe() == "PE 64-bit DLL, arm64"
    efi = identify(pe(0xAA64, subsystem=10))
    assert efi is not None
    assert efi.kind == "EFI program"
    assert identify(b"MZ" + bytes(200)) is None


def test_pe_managed() -> None:
    neutral = identify(pe(0x14C, magic=0x10B, dll=True, managed=1))
    assert neutral is not None
    assert neutral.architectures == (ANY,)
    assert neutral.runs_on("arm64")
    assert neutral.describe() == "PE 32-bit .NET DLL, any architecture"
    tied = identify(pe(0x14C, magic=0x10B, dll=True, managed=3))
    assert tied is not None
    assert tied.architectures == ("386",)
    assert tied.managed
    precompiled = identify(pe(0xAA64 ^ 0x7B79, dll=True, managed=0))
    assert precompiled is not None
    assert (precompiled.architectures, precompiled.managed) == (("arm64",), True)


def test_static_library() -> None:
    table = ("/", bytes(101))
    found = identify(ar(table, ("//", b"long-name.o/\n"), ("/0", elf(kind=1))))
    assert found is not None
    assert found.format is Format.STATIC_LIBRARY
    assert found.describe() == "64-bit static library, arm64"
    bsd = identify(ar(("#1/12", b"hello-wor.o\0" + elf(kind=1))))
    assert bsd is not None
    assert bsd.architectures == ("arm64",)
    beyond = identify(ar(("/", bytes(9000)), ("a.o/", elf(kind=1)))[:HEAD_BYTES])
    assert beyond is not None
    assert beyond.architectures == ()
    assert beyond.describe() == "static library, unknown architecture"
    assert identify(ar(("debian-binary", b"2.0\n"))) is None


def test_nested_static_libraries_end() -> None:
    inner = elf(kind=1)
    for _ in range(50):
        inner = ar(("a.o/", inner))
    assert identify(inner) is not None


def test_wasm() -> None:
    found = identify(b"\0asm\1\0\0\0")
    assert found is not None
    assert found.describe() == "WebAssembly module, wasm"


def test_nothing() -> None:
    for head in (b"", b"#!/bin/sh\n", b"\x7fELF", b"MZ", b"!<arch>", b"\x7fELF\2\1", b"\x7fELF\x09\x09" + bytes(60)):
        assert identify(head) is None


MAGICS = (
    b"\x7fELF\2\1\1",
    b"\x7fELF\1\2\1",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe\0\0\0\2",
    b"\xca\xfe\xba\xbf\0\0\0\1",
    b"!<arch>\n",
    b"!<thin>\n",
    b"\0asm",
    b"MZ",
)


@given(st.sampled_from(MAGICS), st.binary(max_size=400))
def test_any_bytes_behind_a_magic(magic: bytes, rest: bytes) -> None:
    found = identify(magic + rest)
    if found is not None:
        assert found.describe()


@given(
    st.sampled_from([elf(), elf(21, 2, 2), pe(0x8664), pe(0x14C, magic=0x10B, managed=1), ar(("a.o/", elf(kind=1)))]),
    st.data(),
)
def test_damaged_files(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, max(0, len(damaged) - 1)), st.integers(0, 255)), max_size=6)
    ):
        if damaged:
            damaged[at] = value
    identify(bytes(damaged))
