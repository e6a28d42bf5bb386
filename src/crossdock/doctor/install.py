"""How Docker gets onto a machine that has none: from where, why from there, and the steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from crossdock.doctor.distribution import Distribution, install_words, own_packages
from crossdock.doctor.docker_table import Offer, offer, own_comes_first, static
from crossdock.doctor.engine_steps import NOBODY_STARTS, group_step, service_step
from crossdock.doctor.facts import Facts
from crossdock.doctor.mirrors import Mirror
from crossdock.doctor.repository_steps import repository_steps
from crossdock.doctor.static_steps import SHA256, static_steps
from crossdock.doctor.system import is_derived
from crossdock.host.package_steps import install_step
from crossdock.host.steps import Step
from crossdock.platforms import Platform


class Source(StrEnum):
    """Where Docker comes from."""

    AUTO = "auto"
    """The first of the others that has it for this machine."""
    DOCKER = "docker"
    """Docker's package repository, or a mirror of it."""
    DISTRIBUTION = "distribution"
    """The distribution's own archive: Docker under whatever name, else podman and buildah."""
    STATIC = "static"
    """Docker's static programs, unpacked into /usr/local/bin."""


@dataclass(frozen=True)
class InstallPlan:
    """``what`` says in one sentence from where and why from there; ``notes`` what a reader should know besides.

    ``steps`` are empty where there is nothing to install from, which ``what`` says then. ``source`` is what was chosen,
    never AUTO unless nothing could be; ``asked`` tells that somebody named it.
    """

    source: Source
    what: str
    steps: tuple[Step, ...] = ()
    notes: tuple[str, ...] = ()
    asked: bool = False


def install_plan(facts: Facts, distribution: Distribution, *, mirror: Mirror, source: Source) -> InstallPlan:
    """The steps by which this machine gets Docker. Pure.

    Docker's repository comes first, with the packages for the base, then with those for a distribution whose packages
    run here too; then the distribution's own Docker, podman and buildah; then Docker's static programs.
    """
    asked = source is not Source.AUTO
    if facts.container and not asked:
        what = f"This is inside a container ({facts.container}): Docker belongs on its host."
        return InstallPlan(source, what)
    wanted = [source] if asked else [Source.DOCKER, Source.DISTRIBUTION, Source.STATIC]
    planned = (_PLANNERS[one](facts, distribution, mirror, asked) for one in wanted)
    plan = next((plan for plan in planned if plan), None)
    if plan:
        return plan
    where = {
        Source.AUTO: "Neither Docker nor the distribution is known to have packages",
        Source.DOCKER: "Docker's repository has no packages",
        Source.DISTRIBUTION: "The distribution is not known to have packages of Docker, podman or buildah",
        Source.STATIC: "Docker has no static programs",
    }[source]
    return InstallPlan(source, f"{where} for {distribution.name} on {_platform(facts)}.", asked=asked)


def _offer_for(distribution: Distribution, platform: Platform, *, asked: bool = False) -> Offer | None:
    """What Docker's repository has for this machine: for its base, else for a distribution whose packages run here too.
    The latter is not taken where the distribution's own Docker is good, unless it was ``asked`` for."""
    found = offer(distribution.base, platform)
    if found is None and (asked or not own_comes_first(distribution.id)):
        found = offer(distribution.compatible, platform)
    return found


def _from_docker(facts: Facts, distribution: Distribution, mirror: Mirror, asked: bool) -> InstallPlan | None:
    platform = _platform(facts)
    found = _offer_for(distribution, platform, asked=asked)
    words = install_words(distribution)
    if found is None or not words:
        return None
    what = f"Docker comes from {mirror}, with the packages for {found.base.name} on {platform}"
    derived = is_derived(distribution, found.base)
    if distribution.base and found.base.id != distribution.base.id:
        what += f": there are none for {distribution.base.name}, and these run here too"
    elif derived:
        what += f", which {distribution.name} is made from"
    steps = repository_steps(found, platform, mirror.address, words, tuple(facts.packages))
    notes = [mirror.why] if mirror.why else []
    if found.last:
        notes.append(f"Docker {found.last} is the last for {found.base.name}; it gets no updates any more.")
    if derived:
        notes.append("Docker does not test its packages on derived distributions.")
    return _finished(facts, InstallPlan(Source.DOCKER, f"{what}.", steps, tuple(notes), asked))


def _from_distribution(facts: Facts, distribution: Distribution, _mirror: Mirror, asked: bool) -> InstallPlan | None:
    own = own_packages(distribution, _platform(facts).architecture)
    words = install_words(distribution)
    names = f"{own.engine} {own.buildx}" if own.engine else f"{own.podman} {own.buildah}"
    packages = names.split()
    if not packages or not words:
        return None
    engine = "Docker" if own.engine else " and ".join(packages)
    id = "install-docker" if own.engine else "install-podman"
    check = "docker --version" if own.engine else " && ".join(f"{name} --version" for name in packages)
    why = f"The names are known from {own.source}."
    step = install_step(id, why, packages, words, check=check)
    what = f"{engine} comes from the packages of {distribution.name}"
    if not asked:
        what += f", as Docker's repository has none for it on {_platform(facts)}"
    plan = InstallPlan(Source.DISTRIBUTION, f"{what}.", (step,), (), asked)
    return _finished(facts, plan) if own.engine else plan


def _from_static(facts: Facts, distribution: Distribution, mirror: Mirror, asked: bool) -> InstallPlan | None:
    platform = _platform(facts)
    programs = static(platform)
    # Where there is no usual package manager, /usr/local/bin and /etc/systemd may not be anybody's to write (NixOS).
    if programs is None or facts.init != "systemd" or not (asked or facts.package_managers):
        return None
    what = f"Docker {programs.version} comes as static programs for {platform} from {mirror}"
    if not asked:
        what += f", as no packages are known for {distribution.name}"
    notes = (
        f"Docker publishes no checksum of them: give one in {SHA256}, else the script stops and tells what it got.",
        "Nobody updates them, and buildx is not among them: https://github.com/docker/buildx/releases has it.",
    )
    plan = InstallPlan(Source.STATIC, f"{what}.", static_steps(programs, mirror.address), notes, asked)
    return _finished(facts, plan)


_PLANNERS = {
    Source.DOCKER: _from_docker,
    Source.DISTRIBUTION: _from_distribution,
    Source.STATIC: _from_static,
}


def _finished(facts: Facts, plan: InstallPlan) -> InstallPlan:
    """What follows any installation of Docker: it is started, at boot too, and who asked may use it."""
    service = service_step(facts.init)
    group = group_step(facts.user)
    steps = [step for step in (service, group) if step]
    return InstallPlan(
        plan.source, plan.what, (*plan.steps, *steps), (*plan.notes, *_ending_notes(service, group)), plan.asked
    )


def _ending_notes(service: Step | None, group: Step | None) -> Iterator[str]:
    if service is None:
        yield NOBODY_STARTS
    if group:
        yield "Who is in the group docker can become root; it counts from the next login."


def _platform(facts: Facts) -> Platform:
    """The one whose packages are installed."""
    return facts.userland or facts.platform
