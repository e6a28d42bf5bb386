"""A registry on this machine: the real program of distribution/distribution, configured, started, watched, ended.

Source: distribution's documentation, "Configuring a registry" (the same keys in versions 2 and 3).
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import queue
import re
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from crossdock.engines.packages import Wanted, install_command
from crossdock.errors import EngineError, InputError, UsageError
from crossdock.image.reference import DOCKER_HUB
from crossdock.image.settings_files import HUB_API
from crossdock.process import Command, LineHandler, Runner, Running

PROGRAMS = ("docker-registry", "registry")
"""What Debian and Alpine call the program, and what everybody else does."""
START_SECONDS = 30.0
"""How long it may take until the registry answers. As a mirror it first asks the other registry."""
DRAIN_SECONDS = 5
"""How long a transfer may still go on once the registry is asked to end."""
_POLL_SECONDS = 0.2
_LONGEST_ANSWER = 65536
_LISTENING = re.compile(r"listening on ([^\s\"]+:\d+)")
_FATAL = re.compile(r'level=(?:fatal|panic) msg="((?:[^"\\]|\\.)*)"|^(?:panic|configuration error): (.*)')
_ADDRESS = re.compile(r"(?:\[(?P<six>[^\[\]\s]+)\]|(?P<host>[^\[\]:/@\s]*)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Listen:
    """Where a registry listens. ``host`` is an IP address or a name, without brackets; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = 5000

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """None for a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it."""
        return self.address.is_loopback if self.address else self.host == "localhost"

    @property
    def reachable(self) -> Listen:
        """Where this machine reaches it: a loopback address where it listens on all addresses."""
        if self.address and self.address.is_unspecified:
            return Listen("127.0.0.1" if self.address.version == 4 else "::1", self.port)
        return self

    @property
    def name(self) -> str:
        """What references to its images begin with on this machine."""
        if self.address and (self.address.is_unspecified or self.host == "127.0.0.1"):
            return f"localhost:{self.port}"
        return str(self)


def parse_listen(text: str) -> Listen:
    """``127.0.0.1:5000``, ``[::1]:5000``, ``localhost:0``; without an address, ``:5000``, it is 127.0.0.1.

    Raises UsageError for anything else.
    """
    found = _ADDRESS.fullmatch(text)
    if not found or int(found["port"]) > 65535 or not _is_version_6(found["six"]):
        raise UsageError(
            f"{text!r} is no ADDRESS:PORT to listen on", hint="Write 127.0.0.1:5000, [::1]:5000, or :0 for a free port."
        )
    return Listen(found["six"] or found["host"] or "127.0.0.1", int(found["port"]))


def _is_version_6(text: str | None) -> bool:
    """What stands in brackets, if something does."""
    try:
        return text is None or ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def parse_mirror(text: str) -> str:
    """The address of a registry to mirror. Docker Hub's images are not where its website is; that is mended here.

    Raises UsageError for what is no address of a registry, and for one with a password in it.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(
            f"{_without_password(text)!r} is no address of a registry",
            hint="Write it with its scheme, such as https://registry.example.org.",
        )
    if "@" in parts.netloc:
        raise UsageError(
            f"{_without_password(text)!r} holds a name or password, which everyone on this machine could read",
            hint="Mirror a registry that can be read without logging in.",
        )
    if parts.netloc in {DOCKER_HUB, f"index.{DOCKER_HUB}"}:
        return f"https://{HUB_API}"
    return text.rstrip("/")


def _without_password(text: str) -> str:
    return re.sub(r"[^/]*@", "***@", text)


@dataclass(frozen=True)
class RegistrySettings:
    """What a registry is started with. ``certificate`` and ``key`` (PEM files, both or neither) switch TLS on;
    ``htpasswd`` is a file of users with bcrypt passwords; ``mirror`` is the address of the registry whose images are
    fetched when they are asked for, and kept: such a registry takes no images itself."""

    data: Path
    listen: Listen = Listen()
    certificate: Path | None = None
    key: Path | None = None
    htpasswd: Path | None = None
    mirror: str | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            missing, there = ("key", "certificate") if self.certificate else ("certificate", "key")
            raise UsageError(
                f"TLS needs a certificate and its key, and there is no {missing}",
                hint=f"Name it with --{missing} FILE, or leave --{there} out for plain HTTP.",
            )

    @property
    def is_secure(self) -> bool:
        return self.certificate is not None


@dataclass(frozen=True)
class Place:
    """Where a registry is. ``address`` is what references to its images begin with on this machine, ``url`` the same
    with its scheme; ``data`` is the folder that holds its images."""

    address: str
    url: str
    data: Path


@dataclass(frozen=True)
class ServedRegistry:
    """A registry that answers."""

    place: Place
    program: Running

    def watch(self) -> NoReturn:
        """Wait until it ends, which it does not by itself: then EngineError tells how, with its last lines."""
        self.program.wait()
        raise EngineError(
            f"the registry {self.program.how_it_ended()}",
            where=self.place.address,
            hint="Its images are kept; start it again. --verbose shows all that it says.",
            log=_last_words(self.program),
        )


@contextlib.contextmanager
def serve(settings: RegistrySettings, runner: Runner, on_line: LineHandler | None = None) -> Iterator[ServedRegistry]:
    """A registry that answers while the context lasts, with its images in ``settings.data``, which is made if need be.

    ``on_line`` gets the program's own messages, in a thread of its own. Raises EngineError: there is no such program,
    it does not start, its address is taken; InputError for a folder or a file that cannot be used.
    """
    program = find_program(runner)
    check_files(settings)
    data = _made(settings.data)
    spoken: queue.SimpleQueue[str] = queue.SimpleQueue()

    def heard(line: str) -> None:
        if found := _LISTENING.search(line):
            spoken.put(found[1])
        if on_line:
            on_line(line)

    with contextlib.ExitStack() as stack:
        # The program reads its configuration once, so the file is gone as soon as it answers.
        with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
            file = Path(folder) / "config.yml"
            file.write_text(configuration(settings), encoding="utf-8")
            # Variables of the environment override the configuration. Some mean something else altogether:
            # REGISTRY_AUTH_FILE is where podman keeps its logins, REGISTRY_PORT what Kubernetes makes of a service.
            # And version 3 sends traces to a collector unless told not to.
            command = Command(
                (program, "serve", str(file)), env={"OTEL_TRACES_EXPORTER": "none"}, without=("REGISTRY_",)
            )
            running = stack.enter_context(runner.running(command, heard))
            deadline = time.monotonic() + START_SECONDS
            listen = _listening(running, spoken, deadline, settings)
            _answering(running, listen.reachable, deadline, settings)
        scheme = "https" if settings.is_secure else "http"
        yield ServedRegistry(Place(listen.name, f"{scheme}://{listen.name}", data), running)


def find_program(runner: Runner) -> str:
    """The path of the registry's program. Raises EngineError with the next step when it is not installed."""
    for name in PROGRAMS:
        path = runner.which(name)
        # `registry` is a word that other programs may be called by, too.
        if path and "distribution" in runner.run(Command((path, "--version")), timeout=10, check=False).text:
            return path
    install = install_command(Wanted.REGISTRY, runner)
    raise EngineError(
        "no registry is installed (the program docker-registry, or registry, of github.com/distribution/distribution)",
        hint=f"Install it (`{install}`), and run again."
        if install
        else "Put the program of its releases on PATH (there is one for each platform), and run again.",
    )


def configuration(settings: RegistrySettings) -> str:
    """The text of the configuration file (YAML, of which JSON's strings are a part).

    The log's level is what lets the line through that says where the program listens.
    """
    lines = [
        "version: 0.1",
        "log:",
        "  level: info",
        "  formatter: text",
        "  accesslog:",
        "    disabled: true",
        "storage:",
        "  filesystem:",
        f"    rootdirectory: {_quoted(settings.data)}",
        "  delete:",
        "    enabled: true",
        "http:",
        f"  addr: {_quoted(str(settings.listen))}",
        f"  draintimeout: {DRAIN_SECONDS}s",
    ]
    if settings.certificate and settings.key:
        lines += ["  tls:", f"    certificate: {_quoted(settings.certificate)}", f"    key: {_quoted(settings.key)}"]
    if settings.htpasswd:
        lines += ["auth:", "  htpasswd:", "    realm: crossdock", f"    path: {_quoted(settings.htpasswd)}"]
    if settings.mirror:
        lines += ["proxy:", f"  remoteurl: {_quoted(settings.mirror)}"]
    return "\n".join(lines) + "\n"


def _quoted(value: Path | str) -> str:
    text = str(value.absolute()) if isinstance(value, Path) else value
    if not text.isprintable():  # also what is no UTF-8, which Python holds as surrogates
        raise InputError("the registry cannot be told of a path with such characters", where=ascii(text))
    return json.dumps(text, ensure_ascii=False)


def check_files(settings: RegistrySettings) -> None:
    """Raises InputError for a certificate, key or password file that cannot be used; of a missing password file the
    program would make one, with a password of its own."""
    for file, marks, what, hint in (
        (settings.certificate, b"-----BEGIN ", "certificate", "It has to be a PEM file: -----BEGIN CERTIFICATE-----."),
        (settings.key, b"-----BEGIN ", "key", "It has to be a PEM file: -----BEGIN PRIVATE KEY-----."),
        (settings.htpasswd, b":$2", "file of users with bcrypt passwords", "Make one: htpasswd -cB FILE NAME"),
    ):
        if file is None:
            continue
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", where=str(file), hint=hint) from error
        if marks not in content:
            raise InputError(f"this is no {what}", where=str(file), hint=hint)


def exposure(settings: RegistrySettings) -> tuple[str, ...]:
    """What whoever lets other machines reach the registry should know, a sentence each."""
    if settings.listen.is_private:
        return ()
    notes = []
    if not settings.is_secure:
        notes.append(
            "other machines reach this registry by plain HTTP: they have to be told so (Docker: insecure-registries in "
            "daemon.json; podman and buildah: insecure in registries.conf), or start it with --certificate and --key"
        )
    if not settings.htpasswd:
        may = "read" if settings.mirror else "push to"
        notes.append(f"anyone who reaches this registry may {may} it: --htpasswd FILE asks for a password")
    elif not settings.is_secure:
        notes.append("its passwords go over the network unencrypted: use --certificate and --key as well")
    return tuple(notes)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # the surest way to learn whether it can be written to
            pass
    except OSError as error:
        what = "the registry cannot keep its images here" if folder.is_dir() else "this folder cannot be made"
        raise InputError(
            f"{what}: {error.strerror}", where=str(folder), hint="Name a folder that you may write to."
        ) from error
    return folder.absolute()


def _listening(running: Running, spoken: queue.SimpleQueue[str], deadline: float, settings: RegistrySettings) -> Listen:
    """Where the program says that it listens: the port 0 has become a real one, and nobody else's program that is on a
    taken port is mistaken for it."""
    while True:
        ended = running.wait(0) is not None
        with contextlib.suppress(queue.Empty):
            return parse_listen(spoken.get(timeout=0 if ended else _POLL_SECONDS))
        if ended:
            raise _not_started(running, settings)
        if time.monotonic() > deadline:
            raise _silent(running)


def _answering(running: Running, listen: Listen, deadline: float, settings: RegistrySettings) -> None:
    while not _answers(listen, secure=settings.is_secure):
        if running.wait(_POLL_SECONDS) is not None:
            raise _not_started(running, settings)
        if time.monotonic() > deadline:
            raise _silent(running)


def _answers(listen: Listen, *, secure: bool) -> bool:
    """Whether HTTP is spoken there. Any status will do: a registry that wants a password says 401."""
    request = f"GET /v2/ HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n"
    try:
        with contextlib.ExitStack() as stack:
            connection = stack.enter_context(socket.create_connection((listen.host, listen.port), timeout=5))
            if secure:
                # No secret goes through this connection, and the certificate is for a name that we do not know.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                connection = stack.enter_context(context.wrap_socket(connection))
            connection.sendall(request.encode())
            answer = connection.makefile("rb").read(_LONGEST_ANSWER)  # all of it, so that the other side can finish
            return answer.startswith(b"HTTP/1.")
    except OSError:
        return False


def _not_started(running: Running, settings: RegistrySettings) -> EngineError:
    reason = _reason(running.last_lines())
    port, host = settings.listen.port, settings.listen.host
    if "address already in use" in reason:
        return EngineError(
            f"port {port} is in use already",
            where=str(settings.listen),
            hint="Choose another with --listen, or let it take a free one: --listen :0",
        )
    if "cannot assign requested address" in reason or "no such host" in reason:
        return EngineError(
            f"{host} is no address of this machine", where=str(settings.listen), hint="0.0.0.0 is all that it has."
        )
    if "bind: permission denied" in reason:
        return EngineError(
            f"only root may listen on port {port}", where=str(settings.listen), hint="Choose one from 1024 on."
        )
    if settings.mirror and settings.mirror in reason:
        return EngineError(
            f"the registry to mirror does not answer: {reason}",
            where=settings.mirror,
            hint="It has to be reachable when its mirror starts. Look at the address, the network and the proxy.",
        )
    return EngineError(
        f"the registry did not start: {reason or running.how_it_ended()}",
        hint="--verbose shows all that it says.",
        log=() if reason else running.last_lines(),
    )


def _silent(running: Running) -> EngineError:
    return EngineError(
        f"the registry does not answer {START_SECONDS:.0f} s after its start, and was stopped",
        hint="Is something between this machine and itself: a firewall, a full disk? --verbose shows all that it says.",
        log=running.last_lines(),
    )


def _reason(lines: tuple[str, ...]) -> str:
    """Why the program gave up, in its own words; nothing when it does not say."""
    for line in lines:
        if found := _FATAL.search(line):
            return (found[1] or found[2]).replace('\\"', '"')
    return ""


def _last_words(running: Running) -> tuple[str, ...]:
    """Its last lines, without the fields that are the same in each."""
    return tuple(re.sub(r" (?:go\.version|instance\.id|version)=\S+", "", line) for line in running.last_lines()[-5:])
