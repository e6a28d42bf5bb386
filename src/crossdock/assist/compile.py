"""Compiles the launcher and the registrar, for whoever changes them and for the tests; crossdock carries the result.

``python -m crossdock.assist.compile`` writes ``launcher/ARCHITECTURE.bin`` and ``launcher/ARCHITECTURE.registrar``
anew, with Debian's gcc and gcc-aarch64-linux-gnu.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from crossdock.process import Command, Runner, SystemRunner

SOURCES = Path(__file__).with_name("launcher")
PREFIXES = {"amd64": "", "arm64": "aarch64-linux-gnu-"}
"""What the names of Debian's tools begin with that compile for an architecture, on an amd64 machine."""
_FLAGS = (
    *("-std=c11", "-Wall", "-Wextra", "-Werror", "-Os", "-nostdlib", "-static", "-Wl,--build-id=none"),
    # Nothing that would need a libc or a table of unwinding.
    *("-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
    "-fno-tree-loop-distribute-patterns",
)
_MORE = {"amd64": ("-fcf-protection=none",), "arm64": ("-mbranch-protection=none",)}


def compile_launcher(architecture: str, runner: Runner) -> bytes:
    """The launcher as one block of machine code. Raises EngineError when the compiler fails or is not installed."""
    # It runs wherever it is put: nothing may need a loader that relocates.
    position = ("-fPIE", "-fno-plt", f"-Wl,-T,{SOURCES / 'launcher.ld'}")
    return _compiled("launcher.c", architecture, position, ("-O", "binary"), runner)


def compile_registrar(architecture: str, runner: Runner) -> bytes:
    """The registrar as a static program. Raises as compile_launcher."""
    return _compiled("registrar.c", architecture, ("-no-pie", "-Wl,-z,noseparate-code"), ("-S",), runner)


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


if __name__ == "__main__":
    main()
