"""The engines against the real programs: what they build, what they hide, how they fail, what they leave behind."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from crossdock.engines.choose import choose
from crossdock.engines.model import BuildEvent, BuildRequest, Engine, SmokeVerdict, StepState
from crossdock.errors import CrossdockError, EngineError
from crossdock.image.layout import LayoutImage
from crossdock.platforms import AMD64, ARM64, DEFAULT_TARGETS, Platform
from crossdock.process import SystemRunner

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation")]

ENGINES = ("buildx", "classic", "buildah")


class Store(Protocol):
    def holds(self) -> tuple[str, str]: ...


@dataclass(frozen=True)
class Setup:
    """An engine with the real program behind it, and a context folder whose Dockerfile starts from ``base``."""

    engine: Engine
    store: Store
    context: Path
    work: Path
    base: str

    def request(
        self, dockerfile: str, platforms: tuple[Platform, ...] = DEFAULT_TARGETS, **fields: object
    ) -> BuildRequest:
        data = dockerfile.replace("%BASE%", self.base).encode()
        return BuildRequest(self.context, data, b"", platforms, **fields)  # type: ignore[arg-type]

    def build(
        self,
        dockerfile: str,
        platforms: tuple[Platform, ...] = DEFAULT_TARGETS,
        on_event: Callable[[BuildEvent], None] = lambda event: None,
        **fields: object,
    ) -> Path:
        return self.engine.build(self.request(dockerfile, platforms, **fields), self.work, on_event)

    def read(self, layout: Path, platform: Platform, file: str) -> list[str]:
        result = self.engine.smoke(layout, platform, ("cat", file), 60)
        assert result.verdict is SmokeVerdict.RAN, result
        return list(result.output)


@pytest.fixture(params=ENGINES)
def setup(request: pytest.FixtureRequest, base_image: str, tmp_path: Path) -> Setup:
    return make_setup(request.param, request, base_image, tmp_path)


def make_setup(name: str, request: pytest.FixtureRequest, base: str, folder: Path) -> Setup:
    fixture = {"buildx": "docker", "classic": "classic_docker", "buildah": "buildah_store"}[name]
    store: Store = request.getfixturevalue(fixture)
    engine = choose("buildah" if name == "buildah" else "buildx", SystemRunner())
    context, work = folder / "context", folder / "work"
    context.mkdir()
    work.mkdir()
    (context / "hello").write_text("hello\n")
    return Setup(engine, store, context, work, base)


EVERYTHING = """\
ARG BASE_IMAGE=%BASE%
FROM --platform=$BUILDPLATFORM ${BASE_IMAGE} AS tool
ARG TARGETARCH
RUN echo "tool for $TARGETARCH on $(uname -m)" > /tool

FROM %BASE% AS only-amd64
RUN echo for-amd64 > /only
FROM %BASE% AS only-arm64
RUN echo for-arm64 > /only
FROM only-${TARGETARCH} AS only

FROM ${BASE_IMAGE}
ARG TARGETPLATFORM
ARG TARGETOS
ARG TARGETARCH
ARG BUILDPLATFORM
ARG BUILDARCH
ARG GREETING=none
COPY --from=tool /tool /report
COPY --from=only /only /only
COPY hello /hello
RUN <<EOF
set -e
uname -m >> /report
echo "$TARGETPLATFORM $TARGETOS $TARGETARCH $BUILDPLATFORM $BUILDARCH" >> /report
echo "it's \\"$GREETING\\"" >> /report
cat /only /hello >> /report
EOF
COPY <<-"END" <<PLAIN /notes/
	not $expanded 'here'
END
arch $TARGETARCH
PLAIN
RUN cat /notes/END /notes/PLAIN >> /report; cat <<A >> /report; cat <<'B' | tr x y >> /report
first $GREETING
A
second
B
RUN <<EOF
#!/bin/awk -f
BEGIN { print "interpreter" >> "/report" }
EOF
SHELL ["/bin/sh", "-e", "-c"]
RUN false | true; echo "$-" | grep -o e >> /report
HEALTHCHECK --interval=30s CMD true
ONBUILD RUN true
LABEL org.example.kept=yes
USER 1000
WORKDIR /work
ENTRYPOINT ["cat"]
CMD ["/report"]
"""


def test_everything_a_dockerfile_does_comes_out_right_on_both_platforms(setup: Setup) -> None:
    events: list[BuildEvent] = []
    layout = setup.build(EVERYTHING, on_event=events.append, build_args=("GREETING=good day",), labels=("a.b=c d",))
    assert list(setup.work.iterdir()) == [layout]
    image = LayoutImage(layout)
    assert [entry.platform for entry in image.index().images] == [AMD64, ARM64]
    for entry in image.index().images:
        platform = entry.platform
        assert platform is not None
        machine = {"amd64": "x86_64", "arm64": "aarch64"}[platform.architecture]
        result = setup.engine.smoke(layout, platform, None, 60)
        assert (result.verdict, result.exit_code) == (SmokeVerdict.RAN, 0), result
        assert list(result.output) == [
            f"tool for {platform.architecture} on x86_64",
            machine,
            f"{platform} linux {platform.architecture} linux/amd64 amd64",
            'it\'s "good day"',
            f"for-{platform.architecture}",
            "hello",
            "not $expanded 'here'",
            f"arch {platform.architecture}",
            "first good day",
            "second",
            "interpreter",
            "e",
        ]
        manifest = image.manifest(entry)
        config = json.loads(image.read(manifest.config))
        assert config["architecture"] == platform.architecture
        settings = config["config"]
        assert settings["Labels"] == {"org.example.kept": "yes", "a.b": "c d"}
        assert settings["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
        assert settings["OnBuild"] == ["RUN true"]
        assert settings["Shell"] == ["/bin/sh", "-e", "-c"]
        assert (settings["User"], settings["WorkingDir"]) == ("1000", "/work")
        history = image.config(manifest).created_by
        assert len(history) == len(manifest.layers)
        assert any("COPY" in text and "/hello" in text for text in history)
    platforms = {event.platform for event in events if event.state is StepState.DONE and event.name.startswith("RUN")}
    assert platforms == {AMD64, ARM64}
    assert not [event for event in events if event.state is StepState.FAILED]


def test_one_platform_is_an_index_too(setup: Setup) -> None:
    layout = setup.build("FROM %BASE%\nRUN uname -m > /machine\n", (ARM64,))
    image = LayoutImage(layout)
    assert image.root().media_type == "application/vnd.oci.image.index.v1+json"
    assert [entry.platform for entry in image.index().images] == [ARM64]
    assert setup.read(layout, ARM64, "/machine") == ["aarch64"]


def test_secrets_are_used_and_show_nowhere(setup: Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    in_file, in_variable = f"file-{secrets.token_hex(12)}", f"variable-{secrets.token_hex(12)}"
    (tmp_path / "token").write_text(f"{in_file}\n")
    monkeypatch.setenv("CROSSDOCK_TEST_TOKEN", in_variable)
    dockerfile = (
        "FROM %BASE%\n"
        "RUN --mount=type=secret,id=one --mount=type=secret,id=two \\\n"
        "    cat /run/secrets/one /run/secrets/two; sleep 1; \\\n"
        "    cat /run/secrets/one /run/secrets/two | tr -d '\\n' | wc -c > /length\n"
    )
    given = (f"id=one,src={tmp_path / 'token'}", "id=two,env=CROSSDOCK_TEST_TOKEN")
    commands = setup.engine.commands(setup.request(dockerfile, secrets=given), setup.work)
    shown = [str(command) for command in commands] + [repr(command) for command in commands]
    with watched_command_lines((in_file, in_variable)) as seen:
        events: list[BuildEvent] = []
        layout = setup.build(dockerfile, on_event=events.append, secrets=given, no_cache=True)
    assert seen == []
    shown += [repr(event) for event in events]
    assert any("***" in event.text for event in events)
    for text in shown:
        assert in_file not in text
        assert in_variable not in text
    for platform in DEFAULT_TARGETS:
        assert setup.read(layout, platform, "/length") == [str(len(in_file) + len(in_variable))]
    for blob in (layout / "blobs" / "sha256").iterdir():
        data = blob.read_bytes()
        data += gzip.decompress(data) if data[:2] == b"\x1f\x8b" else b""
        assert in_file.encode() not in data
        assert in_variable.encode() not in data


@contextlib.contextmanager
def watched_command_lines(words: tuple[str, ...]) -> Iterator[list[str]]:
    """The command lines of all processes of this machine, while the block runs, that hold one of the words."""
    seen: list[str] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                    if any(word in line for word in words):
                        seen.append(line)
            time.sleep(0.1)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def test_a_failing_step_is_named_with_its_last_lines(setup: Setup) -> None:
    before = setup.store.holds()
    dockerfile = (
        'FROM %BASE% AS first\nRUN true\n\nFROM first AS second\nRUN echo "the reason is here" && \\\n    exit 7\n'
    )
    with pytest.raises(EngineError) as caught:
        setup.build(dockerfile, (ARM64,))
    error = caught.value
    assert "second" in error.what
    assert 'RUN echo "the reason is here"' in error.what
    assert error.where == "Dockerfile:5"
    assert "the reason is here" in error.log
    assert any("7" in line for line in error.log)
    assert list(setup.work.iterdir()) == []
    assert setup.store.holds() == before


def test_a_base_image_that_does_not_exist_is_said(setup: Setup) -> None:
    with pytest.raises(EngineError) as caught:
        setup.build("FROM %BASE%-that-is-not-there\n", (AMD64,))
    assert "not found" in str(caught.value)
    assert caught.value.log
    assert list(setup.work.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(setup: Setup) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(setup.work)], check=True)
    try:
        with pytest.raises(CrossdockError) as caught:
            setup.build("FROM %BASE%\nRUN true\n")
        assert "no space left" in str(caught.value).lower() or "disk is full" in str(caught.value)
        assert "TMPDIR" in str(caught.value)
        assert list(setup.work.iterdir()) == []
    finally:
        subprocess.run(["umount", "--lazy", str(setup.work)], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupt_leaves_nothing_behind(setup: Setup, number: signal.Signals) -> None:
    before = setup.store.holds()
    mark = f"4{secrets.randbelow(10**8):08}"
    (setup.context / "Dockerfile").write_text(f"FROM {setup.base}\nRUN echo begun && sleep {mark}\n")
    script = Path(__file__).with_name("build_once.py")
    argv = [sys.executable, str(script), setup.engine.name, str(setup.context), str(setup.work)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("output") and line.strip().endswith("begun"):
                break
        try:
            assert eventually(lambda: bool(running(mark)))
            process.send_signal(number)
            rest = process.stdout.read()
            assert process.wait(60) == 130, rest
        finally:
            process.kill()
    assert eventually(lambda: not running(mark))
    assert list(setup.work.iterdir()) == []
    assert setup.store.holds() == before
    assert str(setup.work) not in Path("/proc/mounts").read_text()


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def running(mark: str) -> list[str]:
    """The processes asleep for so many seconds."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if mark.encode() in words:
                found.append(path.parent.name)
    return found


SMOKE = """\
FROM %BASE% AS fine
CMD ["uname", "-m"]
FROM %BASE% AS fails
CMD ["sh", "-c", "echo no; exit 3"]
FROM %BASE% AS service
CMD ["sh", "-c", "echo serving; sleep 600"]
FROM %BASE% AS nowhere
CMD ["/bin/nowhere"]
FROM %BASE% AS no-loader
COPY dynamic /bin/dynamic
CMD ["/bin/dynamic"]
FROM %BASE% AS wrong
COPY wrong /bin/wrong
CMD ["wrong"]
"""


def elf(machine: int, interpreter: bytes = b"") -> bytes:
    """A 64-bit ELF executable that exits at once, or that names a loader."""
    import struct

    code = b"\xb8\x3c\x00\x00\x00\x31\xff\x0f\x05"
    count = 2 if interpreter else 1
    start = 64 + 56 * count
    body = interpreter + b"\0" if interpreter else code
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, 0x400000 + start, 64, 0, 0, 64, 56, count, 0, 0, 0)
    size = start + len(body)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x10000)
    if interpreter:
        inside = struct.pack("<IIQQQQQQ", 3, 4, start, 0x400000 + start, 0, len(body), len(body), 1)
        segments = inside + segments
    return header + segments + body


@pytest.mark.parametrize(
    ("stage", "verdict", "exit_code", "output"),
    [
        ("fine", SmokeVerdict.RAN, 0, "x86_64"),
        ("fails", SmokeVerdict.FAILED, 3, "no"),
        ("service", SmokeVerdict.RAN, None, "serving"),
        ("nowhere", SmokeVerdict.FAILED, None, "o such file or directory"),
        ("no-loader", SmokeVerdict.MISSING_LOADER, None, "o such file or directory"),
        ("wrong", SmokeVerdict.EXEC_FORMAT_ERROR, None, "xec format error"),
    ],
)
def test_smoke_runs_tell_how_an_image_starts(
    setup: Setup, stage: str, verdict: SmokeVerdict, exit_code: int | None, output: str
) -> None:
    for name, data in {"dynamic": elf(62, b"/lib64/ld-not-there.so.2"), "wrong": elf(0x1234)}.items():
        (setup.context / name).write_bytes(data)
        (setup.context / name).chmod(0o755)
    layout = setup.build(SMOKE, (AMD64,), target=stage)
    before = setup.store.holds()
    result = setup.engine.smoke(layout, AMD64, None, 4)
    assert result.verdict is verdict, result
    if exit_code is not None or stage == "service":
        assert result.exit_code == exit_code
    assert any(output in line for line in result.output), result
    assert setup.store.holds() == before
    assert list(setup.work.iterdir()) == [layout]


def test_a_command_that_does_not_end_hangs(setup: Setup) -> None:
    layout = setup.build("FROM %BASE%\nRUN true\n", (ARM64,))
    mark = f"4{secrets.randbelow(10**8):08}"
    result = setup.engine.smoke(layout, ARM64, ("sleep", mark), 3)
    assert result.verdict is SmokeVerdict.HUNG
    assert not running(mark)


def test_a_service_ends_with_its_smoke_run_also_outside_its_process_group(setup: Setup) -> None:
    mark = f"4{secrets.randbelow(10**8):08}"
    layout = setup.build(f'FROM %BASE%\nCMD ["sh", "-c", "busybox setsid sleep {mark} & sleep {mark}"]\n', (ARM64,))
    began = time.monotonic()
    assert setup.engine.smoke(layout, ARM64, None, 3).verdict is SmokeVerdict.RAN
    assert time.monotonic() - began < 15
    assert eventually(lambda: not running(mark))
    assert list(setup.work.iterdir()) == [layout]


def test_a_smoke_run_has_no_network(setup: Setup) -> None:
    layout = setup.build("FROM %BASE%\nRUN true\n", (AMD64,))
    result = setup.engine.smoke(layout, AMD64, ("ip", "-o", "link"), 30)
    assert not [line for line in result.output if "eth" in line], result


def test_loading_gives_the_image_its_names(setup: Setup) -> None:
    layout = setup.build('FROM %BASE%\nCMD ["uname", "-m"]\n')
    name = f"localhost/crossdock-test-{secrets.token_hex(4)}:1"
    loaded = setup.engine.load(layout, DEFAULT_TARGETS, (name,))
    assert loaded == (DEFAULT_TARGETS if setup.engine.probe().loads_index else (AMD64,))
    again = setup.engine.load(layout, DEFAULT_TARGETS, (name,))
    assert again == loaded
    names = {
        "buildah": ["buildah", "images", "--format", "{{.Name}}:{{.Tag}}"],
        "buildx": ["docker", "images", "--format", "{{.Repository}}:{{.Tag}}"],
    }[setup.engine.name]
    listed = subprocess.run(names, check=True, capture_output=True, text=True).stdout.split()
    assert name in listed
    assert not [text for text in listed if "layout" in text]
    if setup.engine.name == "buildx":
        for platform, machine in ((AMD64, "x86_64"), (ARM64, "aarch64")):
            if platform in loaded:
                run = ["docker", "run", "--rm", "--network=none", f"--platform={platform}", name]
                assert subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip() == machine
        subprocess.run(["docker", "image", "rm", "--force", name], check=True, capture_output=True)
    else:
        listing = subprocess.run(["buildah", "manifest", "inspect", name], check=True, capture_output=True).stdout
        digests = [entry["digest"] for entry in json.loads(listing)["manifests"]]
        assert digests == [entry.digest for entry in LayoutImage(layout).index().images]


@pytest.mark.parametrize("engine", ["buildx", "buildah"])
def test_an_oci_layout_can_be_the_base(
    engine: str, request: pytest.FixtureRequest, base_layout: Path, tmp_path: Path
) -> None:
    setup = make_setup(engine, request, "unused", tmp_path)
    contexts = (f"base=oci-layout://{base_layout}:latest",)
    layout = setup.build("FROM base\nRUN uname -m > /machine\n", build_contexts=contexts)
    assert setup.read(layout, ARM64, "/machine") == ["aarch64"]


def test_the_context_and_its_ignore_file_are_the_requests(setup: Setup) -> None:
    (setup.context / ".dockerignore").write_text("hello\n")
    (setup.context / "other").write_text("other\n")
    request = setup.request("FROM %BASE%\nCOPY . /all\n", (AMD64,))
    request = BuildRequest(request.context, request.dockerfile, b"other\n", request.platforms)
    layout = setup.engine.build(request, setup.work, lambda event: None)
    result = setup.engine.smoke(layout, AMD64, ("ls", "/all"), 30)
    assert list(result.output) == ["hello"]


def test_buildah_says_before_building_what_it_cannot_do(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    setup = make_setup("buildah", request, "base", tmp_path)
    version = tuple(int(part) for part in setup.engine.probe().version.split("."))
    with pytest.raises(EngineError, match="--security") as caught:
        setup.build("FROM scratch\nCOPY hello /\nRUN --security=insecure true\n")
    assert caught.value.where == "Dockerfile:3"
    if version < (1, 38):
        with pytest.raises(EngineError, match=r"COPY --exclude needs buildah 1\.38"):
            setup.build("FROM scratch\nCOPY --exclude=x hello /\n")
    if os.geteuid() == 0 and "isolation chroot" in setup.engine.probe().detail:
        with pytest.raises(EngineError, match="network"):
            setup.build("FROM scratch\nCOPY hello /\n", network="none")
