"""HTTP: retries, redirects, limits, existence checks, and that nothing secret is ever shown."""

from __future__ import annotations

import email.utils
import hashlib
import socket
import time
from typing import Any

import pytest
from faulty import FAST, Answer, Server, closed_port

from crossdock.errors import RegistryError
from crossdock.http.client import Http, Response
from crossdock.http.evidence import EvidenceStatus, WebProber
from crossdock.http.exchange import Upload
from crossdock.http.model import Document, Offline, Reason, Unreachable
from crossdock.http.urls import is_loopback, public_url

LIMIT = 1 << 20


def fetch(http: Http, method: str, url: str, **options: Any) -> Document:
    return http.run(http.fetch(method, url, **options))


def test_gives_status_headers_and_body(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(203, b"text", {"X-Name": "value"}))
    answer = fetch(http, "GET", f"{server.url}/a", limit=LIMIT)
    assert (answer.status, answer.body, answer.headers["x-name"]) == (203, b"text", "value")
    assert server.seen[0].headers["accept-encoding"] == "identity"
    assert server.seen[0].headers["user-agent"].startswith("crossdock/")


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_tries_again_what_may_pass(server: Server, http: Http, status: int) -> None:
    server.on("GET", "/a", Answer(status), Answer(status), Answer(200, b"at last"))
    assert fetch(http, "GET", f"{server.url}/a", limit=LIMIT).body == b"at last"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 501])
def test_does_not_repeat_what_will_not_change(server: Server, http: Http, status: int) -> None:
    server.on("GET", "/a", Answer(status))
    assert fetch(http, "GET", f"{server.url}/a", limit=LIMIT).status == status
    assert len(server.seen) == 1


def test_gives_up_after_the_last_attempt(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(503))
    assert fetch(http, "GET", f"{server.url}/a", limit=LIMIT).status == 503
    assert len(server.seen) == FAST.attempts


def test_waits_as_long_as_retry_after_asks(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(429, headers={"Retry-After": "1"}), Answer(200))
    began = time.monotonic()
    assert fetch(http, "GET", f"{server.url}/a", limit=LIMIT).status == 200
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize("as_date", [False, True])
def test_does_not_wait_for_an_hour(server: Server, http: Http, as_date: bool) -> None:
    value = email.utils.formatdate(time.time() + 3600, usegmt=True) if as_date else "3600"
    server.on("GET", "/a", Answer(429, headers={"Retry-After": value}), Answer(200))
    answer = fetch(http, "GET", f"{server.url}/a", limit=LIMIT)
    assert answer.status == 429
    assert answer.retry_after == pytest.approx(3600, abs=60)


def test_nonsense_in_retry_after_is_passed_over(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(503, headers={"Retry-After": "soon"}), Answer(200))
    assert fetch(http, "GET", f"{server.url}/a", limit=LIMIT).status == 200


def test_a_body_that_breaks_off_is_asked_for_again(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(200, b"x" * 1000, cut=10), Answer(200, b"whole"))
    assert fetch(http, "GET", f"{server.url}/a", limit=LIMIT).body == b"whole"


def test_a_body_that_always_breaks_off_is_an_error(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(200, b"x" * 1000, cut=10))
    with pytest.raises(Unreachable, match="broke off") as caught:
        fetch(http, "GET", f"{server.url}/a", limit=LIMIT)
    assert caught.value.reason is Reason.BROKEN
    assert caught.value.hint


def test_a_body_over_the_limit_is_refused(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(200, b"x" * 2000))
    with pytest.raises(RegistryError, match="larger than 1000 bytes"):
        fetch(http, "GET", f"{server.url}/a", limit=1000)


def test_a_silent_server_is_not_waited_for(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(200, b"late", wait=3))
    with pytest.raises(Unreachable, match="did not answer in time"):
        fetch(http, "GET", f"{server.url}/a", limit=LIMIT, attempts=1)


def test_a_dripping_document_is_not_waited_for(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(200, b"x" * 100, drip=0.2))
    began = time.monotonic()
    with pytest.raises(Unreachable, match="too slowly"):
        fetch(http, "GET", f"{server.url}/a", limit=LIMIT, attempts=1)
    assert time.monotonic() - began < 5


def test_a_dripping_stream_is_not_waited_for(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(200, b"x" * 100, drip=0.3))
    response = http.run(http.stream(f"{server.url}/a"))
    assert isinstance(response, Response)
    with response, pytest.raises(Unreachable, match="too slowly"):
        list(response.chunks())


def test_nothing_listens(http: Http) -> None:
    with pytest.raises(Unreachable) as caught:
        fetch(http, "GET", f"http://127.0.0.1:{closed_port()}/", limit=LIMIT)
    assert caught.value.reason is Reason.REFUSED


def test_plain_http_where_tls_is_expected(server: Server, http: Http) -> None:
    with pytest.raises(Unreachable) as caught:
        fetch(http, "GET", f"https://{server.host}/", limit=LIMIT)
    assert caught.value.reason is Reason.NOT_TLS
    assert "--plain-http" in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://host/a", "no address", "http://", "http://host:99999/", "http://[::1/", "//a/b"]
)
def test_what_is_no_address(http: Http, url: str) -> None:
    with pytest.raises(Unreachable) as caught:
        fetch(http, "GET", url, limit=LIMIT)
    assert caught.value.reason is Reason.INVALID


def test_redirects_are_followed_but_credentials_stay(server: Server, http: Http) -> None:
    with Server() as other:
        other.on("GET", "/there", Answer(200, b"content"))
        server.on("GET", "/a", Answer(302, headers={"Location": "/b"}))
        server.on("GET", "/b", Answer(307, headers={"Location": f"{other.url}/there?signature=1"}))
        answer = fetch(http, "GET", f"{server.url}/a", limit=LIMIT, headers={"Authorization": "Basic c2VjcmV0"})
        assert answer.body == b"content"
        assert [seen.headers.get("authorization") for seen in server.seen] == ["Basic c2VjcmV0"] * 2
        assert "authorization" not in other.seen[0].headers


def test_a_redirect_in_circles_ends(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(301, headers={"Location": "/a"}))
    with pytest.raises(Unreachable, match="redirects more than") as caught:
        fetch(http, "GET", f"{server.url}/a", limit=LIMIT)
    assert caught.value.reason is Reason.REDIRECT
    assert len(server.seen) < 20


def test_a_redirect_to_a_file_is_refused(server: Server, http: Http) -> None:
    server.on("GET", "/a", Answer(301, headers={"Location": "file:///etc/passwd"}))
    with pytest.raises(Unreachable):
        fetch(http, "GET", f"{server.url}/a", limit=LIMIT)


def test_an_upload_is_not_redirected(server: Server, http: Http) -> None:
    server.on("PUT", "/a", Answer(307, headers={"Location": "/b"}))
    assert fetch(http, "PUT", f"{server.url}/a", limit=LIMIT, body=b"x").status == 307


def test_a_streamed_body_starts_anew_on_each_attempt(server: Server, http: Http) -> None:
    server.on("PUT", "/a", Answer(503), Answer(201))
    answer = fetch(http, "PUT", f"{server.url}/a", limit=LIMIT, body=Upload(lambda: iter([b"ab", b"cd"]), 4))
    assert answer.status == 201
    assert [seen.body for seen in server.seen] == [b"abcd", b"abcd"]


class TestExists:
    def test_head_is_enough(self, server: Server, http: Http) -> None:
        server.on("HEAD", "/tool", Answer(200))
        evidence = WebProber(http).exists(f"{server.url}/tool")
        assert evidence.status is EvidenceStatus.FOUND
        assert [seen.method for seen in server.seen] == ["HEAD"]

    @pytest.mark.parametrize("status", [404, 410])
    def test_missing(self, server: Server, http: Http, status: int) -> None:
        server.on("HEAD", "/tool", Answer(status))
        evidence = WebProber(http).exists(f"{server.url}/tool")
        assert (evidence.status, evidence.detail) == (EvidenceStatus.MISSING, f"HTTP {status}")

    @pytest.mark.parametrize(
        ("answer", "status"),
        [
            (Answer(206, b"x"), EvidenceStatus.FOUND),
            (Answer(200, b"xyz"), EvidenceStatus.FOUND),
            (Answer(416), EvidenceStatus.FOUND),
            (Answer(404), EvidenceStatus.MISSING),
            (Answer(403), EvidenceStatus.UNKNOWN),
        ],
    )
    @pytest.mark.parametrize("refused", [403, 405])
    def test_get_of_one_byte_where_head_is_refused(
        self, server: Server, http: Http, refused: int, answer: Answer, status: EvidenceStatus
    ) -> None:
        server.on("HEAD", "/tool", Answer(refused))
        server.on("GET", "/tool", answer)
        assert WebProber(http).exists(f"{server.url}/tool").status is status
        assert server.seen[-1].headers["range"] == "bytes=0-0"

    def test_a_large_file_is_not_downloaded(self, server: Server, http: Http) -> None:
        server.on("HEAD", "/tool", Answer(405))
        # Whoever reads this body meets the limits of FAST, and then it is not FOUND.
        server.on("GET", "/tool", Answer(200, b"x" * 100, drip=0.2))
        assert WebProber(http).exists(f"{server.url}/tool").status is EvidenceStatus.FOUND

    def test_a_page_that_says_not_found_with_200_is_no_file(self, server: Server, http: Http) -> None:
        server.on("HEAD", "/tool.tar.gz", Answer(200, headers={"Content-Type": "text/html; charset=utf-8"}))
        assert WebProber(http).exists(f"{server.url}/tool.tar.gz").status is EvidenceStatus.UNKNOWN

    def test_trouble_is_unknown_and_the_host_is_not_asked_again(self, http: Http) -> None:
        port, prober = closed_port(), WebProber(http)
        assert prober.exists(f"http://127.0.0.1:{port}/a").status is EvidenceStatus.UNKNOWN
        with socket.create_server(("127.0.0.1", port)):  # asked now, it would accept and say nothing
            second = prober.exists(f"http://127.0.0.1:{port}/b")
        assert (second.status, second.detail) == (EvidenceStatus.UNKNOWN, "the connection was refused")

    @pytest.mark.parametrize("url", ["ftp://host/file", "", "http://exa mple/", "http://\N{SNOWMAN}.invalid:x/"])
    def test_what_cannot_be_asked_is_unknown(self, http: Http, url: str) -> None:
        assert WebProber(http).exists(url).status is EvidenceStatus.UNKNOWN

    def test_offline_asks_nobody(self, server: Server) -> None:
        with Http(offline=True) as http:
            assert WebProber(http).exists(f"{server.url}/a").status is EvidenceStatus.UNKNOWN
            with pytest.raises(Offline, match="--offline"):
                fetch(http, "GET", f"{server.url}/a", limit=LIMIT)
        assert server.seen == []


class TestText:
    def test_what_a_small_file_says(self, server: Server, http: Http) -> None:
        server.on("GET", "/sums", Answer(200, "é  tool\n".encode()))
        assert WebProber(http).fetch_text(f"{server.url}/sums") == "é  tool\n"

    def test_nothing_where_there_is_none(self, server: Server, http: Http) -> None:
        assert WebProber(http).fetch_text(f"{server.url}/sums") is None
        assert WebProber(http).fetch_text(f"http://127.0.0.1:{closed_port()}/sums") is None

    def test_offline_asks_nobody(self, server: Server) -> None:
        with Http(offline=True) as http:
            assert WebProber(http).fetch_text(f"{server.url}/sums") is None
        assert server.seen == []


class TestDigest:
    def test_of_what_is_served(self, server: Server, http: Http) -> None:
        content = bytes(range(256)) * 5000
        server.on("GET", "/a", Answer(200, content, cut=3000), Answer(200, content))
        assert WebProber(http).fetch_digest(f"{server.url}/a") == hashlib.sha256(content).hexdigest()
        assert WebProber(http).fetch_digest(f"{server.url}/a", "sha512") == hashlib.sha512(content).hexdigest()

    def test_of_nothing(self, server: Server, http: Http) -> None:
        with pytest.raises(RegistryError, match="HTTP 404"):
            WebProber(http).fetch_digest(f"{server.url}/a")

    def test_over_the_limit(self, server: Server, http: Http) -> None:
        server.on("GET", "/a", Answer(200, b"x" * 101))
        with pytest.raises(RegistryError, match="larger than 100 bytes"):
            WebProber(http).fetch_digest(f"{server.url}/a", limit=100)

    def test_by_an_algorithm_that_is_none(self, http: Http) -> None:
        with pytest.raises(RegistryError, match="not a digest algorithm"):
            WebProber(http).fetch_digest("http://127.0.0.1:1/a", "crc32")


class TestSecrets:
    def test_no_part_of_an_address_that_may_be_secret_is_shown(self) -> None:
        shown = public_url("https://user:geheim@host:8443/path?X-Signature=geheim#geheim")
        assert shown == "https://host:8443/path?…"

    def test_no_error_shows_a_password(self, server: Server, http: Http) -> None:
        server.on("GET", "/cut", Answer(200, b"x" * 100, cut=1))
        server.on("GET", "/big", Answer(200, b"x" * 100))
        server.on("GET", "/away", Answer(302, headers={"Location": "gopher://user:geheim@host/?geheim"}))
        shown = []
        for host in (server.host, f"127.0.0.1:{closed_port()}", "host:geheim"):
            for path in ("cut", "big", "away"):
                with pytest.raises(RegistryError) as caught:
                    fetch(http, "GET", f"http://user:geheim@{host}/{path}?token=geheim", limit=10, attempts=1)
                shown += [str(caught.value), repr(caught.value), repr(caught.value.__context__)]
        assert not [text for text in shown if "geheim" in text and "host:geheim" not in text]

    def test_evidence_does_not_repeat_a_password_of_the_dockerfile(self, server: Server, http: Http) -> None:
        server.on("HEAD", "/a", Answer(200))
        evidence = WebProber(http).exists(f"http://user:geheim@{server.host}/a?file=b@c")
        assert (evidence.url, evidence.status) == (f"{server.url}/a?file=b@c", EvidenceStatus.FOUND)
        assert server.seen[0].headers["authorization"].startswith("Basic ")

    def test_a_proxy_of_the_environment_is_used_and_its_password_not_shown(
        self, monkeypatch: pytest.MonkeyPatch, server: Server
    ) -> None:
        monkeypatch.setenv("http_proxy", f"http://user:geheim@127.0.0.1:{closed_port()}")
        monkeypatch.delenv("no_proxy", raising=False)
        server.on("HEAD", "/a", Answer(200))
        with Http(patience=FAST) as http:
            evidence = WebProber(http).exists("http://upstream.invalid/a")
            assert evidence.status is EvidenceStatus.UNKNOWN
            assert "geheim" not in repr(evidence)
            assert WebProber(http).exists(f"{server.url}/a").status is EvidenceStatus.FOUND

    def test_a_proxy_that_cannot_be_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("http_proxy", "gopher://user:geheim@proxy")
        with Http(patience=FAST) as http, pytest.raises(Unreachable) as caught:
            fetch(http, "GET", "http://upstream.invalid/", limit=LIMIT)
        assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.1", "::1", "[::1]"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example.org", "10.0.0.1", "::2", "127.0.0.1.example.org", ""])
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)


def test_nothing_is_asked_once_the_client_is_closed(server: Server) -> None:
    """A thread that is still at it when the program ends must not start anew."""
    http = Http(patience=FAST)
    http.run(http.fetch("GET", f"{server.url}/x", limit=1000))
    http.close()
    with pytest.raises(Unreachable, match="was stopped"):
        http.run(http.fetch("GET", f"{server.url}/x", limit=1000))
    assert server.count("GET", "/x") == 1
