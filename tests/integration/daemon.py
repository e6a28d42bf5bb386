"""A Docker daemon for the tests alone: own data, own socket, own bridge, nothing of the machine's Docker touched."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_numbers = itertools.count()


class Daemon:
    """A running dockerd that keeps everything below ``folder``; ``containerd`` chooses its image store.

    It gets a bridge of its own: ``--bridge none`` would remove the docker0 of a daemon that runs beside it.
    """

    def __init__(self, folder: Path, *, containerd: bool) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._features = {"features": {"containerd-snapshotter": containerd}}
        number = next(_numbers)
        self._bridge = f"xd{os.getpid() % 1000000}n{number}"
        self.address = f"172.31.{(os.getpid() + number) % 250}.1"
        """This machine, as its containers reach it."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if not shutil.which("dockerd"):
            raise RuntimeError("dockerd is not installed; run tests/provision")
        self.folder.mkdir(parents=True)
        (self.folder / "daemon.json").write_text(json.dumps(self._features))
        for command in (
            f"ip link add name {self._bridge} type bridge",
            f"ip addr add {self.address}/24 dev {self._bridge}",
            f"ip link set {self._bridge} up",
        ):
            subprocess.run(command.split(), check=True)
        argv = ["dockerd", f"--config-file={self.folder}/daemon.json", f"--data-root={self.folder}/data"]
        argv += [f"--exec-root={self.folder}/exec", f"--host={self.host}", f"--pidfile={self.folder}/pid"]
        argv += [f"--bridge={self._bridge}", "--iptables=false", "--ip6tables=false", "--ip-masq=false"]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(20)
            self._process.kill()
            self._process.wait()
        for mount in self.mounts():
            subprocess.run(["umount", "--lazy", mount], check=False)
        subprocess.run(["ip", "link", "delete", self._bridge], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def docker(self, *argv: str) -> str:
        """The output of a docker command."""
        environment = {**os.environ, "DOCKER_HOST": self.host}
        done = subprocess.run(["docker", *argv], check=True, capture_output=True, text=True, env=environment)
        return done.stdout.strip()

    def holds(self) -> tuple[str, str]:
        """What is in it: containers and images, sorted, because images of one age have no order."""

        def listed(*arguments: str) -> str:
            return "\n".join(sorted(self.docker(*arguments).split()))

        return listed("ps", "--all", "--quiet"), listed("images", "--all", "--quiet")

    def mounts(self) -> list[str]:
        points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        return sorted((point for point in points if point.startswith(f"{self.folder}/")), key=len, reverse=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self._process
            if self._process.poll() is not None:
                break
            with contextlib.suppress(subprocess.CalledProcessError):
                self.docker("version")
                return
            time.sleep(0.2)
        raise RuntimeError(f"dockerd did not start:\n{(self.folder / 'log').read_text()[-4000:]}")
