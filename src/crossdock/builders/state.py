"""How the builders there are fare: what buildx says of each, and what its nodes say of themselves."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, replace

from crossdock.builders.builder import require
from crossdock.builders.nodes import Driver, NodeOption, ask, docker_words, latency, listed
from crossdock.engines.buildx import inspect_parts, plugin_version
from crossdock.engines.trouble import failure
from crossdock.errors import EngineError
from crossdock.platforms import Platform
from crossdock.process import Command, Runner

_SECONDS = 60.0
_OPTION = re.compile(r'(\S+?)="([^"\\]*)"')


@dataclass(frozen=True)
class NodeState:
    """``own`` is the platform of the node's machine, None where it did not say. ``latency`` is in milliseconds (see
    ``nodes.latency``). ``status`` is buildx's word: running, inactive, stopped; ``trouble`` why it cannot be used."""

    name: str
    endpoint: str
    status: str = ""
    buildkit: str = ""
    pinned: tuple[Platform, ...] = ()
    platforms: tuple[Platform, ...] = ()
    """All that BuildKit there can build for, pinned ones first."""
    own: Platform | None = None
    latency: float | None = None
    trouble: str = ""
    options: tuple[str, ...] = ()
    """The driver's (``cacert=/path``)."""

    @property
    def native(self) -> tuple[Platform, ...]:
        return tuple(platform for platform in self.platforms if self.own and platform.runs_natively_on(self.own))

    @property
    def emulated(self) -> tuple[Platform, ...]:
        """Empty where it is not known which are."""
        return tuple(platform for platform in self.platforms if self.own and not platform.runs_natively_on(self.own))


@dataclass(frozen=True)
class BuilderState:
    name: str
    driver: str
    nodes: tuple[NodeState, ...]
    current: bool = False
    trouble: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What will make builds slow or fail, one sentence each."""
        found = [
            f"{node.name} emulates {platform}, which is pinned on it"
            for node in self.nodes
            for platform in node.pinned
            if platform in node.emulated
        ]
        # Of a node in trouble buildx does not say what is pinned on it.
        loose = [node.name for node in self.nodes if not node.pinned and not node.trouble]
        if len(self.nodes) > 1 and loose:
            found.append(
                f"no platform is pinned on {', '.join(loose)}: BuildKit gives work to the first node that can do it, "
                "by emulation too"
            )
        return tuple(found)


def look(name: str | None, runner: Runner, *, timed: bool = True) -> tuple[BuilderState, ...]:
    """One builder, or all of them; the latency of their nodes only if ``timed``. Raises EngineError when there is none
    of that name, or buildx cannot be asked."""
    if name is not None:
        require(name, runner)
    names = _names(runner)
    wanted = [name] if name is not None else list(names)
    return tuple(_look(each, runner, current=names.get(each, False), timed=timed) for each in wanted)


def _names(runner: Runner) -> dict[str, bool]:
    """Builder → whether it is in use, of what ``buildx ls`` prints: nodes are set in."""
    if not runner.which("docker"):
        raise EngineError("Docker is not installed", hint="Builders are made with Docker's buildx; install Docker.")
    done = runner.run(Command(("docker", "buildx", "ls")), timeout=_SECONDS, check=False)
    if done.exit_code:
        plugin_version(runner)
        raise failure("buildx cannot list its builders", done.stderr.decode("utf-8", "replace").splitlines())
    return parse_names(done.text)


def parse_names(text: str) -> dict[str, bool]:
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        if words and not line[0].isspace() and "/NODE" not in words[0]:
            found[words[0].rstrip("*")] = words[0].endswith("*") or words[1:2] == ["*"]
    return found


def _look(name: str, runner: Runner, *, current: bool, timed: bool) -> BuilderState:
    done = runner.run(Command(("docker", "buildx", "inspect", name)), timeout=_SECONDS, check=False)
    if done.exit_code:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["buildx cannot inspect it"]
        return BuilderState(name, "", (), current, said[-1].removeprefix("ERROR: "))
    state = parse_builder_state(done.text, current=current)
    return replace(state, nodes=tuple(_asked(node, state.driver, runner, timed=timed) for node in state.nodes))


def parse_builder_state(text: str, *, current: bool = False) -> BuilderState:
    """What ``docker buildx inspect`` prints."""
    head, *parts = inspect_parts(text) or [{}]
    nodes = []
    for part in parts:
        platforms = part.get("Platforms", "")
        pinned = ",".join(word for word in platforms.split(",") if word.strip().endswith("*"))
        nodes.append(
            NodeState(
                part["Name"],
                part.get("Endpoint", ""),
                part.get("Status", ""),
                # Its name for this has changed: "Buildkit", then "BuildKit version".
                part.get("BuildKit version") or part.get("Buildkit version") or part.get("Buildkit", ""),
                listed(pinned),
                listed(platforms),
                trouble=part.get("Error", ""),
                options=tuple(f"{name}={value}" for name, value in _OPTION.findall(part.get("Driver Options", ""))),
            )
        )
    return BuilderState(
        head.get("Name", "default"), head.get("Driver", ""), tuple(nodes), current, head.get("Error", "")
    )


def _asked(node: NodeState, driver: str, runner: Runner, *, timed: bool) -> NodeState:
    """With what the node itself says. A node that does not answer keeps its trouble, or gets that as its trouble."""
    if driver not in {*Driver, "docker"} or node.endpoint.startswith("kubernetes"):
        return node
    kind = Driver.REMOTE if driver == Driver.REMOTE else Driver.CONTAINER
    try:
        answer = ask(NodeOption(node.endpoint), runner, driver=kind, options=node.options)
    except EngineError as error:
        said = ". ".join((error.what, *error.log[-1:]))
        # Over ssh Docker's own words are the whole command and all that ssh wrote.
        return replace(node, trouble=said if node.endpoint.startswith("ssh://") else node.trouble or said)
    return replace(
        node,
        own=answer.own,
        platforms=node.platforms or node.pinned or answer.platforms,
        latency=latency(_host(node.endpoint, runner), runner) if timed else None,
    )


def _host(endpoint: str, runner: Runner) -> str:
    """The address that a docker context stands for."""
    if "://" in endpoint:
        return endpoint
    command = (*docker_words("")[:1], "context", "inspect", endpoint, "--format", "{{json .Endpoints.docker.Host}}")
    with contextlib.suppress(EngineError, ValueError):
        return str(json.loads(runner.run(Command(command), timeout=_SECONDS).text))
    return ""
