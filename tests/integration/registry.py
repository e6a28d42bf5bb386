"""Debian's docker-registry as a fixture: on a free port of this machine; plain, with a password, with TLS."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAM = "docker-registry"


class Registry:
    """A running registry that keeps its data in ``folder``. ``host`` is ``localhost:PORT``, or with another ``address``
    of this machine that with the port: of localhost many programs think that it needs no TLS.

    With ``password`` it wants Basic authentication by ``username``; with ``tls`` it speaks only TLS, with a certificate
    that ``certificate`` holds and nobody trusts. ``misled`` makes it believe that it speaks plain HTTP, as a registry
    does behind a TLS proxy that does not tell it.
    """

    def __init__(
        self, folder: Path, *, username: str = "", password: str = "", tls: bool = False, misled: bool = False,
        address: str = "127.0.0.1",
    ) -> None:  # fmt: skip
        self.folder = folder
        self.address = address
        self.username = username
        self.password = password
        self.tls = tls
        self.misled = misled
        self.certificate = folder / "certificate.pem"
        self.host = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if not shutil.which(PROGRAM):
            raise RuntimeError(f"{PROGRAM} is not installed; run: apt-get install docker-registry apache2-utils")
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            port = probe.getsockname()[1]
        self.host = f"{'localhost' if self.address == '127.0.0.1' else self.address}:{port}"
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "serve", str(self._configuration(port))], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self._wait(port)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def _configuration(self, port: int) -> Path:
        lines = [
            "version: 0.1",
            "log: {level: info}",
            f"storage: {{filesystem: {{rootdirectory: {self.folder / 'data'}}}, delete: {{enabled: true}}}}",
            f"http: {{addr: '{self.address}:{port}'{self._tls()}}}",
        ]
        if self.password:
            passwords = self.folder / "htpasswd"
            entry = subprocess.run(
                ["htpasswd", "-niB", self.username], input=self.password.encode(), capture_output=True, check=True
            )
            passwords.write_bytes(entry.stdout)
            lines.append(f"auth: {{htpasswd: {{realm: crossdock-test, path: {passwords}}}}}")
        path = self.folder / "config.yml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def _tls(self) -> str:
        if not self.tls:
            return ""
        key = self.folder / "key.pem"
        # By its usual address it is not in the certificate: one for another name is refused, as a test has it.
        also = "" if self.address == "127.0.0.1" else f",IP:{self.address}"
        name = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost{also}"]
        files = ["-keyout", str(key), "-out", str(self.certificate)]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *files]
        subprocess.run(command, check=True, capture_output=True)
        announced = f", host: 'http://{self.host}'" if self.misled else ""
        return f"{announced}, tls: {{certificate: {self.certificate}, key: {key}}}"

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self._process and self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex((self.address, port)) == 0:
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{PROGRAM} did not start:\n{self.log()}")
