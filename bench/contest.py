"""What every contest on a registry needs: running the contestants, asking the registry, printing the table."""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import signal
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from images import INDEX, MANIFEST
from peers import environment

ACCEPTED = f"{INDEX}, {MANIFEST}"

Environment = dict[str, str]


@dataclass(frozen=True)
class Contestant:
    """One way to do the work."""

    name: str
    work: Callable[[Environment, str], bytes]
    """What is timed; gets the registry's ``HOST:PORT``. Its answer goes to ``check``."""
    check: Callable[[bytes], None] = lambda _: None
    """Raises SystemExit if the answer is wrong. Most programs' exit code says enough."""
    images: int = 1
    """How many images the work is about."""
    goal: float | None = None
    """What crossdock's ratio to it should be: of rates at least, of times at most."""
    missing: str = ""
    """Why it is left out."""


def run(command: Sequence[str], env: Environment, said: str = "", accepted: Sequence[int] = (0,)) -> bytes:
    """Run a program and return its standard output. Raises SystemExit if it fails; interrupted, ends all of it."""
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.PIPE if said else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(said.encode() or None)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode not in accepted:
        raise SystemExit(
            f"{shlex.join(command)} ended with {process.returncode}:\n{errors.decode(errors='replace').strip()}"
        )
    return out


@contextlib.contextmanager
def empty_home(work: Path) -> Iterator[Environment]:
    """A home that goes with ``work``: deleted earlier, it would make the next run's files slower (ext4)."""
    yield environment(Path(tempfile.mkdtemp(prefix="home-", dir=work)), dict(os.environ))


def fetch(host: str, path: str) -> tuple[str, bytes]:
    """A manifest's digest, and the manifest. Raises SystemExit if the registry does not have it."""
    connection = http.client.HTTPConnection(host, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Accept": ACCEPTED})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"the registry answered {path} with {response.status}: {content.decode()}")
        return response.headers["Docker-Content-Digest"], content


def print_row(contestant: Contestant, figures: dict[str, list[float]], goal: float | None, *, least: bool) -> None:
    """One line of a table: the median, and the median ratio of crossdock's figure (the first) to it."""
    if contestant.missing:
        print(f"  {contestant.name:36} left out: {contestant.missing}")
        return
    own, mine = figures[contestant.name], next(iter(figures.values()))
    line = f"  {contestant.name:36} {statistics.median(own):9.2f}"
    if contestant.name.startswith("crossdock"):
        print(line)
        return
    ratios = sorted(first / other for first, other in zip(mine, own, strict=True))
    ratio = statistics.median(ratios)
    line += f"   {ratio:6.2f} of it (from {ratios[0]:.2f} to {ratios[-1]:.2f}"
    if goal is not None:
        reached = ratio >= goal if least else ratio <= goal
        line += f"; goal: at {'least' if least else 'most'} {goal:g}, {'reached' if reached else 'MISSED'}"
    print(f"{line})")
