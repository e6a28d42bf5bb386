"""The steps that change Docker's settings, taken on files of the test's own."""

from __future__ import annotations

import getpass
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from crossdock.host.change import Ending, run_steps
from crossdock.host.daemon_settings import client_experimental, containerd_store, daemon_experimental
from crossdock.host.journal import undo
from crossdock.host.script import Places, script_of
from crossdock.host.steps import Step
from crossdock.process import SystemRunner

RUNNER = SystemRunner()
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A machine where ``docker info`` says what was restarted with, and systemctl writes down what it was asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    texts = {
        "docker": f"cat {tmp_path}/said 2>/dev/null || :",
        "systemctl": f'echo "$*" >>{tmp_path}/asked\n'
        f'[ $1 = daemon-reload ] || echo \'[["driver-type","io.containerd.snapshotter.v1"]]\' >{tmp_path}/said',
        "sleep": "",
    }
    for name, text in texts.items():
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return Places(tmp_path / "state", tmp_path / "binfmt", tmp_path / "run")


def take(step: Step, places: Places) -> Ending:
    (outcome,) = run_steps((step,), RUNNER, confirm=lambda _step: True, places=places)
    return outcome.ending


def test_the_daemon_gets_its_setting_is_restarted_and_asked(places: Places, tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    before = '{\n    "registry-mirrors": ["https://user:secret@mirror"],\n    "features": {"buildkit": true}\n}\n'
    file.write_text(before)
    step = containerd_store(file=file)
    assert take(step, places) is Ending.CHANGED
    assert json.loads(file.read_text()) == {
        "registry-mirrors": ["https://user:secret@mirror"],
        "features": {"buildkit": True, "containerd-snapshotter": True},
    }
    assert (tmp_path / "asked").read_text().splitlines() == ["daemon-reload", "restart docker"]
    assert take(step, places) is Ending.NOTHING_TO_DO
    undone = undo(RUNNER, confirm=lambda _change: True, places=places)
    assert [one.what for one in undone] == [f"put back {file}", "docker runs with its former settings"]
    assert file.read_text() == before


def test_settings_that_the_daemon_does_not_follow_are_an_error(places: Places, tmp_path: Path) -> None:
    assert take(daemon_experimental(file=tmp_path / "new/daemon.json"), places) is Ending.FAILED
    undo(RUNNER, confirm=lambda _change: True, places=places)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_file_is_one_without_keys(places: Places, tmp_path: Path, text: str) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(text)
    assert take(containerd_store(file=file), places) is Ending.CHANGED
    assert json.loads(file.read_text()) == {"features": {"containerd-snapshotter": True}}


def test_invalid_json_is_left_alone_and_the_daemon_too(places: Places, tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text('{\n  "debug": true,\n}\n')
    (outcome,) = run_steps((containerd_store(file=file),), RUNNER, confirm=lambda _step: True, places=places)
    assert outcome.ending is Ending.FAILED
    assert outcome.log[-1] == f"crossdock: {file}:3:1: this is no valid JSON: a key in double quotes is expected"
    assert file.read_text() == '{\n  "debug": true,\n}\n'
    assert not (tmp_path / "asked").exists()
    assert list(places.state.iterdir()) == []


def test_the_clients_file_keeps_its_credentials_and_shows_none(places: Places, tmp_path: Path) -> None:
    config = tmp_path / ".docker/config.json"
    config.parent.mkdir()
    config.write_text('{"auths": {"r.example": {"auth": "c2VjcmV0"}}}')
    config.chmod(0o600)
    step = client_experimental(getpass.getuser(), home=str(tmp_path))
    said: list[str] = []
    outcomes = run_steps(
        (step,), RUNNER, confirm=lambda _step: True, tell=lambda _step, line: said.append(line), places=places
    )
    assert outcomes[0].ending is Ending.CHANGED
    assert config.read_text() == '{"auths": {"r.example": {"auth": "c2VjcmV0"}}, "experimental": "enabled"}'
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert said == []
    (backup,) = (path for path in places.state.rglob("config.json"))
    assert [stat.S_IMODE(path.stat().st_mode) for path in (backup, places.state / "backup")] == [0o600, 0o700]


def test_a_client_without_settings_gets_a_file_of_its_own(places: Places, tmp_path: Path) -> None:
    step = client_experimental(getpass.getuser(), home=str(tmp_path))
    assert take(step, places) is Ending.CHANGED
    config = tmp_path / ".docker/config.json"
    assert json.loads(config.read_text()) == {"experimental": "enabled"}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert take(step, places) is Ending.NOTHING_TO_DO


def test_they_are_what_shellcheck_likes() -> None:
    steps = (containerd_store(), daemon_experimental(live_restore=True), client_experimental("jane o'neil"))
    program = script_of(steps, title="Settings")
    command = [SHELLCHECK, "-s", "sh", "-"]
    assert subprocess.run(command, input=program, text=True, capture_output=True, check=False).stdout == ""
