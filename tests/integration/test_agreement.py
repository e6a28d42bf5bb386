"""crossdock sees in files what `file` and `readelf` see: a share of this machine's programs and cross libraries, and
broken ones. bench/agree.py does it for whole toolchains of several releases."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from crossdock.image.binary import HEAD_BYTES, identify

pytestmark = pytest.mark.integration
CROSS = Path("/usr/aarch64-linux-gnu/lib")
PROGRAMS = 60
FAT = b"\xca\xfe\xba\xbe" + struct.pack(">11I", 2, 0x1000007, 3, 4096, 99, 12, 0x100000C, 0, 8192, 99, 14) + bytes(4096)
MADE = {
    "empty": b"",
    "fat": FAT,
    "thin": b"\xcf\xfa\xed\xfe" + struct.pack("<7I", 0x100000C, 0, 2, 0, 0, 0, 0),
    "class": b"\xca\xfe\xba\xbe\0\0\0\x3d" + bytes(100),
    "text": b"ELF\n",
    "pe": b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0\x64\xaa\0\0" + bytes(12) + b"\xf0\0\x22\0\x0b\2" + bytes(300),
}
ELF = re.compile(r"ELF (32|64)-bit (LSB|MSB) .*?(ARM aarch64|x86-64|\*unknown arch 0x\w+\*|Freescale)")
WORDS = {"ARM aarch64": "arm64", "x86-64": "amd64"}


@pytest.fixture(scope="module")
def agree(bench_program: Callable[[str], ModuleType]) -> ModuleType:
    return bench_program("agree")


def test_programs_and_libraries(agree: ModuleType, tmp_path: Path) -> None:
    programs = sorted(path for path in Path("/usr/bin").iterdir() if path.is_file() and path.stat().st_size < 1 << 20)
    step = max(1, len(programs) // PROGRAMS)
    libraries = [path for path in sorted(CROSS.iterdir()) if path.is_file() and path.stat().st_size < 3 << 20]
    assert libraries, "gcc-aarch64-linux-gnu is not installed; run tests/provision"
    for number, path in enumerate([*programs[::step], *libraries]):
        shutil.copy(path, tmp_path / f"{number}-{path.name}")
    report = agree.Report()
    agree.compare(tmp_path, report)
    assert report.differing == []
    assert report.files > PROGRAMS
    assert report.machines["arm64"] > 10


def test_broken_files(tmp_path: Path) -> None:
    """What `file` still recognises in them, crossdock does as well, and nothing else."""
    real = (CROSS / "libdl.so.2").read_bytes()
    files = {f"cut-{size}": real[:size] for size in (4, 5, 16, 17, 18, 19, 20, 40, 63, 64, 100, 1000, 5000)}
    for at, value in ((4, 0), (4, 3), (5, 0), (16, 0), (16, 1), (16, 4), (18, 200), (5, 2), (19, 255)):
        files[f"set-{at}-{value}"] = real[:at] + bytes([value]) + real[at + 1 :]
    files |= MADE
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        said = subprocess.run(["file", "-b", str(tmp_path / name)], check=True, capture_output=True, text=True).stdout
        found = identify(data[:HEAD_BYTES])
        if match := re.match(
            r"ELF (32|64)-bit (LSB|MSB) .*?(ARM aarch64|x86-64|\*unknown arch 0x\w+\*|Freescale)", said
        ):
            assert found, (name, said)
            assert (found.bits, found.big_endian) == (int(match[1]), match[2] == "MSB"), (name, said)
            machine = WORDS.get(match[3], "machine-")
            assert found.architectures[0].startswith(machine), (name, said)
        elif said.startswith("Mach-O universal"):
            assert found, said
            assert found.architectures == ("amd64", "arm64")
        elif said.startswith(("Mach-O", "PE32")):
            assert found, said
            assert found.architectures == ("arm64",), said
        else:
            assert found is None, (name, said)
