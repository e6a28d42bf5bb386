"""Where the image of each platform is run: on a node of its own architecture where one is given, else on this machine,
which may have to emulate it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from crossdock.engines.containers import ContainerEngine, EngineFacts
from crossdock.errors import EngineError
from crossdock.host.binfmt import Problem, check_emulation
from crossdock.platforms import Platform
from crossdock.process import Runner


@dataclass(frozen=True)
class Place:
    """An engine that has answered. ``node`` is the address of the machine it is on, empty for this one."""

    engine: ContainerEngine
    facts: EngineFacts
    node: str = ""

    def words(self, platform: Platform) -> str:
        """How a platform runs here, for messages: ``natively on ssh://arm``, ``emulated``."""
        way = "natively" if platform.runs_natively_on(self.facts.host) else "emulated"
        return f"{way} on {self.node}" if self.node else way


@dataclass
class Places:
    """``here`` is this machine's engine, or why it has none. What it emulates is asked once for each platform."""

    nodes: Sequence[Place]
    here: Place | EngineError
    runner: Runner
    _asked: dict[Platform, Problem | None] = field(default_factory=dict)

    def of(self, platform: Platform) -> Place:
        """Raises EngineError where this platform can be run nowhere."""
        for node in self.nodes:
            if platform.runs_natively_on(node.facts.host):
                return node
        if isinstance(self.here, EngineError):
            raise self.here
        if self.here.facts.shares_kernel:
            if platform not in self._asked:
                found = check_emulation((platform,), self.runner, host=self.here.facts.host)
                self._asked[platform] = found[0] if found else None
            if problem := self._asked[platform]:
                raise EngineError(problem.what, hint=problem.hint)
        return self.here


def node_places(addresses: Iterable[str], runner: Runner) -> tuple[Place, ...]:
    """The Docker behind each address. Raises UsageError for what is no address, EngineError, with what ssh or Docker
    said, where one does not answer."""
    from crossdock.builders.nodes import ask, docker_words, parse_node
    from crossdock.engines.docker_run import DockerRun

    found = []
    for option in map(parse_node, addresses):
        ask(option, runner)
        engine = DockerRun("docker", runner, docker_words(option.address))
        found.append(Place(engine, engine.probe(), option.address))
    return tuple(found)
