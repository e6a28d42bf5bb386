"""QEMU with the launcher before its entry point: one file that starts native programs, or is QEMU.

The launcher becomes one more loadable segment of a static QEMU, and the file's entry point. It takes the place of a
PT_NOTE entry in the table of program headers, which nothing needs for running, so that nothing else moves (gABI,
"Program Header"). The file is made on this machine from the QEMU that is installed here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from crossdock.errors import CrossdockError

_BLOCKS = Path(__file__).with_name("launcher")
MARKER = b"crossdock-launch"
"""What a file with the launcher in it can be told by."""
_HEADER = struct.Struct("<16xHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_PT_LOAD, _PT_NOTE = 1, 4
_READ_AND_EXECUTE = 5
_LARGEST_PAGE = 1 << 21
_HIGHEST = 1 << 47
"""Where user space ends."""
_ARCHITECTURES = {62: "amd64", 183: "arm64"}
"""e_machine → architecture, for the machines that there is a launcher for."""


@dataclass(frozen=True)
class _Segment:
    """One program header, in the order of its fields in a 64-bit file."""

    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    file_size: int
    memory_size: int
    alignment: int


def launcher(architecture: str) -> bytes:
    """The launcher for machines of an architecture, as crossdock carries it."""
    return (_BLOCKS / f"{architecture}.bin").read_bytes()


def with_launcher(qemu: bytes, *, keeps_argv0: bool, block: bytes | None = None) -> bytes:
    """A static 64-bit QEMU with the launcher in front. ``keeps_argv0``: it will be registered with flag P. ``block`` is
    another launcher than the one that crossdock carries for the machine that this QEMU runs on.

    Raises CrossdockError for a file that cannot be changed like this.
    """
    if qemu[:6] != b"\x7fELF\x02\x01":
        raise CrossdockError("the emulator in use is no 64-bit program")
    try:
        kind, machine, version, entry, table, *rest = _HEADER.unpack_from(qemu)
        size, count = rest[3], rest[4]
        if size != _SEGMENT.size or machine not in _ARCHITECTURES:
            raise CrossdockError("the emulator in use is no program of a machine that there is a launcher for")
        segments = [_Segment(*_SEGMENT.unpack_from(qemu, table + index * size)) for index in range(count)]
    except (struct.error, OverflowError) as error:
        raise CrossdockError("the emulator's file is damaged") from error
    loads = [segment for segment in segments if segment.kind == _PT_LOAD]
    notes = [index for index, segment in enumerate(segments) if segment.kind == _PT_NOTE]
    if not loads or not notes:
        raise CrossdockError("the emulator's table of program headers has no room for the launcher")
    page = max(segment.alignment for segment in loads)
    if not 0 < page <= _LARGEST_PAGE or any(
        place > _HIGHEST for place in (entry, *(segment.address + segment.memory_size for segment in loads))
    ):
        raise CrossdockError("the emulator's file is damaged")
    address = _up(max(segment.address + segment.memory_size for segment in loads), page)
    offset = _up(len(qemu), page)
    block = _filled(block or launcher(_ARCHITECTURES[machine]), entry - address, keeps_argv0)
    new = _Segment(_PT_LOAD, _READ_AND_EXECUTE, offset, address, address, len(block), len(block), page)
    del segments[notes[-1]]
    # Loadable segments have to come in the order of their addresses.
    segments.insert(max(i for i, segment in enumerate(segments) if segment.kind == _PT_LOAD) + 1, new)
    data = bytearray(qemu.ljust(offset, b"\0") + block)
    _HEADER.pack_into(data, 0, kind, machine, version, address, table, *rest)
    data[:16] = qemu[:16]
    for index, segment in enumerate(segments):
        fields = (segment.kind, segment.flags, segment.offset, segment.address)
        sizes = (segment.physical, segment.file_size, segment.memory_size, segment.alignment)
        _SEGMENT.pack_into(data, table + index * size, *fields, *sizes)
    return bytes(data)


def _filled(block: bytes, distance: int, keeps_argv0: bool) -> bytes:
    """The launcher, told how far QEMU's entry point is from its own."""
    at = block.index(MARKER) + len(MARKER)
    return block[:at] + struct.pack("<qq", distance, keeps_argv0) + block[at + 16 :]


def _up(number: int, to: int) -> int:
    return -(-number // to) * to
