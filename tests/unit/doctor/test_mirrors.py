"""Mirrors of Docker's repository: by name, by address, and the one that answers first."""

from __future__ import annotations

import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crossdock.doctor import mirrors
from crossdock.doctor.distribution import Base, Distribution
from crossdock.doctor.mirrors import Mirror, named, nearest
from crossdock.errors import UsageError
from crossdock.http.client import Http
from crossdock.platforms import ARM64

KYLIN = Distribution("kylin-desktop", "Kylin V10 desktop SP1", base=Base("ubuntu", "20.04", "focal"))
SERVER = Distribution(
    "kylin-server", "Kylin V10 server", base=Base("openeuler", "20.03"), compatible=Base("centos", "8")
)
IN_RELEASE = b"-----BEGIN PGP SIGNED MESSAGE-----\n"


class TestNamed:
    def test_names(self) -> None:
        assert [mirror.name for mirror in mirrors.mirrors()] == ["official", "tuna", "aliyun", "ustc", "huawei"]
        assert named("tuna").address == "https://mirrors.tuna.tsinghua.edu.cn/docker-ce"
        assert str(named("official")) == "Docker's repository"

    def test_each_has_a_source(self) -> None:
        entries = tomllib.loads(mirrors._TABLE.read_text())["mirror"]
        assert all(entry["source"] for entry in entries)

    def test_each_has_https_and_no_slash_at_its_end(self) -> None:
        for mirror in mirrors.mirrors():
            assert mirror.address.startswith("https://")
            assert not mirror.address.endswith("/")

    @pytest.mark.parametrize("text", ["https://mirror.corp/docker-ce", "https://mirror.corp/docker-ce/linux/"])
    def test_an_address(self, text: str) -> None:
        assert named(text) == Mirror("", "https://mirror.corp/docker-ce")

    @pytest.mark.parametrize(
        "text", ["", "qinghua", "ftp://mirror.corp/docker", "https://", "https://a.b/c d", "https://a.b/'x", "a.b/c\n"]
    )
    def test_what_is_neither(self, text: str) -> None:
        with pytest.raises(UsageError) as caught:
            named(text)
        assert "tuna" in str(caught.value)

    def test_a_password_is_refused_and_not_shown(self) -> None:
        with pytest.raises(UsageError) as caught:
            named("https://li:secret@mirror.corp/docker-ce")
        assert "secret" not in str(caught.value)
        assert "auth.conf" in str(caught.value)

    @pytest.mark.parametrize("text", ["https://mirror.corp/x?token=secret", "https://mirror.corp/x#y"])
    def test_a_query_is_refused_and_not_shown(self, text: str) -> None:
        with pytest.raises(UsageError) as caught:
            named(text)
        assert "secret" not in str(caught.value)


@contextmanager
def serving(body: bytes, *, status: int = 200, delay: float = 0.0) -> Iterator[tuple[str, list[str]]]:
    """The address of a server that answers everything in this way, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            time.sleep(delay)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def choose(monkeypatch: pytest.MonkeyPatch, distribution: Distribution, *addresses: str) -> Mirror:
    candidates = tuple(Mirror(f"m{number}", address) for number, address in enumerate(addresses))
    monkeypatch.setattr(mirrors, "mirrors", lambda: candidates)
    with Http() as http:
        return nearest(http, distribution, ARM64)


class TestNearest:
    def test_the_first_that_has_what_the_package_manager_needs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with (
            serving(IN_RELEASE, delay=3) as (slow, _),
            serving(b"", status=404) as (without, _),
            serving(b"<!DOCTYPE html><html>sign in</html>") as (portal, _),
            serving(IN_RELEASE) as (good, asked),
        ):
            found = choose(monkeypatch, KYLIN, slow, without, portal, "http://127.0.0.1:9", good)
        assert found.address == good
        assert found.why.startswith(f"{good} was the first to answer, after ")
        assert asked == ["/linux/ubuntu/dists/focal/InRelease"]

    def test_of_rpm_it_is_the_repositorys_index(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with serving(b'<?xml version="1.0"?><repomd/>') as (good, asked):
            assert choose(monkeypatch, SERVER, "http://127.0.0.1:9", good).name == "m1"
        assert asked == ["/linux/centos/8/aarch64/stable/repodata/repomd.xml"]

    def test_where_none_answers_it_is_dockers_own_and_that_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = choose(monkeypatch, KYLIN, "http://127.0.0.1:9", "http://127.0.0.1:10")
        assert (found.name, found.address) == ("m0", "http://127.0.0.1:9")
        assert found.why == (
            "None of the mirrors (m0, m1) answered with linux/ubuntu/dists/focal/InRelease; Docker's own is named, and "
            "--mirror names another."
        )

    def test_one_that_never_answers_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mirrors, "_SECONDS", 0.3)
        with serving(IN_RELEASE, delay=2) as (slow, _):
            started = time.monotonic()
            assert choose(monkeypatch, KYLIN, slow).why.startswith("None of the mirrors")
            assert time.monotonic() - started < 1.8

    def test_nobody_is_asked_where_docker_has_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        alpine = Distribution("alpine", "Alpine 3.20", base=Base("alpine", "3.20"))
        assert choose(monkeypatch, alpine, "http://127.0.0.1:9").why == ""
