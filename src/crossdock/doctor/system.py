"""What is said of the distribution: which one it is, what it derives from and why, and whether that has ended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from crossdock.doctor.diagnosis import Check, State, Topic
from crossdock.doctor.distribution import Base, Distribution
from crossdock.doctor.distribution_table import Release, table, takes_packages_of
from crossdock.doctor.facts import Facts

_SAME = {"centos-stream": "centos", "opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse"}
"""Distributions that are their base under another ID."""


def check_system(facts: Facts, distribution: Distribution, today: date | None = None) -> tuple[Check, ...]:
    """The doctor's lines on the distribution; ``today`` is the day to judge its end by, else this one."""
    checks = [_which(facts, distribution)]
    if distribution.base:
        checks.extend(_end(distribution, distribution.base, today or date.today()))
    return tuple(checks)


def _which(facts: Facts, distribution: Distribution) -> Check:
    base = distribution.base
    if base is None:
        state = State.NOTE if distribution.known else State.UNKNOWN
        what = f"This is {distribution.name}; no distribution is known that packages could be taken from."
        hint = (
            "" if distribution.known else "Send /etc/os-release and /proc/version with an issue, so that it gets known."
        )
    elif not distribution.known:
        state = State.WARNING
        what = f"{distribution.name} is not in the catalogue; it is taken to be made from {base.name}."
        hint = "Check the evidence before packages of that distribution are installed."
    else:
        state = State.GOOD
        what = f"This is {distribution.name}"
        if is_derived(distribution, base):
            what += f", which is made from {base.name}"
        if distribution.compatible:
            what += f"; packages for {distribution.compatible.name} should run here too"
        what += "."
        hint = ""
    evidence = [*distribution.reasons]
    if facts.container:
        evidence.append(
            f"this is inside a container ({facts.container}), so the kernel is the host's and was not asked"
        )
    if distribution.source:
        evidence.append(f"known from {distribution.source}")
    return Check("distribution", Topic.SYSTEM, state, what, tuple(evidence), hint)


def is_derived(distribution: Distribution, base: Base) -> bool:
    """Whether it is another distribution than its base, rather than the base under another ID."""
    return _SAME.get(distribution.id, distribution.id) != base.id


def _end(distribution: Distribution, base: Base, today: date) -> Iterator[Check]:
    """Nothing as long as the base gets free security updates, or where its end is not known."""
    release = table().release(f"{base.id} {base.version}")
    if release.ends is None or release.ends >= today:
        return
    derived = is_derived(distribution, base)
    moved = f", and its packages have moved to {release.moved}" if release.moved else ""
    yield Check(
        "end-of-life",
        Topic.SYSTEM,
        State.NOTE if derived else State.WARNING,
        f"{base.name}{', its base,' if derived else ''} has had no free security updates since {release.ends}{moved}.",
        (f"known from {release.source}",),
        _hint(distribution, release, derived),
    )


def _hint(distribution: Distribution, release: Release, derived: bool) -> str:
    if derived:
        whose = f"{distribution.name} itself may still be maintained by its vendor"
        return f"{whose}; sources of its base have to name {release.moved}." if release.moved else f"{whose}."
    if release.moved:
        folder = "/etc/apt" if "apt-get" in takes_packages_of(release.id) else "/etc/yum.repos.d"
        return f"Upgrade to a release that is maintained, or name {release.moved} in {folder}."
    return "Upgrade to a release that is maintained."
