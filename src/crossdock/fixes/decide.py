"""Choosing a fix for each finding: candidates are held against the real world, and the evidence is kept."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

from crossdock.errors import CrossdockError
from crossdock.findings import Claim, Finding, Fix, Safety
from crossdock.fixes.checksum_list import digest_in
from crossdock.http.evidence import Evidence, EvidenceStatus
from crossdock.rules.upstream import published_checksums
from crossdock.source import Edit

CONCURRENT_PROBES = 8
"""Enough to hide latency; few enough that no server takes it for an attack."""

NO_FIX = "there is no automatic fix for this"


class Prober(Protocol):
    """What asks the outside world. ``http.evidence.WebProber`` is the real one."""

    def exists(self, url: str) -> Evidence:
        """Whether the URL answers with a file. Never raises for network trouble: that is EvidenceStatus.UNKNOWN."""
        ...

    def fetch_digest(self, url: str, algorithm: str = "sha256") -> str:
        """The hex digest of what the URL serves. Raises CrossdockError."""
        ...

    def fetch_text(self, url: str) -> str | None:
        """What a small file says; None where it cannot be had. Never raises for network trouble."""
        ...


@dataclass(frozen=True)
class Decision:
    """What is to be done about one finding.

    ``fix`` is the chosen candidate with its final safety (None: there is no candidate, or none can be right) and
    ``reason`` says in words why it is unsafe or missing. ``evidence`` is everything that was looked up on the way.
    """

    finding: Finding
    fix: Fix | None
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()
    main: Decision | None = None
    """Of a finding that is mended together with another one: what is to be done about that."""


def decide(findings: Sequence[Finding], prober: Prober | None) -> tuple[Decision, ...]:
    """One decision per finding, in the same order. Without a prober (offline) nothing is looked up, and every fix that
    claims something about the outside world is unsafe."""
    if prober is None:
        return _with_main([_offline(finding) for finding in findings])
    with ThreadPoolExecutor(CONCURRENT_PROBES, thread_name_prefix="probe") as pool:
        return _with_main(list(pool.map(lambda finding: _decide_one(finding, prober), findings)))


def _with_main(decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """What goes with another finding says so, and why that is not mended."""
    found: list[Decision] = []
    for decision in decisions:
        main = next((other for other in decisions if _is_part(decision.finding, other.finding)), None)
        if main:
            which = f"{main.finding.rule} in line {main.finding.location.line}"
            reason = f"it is mended with {which}" if main.fix else f"it goes with {which}, for which there is no fix"
            decision = replace(decision, reason=reason, main=main)
        found.append(decision)
    return tuple(found)


def _is_part(finding: Finding, main: Finding) -> bool:
    place, other = finding.part_of, main.location
    if place is None or finding is main or place.path != other.path:
        return False
    return other.span.start < place.span.end and place.span.start < other.span.end


def _decide_one(finding: Finding, prober: Prober) -> Decision:
    if not finding.fixes:
        return Decision(finding, None, NO_FIX)
    seen: list[Evidence] = []
    unproven: Fix | None = None
    for fix in finding.fixes:
        evidence = [prober.exists(claim.url) for claim in fix.claims]
        seen += evidence
        if all(item.status is EvidenceStatus.FOUND for item in evidence):
            try:
                return Decision(finding, _fill_in_digests(fix, prober), _why_unsafe(fix), tuple(seen))
            except CrossdockError as error:
                return Decision(finding, None, f"the checksum could not be computed: {error.what}", tuple(seen))
        if unproven is None and not any(item.status is EvidenceStatus.MISSING for item in evidence):
            unproven = fix
    if unproven is None:
        return Decision(finding, None, "no arm64 counterpart was found under any name that is usual", tuple(seen))
    troubled = next(item for item in seen if item.status is EvidenceStatus.UNKNOWN)
    why = f"{troubled.url} could not be looked up ({troubled.detail})"
    if _needs_digest(unproven):
        return Decision(finding, None, f"{why}, so its checksum is not known", tuple(seen))
    return Decision(finding, replace(unproven, safety=Safety.UNSAFE), why, tuple(seen))


def _offline(finding: Finding) -> Decision:
    if not finding.fixes:
        return Decision(finding, None, NO_FIX)
    for fix in finding.fixes:
        if not fix.claims:
            return Decision(finding, fix, _why_unsafe(fix))
    fix = finding.fixes[0]
    if _needs_digest(fix):
        return Decision(finding, None, f"offline: the checksum of {fix.claims[0].url} is not known")
    return Decision(finding, replace(fix, safety=Safety.UNSAFE), f"offline: {fix.claims[0].url} was not looked up")


def _why_unsafe(fix: Fix) -> str:
    if fix.safety is Safety.SAFE:
        return ""
    return fix.doubt or "it may change what the amd64 image does; read the diff"


def _needs_digest(fix: Fix) -> bool:
    return any(claim.digest_of for claim in fix.claims)


def _fill_in_digests(fix: Fix, prober: Prober) -> Fix:
    edits = fix.edits
    for claim in fix.claims:
        if claim.digest_of:
            edits = _with_digest(edits, claim, _digest(claim, prober))
    return replace(fix, edits=edits)


def _digest(claim: Claim, prober: Prober) -> str:
    """The digest that the project publishes, where the catalogue knows the place; else that of the file itself."""
    place = published_checksums(claim.url)
    text = prober.fetch_text(place) if place else None
    name = claim.url.partition("?")[0].rpartition("/")[2]
    published = digest_in(text, name, claim.digest_algorithm) if text else None
    return published or prober.fetch_digest(claim.url, claim.digest_algorithm)


def _with_digest(edits: tuple[Edit, ...], claim: Claim, digest: str) -> tuple[Edit, ...]:
    placeholder = claim.digest_of.encode()
    return tuple(replace(edit, replacement=edit.replacement.replace(placeholder, digest.encode())) for edit in edits)
