"""Whether the kernel can run programs of another architecture, and registering an emulator so that it can.

Source: Documentation/admin-guide/binfmt-misc.rst of Linux; gABI, "ELF Header". Flag F (Linux 4.8) makes the kernel open
the interpreter when it is registered, which is what makes emulation work inside containers that do not have the file.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import struct
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from crossdock.engines.packages import Wanted, install_command
from crossdock.errors import CrossdockError, EngineError
from crossdock.platforms import Platform, host_platform
from crossdock.process import Command, Runner

BINFMT = Path("/proc/sys/fs/binfmt_misc")
FLAG_F_SINCE = (4, 8)
"""The first Linux with flag F."""
_CONTROL_FILES = ("register", "status")
_LONGEST_INTERPRETER = 127
_REGISTER = "`crossdock run` and `crossdock build` do it with --fix-binfmt, as root"
EXPECTS_P = "-binfmt-P"
"""How Debian's interpreters end that expect argv[0] as an argument of its own (flag P)."""


@dataclass(frozen=True)
class Machine:
    """How programs of an architecture look (the first bytes of an ELF file), and what QEMU calls it."""

    qemu: str
    number: int
    bits: int = 64
    big_endian: bool = False

    def header(self, kind: int = 2) -> bytes:
        """The first 20 bytes of an executable; ``kind`` 2 is ET_EXEC, 3 is ET_DYN."""
        identity = struct.pack("4sBBBB8x", b"\x7fELF", self.bits // 32, 2 if self.big_endian else 1, 1, 0)
        return identity + struct.pack(">HH" if self.big_endian else "<HH", kind, self.number)

    def mask(self) -> bytes:
        """Which bits of the header count: not the ABI, and not whether it is position independent."""
        kind = b"\xff\xfe" if self.big_endian else b"\xfe\xff"
        return b"\xff" * 7 + b"\x00" + b"\xff" * 8 + kind + b"\xff\xff"


MACHINES = {
    "386": Machine("i386", 3, bits=32),
    "amd64": Machine("x86_64", 62),
    "arm": Machine("arm", 40, bits=32),
    "arm64": Machine("aarch64", 183),
    "loong64": Machine("loongarch64", 258),
    "mips64le": Machine("mips64el", 8),
    "ppc64le": Machine("ppc64le", 21),
    "riscv64": Machine("riscv64", 243),
    "s390x": Machine("s390x", 22, big_endian=True),
}
_PROGRAMS = {
    # exit(0), as machine code: the smallest thing whose running proves that running works.
    "arm64": bytes.fromhex("a80b8052 00008052 010000d4".replace(" ", "")),
    "amd64": bytes.fromhex("b83c000000 31ff 0f05".replace(" ", "")),
    "riscv64": bytes.fromhex("9308d005 13050000 73000000".replace(" ", "")),
    "s390x": bytes.fromhex("a7290000 0a01".replace(" ", "")),
}


@dataclass(frozen=True)
class Handler:
    """One entry of binfmt_misc. ``magic`` is empty for an entry that goes by file name extension."""

    name: str
    enabled: bool
    interpreter: str
    flags: str
    offset: int = 0
    magic: bytes = b""
    mask: bytes = b""

    def takes(self, header: bytes) -> bool:
        """Whether the kernel hands a file with these first bytes to this handler."""
        if not self.enabled or not self.magic:
            return False
        part = header[self.offset : self.offset + len(self.magic)]
        mask = self.mask or b"\xff" * len(self.magic)
        # The kernel compares in what it has read of the file; what lies behind our header is zero in the same way.
        part = part.ljust(len(self.magic), b"\0")
        return all((a ^ b) & m == 0 for a, b, m in zip(part, self.magic, mask, strict=True))

    @property
    def fixed(self) -> bool:
        """Flag F: the interpreter was opened at registration, so containers need not have it."""
        return "F" in self.flags


@dataclass(frozen=True)
class Problem:
    """Why programs of a platform cannot be run here, and the next step."""

    platform: Platform
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.platform}: {self.what}\n  {self.hint}"


@dataclass(frozen=True)
class Registration:
    """An entry that was made; ``undo`` removes it."""

    name: str
    interpreter: str
    root: Path = field(default=BINFMT, repr=False)

    def undo(self) -> None:
        # Never created: the kernel answers that with "permission denied", not with "no such file".
        with contextlib.suppress(FileNotFoundError), (self.root / self.name).open("r+b", buffering=0) as entry:
            entry.write(b"-1")


def parse_handler(name: str, text: str) -> Handler:
    """The text of a file in binfmt_misc. Raises CrossdockError for what the kernel does not write."""
    enabled = False
    interpreter = flags = ""
    offset, magic, mask = 0, b"", b""
    try:
        for line in text.splitlines():
            word, _, value = line.partition(" ")
            match word:
                case "enabled":
                    enabled = True
                case "interpreter":
                    interpreter = value
                case "flags:":
                    flags = value
                case "offset":
                    offset = int(value)
                case "magic":
                    magic = bytes.fromhex(value)
                case "mask":
                    mask = bytes.fromhex(value)
                case _:
                    pass
    except ValueError as error:
        raise CrossdockError(f"binfmt_misc's entry {name!r} is not understood: {error}") from error
    if mask and len(mask) != len(magic):
        raise CrossdockError(f"binfmt_misc's entry {name!r} has a mask of another length than its magic")
    return Handler(name, enabled, interpreter, flags, offset, magic, mask)


def read_handlers(root: Path = BINFMT) -> tuple[Handler, ...]:
    """What is registered and switched on as a whole; nothing where binfmt_misc is not mounted."""
    try:
        if (root / "status").read_text().strip() != "enabled":
            return ()
        entries = sorted(entry for entry in root.iterdir() if entry.name not in _CONTROL_FILES)
        return tuple(parse_handler(entry.name, entry.read_text()) for entry in entries)
    except OSError:
        return ()


def is_mounted(root: Path = BINFMT) -> bool:
    return (root / "register").exists()


def check_emulation(
    platforms: Iterable[Platform], runner: Runner, *, root: Path = BINFMT, host: Platform | None = None
) -> tuple[Problem, ...]:
    """What is missing to run programs of these platforms in containers on this machine; empty when nothing is."""
    host = host or host_platform()
    problems: list[Problem] = []
    for platform in dict.fromkeys(platforms):
        if platform.runs_natively_on(host):
            continue
        problem = _check(platform, runner, root)
        if problem:
            problems.append(problem)
    return tuple(problems)


def prepare_emulation(
    platforms: Iterable[Platform], runner: Runner, *, fix: bool, host: Platform | None = None
) -> None:
    """Make sure that programs of these platforms run in containers here; ``fix`` registers what is missing. Raises
    EngineError saying what is, and what ``register`` raises."""
    wanted = tuple(platforms)
    problems = check_emulation(wanted, runner, host=host)
    if fix:
        for problem in problems:
            register(problem.platform, runner)
        problems = check_emulation(wanted, runner, host=host)
    if problems:
        raise EngineError(
            "this machine cannot run such programs: " + "; ".join(problem.what for problem in problems),
            where=", ".join(str(problem.platform) for problem in problems),
            hint=problems[0].hint,
        )


def _check(platform: Platform, runner: Runner, root: Path) -> Problem | None:
    machine = MACHINES.get(platform.architecture)
    if machine is None or platform.os != "linux":
        return Problem(platform, "there is no emulator for it", "Build it on a machine of its own.")
    register_it = (
        "`crossdock run` and `crossdock build` register it with --fix-binfmt, as root; nothing else is changed."
    )
    if not is_mounted(root):
        # Inside a container the kernel's entries can be in force without being visible, so ask the kernel itself.
        if _program_runs(platform, runner):
            return None
        found = find_interpreter(platform)
        if found:
            return Problem(platform, "the kernel cannot run its programs: binfmt_misc is not mounted", register_it)
        return Problem(platform, "the kernel cannot run its programs, and QEMU is not installed", _install(runner))
    handlers = [entry for entry in read_handlers(root) if entry.takes(machine.header())]
    if any(entry.fixed for entry in handlers):
        return None
    found = find_interpreter(platform)
    if handlers:
        names = ", ".join(entry.name for entry in handlers)
        what = f"its handler ({names}) is registered without flag F, so that it does not work in containers"
    else:
        what = "no handler for its programs is registered (binfmt_misc)"
    return Problem(platform, what, register_it if found else _install(runner))


def _install(runner: Runner) -> str:
    install = install_command(Wanted.EMULATION, runner) or "the package qemu-user-static"
    return f"Install QEMU's user emulation (`{install}`), then register it: {_REGISTER}."


def _program_runs(platform: Platform, runner: Runner) -> bool:
    tiny = tiny_program(platform.architecture)
    if tiny is None:
        return False
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        program = Path(folder) / "exit"
        program.write_bytes(tiny)
        program.chmod(0o700)
        try:
            return runner.run(Command((str(program),)), timeout=10, check=False).exit_code == 0
        except EngineError:
            return False


def tiny_program(architecture: str) -> bytes | None:
    """A static program for an architecture that ends at once with exit code 0; None where none is known."""
    code = _PROGRAMS.get(architecture)
    return smallest_program(MACHINES[architecture], code) if code else None


def smallest_program(machine: Machine, code: bytes) -> bytes:
    """A static 64-bit ELF file of one segment that begins with ``code``."""
    base, start, order = 0x400000, 64 + 56, ">" if machine.big_endian else "<"
    fields = struct.pack(f"{order}IQQQIHHHHHH", 1, base + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = start + len(code)
    segment = struct.pack(f"{order}IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x10000)
    return machine.header() + fields + segment + code


def find_interpreter(platform: Platform, folder: Path = Path("/")) -> Path | None:
    """QEMU's user-mode program for a platform, from where distributions put it."""
    machine = MACHINES.get(platform.architecture)
    if machine is None:
        return None
    places = (folder / place.lstrip("/") for place in interpreter_places(machine))
    return next((place for place in places if place.exists()), None)


def emulator_version(platform: Platform, runner: Runner, root: Path = BINFMT) -> str:
    """What the emulator that the kernel uses for a platform says of its version: ``10.0.13``; empty where that cannot
    be found out, as its file may lie elsewhere (flag F)."""
    machine = MACHINES.get(platform.architecture)
    handlers = [entry for entry in read_handlers(root) if machine and entry.takes(machine.header())]
    for file in (Path(entry.interpreter) for entry in handlers):
        with contextlib.suppress(OSError, EngineError):
            # Debian's …-binfmt-P is a link to a program that takes options only under its own name.
            done = runner.run(Command((str(file.resolve(strict=True)), "--version")), timeout=10, check=False)
            if found := re.search(r"\d+(?:\.\d+)+", done.text):
                return found[0]
    return ""


def interpreter_places(machine: Machine) -> tuple[str, ...]:
    """Where distributions put QEMU's user-mode program, the best first."""
    return (
        f"/usr/libexec/qemu-binfmt/{machine.qemu}-binfmt-P",
        f"/usr/bin/qemu-{machine.qemu}-static",
        f"/usr/bin/qemu-{machine.qemu}",
        f"/usr/local/bin/qemu-{machine.qemu}-static",
        f"/usr/local/bin/qemu-{machine.qemu}",
    )


def own_name(machine: Machine) -> str:
    """What entries of ours are called: ``crossdock-aarch64``."""
    return f"crossdock-{machine.qemu}"


def registration_line(name: str, machine: Machine, interpreter: Path) -> bytes:
    """What is written to ``register``. Flag P goes with Debian's ``…-binfmt-P``, which expects it."""
    flags = "OPF" if interpreter.name.endswith(EXPECTS_P) else "F"
    return f"{registration_match(name, machine)}:{interpreter}:{flags}".encode()


def registration_match(name: str, machine: Machine) -> str:
    """The first part of that line: the name, and which files the kernel takes for programs of the machine."""
    return f":{name}:M::{escaped(machine.header())}:{escaped(machine.mask())}"


def escaped(data: bytes) -> str:
    """Bytes as binfmt_misc and binfmt.d write them: ``\\x7f\\x45``."""
    return "".join(f"\\x{byte:02x}" for byte in data)


def register(
    platform: Platform, runner: Runner, *, interpreter: Path | None = None, name: str | None = None, root: Path = BINFMT
) -> Registration:
    """Register an emulator with the kernel, until the next reboot or ``undo``; mount binfmt_misc if it is not.

    Raises CrossdockError: no root, no emulator installed, one that cannot work inside containers, the kernel refuses.
    """
    machine = MACHINES.get(platform.architecture)
    if machine is None or platform.os != "linux":
        raise CrossdockError(f"there is no emulator for {platform}", hint="Build it on a machine of its own.")
    found = interpreter or find_interpreter(platform)
    if found is None:
        raise CrossdockError(f"there is no emulator for {platform} on this machine", hint=_install(runner))
    check_interpreter(found)
    if os.geteuid() != 0:
        raise CrossdockError(
            f"only root may register the emulator for {platform}",
            hint="Run this once with sudo, or `sudo crossdock doctor --fix`; the registration serves every user.",
        )
    _mount(root, runner)
    own = name or own_name(machine)
    if (root / own).exists():
        raise CrossdockError(
            f"binfmt_misc has an entry {own!r} already, and it does not do",
            where=str(root / own),
            hint=f"Remove it with `echo -1 > {root / own}` as root, and run again.",
        )
    try:
        (root / "register").write_bytes(registration_line(own, machine, found))
    except OSError as error:
        raise CrossdockError(
            f"the kernel did not take the emulator for {platform}: {error.strerror}",
            where=str(root / "register"),
            hint="Inside a container this needs the host's binfmt_misc; register it on the host.",
        ) from error
    return Registration(own, str(found), root)


def _mount(root: Path, runner: Runner) -> None:
    if is_mounted(root):
        return
    done = runner.run(Command(("mount", "-t", "binfmt_misc", "binfmt_misc", str(root))), timeout=30, check=False)
    if done.exit_code != 0:
        raise CrossdockError(
            f"binfmt_misc cannot be mounted: {done.stderr.decode('utf-8', 'replace').strip()}",
            where=str(root),
            hint="Load it with `modprobe binfmt_misc`; inside a container, do it on the host.",
        )


def check_interpreter(file: Path) -> None:
    """It has to be a program of this machine that needs no loader: the kernel keeps the program itself open (flag F),
    but its loader and libraries would be looked for inside the container."""
    if len(str(file)) > _LONGEST_INTERPRETER or ":" in str(file):
        raise CrossdockError("the path of the emulator is too long or holds a colon", where=str(file))
    try:
        if not stat.S_ISREG(file.stat().st_mode) or not os.access(file, os.X_OK):
            raise CrossdockError("the emulator is no program", where=str(file), hint="Name an executable file.")
        with file.open("rb") as opened:
            head = opened.read(4096)
    except OSError as error:
        raise CrossdockError(f"the emulator cannot be read: {error.strerror}", where=str(file)) from error
    own = MACHINES.get(host_platform().architecture)
    if own is None or head[:6] != own.header()[:6] or head[18:20] != own.header()[18:20]:
        raise CrossdockError("the emulator is no program of this machine", where=str(file), hint="Install QEMU anew.")
    if needs_loader(head):
        raise CrossdockError(
            "this emulator is linked dynamically, so that it would not find its libraries inside containers",
            where=str(file),
            hint="Install the static one (qemu-user-static).",
        )


def needs_loader(head: bytes) -> bool:
    """Whether an ELF file's program headers name a loader (PT_INTERP, 3). ``head`` are its first 4096 bytes."""
    wide, little = head[4] == 2, head[5] == 1
    order = "<" if little else ">"
    if wide:
        (offset,) = struct.unpack_from(f"{order}Q", head, 32)
        size, count = struct.unpack_from(f"{order}HH", head, 54)
    else:
        (offset,) = struct.unpack_from(f"{order}I", head, 28)
        size, count = struct.unpack_from(f"{order}HH", head, 42)
    kinds = []
    for index in range(count):
        at = offset + index * size
        if at + 4 <= len(head):
            kinds.append(struct.unpack_from(f"{order}I", head, at)[0])
    return 3 in kinds
