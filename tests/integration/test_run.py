"""crossdock run with real Docker (both image stores), podman and buildah: what comes through, what is said when an
image does not run, and that nothing stays."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import secrets
import signal
import struct
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crossdock.host.binfmt import read_handlers
from crossdock.image.assemble import assemble_index
from crossdock.image.documents import descriptor_json, load_object, to_json
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from crossdock.image.stream import digest_of
from crossdock.platforms import ARM64

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation")]

ENGINES = ("docker", "classic", "podman", "crun", "buildah")
"""``crun`` is podman with the runtime that it has by default on most distributions, ``podman`` the one with runc."""
CGROUPS = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec "$@"',
    "sh",
)
"""crun cannot do with a machine's mixture of both cgroup versions, so it sees the new one alone."""
MACHINES = {"amd64": 62, "arm64": 183, "nobody's": 0x1234}
Finished = subprocess.CompletedProcess[bytes]


@dataclass(frozen=True)
class Runs:
    """An engine with the real program behind it; ``containers`` lists those it has."""

    engine: str
    containers: Callable[[], list[str]]
    images: Callable[[], list[str]]
    within: tuple[str, ...] = ()

    @property
    def argv(self) -> list[str]:
        # The daemon's bridge has no way out anyway, and podman's needs plugins.
        return [*self.within, sys.executable, "-m", "crossdock", "run", "--engine", self.engine, "--network", "none"]

    def __call__(self, *words: str, data: bytes | None = None) -> Finished:
        more = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
        return subprocess.run([*self.argv, *words], capture_output=True, timeout=90, check=False, **more)  # type: ignore[call-overload, no-any-return]

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([*self.argv, *words], **pipes)  # type: ignore[call-overload, no-any-return]


def output(*argv: str) -> list[str]:
    """The lines, in an order that does not change: engines list what is of the same second in any."""
    return sorted(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.split())


@pytest.fixture(params=ENGINES)
def run(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Runs]:
    """Whatever a test does, no container and no temporary file is left by it."""
    engine: str = request.param
    request.getfixturevalue({"docker": "docker", "classic": "classic_docker"}.get(engine, "buildah_store"))
    program = {"classic": "docker", "crun": "podman"}.get(engine, engine)
    listing = ("containers", "--all", "--quiet") if program == "buildah" else ("ps", "--all", "--quiet")
    if program == "podman":
        runtime = {"podman": "runc"}.get(engine, engine)
        settings = f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\n'
        settings += '[containers]\ncgroups = "disabled"\n' if engine == "crun" else ""
        (tmp_path / "containers.conf").write_text(settings)
        monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    within = CGROUPS if engine == "crun" else ()
    runs = Runs(program, lambda: output(program, *listing), lambda: output(program, "images", "--quiet"), within)
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
    containers = runs.containers()
    yield runs
    assert eventually(lambda: runs.containers() == containers)
    assert eventually(lambda: not list(Path(os.environ["TMPDIR"]).iterdir()))


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return met


def running(mark: str) -> list[str]:
    """The processes that have this word on their command lines."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
    return found


def mark() -> str:
    """A number of seconds to sleep that nobody else sleeps."""
    return f"4{secrets.randbelow(10**8):08}"


def elf(architecture: str, interpreter: bytes = b"") -> bytes:
    """A 64-bit ELF executable that exits with 0 on amd64, or that names a loader."""
    code = b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05"
    count = 2 if interpreter else 1
    start = 64 + 56 * count
    body = interpreter + b"\0" if interpreter else code
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 2, MACHINES[architecture], 1, 0x400000 + start, 64, 0, 0, 64, 56, count, 0, 0, 0
    )
    size = start + len(body)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x10000)
    if interpreter:
        segments = struct.pack("<IIQQQQQQ", 3, 4, start, 0x400000 + start, 0, len(body), len(body), 1) + segments
    return header + segments + body


def image(base: Path, folder: Path, files: dict[str, bytes], *command: str) -> str:
    """A layout with the base's arm64 image and one more layer; its path."""
    found = LayoutImage(base, "latest")
    entry = next(entry for entry in found.index().images if entry.platform == ARM64)
    manifest = found.manifest(entry)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    writer = LayoutWriter(folder / "parts")
    config = load_object(found.read(manifest.config))
    config["config"] |= {"Cmd": list(command)}
    config["rootfs"]["diff_ids"].append(digest_of(out.getvalue()))
    config["history"].append({"created_by": f"COPY {' '.join(files)} /"})
    for layer in manifest.layers:
        with found.open(layer) as stream:
            writer.add_blob(layer, stream)
    layer = writer.add_document(gzip.compress(out.getvalue(), mtime=0), OCI_LAYER_GZIP)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor_json(writer.add_document(to_json(config), OCI_CONFIG)),
        "layers": [descriptor_json(one) for one in (*manifest.layers, layer)],
    }
    writer.finish(writer.add_document(to_json(document), OCI_MANIFEST))
    assemble_index(LayoutWriter(folder / "layout"), [(LayoutImage(folder / "parts"), ARM64)])
    return str(folder / "layout")


# --- what comes through -----------------------------------------------------------------------------------------------


def test_an_arm64_image_of_a_registry_runs_and_its_output_and_exit_code_come_through(
    run: Runs, base_image: str
) -> None:
    done = run(base_image, "--", "sh", "-c", "uname -m; printf 'no end' >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"aarch64\n", b"no end", 7)
    again = run("--pull", "never" if run.engine != "buildah" else "missing", base_image, "uname", "-m")
    assert (again.stdout, again.stderr, again.returncode) == (b"aarch64\n", b"", 0)
    if run.engine != "buildah":
        subprocess.run([run.engine, "image", "rm", "--force", base_image], check=True, capture_output=True)


def test_standard_input_comes_through_byte_for_byte_and_only_when_asked(run: Runs, base_layout: Path) -> None:
    data = secrets.token_bytes(300_000)
    name = f"oci:{base_layout}:latest"
    done = run("-i", name, "--", "cat", data=data)
    assert (done.stdout, done.stderr, done.returncode) == (data, b"", 0)
    done = run(name, "--", "cat", data=data)
    assert (done.stdout, done.returncode) == (b"", 0)


def test_flags_arrive(run: Runs, base_layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_HERE", "inherited")
    (tmp_path / "note").write_text("mounted\n")
    tmp_path.chmod(0o755)
    flags = [
        "-e",
        "A=b c",
        "-e",
        "FROM_HERE",
        "-e",
        "UNSET_HERE",
        "-w",
        "/usr",
        "-u",
        "7",
        "-v",
        f"{tmp_path}:/given:ro",
        "--entrypoint",
        "sh",
        "--rm",
    ]
    done = run(*flags, f"oci:{base_layout}:latest", "-c", 'echo "$A $FROM_HERE"; pwd; id -u; cat /given/note')
    assert (done.stdout, done.returncode) == (b"b c inherited\n/usr\n7\nmounted\n", 0), done.stderr


def test_an_archive_is_loaded_for_the_run_alone(run: Runs, base_layout: Path, tmp_path: Path) -> None:
    before = run.images()
    archive = tmp_path / "image.tar"
    copy = ["skopeo", "copy", "--quiet", "--override-arch=arm64", f"oci:{base_layout}:latest"]
    subprocess.run([*copy, f"docker-archive:{archive}:some:1"], check=True)
    done = run(str(archive), "--", "uname", "-m")
    assert (done.stdout, done.stderr, done.returncode) == (b"aarch64\n", b"", 0)
    assert run.images() == before


def test_a_terminal_is_the_programs(run: Runs, base_layout: Path) -> None:
    # It ends a while after its last words: buildah may leave before it has passed those on.
    script = "test -t 0 && test -t 1 && test -t 2 && echo terminal; read word; echo got $word; sleep 1; exit 5"
    ours, theirs = os.openpty()
    child = os.fork()
    if child == 0:
        os.setsid()
        import fcntl
        import termios

        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)
        for number in (0, 1, 2):
            os.dup2(theirs, number)
        argv = [*run.argv, "-it", f"oci:{base_layout}:latest", "--", "sh", "-c", script]
        os.execvp(argv[0], argv)
    os.close(theirs)
    said = b""
    while b"terminal" not in said:
        said += os.read(ours, 1000)
    os.write(ours, b"hello\n")
    with contextlib.suppress(OSError):  # what Linux says when the last one has closed it
        while chunk := os.read(ours, 1000):
            said += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
    assert b"got hello\r\n" in said
    os.close(ours)


# --- why it does not run ----------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[dict[str, bytes], int, tuple[str, ...]]] = {
    "/wrong": ({"wrong": elf("nobody's")}, 126, ("/wrong is", "exec format error on arm64")),
    "/no-interpreter": (
        {"no-interpreter": b"#!/usr/bin/python9\n"},
        127,
        ("asks for /usr/bin/python9", "not in the image"),
    ),
    "/no-line": ({"no-line": b"echo hello\n"}, 126, ("neither a program nor a script",)),
    "/dynamic": (
        {"dynamic": elf("arm64", b"/lib/ld-linux-aarch64.so.1")},
        255,
        ("/dynamic needs the loader /lib/ld-linux-aarch64.so.1",),
    ),
    "nowhere": ({"x": b""}, 127, ("nowhere is in no folder of the image's PATH",)),
    "/etc": ({"x": b""}, 126, ("/etc is no file",)),
}


@pytest.mark.parametrize("command", BROKEN)
def test_what_is_wrong_with_an_image_is_said_with_the_file(
    run: Runs, command: str, base_layout: Path, tmp_path: Path
) -> None:
    files, code, words = BROKEN[command]
    done = run(image(base_layout, tmp_path, files, command))
    said = done.stderr.decode()
    assert (done.stdout, done.returncode) == (b"", code), said
    assert all(word in said for word in words), said
    assert "crossdock-run-" not in said
    lines = said.splitlines()
    assert len([line for line in lines if not line.startswith((" ", "aarch64-binfmt-P", "qemu"))]) == 1, said


def test_an_amd64_program_in_an_arm64_image_is_no_success_though_it_runs_here(
    run: Runs, base_layout: Path, tmp_path: Path
) -> None:
    done = run(image(base_layout, tmp_path, {"bin/app": elf("amd64")}, "app"))
    assert (done.stdout, done.returncode) == (b"", 0)
    assert "/bin/app is" in done.stderr.decode()
    assert "on arm64 it is an exec format error" in done.stderr.decode()


def test_a_crash_does_not_hang(run: Runs, base_layout: Path) -> None:
    began = time.monotonic()
    done = run(f"oci:{base_layout}:latest", "--", "sh", "-c", "kill -SEGV $$")
    assert time.monotonic() - began < 30
    assert done.returncode == 139
    assert "crashed (SIGSEGV, exit code 139) while QEMU " in done.stderr.decode()


def test_at_the_time_limit_it_is_said_what_the_program_does(run: Runs, base_layout: Path) -> None:
    word = mark()
    done = run("--timeout", "2", f"oci:{base_layout}:latest", "--", "sh", "-c", f"echo begun; sleep {word}; true")
    assert (done.stdout, done.returncode) == (b"begun\n", 124)
    said = done.stderr.decode()
    assert "still running after 2 s" in said
    assert f"sleep {word}` (process " in said
    assert "waiting" in said
    assert not running(word)
    done = run("--timeout", "2", f"oci:{base_layout}:latest", "--", "sh", "-c", "while :; do :; done")
    assert done.returncode == 124
    assert "computing, " in done.stderr.decode()


def test_what_an_engine_cannot_do_is_3(run: Runs, base_layout: Path) -> None:
    done = run("-v", "/nowhere-at-all:/x:zz", f"oci:{base_layout}:latest", "--", "true")
    assert (done.stdout, done.returncode) == (b"", 3)
    assert "crossdock: " in done.stderr.decode()


# --- nothing stays ----------------------------------------------------------------------------------------------------


def begun(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout
    assert process.stdout.readline() == b"begun\n", process.stderr and process.stderr.read()


def test_the_program_may_end_by_itself_after_a_signal(run: Runs, base_layout: Path) -> None:
    script = "trap 'echo bye; exit 9' TERM; echo begun; while :; do sleep 0.1; done"
    with run.start(f"oci:{base_layout}:latest", "--", "sh", "-c", script) as process:
        begun(process)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) == (b"bye\n", 9)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_two_signals_end_what_ignores_them(run: Runs, number: signal.Signals, base_layout: Path) -> None:
    word = mark()
    script = f"trap '' INT TERM HUP; echo begun; sleep {word}"
    images = run.images()
    with run.start(f"oci:{base_layout}:latest", "--", "sh", "-c", script) as process:
        begun(process)
        process.send_signal(number)
        time.sleep(0.5)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert said.decode().endswith("crossdock: interrupted\n")
    assert eventually(lambda: not running(word))
    assert run.images() == images


def test_nothing_stays_of_a_run_that_was_killed(run: Runs, base_layout: Path) -> None:
    word = mark()
    containers, images = run.containers(), run.images()
    with run.start(f"oci:{base_layout}:latest", "--", "sh", "-c", f"echo begun; sleep {word}; true") as process:
        begun(process)
        assert eventually(lambda: bool(running(word)))
        process.kill()
    assert eventually(lambda: not running(word))
    assert eventually(lambda: run.containers() == containers)
    assert eventually(lambda: run.images() == images)


# --- a machine without emulation --------------------------------------------------------------------------------------


def test_a_machine_without_a_handler_is_told_what_to_do(request: pytest.FixtureRequest, base_layout: Path) -> None:
    """In a user namespace, whose binfmt_misc is its own (Linux 6.7)."""
    request.getfixturevalue("docker")
    mount = "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc"
    alone = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    argv = [*alone, sys.executable, "-m", "crossdock", "run", "--engine", "docker", "--network", "none"]
    words = [f"oci:{base_layout}:latest", "--", "uname", "-m"]
    before = read_handlers()
    done = subprocess.run([*argv, *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("", 3)
    assert "no handler for its programs is registered" in done.stderr
    assert "--fix-binfmt" in done.stderr
    done = subprocess.run([*argv, "--fix-binfmt", *words], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("aarch64\n", "", 0)
    assert read_handlers() == before


def test_no_engine_is_told_with_each_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    argv = [sys.executable, "-m", "crossdock", "run", "app"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert json.dumps([word for word in ("docker:", "podman:", "buildah:") if word not in done.stderr]) == "[]"
