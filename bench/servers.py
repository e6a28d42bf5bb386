"""The registry that is measured, and the relay in front of it, as programs that end with whoever started them."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

REGISTRY = "docker-registry"
HOST = "127.0.0.1"


@contextlib.contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a server, its errors to ``log``, and end it."""
    with log.open("w") as errors:
        # In a session of its own, so that Ctrl-C does not end it while it is still in use.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[str]:
    """An empty registry with Debian's settings, as ``127.0.0.1:PORT``. Its data are in ``folder``, and deleted at the
    end."""
    if not shutil.which(REGISTRY):
        raise SystemExit(f"{REGISTRY} is not installed; run: apt-get install {REGISTRY}")
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    settings = [
        "version: 0.1",
        "log: {level: error, accesslog: {disabled: true}}",
        f"storage: {{cache: {{blobdescriptor: inmemory}}, filesystem: {{rootdirectory: '{folder / 'data'}'}}}}",
        f"http: {{addr: '{HOST}:{port}'}}",
    ]
    (folder / "config.yml").write_text("\n".join(settings) + "\n")
    log = folder / "log"
    try:
        with running([REGISTRY, "serve", str(folder / "config.yml")], log) as process:
            deadline = time.monotonic() + 20
            while not _listening(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{REGISTRY} did not start:\n{log.read_text()}")
                time.sleep(0.05)
            yield f"{HOST}:{port}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def relay(host: str, milliseconds: float, log: Path) -> Iterator[str]:
    """``host`` as it looks from far away, as ``127.0.0.1:PORT``; ``host`` itself for no latency."""
    if not milliseconds:
        yield host
        return
    command = [sys.executable, str(Path(__file__).with_name("relay.py")), host, str(milliseconds)]
    with running(command, log) as process:
        port = process.stdout.readline().strip() if process.stdout else ""
        if not port:
            raise SystemExit(f"the relay did not start:\n{log.read_text()}")
        yield f"{HOST}:{port}"


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
