"""How Docker gets onto a machine that has none: from where, why from there, and the steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossdock.doctor.diagnosis import Check
from crossdock.doctor.distribution import Distribution
from crossdock.doctor.facts import Facts
from crossdock.doctor.mirrors import Mirror
from crossdock.host.steps import Step


class Source(StrEnum):
    """Where Docker comes from."""

    AUTO = "auto"
    """The first of the others that has it for this machine."""
    DOCKER = "docker"
    """Docker's package repository, or a mirror of it."""
    DISTRIBUTION = "distribution"
    """The distribution's own archive."""
    STATIC = "static"
    """Docker's static programs, unpacked into /usr/local/bin."""


@dataclass(frozen=True)
class InstallPlan:
    """``what`` says in one sentence from where and why from there; ``notes`` what a reader should know besides.
    ``steps`` are empty where there is nothing to install from, which ``what`` says then."""

    source: Source
    what: str
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()


def install_plan(facts: Facts, distribution: Distribution, *, mirror: Mirror, source: Source) -> InstallPlan:
    """The steps by which this machine gets Docker."""
    raise NotImplementedError


def check_docker_installed(facts: Facts, distribution: Distribution, plan: InstallPlan) -> Check:
    """Whether there is an engine, and what would bring one."""
    raise NotImplementedError
