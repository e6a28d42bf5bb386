"""The ways on which requests reach a registry: HTTP/2, a proxy that wants a password, a private authority."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest
from registry import Registry

pytestmark = pytest.mark.integration

PASSWORD = "geheim-4711"
TRUSTED, OTHER = "registry.crossdock-test.invalid", "other.crossdock-test.invalid"


def crossdock(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "crossdock", *arguments],
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, base_layout: Path) -> Iterator[Registry]:
    """A registry with twenty tags of one image."""
    with Registry(tmp_path_factory.mktemp("filled") / "registry") as registry:
        tags = [argument for number in range(20) for argument in ("-t", str(number))]
        done = crossdock("push", f"oci:{base_layout}:latest", f"{registry.host}/team/app:latest", *tags)
        assert done.returncode == 0, done.stderr
        yield registry


def references(host: str) -> list[str]:
    return [f"{host}/team/app:{number}" for number in range(20)]


@contextlib.contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    """nginx with HTTP/2 and a certificate of its own (``folder/certificate.pem``) in front of a registry: host:port."""
    folder.mkdir()
    name = ["-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,DNS:{TRUSTED}"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *files]
    subprocess.run(command, check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "nginx.conf").write_text(f"""
user root; daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 1;
events {{ }}
http {{
  log_format ways '$connection $server_protocol $status $uri';
  access_log {folder}/access ways;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
    location / {{ proxy_pass http://{upstream}; proxy_set_header Host $http_host; }}
  }}
}}
""")
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        deadline = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None, (folder / "error").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"localhost:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def test_http2_where_it_is_offered(filled: Registry, base_layout: Path, tmp_path: Path) -> None:
    with nginx(tmp_path / "nginx", filled.host) as host:
        environ = {"XDG_CACHE_HOME": str(tmp_path), "SSL_CERT_FILE": str(tmp_path / "nginx" / "certificate.pem")}
        done = crossdock("platforms", "--require", "linux/arm64", *references(host), **environ)
        assert done.returncode == 0, done.stdout + done.stderr
        pushed = crossdock("push", f"oci:{base_layout}:latest", f"{host}/team/other:1", **environ)
        assert pushed.returncode == 0, pushed.stderr
    lines = [line.split() for line in (tmp_path / "nginx" / "access").read_text().splitlines()]
    assert {protocol for _, protocol, _, _ in lines} == {"HTTP/2.0"}
    looked_up = {connection for connection, _, _, path in lines if "/team/app/manifests/" in path}
    assert len(looked_up) == 1, "twenty look-ups are streams of one connection"


def test_a_private_authority_is_trusted_where_docker_trusts_it(filled: Registry, tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config"), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    with nginx(tmp_path / "nginx", filled.host) as host, names_of_this_machine(TRUSTED, OTHER):
        port = host.rpartition(":")[2]
        refused = crossdock("platforms", f"{TRUSTED}:{port}/team/app:1", **environ)
        assert (refused.returncode, "certificate is not trusted" in refused.stdout) == (3, True), refused.stdout
        for name in (TRUSTED, OTHER):
            folder = tmp_path / "config" / "docker" / "certs.d" / f"{name}:{port}"
            folder.mkdir(parents=True)
            (folder / "ca.crt").write_bytes((tmp_path / "nginx" / "certificate.pem").read_bytes())
        done = crossdock("platforms", f"{TRUSTED}:{port}/team/app:1", f"{OTHER}:{port}/team/app:1", **environ)
    assert done.returncode == 3
    assert "linux/arm64" in done.stdout
    said = " ".join(done.stdout.split())
    assert f"✗ {OTHER}:{port}: the server's certificate is not trusted: SSL: no alternative" in said, "another's name"


@contextlib.contextmanager
def names_of_this_machine(*names: str) -> Iterator[None]:
    """Names for 127.0.0.1 in /etc/hosts, for a moment."""
    hosts = Path("/etc/hosts")
    before = hosts.read_text()
    hosts.write_text(f"{before.rstrip()}\n127.0.0.1 {' '.join(names)}\n")
    try:
        yield
    finally:
        hosts.write_text(before)


class Proxy(ThreadingTCPServer):
    """A proxy (CONNECT, RFC 9110 9.3.6) that wants a password and remembers who asked for what."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.asked: list[tuple[str, str]] = []


class Tunnel(StreamRequestHandler):
    def handle(self) -> None:
        target = self.rfile.readline().decode().split()[1]
        headers = {}
        while line := self.rfile.readline().decode().strip():
            key, _, value = line.partition(":")
            headers[key.lower()] = value.strip()
        given = headers.get("proxy-authorization", "")
        assert isinstance(self.server, Proxy)
        self.server.asked.append((target, given))
        if given != f"Basic {base64.b64encode(f'user:{PASSWORD}'.encode()).decode()}":
            self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        port = int(target.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as server:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\nX-Proxy: this is not the registry's\r\n\r\n")
            back = threading.Thread(target=self.copy, args=(server, self.connection), daemon=True)
            back.start()
            self.copy(self.connection, server)
            back.join(5)

    @staticmethod
    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize("password", [PASSWORD, "wrong-4712"])
def test_a_proxy_of_the_environment(filled: Registry, proxy: Proxy, tmp_path: Path, password: str) -> None:
    with nginx(tmp_path / "nginx", filled.host) as host:
        name = f"far.invalid:{host.rpartition(':')[2]}"
        config = tmp_path / "registries.conf"
        config.write_text(f'[[registry]]\nlocation = "{name}"\ninsecure = true\n')
        done = crossdock(
            "platforms",
            f"{name}/team/app:1",
            f"{name}/team/app:missing",
            HTTPS_PROXY=f"http://user:{password}@127.0.0.1:{proxy.server_address[1]}",
            CONTAINERS_REGISTRIES_CONF=str(config),
            XDG_CACHE_HOME=str(tmp_path),
            NO_PROXY="",
        )
    assert password not in done.stdout + done.stderr
    assert {target for target, _ in proxy.asked} == {name}
    if password == PASSWORD:
        assert "linux/arm64" in done.stdout
        assert "there is no tag missing" in done.stdout
    else:
        assert done.stdout.count("the proxy refused the connection") == 2, done.stdout
    assert done.returncode == 3
