"""What engines say when they fail, turned into what happened and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from crossdock.engines.model import BuildEvent
from crossdock.errors import EngineError

LAST_LINES = 20
"""How many lines of a failed step an error carries."""


@dataclass(frozen=True)
class Trouble:
    pattern: re.Pattern[str]
    what: str
    hint: str


def _trouble(pattern: str, what: str, hint: str) -> Trouble:
    return Trouble(re.compile(pattern, re.IGNORECASE), what, hint)


_DAEMON = (
    _trouble(
        r"permission denied.*(docker.*sock|daemon)|docker\.sock.*permission denied",
        "this user may not use Docker's socket",
        "Run `sudo usermod -aG docker $USER` and log in again, or use --engine buildah, which needs no daemon.",
    ),
    _trouble(
        r"cannot connect to the docker daemon|error during connect|is the docker daemon running"
        r"|failed to connect to the docker api",
        "Docker is installed, but its daemon does not answer",
        "Start it with `sudo systemctl start docker`, or check DOCKER_HOST and `docker context ls`.",
    ),
    _trouble(
        r"client version .* is too (old|new)",
        "Docker's client and daemon do not speak the same version of its API",
        "Use the client that belongs to the daemon, or set DOCKER_API_VERSION.",
    ),
)
_ANY = (
    _trouble(
        r"no space left on device|disk quota exceeded|io: read/write on closed pipe",
        "the disk is full",
        "Free some space (`docker system df`, `buildah images`), or point TMPDIR at a larger disk, and build again.",
    ),
    _trouble(
        r"exec format error",
        "a program of another architecture was started, and nothing here can run it",
        "If this platform is emulated, run `crossdock build --fix-binfmt`; else the program is for another one.",
    ),
    _trouble(
        r"toomanyrequests|429 too many requests",
        "the registry limits requests",
        "Log in with `docker login`, or wait and build again.",
    ),
    _trouble(
        r"no match for platform|no image found in (manifest list|image index) for architecture"
        r"|does not provide the specified platform",
        "the base image does not exist for this platform",
        "Choose a base image or a tag that has it.",
    ),
    _trouble(
        r"unauthorized|authentication required|pull access denied|insufficient_scope|denied: requested access",
        "the registry did not let the base image be pulled",
        "Check the image's name, and log in to its registry (`docker login`, `buildah login`).",
    ),
    _trouble(
        r"\bsh: (line )?(\d+: )?\S+: not found$|: command not found$",
        "a program that RUN starts is not there",
        "Install it in an earlier instruction, or check its name and path.",
    ),
    _trouble(
        r"manifest unknown|: not found$|name unknown|repository does not exist",
        "something that the Dockerfile names was not found",
        "Check the names and tags in FROM and COPY --from.",
    ),
    _trouble(
        r"no such host|i/o timeout|connection refused|network is unreachable|tls handshake timeout",
        "the network did not answer",
        "Check that registry and servers can be reached from here, and the proxy settings.",
    ),
    _trouble(
        r"\boom[- ]?kill|signal: killed|exit code: 137|exit status 137|cannot allocate memory",
        "a program was killed, most likely because memory ran out",
        "Give the machine more memory or swap, or run fewer jobs in parallel.",
    ),
)
_SSH = (
    ("permission denied (", "Put your key there with `ssh-copy-id`, or give it to the agent with `ssh-add`."),
    ("has changed and", "Find out why the host has another key now, before you remove the old one (`ssh-keygen -R`)."),
    ("host key verification failed", "Run it once by hand, and compare the key that the host shows."),
    ("not found", "Install Docker there, in a folder that a shell without login has in its PATH."),
)
"""What ssh says, and the next step."""
_SSH_ENDED = re.compile(r"command \[(ssh .*?)\] has exited with .*?stderr=(.*)", re.DOTALL)
"""How Docker tells that its connection over ssh has ended (docker/cli, cli/connhelper/commandconn)."""


def ssh_trouble(lines: Iterable[str]) -> Trouble | None:
    """Why Docker did not reach the Docker of another machine over ssh, if it is that."""
    found = _SSH_ENDED.search("\n".join(lines))
    if not found:
        return None
    said = [line.strip().removeprefix("ssh: ") for line in found[2].splitlines() if line.strip()] or ["ssh has ended"]
    advice, line = next(
        ((advice, line) for words, advice in _SSH for line in said if words in line.lower()),
        ("Check the address, and that the machine runs and can be reached from here.", said[0]),
    )
    # The same, without the options that only Docker needs, as a question that a person would ask.
    asked = re.sub(r" -o \S+| -T\b| --(?= )", "", found[1]).replace("system dial-stdio", "version")
    hint = f"`{asked}` has to work without asking for anything. {advice}"
    return Trouble(_SSH_ENDED, f"ssh does not reach a Docker there: {line}", hint)


def daemon_trouble(lines: Iterable[str]) -> Trouble | None:
    """Why the Docker client got no answer from its daemon, if it is that."""
    return _first(_DAEMON, lines)


def diagnose(lines: Iterable[str]) -> Trouble | None:
    """The first known trouble that these lines tell of."""
    return _first(_DAEMON + _ANY, lines)


def _first(known: tuple[Trouble, ...], lines: Iterable[str]) -> Trouble | None:
    text = list(lines)
    return ssh_trouble(text) or next(
        (entry for entry in known if any(entry.pattern.search(line) for line in text)), None
    )


def failed_step(step: BuildEvent) -> str:
    """``the build failed on linux/arm64 in stage build at `RUN make```."""
    platform = f" on {step.platform}" if step.platform else ""
    stage = f" in stage {step.stage}" if step.stage else ""
    return f"the build failed{platform}{stage} at `{step.name}`"


def failure(what: str, lines: Iterable[str], *, where: str | None = None, hint: str | None = None) -> EngineError:
    """An error of an engine with its last lines, and with the cause and the next step where those are known."""
    log = tuple(line.rstrip() for line in lines if line.strip())[-LAST_LINES:]
    known = diagnose(log)
    if known:
        what, hint = f"{what}: {known.what}", known.hint
    return EngineError(what, where=where, hint=hint, log=log)
