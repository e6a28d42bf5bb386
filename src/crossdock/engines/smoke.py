"""How a container's end is judged: the verdict of a smoke run."""

from __future__ import annotations

import re
from signal import SIGILL

from crossdock.engines.model import SmokeVerdict

OUTPUT_LINES = 20
"""How many of the last lines a smoke run keeps."""
_EXEC_FORMAT = re.compile(r"exec format error|invalid elf image for this architecture", re.IGNORECASE)
_LOADER = re.compile(
    r"(?:qemu[^ :]*|-binfmt-P): could not open '"  # user-mode QEMU
    r"|^exec [^ ]+: no such file or directory$"  # runc and crun, once the container runs
    r"|: fork/exec [^ ]+: no such file or directory",  # buildah's chroot
    re.IGNORECASE,
)
_ILLEGAL = re.compile(r"^qemu: uncaught target signal 4 |(?:^|[: ])Illegal instruction(?: \(core dumped\))?$")


def judge(exit_code: int, output: tuple[str, ...]) -> SmokeVerdict:
    """The verdict on a container that ended by itself.

    A program that is there but whose loader is not makes the kernel answer ``no such file or directory`` (execve(2),
    ENOENT); user-mode QEMU says which loader it could not open.
    """
    if exit_code == 0:
        return SmokeVerdict.RAN
    if any(_EXEC_FORMAT.search(line) for line in output):
        return SmokeVerdict.EXEC_FORMAT_ERROR
    if any(_LOADER.search(line) for line in output):
        return SmokeVerdict.MISSING_LOADER
    if exit_code in (128 + SIGILL, -SIGILL) or any(map(_ILLEGAL.search, output)):
        return SmokeVerdict.ILLEGAL_INSTRUCTION
    return SmokeVerdict.FAILED
