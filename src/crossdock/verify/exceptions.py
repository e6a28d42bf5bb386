"""Binaries that may be of another architecture, each kind with the reason why that breaks nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from crossdock.image.binary import Binary, Format
from crossdock.platforms import MULTIARCH, Platform

_NO_MACHINE = {
    "none": "data in ELF form, for no machine",
    "bpf": "eBPF programs, which every kernel compiles for itself",
    "cuda": "code for a graphics processor",
    "amdgpu": "code for a graphics processor",
    "wasm": "WebAssembly, for any machine",
}
_ALSO_RUNS = {
    ("amd64", "386"): "32-bit x86 code, which amd64 machines run",
    ("amd64", "x32"): "x32 code, for kernels that run it beside amd64",
}
_PLACES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(usr/)?lib/firmware/"), "firmware for devices"),
    (
        re.compile(
            r"boot/|usr/lib/(grub|syslinux|ipxe|shim|systemd/boot)/|usr/share/(qemu|seabios|ovmf|aavmf|edk2|ipxe)/",
            re.I,
        ),
        "firmware and boot code",
    ),
    (re.compile(r"usr/[^/]+-linux-(gnu|musl)[^/]*/|usr/lib/gcc-cross/|usr/[^/]+-w64-mingw32/"), "a cross toolchain"),
    (re.compile(r"usr/lib/arch-test/"), "arch-test's programs, one for each machine"),
    (re.compile(r"(.*/)?qemu-[a-z0-9_]+(-static)?$"), "QEMU's user emulator"),
    (re.compile(r"(.*/)?(testdata|test-data|test_data)/"), "test data"),
)
_SYSTEM_LIBRARIES = re.compile(rf"(usr/(local/)?)?lib/({'|'.join(map(re.escape, MULTIARCH.values()))})")

_WORDS: dict[str, tuple[str, ...]] = {
    "amd64": ("x86_64", "x86-64", "amd64", "linux64", "x64"),
    "arm64": ("aarch_64", "aarch64", "arm64", "armv8"),
    "386": ("i386", "i586", "i686", "x86", "386", "linux32", "ia32"),
    "arm": ("armv7l", "armv7", "armv6l", "armv6", "armv5", "armhf", "armel", "arm"),
    "ppc64le": ("powerpc64le", "ppc64le", "ppc64el", "ppcle_64"),
    "ppc64": ("powerpc64", "ppc64"),
    "s390x": ("s390x", "s390_64"),
    "riscv64": ("riscv64gc", "riscv64", "riscv_64"),
    "loong64": ("loongarch64", "loongarch_64", "loong64"),
    "mips64le": ("mips64le", "mips64el"),
}
"""What file names call an architecture, longer words first."""
_MARK = "\0"


def expected_elsewhere(path: str, binary: Binary, platform: Platform) -> str | None:
    """The reason why a binary that is not of ``platform`` is all right at this path, judged by itself; else None."""
    for name in binary.architectures:
        if reason := _NO_MACHINE.get(name) or _ALSO_RUNS.get((platform.architecture, name)):
            return reason
    native = Format.PE if platform.os == "windows" else Format.MACH_O if platform.os == "darwin" else Format.ELF
    if binary.format not in (native, Format.STATIC_LIBRARY):
        systems = {Format.PE: "Windows or UEFI", Format.MACH_O: "macOS", Format.ELF: "Linux"}
        return f"files for {systems.get(binary.format, 'another system')}, kept as data"
    return next((reason for pattern, reason in _PLACES if pattern.match(path)), None)


def architecture_words(architecture: str) -> tuple[str, ...]:
    """What file names call it, longer words first."""
    return _WORDS.get(architecture, (architecture,))


def variant_keys(path: str, architectures: Iterable[str]) -> set[str]:
    """What stays of a path, up to each part that names the binary's own architecture, when that name is taken out.

    ``runtimes/linux-x64/native/a.so`` and ``runtimes/linux-arm64/native/b.so`` share such a key: whoever put them there
    packed one for each machine, and the program picks its own. System library folders are never such variants.
    """
    words = [word for name in architectures for word in architecture_words(name)]
    if not words:
        return set()
    pattern = re.compile(rf"(?<![a-z0-9])({'|'.join(map(re.escape, words))})(?![a-z0-9])", re.IGNORECASE)
    keys: set[str] = set()
    parts = path.split("/")
    for number, part in enumerate(parts):
        prefix = "/".join(parts[: number + 1])
        if pattern.search(part) and not _SYSTEM_LIBRARIES.fullmatch(prefix):
            keys.add("/".join((*parts[:number], pattern.sub(_MARK, part))))
    return keys
