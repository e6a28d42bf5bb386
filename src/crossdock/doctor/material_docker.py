"""What Docker's client and daemon said to the collector, and which registries the machine's settings name."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from crossdock.doctor.facts import BuilderFacts, DockerFacts, Program
from crossdock.doctor.version import find_version

if TYPE_CHECKING:
    from crossdock.doctor.material import Material


def read_docker(material: Material, programs: Mapping[str, Program]) -> DockerFacts | None:
    """None where there is no ``docker``."""
    client = programs.get("docker")
    if client is None:
        return None
    introduced = material.said("docker --version")
    version, info = _json(material, "docker version"), _json(material, "docker info")
    own, server = _object(version, "Client"), _object(version, "Server")
    version_here = find_version(str(own.get("Version") or introduced))
    answered = str(info.get("ServerVersion") or server.get("Version") or "")
    security = info.get("SecurityOptions") or []
    status = info.get("DriverStatus") or []
    values = material.values
    return DockerFacts(
        client=Program(client.path, version_here),
        server=answered,
        trouble="" if answered else _trouble(material, info),
        storage_driver=str(info.get("Driver") or ""),
        containerd_store=["driver-type", "io.containerd.snapshotter.v1"] in status,
        experimental=bool(info.get("ExperimentalBuild")),
        client_experimental=own.get("Experimental") is True
        or "docker-config-experimental" in values
        or material.environment.get("DOCKER_CLI_EXPERIMENTAL") == "enabled",
        buildx=_buildx(material),
        builders=tuple(_builders(material)),
        socket_writable=_socket(material),
        rootless=any("rootless" in str(option) for option in security),
        images=info.get("Images") if answered else None,
        live_restore=bool(info.get("LiveRestoreEnabled")),
        daemon_json=material.files.get("/etc/docker/daemon.json"),
        config_json=values.get("docker-config"),
        proxy=str(info.get("HttpsProxy") or info.get("HttpProxy") or ""),
        is_podman="podman" in introduced.lower(),
    )


def _json(material: Material, command: str) -> dict[str, Any]:
    """An answer in JSON; empty for one in words, as of a client that knows no ``--format``, and of podman."""
    answer = material.commands.get(command)
    try:
        found = json.loads(answer.output) if answer else None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _object(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _trouble(material: Material, info: Mapping[str, Any]) -> str:
    """Why no daemon answered, in its client's words."""
    told = [str(error) for error in info.get("ServerErrors") or ()]
    for command in ("docker info", "docker version"):
        answer = material.commands.get(command)
        if answer and answer.exit_code == 137 and not answer.errors:
            told.append("the daemon did not answer within 10 seconds")
        elif answer:
            told += answer.errors.splitlines()
    return next((line.strip() for line in told if line.strip() and not line.startswith("errors pretty")), "")


def _buildx(material: Material) -> str:
    found = re.search(r"v?(\d+\.\d+\.\d+)", material.said("docker buildx version"))
    return found[1] if found else ""


def _socket(material: Material) -> bool | None:
    """Whether the user, not root for whom sudo asked, may write to the daemon's socket."""
    mode, uid, gid = [*material.values.get("socket-mode", "").split(), "", "", ""][:3]
    if len(mode) < 10:
        return None
    if material.values.get("uid") != "0":
        return "socket-writable" in material.values
    groups = material.values.get("group-ids", "").split()
    user = material.values.get("user-uid")
    if user in ("0", uid):
        return True
    return mode[8] == "w" or (gid in groups and mode[5] == "w")


def _builders(material: Material) -> Iterator[BuilderFacts]:
    """The table of ``docker buildx ls``: a line for a builder, and indented ones for its nodes. A star marks the
    builder in use, and a platform that was pinned."""
    found: list[BuilderFacts] = []
    nodes: list[list[str]] = []
    answer = material.commands.get("docker buildx ls")
    for line in answer.output.splitlines()[1:] if answer else ():
        if not line.strip():
            continue
        if line[0].isspace() or line.startswith("\\_"):
            if nodes:
                nodes[-1].append(line.strip().removeprefix("\\_").strip())
            continue
        name, *rest = line.split()
        current = name.endswith("*") or rest[:1] == ["*"]
        rest = rest[1:] if rest[:1] == ["*"] else rest
        failed = rest[-1:] == ["error"]
        driver = rest[0] if rest and not failed else ""
        found.append(BuilderFacts(name.rstrip("*"), driver, "error" if failed else "", current=current))
        nodes.append([])
    errors = _errors_of_builders(answer.errors if answer else "")
    for builder, lines in zip(found, nodes, strict=True):
        yield _with_nodes(builder, lines, errors.get(builder.name, ""))


def _with_nodes(builder: BuilderFacts, lines: list[str], error: str) -> BuilderFacts:
    """``builder0 unix:///var/run/docker.sock running v0.11.6 linux/amd64*, linux/arm64``; a status may be missing."""
    platforms: list[str] = []
    statuses: list[str] = []
    for line in lines:
        words = line.split()
        platforms += [word.rstrip(",") for word in words if "/" in word and re.match(r"(linux|windows|darwin)/", word)]
        statuses += [word for word in words[1:] if word in ("running", "inactive", "stopped", "error", "paused")][:1]
    status = builder.status or next((status for status in statuses if status != "running"), *statuses[:1] or [""])
    return BuilderFacts(
        builder.name,
        builder.driver,
        status,
        max(1, len(lines)),
        tuple(dict.fromkeys(platforms)),
        builder.current,
        error,
    )


def _errors_of_builders(text: str) -> dict[str, str]:
    return dict(re.findall(r"Cannot load builder ([^:\s]+): (.+)", text))


# --- registries ------------------------------------------------------------------------------------------------------


def read_registries(material: Material) -> tuple[str, ...]:
    """Registries and mirrors that settings of Docker, BuildKit and podman name, each once."""
    found: list[str] = []
    try:
        daemon = json.loads(material.files.get("/etc/docker/daemon.json") or "{}")
    except ValueError:
        daemon = {}
    if isinstance(daemon, dict):
        for key in ("registry-mirrors", "insecure-registries"):
            found += [str(entry) for entry in daemon.get(key) or ()]
    for path, text in material.files.items():
        if path.endswith(".toml") or "registries.conf" in path:
            found += _in_toml(text)
    for path, names in material.folders.items():
        if path.endswith("/certs.d"):
            found += names.split("\n")
    hosts = (entry.split("://")[-1].rstrip("/") for entry in found)
    return tuple(dict.fromkeys(host for host in hosts if host))


def _in_toml(text: str) -> Iterator[str]:
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    tables = settings.get("registry")
    if isinstance(tables, dict):  # buildkitd.toml
        for host, table in tables.items():
            yield host
            yield from map(str, table.get("mirrors", ()) if isinstance(table, dict) else ())
    elif isinstance(tables, list):  # registries.conf, version 2
        for table in filter(lambda entry: isinstance(entry, dict), tables):
            yield str(table.get("location") or table.get("prefix") or "")
            yield from (str(mirror.get("location", "")) for mirror in table.get("mirror", ()))
    yield from map(str, settings.get("unqualified-search-registries", ()))
