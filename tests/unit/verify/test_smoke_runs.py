"""Smoke runs and HEALTHCHECK, with an engine whose containers are shell scripts of this machine; where they are run."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from made_images import Content, MemoryImage, Parts, elf, layer

from crossdock.engines.containers import EngineFacts, EngineWords, Outcome, RunRequest, shell_code
from crossdock.errors import EngineError
from crossdock.host.binfmt import Problem
from crossdock.image.documents import MalformedError, parse_config, to_json
from crossdock.image.model import OCI_LAYER_GZIP, Descriptor, Healthcheck, ImageConfig
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.process import Command, SystemRunner
from crossdock.verify.model import CheckResult, Status
from crossdock.verify.places import Place, Places
from crossdock.verify.smoke import smoke_runs

FILES: dict[str, Content] = {"app": elf()}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is a twentieth."""
    monkeypatch.setattr("crossdock.verify.running._WATCH_SECONDS", 0.05)
    monkeypatch.setattr("crossdock.verify.running.LOOK_SECONDS", 0.05)


class Scripts:
    """Each container is the script of the words it is started with; a command beside it is one of this machine too."""

    name = "scripts"

    def __init__(self, *, executes: bool = True, files: dict[str, Content] | None = None) -> None:
        self.requests: list[RunRequest] = []
        self._executes = executes
        self._files = FILES if files is None else files

    def probe(self) -> EngineFacts:
        return EngineFacts("scripts", (1,), AMD64, shares_kernel=True)

    @contextmanager
    def create(self, request: RunRequest, on_pull: object) -> Iterator[_Script]:
        self.requests.append(request)
        assert request.content is not None
        config = request.content.config(request.content.manifest(request.content.index().images[0]))
        script = " ".join(request.command or config.command)
        yield _Script(script, config, self._executes, self._files)


class _Script:
    engine_words = EngineWords(("exec ",), re.compile(r"exec /.*"))
    wrappers: frozenset[str] = frozenset()

    def __init__(self, script: str, config: ImageConfig, executes: bool, files: dict[str, Content]) -> None:
        self.command = Command(("sh", "-c", script), grace=0)
        self._config = config
        self._executes = executes
        self._files = files

    def main_process(self, attached: int) -> int | None:
        return attached

    def signal(self, number: signal.Signals) -> bool:
        return False

    def execute(self, words: tuple[str, ...]) -> Command | None:
        return Command(words) if self._executes else None

    def outcome(self, exit_code: int, noise: tuple[str, ...]) -> Outcome:
        return Outcome(True, shell_code(exit_code))

    def config(self) -> ImageConfig:
        return self._config

    def head(self, path: str, size: int) -> tuple[str, bytes] | None:
        return None

    def layers(self, folder: Path) -> Iterator[tuple[Descriptor, BinaryIO]]:
        data = layer(self._files)
        yield Descriptor(OCI_LAYER_GZIP, "sha256:0", len(data)), io.BytesIO(data)


def started(
    script: str,
    *commands: tuple[str, ...],
    check: Healthcheck | None = None,
    engine: Scripts | None = None,
    platform: Platform = AMD64,
    limit: float = 1.0,
) -> list[CheckResult]:
    engine = engine or Scripts()
    part = Parts((layer(FILES),), ("/app",), (script,), platform=platform, healthcheck=check)
    far = Place(engine, EngineFacts("docker", (1,), platform), "ssh://far")  # type: ignore[arg-type]
    places = Places((far,), EngineError("none"), SystemRunner())
    return list(smoke_runs(MemoryImage(part), platform, places, commands, SystemRunner(), limit))


def test_what_ends_with_0_and_what_goes_on_running_has_started() -> None:
    engine = Scripts()
    (ran,) = started("echo up", engine=engine)
    assert ran.status is Status.PASSED
    assert re.fullmatch(r"started natively on ssh://far and ended with 0 after \d\.\d s", ran.message)
    (request,) = engine.requests
    assert (request.network, request.healthcheck) == ("none", False)
    (ran,) = started("sleep 60", limit=0.3)
    assert ran.status is Status.PASSED
    assert "still running after" in ran.message


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no config >&2; exit 3", r"ended with exit code 3 after .* s: no config"),
        ("echo lost; exit 3", r"ended with exit code 3 after .* s: lost"),
        ("kill -ILL $$", r"illegal instruction, after .* s"),
        ("echo 'Illegal instruction (core dumped)' >&2; exit 1", r"illegal instruction, after .* s: Illegal.*"),
    ],
)
def test_what_fails_is_told_with_its_last_words(script: str, message: str) -> None:
    (found,) = started(script)
    assert found.status is Status.FAILED
    assert re.fullmatch(message, found.message)
    assert found.hint


def test_why_it_did_not_start_comes_from_the_image_s_files() -> None:
    (found,) = started("echo 'exec /app: exec format error' >&2; exit 1", engine=Scripts(files={"app": elf("s390x")}))
    assert found.status is Status.FAILED
    assert found.message.startswith("exec format error: /app is ELF 64-bit LSB shared object, s390x")
    assert "COPY" in found.hint or "instruction" in found.hint


def test_commands_each_have_to_end_with_0() -> None:
    engine = Scripts()
    commands = ("exit", "0"), ("exit", "4"), ("echo", "hm;", "sleep", "61")
    good, bad, hung = started("exit 9", *commands, engine=engine, limit=1)
    assert [request.command for request in engine.requests] == list(commands)
    assert good.status is Status.PASSED
    assert good.message.startswith("`exit 0`: started natively")
    assert bad.message.startswith("`exit 4`: ended with exit code 4")
    assert hung.status is Status.FAILED
    assert "hung: still running after 1.0 s." in hung.message
    assert "sleep 61" in hung.message, "what it was doing"
    assert "waiting" in hung.message
    assert hung.message.endswith("It printed last: hm")


def test_an_interruption_ends_all_and_not_the_program_alone() -> None:
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        started("trap 'exit 0' INT; sleep 30 & wait", limit=20)


# ---------------------------------------------------------------- HEALTHCHECK


def test_a_healthy_image_is_not_waited_for_any_longer(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    check = Healthcheck(("test", "-e", str(ready)))
    smoke, health = started(f"touch {ready}; sleep 60", check=check, limit=30)
    assert smoke.status is health.status is Status.PASSED
    assert (smoke.check, health.check) == ("smoke", "healthcheck")
    assert re.fullmatch(rf"HEALTHCHECK `test -e {ready}` passed after \d\.\d s", health.message)


@pytest.mark.parametrize(
    ("check", "status", "message"),
    [
        (Healthcheck(("sh", "-c", "no-curl x")), Status.FAILED, "cannot be run: .*not found"),
        (
            Healthcheck(("sh", "-c", "echo starting; exit 1")),
            Status.WARNING,
            r"not passed within \d s, in \d+ tries: starting",
        ),
        (Healthcheck(("false",), interval=0.1, retries=2), Status.FAILED, r"not passed within \d s, in \d+ tries"),
        (Healthcheck(("sleep", "9"), 0.1, 0.2, 0, 1), Status.FAILED, r"not passed .*: no answer within 0\.2 s"),
    ],
)
def test_an_image_that_is_not_healthy(check: Healthcheck, status: Status, message: str) -> None:
    smoke, health = started("sleep 60", check=check)
    assert smoke.status is Status.PASSED
    assert (health.status, bool(health.hint)) == (status, True)
    assert re.fullmatch(f"HEALTHCHECK `.*` {message}", health.message), health.message


def test_a_program_that_ends_is_not_asked_for_its_health() -> None:
    (smoke,) = started("exit 3", check=Healthcheck(("true",)))
    assert smoke.status is Status.FAILED


def test_an_engine_that_cannot_run_two_commands_says_so() -> None:
    _, health = started("sleep 60", check=Healthcheck(("true",)), engine=Scripts(executes=False), limit=0.3)
    assert health.status is Status.SKIPPED
    assert "this engine cannot" in health.message


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (None, None),
        ({}, None),
        ({"Test": []}, None),
        ({"Test": ["NONE"]}, None),
        ({"Test": ["CMD", "wget", "-q", "x"]}, Healthcheck(("wget", "-q", "x"))),
        (
            {"Test": ["CMD-SHELL", "a"], "Interval": 5 * 10**9, "Timeout": 10**9, "StartPeriod": 10**10, "Retries": 5},
            Healthcheck(("/bin/sh", "-c", "a"), 5, 1, 10, 5),
        ),
    ],
)
def test_what_a_config_says(written: object, expected: Healthcheck | None) -> None:
    config = {"os": "linux", "architecture": "arm64", "config": {"Healthcheck": written}}
    assert parse_config(to_json(config)).healthcheck == expected


def test_the_shell_is_the_image_s_and_what_is_no_healthcheck_is_told() -> None:
    def config(**run: object) -> ImageConfig:
        return parse_config(to_json({"os": "linux", "architecture": "arm64", "config": run}))

    found = config(Healthcheck={"Test": ["CMD-SHELL", "x"]}, Shell=["/bin/ash", "-eo"]).healthcheck
    assert found
    assert found.command == ("/bin/ash", "-eo", "x")
    for wrong in ("x", {"Test": ["CMD", "x"], "Interval": "5s"}, {"Test": ["CMD", "x"], "Retries": "3"}, {"Test": [1]}):
        with pytest.raises(MalformedError):
            config(Healthcheck=wrong)


# ---------------------------------------------------------------- where


def test_a_node_of_the_right_architecture_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Platform] = []

    def check(platforms: tuple[Platform, ...], runner: object, *, host: Platform) -> tuple[Problem, ...]:
        asked.extend(platforms)
        return (Problem(ARM64, "cannot be emulated", "Register QEMU."),) if ARM64 in platforms else ()

    monkeypatch.setattr("crossdock.verify.places.check_emulation", check)
    here = Place(Scripts(), EngineFacts("docker", (28,), AMD64))  # type: ignore[arg-type]
    far = Place(Scripts(), EngineFacts("docker", (28,), ARM64), "ssh://arm")  # type: ignore[arg-type]
    places = Places((far,), here, SystemRunner())
    assert places.of(ARM64) is far
    assert places.of(AMD64) is here
    assert (far.words(ARM64), here.words(AMD64), here.words(ARM64)) == ("natively on ssh://arm", "natively", "emulated")
    alone = Places((), here, SystemRunner())
    for _ in range(3):
        with pytest.raises(EngineError, match="cannot be emulated"):
            alone.of(ARM64)
    assert asked == [AMD64, ARM64], "what this machine can emulate is asked once"
    with contextlib.suppress(EngineError):
        Places((far,), EngineError("no engine"), SystemRunner()).of(AMD64)
        raise AssertionError
