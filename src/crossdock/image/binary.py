"""What the first bytes of a file say about the machine it is for: ELF, Mach-O, PE, static libraries, WebAssembly.

Sources: System V gABI chapter 4 (ELF header) and its e_machine registry; Apple's mach-o/loader.h and mach-o/fat.h;
Microsoft's PE format; ECMA-335 II.25 (managed code); ar(5); the WebAssembly core specification 5.5.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

HEAD_BYTES = 4096
"""How much of a file ``identify`` wants: enough for every header of practice, except that of a static library whose
symbol table comes first; for that one pass ``LIBRARY_HEAD_BYTES``."""
LIBRARY_HEAD_BYTES = 4 << 20

ANY = "any"
"""The architecture of a binary that runs on every machine: managed code without native parts."""


class Format(StrEnum):
    ELF = "ELF"
    MACH_O = "Mach-O"
    PE = "PE"
    STATIC_LIBRARY = "static library"
    WASM = "WebAssembly"


@dataclass(frozen=True, slots=True)
class Binary:
    """What a header says. ``architectures`` are OCI names where there is one (``amd64``, ``arm64``, ``ppc64le``), else
    the format's own word (``bpf``, ``sparc64``, ``machine-9999``); several for a universal Mach-O, ``any`` for neutral
    managed code, none for a static library whose first object lies beyond the bytes that were given.

    ``bits`` is 32, 64 or 0 (says nothing); ``big_endian`` likewise of the header. ``kind`` is what it is: executable,
    PIE executable, shared object, relocatable object, core dump, dynamic library, DLL …. ``floats`` is how an ELF file
    passes floating point where its processor has several ways that do not go together: ``hard float``, ``soft float``;
    empty where it does not say.
    """

    format: Format
    architectures: tuple[str, ...]
    kind: str
    bits: int = 0
    big_endian: bool = False
    managed: bool = False
    floats: str = ""

    @property
    def is_loaded(self) -> bool:
        """Whether it is a program or a library that is loaded as it is, and not an object file or a core dump."""
        return self.kind not in ("relocatable object", "core dump")

    def runs_on(self, architecture: str) -> bool:
        """Whether it holds code for this OCI architecture, or none that is tied to a machine."""
        return architecture in self.architectures or ANY in self.architectures

    def describe(self) -> str:
        """One line for people: ``ELF 64-bit LSB shared object, arm64``."""
        words = []
        if self.kind != self.format.value:
            words.append(self.format.value)
        if self.bits:
            words.append(f"{self.bits}-bit")
        if self.format is Format.ELF:
            words.append("MSB" if self.big_endian else "LSB")
        if self.managed:
            words.append(".NET")
        words.append(self.kind)
        machines = " and ".join(self.architectures) if self.architectures else "unknown architecture"
        return f"{' '.join(words)}, {'any architecture' if machines == ANY else machines}"


def identify(head: bytes) -> Binary | None:
    """What a file is, from its first bytes (``HEAD_BYTES`` of them, fewer if it is shorter); None for anything else,
    also for a header that is cut off before it names its machine. Never raises."""
    reader = _READERS.get(head[:4])
    if reader is not None:
        return reader(head)
    return _pe(head) if head[:2] == b"MZ" else None


_ELF_MACHINES: dict[int, str] = {
    0: "none",
    2: "sparc",
    3: "386",
    4: "m68k",
    6: "386",
    8: "mips",
    10: "mips",
    15: "hppa",
    18: "sparc",
    20: "ppc",
    21: "ppc64",
    22: "s390",
    23: "spu",
    40: "arm",
    41: "alpha",
    42: "sh",
    43: "sparc64",
    45: "arc",
    50: "ia64",
    53: "coldfire",
    62: "amd64",
    83: "avr",
    92: "or1k",
    93: "arc",
    94: "xtensa",
    105: "msp430",
    106: "blackfin",
    113: "nios2",
    140: "c6000",
    164: "hexagon",
    180: "k1om",
    183: "arm64",
    188: "tilegx",
    189: "microblaze",
    190: "cuda",
    191: "tilegx",
    195: "arc",
    224: "amdgpu",
    243: "riscv",
    244: "lanai",
    247: "bpf",
    251: "ve",
    252: "csky",
    258: "loong",
    0x9026: "alpha",
    0xBAAB: "microblaze",
    0x5441: "frv",
}
"""e_machine → name, before class and byte order are looked at."""
_ELF_SHORT: dict[str, str] = {"amd64": "x32", "arm64": "arm64-ilp32"}
"""64-bit processors with 32-bit addresses: other ABIs, which few kernels know."""
_FLOATS: dict[str, tuple[int, dict[int, str]]] = {
    "arm": (0x600, {0x200: "soft float", 0x400: "hard float"}),
    "riscv64": (0x6, {0x0: "soft float", 0x2: "single float", 0x4: "hard float"}),
    "loong64": (0x7, {0x1: "soft float", 0x2: "single float", 0x3: "hard float"}),
}
"""Which bits of e_flags say how floating point is passed. Sources: ELF for the Arm Architecture (EF_ARM_ABI_FLOAT_SOFT,
_HARD), RISC-V ELF psABI (EF_RISCV_FLOAT_ABI), LoongArch ELF psABI (EF_LOONGARCH_ABI_MODIFIER_MASK)."""

_ELF_BIG: dict[str, str] = {"arm64": "arm64be", "arm": "armbe"}
_ELF_LITTLE: dict[str, str] = {"ppc64": "ppc64le", "ppc": "ppcle"}
_ELF_KINDS = {1: "relocatable object", 2: "executable", 3: "shared object", 4: "core dump"}
_PT_INTERP = 3


def _elf(head: bytes) -> Binary | None:
    if len(head) < 20:
        return None
    elf_class, data = head[4], head[5]
    if elf_class not in (1, 2) or data not in (1, 2):
        return None
    bits, big = 32 * elf_class, data == 2
    kind_number, machine = struct.unpack_from(">HH" if big else "<HH", head, 16)
    kind = _ELF_KINDS.get(kind_number, f"type {kind_number:#x}")
    if kind_number == 3 and _has_interpreter(head, bits, big):
        kind = "PIE executable"
    architecture = _elf_architecture(machine, bits, big)
    return Binary(Format.ELF, (architecture,), kind, bits, big, floats=_elf_floats(head, architecture, bits, big))


def _elf_floats(head: bytes, architecture: str, bits: int, big: bool) -> str:
    at = 48 if bits == 64 else 36
    if architecture not in _FLOATS or len(head) < at + 4:
        return ""
    mask, names = _FLOATS[architecture]
    (flags,) = struct.unpack_from(">I" if big else "<I", head, at)
    return names.get(flags & mask, "")


def _elf_architecture(machine: int, bits: int, big: bool) -> str:
    name = _ELF_MACHINES.get(machine)
    if name is None:
        return f"machine-{machine}"
    if name == "mips":
        return f"mips{'64' if bits == 64 else ''}{'' if big else 'le'}"
    if name in ("riscv", "loong"):
        return f"{name}{bits}"
    if name == "s390" and bits == 64:
        return "s390x"
    if bits == 32 and not big and name in _ELF_SHORT:
        return _ELF_SHORT[name]
    return (_ELF_BIG if big else _ELF_LITTLE).get(name, name)


def _has_interpreter(head: bytes, bits: int, big: bool) -> bool:
    """Whether a PT_INTERP is among the program headers within ``head``: that makes a shared object one to start."""
    order = ">" if big else "<"
    try:
        if bits == 64:
            (start,) = struct.unpack_from(order + "Q", head, 32)
            size, count = struct.unpack_from(order + "HH", head, 54)
        else:
            (start,) = struct.unpack_from(order + "I", head, 28)
            size, count = struct.unpack_from(order + "HH", head, 42)
        kind = struct.Struct(order + "I")
        for at in range(start, min(start + size * count, len(head) - 4), size or len(head)):
            if kind.unpack_from(head, at)[0] == _PT_INTERP:
                return True
    except struct.error:
        pass
    return False


_MACH_CPUS: dict[int, str] = {
    6: "m68k",
    7: "386",
    0x0100_0007: "amd64",
    12: "arm",
    0x0100_000C: "arm64",
    0x0200_000C: "arm64_32",
    18: "ppc",
    0x0100_0012: "ppc64",
}
_MACH_KINDS = {
    1: "relocatable object",
    2: "executable",
    4: "core dump",
    6: "dynamic library",
    7: "dynamic linker",
    8: "bundle",
    9: "dynamic library stub",
    10: "debug symbols",
    11: "kernel extension",
}
_MACH_FAT_LIMIT = 43
"""A Java class file has the same magic; where a universal file counts its slices it has its version, 45 or more."""


def _mach_o(head: bytes) -> Binary | None:
    if len(head) < 16:
        return None
    big = head[0] == 0xFE
    cpu, _, kind = struct.unpack_from(">III" if big else "<III", head, 4)
    bits = 64 if 0xCF in (head[0], head[3]) else 32
    return Binary(Format.MACH_O, (_mach_cpu(cpu),), _MACH_KINDS.get(kind, f"type {kind}"), bits, big)


def _mach_cpu(cpu: int) -> str:
    return _MACH_CPUS.get(cpu, f"machine-{cpu:#x}")


def _mach_fat(head: bytes) -> Binary | None:
    if len(head) < 8:
        return None
    (count,) = struct.unpack_from(">I", head, 4)
    if not 0 < count < _MACH_FAT_LIMIT:
        return None
    entry = 32 if head[3] == 0xBF else 20
    cpus = [
        struct.unpack_from(">I", head, at)[0] for at in range(8, min(8 + entry * count, len(head) - entry + 1), entry)
    ]
    if not cpus or not any(cpu in _MACH_CPUS for cpu in cpus):
        return None
    return Binary(Format.MACH_O, tuple(dict.fromkeys(map(_mach_cpu, cpus))), "universal binary", 0, True)


_PE_MACHINES: dict[int, str] = {
    0x014C: "386",
    0x8664: "amd64",
    0xAA64: "arm64",
    0xA641: "arm64",
    0xA64E: "arm64",
    0x01C0: "arm",
    0x01C2: "arm",
    0x01C4: "arm",
    0x0200: "ia64",
    0x5032: "riscv32",
    0x5064: "riscv64",
    0x6232: "loong32",
    0x6264: "loong64",
    0x0EBC: "efi-bytecode",
}
_READY_TO_RUN_SYSTEMS = (0x7B79, 0x4644, 0xADC4, 0x1993)
""".NET's precompiled assemblies xor the machine with a number for Linux, macOS, FreeBSD and NetBSD."""
_EFI_SUBSYSTEMS = range(10, 14)


def _pe(head: bytes) -> Binary | None:
    try:
        (at,) = struct.unpack_from("<I", head, 0x3C)
        if head[at : at + 4] != b"PE\0\0":
            return None
        machine, _, _, _, _, optional_size, flags = struct.unpack_from("<HHIIIHH", head, at + 4)
    except struct.error:
        return None
    architecture = _PE_MACHINES.get(machine)
    if architecture is None:
        found = (_PE_MACHINES.get(machine ^ system) for system in _READY_TO_RUN_SYSTEMS)
        architecture = next((name for name in found if name), f"machine-{machine:#x}")
    kind = "DLL" if flags & 0x2000 else "executable"
    optional = at + 24
    magic = head[optional : optional + 2] if optional_size else b""
    bits = {b"\x0b\x01": 32, b"\x0b\x02": 64}.get(magic, 0)
    if not bits:
        return Binary(Format.PE, (architecture,), kind)
    subsystem = head[optional + 68 : optional + 70]
    if len(subsystem) == 2 and int.from_bytes(subsystem, "little") in _EFI_SUBSYSTEMS:
        kind = "EFI program"
    managed, neutral = _managed_code(head, optional, optional_size, bits)
    if managed and neutral and machine == 0x014C:
        architecture = ANY
    return Binary(Format.PE, (architecture,), kind, bits, managed=managed)


def _managed_code(head: bytes, optional: int, optional_size: int, bits: int) -> tuple[bool, bool]:
    """Whether a PE file is a .NET assembly, and whether it is one for any machine (ECMA-335 II.25.3.3): nothing but
    intermediate language and no 32-bit requirement. Where its header is out of reach the answer to that is no."""
    directory = optional + (96 if bits == 32 else 112) + 14 * 8
    try:
        address, size = struct.unpack_from("<II", head, directory)
        if directory + 8 > optional + optional_size or not address or not size:
            return False, False
        (sections,) = struct.unpack_from("<H", head, optional - 18)
        for number in range(min(sections, 96)):
            at = optional + optional_size + 40 * number
            virtual_size, start, raw_size, raw = struct.unpack_from("<IIII", head, at + 8)
            if start <= address < start + max(virtual_size, raw_size):
                (flags,) = struct.unpack_from("<I", head, raw + address - start + 16)
                return True, bool(flags & 1) and not flags & 2
    except struct.error:
        pass
    else:
        return True, False
    return directory + 8 <= len(head), False


_AR_HEADER = 60
_AR_TABLES = (b"/", b"//", b"/SYM64/", b"__.SYMDEF", b"__.SYMDEF SORTED", b"__.SYMDEF_64")


def _archive(head: bytes) -> Binary | None:
    """A static library is named after its first object. A Debian package has the same magic and is none."""
    if head[:8] not in (b"!<arch>\n", b"!<thin>\n"):
        return None
    library = Binary(Format.STATIC_LIBRARY, (), Format.STATIC_LIBRARY.value)
    at = 8
    while at + _AR_HEADER <= len(head) and head[at + 58 : at + 60] == b"`\n":
        name = head[at : at + 16].rstrip()
        if at == 8 and name.rstrip(b"/") == b"debian-binary":
            return None
        digits = head[at + 48 : at + 58].strip()
        if not digits.isdigit():
            break
        body, size = at + _AR_HEADER, int(digits)
        if head[:8] == b"!<thin>\n" and name not in _AR_TABLES:
            break
        if name not in _AR_TABLES:
            if name.startswith(b"#1/") and name[3:].isdigit():
                body += int(name[3:])
            end = at + _AR_HEADER + size
            member = identify(head[body : min(body + HEAD_BYTES, end)])
            if member is not None and member.format in (Format.ELF, Format.MACH_O, Format.WASM):
                return Binary(Format.STATIC_LIBRARY, member.architectures, library.kind, member.bits, member.big_endian)
        at += _AR_HEADER + size + (size & 1)
    return library


def _wasm(head: bytes) -> Binary | None:
    if len(head) < 8:
        return None
    kind = "component" if head[6] == 1 else "module"
    return Binary(Format.WASM, ("wasm",), kind)


_READERS: dict[bytes, Callable[[bytes], Binary | None]] = {
    b"\x7fELF": _elf,
    b"\xfe\xed\xfa\xce": _mach_o,
    b"\xfe\xed\xfa\xcf": _mach_o,
    b"\xce\xfa\xed\xfe": _mach_o,
    b"\xcf\xfa\xed\xfe": _mach_o,
    b"\xca\xfe\xba\xbe": _mach_fat,
    b"\xca\xfe\xba\xbf": _mach_fat,
    b"!<ar": _archive,
    b"!<th": _archive,
    b"\0asm": _wasm,
}
