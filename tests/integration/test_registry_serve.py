"""`crossdock registry serve` with the real registry, and skopeo as its user."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from busybox import write_base_layout

pytestmark = pytest.mark.integration

SCHEMA = Path(__file__).parents[2] / "docs/schemas/registry.json"


class Served:
    """A `crossdock registry serve` that has said that it is ready. ``scratch`` is where it puts temporary files."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.scratch = folder / "scratch"
        self.scratch.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "crossdock", "registry", "serve", "--format", "json", *options]
        self.process = subprocess.Popen(
            [*command, str(folder / "images")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.scratch), "REGISTRY_AUTH_FILE": str(folder / "auth.json")},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"it did not start:\n{self.process.communicate()[1]}")
        self.ready: dict[str, str] = json.loads(line)
        self.address = self.ready["address"]
        self.child = child_of(self.process.pid)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """The exit code and what was said on standard error; nothing is left of it."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        with pytest.raises(ProcessLookupError):
            os.kill(self.child, 0)
        assert list(self.scratch.iterdir()) == []
        return self.process.returncode, said


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    assert "serve" in Path(f"/proc/{child}/cmdline").read_text()
    return int(child)


@contextlib.contextmanager
def served(folder: Path, *options: str) -> Iterator[Served]:
    registry = Served(folder, *options)
    try:
        yield registry
    finally:
        if registry.process.poll() is None:
            registry.end()


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stderr


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("image") / "layout"
    write_base_layout(folder, {"amd64": b"program", "arm64": b"program"})
    return f"oci:{folder}:latest"


def push(image: str, reference: str, *options: str) -> None:
    skopeo("copy", "--all", "--dest-tls-verify=false", *options, image, f"docker://{reference}")


def digest(reference: str, *options: str) -> str:
    raw = skopeo("inspect", "--raw", "--tls-verify=false", *options, f"docker://{reference}")
    return str(json.loads(raw)["manifests"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_images_survive_and_nothing_else_does(image: str, tmp_path: Path, number: int) -> None:
    with served(tmp_path, "--listen", ":0") as registry:
        jsonschema.validate(registry.ready, json.loads(SCHEMA.read_text()))
        assert registry.ready["data"] == str(tmp_path / "images")
        assert registry.ready["url"] == f"http://{registry.address}"
        push(image, f"{registry.address}/app:1")
        before = digest(f"{registry.address}/app:1")
        code, said = registry.end(number)
        assert (code, said.strip()) == (130, "crossdock: interrupted")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["images", "scratch"]
    with served(tmp_path, "--listen", ":0") as again:
        assert digest(f"{again.address}/app:1") == before
    with served(tmp_path, "--listen", "[::1]:0") as other:
        answer = urllib.request.urlopen(f"{other.ready['url']}/v2/app/tags/list").read()
        assert json.loads(answer) == {"name": "app", "tags": ["1"]}


def test_it_ends_while_someone_is_connected(tmp_path: Path) -> None:
    with served(tmp_path, "--listen", ":0") as registry:
        port = int(registry.address.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            began = time.monotonic()
            assert registry.end()[0] == 130
            assert time.monotonic() - began < 8


def test_a_registry_that_is_killed_is_noticed(tmp_path: Path) -> None:
    with served(tmp_path, "--listen", ":0") as registry:
        os.kill(registry.child, signal.SIGKILL)
        registry.process.wait(20)
        code, said = registry.end()
    assert code == 3
    assert f"{registry.address}: the registry was killed by SIGKILL" in said
    assert "listening on" in said


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with served(tmp_path, "--listen", ":0") as registry:
        port = registry.address.rpartition(":")[2]
        command = [sys.executable, "-m", "crossdock", "registry", "serve", "--listen", f":{port}", str(tmp_path / "b")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 3
        assert f"port {port} is in use" in done.stderr
        assert done.stdout == ""
        assert registry.process.poll() is None


def test_passwords(image: str, tmp_path: Path) -> None:
    users = tmp_path / "users"
    subprocess.run(["htpasswd", "-cbB", str(users), "alice", "geheim"], check=True, capture_output=True)
    with served(tmp_path, "--listen", ":0", "--htpasswd", str(users)) as registry:
        reference = f"{registry.address}/app:1"
        for wrong in ((), ("--dest-creds=alice:falsch",)):
            copy = ("copy", "--all", "--dest-tls-verify=false", *wrong, image, f"docker://{reference}")
            assert "authentication required" in refused(*copy) or "unauthorized" in refused(*copy)
        push(image, reference, "--dest-creds=alice:geheim")
        assert digest(reference, "--creds=alice:geheim")


def test_tls(image: str, tmp_path: Path) -> None:
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    certificate, key = certificates / "ca.crt", tmp_path / "key.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *files]
    subprocess.run(command, check=True, capture_output=True)
    with served(tmp_path, "--listen", ":0", "--certificate", str(certificate), "--key", str(key)) as registry:
        assert registry.ready["url"] == f"https://{registry.address}"
        target = f"docker://{registry.address}/app:1"
        skopeo("copy", "--all", f"--dest-cert-dir={certificates}", image, target)
        assert "certificate" in refused("copy", "--all", image, target)
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genrsa", "-out", str(other), "2048"], check=True, capture_output=True)
    command = [sys.executable, "-m", "crossdock", "registry", "serve", "--listen", ":0"]
    command += ["--certificate", str(certificate), "--key", str(other), str(tmp_path / "images")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "private key does not match" in done.stderr


def test_a_mirror_keeps_what_was_fetched(image: str, tmp_path: Path) -> None:
    for name in ("first", "mirror"):
        (tmp_path / name).mkdir()
    with served(tmp_path / "first", "--listen", ":0") as first:
        push(image, f"{first.address}/team/app:1")
        with served(tmp_path / "mirror", "--listen", ":0", "--mirror", f"http://{first.address}") as mirror:
            copy = ("copy", "--all", "--src-tls-verify=false", f"docker://{mirror.address}/team/app:1")
            skopeo(*copy, f"oci:{tmp_path / 'copy'}")
            assert digest(f"{mirror.address}/team/app:1") == digest(f"{first.address}/team/app:1")
            pushed = f"docker://{mirror.address}/team/app:2"
            assert refused("copy", "--all", "--dest-tls-verify=false", image, pushed)
            first.end()
            skopeo(*copy, f"oci:{tmp_path / 'again'}")


def test_what_people_are_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "crossdock", "registry", "serve", "--verbose", "--listen", "0.0.0.0:0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*command, str(tmp_path / "images")], **pipes) as process:
        first = process.stdout.readline()
        process.terminate()
        rest, said = process.stdout.read(), process.stderr.read()
    assert first.startswith("registry  http://localhost:")
    port = first.strip().rpartition(":")[2]
    assert f"crossdock push app.tar localhost:{port}/app:1" in rest
    assert "Ctrl-C" in rest
    assert "warning: anyone who reaches this registry may push to it" in said
    assert f"listening on [::]:{port}" in said
    assert process.returncode == 130
