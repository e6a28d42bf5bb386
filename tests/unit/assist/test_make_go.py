"""What make-go changes in the sources of the go command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from crossdock.assist.packs import MAKERS

SOURCE = """\
package cfg

import "runtime" // and not runtime.GOARCH

/* nor
runtime.GOARCH */
var help = `runtime.GOARCH is "what it is`
var text = "runtime.GOARCH \\" // " + runtime.GOOS + "_" + runtime.GOARCH
var letter = '"'
var host = runtime.GOOS + "/" + runtime.GOARCH // runtime.GOARCH
"""
CHANGED = (
    SOURCE.replace('"_" + runtime.GOARCH', '"_" + string("arm64")').replace(
        '"/" + runtime.GOARCH', '"/" + string("arm64")'
    )
    + "\nconst _ = runtime.GOOS\n"
)
GO = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho %s\\n' >"$2"
chmod +x "$2"
"""


def make(folder: Path, says: str = "arm64", **files: str) -> subprocess.CompletedProcess[str]:
    """Run it on a tree whose go builds a program that claims to be of a machine."""
    for name, text in {"bin/go": GO % says, **{f"src/{name}": text for name, text in files.items()}}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    argv = ["perl", MAKERS / "make-go.pl", "arm64", f"{folder}/bin/go", f"{folder}/result"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def test_the_constant_is_exchanged_in_code_and_nowhere_else(tmp_path: Path) -> None:
    done = make(tmp_path, **{"cmd/go/cfg/cfg.go": SOURCE, "cmd/go/cfg/cfg_test.go": SOURCE, "runtime/a.go": SOURCE})
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "src/cmd/go/cfg/cfg.go").read_text() == CHANGED
    assert (tmp_path / "src/cmd/go/cfg/cfg_test.go").read_text() == SOURCE
    assert (tmp_path / "src/runtime/a.go").read_text() == SOURCE
    assert (tmp_path / "result").exists()


@pytest.mark.parametrize(
    ("files", "says", "reason"),
    [
        ({}, "arm64", "no sources of the go command"),
        ({"cmd/go/main.go": "package main\n"}, "arm64", "does not ask for runtime.GOARCH"),
        ({"cmd/go/main.go": SOURCE}, "amd64", "says that its machine is amd64"),
    ],
)
def test_what_cannot_be_made_anew_is_told(tmp_path: Path, files: dict[str, str], says: str, reason: str) -> None:
    done = make(tmp_path, says, **files)
    assert done.returncode != 0
    assert reason in done.stderr
