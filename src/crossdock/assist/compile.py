"""Compiles the launcher and what packs say of the machine, for whoever changes them and for the tests.

crossdock carries the results. ``python -m crossdock.assist.compile`` writes ``launcher/ARCHITECTURE.bin`` and
``packs/machine-ARCHITECTURE.so`` anew, with Debian's gcc and gcc-aarch64-linux-gnu.
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
    *("-std=c11", "-Wall", "-Wextra", "-Werror", "-Os", "-nostdlib"),
    # Nothing that would need a libc, a table of unwinding, or a loader that relocates.
    *("-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-plt"),
    "-fno-tree-loop-distribute-patterns",
)
_MORE = {"amd64": ("-fcf-protection=none",), "arm64": ("-mbranch-protection=none",)}


def compile_launcher(architecture: str, runner: Runner) -> bytes:
    """The launcher as one block of machine code. Raises EngineError when the compiler fails or is not installed."""
    prefix = PREFIXES[architecture]
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        linked, block = Path(folder) / "launcher", Path(folder) / "launcher.bin"
        script = SOURCES / "launcher.ld"
        link = ("-Wl,--build-id=none", f"-Wl,-T,{script}", str(SOURCES / "launcher.c"), "-o", str(linked))
        runner.run(Command((f"{prefix}gcc", *_FLAGS, "-fPIE", "-static", *_MORE[architecture], *link)))
        runner.run(Command((f"{prefix}objcopy", "-O", "binary", str(linked), str(block))))
        return block.read_bytes()


def compile_machine(architecture: str, runner: Runner) -> bytes:
    """The library of ``machine.c`` for machines of an architecture. Raises EngineError like compile_launcher."""
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        library = Path(folder) / "machine.so"
        flags = (*_FLAGS, *_MORE[architecture], "-fPIC", "-shared", "-s", f'-DMACHINE="{_MACHINES[architecture]}"')
        # One page is all it takes, and Debian's names of symbols need no second table.
        link = "-Wl,--build-id=none,-z,noseparate-code,-z,norelro,--hash-style=gnu,-soname,machine.so"
        sources = (str(SOURCES / "machine.c"), "-o", str(library))
        runner.run(Command((f"{PREFIXES[architecture]}gcc", *flags, link, *sources)))
        return library.read_bytes()


def main() -> None:
    for architecture in PREFIXES:
        (SOURCES / f"{architecture}.bin").write_bytes(compile_launcher(architecture, SystemRunner()))
        (MAKERS / f"machine-{architecture}.so").write_bytes(compile_machine(architecture, SystemRunner()))


if __name__ == "__main__":
    main()
