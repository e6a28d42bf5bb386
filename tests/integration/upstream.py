"""tools/upstream as a fixture: a server on loopback that stands in for GitHub and Docker Hub."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def serving(checkout: Path, python: str, folder: Path, announced: Path) -> Iterator[str]:
    """The address of a server for what ``tools/upstream prepare`` put into ``folder``."""
    announced.unlink(missing_ok=True)
    argv = [python, "tools/upstream", "serve", str(folder), str(announced)]
    with subprocess.Popen(argv, cwd=checkout) as server:
        try:
            deadline = time.monotonic() + 30
            while not (announced.exists() and announced.read_text()):
                assert server.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield announced.read_text().strip()
        finally:
            server.terminate()
