"""Steps that change Docker's settings: keys of the daemon's daemon.json, and the client's experimental flag.

The files are changed on the machine itself, by a small editor in awk (json.sh): what doctor knows of them comes
without credentials, and a script may be carried to a machine that has neither Python nor jq. It adds and replaces keys
and keeps every other byte. Source: https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

from crossdock.errors import InputError
from crossdock.host.steps import Step

DAEMON_JSON = Path("/etc/docker/daemon.json")
RESTARTED = "Docker, and with it its containers"
_RESTARTED_LIVE = "Docker for a moment (its containers go on: live-restore)"

_STORE_CHECK = "docker info --format '{{json .DriverStatus}}' | grep -q io.containerd.snapshotter.v1"
_EXPERIMENTAL_CHECK = "docker version --format '{{.Server.Experimental}}' | grep -qx true"

Json = bool | int | str | list["Json"] | Mapping[str, "Json"]


def check_json(text: str, where: str) -> None:
    """Raises InputError, with line and column, if ``text`` is no JSON object. An empty file is one without keys."""
    if not text.strip():
        return
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"this is no valid JSON: {error.msg}",
            where=f"{where}:{error.lineno}:{error.colno}",
            hint="Mend it by hand, or move it away. Docker does not start with it as it is.",
        ) from error
    if not isinstance(value, dict):
        raise InputError("a JSON object is expected", where=f"{where}:1:1", hint="It begins with { and ends with }.")


def daemon_settings(
    settings: Mapping[str, Json],
    *,
    id: str,
    title: str,
    why: str,
    check: str,
    live_restore: bool = False,
    restarts: str = "",
    file: Path = DAEMON_JSON,
    service: str = "docker",
) -> Step:
    """A step that adds ``settings`` to daemon.json, restarts the daemon, and asks it by ``check`` (a test in shell).

    Objects are merged, lists united, other values replaced. A file that is no JSON is left alone; the step fails and
    names line and column. ``restarts`` says what is interrupted if it is not simply the containers.
    """
    arguments = f"{shlex.quote(str(file))} {shlex.quote(json.dumps(settings))}"
    return Step(
        id=id,
        title=title,
        why=why,
        done=f"has_json {arguments}\n{check}",
        run=f"merge_json {arguments}\nservice restart {service}",
        check=f"answers() {{\n{check}\n}}\nsoon answers",
        restarts=restarts or (_RESTARTED_LIVE if live_restore else RESTARTED),
    )


def containerd_store(*, file: Path = DAEMON_JSON, service: str = "docker") -> Step:
    """Switch Docker 24 or newer to the containerd image store.

    Source: https://docs.docker.com/engine/storage/containerd/. Images and containers of the classic store stay on disk
    and are shown again when it is switched back.
    """
    return daemon_settings(
        {"features": {"containerd-snapshotter": True}},
        id="docker-containerd-store",
        title="Switch Docker to the containerd image store",
        why="Only this store holds images of several platforms. Images and containers of the classic store stay on "
        "disk, and are not shown until it is switched back.",
        check=_STORE_CHECK,
        restarts="Docker, stops its containers, and hides them and all present images until it is switched back",
        file=file,
        service=service,
    )


def daemon_experimental(*, live_restore: bool = False, file: Path = DAEMON_JSON, service: str = "docker") -> Step:
    """Switch on the daemon's experimental features, which ``docker pull``, ``run`` and ``build`` want for
    ``--platform`` before Docker 20.10 (their error message says so; docker/cli#3821)."""
    return daemon_settings(
        {"experimental": True},
        id="docker-daemon-experimental",
        title="Switch on the Docker daemon's experimental features",
        why="Before Docker 20.10, `docker pull`, `run` and `build` take --platform only with them.",
        check=_EXPERIMENTAL_CHECK,
        live_restore=live_restore,
        file=file,
        service=service,
    )


def client_experimental(user: str, *, home: str = "") -> Step:
    """Switch on the experimental features of a user's Docker client, which buildx needs before 20.10
    (docker/docker-ce-packaging#490). ``home`` is the folder that holds .docker, the user's own where it is not given.

    The file holds credentials; nothing of it is shown, and its backup has its owner and mode.
    """
    words = shlex.quote(user)
    find = f"home={shlex.quote(home)}" if home else f"home=~{words}"
    addition = """'{"experimental": "enabled"}'"""
    return Step(
        id="docker-client-experimental",
        title=f"Switch on the experimental features of {user}'s Docker client",
        why="Before Docker 20.10 its client does not know buildx without them.",
        done=f'{find}\nhas_json "$home/.docker/config.json" {addition}',
        run=f"""{find}
if [ ! -d "$home" ]; then fail "the home folder of "{words}" is not known"; fi
config=$home/.docker/config.json
there=$(if [ -e "$config" ]; then echo yes; fi)
folder=$(if [ -d "$home/.docker" ]; then echo yes; fi)
umask 077
merge_json "$config" {addition} 600
if [ -z "$folder" ]; then chown {words}: "$home/.docker"; fi
if [ -z "$there" ]; then chown {words}: "$config"; fi""",
    )
