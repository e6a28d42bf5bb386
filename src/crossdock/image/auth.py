"""Logging in to registries: Docker's and podman's stored credentials, credential helpers, Basic and Bearer tokens.

Nothing here shows a secret: passwords and tokens are kept out of every repr, and no error quotes what held one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode, urlsplit

from crossdock.errors import CrossdockError, EngineError, Kind, RegistryError
from crossdock.http.client import Http
from crossdock.http.model import Document, Trust
from crossdock.http.urls import is_loopback, origin, public_url
from crossdock.image.reference import DOCKER_HUB

if TYPE_CHECKING:
    from crossdock.process import Runner

HELPER_SECONDS = 15.0
"""How long a credential helper may take; some ask a desktop's key ring."""
_HUB_KEY = "https://index.docker.io/v1/"
"""Under this name Docker's tools keep the credentials of Docker Hub."""
_HELPER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NOT_FOUND = "credentials not found"
_TOKEN_LIMIT = 1 << 20
_CLOCK_SLACK = 10.0


@dataclass(frozen=True)
class Credential:
    """A login. ``identity_token`` (OAuth2 refresh token) takes the password's place where a registry gave one;
    ``registry_token`` is a bearer token to be sent as it is."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


@dataclass(frozen=True)
class Login:
    """What the configuration knows about a registry. ``problem`` says why a configured credential could not be had;
    the registry is then asked anonymously, and the problem is told if it refuses."""

    credential: Credential | None = None
    problem: str = ""


class Keychain:
    """Finds stored credentials, in this order: REGISTRY_AUTH_FILE, Docker's config.json (DOCKER_CONFIG), podman's
    auth.json. Files are read when first needed; a credential helper is asked once for each registry.

    ``given`` are logins by host that come before everything stored. Threads may share a keychain.
    """

    def __init__(
        self,
        *,
        given: Mapping[str, Credential] | None = None,
        runner: Runner | None = None,
        environ: Mapping[str, str] | None = None,
        home: Path | None = None,
    ) -> None:
        self._given = given or {}
        self._runner = runner
        self._environ = os.environ if environ is None else environ
        self._home = home
        self._helped: dict[tuple[str, str], Credential | _Problem | None] = {}
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Nobody waits any more: end the credential helper that is running, and start no other."""
        self._stopped.set()

    def find(self, host: str, repository: str = "") -> Login:
        """The login for a registry. podman keeps entries by repository too; the most specific one wins. May take as
        long as a credential helper takes."""
        if host in self._given:
            return Login(self._given[host])
        return self._look(host, repository)

    def _look(self, host: str, repository: str) -> Login:
        problem = ""
        for path in self._files():
            try:
                login = self._look_in(path, host, repository)
            except _Problem as error:
                problem = problem or f"{path}: {error}"
                continue
            if login:
                return Login(login)
        return Login(None, problem)

    def _files(self) -> Iterator[Path]:
        home = self._home or Path(self._environ.get("HOME") or "/nonexistent")
        if explicit := self._environ.get("REGISTRY_AUTH_FILE"):
            yield Path(explicit)
        yield Path(self._environ.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
        if runtime := self._environ.get("XDG_RUNTIME_DIR"):
            yield Path(runtime) / "containers" / "auth.json"
        yield Path(self._environ.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"

    def _look_in(self, path: Path, host: str, repository: str) -> Credential | None:
        try:
            config = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _Problem(f"cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError):
            raise _Problem("is not JSON") from None
        if not isinstance(config, dict):
            raise _Problem("is not a JSON object")
        helpers, auths = (_object(config, key) for key in ("credHelpers", "auths"))
        keys = list(_keys(host, repository))
        for key in keys:
            if key in helpers:
                return self._ask_helper(helpers[key], _server(host))
        entry = next((auths[key] for key in keys if _holds_login(auths.get(key))), None)
        if entry:
            return _credential(entry)
        if store := config.get("credsStore"):
            return self._ask_helper(store, _server(host))
        return None

    def _ask_helper(self, name: object, server: str) -> Credential | None:
        if not isinstance(name, str) or not _HELPER_NAME.fullmatch(name):
            raise _Problem("names a credential helper that cannot be one")
        program = f"docker-credential-{name}"
        with self._locks[server]:
            if (program, server) not in self._helped:
                try:
                    self._helped[program, server] = self._answer_of(program, server)
                except _Problem as problem:
                    self._helped[program, server] = problem
            found = self._helped[program, server]
        if isinstance(found, _Problem):
            raise found
        return found

    def _answer_of(self, program: str, server: str) -> Credential | None:
        """docker-credential-helpers' protocol: the server's name in, JSON out."""
        if self._stopped.is_set():
            raise _Problem(f"the credential helper {program} was stopped")
        from crossdock.process import Command, SystemRunner

        try:
            command = Command((program, "get"), grace=1.0, stop=self._stopped)
            done = (self._runner or SystemRunner()).run(
                command, input=server.encode(), timeout=HELPER_SECONDS, check=False
            )
        except EngineError as error:
            raise _Problem(f"the credential helper {program}: {error.what}") from None
        if done.exit_code != 0:
            if _NOT_FOUND in (done.text + done.stderr.decode("utf-8", "replace")).lower():
                return None
            raise _Problem(f"the credential helper {program} failed with exit code {done.exit_code}")
        try:
            answer = json.loads(done.stdout)
            username, secret = answer["Username"], answer["Secret"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise _Problem(f"the credential helper {program} gave no answer that can be understood") from None
        if not isinstance(username, str) or not isinstance(secret, str):
            raise _Problem(f"the credential helper {program} gave no answer that can be understood")
        if username == "<token>":
            return Credential(identity_token=secret)
        return Credential(username, secret) if username or secret else None


class _Problem(Exception):
    """Why a configured credential cannot be had."""


def _server(host: str) -> str:
    return _HUB_KEY if host == DOCKER_HUB else host


def _keys(host: str, repository: str) -> Iterator[str]:
    """Names under which a login for ``host`` may be kept, most specific first."""
    parts = repository.split("/") if repository else []
    for count in range(len(parts), 0, -1):
        yield "/".join([host, *parts[:count]])
    if host == DOCKER_HUB:
        yield from (_HUB_KEY, "index.docker.io", "docker.io", "https://index.docker.io/v1", "registry-1.docker.io")
    for prefix in ("", "https://", "http://"):
        for suffix in ("", "/", "/v1/", "/v2/", "/v1", "/v2"):
            yield f"{prefix}{host}{suffix}"


def _object(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key) or {}
    if not isinstance(value, dict):
        raise _Problem(f'"{key}" is not an object')
    return value


def _holds_login(entry: object) -> bool:
    """Docker leaves an empty entry behind for each login that is in the credential store."""
    return isinstance(entry, dict) and any(
        entry.get(key) for key in ("auth", "username", "identitytoken", "registrytoken")
    )


def _credential(entry: Mapping[str, Any]) -> Credential:
    values = {key: entry.get(key) or "" for key in ("auth", "username", "password", "identitytoken", "registrytoken")}
    if not all(isinstance(value, str) for value in values.values()):
        raise _Problem("a login in it is not understood")
    username, password = values["username"], values["password"]
    if values["auth"]:
        try:
            username, _, password = base64.b64decode(values["auth"], validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise _Problem("a login in it is not base64") from None
    return Credential(username, password.rstrip("\0"), values["identitytoken"], values["registrytoken"])


@dataclass(frozen=True)
class Challenge:
    """One scheme of a WWW-Authenticate header (RFC 9110, 11.6.1). ``scheme`` and parameter names in lower case."""

    scheme: str
    parameters: Mapping[str, str]


_PART = re.compile(
    r"""\s*,?\s*(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]+)
        (?:\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+)))?""",
    re.VERBOSE,
)


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a WWW-Authenticate header, in order. What cannot be read ends the list."""
    found: list[tuple[str, dict[str, str]]] = []
    at = 0
    while match := _PART.match(header, at):
        at = match.end()
        name = match["name"].lower()
        if match["quoted"] is not None:
            value = re.sub(r"\\(.)", r"\1", match["quoted"])
        elif match["bare"] is not None:
            value = match["bare"]
        else:
            found.append((name, {}))
            continue
        if not found:
            break
        found[-1][1][name] = value
    return tuple(Challenge(scheme, parameters) for scheme, parameters in found)


@dataclass(frozen=True)
class _Token:
    header: str = field(repr=False)
    expires: float


class Authorizer:
    """Keeps one registry's authorization: finds out what it asks for, fetches tokens, one per set of scopes.

    Lives on the HTTP client's event loop. A token is fetched once, however many requests wait for it.
    """

    def __init__(self, host: str, http: Http, keychain: Keychain) -> None:
        self.host = host
        self.http = http
        self._keychain = keychain
        self._tokens: dict[tuple[str, ...], _Token] = {}
        self._logins: dict[str, Login] = {}
        self._asking: dict[tuple[str, ...], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._looking = asyncio.Lock()

    def header(self, scopes: tuple[str, ...]) -> str | None:
        """The Authorization header to send at once, if one is known and has not expired."""
        token = self._tokens.get(scopes)
        return token.header if token and token.expires > time.monotonic() else None

    async def answer(
        self, www_authenticate: str, scopes: tuple[str, ...], url: str, sent: str | None, trust: Trust | None = None
    ) -> str | None:
        """The Authorization header that answers a 401 from ``url``, or None when there is nothing (new) to answer with.

        ``sent`` is the header that was refused; ``trust`` holds for a token service at the registry's own address.
        Raises RegistryError when a token cannot be had.
        """
        async with self._asking[scopes]:
            known = self._tokens.get(scopes)
            if known and known.header != sent and known.expires > time.monotonic():
                return known.header
            token = await self._ask(parse_challenges(www_authenticate), scopes, url, trust)
            if token is None or token.header == sent:
                return None
            self._tokens[scopes] = token
            return token.header

    async def login(self, scopes: tuple[str, ...]) -> Login:
        repository = _repository(scopes)
        async with self._looking:  # one thread at a time waits for a slow credential helper
            if repository not in self._logins:
                try:
                    self._logins[repository] = await asyncio.to_thread(self._keychain.find, self.host, repository)
                except asyncio.CancelledError:
                    self._keychain.stop()  # Python waits for its threads when it ends
                    raise
            return self._logins[repository]

    async def _ask(
        self, challenges: tuple[Challenge, ...], scopes: tuple[str, ...], url: str, trust: Trust | None
    ) -> _Token | None:
        credential = (await self.login(scopes)).credential
        if credential and credential.registry_token:
            return _Token(f"Bearer {credential.registry_token}", float("inf"))
        for challenge in challenges:
            if challenge.scheme == "bearer":
                return await self._bearer(challenge, scopes, credential, url, trust)
            if challenge.scheme == "basic" and credential and credential.username:
                return _Token(credential.basic, float("inf"))
        return None

    async def _bearer(
        self,
        challenge: Challenge,
        scopes: tuple[str, ...],
        credential: Credential | None,
        url: str,
        trust: Trust | None,
    ) -> _Token:
        """distribution's token specification: GET with Basic, or POST with a refresh token."""
        realm = challenge.parameters.get("realm", "")
        where = public_url(realm)
        host = _checked_host(realm, url)
        query = [("scope", scope) for scope in scopes]
        if service := challenge.parameters.get("service"):
            query.insert(0, ("service", service))
        accept = {"Accept": "application/json"}
        if host != urlsplit(url).hostname:
            trust = None
        if credential and credential.identity_token:
            form = [("grant_type", "refresh_token"), ("client_id", "crossdock"), *_joined(query)]
            form.append(("refresh_token", credential.identity_token))
            content = urlencode(form, quote_via=quote_plus).encode()
            headers = {**accept, "Content-Type": "application/x-www-form-urlencoded"}
            answer = await self.http.fetch(
                "POST", realm, limit=_TOKEN_LIMIT, headers=headers, body=content, trust=trust
            )
        else:
            headers = {**accept, "Authorization": credential.basic} if credential and credential.username else accept
            address = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}" if query else realm
            answer = await self.http.fetch("GET", address, limit=_TOKEN_LIMIT, headers=headers, trust=trust)
        if answer.status != 200:
            raise await self._refused(answer, where, scopes)
        try:
            document = json.loads(answer.body)
            token = document.get("token") or document.get("access_token")
            seconds = document.get("expires_in") or 60
            if not isinstance(token, str) or not token or not isinstance(seconds, int | float):
                raise ValueError
        except (ValueError, AttributeError, RecursionError):
            raise RegistryError(
                "the token service gave no token",
                where=where,
                hint=f"Is {self.host} the registry you mean? Its token service does not follow the protocol.",
            ) from None
        if "\n" in token or "\r" in token or not token.isascii():
            raise RegistryError("the token service gave no usable token", where=where, hint="Ask its operator.")
        return _Token(f"Bearer {token}", time.monotonic() + max(0.0, seconds - _CLOCK_SLACK))

    async def _refused(self, answer: Document, where: str, scopes: tuple[str, ...]) -> CrossdockError:
        status = answer.status
        if status == 429:
            return RegistryError(
                "too many requests: the token service asks to wait",
                where=where,
                hint="Wait, and run again.",
                kind=Kind.RATE_LIMIT,
            )
        if status in (400, 401, 403):
            return RegistryError(
                f"the token service refused the login (HTTP {status})",
                where=where,
                hint=await self.login_hint(scopes),
                kind=Kind.UNAUTHORIZED,
            )
        return RegistryError(
            f"the token service answered HTTP {status}",
            where=where,
            hint="Run again later, or ask its operator.",
            kind=Kind.SERVER if status >= 500 else Kind.OTHER,
        )

    async def login_hint(self, scopes: tuple[str, ...]) -> str:
        """What someone who was refused should do next."""
        login = await self.login(scopes)
        name = "" if self.host == DOCKER_HUB else f" {self.host}"
        if login.problem:
            return f"The stored login could not be used ({login.problem}). Mend that, or run `docker login{name}`."
        if login.credential:
            return f"The stored login was refused. Run `docker login{name}` again, or ask for access."
        return (
            f"There is no stored login. Run `docker login{name}`, or check the spelling: many registries answer so for "
            "what does not exist."
        )


def _checked_host(realm: str, url: str) -> str:
    """The host of a token service. Credentials must not go over plain http because a registry says so, except where the
    registry itself does, or on this machine."""
    try:
        scheme, host, _ = origin(realm)
    except ValueError:
        scheme = host = ""
    if host and (scheme == "https" or (scheme == "http" and (url.startswith("http:") or is_loopback(host)))):
        return host
    raise RegistryError(
        "the registry names a token service that is not safe to log in to",
        where=public_url(url),
        hint="Its WWW-Authenticate header must name an https address. Ask its operator.",
    )


def _joined(query: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The OAuth2 form has one scope field with all scopes."""
    scopes = " ".join(value for name, value in query if name == "scope")
    return [item for item in query if item[0] != "scope"] + ([("scope", scopes)] if scopes else [])


def _repository(scopes: tuple[str, ...]) -> str:
    """The repository that the first scope, ``repository:NAME:ACTIONS``, is about."""
    return scopes[0].split(":")[1] if scopes else ""
