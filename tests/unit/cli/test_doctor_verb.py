"""The options of doctor that have no meaning together, and facts that cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from crossdock.cli.main import main
from crossdock.doctor.material import SCHEMA
from crossdock.errors import ExitCode

Capture = pytest.CaptureFixture[str]
FACTS = {
    "schema": SCHEMA,
    "values": {"machine": "aarch64", "kernel": "4.19.90-24.4.v2101.ky10.aarch64", "uid": "0", "cores": "64"},
    "files": {
        "/etc/os-release": 'NAME="Kylin Linux Advanced Server"\nVERSION="V10 (Sword)"\nID="kylin"\nVERSION_ID="V10"\n'
    },
    "commands": {},
}


@pytest.fixture
def facts(tmp_path: Path) -> str:
    file = tmp_path / "facts.json"
    file.write_text(json.dumps(FACTS))
    return str(file)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fix", "--undo"], "--fix and --undo do not go together"),
        (["--script", "--collector"], "--script and --collector do not go together"),
        (["--from", "FACTS", "--fix"], "--from is about a machine whose facts were collected"),
        (["--from", "FACTS", "--facts"], "--from is about a machine whose facts were collected"),
        (["--yes"], "--yes belongs to --fix or --undo"),
    ],
)
def test_what_does_not_go_together(facts: str, options: list[str], words: str, capsys: Capture) -> None:
    assert main(["doctor", *(facts if word == "FACTS" else word for word in options)]) == ExitCode.USAGE
    assert words in capsys.readouterr().err


def test_only_root_changes_a_machine(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert main(["doctor", "--fix", "--yes"]) == ExitCode.CANNOT
    assert "sudo crossdock doctor --fix" in capsys.readouterr().err


def test_another_machine_is_judged_by_its_facts(facts: str, capsys: Capture) -> None:
    assert main(["doctor", "--from", facts]) == ExitCode.FINDINGS
    out = capsys.readouterr().out
    assert out.startswith("Kylin V10")
    assert "Neither Docker nor buildah is installed." in out
    assert "sudo crossdock doctor --fix" not in out, "that would be about this machine"
    assert main(["doctor", "--from", facts, "--format", "json"]) == ExitCode.FINDINGS
    document = json.loads(capsys.readouterr().out)
    assert document["machine"]["platform"] == "linux/arm64"
    assert not document["healthy"]


def test_a_script_for_another_machine(facts: str, capsys: Capture) -> None:
    assert main(["doctor", "--from", facts, "--script"]) == ExitCode.DONE
    out = capsys.readouterr().out
    assert out.startswith("#!/bin/sh\n")
    assert "# Arm images on Kylin V10" in out


@pytest.mark.parametrize("text", [None, "", "{}", "\udcff"])
def test_facts_that_are_none(tmp_path: Path, text: str | None, capsys: Capture) -> None:
    file = tmp_path / "facts.json"
    if text is not None:
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert main(["doctor", "--from", str(file)]) == ExitCode.CANNOT
    assert "facts.json" in capsys.readouterr().err


def test_the_collector_is_printed_as_it_is(capsys: Capture) -> None:
    assert main(["doctor", "--collector"]) == ExitCode.DONE
    assert capsys.readouterr().out.startswith("#!/bin/sh\n")
