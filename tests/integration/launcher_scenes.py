"""Scenes of the launcher, on a kernel's binfmt_misc of their own (Linux 6.7 or newer), for test_launcher.

Run as a program as root, it goes into a user namespace with all ids, registers the launcher in front of QEMU there, and
plays scenes in a folder with a foreign busybox as root. The "native programs" are a busybox of this machine, so that
``uname -m`` tells who ran. What it saw is printed as JSON. Nothing of the machine is changed.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from crossdock.assist.emulator import with_launcher
from crossdock.host.binfmt import BINFMT, MACHINES, find_interpreter, registration_match, tiny_program
from crossdock.platforms import ARM64

_CLONE_NEWUSER, _CLONE_NEWNS = 0x10000000, 0x20000
NOBODY = 65534


def in_namespace() -> None:
    """Go on in a user and mount namespace in which every id is itself, so that setuid means something."""
    ready, mapped = os.pipe(), os.pipe()
    child = os.fork()
    if child:
        os.read(ready[0], 1)
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{child}/{name}").write_text("0 0 65536")
        os.write(mapped[1], b".")
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNS):
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    os.write(ready[1], b".")
    os.read(mapped[0], 1)
    os.setgid(0)
    os.setuid(0)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], check=True)


class Scene:
    """A root folder with a foreign busybox, and a pack below it unless it is taken away."""

    def __init__(self, folder: Path, foreign: Path, native: Path) -> None:
        self.root = folder / "root"
        for name in ("bin", "tmp", "proc", ".crossdock"):
            (self.root / name).mkdir(parents=True)
        for name in ("busybox", "other"):
            shutil.copy(foreign, self.root / "bin" / name)
        (self.root / "bin/sh").symlink_to("busybox")
        (self.root / "bin/link").symlink_to("busybox")
        shutil.copy(native, self.root / ".crossdock/busybox")
        subprocess.run(["mount", "--rbind", "/proc", self.root / "proc"], check=True)
        self.map("/bin/busybox /.crossdock/busybox")

    def map(self, *lines: str, first: str = "crossdock-assist 1") -> None:
        (self.root / ".crossdock/map").write_text("".join(f"{line}\n" for line in (first, *lines)))

    def run(self, *argv: str, program: str = "/bin/busybox", user: int = 0, folder: str = "/", **env: str) -> str:
        """Output of a program, exit code first when it is not 0."""

        def enter() -> None:
            os.chroot(self.root)
            os.chdir(folder)
            if user:
                os.setgid(user)
                os.setuid(user)

        done = subprocess.run(
            argv, executable=program, preexec_fn=enter, env={"PATH": "/bin", **env}, capture_output=True, check=False,
            timeout=60, text=True,
        )  # fmt: skip
        said = (done.stdout + done.stderr).strip()
        return said if done.returncode == 0 else f"{done.returncode}: {said}"


def register(folder: Path, flags: str) -> None:
    """The launcher in front of this machine's QEMU, under a name that Debian's QEMU understands as flag P; and as if it
    were an old one, which the launcher has to tell something."""
    qemu = find_interpreter(ARM64)
    assert qemu is not None
    file = folder / qemu.name
    with mock.patch("crossdock.assist.emulator.wants_pauth", return_value=True):
        file.write_bytes(with_launcher(qemu.read_bytes(), keeps_argv0=True))
    file.chmod(0o755)
    line = f"{registration_match('launcher', MACHINES['arm64'])}:{file}:{flags}"
    (BINFMT / "register").write_bytes(line.encode())
    file.unlink()  # the kernel keeps it open: QEMU may be missing from then on


def scenes(folder: Path, foreign: Path, native: Path) -> Iterator[tuple[str, Any]]:
    scene = Scene(folder, foreign, native)
    run = scene.run
    yield "mapped", run("uname", "-m")
    yield "not mapped", run("uname", "-m", program="/bin/other")
    yield "by a link", run("uname", "-m", program="/bin/link")
    yield "by a relative path", run("uname", "-m", program="../bin/busybox", folder="/tmp")
    yield "argv[0] without a path", run("echo", "a b", "c")
    yield "open files", run("ls", "/proc/self/fd")
    yield "open files of the emulated", run("ls", "/proc/self/fd", program="/bin/other")
    yield "environment", run("env", NAME="value")
    yield "environment of the emulated", run("env", program="/bin/other", NAME="value")
    yield "environment with a processor", run("env", program="/bin/other", QEMU_CPU="cortex-a53")
    yield "arguments of the emulated", run("echo", "a b", "c", "", "d", program="/bin/other")
    (scene.root / "bin/script").write_text("echo script $0 $1; /bin/busybox uname -m\n")
    (scene.root / "bin/script").chmod(0o755)
    yield "script without #!", run("sh", "-c", "script one")
    (scene.root / "bin/hashbang").write_text("#!/bin/busybox sh\necho $0; busybox uname -m\n")
    (scene.root / "bin/hashbang").chmod(0o755)
    yield "script with #!", run("hashbang", program="/bin/hashbang")
    yield "exit code", run("sh", "-c", "exit 7")
    yield "preload", run("uname", "-m", LD_PRELOAD="/none.so")
    yield "another user", run("uname", "-m", user=NOBODY)

    scene.map("/bin/busybox /.crossdock/busybox unless-env=NAME unless-arg=-s")
    yield "unless-env unset", run("uname", "-m")
    yield "unless-env", run("uname", "-m", NAME="1")
    yield "unless-arg", run("uname", "-s", "-m")
    scene.map("/bin/busybox /.crossdock/busybox unless-env=NAME=*-agent:*")
    yield "unless-env of a value", run("uname", "-m", NAME="-one -agent:/two")
    yield "unless-env of another value", run("uname", "-m", NAME="-one", OTHER="-agent:")
    (scene.root / "release").write_text('NAME="x"\nVERSION="17.0.1"\n')
    scene.map('/bin/busybox /.crossdock/busybox if-file=/release:VERSION="17.0.1"')
    yield "if-file", run("uname", "-m")
    scene.map('/bin/busybox /.crossdock/busybox if-file=/release:VERSION="17.0"')
    yield "if-file of another text", run("uname", "-m")
    scene.map('/bin/busybox /.crossdock/busybox if-file=/none:VERSION="17.0.1"')
    yield "if-file without the file", run("uname", "-m")
    scene.map("/bin/busybox /.crossdock/busybox if-arg=-[a if-arg=-*m")
    yield "if-arg", run("uname", "-m")
    yield "if-arg missing", run("uname", "-p", "-s")
    scene.map("/bin/busybox /.crossdock/busybox if-args=-s if-args=-m,*")
    yield "if-args", run("uname", "-m", "-s")
    yield "if-args elsewhere", run("uname", "-p", "-m", "-s")
    yield "if-args too few", run("uname", "-m")
    scene.map("/bin/busybox /.crossdock/busybox unless-arg=*TYPE*")
    yield "unless-arg within", run("sh", "-c", "uname -m; : $HOSTTYPE")
    yield "unless-arg not within", run("uname", "-m")
    scene.map("/bin/busybox /.crossdock/busybox add-arg=last add-arg=words")
    yield "add-arg", run("echo", "first")
    scene.map("/bin/busybox /.crossdock/busybox first-arg=one first-arg=two add-arg=last")
    yield "first-arg", run("echo", "three")
    scene.map("/bin/busybox /.crossdock/busybox set-env=NEW=1=2 set-env=NAME=not set-env=NAM=x")
    yield "set-env", run("env", NAME="")
    scene.map("/bin/busybox /.crossdock/busybox same-file=/tmp/version")
    (scene.root / ".crossdock/root/tmp").mkdir(parents=True)
    yield "same-file missing", run("uname", "-m")
    for name, text in (("same", "1.2\n"), ("other", "1.3\n"), ("longer", "1.2\n\n"), ("empty", "")):
        (scene.root / "tmp/version").write_text("1.2\n" if text else "")
        (scene.root / ".crossdock/root/tmp/version").write_text(text)
        yield f"same-file {name}", run("uname", "-m")
    scene.map("/bin/busybox /.crossdock/none unless-arg=-m", "/bin/busybox /.crossdock/busybox if-arg=-m")
    yield "second line", run("uname", "-m")
    scene.map("/bin/busybox /.crossdock/busybox some-day=x")
    yield "unknown word", run("uname", "-m")
    scene.map("/bin/busybox /.crossdock/none")
    yield "native program missing", run("uname", "-m")
    yield "native program missing, open files", run("ls", "/proc/self/fd")
    scene.map("/bin/busybox /.crossdock/busybox", first="crossdock-assist 2")
    yield "map of another version", run("uname", "-m")
    scene.map("/bin/busyboxes /.crossdock/none", "/bin/busybo /.crossdock/none", "/bin/busybox /.crossdock/busybox")
    yield "whole paths only", run("uname", "-m")
    scene.map("/bin/busybox /.crossdock/busybox", *["#" * 100] * 2000)
    yield "map too long", run("uname", "-m")

    scene.map("/bin/busybox /.crossdock/busybox", "/bin/setuid /.crossdock/busybox")
    shutil.copy(foreign, scene.root / "bin/setuid")
    yield "before setuid", run("uname", "-m", program="/bin/setuid", user=NOBODY)
    (scene.root / "bin/setuid").chmod(0o4755)
    yield "setuid", run("uname", "-m", program="/bin/setuid", user=NOBODY)

    inner = scene.root / "inner"
    (inner / "bin").mkdir(parents=True)
    shutil.copy(foreign, inner / "bin/busybox")
    yield "chroot without a pack", run("chroot", "/inner", "/bin/busybox", "uname", "-m")
    (inner / ".crossdock").mkdir()
    shutil.copytree(scene.root / ".crossdock", inner / ".crossdock", dirs_exist_ok=True)
    yield "chroot without /proc", run("chroot", "/inner", "/bin/busybox", "uname", "-m")
    tiny = inner / "bin/tiny"
    tiny.write_bytes(tiny_program("arm64") or b"")
    tiny.chmod(0o755)
    yield "a program without a libc", run("chroot", "/inner", "/bin/tiny")
    yield "cost", {name: cost(scene, program) for name, program in (("native", "busybox"), ("emulated", "other"))}
    shutil.rmtree(scene.root / ".crossdock")
    yield "pack not mounted", run("uname", "-m")


def cost(scene: Scene, name: str) -> float:
    """Milliseconds that starting a program takes, the best of many."""
    times = []
    for _ in range(20):
        began = time.perf_counter()
        scene.run("true", program=f"/bin/{name}")
        times.append(time.perf_counter() - began)
    return min(times) * 1000


def main() -> None:
    folder, foreign, native, flags = sys.argv[1:]
    in_namespace()
    register(Path(folder), flags)
    json.dump(dict(scenes(Path(folder), Path(foreign), Path(native))), sys.stdout)


if __name__ == "__main__":
    main()
