"""Porting a file that is no Dockerfile: check, decide, apply, read the result again, as ``fixes.port`` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from crossdock.errors import CrossdockError
from crossdock.findings import Finding, Safety
from crossdock.fixes.decide import Decision, Prober, decide
from crossdock.fixes.port import MOST_ROUNDS, Change, PortResult
from crossdock.read.files import read_declared
from crossdock.rules.base import ImagesLookUp
from crossdock.rules.check import CheckReport, ReasonToIgnore, check_declared
from crossdock.rules.images import declared_images, references
from crossdock.source import OverlappingEdits, Source, apply_edits


def port_other(
    source: Source,
    *,
    environ: Mapping[str, str],
    prober: Prober | None,
    look_up: ImagesLookUp | None = None,
    reason_to_ignore: ReasonToIgnore = lambda _: None,
    unsafe: bool = False,
    wanted: Callable[[Finding], bool] = lambda _: True,
) -> PortResult:
    """Mend what is tied to amd64 in a compose file, manifest, workflow, pipeline or bake file, in memory. Raises
    InputError for a file that cannot be read, and CrossdockError when a fix does not remove its own finding."""
    current = source
    applied: list[Decision] = []

    def check(source: Source) -> CheckReport:
        declared = read_declared(source, environ)
        registry = look_up(references(declared_images(declared))) if look_up else None
        return check_declared(declared, registry, reason_to_ignore)

    report = check(source)
    found = report.findings
    for _ in range(MOST_ROUNDS):
        decisions = decide(report.findings, prober)
        chosen, changed = _applied(
            current,
            [d for d in decisions if d.fix and wanted(d.finding) and (unsafe or d.fix.safety is Safety.SAFE)],
        )
        if not chosen:
            break
        before, report = report, check(changed)
        _assert_progress(chosen, before, report)
        current = changed
        applied += chosen
    return PortResult(
        found=found,
        applied=tuple(applied),
        left=tuple(
            d if d.fix is None or d.reason else Decision(d.finding, d.fix, "not asked for", d.evidence)
            for d in decisions
        ),
        skipped=report.skipped,
        changes=(Change(source, current),) if current.data != source.data else (),
        dockerfile=current,
        context=None,
    )


def _assert_progress(applied: list[Decision], before: CheckReport, after: CheckReport) -> None:
    was, is_ = (Counter(finding.rule for finding in report.findings) for report in (before, after))
    for finding in (decision.finding for decision in applied):
        if is_[finding.rule] >= was[finding.rule]:
            raise CrossdockError(
                f"the fix for {finding.rule} did not remove its finding",
                where=str(finding.location),
                hint="Nothing was written. This is a bug in crossdock: please report it with the file.",
            )


def _applied(source: Source, decisions: list[Decision]) -> tuple[list[Decision], Source]:
    """The decisions, first come first served, whose edits do not touch the same bytes, and what they make."""
    chosen: list[Decision] = []
    for decision in decisions:
        try:
            apply_edits(source, [edit for d in (*chosen, decision) if d.fix for edit in d.fix.edits])
        except OverlappingEdits:
            continue
        chosen.append(decision)
    return chosen, apply_edits(source, [edit for d in chosen if d.fix for edit in d.fix.edits])
