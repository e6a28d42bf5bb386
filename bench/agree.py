#!/usr/bin/env python3
"""Whether crossdock sees in files what `file` and `readelf` see: every file of many Debian packages.

    python bench/agree.py FOLDER...

A FOLDER is looked through as it is, and every .deb in it is unpacked and looked through, one at a time. Compared are,
for each file, what it is (`file`: ELF, PE, Mach-O, static library, WebAssembly or none of them); for each ELF file what
`readelf` shows: class, byte order, type, machine, how floating point is passed, interpreter, NEEDED, SONAME, RPATH,
RUNPATH, the versions that are needed and defined, BTI and PAC; for each static library the machine of its first object.

`apt-get download gcc-12 binutils-aarch64-linux-gnu llvm-14 libc6-riscv64-cross …` gets packages for it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crossdock.errors import CrossdockError
from crossdock.image.binary import Format
from crossdock.image.tar import Content
from crossdock.verify.contents import File, read_file
from crossdock.verify.root import _Forward

_BATCH = 100
_MACHINES = {
    "AArch64": "arm64",
    "Advanced Micro Devices X86-64": "amd64",
    "Intel 80386": "386",
    "ARM": "arm",
    "RISC-V": "riscv",
    "IBM S/390": "s390",
    "PowerPC": "ppc",
    "PowerPC64": "ppc64",
    "MIPS R3000": "mips",
    "LoongArch": "loong",
    "HPPA": "hppa",
    "MC68000": "m68k",
    "Renesas / SuperH SH": "sh",
    "Sparc v9": "sparc64",
    "Sparc v8+": "sparc",
    "Sparc": "sparc",
    "Alpha": "alpha",
    "ARCv2": "arc",
    "ARCompact": "arc",
    "Linux BPF": "bpf",
    "NVIDIA CUDA architecture": "cuda",
    "AMD GPU": "amdgpu",
    "None": "none",
    "Atmel AVR 8-bit microcontroller": "avr",
    "Tensilica Xtensa Processor": "xtensa",
    "Intel IA-64": "ia64",
    "OpenRISC 1000": "or1k",
}
"""readelf's words → crossdock's, before class and byte order are looked at."""
_WITH_SIZE = ("riscv", "loong")
_LITTLE = {"ppc64": "ppc64le", "ppc": "ppcle"}
_BIG = {"arm64": "arm64be", "arm": "armbe"}
_SHORT = {"amd64": "x32", "arm64": "arm64-ilp32"}
_TYPES = {"REL": "relocatable object", "EXEC": "executable", "DYN": "shared object", "CORE": "core dump"}
_FILE = (
    (r"ELF ", Format.ELF),
    (r"PE32|.*\bPE32\+? executable", Format.PE),
    (r"Mach-O ", Format.MACH_O),
    (r"(current|thin) ar archive|ar archive", Format.STATIC_LIBRARY),
    (r"WebAssembly \(wasm\) binary", Format.WASM),
)


@dataclass(frozen=True)
class Seen:
    """What one side sees in an ELF file."""

    bits: int
    big_endian: bool
    kind: str
    machine: str
    floats: str = ""
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    wants: frozenset[tuple[str, str]] = frozenset()
    offers: frozenset[str] = frozenset()
    marks: tuple[str, ...] = ()


@dataclass
class Report:
    files: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    machines: Counter[str] = field(default_factory=Counter)
    """Of ELF files, by readelf's word."""
    differing: list[str] = field(default_factory=list)


def compare(folder: Path, report: Report) -> None:
    """Every regular file below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    for start in range(0, len(files), _BATCH):
        batch = files[start : start + _BATCH]
        said = _file(batch)
        own = {path: read(path) for path in batch}
        elf = [path for path in batch if said[path].startswith("ELF ")]
        shown = _readelf(elf)
        for path in batch:
            report.files += 1
            binary = own[path].binary
            kind = next((form for pattern, form in _FILE if re.match(pattern, said[path])), None)
            report.kinds[kind.value if kind else "none of them"] += 1
            if (binary.format if binary else None) is not kind:
                report.differing.append(f"{path}: {binary.describe() if binary else 'none'}, file: {said[path]}")
            elif path in shown:
                report.machines[shown[path].machine] += 1
                report.differing += _differences(path, seen(own[path]), shown[path], own[path].trouble)
            elif kind is Format.STATIC_LIBRARY and binary:
                other = _first_machine(path)
                if other != next(iter(binary.architectures), ""):
                    report.differing.append(f"{path}: library of {binary.architectures}, readelf: {other}")


def read(path: Path) -> File:
    size = path.stat().st_size
    with path.open("rb") as file:
        return read_file(path.name, 0o755, size, Content(_Forward(file), size))


def seen(file: File) -> Seen:
    binary, dynamic = file.binary, file.dynamic
    assert binary is not None
    kind = "shared object" if binary.kind == "PIE executable" else binary.kind
    found = Seen(binary.bits, binary.big_endian, kind, binary.architectures[0], binary.floats)
    if dynamic is None:
        return found
    return Seen(
        *(found.bits, found.big_endian, found.kind, found.machine, found.floats),
        dynamic.interpreter,
        dynamic.needed,
        dynamic.soname,
        dynamic.rpath,
        dynamic.runpath,
        frozenset((library, name) for library, names in dynamic.wants for name in names),
        frozenset(dynamic.offers),
        tuple(mark for mark in dynamic.marks if mark != "GCS"),  # readelf of binutils 2.40 does not know it
    )


def _differences(path: Path, own: Seen, other: Seen, trouble: Sequence[str]) -> Iterator[str]:
    loaded = own.kind in ("executable", "shared object")
    for name in Seen.__dataclass_fields__ if loaded else ("bits", "big_endian", "kind", "machine", "floats"):
        one, two = getattr(own, name), getattr(other, name)
        if one != two:
            yield f"{path}: {name} {one!r}, readelf: {two!r} {' '.join(trouble)}".rstrip()


def _file(paths: Sequence[Path]) -> dict[Path, str]:
    out = _run(
        ["file", "--no-pad", "--no-dereference", "--separator", "\t", "--print0", "--print0", "--", *map(str, paths)]
    )
    fields = out.split("\0")[:-1]
    return dict(zip(map(Path, fields[::2]), fields[1::2], strict=True))


def _readelf(paths: Sequence[Path]) -> dict[Path, Seen]:
    if not paths:
        return {}
    found = {}
    # With a second file it names each.
    for part in re.split(r"(?:^|\n)File: ", _run(["readelf", "-hldVnW", "--", *map(str, paths), "/dev/null"]))[1:]:
        name, _, text = part.partition("\n")
        if "Class:" in text:
            found[Path(name)] = _shown(text)
    return found


def _shown(text: str) -> Seen:
    def one(pattern: str) -> str:
        match = re.search(pattern, text, re.MULTILINE)
        return match[1].strip() if match else ""

    def each(pattern: str) -> tuple[str, ...]:
        return tuple(re.findall(pattern, text, re.MULTILINE))

    bits, big = int(one(r"^ *Class: +ELF(\d+)")), "big endian" in one(r"^ *Data: +(.*)")
    flags = one(r"^ *Flags: +(.*)")
    number = int(flags.split(",")[0], 16)
    machine = one(r"^ *Machine: +(.*)")
    kind = one(r"^ *Type: +(\w+)")
    needs, _, _ = one_section(text, "Version needs section")
    defines, _, _ = one_section(text, "Version definition section")
    wants = set()
    library = ""
    for line in needs.splitlines():
        if match := re.search(r"Version: \d+  File: (\S+)", line):
            library = match[1]
        elif (match := re.search(r"Name: (\S+)  Flags: (.*?)  Version", line)) and "WEAK" not in match[2]:
            wants.add((library, match[1]))
    offers = re.findall(r"Rev: \d+  Flags: (.*?)  Index: .*?Name: (\S+)", defines)
    return Seen(
        bits,
        big,
        _TYPES.get(kind, kind),
        _machine(machine, bits, big),
        _floats(machine, number),
        one(r"\[Requesting program interpreter: (.*?)\]"),
        each(r"\(NEEDED\) +Shared library: \[(.*?)\]"),
        one(r"\(SONAME\) +Library soname: \[(.*?)\]"),
        tuple(part for part in one(r"\(RPATH\) +Library rpath: \[(.*?)\]").split(":") if part),
        tuple(part for part in one(r"\(RUNPATH\) +Library runpath: \[(.*?)\]").split(":") if part),
        frozenset(wants),
        frozenset(name for flags, name in offers if "BASE" not in flags),
        tuple(mark for mark in ("BTI", "PAC") if re.search(rf"AArch64 feature:.*\b{mark}\b", text)),
    )


def one_section(text: str, title: str) -> tuple[str, str, str]:
    """From its title to the next empty line."""
    return text.partition(title)[2].partition("\n\n")


def _machine(word: str, bits: int, big: bool) -> str:
    name = _MACHINES.get(word, word)
    if name == "mips":
        return f"mips{'64' if bits == 64 else ''}{'' if big else 'le'}"
    if name in _WITH_SIZE:
        return f"{name}{bits}"
    if name == "s390":
        return "s390x" if bits == 64 else "s390"
    if bits == 32 and not big and name in _SHORT:
        return _SHORT[name]
    return (_BIG if big else _LITTLE).get(name, name)


def _floats(word: str, flags: int) -> str:
    """readelf's words for these flags differ from release to release, so its numbers are taken."""
    match word:
        case "ARM":
            return {0x200: "soft float", 0x400: "hard float"}.get(flags & 0x600, "")
        case "RISC-V":
            return {0: "soft float", 2: "single float", 4: "hard float"}.get(flags & 6, "")
        case "LoongArch":
            return {1: "soft float", 2: "single float", 3: "hard float"}.get(flags & 7, "")
    return ""


def _first_machine(path: Path) -> str:
    """Of the first object in a static library."""
    with subprocess.Popen(["readelf", "-h", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        words = {}
        for line in process.stdout:
            match = re.match(rb" *(Class|Data|Machine): +(.*?)\s*$", line)
            if match:
                words[match[1]] = match[2].decode()
            if len(words) == 3:
                process.kill()
                return _machine(words[b"Machine"], int(words[b"Class"][3:]), "big" in words[b"Data"])
    return ""


def _run(command: list[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode("utf-8", "surrogateescape")


def _unpacked(package: Path, report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="agree-", dir=package.parent) as work:
        subprocess.run(["dpkg-deb", "--extract", str(package), work], check=True)
        before = len(report.differing)
        compare(Path(work), report)
        report.differing[before:] = [text.replace(work, package.name) for text in report.differing[before:]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    given = parser.parse_args()
    for program in ("file", "readelf", "dpkg-deb"):
        if not shutil.which(program):
            raise CrossdockError(f"{program} is not installed")
    report = Report()
    packages = 0
    for folder in given.folders:
        for package in sorted(folder.rglob("*.deb")):
            packages += 1
            _unpacked(package, report)
        if not any(folder.rglob("*.deb")):
            compare(folder, report)
    print(f"{report.files:,} files of {packages:,} packages; {len(report.differing):,} differences")
    for name, count in report.kinds.most_common():
        print(f"  {count:>9,} {name}")
    print(f"ELF machines: {', '.join(f'{name} {count:,}' for name, count in report.machines.most_common())}")
    for text in report.differing[:200]:
        print(text)
    return 1 if report.differing else 0


if __name__ == "__main__":
    sys.exit(main())
