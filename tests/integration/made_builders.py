"""Making builders by the command line, and what of them is on a machine."""

from __future__ import annotations

import subprocess
import sys

from daemon import Daemon


def crossdock(*arguments: str, code: int = 0) -> str:
    argv = [sys.executable, "-m", "crossdock", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + (done.stderr if code else "")


def left(daemon: Daemon) -> list[str]:
    """The containers and volumes of builders in a daemon."""
    names = daemon.docker("ps", "--all", "--format={{.Names}}").split()
    names += daemon.docker("volume", "ls", "--format={{.Name}}").split()
    return [name for name in names if name.startswith("buildx_")]


def builders() -> list[str]:
    done = subprocess.run(["docker", "buildx", "ls"], capture_output=True, text=True, timeout=60, check=True)
    return [line.split()[0].rstrip("*") for line in done.stdout.splitlines()[1:] if line and not line[0].isspace()]
