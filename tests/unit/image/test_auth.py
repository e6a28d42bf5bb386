"""Stored logins, credential helpers, challenges and tokens; and that no secret is shown."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from faulty import Answer, Server
from hypothesis import given, settings
from hypothesis import strategies as st

from crossdock.errors import EngineError, RegistryError
from crossdock.http.client import Http
from crossdock.image.auth import Authorizer, Challenge, Credential, Keychain, parse_challenges
from crossdock.process import Command, Completed, LineHandler

SECRET = "geheim-4711"
SCOPES = ("repository:team/app:pull",)


class Helpers:
    """Credential helpers, scripted: what each prints, its exit code, or the error that starting it gives."""

    def __init__(self, **answers: tuple[bytes, int] | EngineError) -> None:
        self._answers = answers
        self.asked: list[tuple[str, bytes]] = []

    def run(
        self, command: Command, *, input: bytes | None = None, timeout: float | None = None, check: bool = True
    ) -> Completed:
        assert timeout is not None
        self.asked.append((command.argv[0], input or b""))
        answer = self._answers[command.argv[0].removeprefix("docker-credential-")]
        if isinstance(answer, EngineError):
            raise answer
        return Completed(command, answer[1], answer[0], b"", 0.1)

    def stream(self, command: Command, on_line: LineHandler, *, timeout: float | None = None) -> int:
        raise AssertionError

    def which(self, program: str) -> str | None:
        return None


def basic(username: str = "user", password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def keychain(home: Path, config: object, runner: Helpers | None = None) -> Keychain:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return Keychain(runner=runner or Helpers(), environ={}, home=home)


class TestKeychain:
    @pytest.mark.parametrize("key", ["r.example:5000", "https://r.example:5000", "https://r.example:5000/v2/"])
    def test_a_stored_login(self, tmp_path: Path, key: str) -> None:
        login = keychain(tmp_path, {"auths": {key: basic()}}).find("r.example:5000", "team/app")
        assert login.credential == Credential("user", SECRET)

    def test_docker_hub_has_a_name_of_its_own(self, tmp_path: Path) -> None:
        found = keychain(tmp_path, {"auths": {"https://index.docker.io/v1/": basic()}})
        assert found.find("docker.io").credential == Credential("user", SECRET)

    def test_another_registry_gets_nothing(self, tmp_path: Path) -> None:
        found = keychain(tmp_path, {"auths": {"r.example": basic(), "example": basic()}})
        for host in ("r.example:5000", "evil.r.example", "r.example.org", "docker.io"):
            assert found.find(host).credential is None

    def test_tokens(self, tmp_path: Path) -> None:
        found = keychain(tmp_path, {"auths": {"a": {"identitytoken": SECRET}, "b": {"registrytoken": SECRET}}})
        assert found.find("a").credential == Credential(identity_token=SECRET)
        assert found.find("b").credential == Credential(registry_token=SECRET)

    def test_a_password_with_colons(self, tmp_path: Path) -> None:
        found = keychain(tmp_path, {"auths": {"r": basic(password="a:b:c")}})
        assert found.find("r").credential == Credential("user", "a:b:c")

    def test_nothing_is_configured(self, tmp_path: Path) -> None:
        login = Keychain(environ={}, home=tmp_path, runner=Helpers()).find("r.example")
        assert (login.credential, login.problem) == (None, "")

    def test_podman_keeps_logins_by_repository(self, tmp_path: Path) -> None:
        auth = tmp_path / "auth.json"
        entries = {"r/team/app": basic("app"), "r/team": basic("team"), "r": basic("all")}
        auth.write_text(json.dumps({"auths": entries}))
        found = Keychain(environ={"REGISTRY_AUTH_FILE": str(auth)}, home=tmp_path, runner=Helpers())
        for repository, name in (("team/app", "app"), ("team/other", "team"), ("x", "all"), ("teamx/app", "all")):
            credential = found.find("r", repository).credential
            assert credential is not None
            assert credential.username == name

    def test_the_places_in_order(self, tmp_path: Path) -> None:
        places = {
            "explicit": tmp_path / "explicit.json",
            "docker": tmp_path / "docker" / "config.json",
            "runtime": tmp_path / "run" / "containers" / "auth.json",
            "config": tmp_path / "xdg" / "containers" / "auth.json",
        }
        for name, path in places.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"auths": {"r": basic(name)}}))
        environ = {
            "REGISTRY_AUTH_FILE": str(places["explicit"]),
            "DOCKER_CONFIG": str(tmp_path / "docker"),
            "XDG_RUNTIME_DIR": str(tmp_path / "run"),
            "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        }
        for name, path in places.items():
            credential = Keychain(environ=environ, home=tmp_path, runner=Helpers()).find("r").credential
            assert credential is not None
            assert credential.username == name
            path.unlink()

    @pytest.mark.parametrize(
        "config", ["", "{", "[]", '{"auths": 1}', '{"auths": {"r": {"auth": "%%%"}}}', '{"auths": {"r": {"auth": 1}}}']
    )
    def test_a_file_that_is_broken_is_told_with_its_path(self, tmp_path: Path, config: str) -> None:
        login = keychain(tmp_path, config).find("r")
        assert login.credential is None
        assert "config.json" in login.problem

    @settings(deadline=None)
    @given(st.text(max_size=30))
    def test_any_text_as_a_file(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        home = tmp_path_factory.mktemp("home")
        (home / ".docker").mkdir()
        (home / ".docker" / "config.json").write_bytes(text.encode("utf-8", "replace"))
        assert Keychain(environ={}, home=home, runner=Helpers()).find("r").credential is None


class TestHelpers:
    ANSWER = json.dumps({"ServerURL": "r", "Username": "user", "Secret": SECRET}).encode()

    def test_a_store_for_all(self, tmp_path: Path) -> None:
        helpers = Helpers(desktop=(self.ANSWER, 0))
        found = keychain(tmp_path, {"credsStore": "desktop", "auths": {"r": {}}}, helpers)
        assert found.find("r").credential == Credential("user", SECRET)
        assert found.find("r").credential == Credential("user", SECRET)
        assert helpers.asked == [("docker-credential-desktop", b"r")]

    def test_a_helper_for_one(self, tmp_path: Path) -> None:
        helpers = Helpers(ecr=(self.ANSWER, 0), desktop=(b"", 1))
        found = keychain(tmp_path, {"credsStore": "desktop", "credHelpers": {"docker.io": "ecr"}}, helpers)
        assert found.find("docker.io").credential == Credential("user", SECRET)
        assert helpers.asked == [("docker-credential-ecr", b"https://index.docker.io/v1/")]

    def test_an_identity_token(self, tmp_path: Path) -> None:
        answer = json.dumps({"Username": "<token>", "Secret": SECRET}).encode()
        found = keychain(tmp_path, {"credsStore": "desktop"}, Helpers(desktop=(answer, 0)))
        assert found.find("r").credential == Credential(identity_token=SECRET)

    def test_not_found_is_no_problem(self, tmp_path: Path) -> None:
        helpers = Helpers(desktop=(b"credentials not found in native keychain\n", 1))
        login = keychain(tmp_path, {"credsStore": "desktop"}, helpers).find("r")
        assert (login.credential, login.problem) == (None, "")

    @pytest.mark.parametrize(
        "answer",
        [
            (b"rubbish " + SECRET.encode(), 0),
            (b"[]", 0),
            (b'{"Username": 1, "Secret": 2}', 0),
            (b"", 0),
            (SECRET.encode(), 7),
            EngineError("the program 'docker-credential-desktop' is not installed"),
            EngineError("`docker-credential-desktop` did not end within 15 s and was stopped"),
        ],
    )
    def test_trouble_is_told_without_what_it_said(
        self, tmp_path: Path, answer: tuple[bytes, int] | EngineError
    ) -> None:
        login = keychain(tmp_path, {"credsStore": "desktop"}, Helpers(desktop=answer)).find("r")
        assert login.credential is None
        assert "docker-credential-desktop" in login.problem
        assert SECRET not in login.problem

    @pytest.mark.parametrize("name", ["../../tmp/evil", "a b", "", "-x", 7])
    def test_a_helper_must_be_a_name(self, tmp_path: Path, name: object) -> None:
        helpers = Helpers()
        assert keychain(tmp_path, {"credHelpers": {"r": name}}, helpers).find("r").credential is None
        assert helpers.asked == []


class TestChallenges:
    def test_bearer(self) -> None:
        header = 'Bearer realm="https://auth.example/token?a=b,c",service="r.example",scope="repository:a/b:pull,push"'
        assert parse_challenges(header) == (
            Challenge(
                "bearer",
                {
                    "realm": "https://auth.example/token?a=b,c",
                    "service": "r.example",
                    "scope": "repository:a/b:pull,push",
                },
            ),
        )

    def test_several(self) -> None:
        found = parse_challenges('Negotiate, BASIC realm="a \\"b\\"", Bearer realm=x , error=y')
        assert found == (
            Challenge("negotiate", {}),
            Challenge("basic", {"realm": 'a "b"'}),
            Challenge("bearer", {"realm": "x", "error": "y"}),
        )

    @settings(deadline=None)
    @given(st.text(max_size=80) | st.text(alphabet='Bearer =",\\ \t', max_size=60))
    def test_any_header(self, header: str) -> None:
        assert isinstance(parse_challenges(header), tuple)


def token(text: str = "t1", **more: object) -> Answer:
    return Answer(200, json.dumps({"token": text, **more}).encode())


class TestTokens:
    def challenge(self, server: Server) -> str:
        return f'Bearer realm="{server.url}/token",service="the registry"'

    def answer(self, authorizer: Authorizer, http: Http, server: Server, sent: str | None = None) -> str | None:
        return http.run(authorizer.answer(self.challenge(server), SCOPES, f"{server.url}/v2/", sent))

    def test_anonymous(self, tmp_path: Path, server: Server, http: Http) -> None:
        server.on("GET", "/token", token(expires_in=300))
        authorizer = Authorizer(server.host, http, keychain(tmp_path, {}))
        assert self.answer(authorizer, http, server) == "Bearer t1"
        assert authorizer.header(SCOPES) == "Bearer t1"
        assert authorizer.header(("repository:other:pull",)) is None
        assert parse_qs(server.seen[0].query) == {"service": ["the registry"], "scope": [*SCOPES]}
        assert "authorization" not in server.seen[0].headers

    def test_with_a_password(self, tmp_path: Path, server: Server, http: Http) -> None:
        server.on("GET", "/token", token())
        authorizer = Authorizer(server.host, http, keychain(tmp_path, {"auths": {server.host: basic()}}))
        assert self.answer(authorizer, http, server) == "Bearer t1"
        assert server.seen[0].headers["authorization"] == f"Basic {basic()['auth']}"

    def test_with_an_identity_token(self, tmp_path: Path, server: Server, http: Http) -> None:
        server.on("POST", "/token", Answer(200, b'{"access_token": "t2"}'))
        config = {"auths": {server.host: {"identitytoken": SECRET}}}
        assert self.answer(Authorizer(server.host, http, keychain(tmp_path, config)), http, server) == "Bearer t2"
        form = parse_qs(server.seen[0].body.decode())
        assert form["grant_type"] == ["refresh_token"]
        assert form["refresh_token"] == [SECRET]
        assert form["scope"] == [*SCOPES]
        assert SECRET not in server.seen[0].query

    def test_it_is_fetched_once_and_again_when_refused(self, tmp_path: Path, server: Server, http: Http) -> None:
        server.on("GET", "/token", token("t1"), token("t2"))
        authorizer = Authorizer(server.host, http, keychain(tmp_path, {}))
        assert self.answer(authorizer, http, server) == "Bearer t1"
        assert self.answer(authorizer, http, server) == "Bearer t1"
        assert self.answer(authorizer, http, server, sent="Bearer t1") == "Bearer t2"
        assert self.answer(authorizer, http, server, sent="Bearer t2") is None

    def test_one_that_expired_is_not_used(
        self, tmp_path: Path, server: Server, http: Http, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.on("GET", "/token", token("t1", expires_in=100), token("t2"))
        authorizer = Authorizer(server.host, http, keychain(tmp_path, {}))
        assert self.answer(authorizer, http, server) == "Bearer t1"
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 101)
        assert authorizer.header(SCOPES) is None
        assert self.answer(authorizer, http, server) == "Bearer t2"

    def test_basic(self, tmp_path: Path, server: Server, http: Http) -> None:
        config = {"auths": {server.host: basic()}}
        authorizer = Authorizer(server.host, http, keychain(tmp_path, config))
        sent = http.run(authorizer.answer('Basic realm="x"', SCOPES, f"{server.url}/v2/", None))
        assert sent == f"Basic {basic()['auth']}"
        assert http.run(authorizer.answer('Basic realm="x"', SCOPES, f"{server.url}/v2/", sent)) is None

    def test_basic_without_a_login(self, tmp_path: Path, server: Server, http: Http) -> None:
        authorizer = Authorizer(server.host, http, keychain(tmp_path, {}))
        assert http.run(authorizer.answer('Basic realm="x"', SCOPES, f"{server.url}/v2/", None)) is None
        assert "docker login" in http.run(authorizer.login_hint(SCOPES))

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
    def test_refused(self, tmp_path: Path, server: Server, http: Http, status: int) -> None:
        server.on("GET", "/token", Answer(status, SECRET.encode()))
        authorizer = Authorizer(server.host, http, keychain(tmp_path, {"auths": {server.host: basic()}}))
        with pytest.raises(RegistryError) as caught:
            self.answer(authorizer, http, server)
        assert caught.value.hint
        assert SECRET not in str(caught.value)

    @pytest.mark.parametrize(
        "body", [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": "a\\nb"}', b'{"token": "\xc3\xa4"}', b"<html>"]
    )
    def test_an_answer_without_a_token(self, tmp_path: Path, server: Server, http: Http, body: bytes) -> None:
        server.on("GET", "/token", Answer(200, body))
        with pytest.raises(RegistryError, match="token"):
            self.answer(Authorizer(server.host, http, keychain(tmp_path, {})), http, server)

    @pytest.mark.parametrize("realm", ["http://auth.example/token", "", "ftp://x", "/token", "file:///etc/passwd"])
    def test_a_password_does_not_go_unprotected(self, tmp_path: Path, http: Http, realm: str) -> None:
        authorizer = Authorizer("r.example", http, keychain(tmp_path, {"auths": {"r.example": basic()}}))
        with pytest.raises(RegistryError, match="not safe"):
            http.run(authorizer.answer(f'Bearer realm="{realm}"', SCOPES, "https://r.example/v2/", None))


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    config = {"auths": {"r": {**basic(), "identitytoken": SECRET, "registrytoken": SECRET}}}
    login = keychain(tmp_path, config).find("r")
    assert login.credential is not None
    assert SECRET not in repr(login)
    assert basic()["auth"] not in repr(login)
