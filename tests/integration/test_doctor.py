"""The verb doctor on this very machine: what it says, what it mends, and that it takes back exactly that."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from private_binfmt import entries, runs

from crossdock.host.script import PLACES

pytestmark = pytest.mark.integration

FOREIGN = ("--platform", "linux/s390x")
"""Nobody else on this machine builds for it, so what is registered for it is this test's alone."""


def doctor(*arguments: str, code: int = 0, input: str | None = None) -> str:
    argv = [sys.executable, "-m", "crossdock", "doctor", *arguments]
    done = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def report(*arguments: str, code: int = 0) -> dict[str, Any]:
    return dict(json.loads(doctor("--format", "json", *arguments, code=code)))


def test_it_knows_this_machine(emulation: None) -> None:
    found = report()
    machine = found["machine"]
    os_release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    assert machine["platform"] == "linux/amd64"
    assert machine["distribution"]["base"]["id"] == os_release["ID"].strip('"')
    assert machine["distribution"]["known"]
    states = {check["id"]: check["state"] for check in found["checks"]}
    assert states["emulation-arm64"] == "good"
    assert states["buildah"] == "good"
    assert found["healthy"]


def test_facts_that_are_carried_are_judged_alike(tmp_path: Path, emulation: None) -> None:
    script, facts = tmp_path / "collect.sh", tmp_path / "facts.json"
    script.write_text(doctor("--collector"))
    with facts.open("w") as out:
        subprocess.run(["sh", str(script)], stdout=out, timeout=120, check=True)
    assert report("--from", str(facts))["machine"] == report()["machine"]
    assert json.loads(doctor("--facts"))["schema"] == "crossdock.facts/v1"


def test_it_mends_and_takes_back() -> None:
    assert not PLACES.journal.exists(), "something has been changed by crossdock here; take it back first"
    before = list(entries().items())
    found = report(*FOREIGN, code=1)
    assert [step["id"] for step in found["steps"]] == ["binfmt-register-s390x"]
    try:
        doctor(*FOREIGN, "--fix", "--yes")
        states = {check["id"]: check["state"] for check in report(*FOREIGN)["checks"]}
        assert states["emulation-s390x"] == "good"
        assert runs("s390x")
        doctor(*FOREIGN, "--fix", "--yes")
    finally:
        undone = doctor("--undo", "--yes")
    assert "✓ Remove the entry crossdock-s390x of binfmt_misc" in undone
    assert list(entries().items()) == before
    assert "changed nothing here" in doctor("--undo", "--yes")


def test_a_script_does_the_same_without_crossdock(tmp_path: Path) -> None:
    assert not PLACES.journal.exists(), "something has been changed by crossdock here; take it back first"
    before = list(entries().items())
    script = tmp_path / "prepare.sh"
    script.write_text(doctor(*FOREIGN, "--script"))
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, "-s", "sh", script], timeout=60, check=True)

    def run(*arguments: str) -> str:
        done = subprocess.run(["sh", str(script), *arguments], capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    try:
        assert "[to do] 1." in run("--dry-run")
        assert "All is done." in run()
        assert runs("s390x")
        assert "nothing to do" in run()
        assert "[done]  1." in run("--dry-run")
    finally:
        run("--undo")
    assert list(entries().items()) == before


def test_nobody_there_to_ask() -> None:
    doctor(*FOREIGN, "--fix", code=2, input="")
