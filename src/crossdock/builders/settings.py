"""How registries are reached, from ``--registry`` to the files that BuildKit, podman and buildah read.

Formats: buildkitd.toml (moby/buildkit, docs/buildkitd.toml.md), registries.conf version 2
(containers-registries.conf(5)) and certs.d (containers-certs.d(5)). ``image/settings_files`` reads them back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crossdock.errors import InputError, UsageError
from crossdock.image.reference import DOCKER_HUB
from crossdock.image.settings_files import canonical

BUILDKITD_TOML = "buildkitd.toml"
REGISTRIES_CONF = "registries.conf.d/crossdock.conf"
"""A file of its own beside registries.conf, so that nothing of that has to be changed."""
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[a-f0-9:]+\])(?::[0-9]{1,5})?", re.IGNORECASE)
_PATH = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*", re.IGNORECASE)
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_FORM = "Write HOST[,mirror=HOST][,http][,insecure][,ca=FILE][,cert=FILE,key=FILE]."


@dataclass(frozen=True)
class MirrorOption:
    """A copy of a registry. ``path`` comes before the repository's name there, and is empty for most."""

    host: str
    path: str = ""
    http: bool = False

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" if self.path else self.host


@dataclass(frozen=True)
class RegistryOption:
    """What one ``--registry`` says about ``host[:port]``.

    ``http`` alone is plain HTTP, ``insecure`` alone TLS with any certificate, and both together try TLS first: that is
    what BuildKit makes of them. Files are PEM, with absolute paths. Nothing here concerns the mirrors: each has a
    RegistryOption of its own where it needs one.
    """

    host: str
    mirrors: tuple[MirrorOption, ...] = ()
    http: bool = False
    insecure: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file for file in (self.ca, self.cert, self.key) if file)


def parse_registries(texts: Sequence[str], folder: Path) -> tuple[RegistryOption, ...]:
    """All ``--registry`` of a command line; a mirror that is to be spoken to by plain HTTP gets an option of its own at
    the end, unless it has one. Relative files are taken from ``folder``. Raises UsageError for what has no meaning."""
    found: dict[str, RegistryOption] = {}
    for text in texts:
        option = _parse(text, folder)
        if option.host in found:
            raise UsageError(f"--registry {option.host} is given twice", hint="Write all of it in one --registry.")
        found[option.host] = option
    for mirror in [mirror for option in found.values() for mirror in option.mirrors if mirror.http]:
        known = found.get(mirror.host, RegistryOption(mirror.host))
        if known.ca or known.cert:
            raise UsageError(
                f"the mirror {mirror.host} is to be spoken to by plain HTTP, and has certificates",
                hint=f"Write mirror={mirror} without http://, or leave the files out of --registry {mirror.host}.",
            )
        found[mirror.host] = replace(known, http=True)
    return tuple(found.values())


def _parse(text: str, folder: Path) -> RegistryOption:
    name, *fields = text.split(",")
    mirrors: list[MirrorOption] = []
    flags: set[str] = set()
    files: dict[str, Path] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if key == "mirror" and value:
            mirrors.append(_mirror(value))
        elif key in {"ca", "cert", "key"} and value and key not in files:
            files[key] = _file(folder, value)
        elif key in {"http", "insecure"} and (not equals or value in {"true", "false"}):
            flags |= {key} if value != "false" else set()
        else:
            raise UsageError(f"--registry {_shown(text)}: {_shown(field)!r} has no meaning", hint=_FORM)
    option = RegistryOption(_host(name), tuple(dict.fromkeys(mirrors)), "http" in flags, "insecure" in flags, **files)
    _check(option)
    return option


def _check(option: RegistryOption) -> None:
    """Refuse what contradicts itself; someone who writes it wants something else."""
    host = option.host
    if host == DOCKER_HUB and (option.http or option.insecure):
        mirror = next((str(mirror) for mirror in option.mirrors), "HOST:PORT")
        raise UsageError(
            "Docker Hub speaks TLS with a good certificate; http and insecure never concern a registry's mirrors",
            where=f"--registry {host}",
            hint=f"For a mirror without TLS write --registry {host},mirror=http://{mirror}; "
            f"for one with another certificate add --registry {mirror},insecure",
        )
    if (option.cert is None) != (option.key is None):
        raise UsageError("cert= and key= belong together", where=f"--registry {host}", hint=_FORM)
    if option.http and not option.insecure and option.files:
        raise UsageError("plain HTTP has no certificates", where=f"--registry {host}", hint="Leave http or files out.")
    if option.insecure and option.ca:
        raise UsageError(
            "with insecure no certificate is verified, so ca= has no meaning",
            where=f"--registry {host}",
            hint="Leave insecure out: a registry whose authority is given is trusted.",
        )
    if any(canonical(mirror.host) == host and not mirror.path for mirror in option.mirrors):
        raise UsageError(f"{host} cannot be its own mirror", hint="Name another registry after mirror=.")
    names = [file.name for file in option.files]
    if len(set(names)) < len(names):
        # buildx puts the files of a registry into one folder of the builder, by their names.
        raise UsageError("the files of a registry need different names", where=f"--registry {host}", hint="Rename one.")


def _host(text: str) -> str:
    scheme, separator, rest = text.rpartition("://")
    if separator:
        more = ",http" if scheme == "http" else ""
        raise UsageError(
            f"--registry takes no scheme: {_shown(text)}", hint=f"Write --registry {_shown(rest.rstrip('/'))}{more}"
        )
    if not _HOST.fullmatch(text) or _port(text) > 65535:
        raise UsageError(f"{_shown(text)!r} is not HOST[:PORT] of a registry", hint=_FORM)
    return canonical(text)


def _mirror(text: str) -> MirrorOption:
    scheme, _, rest = text.rpartition("://")
    host, _, path = rest.strip("/").partition("/")
    if scheme not in {"", "http", "https"} or not _HOST.fullmatch(host) or _port(host) > 65535:
        raise UsageError(f"mirror={_shown(text)} is not HOST[:PORT][/PATH]", hint=_FORM)
    if path and not _PATH.fullmatch(path):
        raise UsageError(f"mirror={_shown(text)} has a path that no repository can have", hint=_FORM)
    return MirrorOption(canonical(host), path, scheme == "http")


def _port(host: str) -> int:
    _, colon, port = host.rpartition("]")[2].rpartition(":")
    return int(port) if colon else 0


def _file(folder: Path, name: str) -> Path:
    if any(not char.isprintable() for char in name):
        raise UsageError("the name of a file holds a control character", hint="Rename the file.")
    return Path(folder, Path(name).expanduser()).absolute()


def _shown(text: str) -> str:
    """Without what may be a password."""
    return re.sub(r"[^/,=]*@", "***@", text)


def check_files(options: Sequence[RegistryOption]) -> None:
    """Raise InputError for a certificate or key that cannot be read, or is none: BuildKit would say so much later."""
    for option in options:
        for file in option.files:
            content = _read(file)
            if file != option.key and _CERTIFICATE not in content:
                raise InputError("there is no certificate in it", where=str(file), hint="It has to be in PEM format.")


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", where=str(file), hint="Check the name after ca=, cert= or key=."
        ) from error


# ---------------------------------------------------------------- BuildKit


def buildkitd_toml(options: Sequence[RegistryOption]) -> str:
    """The registry sections of buildkitd.toml, in the order of the options."""
    return "\n".join(["# How BuildKit reaches registries. Each section is for its host alone, not for its mirrors.", ""]
                     + [line for option in options for line in [*_section(option), ""]])  # fmt: skip


def _section(option: RegistryOption) -> Iterator[str]:
    name = f"registry.{_quoted(option.host)}"
    yield f"[{name}]"
    if option.mirrors:
        yield f"  mirrors = [{', '.join(_quoted(str(mirror)) for mirror in option.mirrors)}]"
    if option.http and option.insecure:
        yield "  # Both: TLS with any certificate, and plain HTTP where there is no TLS."
    if option.http:
        yield "  http = true"
    if option.insecure:
        yield "  insecure = true"
    if option.ca:
        yield f"  ca = [{_quoted(str(option.ca))}]"
    if option.cert and option.key:
        yield f"  [[{name}.keypair]]"
        yield f"    key = {_quoted(str(option.key))}"
        yield f"    cert = {_quoted(str(option.cert))}"


# ---------------------------------------------------------------- podman, buildah, skopeo


def registries_conf(options: Sequence[RegistryOption]) -> str:
    """The same for containers/image. It knows no plain HTTP alone: ``insecure`` tries TLS first, and a mirror's is
    written at the mirror."""
    insecure = {option.host for option in options if option.http or option.insecure}
    lines = ["# How podman, buildah and skopeo reach registries. insecure: TLS with any certificate, or plain HTTP."]
    for option in options:
        if not option.mirrors and option.host not in insecure:
            continue  # its certificates are in certs.d
        lines += ["", "[[registry]]", f"location = {_quoted(option.host)}"]
        lines += ["insecure = true"] * (option.host in insecure)
        for mirror in option.mirrors:
            lines += ["", "[[registry.mirror]]", f"location = {_quoted(str(mirror))}"]
            lines += ["insecure = true"] * (mirror.host in insecure)
    return "\n".join([*lines, ""])


def files(options: Sequence[RegistryOption], program: str) -> dict[str, bytes]:
    """What is written for ``buildkit`` or ``podman``: paths below its folder of settings, and content. Raises
    InputError for a certificate that cannot be read."""
    check_files(options)
    if program == "buildkit":
        return {BUILDKITD_TOML: buildkitd_toml(options).encode()}
    return {REGISTRIES_CONF: registries_conf(options).encode(), **certs_d(options)}


def certs_d(options: Sequence[RegistryOption]) -> dict[str, bytes]:
    """The certificates, where containers/image looks for those of a host, with their content."""
    return {
        f"certs.d/{option.host}/{name}": _read(file)
        for option in options
        for name, file in (("ca.crt", option.ca), ("client.cert", option.cert), ("client.key", option.key))
        if file
    }


def _quoted(text: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
