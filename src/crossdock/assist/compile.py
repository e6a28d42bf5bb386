"""Compiles the launcher, the registrar and what answers for the machine, for whoever changes them and for the tests.

crossdock carries the results. ``python -m crossdock.assist.compile`` writes ``launcher/ARCHITECTURE.bin``,
``launcher/ARCHITECTURE.registrar`` and ``packs/machine-ARCHITECTURE.so`` anew, with Debian's gcc and
gcc-aarch64-linux-gnu.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from crossdock.assist.packs import MAKERS
from crossdock.process import Command, Runner, SystemRunner

SOURCES = Path(__file__).with_name("launcher")
PREFIXES = {"amd64": "", "arm64": "aarch64-linux-gnu-"}
"""What the names of Debian's tools begin with that compile for an architecture, on an amd64 machine."""
_MACHINES = {"amd64": "aarch64", "arm64": "x86_64"}
"""Architecture of the machine that runs a build → uname -m of the other one, which it is for."""
_FLAGS = (
    *("-std=c11", "-Wall", "-Wextra", "-Werror", "-Os", "-nostdlib", "-Wl,--build-id=none"),
    # Nothing that would need a libc or a table of unwinding.
    *("-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
    "-fno-tree-loop-distribute-patterns",
)
_MORE = {"amd64": ("-fcf-protection=none",), "arm64": ("-mbranch-protection=none",)}


def compile_launcher(architecture: str, runner: Runner) -> bytes:
    """The launcher as one block of machine code. Raises EngineError when the compiler fails or is not installed."""
    # It runs wherever it is put: nothing may need a loader that relocates.
    position = ("-static", "-fPIE", "-fno-plt", f"-Wl,-T,{SOURCES / 'launcher.ld'}")
    return _compiled("launcher.c", architecture, position, ("-O", "binary"), runner)


def compile_registrar(architecture: str, runner: Runner) -> bytes:
    """The registrar as a static program. Raises as compile_launcher."""
    return _compiled("registrar.c", architecture, ("-static", "-no-pie", "-Wl,-z,noseparate-code"), ("-S",), runner)


def compile_machine(architecture: str, runner: Runner) -> bytes:
    """What answers for the machine, as a library that nothing else is needed for. Raises as compile_launcher."""
    named = f'-DMACHINE="{_MACHINES[architecture]}"'
    link = "-Wl,-z,noseparate-code,-z,norelro,--hash-style=gnu,-soname,machine.so"
    return _compiled("machine.c", architecture, ("-shared", "-fPIC", named, link), ("-S",), runner)


def _compiled(name: str, architecture: str, flags: tuple[str, ...], kept: tuple[str, ...], runner: Runner) -> bytes:
    """``flags`` are more of the compiler's, ``kept`` are objcopy's: what of the linked program is taken."""
    prefix = PREFIXES[architecture]
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        linked, result = Path(folder) / "linked", Path(folder) / "result"
        argv = (*_FLAGS, *_MORE[architecture], *flags, str(SOURCES / name), "-o", str(linked))
        runner.run(Command((f"{prefix}gcc", *argv)))
        runner.run(Command((f"{prefix}objcopy", *kept, str(linked), str(result))))
        return result.read_bytes()


def main() -> None:
    for architecture in PREFIXES:
        (SOURCES / f"{architecture}.bin").write_bytes(compile_launcher(architecture, SystemRunner()))
        (SOURCES / f"{architecture}.registrar").write_bytes(compile_registrar(architecture, SystemRunner()))
        (MAKERS / f"machine-{architecture}.so").write_bytes(compile_machine(architecture, SystemRunner()))


if __name__ == "__main__":
    main()
