"""Looking up platforms when registries misbehave: each image ends with a clear result, and the others are answered."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from faulty import FAST, Answer, Seen, Server, closed_port
from hosted import BOTH, entry, found_in, index_of, look_up_one, put, put_single, put_tags, registries, to_json, unknown
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossdock.errors import CrossdockError, EngineError, ExitCode, Kind, RegistryError
from crossdock.findings import Skipped
from crossdock.http.client import Http
from crossdock.image.auth import Keychain
from crossdock.image.availability import ImagePlatforms
from crossdock.image.lookup import error_kind, find_tags, look_up
from crossdock.image.model import DOCKER_LIST, OCI_INDEX, OCI_MANIFEST
from crossdock.image.reference import parse_reference
from crossdock.image.registries import Registries
from crossdock.image.stream import digest_of
from crossdock.platforms import ARM64
from crossdock.process import Command, Completed, LineHandler
from crossdock.report.json import encode, platforms_report
from crossdock.report.looked import Looked
from crossdock.report.looked_text import looked_text
from crossdock.report.style import Style

SECRET = "geheim-4711"
SECRETS = (SECRET, base64.b64encode(f"user:{SECRET}".encode()).decode())
BAD = "/v2/team/bad/manifests/1"
ZEROS = "sha256:" + "0" * 64
PAGE = Answer(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})


@pytest.fixture
def http() -> Iterator[Http]:
    with Http(patience=replace(FAST, document=0.5)) as client:
        yield client


def logged_in(home: Path, host: str) -> Keychain:
    (home / ".docker").mkdir(parents=True, exist_ok=True)
    config = {"auths": {host: {"auth": base64.b64encode(f"user:{SECRET}".encode()).decode()}}}
    (home / ".docker" / "config.json").write_text(json.dumps(config))
    return Keychain(environ={}, home=home)


def everything_shown(found: tuple[ImagePlatforms, ...]) -> str:
    """All that people, programs and logs could be shown of a look-up."""
    looked = Looked(found, (ARM64,), (Skipped("x", "y"),))
    shown = [repr(found), looked_text(looked, Style(300)), encode(platforms_report(looked))]
    for image in found:
        error: BaseException | None = image.error
        while error is not None:
            shown += [str(error), repr(error), repr(vars(error))]
            error = error.__cause__ or error.__context__
    return "\n".join(shown)


def look_up_among(server: Server, http: Http, asked: str, *, bad_first: bool = True, **options: Any) -> RegistryError:
    """Look up ``asked`` with healthy images around it, which must be answered; the error of the one in the middle."""
    keychain = options.pop("keychain", None)
    put(server, "team/app:1")
    put_single(server, "team/app:2")
    healthy = [f"{server.host}/team/app:1", f"{server.host}/team/app:2"]
    found = look_up([healthy[0], asked, healthy[1]], registries(http, keychain=keychain), **options)
    shown = everything_shown(found)
    assert not [secret for secret in SECRETS if secret in shown]
    first, bad, second = found
    assert found_in((first, second)) == [[*BOTH], ["linux/arm64"]]
    assert (first.error, second.error) == (None, None)
    assert bad.asked == asked
    assert (bad.digest, bad.platforms, bad.alternatives) == (None, (), ())
    assert not bad.lacks([ARM64])
    assert isinstance(bad.error, RegistryError), bad.error
    assert bad.error.hint
    assert bad.error.exit_code is ExitCode.CANNOT
    return bad.error


SILENT = Answer(200, index_of(*BOTH), {"Content-Type": OCI_INDEX}, wait=1.5)
FAULTS = {
    "401": (Answer(401), Kind.UNAUTHORIZED, r"refused the tag 1 \(HTTP 401\)"),
    "401 with Basic": (Answer(401, headers={"WWW-Authenticate": "Basic realm=x"}), Kind.UNAUTHORIZED, "HTTP 401"),
    "401 with nonsense": (Answer(401, headers={"WWW-Authenticate": '"=,Bearer'}), Kind.UNAUTHORIZED, "HTTP 401"),
    "401 without a realm": (Answer(401, headers={"WWW-Authenticate": "Bearer"}), Kind.OTHER, "not safe"),
    "401 with a realm that is none": (
        Answer(401, headers={"WWW-Authenticate": 'Bearer realm="https://[::1/"'}), Kind.OTHER, "not safe"
    ),
    "401 with a realm with a wrong port": (
        Answer(401, headers={"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:99999/"'}), Kind.OTHER, "not safe"
    ),
    "401 and nobody at the token service": (
        Answer(401, headers={"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{closed_port()}/"'}),
        Kind.UNREACHABLE,
        "connection was refused",
    ),
    "403": (Answer(403), Kind.FORBIDDEN, "HTTP 403"),
    "403 with DENIED": (Answer(403, to_json({"errors": [{"code": "DENIED"}]})), Kind.FORBIDDEN, "HTTP 403"),
    "404 of the tag": (unknown("manifest"), Kind.NO_TAG, "no tag 1"),
    "404 of the repository": (unknown("repository"), Kind.NO_REPOSITORY, "no repository 'team/bad'"),
    "404 without a word": (Answer(404), Kind.NO_TAG, "no tag 1"),
    "404 with a page": (Answer(404, PAGE.body, PAGE.headers), Kind.NO_TAG, "no tag 1"),
    "410": (Answer(410), Kind.OTHER, "HTTP 410"),
    "429": (Answer(429), Kind.RATE_LIMIT, "too many requests"),
    "429 for an hour": (Answer(429, headers={"Retry-After": "3600"}), Kind.RATE_LIMIT, "too many requests"),
    "500": (Answer(500, b"oops"), Kind.SERVER, "HTTP 500"),
    "503 for an hour": (Answer(503, headers={"Retry-After": "3600"}), Kind.SERVER, "HTTP 503"),
    "cut before it began": (Answer(200, b"{}", cut=0), Kind.UNREACHABLE, "broke"),
    "cut in the middle": (
        Answer(200, index_of(*BOTH), {"Content-Type": OCI_INDEX}, cut=20), Kind.UNREACHABLE, "broke off"
    ),
    "silent": (SILENT, Kind.TIMEOUT, "did not answer in time"),
    "dripping": (Answer(200, index_of(*BOTH), {"Content-Type": OCI_INDEX}, drip=0.1), Kind.TIMEOUT, "too slowly"),
    "a page": (PAGE, Kind.NO_IMAGE, "sent text/html instead of an image manifest"),
    "an empty page": (Answer(200), Kind.NO_IMAGE, "instead of an image manifest"),
    "204": (Answer(204), Kind.OTHER, "HTTP 204"),
    "another type than it is": (
        Answer(200, index_of(*BOTH), {"Content-Type": DOCKER_LIST}), Kind.NO_IMAGE, "calls itself"
    ),
    "an index as a manifest": (
        Answer(200, index_of(*BOTH), {"Content-Type": OCI_MANIFEST}), Kind.NO_IMAGE, "calls itself"
    ),
    "not JSON": (Answer(200, b"\xff\xfe{", {"Content-Type": OCI_INDEX}), Kind.NO_IMAGE, "not JSON"),
    "deeper than anybody nests": (
        Answer(200, b"[" * 200_000, {"Content-Type": OCI_INDEX}), Kind.NO_IMAGE, "not JSON"
    ),
    "an index of nothing": (Answer(200, index_of(), {"Content-Type": OCI_INDEX}), Kind.NO_IMAGE, "no platform"),
    "another digest than announced": (
        Answer(200, index_of(*BOTH), {"Content-Type": OCI_INDEX, "Docker-Content-Digest": ZEROS}), Kind.DIGEST, ZEROS
    ),
    "50 MB": (Answer(200, b" " * (50 << 20), {"Content-Type": OCI_INDEX}), Kind.TOO_LARGE, "larger than"),
    "a redirect in a circle": (Answer(302, headers={"Location": BAD}), Kind.REDIRECT, "more than 10 times"),
    "a redirect to nowhere": (Answer(302), Kind.REDIRECT, "redirects"),
    "a redirect to what is no address": (Answer(302, headers={"Location": "http://[::1"}), Kind.REDIRECT, "no address"),
    "a redirect to a file": (Answer(302, headers={"Location": "file:///etc/passwd"}), Kind.UNREACHABLE, "not an http"),
    "a redirect to nobody": (
        Answer(302, headers={"Location": f"http://127.0.0.1:{closed_port()}/x"}), Kind.UNREACHABLE, "refused"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_one_bad_image_among_good_ones(server: Server, http: Http, tmp_path: Path, fault: str) -> None:
    answer, kind, message = FAULTS[fault]
    server.on("GET", BAD, answer)
    began = time.monotonic()
    error = look_up_among(server, http, f"{server.host}/team/bad:1", keychain=logged_in(tmp_path, server.host))
    assert error.kind is kind, error
    assert re.search(message, error.what), error.what
    assert time.monotonic() - began < 10
    retried = answer.status in (429, 500, 503) and "Retry-After" not in answer.headers
    if answer.status in (403, 404, 410, 500) or retried:
        assert server.count("GET", BAD) == (FAST.attempts if retried else 1)


class TestHosts:
    def test_nobody_listens(self, server: Server, http: Http) -> None:
        error = look_up_among(server, http, f"127.0.0.1:{closed_port()}/team/bad:1")
        assert (error.kind, "refused" in error.what) == (Kind.UNREACHABLE, True)

    def test_a_name_that_cannot_be_resolved(self, server: Server, http: Http) -> None:
        # A label of more than 63 characters is refused by the resolver itself, without asking the network.
        error = look_up_among(server, http, f"{'a' * 64}.example/team/bad:1")
        assert (error.kind, "cannot be resolved" in error.what) == (Kind.DNS, True)

    def test_a_silent_registry_is_not_waited_for_again_and_again(self, server: Server, http: Http) -> None:
        """Those that had to wait for their turn do not begin from the beginning."""
        with Server() as silent:
            silent.interfere = lambda _number, _seen: Answer(200, wait=30)
            put(server, "team/app:1")
            asked = [f"{silent.host}/team/app:{number}" for number in range(300)]
            reached = registries(http)
            began = time.monotonic()
            *missed, good = look_up([*asked, f"{server.host}/team/app:1"], reached)
            assert found_in((good,)) == [[*BOTH]]
            for image in missed:
                assert image.error is not None
                assert (error_kind(image.error), image.error.where) == (Kind.TIMEOUT, image.asked)
            assert time.monotonic() - began < 5
            before = len(silent.seen)
            assert before <= 64 * FAST.attempts
            assert look_up_one(f"{silent.host}/other/app:1", reached).error is not None
            assert len(silent.seen) == before

    def test_one_silent_answer_does_not_condemn_a_registry(self, server: Server, http: Http) -> None:
        reached = registries(http)
        put(server, "team/app:1")
        put(server, "team/app:2")
        server.on("GET", "/v2/team/bad/manifests/1", SILENT)
        assert look_up_one(f"{server.host}/team/app:1", reached).error is None
        assert look_up_one(f"{server.host}/team/bad:1", reached).error is not None
        assert look_up_one(f"{server.host}/team/app:2", reached).error is None

    def test_a_server_that_is_none_of_http(self, server: Server, http: Http) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:

            def talk() -> None:
                for _ in range(10):
                    try:
                        connection, _ = other.accept()
                    except OSError:
                        return
                    with connection:
                        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                        connection.recv(1000)

            threading.Thread(target=talk, daemon=True).start()
            error = look_up_among(server, http, f"127.0.0.1:{other.getsockname()[1]}/team/bad:1")
        assert error.kind is Kind.UNREACHABLE
        assert "does not speak HTTP" in error.what

    def test_a_redirect_to_another_host_is_followed_without_the_login(
        self, server: Server, http: Http, tmp_path: Path
    ) -> None:
        with Server() as other:
            other.on("GET", "/there", Answer(200, index_of(*BOTH), {"Content-Type": OCI_INDEX}))
            away = Answer(307, headers={"Location": f"{other.url}/there?signature={SECRET}"})
            server.on("GET", BAD, Answer(401, headers={"WWW-Authenticate": "Basic realm=x"}), away)
            reached = registries(http, keychain=logged_in(tmp_path, server.host))
            found = look_up([f"{server.host}/team/bad:1"], reached)
            assert found_in(found) == [[*BOTH]]
            assert server.seen[-1].headers["authorization"] == f"Basic {SECRETS[1]}"
            assert "authorization" not in other.seen[0].headers
            other.on("GET", "/there", Answer(404))
            error = look_up_among(server, http, f"{server.host}/team/bad:1", keychain=logged_in(tmp_path, server.host))
            assert error.kind is Kind.NO_TAG

    def test_another_host_that_wants_a_login_does_not_get_it(self, server: Server, http: Http, tmp_path: Path) -> None:
        with Server() as other:
            challenge = {"WWW-Authenticate": f'Bearer realm="{other.url}/token"'}
            other.on("GET", "/there", Answer(401, headers=challenge))
            server.on("GET", BAD, Answer(302, headers={"Location": f"{other.url}/there"}))
            error = look_up_among(server, http, f"{server.host}/team/bad:1", keychain=logged_in(tmp_path, server.host))
            assert error.kind is Kind.UNAUTHORIZED
            assert other.requests() == ["GET /there"]
            assert "authorization" not in other.seen[0].headers


class TestServers:
    def test_500_on_every_third_request(self, server: Server, http: Http) -> None:
        server.interfere = lambda number, _seen: Answer(500) if number % 3 == 0 else None
        asked = [f"{server.host}/team/app:{number}" for number in range(40)]
        for number in range(40):
            put(server, f"team/app:{number}", index_of("linux/amd64"))
        put_tags(server, "team/app", *map(str, range(40)))
        found = look_up(asked, registries(http), wanted=[ARM64])
        for image in found:
            if image.error:  # one that met it each time
                assert error_kind(image.error) is Kind.SERVER
            else:
                assert found_in((image,)) == [["linux/amd64"]]
        assert sum(image.error is None for image in found) >= 30

    def test_429_with_an_end(self, server: Server, http: Http) -> None:
        began = time.monotonic()

        def busy(_number: int, _seen: Seen) -> Answer | None:
            return Answer(429, headers={"Retry-After": "1"}) if time.monotonic() - began < 0.5 else None

        server.interfere = busy
        for number in range(30):
            put(server, f"team/app:{number}")
        found = look_up([f"{server.host}/team/app:{number}" for number in range(30)], registries(http))
        assert found_in(found) == [[*BOTH]] * 30

    def test_a_token_that_expires_in_the_middle(self, server: Server, http: Http) -> None:
        tokens: list[str] = []

        def guard(number: int, seen: Seen) -> Answer | None:
            if seen.path == "/token":
                tokens.append(f"token-{len(tokens)}-{SECRET}")
                return Answer(200, to_json({"token": tokens[-1]}))
            if tokens and number % 7 and seen.headers.get("authorization") == f"Bearer {tokens[-1]}":
                return None
            return Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{server.url}/token"'})

        server.interfere = guard
        reached = registries(http)
        for number in range(12):
            put(server, f"team/app:{number}")
            found = look_up_one(f"{server.host}/team/app:{number}", reached)
            assert found.error is None, found.error
        assert len(tokens) > 1

    def test_401_to_every_token(self, server: Server, http: Http, tmp_path: Path) -> None:
        challenge = {"WWW-Authenticate": f'Bearer realm="{server.url}/token"'}
        server.on("GET", BAD, Answer(401, headers=challenge))
        server.on("GET", "/token", lambda number: Answer(200, to_json({"token": f"{SECRET}-{number}"})))
        error = look_up_among(server, http, f"{server.host}/team/bad:1", keychain=logged_in(tmp_path, server.host))
        assert (error.kind, server.count("GET", BAD), server.count("GET", "/token")) == (Kind.UNAUTHORIZED, 2, 1)
        assert "docker login" in (error.hint or "")

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (Answer(401, SECRET.encode()), Kind.UNAUTHORIZED),
            (Answer(403), Kind.UNAUTHORIZED),
            (Answer(404), Kind.OTHER),
            (Answer(429), Kind.RATE_LIMIT),
            (Answer(500), Kind.SERVER),
            (Answer(200, b"<html>"), Kind.OTHER),
            (Answer(200, to_json({"token": f"{SECRET}\r\nX: y"})), Kind.OTHER),
            (Answer(200, to_json({"token": "t", "expires_in": "soon"})), Kind.OTHER),
            (Answer(200, b" " * (2 << 20)), Kind.TOO_LARGE),
            (Answer(200, b"{}", cut=1), Kind.UNREACHABLE),
            (Answer(200, b"{}", wait=1.5), Kind.TIMEOUT),
            (Answer(302, headers={"Location": "/token"}), Kind.REDIRECT),
        ],
        ids=lambda value: str(value.status if isinstance(value, Answer) else value),
    )
    def test_a_token_service_that_fails(
        self, server: Server, http: Http, tmp_path: Path, answer: Answer, kind: Kind
    ) -> None:
        server.on("GET", BAD, Answer(401, headers={"WWW-Authenticate": f'Bearer realm="{server.url}/token"'}))
        server.on("GET", "/token", answer)
        error = look_up_among(server, http, f"{server.host}/team/bad:1", keychain=logged_in(tmp_path, server.host))
        assert error.kind is kind, error

    def test_a_config_that_is_missing_or_wrong(self, server: Server, http: Http) -> None:
        for config in (
            Answer(404),
            Answer(200, b"{}"),
            Answer(200, b"x" * 100),
            Answer(500),
            Answer(200, b"{}", cut=1),
        ):
            body = put_single(server, "team/bad:1")
            server.on("GET", f"/v2/team/bad/blobs/{json.loads(body)['config']['digest']}", config)
            error = look_up_among(server, http, f"{server.host}/team/bad:1")
            assert error.kind in (Kind.NO_TAG, Kind.DIGEST, Kind.SERVER, Kind.UNREACHABLE)

    def test_a_manifest_of_an_index_that_is_wrong(self, server: Server, http: Http) -> None:
        body = put_single(server, "team/bad:x")
        put(server, "team/bad:1", index_of(entry(None, body)))
        server.on(
            "GET", f"/v2/team/bad/manifests/{digest_of(body)}", Answer(200, body + b" ", {"Content-Type": OCI_MANIFEST})
        )
        error = look_up_among(server, http, f"{server.host}/team/bad:1")
        assert error.kind is Kind.DIGEST

    def test_a_manifest_that_says_it_has_a_gigabyte(self, server: Server, http: Http) -> None:
        put(server, "team/bad:1", index_of(entry(None, b"x") | {"size": 1 << 30}))
        error = look_up_among(server, http, f"{server.host}/team/bad:1")
        assert error.kind is Kind.TOO_LARGE

    @pytest.mark.parametrize("media_type", ["", "application/vnd.docker.distribution.manifest.v1+json"])
    def test_sizes_of_what_is_no_manifest(self, server: Server, http: Http, media_type: str) -> None:
        put(server, "team/app:1", index_of(entry("linux/arm64", media_type=media_type)))
        found = look_up_one(f"{server.host}/team/app:1", registries(http), sizes=True)
        assert [have.size for have in found.platforms] == [None]

    def test_another_digest_than_asked_for(self, server: Server, http: Http) -> None:
        server.on("GET", f"/v2/team/bad/manifests/{ZEROS}", Answer(200, index_of(*BOTH), {"Content-Type": OCI_INDEX}))
        error = look_up_among(server, http, f"{server.host}/team/bad@{ZEROS}")
        assert error.kind is Kind.DIGEST
        assert ZEROS in error.what

    def test_offline(self) -> None:
        with Http(offline=True) as http:
            found = look_up(["alpine", "debian"], registries(http))
        assert [error_kind(image.error) for image in found if image.error] == [Kind.OFFLINE] * 2

    @pytest.mark.parametrize(
        "text", ["", " ", "UPPER", "a b", "https://host/a", "a@sha256:1", "a:$TAG", "-", "a" * 300]
    )
    def test_what_is_no_reference(self, server: Server, http: Http, text: str) -> None:
        put(server, "team/app:1")
        wrong, good = look_up([text, f"{server.host}/team/app:1"], registries(http))
        assert wrong.error is not None
        assert (wrong.asked, error_kind(wrong.error)) == (text, Kind.REFERENCE)
        assert wrong.error.hint
        assert found_in((good,)) == [[*BOTH]]

    def test_a_failing_alternative_is_no_failure(self, server: Server, http: Http) -> None:
        put(server, "team/app:1", index_of("linux/amd64"))
        put_tags(server, "team/app", "1", "2", "3")
        server.on("GET", "/v2/team/app/manifests/2", Answer(500))
        server.on("GET", "/v2/team/app/manifests/3", PAGE)
        found = look_up_one(f"{server.host}/team/app:1", registries(http), wanted=[ARM64])
        assert (found.error, found.alternatives) == (None, ())
        assert found_in((found,)) == [["linux/amd64"]]


class Helper:
    """A credential helper that takes ``seconds`` and then answers or fails."""

    def __init__(self, answer: bytes | EngineError, seconds: float = 0) -> None:
        self._answer = answer
        self._seconds = seconds
        self.asked = 0

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        assert timeout is not None
        self.asked += 1
        time.sleep(self._seconds)
        if isinstance(self._answer, EngineError):
            raise self._answer
        return Completed(command, 0, self._answer, b"", 0.1)

    def stream(self, command: Command, on_line: LineHandler, *, timeout: float | None = None) -> int:
        raise AssertionError

    def which(self, program: str) -> str | None:
        return None


class TestHelpers:
    def reached(self, http: Http, home: Path, helper: Helper, host: str) -> Registries:
        (home / ".docker").mkdir()
        (home / ".docker" / "config.json").write_text(json.dumps({"credHelpers": {host: "keys"}}))
        return registries(http, keychain=Keychain(environ={}, home=home, runner=helper))

    @pytest.mark.parametrize(
        "helper",
        [
            Helper(EngineError("`docker-credential-keys get` did not end within 15 s and was stopped"), 0.3),
            Helper(SECRET.encode()),
            Helper(b'{"Username": 1, "Secret": "' + SECRET.encode() + b'"}'),
            Helper(b"\xff\x00" * 100_000),
        ],
    )
    def test_a_helper_that_hangs_or_prints_rubbish(
        self, server: Server, http: Http, tmp_path: Path, helper: Helper
    ) -> None:
        """Those that need no login are answered, and it is asked once for a registry."""
        with Server() as guarded:
            guarded.interfere = lambda _number, _seen: Answer(401, headers={"WWW-Authenticate": "Basic realm=x"})
            reached = self.reached(http, tmp_path, helper, guarded.host)
            put(server, "team/app:1")
            asked = [f"{guarded.host}/team/app:{number}" for number in range(5)]
            asked += [f"{guarded.host}/team/other:{number}" for number in range(5)]
            *refused, good = look_up([*asked, f"{server.host}/team/app:1"], reached)
        assert found_in((good,)) == [[*BOTH]]
        for image in refused:
            assert isinstance(image.error, RegistryError)
            assert image.error.kind is Kind.UNAUTHORIZED
            assert "docker-credential-keys" in (image.error.hint or "")
        assert helper.asked == 1
        assert SECRET not in everything_shown((*refused, good))

    def test_a_helper_is_not_asked_where_no_login_is_needed(self, server: Server, http: Http, tmp_path: Path) -> None:
        helper = Helper(b"", 5)
        put(server, "team/app:1")
        reached = self.reached(http, tmp_path, helper, server.host)
        assert found_in(look_up([f"{server.host}/team/app:1"], reached)) == [[*BOTH]]
        assert helper.asked == 0


# ---------------------------------------------------------------- any bytes

NAMES = st.sampled_from(
    "schemaVersion mediaType manifests layers config digest size platform os architecture variant annotations tags "
    "name errors code token".split()
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, ZEROS, "linux", "arm64", 2])
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6), max_leaves=25
)
BODIES = st.binary(max_size=200) | TREES.map(lambda tree: json.dumps(tree).encode())
STATUSES = st.sampled_from([200, 200, 200, 206, 400, 401, 403, 404, 405, 410, 413, 418])
TYPES = st.sampled_from([OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, "application/json", "text/html", ";", ""])
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(body=BODIES, status=STATUSES, media_type=TYPES, sizes=st.booleans())
def test_any_answer_is_told_for_its_image(
    server: Server, http: Http, body: bytes, status: int, media_type: str, sizes: bool
) -> None:
    server.interfere = lambda _number, seen: (
        Answer(status, body, {"Content-Type": media_type}) if "/bad/" in seen.path else None
    )
    put(server, "team/app:1")
    asked = [f"{server.host}/team/bad:1", f"{server.host}/team/app:1"]
    bad, good = look_up(asked, registries(http), wanted=[ARM64], sizes=sizes)
    assert good.error or found_in((good,)) == [[*BOTH]]
    assert bool(good.error) == sizes  # the manifests of that index are not there
    assert bad.error is None or isinstance(bad.error, CrossdockError)
    assert bool(bad.error) != bool(bad.platforms)
    everything_shown((bad, good))


@quick
@given(body=BODIES, status=STATUSES, link=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_any_list_of_tags(server: Server, http: Http, body: bytes, status: int, link: str) -> None:
    server.on("GET", "/v2/team/app/tags/list", Answer(status, body, {"Link": f"{link}, <{link}>; rel=next"}))
    try:
        assert isinstance(find_tags(parse_reference(f"{server.host}/team/app"), "*", registries(http)), tuple)
    except RegistryError as error:
        everything_shown((ImagePlatforms("x", error=error),))


@quick
@given(
    challenge=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
    | st.text(alphabet='Bearer =",\\[]:/@?#', max_size=40).map(lambda text: f'Bearer realm="http://{text}"'),
    token=BODIES,
)
def test_any_challenge_and_any_token(server: Server, http: Http, challenge: str, token: bytes) -> None:
    server.interfere = lambda _number, seen: (
        Answer(200, token) if seen.path == "/token" else Answer(401, headers={"WWW-Authenticate": challenge})
    )
    for asked in (challenge, f'Bearer realm="{server.url}/token"'):
        challenge = asked
        found = look_up_one(f"{server.host}/team/app:1", registries(http))
        assert isinstance(found.error, RegistryError)
        assert found.error.hint
