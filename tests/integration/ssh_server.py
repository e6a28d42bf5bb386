"""A real sshd for the tests alone: own port, own keys, own settings, and an ``ssh`` that knows nothing but them."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

SSHD = "/usr/sbin/sshd"
"""It has to be started by its whole name, because it starts itself again for each connection."""
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""A folder whose name is compiled in; Debian's service makes it."""


class SshServer:
    """A running sshd that lets this user in by one key, and whose commands reach the Docker at ``docker_host``.

    ``address`` is what a node is given. ``program`` is a folder for PATH: ssh looks for its settings in the home that
    the user has in /etc/passwd, whatever HOME says, so that the one in there names those of ``folder``.
    """

    def __init__(self, folder: Path, docker_host: str) -> None:
        self.folder = folder
        self.program = folder / "bin"
        self.address = ""
        self._docker_host = docker_host
        self._process: subprocess.Popen[bytes] | None = None
        self._made: list[Path] = []

    def __enter__(self) -> Self:
        if not Path(SSHD).exists():
            raise RuntimeError("sshd is not installed; run: apt-get install openssh-server")
        self.program.mkdir(parents=True)
        for name in ("host", "key"):
            self._make_key(name)
        shutil.copy(self.folder / "key.pub", self.folder / "authorized_keys")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
        self.address = f"ssh://{user}@127.0.0.1:{port}"
        host_key = (self.folder / "host.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
        self._write_client()
        if os.geteuid() == 0 and not PRIVILEGE_SEPARATION.exists():
            PRIVILEGE_SEPARATION.mkdir(mode=0o755)
            self._made.append(PRIVILEGE_SEPARATION)
        argv = [SSHD, "-D", "-e", "-f", str(self._server_settings(port))]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait(port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def stop(self) -> None:
        """From now on nobody answers at the address; connections that there are end by themselves."""
        if self._process:
            self._process.terminate()
            self._process.wait(20)

    def forget_key(self) -> None:
        """From now on the key of the client is refused."""
        (self.folder / "authorized_keys").write_text("")

    def forget_host(self) -> None:
        """From now on the client does not know this host."""
        (self.folder / "known_hosts").write_text("")

    def _make_key(self, name: str) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self.folder / name)]
        subprocess.run(command, check=True, timeout=30)

    def _write_client(self) -> None:
        settings = self.folder / "ssh_config"
        lines = [f"IdentityFile {self.folder}/key", "IdentitiesOnly yes", "IdentityAgent none"]
        lines += [f"UserKnownHostsFile {self.folder}/known_hosts", "GlobalKnownHostsFile /dev/null"]
        settings.write_text("\n".join(lines) + "\n")
        real = shutil.which("ssh")
        assert real, "ssh is not installed; run: apt-get install openssh-client"
        program = self.program / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(real)} -F {shlex.quote(str(settings))} "$@"\n')
        program.chmod(0o755)

    def _server_settings(self, port: int) -> Path:
        lines = [f"ListenAddress 127.0.0.1:{port}", f"HostKey {self.folder}/host", f"PidFile {self.folder}/pid"]
        lines += [f"AuthorizedKeysFile {self.folder}/authorized_keys", "StrictModes no", "UsePAM no"]
        lines += ["PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password"]
        lines += [f"SetEnv DOCKER_HOST={self._docker_host} PATH={os.environ['PATH']}"]
        path = self.folder / "sshd_config"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self._process and self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"sshd did not start:\n{(self.folder / 'log').read_text()}")
