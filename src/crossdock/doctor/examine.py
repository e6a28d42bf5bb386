"""All that the doctor looks at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crossdock.doctor.apt_sources import check_apt_sources
from crossdock.doctor.diagnosis import Check, Diagnosis
from crossdock.doctor.distribution import identify
from crossdock.doctor.docker import check_docker, check_other_engines
from crossdock.doctor.emulation import check_emulation
from crossdock.doctor.facts import Facts
from crossdock.doctor.install import Source, install_plan
from crossdock.doctor.machine import check_machine, check_network
from crossdock.doctor.mirrors import Mirror, official
from crossdock.doctor.system import check_system
from crossdock.platforms import DEFAULT_TARGETS, Platform


def examine(
    facts: Facts,
    platforms: Sequence[Platform] = DEFAULT_TARGETS,
    interpreter: Path | None = None,
    *,
    mirror: Mirror | None = None,
    install: Source = Source.AUTO,
) -> Diagnosis:
    """Judge a machine by its facts: can it build and run ``platforms``? ``interpreter`` is an emulator on it that is to
    be registered. Docker, where it is missing, would come from ``install``, by ``mirror`` (None: its own). Pure."""
    distribution = identify(facts)
    mirror = mirror or official()
    checks: list[Check] = [*check_machine(facts), *check_system(facts, distribution)]
    checks += check_apt_sources(facts, distribution, mirror)
    plan = install_plan(facts, distribution, mirror=mirror, source=install)
    checks += [*check_docker(facts, distribution, plan), *check_other_engines(facts)]
    given = str(interpreter) if interpreter else ""
    checks += check_emulation(facts, platforms, distribution, interpreter=given)
    return Diagnosis(facts, distribution, (*checks, *check_network(facts)))
