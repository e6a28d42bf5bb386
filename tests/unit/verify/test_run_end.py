"""What is said when a container's program did not run well."""

from __future__ import annotations

import io
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from made_images import FOLDER, LOADERS, Content, Link, elf, layer

from crossdock.engines.containers import EngineFacts, EngineWords, Outcome, RunRequest
from crossdock.errors import EngineError
from crossdock.host.processes import Process
from crossdock.image.model import OCI_LAYER_GZIP, Descriptor, ImageConfig
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.process import Command, SystemRunner
from crossdock.verify.contents import read_layer
from crossdock.verify.filesystem import FileSystem
from crossdock.verify.run_end import Contents, Emulator, Ending, Explained, crashed_and_hangs, explain, timed_out
from crossdock.verify.running import run_to_the_end

QEMU = Emulator(ARM64, "10.0.13")
WHERE = "app:1 (linux/arm64)"
FORMAT = ("exec /app: exec format error",)
NOT_THERE = ("exec /app: no such file or directory",)


def contents(files: dict[str, Content], *words: str) -> Contents:
    system = FileSystem()
    data = layer(files)
    system.add(read_layer(io.BytesIO(data), Descriptor(OCI_LAYER_GZIP, "sha256:0", len(data))))
    return Contents(system, config(*(words or ("/app",))))


def config(*words: str) -> ImageConfig:
    return ImageConfig(ARM64, words, (), {"PATH": "/bin"}, "", "", ("COPY app /app",))


def never() -> Contents:
    raise AssertionError("the image need not be looked into")


def judged(
    outcome: Outcome,
    look: Callable[[], Contents] = never,
    *,
    lines: tuple[str, ...] = (),
    held: tuple[str, ...] = (),
    emulator: Emulator | None = QEMU,
) -> Explained:
    return explain(Ending(outcome, (*lines, *held), held), "app:1", ARM64, lambda: emulator, look)


def told(explained: Explained) -> EngineError:
    assert explained.error is not None
    assert explained.error.where == WHERE
    assert explained.error.hint
    return explained.error


@pytest.mark.parametrize("code", [0, 1, 2, 3, 42, 124, 125, 126, 127, 130, 143, 255])
def test_a_programs_own_end_needs_no_words(code: int) -> None:
    assert judged(Outcome(True, code), lines=("app: cannot find x",)) == Explained(code)


@pytest.mark.parametrize(
    ("files", "held", "code", "what"),
    [
        ({"app": elf("s390x")}, FORMAT, 126, "/app is"),
        ({"app": elf("amd64")}, FORMAT, 126, "exec format error on arm64"),
        ({"app": "echo hello\n"}, FORMAT, 126, "neither a program nor a script"),
        ({"app": "#!/usr/bin/python9\n"}, NOT_THERE, 127, "/app asks for /usr/bin/python9, which is not in the image"),
        ({"app": "#!/bin/sh\r\n", "bin/sh": elf()}, NOT_THERE, 127, "Windows line ends"),
        ({"app": elf(interpreter=LOADERS["arm64"])}, NOT_THERE, 127, f"needs the loader {LOADERS['arm64']}"),
        ({"app": Link("/opt/gone")}, NOT_THERE, 127, "/app is a link to /opt/gone"),
        (
            {"other": "x"},
            ('Error response from daemon: … container process: exec: "/app": no such file or directory',),
            127,
            "/app is not in the image",
        ),
        (
            {"app": "#!/usr/bin/python9\n"},
            ("Error: unable to start container 0a: crun: executable file `/app` not found in $PATH: OCI runtime …",),
            127,
            "/app asks for /usr/bin/python9, which is not in the image",
        ),
        (
            {"app": FOLDER},
            ("Error: unable to start container 0a: crun: open executable: Operation not permitted: OCI permission",),
            126,
            "/app is no file",
        ),
        (
            {"app": elf()},
            ("process failed to start with error: fork/exec /app: exec format errorprocess exited …",),
            126,
            "the machine that it was to run on cannot run linux/arm64 programs",
        ),
    ],
)
def test_why_it_did_not_start(files: dict[str, Content], held: tuple[str, ...], code: int, what: str) -> None:
    for outcome in (Outcome(True, 1), Outcome(False)):
        found = judged(outcome, lambda: contents(files), held=held)
        assert found.exit_code == code
        assert what in told(found).what


def test_the_instruction_that_brought_the_file_is_named() -> None:
    assert "COPY app /app" in (
        told(judged(Outcome(True, 1), lambda: contents({"app": elf("s390x")}), held=FORMAT)).hint or ""
    )


@pytest.mark.parametrize(
    ("files", "line", "what"),
    [
        (
            {"app": elf(interpreter=LOADERS["arm64"])},
            "aarch64-binfmt-P: Could not open '/lib/ld-linux-aarch64.so.1': No such file or directory",
            "needs the loader /lib/ld-linux-aarch64.so.1",
        ),
        (
            {"app": elf(interpreter=LOADERS["arm64"], needed=("libx.so.1",)), LOADERS["arm64"][1:]: elf()},
            "/app: error while loading shared libraries: libx.so.1: cannot open shared object file: No such file",
            "/app needs libx.so.1, which is in none of the folders",
        ),
        (
            {"app": "#!/bin/sh\n", "bin/sh": elf(), "opt/tool": elf("s390x")},
            "/app: line 2: /opt/tool: cannot execute binary file: Exec format error",
            "its first program is right, but there are programs in the image that are not for linux/arm64",
        ),
    ],
)
def test_what_the_program_itself_stumbled_over(files: dict[str, Content], line: str, what: str) -> None:
    found = judged(Outcome(True, 126), lambda: contents(files), lines=("…", line))
    assert found.exit_code == 126, "it ran, so the code is its own"
    assert what in told(found).what


def test_words_about_formats_in_a_log_are_no_failure() -> None:
    assert judged(Outcome(True, 0), lines=("exec format error",)) == Explained(0)
    fine = {"app": elf(), "bin/sh": elf()}
    assert judged(Outcome(True, 1), lambda: contents(fine), lines=("exec format error",)) == Explained(1)


def test_an_engine_that_could_not_start_a_container_is_3() -> None:
    for line in (
        "Error response from daemon: driver failed programming external connectivity: port is already allocated",
        "Error: OCI runtime error: unable to start container 0a: crun: open `/data`: Operation not permitted",
    ):
        found = judged(Outcome(False), held=(line,))
        assert found.exit_code == 3
        assert found.error
        assert found.error.log == (line,)


def test_an_image_that_cannot_be_looked_into_is_said_too() -> None:
    def look() -> Contents:
        raise EngineError("the disk is full")

    error = told(judged(Outcome(True, 1), look, held=FORMAT))
    assert "exec format error" in error.what
    assert "the disk is full" in error.what


def test_memory() -> None:
    assert "more memory" in told(judged(Outcome(True, 137, out_of_memory=True))).what
    assert "SIGKILL" in told(judged(Outcome(True, 137))).what


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGILL, signal.SIGBUS])
def test_a_crash_under_emulation(number: signal.Signals) -> None:
    error = told(judged(Outcome(True, 128 + number)))
    assert f"crashed ({number.name}, exit code {128 + number}) while QEMU 10.0.13 emulated it" in error.what
    assert ("QEMU_CPU=max" in (error.hint or "")) is (number is signal.SIGILL)
    assert judged(Outcome(True, 128 + number), emulator=None) == Explained(128 + number), "natively it is its own"


def test_what_is_known_of_a_version_of_qemu_is_said() -> None:
    hint = told(judged(Outcome(True, 139), emulator=Emulator(ARM64, "9.1.0"))).hint or ""
    assert "Known: " in hint
    assert "libc-bin" in hint
    hang = crashed_and_hangs(signal.SIGSEGV, WHERE, QEMU)
    assert hang.exit_code == 139
    assert "hung for ever" in told(hang).what


def test_at_the_time_limit_it_is_told_what_it_was_doing() -> None:
    def java(cpu: float) -> Process:
        return Process(7, 1, ("/usr/bin/java", "-jar", "x" * 100), "S", cpu, 9.0, "futex_wait_queue", "/qemu")

    waits = timed_out(5, WHERE, (java(1.0),), (java(1.0),), 0.5, QEMU)
    assert waits.exit_code == 124
    error = told(waits)
    assert "still running after 5 s" in error.what
    (line,) = error.log
    assert line.startswith("`/usr/bin/java -jar xxx")
    assert line.endswith("…` (process 7): waiting in futex_wait_queue, 1.0 s of processor time in 9.0 s")
    assert "waiting for something" in (error.hint or "")
    assert "Known: " in (error.hint or "")
    busy = told(timed_out(5, WHERE, (java(1.0),), (java(1.49),), 0.5, None))
    assert "computing, 1.5 s" in busy.log[0]
    assert "give it more time" in (busy.hint or "")
    assert told(timed_out(0.5, WHERE, (), (), 0.5, None)).log == ()


# --- the run itself, with a container that only says how it went ------------------------------------------------------


class Made:
    """A container whose command is a shell script of this machine."""

    engine_words = EngineWords((), re.compile(r"(?!)"))
    wrappers = frozenset({"unshare"})

    def __init__(self, script: str, files: dict[str, Content], *words: str) -> None:
        self.command = Command(("sh", "-c", script))
        self.killed = False
        self._files = files
        self._words = words or ("/app",)

    def main_process(self, attached: int) -> int | None:
        return attached

    def signal(self, number: signal.Signals) -> bool:
        self.killed = number is signal.SIGKILL
        return False

    def outcome(self, exit_code: int, noise: tuple[str, ...]) -> Outcome:
        return Outcome(True, exit_code)

    def config(self) -> ImageConfig:
        return config(*self._words)

    def head(self, path: str, size: int) -> tuple[str, bytes] | None:
        data = self._files.get(path.lstrip("/"))
        data = data.encode() if isinstance(data, str) else data
        return (path, data[:size]) if isinstance(data, bytes) else None

    def layers(self, folder: Path) -> Iterator[tuple[Descriptor, BinaryIO]]:
        data = layer(self._files)
        yield Descriptor(OCI_LAYER_GZIP, "sha256:0", len(data)), io.BytesIO(data)


def run(container: Made, *, platform: Platform = ARM64, timeout: float | None = None) -> tuple[Explained, bytes, str]:
    """How it ended, what came out on standard error, and what was told."""
    out: list[bytes] = []
    notes: list[str] = []
    engine = EngineFacts("docker", (28,), AMD64)
    ended = run_to_the_end(
        container,
        RunRequest("app:1", platform),
        engine,
        SystemRunner(),
        timeout=timeout,
        write=out.append,
        tell=notes.append,
    )
    return ended, b"".join(out), "\n".join(notes)


def test_a_run_that_went_well_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(Made("echo out; echo err >&2", {"app": elf()})) == (Explained(0), b"err\n", "")
    assert capfd.readouterr().out == "out\n"


@pytest.mark.parametrize(
    ("files", "words", "named"),
    [
        ({"app": elf("amd64")}, ("/app",), "/app is"),
        ({"bin/tool": elf("amd64")}, ("tool",), "/bin/tool is"),
        ({"app": "#!/bin/sh -e\n", "bin/sh": elf("amd64")}, ("/app",), "/bin/sh is"),
        ({"app": "#!/usr/bin/env bash\n", "bin/bash": elf("amd64")}, ("/app",), "/bin/bash is"),
        ({"app": "#!/bin/sh\n", "bin/sh": elf("arm64")}, ("/app",), ""),
        ({"app": "#!/bin/sh\n"}, ("/app",), ""),
        ({"app": "#!/app\n"}, ("/app",), ""),
        ({"app": "#!\n"}, ("/app",), ""),
        ({"app": "text\n"}, ("/app",), ""),
        ({}, ("/app",), ""),
        ({}, (), ""),
    ],
)
def test_a_program_of_this_machine_under_a_foreign_label_is_no_success(
    files: dict[str, Content], words: tuple[str, ...], named: str
) -> None:
    ended, _, told = run(Made("exit 0", files, *words))
    assert ended == Explained(0)
    assert told.startswith(f"crossdock: warning: {WHERE}: {named}") if named else told == ""
    assert run(Made("exit 0", files, *words), platform=AMD64)[2] == ""


def test_what_hangs_is_looked_at_and_killed() -> None:
    container = Made("sleep 60 & wait", {"app": elf()})
    ended, _, _ = run(container, timeout=0.5)
    assert container.killed
    assert ended.exit_code == 124
    assert ended.error
    assert any("sleep 60" in line for line in ended.error.log)


def test_why_it_failed_comes_from_its_files() -> None:
    container = Made("echo 'exec /app: exec format error' >&2; exit 1", {"app": elf("s390x")})
    container.engine_words = EngineWords(("exec ",), re.compile(r"exec /.*"))
    ended, out, _ = run(container)
    assert (ended.exit_code, out) == (126, b"")
    assert "/app is" in told(ended).what
