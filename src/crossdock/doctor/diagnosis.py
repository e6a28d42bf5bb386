"""What the doctor says: one ``Check`` for each thing that was looked at, with the steps that would mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossdock.doctor.distribution import Distribution
from crossdock.doctor.facts import Facts
from crossdock.host.steps import Step


class Topic(StrEnum):
    """In the order in which they are told."""

    MACHINE = "machine"
    SYSTEM = "system"
    DOCKER = "docker"
    OTHER_ENGINES = "other engines"
    EMULATION = "emulation"
    NETWORK = "network"


class State(StrEnum):
    GOOD = "good"
    NOTE = "note"
    """Nothing is wrong, but it is good to know (a 64 KiB page size)."""
    WARNING = "warning"
    """It works, but something will go wrong sooner or later."""
    PROBLEM = "problem"
    """Building or running Arm images does not work until this is mended."""
    UNKNOWN = "unknown"
    """It could not be found out; ``what`` says why."""


@dataclass(frozen=True)
class Check:
    """One line of the report. ``id`` is kebab-case and stable, for programs; ``what`` is one sentence about this
    machine, with its figures; ``evidence`` holds what it was concluded from, one fact a line."""

    id: str
    topic: Topic
    state: State
    what: str
    evidence: tuple[str, ...] = ()
    hint: str = ""
    """The next thing to do by hand; empty where nothing needs doing."""
    steps: tuple[Step, ...] = ()
    """What ``--fix`` would do about it, in order."""
    notes: tuple[str, ...] = ()
    """What who reads the steps should know."""


@dataclass(frozen=True)
class Diagnosis:
    facts: Facts
    distribution: Distribution
    checks: tuple[Check, ...]

    def count(self, state: State) -> int:
        return sum(check.state is state for check in self.checks)

    @property
    def healthy(self) -> bool:
        """Whether Arm images can be built and run here as it is."""
        return not self.count(State.PROBLEM)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All that would be done, each once (by id), in the order of the checks."""
        return tuple({step.id: step for check in self.checks for step in check.steps}.values())

    @property
    def notes(self) -> tuple[str, ...]:
        """What who reads the steps should know, each once."""
        return tuple(dict.fromkeys(note for check in self.checks for note in check.notes))


def sentence(words: str) -> str:
    """With a capital at its beginning and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."
