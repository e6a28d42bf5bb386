"""crossdock run with the real engines: what comes through, what is said when it does not run, what is left behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crossdock.host.binfmt import MACHINES, smallest_program

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation")]

CROSSDOCK = (sys.executable, "-m", "crossdock", "run")
ENGINES = ("docker", "classic", "buildah", "podman")
LOADER = "/lib/ld-linux-aarch64.so.1"


@dataclass(frozen=True)
class Engine:
    """``holds`` is what is in its store: containers and images."""

    name: str
    holds: Callable[[], tuple[str, str]]

    def run(self, *words: str, seconds: float = 90, **options: Any) -> subprocess.CompletedProcess[bytes]:
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        if options["stdin"] is None:
            del options["stdin"]
        command = (*CROSSDOCK, "--engine", self.name, *words)
        return subprocess.run(command, capture_output=True, timeout=seconds, check=False, **options)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen((*CROSSDOCK, "--engine", self.name, *words), stdout=pipe, stderr=pipe)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """One engine; it must hold afterwards what it held before."""
    fixture = {"docker": "docker", "classic": "classic_docker", "buildah": "buildah_store", "podman": "podman_store"}
    store = request.getfixturevalue(fixture[request.param])
    before = store.holds()
    yield Engine("docker" if request.param == "classic" else request.param, store.holds)
    assert store.holds() == before


@pytest.fixture
def docker_engine(docker: Any) -> Engine:
    return Engine("docker", docker.holds)


class Images:
    """Makes images for arm64, each of the base image's layer and one more."""

    def __init__(self, base: Path, folder: Path) -> None:
        self._base = base
        self._folder = folder

    def make(self, files: dict[str, bytes], *command: str) -> str:
        layout = self._folder / f"image{len(list(self._folder.iterdir()))}"
        blobs = layout / "blobs/sha256"
        blobs.mkdir(parents=True)

        def put(data: bytes) -> dict[str, Any]:
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"digest": f"sha256:{digest}", "size": len(data)}

        def read(digest: str) -> bytes:
            return (self._base / "blobs" / digest.replace(":", "/")).read_bytes()

        index = json.loads((self._base / "index.json").read_text())
        entries = json.loads(read(index["manifests"][0]["digest"]))["manifests"]
        chosen = next(entry for entry in entries if entry["platform"]["architecture"] == "arm64")
        manifest = json.loads(read(chosen["digest"]))
        config = json.loads(read(manifest["config"]["digest"]))
        put(read(manifest["layers"][0]["digest"]))
        layer = packed(files)
        config["config"]["Cmd"] = list(command)
        config["rootfs"]["diff_ids"].append(f"sha256:{hashlib.sha256(layer).hexdigest()}")
        config["history"].append({"created_by": "COPY files /"})
        manifest["layers"].append({**manifest["layers"][0], **put(gzip.compress(layer, 1))})
        manifest["config"] |= put(json.dumps(config).encode())
        entry = {**chosen, **put(json.dumps(manifest).encode())}
        (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        return str(layout)


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def images(base_layout: Path, tmp_path: Path) -> Images:
    (tmp_path / "images").mkdir()
    return Images(base_layout, tmp_path / "images")


def dynamic_program() -> bytes:
    """A program for arm64 that asks for glibc's loader and needs nothing else."""
    code = bytes.fromhex("a80b8052 00008052 010000d4")
    static = smallest_program(MACHINES["arm64"], code)
    name = LOADER.encode() + b"\0"
    shift = 56  # one more program header
    header = bytearray(static[:64])
    struct.pack_into("<H", header, 56, 2)
    entry = struct.unpack_from("<Q", header, 24)[0]
    struct.pack_into("<Q", header, 24, entry + shift)
    load = bytearray(static[64:120])
    size = len(static) + shift + len(name)
    struct.pack_into("<QQ", load, 32, size, size)
    at = len(static) + shift
    interp = struct.pack("<IIQQQQQQ", 3, 4, at, 0x400000 + at, 0x400000 + at, len(name), len(name), 1)
    return bytes(header) + interp + bytes(load) + static[120:] + name


def test_output_errors_and_exit_code_are_the_programs_own(engine: Engine, base_layout: Path) -> None:
    script = r"uname -m; printf '\000\377\r\033[1m'; echo wrong >&2; exit 7"
    done = engine.run(str(base_layout), "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"aarch64\n\0\xff\r\x1b[1m", b"wrong\n")


def test_input_reaches_the_program_when_asked_for(engine: Engine, base_layout: Path) -> None:
    data = os.urandom(300_000)
    done = engine.run("-i", str(base_layout), "--", "sha256sum", input=data)
    assert done.stdout.split()[0].decode() == hashlib.sha256(data).hexdigest(), done
    assert engine.run(str(base_layout), "--", "cat", input=b"not asked for").stdout == b""


def test_the_flags_of_docker_run(engine: Engine, base_layout: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("mounted\n")
    script = "echo $A $B; pwd; id -u; cat /data/file; touch /data/new 2>/dev/null || echo read-only"
    flags = ["-e", "A=1", "-e", "B", "-v", f"{tmp_path}/data:/data:ro", "-w", "/var/tmp", "-u", "1000"]
    environment = {**os.environ, "B": "from here"}
    done = engine.run(*flags, "--entrypoint", "sh", str(base_layout), "-c", script, env=environment)
    assert done.stdout.decode().splitlines() == ["1 from here", "/var/tmp", "1000", "mounted", "read-only"], done


def test_a_reference_is_pulled_for_the_foreign_platform(
    request: pytest.FixtureRequest, base_image: str, docker: Any
) -> None:
    engine = Engine("docker", docker.holds)
    done = engine.run(base_image, "--", "uname", "-m")
    assert (done.returncode, done.stdout) == (0, b"aarch64\n"), done
    own = engine.run("--platform", "linux/amd64", base_image, "--", "uname", "-m")
    assert (own.returncode, own.stdout) == (0, b"x86_64\n"), own


def test_what_the_engine_has_pulled_without_crossdock_is_run_as_buildah_knows_it(
    base_image: str, buildah_store: Any
) -> None:
    done = Engine("buildah", buildah_store.holds).run(base_image, "--", "uname", "-m")
    assert (done.returncode, done.stdout) == (0, b"aarch64\n"), done


def test_a_program_for_this_machine_runs_and_is_told(engine: Engine, images: Images) -> None:
    """On this machine it does run; the reader has to know that it would not on arm64."""
    code = bytes.fromhex("b83c000000 31ff 0f05".replace(" ", ""))
    image = images.make({"app": smallest_program(MACHINES["amd64"], code)}, "/app")
    done = engine.run(image)
    assert done.returncode == 0, done
    assert b"/app is ELF 64-bit LSB executable, amd64" in done.stderr, done.stderr


def test_a_program_that_nothing_here_runs(engine: Engine, images: Images) -> None:
    image = images.make({"app": smallest_program(MACHINES["mips64le"], b"\0" * 8)}, "/app")
    done = engine.run(image)
    assert done.returncode == 126, done
    assert b"/app is ELF 64-bit LSB executable, mips64le: exec format error on arm64" in done.stderr, done.stderr
    assert b"COPY files /" in done.stderr, done


@pytest.mark.parametrize("wanted", ["/usr/bin/python3", "/bin/bash"])
def test_a_script_without_its_interpreter(engine: Engine, images: Images, wanted: str) -> None:
    image = images.make({"run.sh": f"#!{wanted}\nexit 0\n".encode()}, "/run.sh")
    done = engine.run(image)
    assert done.returncode == 127, done
    assert f"/run.sh asks for {wanted}, which is not in the image".encode() in done.stderr, done


def test_a_script_without_a_first_line(engine: Engine, images: Images) -> None:
    done = engine.run(images.make({"run.sh": b"echo hello\n"}, "/run.sh"))
    if done.returncode:  # shells, and with them buildah's, run such a file themselves
        assert done.returncode == 126, done
        assert b"/run.sh is neither a program nor a script with a #! line" in done.stderr, done
    else:
        assert done.stdout == b"hello\n", done


def test_a_dynamic_program_without_its_loader(engine: Engine, images: Images) -> None:
    image = images.make({"app": dynamic_program()}, "/app")
    done = engine.run(image)
    assert done.returncode not in (0, 1, 2, 3), done
    assert f"/app needs the loader {LOADER}".encode() in done.stderr, done


def test_a_program_that_is_not_there(engine: Engine, base_layout: Path) -> None:
    done = engine.run("--platform", "linux/arm64", str(base_layout), "--", "nosuch", "--option")
    assert done.returncode == 127, done
    assert b"nosuch is in no folder of the image's PATH" in done.stderr, done


def test_the_time_limit_tells_what_it_was_waiting_in(engine: Engine, base_layout: Path) -> None:
    began = time.monotonic()
    done = engine.run("--timeout", "3", "--platform", "linux/arm64", str(base_layout), "--", "sleep", "600")
    assert done.returncode == 124, done
    assert time.monotonic() - began < 45
    assert b"still running after 3 s" in done.stderr, done
    assert b"sleep 600`" in done.stderr, done
    assert b": waiting" in done.stderr, done
    assert not living("sleep", "600")


def test_the_time_limit_tells_that_it_was_computing(engine: Engine, base_layout: Path) -> None:
    done = engine.run("--timeout", "3", str(base_layout), "--", "sh", "-c", "while :; do :; done")
    assert done.returncode == 124, done
    assert b": computing, " in done.stderr, done


def test_a_crash_is_told_even_where_it_would_hang(engine: Engine, base_layout: Path) -> None:
    """QEMU waits for ever when what it emulates as the first process of a container dies of a signal."""
    done = engine.run(str(base_layout), "--", "sh", "-c", "kill -SEGV $$", seconds=60)
    assert done.returncode == 139, done
    assert b"the program crashed (SIGSEGV, exit code 139)" in done.stderr, done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_leaves_nothing_running(engine: Engine, base_layout: Path, number: signal.Signals) -> None:
    seconds = f"{7000 + os.getpid() % 1000}"
    before = engine.holds()
    process = engine.start("--platform", "linux/arm64", str(base_layout), "--", "sleep", seconds)
    try:
        until(lambda: living("sleep", seconds), process)
        process.send_signal(number)
        process.communicate(timeout=40)
    finally:
        process.kill()
    until(lambda: not living("sleep", seconds) and engine.holds() == before)
    assert process.returncode in {signal.SIGKILL: (-9,)}.get(number, (130, 143, 137)), process.returncode


def test_a_program_that_handles_the_signal_ends_in_its_own_way(engine: Engine, base_layout: Path) -> None:
    script = "trap 'echo goodbye; exit 42' TERM; echo ready; while :; do sleep 0.2; done"
    process = engine.start(str(base_layout), "--", "sh", "-c", script)
    try:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        rest, errors = process.communicate(timeout=40)
    finally:
        process.kill()
    assert (process.returncode, rest) == (42, b"goodbye\n"), errors


def test_with_a_terminal(engine: Engine, base_layout: Path) -> None:
    ours, theirs = pty.openpty()
    command = (*CROSSDOCK, "--engine", engine.name, "-it", str(base_layout), "--", "sh", "-c", "test -t 0 && tty; cat")
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    try:
        for answer, times, typed in ((b"/dev/", 1, b"typed\n"), (b"typed", 2, b"\x04")):
            while said.count(answer) < times:
                said += os.read(ours, 4096)
            os.write(ours, typed)
        while chunk := os.read(ours, 4096):
            said += chunk
    except OSError:  # the other side is closed
        pass
    finally:
        code = process.wait(30)
        os.close(ours)
    assert code == 0, said


def living(*words: str) -> bool:
    """Whether a process of this machine has these words in its command line, other than crossdock and the engines'."""
    wanted = "\0".join(words).encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if line.rstrip(b"\0").endswith(wanted) and (b"qemu" in line.split(b"\0")[0] or line.startswith(b"sleep")):
            return True
    return False


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes] | None = None, seconds: float = 45) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
