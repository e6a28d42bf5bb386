"""What the configuration files of BuildKit, Docker and containers/image say about registries, as values.

The formats are those of buildkitd.toml, Docker's daemon.json and certs.d, and registries.conf, versions 2 and 1
(containers-registries.conf(5)). Nothing here raises for a file that is missing or wrong.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from crossdock.image.reference import DOCKER_HUB

HUB_API = "registry-1.docker.io"
"""Where Docker Hub, ``docker.io`` in a reference, answers."""
_HUB_NAMES = frozenset({DOCKER_HUB, "index.docker.io", HUB_API})
_PLACE = re.compile(
    r"(?:(?P<scheme>https?)://)?"
    r"(?P<host>(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[A-Fa-f0-9:.]+\])(?::[0-9]{1,5})?)"
    r"(?P<path>(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*)/*",
    re.IGNORECASE,
)
_WILDCARD = re.compile(r"\*(?:\.[A-Za-z0-9-]+)+")
_PULL_FROM_MIRROR = {"": (True, True), "all": (True, True), "digest-only": (False, True), "tag-only": (True, False)}
"""What a mirror is for: content named by a tag, content named by its digest."""
_CERTIFICATE = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")


def _load_toml(content: bytes) -> object:
    import tomllib  # most machines have JSON files only, or none

    return tomllib.loads(content.decode("utf-8-sig"))


_PARSERS: Mapping[str, Callable[[bytes], object]] = {
    "JSON": json.loads,
    "TOML": _load_toml,
}
_UNUSED = "Correct it; until then it is not used."

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where images are kept: ``host[:port]``, and the path that comes before the repository's name (empty for most)."""

    host: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" if self.path else self.host


@dataclass(frozen=True)
class Mirror:
    """A copy of a registry, or of a part of it, and what it may be asked for."""

    place: Place
    plain_http: bool = False
    insecure: bool = False
    by_tag: bool = True
    by_digest: bool = True


@dataclass(frozen=True)
class ClientCertificate:
    """What a client shows to a server that asks for it: two files, PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Host:
    """What the files say about one ``host[:port]``."""

    mirrors: tuple[Mirror, ...] = ()
    plain_http: bool = False
    insecure: bool = False
    authorities: tuple[Path, ...] = ()
    client: ClientCertificate | None = None

    def __or__(self, later: Host) -> Host:
        """Both together. There can be one client certificate only: the one that was found first."""
        return Host(
            self.mirrors + later.mirrors,
            self.plain_http or later.plain_http,
            self.insecure or later.insecure,
            tuple(dict.fromkeys(self.authorities + later.authorities)),
            self.client or later.client,
        )


@dataclass(frozen=True)
class Namespace:
    """One ``[[registry]]`` of registries.conf: every image whose name begins with ``prefix``.

    ``prefix`` is ``host[:port][/path]`` or ``*.domain``. ``location`` is where those images really are, None where they
    are what they are called. ``source`` is the file that says so.
    """

    prefix: str
    source: Path
    location: Place | None = None
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()

    def after(self, name: str) -> str | None:
        """What follows the prefix in ``host[:port]/repository``: empty, ``/…`` or ``:port/…``; None when the name does
        not begin with it. That ``example.com`` also stands for ``example.com:5000`` is what podman does."""
        start = f"[^/]*{re.escape(self.prefix[1:])}" if self.prefix.startswith("*") else re.escape(self.prefix)
        match = re.match(rf"{start}(?=[:/]|\Z)", name)
        return name[match.end() :] if match else None


def canonical(host: str) -> str:
    """The name that a registry goes by in references: Docker Hub has several."""
    return DOCKER_HUB if host in _HUB_NAMES else host


class Reader:
    """Reads all files there are, and keeps what they say.

    Absolute paths are taken below ``root``, unless they are there already, also those of ``environ`` (HOME,
    XDG_CONFIG_HOME, CONTAINERS_REGISTRIES_CONF) and in the files; a relative path in a file is taken from its folder.
    """

    def __init__(self, environ: Mapping[str, str], root: Path) -> None:
        self.problems: list[str] = []
        self.hosts: dict[str, Host] = {}
        self.networks: list[Network] = []
        self.namespaces: dict[str, Namespace] = {}
        self._root = root.absolute()
        self._registries_conf = environ.get("CONTAINERS_REGISTRIES_CONF")
        etc = self._below(Path("/etc"))
        # containers/image does not know XDG_CONFIG_HOME.
        dot_config = self._below(Path(environ["HOME"]) / ".config") if environ.get("HOME") else None
        xdg = environ.get("XDG_CONFIG_HOME")
        config = self._below(Path(xdg)) if xdg else dot_config
        self._folders = [folder for folder in (etc, config) if folder]
        self._containers = [folder / "containers" for folder in (etc, dot_config) if folder]

    def read(self) -> None:
        for folder in self._folders:
            self._buildkit(folder / "buildkit/buildkitd.toml")
        for folder in self._folders:
            self._docker(folder / "docker/daemon.json")
        self._registries_confs()
        for folder in (*(folder / "docker" for folder in self._folders), *self._containers):
            for host in self._listed(folder / "certs.d"):
                self._say(host.name, self._certificates(host))

    def _below(self, path: Path) -> Path:
        path = path.absolute()
        return path if path.is_relative_to(self._root) else self._root / path.relative_to(path.anchor)

    def _say(self, host: str, facts: Host) -> None:
        name = canonical(host)
        self.hosts[name] = self.hosts.get(name, Host()) | facts

    def _problem(self, where: object, what: str) -> None:
        # Names of files may hold bytes that are no text.
        self.problems.append(f"{where}: {what}".encode("utf-8", "backslashreplace").decode())

    # --- BuildKit ---

    def _buildkit(self, path: Path) -> None:
        document = self._document(path, "TOML")
        for name, section in document.table("registry").sections():
            place = _place(name)
            if not place or place.host != name:
                section.wrong("the name is not host[:port]")
                continue
            http, insecure = section.flag("http"), section.flag("insecure")
            # With both, BuildKit tries HTTPS first. That is what insecure means here.
            facts = Host(tuple(self._mirrors(section, "mirrors", bare=True)), http and not insecure, insecure)
            authorities = (self._relative(path, file) for file in section.texts("ca"))
            facts |= Host(authorities=tuple(file for file in authorities if self._is_certificate(file)))
            for pair in section.tables("keypair"):
                certificate, key = pair.text("cert"), pair.text("key")
                if not certificate or not key:
                    pair.wrong('it needs both "cert" and "key"')
                    continue
                facts |= self._client(self._relative(path, certificate), self._relative(path, key))
            for folder in section.texts("tlsconfigdir"):
                facts |= self._certificates(self._relative(path, folder))
            self._say(name, facts)

    def _mirrors(self, table: Table, key: str, *, bare: bool) -> Iterator[Mirror]:
        """Addresses of mirrors. Docker refuses them ``bare``, without a scheme."""
        for text in table.texts(key):
            place = _place(text)
            if place and (bare or "://" in text):
                yield Mirror(place, plain_http=text.lower().startswith("http:"))
            else:
                table.wrong(f'"{key}" has {_quoted(text)}, which is not an address such as https://host:port')

    # --- Docker ---

    def _docker(self, path: Path) -> None:
        document = self._document(path, "JSON")
        mirrors = tuple(self._mirrors(document, "registry-mirrors", bare=False))
        if mirrors:
            self._say(DOCKER_HUB, Host(mirrors))
        for text in document.texts("insecure-registries"):
            if network := _network(text):
                self.networks.append(network)
                continue
            bare_ipv6 = text.count(":") > 1 and "[" not in text and "/" not in text
            place = _place(f"[{text}]" if bare_ipv6 else text)
            if not place or place.path:
                document.wrong(f'"insecure-registries" has {_quoted(text)}, neither host[:port] nor a network')
            elif canonical(place.host) != DOCKER_HUB:  # which Docker's daemon always verifies
                self._say(place.host, Host(insecure=True))

    # --- containers/image ---

    def _registries_confs(self) -> None:
        """The user's file takes the place of the system's, with its drop-ins; of two entries the later one counts."""
        _, *user = self._containers
        folders = user if any(_exists(folder / "registries.conf") for folder in user) else self._containers
        main = folders[0] / "registries.conf"
        if self._registries_conf:
            folders, main = self._containers, self._below(Path(self._registries_conf))
            if not _exists(main):
                self._problem(main, "there is no such file. CONTAINERS_REGISTRIES_CONF names it; correct that.")
        drop_ins = (file for folder in folders for file in self._listed(folder / "registries.conf.d"))
        for file in (main, *drop_ins):
            if file.suffix == ".conf" or file == main:
                self._registries_file(file)

    def _registries_file(self, path: Path) -> None:
        document = self._document(path, "TOML")
        found: dict[str, Namespace] = {}
        version_1 = document.table("registries")
        blocked, insecure = (version_1.table(key).texts("registries") for key in ("block", "insecure"))
        for text in dict.fromkeys((*blocked, *insecure)):
            if place := _place(text, scheme=False):
                prefix = str(Place(canonical(place.host), place.path))
                found[prefix] = Namespace(prefix, path, insecure=text in insecure, blocked=text in blocked)
            else:
                version_1.wrong(f"{_quoted(text)} is not host[:port]")
        for entry in document.tables("registry"):
            if namespace := self._namespace(entry, path):
                found.setdefault(namespace.prefix, namespace)
        self.namespaces |= found

    def _namespace(self, entry: Table, source: Path) -> Namespace | None:
        location, prefix = entry.text("location"), entry.text("prefix")
        there = _place(location, scheme=False)
        if location and not there:
            entry.wrong(f'"location" is {_quoted(location)}, not host[:port][/path]')
            return None
        name = _place(prefix or location, scheme=False)
        if name:
            name = Place(canonical(name.host), name.path)
        elif not _WILDCARD.fullmatch(prefix):
            entry.wrong('it needs a "prefix" or "location": host[:port][/path], or *.domain')
            return None
        moved = there and (not name or (canonical(there.host), there.path) != (name.host, name.path))
        return Namespace(
            str(name or prefix),
            source,
            there if moved else None,
            entry.flag("insecure"),
            entry.flag("blocked"),
            tuple(self._namespace_mirrors(entry, entry.flag("mirror-by-digest-only"))),
        )

    def _namespace_mirrors(self, entry: Table, digest_only: bool) -> Iterator[Mirror]:
        for mirror in entry.tables("mirror"):
            location, restriction = mirror.text("location"), mirror.text("pull-from-mirror")
            place = _place(location, scheme=False)
            if not place:
                mirror.wrong(f'"location" is {_quoted(location)}, not host[:port][/path]')
            elif restriction not in _PULL_FROM_MIRROR:
                mirror.wrong(f'"pull-from-mirror" is {_quoted(restriction)}, not all, digest-only or tag-only')
            else:
                by_tag, by_digest = _PULL_FROM_MIRROR[restriction]
                insecure = mirror.flag("insecure")
                yield Mirror(place, insecure=insecure, by_tag=by_tag and not digest_only, by_digest=by_digest)

    # --- certificates ---

    def _certificates(self, folder: Path) -> Host:
        """A folder as certs.d has for each host: authorities ``*.crt``, clients ``NAME.cert`` and ``NAME.key``."""
        files = self._listed(folder)
        facts = Host(authorities=tuple(file for file in files if file.suffix == ".crt" and self._is_certificate(file)))
        names = {file.name for file in files}
        for file in files:
            if file.suffix == ".cert" and f"{file.stem}.key" in names:
                facts |= self._client(file, file.with_suffix(".key"))
            elif file.suffix == ".cert":
                hint = "Add the key; an authority's certificate must be called *.crt"
                self._problem(file, f"this client certificate has no {file.stem}.key beside it. {hint}.")
            elif file.suffix == ".key" and f"{file.stem}.cert" not in names:
                hint = "Add the certificate; for a client its name ends in .cert, not in .crt"
                self._problem(file, f"this key has no {file.stem}.cert beside it. {hint}.")
        return facts

    def _client(self, certificate: Path, key: Path) -> Host:
        if self._is_certificate(certificate) and self._content(key, required=True) is not None:
            return Host(client=ClientCertificate(certificate, key))
        return Host()

    def _is_certificate(self, file: Path) -> bool:
        content = self._content(file, required=True)
        if content is not None and not _CERTIFICATE.search(content):
            self._problem(file, "there is no certificate in it. Replace it by one in PEM format.")
            return False
        return content is not None

    # --- files ---

    def _relative(self, source: Path, name: str) -> Path:
        """The file that ``source`` names."""
        return self._below(source.parent / name)

    def _listed(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []
        except (OSError, ValueError) as error:
            self._problem(folder, f"cannot be read: {_reason(error)}. Make it readable, or remove it.")
            return []

    def _content(self, file: Path, *, required: bool = False) -> bytes | None:
        try:
            return file.read_bytes()
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            if required or not missing:
                hint = "Put it there, or remove what names it" if missing else "Make it readable, or remove it"
                self._problem(file, f"cannot be read: {_reason(error)}. {hint}.")
            return None

    def _document(self, file: Path, kind: str) -> Table:
        """The table that a file holds; an empty one for a file that is missing or wrong."""
        content = self._content(file)
        values: object = {}
        try:
            values = _PARSERS[kind](content) if content and content.strip() else {}
            if not isinstance(values, dict):
                raise ValueError("there must be an object at the top")
        except RecursionError:
            self._problem(file, f"is nested too deeply. {_UNUSED}")
        except ValueError as error:
            self._problem(file, f"is not {kind} as expected ({error}). {_UNUSED}")
        return Table(values if isinstance(values, dict) else {}, str(file), self._problem)


class Table:
    """A table of a configuration file. An entry of another type than it must have is told, and taken for missing."""

    def __init__(self, values: Mapping[str, object], where: str, tell: Callable[[str, str], None]) -> None:
        self._values = values
        self._where = where
        self._tell = tell

    def wrong(self, what: str) -> None:
        self._tell(self._where, f"{what}. {_UNUSED}")

    def text(self, key: str) -> str:
        return self._get(key, "", "text")

    def flag(self, key: str) -> bool:
        return self._get(key, False, "true or false")

    def table(self, key: str) -> Table:
        return self._inner(self._get(key, {}, "a table"), key)

    def texts(self, key: str) -> list[str]:
        values: list[object] = self._get(key, [], "a list of texts")
        found = [value for value in values if isinstance(value, str)]
        if len(found) < len(values):
            self.wrong(f'"{key}" holds something that is not text')
        return found

    def tables(self, key: str) -> Iterator[Table]:
        values: list[object] = self._get(key, [], "a list of tables")
        for number, value in enumerate(values, 1):
            if isinstance(value, dict):
                yield self._inner(value, f"{key} {number}")
            else:
                self.wrong(f'"{key}" holds something that is not a table')

    def sections(self) -> Iterator[tuple[str, Table]]:
        """The tables in this one, by their names."""
        for name, value in self._values.items():
            if isinstance(value, dict):
                yield name, self._inner(value, _quoted(name))
            else:
                self.wrong(f"{_quoted(name)} must be a table")

    def _inner(self, values: Mapping[str, object], name: str) -> Table:
        return Table(values, f"{self._where}: {name}", self._tell)

    def _get(self, key: str, default: T, called: str) -> T:
        value = self._values.get(key)
        if isinstance(value, type(default)):
            return value
        if value is not None:
            self.wrong(f'"{key}" must be {called}')
        return default


def _place(text: str, *, scheme: bool = True) -> Place | None:
    """``[http[s]://]host[:port][/path]``, the scheme only where it may be there."""
    match = _PLACE.fullmatch(text)
    if not match or (match["scheme"] and not scheme):
        return None
    return Place(match["host"], match["path"].strip("/"))


def _network(text: str) -> Network | None:
    """``10.0.0.0/8``; also with an address inside the network, as Docker takes it."""
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _quoted(text: str) -> str:
    """A value to be shown: with nothing in it that a terminal obeys, and no password."""
    return "an address with a user in it" if "@" in text else repr(text)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "it has no usable name"


def _exists(file: Path) -> bool:
    """Also when nobody may look: reading it then says so."""
    try:
        return file.exists()
    except OSError:
        return True
