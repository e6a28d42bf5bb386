"""What programs are doing, from a /proc of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from crossdock.host.binfmt import Handler
from crossdock.host.processes import crashed, guest_words, read_process, read_tree, without

QEMU = Handler("qemu", True, "/usr/libexec/qemu-binfmt/aarch64-binfmt-P", "POF")
PLAIN = Handler("plain", True, "/opt/emulator", "F")
TICK = os.sysconf("SC_CLK_TCK")
CRASHED = "Name:\tsh\nNStgid:\t6436\t1\nSigBlk:\tfffffffe7ffbfaff\nSigIgn:\t0000000000000004\n"
"""Of QEMU 10.0.13 in a Docker container, after `sh -c 'kill -SEGV $$'`, on Linux 6.18."""


def process(
    proc: Path, pid: int, parent: int, *words: str, name: str = "x", state: str = "S", ticks: int = 0, status: str = ""
) -> None:
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True)
    fields = [state, str(parent), *["0"] * 9, str(ticks), "0", *["0"] * 6, str(90 * TICK), "0"]
    (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in words))
    (folder / "wchan").write_text("hrtimer_nanosleep")
    (folder / "task" / str(pid) / "status").write_text(status)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "uptime").write_text("100.00 150.00\n")
    process(tmp_path, 1, 0, "init")
    process(tmp_path, 20, 10, QEMU.interpreter, "/bin/sleep", "sleep", "9")
    process(tmp_path, 10, 1, "unshare", name="a) (b", ticks=3 * TICK)
    process(tmp_path, 30, 20, "/opt/emulator", "/app/server", "-v", state="R")
    process(tmp_path, 40, 1, "other")
    (tmp_path / "self").mkdir()
    return tmp_path


def test_a_tree_has_what_is_below_it_and_emulated_programs_have_their_own_names(proc: Path) -> None:
    top, sleeping, server = read_tree(10, (QEMU, PLAIN), proc)
    assert (top.pid, top.words, top.emulator, top.cpu, top.age) == (10, ("unshare",), "", 3.0, 10.0)
    assert (sleeping.words, sleeping.emulator) == (("sleep", "9"), QEMU.interpreter)
    assert (sleeping.program, sleeping.wait, sleeping.state) == ("sleep", "hrtimer_nanosleep", "S")
    assert (server.words, server.emulator, server.state) == (("/app/server", "-v"), "/opt/emulator", "R")
    assert without((top, sleeping, server), frozenset({"unshare", "server"})) == (sleeping, server)
    assert without((top, sleeping, server), frozenset()) == (top, sleeping, server)
    assert read_tree(999, (), proc) == ()
    assert read_tree(1, (), proc / "nowhere") == ()


@pytest.mark.parametrize(
    ("words", "own", "emulator"),
    [
        (("/usr/bin/qemu-aarch64-static", "/bin/ls", "-l"), ("/bin/ls", "-l"), "/usr/bin/qemu-aarch64-static"),
        (("/x/aarch64-binfmt-P", "/bin/busybox", "ls", "-l"), ("ls", "-l"), "/x/aarch64-binfmt-P"),
        (("qemu-img", "/x"), ("/x",), "qemu-img"),
        (("/usr/bin/qemu-aarch64",), ("/usr/bin/qemu-aarch64",), ""),
        (("ls", "-l"), ("ls", "-l"), ""),
        ((), (), ""),
    ],
)
def test_emulators_are_known_by_name_too(words: tuple[str, ...], own: tuple[str, ...], emulator: str) -> None:
    assert guest_words(words, {}) == (own, emulator)


def test_a_crash_that_cannot_end_is_seen(proc: Path) -> None:
    assert crashed(CRASHED) is signal.SIGSEGV
    process(proc, 50, 1, QEMU.interpreter, "/bin/sh", "sh", status=CRASHED)
    found = read_process(50, (QEMU,), proc)
    assert found
    assert found.crashed is signal.SIGSEGV


@pytest.mark.parametrize(
    "status",
    [
        CRASHED.replace("\t1\n", "\n", 1),  # not in a container
        CRASHED.replace("6436\t1", "6436\t12"),  # not its first process
        CRASHED.replace("fffffffe7ffbfaff", "0000000000000000"),
        CRASHED.replace("fffffffe7ffbfaff", "fffffffe7ffbfeff"),  # all are blocked
        CRASHED.replace("fffffffe7ffbfaff", "fffffffe7ffbfaf0"),
        "",
        "SigBlk:\tgarbage",
    ],
)
def test_what_only_waits_has_not_crashed(status: str) -> None:
    assert crashed(status) is None


def test_a_real_process_is_read() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 30 & wait"]) as shell:
        deadline = time.monotonic() + 10
        while len(tree := read_tree(shell.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(tree[1].pid, signal.SIGKILL)
    assert [one.words for one in tree] == [("sh", "-c", "sleep 30 & wait"), ("sleep", "30")]
    assert 0 <= tree[0].age < 20
    assert tree[0].cpu < 5
