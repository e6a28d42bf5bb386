"""Compiles the launcher, for whoever changes it and for the tests; crossdock carries the result.

``python -m crossdock.assist.compile`` writes ``launcher/ARCHITECTURE.bin`` anew, with Debian's gcc and
gcc-aarch64-linux-gnu.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from crossdock.process import Command, Runner, SystemRunner

SOURCES = Path(__file__).with_name("launcher")
PREFIXES = {"amd64": "", "arm64": "aarch64-linux-gnu-"}
"""What the names of Debian's tools begin with that compile for an architecture, on an amd64 machine."""
_FLAGS = (
    *("-std=c11", "-Wall", "-Wextra", "-Werror", "-Os", "-fPIE", "-nostdlib", "-static"),
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
        runner.run(Command((f"{prefix}gcc", *_FLAGS, *_MORE[architecture], *link)))
        runner.run(Command((f"{prefix}objcopy", "-O", "binary", str(linked), str(block))))
        return block.read_bytes()


def main() -> None:
    for architecture in PREFIXES:
        (SOURCES / f"{architecture}.bin").write_bytes(compile_launcher(architecture, SystemRunner()))


if __name__ == "__main__":
    main()
