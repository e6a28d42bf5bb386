"""What a Python tells that was started as a pack starts it; here the pack's files are this machine's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crossdock.assist.packs import MAKERS
from crossdock.platforms import host_platform

OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}
TELL = """\
import json, math, os, platform, sys
print(json.dumps({
    "machine": platform.machine(), "uname": os.uname().machine, "argv": sys.argv, "first": sys.path[0],
    "name": __name__,
    "multiarch": sys.implementation._multiarch, "isolated": sys.flags.isolated, "site": "site" in sys.modules,
    "executable": sys.executable, "environment": dict(os.environ), "own": "_tell_target" in globals(),
}))
"""
Tell = Callable[..., dict[str, object]]


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    pack = tmp_path / "pack"
    pack.mkdir()
    shutil.copy(MAKERS / "python-target", pack)
    (pack / "root").symlink_to("/")
    (tmp_path / "teller").mkdir()
    for name in ("tell.py", "__main__.py"):
        (tmp_path / "teller" / name).write_text(TELL)

    def run(*arguments: str) -> dict[str, object]:
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LD_PRELOAD") if name in os.environ}
        command = [sys.executable, "-S", str(pack / "python-target"), *arguments]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path / "teller", capture_output=True, text=True, check=True, timeout=60
        )
        found: dict[str, object] = json.loads(done.stdout)
        # PEP 538: what Python itself adds in the C locale.
        told = {name: value for name, value in found["environment"].items() if name != "LC_CTYPE"}  # type: ignore[attr-defined]
        assert told == environment
        return found

    return run


def test_it_tells_the_other_machine(tell: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    """As all programs of a pack, Python hears of it by machine.so, which the pack's own loader preloads."""
    told = OTHER[os.uname().machine]
    monkeypatch.setenv("LD_PRELOAD", str(MAKERS / f"machine-{host_platform().architecture}.so"))
    found = tell("tell.py")
    assert found["executable"] == sys.executable
    assert found["site"]
    assert found["machine"] == found["uname"] == told
    assert str(found["multiarch"]).startswith(told)


@pytest.mark.parametrize(
    ("call", "argv"),
    [
        (["tell.py", "-m", "x"], ["tell.py", "-m", "x"]),
        (["-m", "tell", "-c"], ["{folder}/tell.py", "-c"]),
        (["-mtell"], ["{folder}/tell.py"]),
        (["-c", TELL, "x"], ["-c", "x"]),
        (["."], ["."]),
        (["-W", "ignore", "-u", "tell.py"], ["tell.py"]),
    ],
)
def test_it_runs_what_python_would(tell: Tell, tmp_path: Path, call: list[str], argv: list[str]) -> None:
    found = tell(*call)
    folder = str(tmp_path / "teller")
    assert found["argv"] == [word.replace("{folder}", folder) for word in argv]
    assert found["first"] == {"-c": "", ".": "."}.get(argv[0], folder)
    assert found["name"] == "__main__"
    assert not found["own"]


def test_options_count(tell: Tell, tmp_path: Path) -> None:
    found = tell("-I", "-W", "ignore", "-c", TELL)
    assert found["isolated"] == 1
    assert found["first"] != ""
    assert found["argv"] == ["-c"]
