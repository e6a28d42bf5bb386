"""The options that several verbs share, and what they stand for."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crossdock.errors import InputError, UsageError
from crossdock.platforms import Platform, parse_platforms

if TYPE_CHECKING:
    from crossdock.config import Configs
    from crossdock.http.evidence import WebProber
    from crossdock.image.lookup import ImageFinder
    from crossdock.image.registries import Registries
    from crossdock.packages.model import Ask
    from crossdock.source import Source

_REMOTE = re.compile(r"-$|https?:/|git:/|ssh:/|git@")
"""Contexts that docker build takes and that are no folder: standard input, archives and repositories elsewhere."""
F = TypeVar("F", bound=Callable[..., Any])


def formats(**more: str) -> Callable[[F], F]:
    """``--format``, with what a verb prints besides text and JSON: its name and what it is."""
    *kinds, last = ("Text for people", "one JSON object (docs/schemas)", *more.values())
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["terminal", "json", *more]),
        default="terminal",
        show_default=True,
        help=f"{', '.join(kinds)} or {last}.",
    )


format_option = formats()
offline_option = click.option(
    "--offline", is_flag=True, help="Look nothing up. A fix that relies on an unseen file is then unsafe."
)
build_arg_option = click.option(
    "--build-arg",
    "build_args",
    multiple=True,
    metavar="NAME[=VALUE]",
    help="A build argument, as docker build takes it; without a value it comes from the environment. Repeatable.",
)
file_option = click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), metavar="FILE", help="The Dockerfile; PATH is its context."
)
DEFAULT_PLATFORMS = "[default: those of crossdock.toml, or linux/amd64,linux/arm64]"
"""The end of ``--platform``'s help."""
engine_option = click.option(
    "--engine",
    type=click.Choice(["auto", "buildx", "buildah"]),
    default="auto",
    show_default=True,
    help="The program that builds and runs images.",
)


plain_http_option = click.option(
    "--plain-http", is_flag=True, help="Speak plain HTTP with the registry (localhost needs no asking)."
)
smoke_timeout_option = click.option(
    "--smoke-timeout",
    type=click.FloatRange(min=0.1),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="A service that still runs after this long has started.",
)


def platform_option(*names: str, help: str) -> Callable[[F], F]:
    """An option that takes a comma-separated list of platforms; the parameter is a tuple, empty when not given."""
    return click.option(*names, callback=_platforms, metavar="OS/ARCH[,OS/ARCH]", help=help)


def _platforms(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[Platform, ...]:
    if value is None:
        return ()
    found = parse_platforms(value)
    if not found:
        raise UsageError("no platform is named", hint="Write a list such as linux/amd64,linux/arm64.")
    return found


def build_arguments(texts: Sequence[str]) -> dict[str, str]:
    """``--build-arg`` values as rules and fixes see them. A bare NAME that is not in the environment is left out, as
    docker build does. Raises UsageError for one without a name."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"--build-arg {text!r} has no name", hint="Write --build-arg NAME=VALUE.")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def read_source(path: Path) -> Source:
    """A file as a Source whose path is what messages show. Raises InputError when it cannot be read."""
    from crossdock.source import Source

    try:
        return Source(str(path), path.read_bytes())
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}", where=str(path), hint="Check the name and its permissions."
        ) from error


def near(path: Path) -> Path:
    """A path below the current folder as people would write it from there, so that messages are short and a diff fits
    ``git apply``; any other path as it is."""
    if not path.is_absolute():
        return path
    try:
        return path.relative_to(Path.cwd())
    except (ValueError, OSError):
        return path


def locate_dockerfile(path: Path, file: Path | None) -> tuple[Path, Path]:
    """The Dockerfile and its context folder from the arguments ``PATH`` and ``-f`` of a verb that works on one
    project. PATH may be the Dockerfile itself. Raises InputError when there is none."""
    path, file = near(path), near(file) if file else None
    if file is not None:
        context = path if path.is_dir() else path.parent
        return file, context
    if path.is_file():
        return path, path.parent
    if not path.exists():
        if _REMOTE.match(str(path)):
            raise UsageError(
                f"{path} is no folder: crossdock builds from a folder on this machine",
                hint="Clone or unpack it, and name the folder. Only then can what it copies be checked.",
            )
        raise InputError(
            "no such file or folder", where=str(path), hint="Name a Dockerfile or a folder that holds one."
        )
    for name in ("Dockerfile", "Containerfile"):
        if (path / name).is_file():
            return path / name, path
    raise InputError("no Dockerfile or Containerfile here", where=str(path), hint="Name it with -f FILE.")


def configs() -> Configs:
    """The settings of projects (crossdock.toml), with the rules that they may name."""
    from crossdock.config import RULE_IDS, Configs

    return Configs(RULE_IDS)


@dataclass(frozen=True)
class Outside:
    """What asks the outside world: whether files exist upstream, and registries for images. Both None when nothing may
    be looked up."""

    prober: WebProber | None = None
    look_up: ImageFinder | None = None


@contextlib.contextmanager
def outside(offline: bool, plain_http: bool = False) -> Iterator[Outside]:
    """What asks the outside world, for as long as the block runs."""
    if offline:
        yield Outside()
        return
    from crossdock.http.evidence import WebProber
    from crossdock.image.lookup import ImageFinder

    with registries(plain_http) as reached:
        yield Outside(WebProber(reached.http), ImageFinder(reached))


@contextlib.contextmanager
def package_indexes(offline: bool) -> Iterator[Ask]:
    """What looks packages up, where this machine's configuration says that they come from."""
    if offline:
        from crossdock.packages.answers import offline as ask_nobody

        yield ask_nobody
        return
    from crossdock.http.client import Http
    from crossdock.http.model import Patience
    from crossdock.packages.indexes.ask import Indexes
    from crossdock.packages.indexes.documents import default_index_cache
    from crossdock.packages.indexes.places import read_places

    # An index of a distribution has ten megabytes; on the other hand nobody waits long for one that is out of reach.
    with Http(patience=Patience(connect=5.0, document=300.0, attempts=2)) as http:
        yield Indexes(http, read_places(os.environ), default_index_cache(os.environ)).ask


@dataclass(frozen=True)
class GivenLogin:
    """What ``--username`` and ``--password-stdin`` say."""

    username: str
    password: str = field(repr=False)


def login_options(command: F) -> F:
    """``--username`` and ``--password-stdin``; the verb's parameters are ``username`` and ``password_stdin``."""
    for option in (
        click.option("--password-stdin", is_flag=True, help="Read the password (or token) from standard input."),
        click.option("--username", metavar="NAME", help="Log in to the registry by this name, for this command only."),
    ):
        command = option(command)
    return command


def read_login(username: str | None, password_stdin: bool) -> GivenLogin | None:
    """The login that the command line gives. Raises UsageError for half of one."""
    if bool(username) != password_stdin:
        raise UsageError(
            "--username and --password-stdin belong together",
            hint="Write --username NAME --password-stdin < FILE, or neither to use the stored login (docker login).",
        )
    if not username:
        return None
    password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    if not password:
        raise UsageError("there is no password on standard input", hint="Pipe it in, as in: --password-stdin < FILE")
    return GivenLogin(username, password)


@contextlib.contextmanager
def registries(
    plain_http: bool = False, *, login: GivenLogin | None = None, hosts: Collection[str] = ()
) -> Iterator[Registries]:
    """All registries, as this machine's configuration says they are reached.

    A ``login`` is for the one registry that the command is about: UsageError when ``hosts`` names several.
    """
    from crossdock.cli.messages import say
    from crossdock.http.client import Http
    from crossdock.image.auth import Credential, Keychain
    from crossdock.image.cache import default_cache
    from crossdock.image.registries import Registries
    from crossdock.image.settings import read_settings

    given: dict[str, Credential] = {}
    if login:
        if len(set(hosts)) != 1:
            raise UsageError(
                f"--username is for one registry, and here are several: {', '.join(sorted(set(hosts)))}",
                hint="Use `docker login` for each of them, or run the command once for each.",
            )
        given = {host: Credential(login.username, login.password) for host in hosts}
    settings = read_settings()
    for problem in settings.problems:
        say(f"crossdock: note: {problem}")
    with Http() as http:
        yield Registries(
            http,
            keychain=Keychain(given=given),
            settings=settings,
            cache=default_cache(os.environ),
            plain_http=plain_http,
        )
