"""Porting: check, decide, apply, read the result again, until nothing more can be mended."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from crossdock.errors import CrossdockError
from crossdock.findings import Finding, Safety, Skipped
from crossdock.fixes.decide import Decision, Prober, decide
from crossdock.packages.model import Ask
from crossdock.read.context import Context
from crossdock.rules.base import ImagesLookUp
from crossdock.rules.check import CheckReport, ReasonToIgnore, check_dockerfile
from crossdock.source import Edit, OverlappingEdits, Source, apply_edits, unified_diff, write_atomically

MOST_ROUNDS = 100
"""A round applies every fix that does not touch the same bytes as another one; the rest waits for the next."""


Further = Callable[[Source, Context | None], tuple[Finding, ...]]
"""Findings in a Dockerfile besides those of the rules."""


@dataclass(frozen=True)
class Change:
    """One file before and after."""

    before: Source
    after: Source

    def diff(self) -> str:
        return unified_diff(self.before, self.after)

    def write(self) -> None:
        """Put ``after`` in place of the file, atomically. Raises CrossdockError; the file is then as it was."""
        write_atomically(Path(self.after.path), self.after.data)


@dataclass(frozen=True)
class PortResult:
    """What porting did.

    ``found`` are the findings in the files as they were; ``applied`` the decisions that were carried out (a finding
    can surface only after another was mended, so this may hold more than ``found``); ``left`` those that were not,
    each with its reason; ``changes`` the changed files, the Dockerfile first. ``dockerfile`` and ``context`` are what
    to build.
    """

    found: tuple[Finding, ...]
    applied: tuple[Decision, ...]
    left: tuple[Decision, ...]
    skipped: tuple[Skipped, ...]
    changes: tuple[Change, ...]
    dockerfile: Source
    context: Context | None


def port(
    dockerfile: Source,
    *,
    context: Context | None,
    build_args: Mapping[str, str],
    prober: Prober | None,
    look_up: ImagesLookUp | None = None,
    reason_to_ignore: ReasonToIgnore = lambda _: None,
    unsafe: bool = False,
    wanted: Callable[[Finding], bool] = lambda _: True,
    ask: Ask | None = None,
    further: Further | None = None,
) -> PortResult:
    """Mend what is tied to amd64, in memory. ``prober`` and ``look_up`` ask the outside world, None when offline;
    what ``reason_to_ignore`` has a reason for is no finding.

    ``unsafe`` also applies fixes that are not argued safe; ``wanted`` limits which findings are mended; ``ask`` looks
    packages up; ``further`` finds more than the rules do. Raises CrossdockError when a fix does not remove its own
    finding: that is a bug in crossdock, never in the project.
    """
    original = {dockerfile.path: dockerfile}
    current = dict(original)
    applied: list[Decision] = []

    def check() -> CheckReport:
        report = check_dockerfile(
            current[dockerfile.path],
            context=context,
            build_args=build_args,
            look_up=look_up,
            ask=ask,
            reason_to_ignore=reason_to_ignore,
        )
        more = further(current[dockerfile.path], context) if further else ()
        return replace(report, findings=(*report.findings, *more))

    report = check()
    found = report.findings
    for _ in range(MOST_ROUNDS):
        decisions = decide(report.findings, prober)
        chosen = _compatible(
            [d for d in decisions if d.fix and wanted(d.finding) and (unsafe or d.fix.safety is Safety.SAFE)],
            current,
            context,
        )
        if not chosen:
            break
        for path, edits in _by_path(chosen).items():
            before = _source(path, current, context)
            original.setdefault(path, before)
            current[path] = apply_edits(before, edits)
        context = _overlay(context, current, dockerfile.path)
        applied += chosen
        before_count = Counter(finding.rule for finding in report.findings)
        report = check()
        _assert_progress(chosen, before_count, Counter(finding.rule for finding in report.findings))
    changes = [Change(before, current[path]) for path, before in original.items() if before.data != current[path].data]
    return PortResult(
        found=found,
        applied=tuple(applied),
        left=tuple(_with_reason(decision, wanted) for decision in decisions),
        skipped=report.skipped,
        changes=tuple(changes),
        dockerfile=current[dockerfile.path],
        context=context,
    )


def write_changes(changes: Iterable[Change]) -> None:
    """Write every change or none: what was already written is put back when a later file cannot be."""
    written: list[Change] = []
    try:
        for change in changes:
            change.write()
            written.append(change)
    except BaseException:
        for change in written:
            write_atomically(Path(change.before.path), change.before.data)
        raise


def _compatible(decisions: list[Decision], current: Mapping[str, Source], context: Context | None) -> list[Decision]:
    """The decisions, first come first served, that do not touch the same bytes. What two of them would insert at one
    place, or call by one name, each would write otherwise if it saw the other: so the second one waits."""
    chosen: list[Decision] = []
    inserted: dict[tuple[str, int], bytes] = {}
    for decision in decisions:
        insertions = _insertions(decision)
        new = {place: text for place, text in insertions.items() if place not in inserted}
        if any(inserted.get(place, text) != text for place, text in insertions.items()):
            continue
        if _stage_names(new.values()) & _stage_names(inserted.values()):
            continue
        try:
            for path, edits in _by_path([*chosen, decision]).items():
                apply_edits(_source(path, current, context), edits)
        except OverlappingEdits:
            continue
        chosen.append(decision)
        inserted |= insertions
    return chosen


def _insertions(decision: Decision) -> dict[tuple[str, int], bytes]:
    edits = decision.fix.edits if decision.fix else ()
    return {(e.path, e.span.start): e.replacement for e in edits if e.span.start == e.span.end}


def _stage_names(texts: Iterable[bytes]) -> set[bytes]:
    return {name.lower() for text in texts for name in re.findall(rb"(?im)^FROM .* AS (\S+)", text)}


def _by_path(decisions: list[Decision]) -> dict[str, list[Edit]]:
    edits: dict[str, list[Edit]] = {}
    for decision in decisions:
        for edit in decision.fix.edits if decision.fix else ():
            edits.setdefault(edit.path, []).append(edit)
    return edits


def _source(path: str, current: Mapping[str, Source], context: Context | None) -> Source:
    if path in current:
        return current[path]
    data = context.read(_relative(path, context)) if context else None
    if data is None:
        raise CrossdockError("a fix wants to change a file that cannot be read", where=path)
    return Source(path, data)


def _relative(path: str, context: Context) -> str:
    return Path(path).relative_to(context.root).as_posix()


def _overlay(context: Context | None, current: Mapping[str, Source], dockerfile: str) -> Context | None:
    if context is None:
        return None
    changed = {_relative(path, context): source.data for path, source in current.items() if path != dockerfile}
    return context.with_files(changed) if changed else context


def _assert_progress(applied: list[Decision], before: Counter[str], after: Counter[str]) -> None:
    for decision in applied:
        rule = decision.finding.rule
        if after[rule] >= before[rule]:
            raise CrossdockError(
                f"the fix for {rule} did not remove its finding",
                where=str(decision.finding.location),
                hint="Nothing was written. This is a bug in crossdock: please report it with the Dockerfile, and add "
                f"`# crossdock: ignore={rule} fix fails` above the instruction meanwhile.",
            )


def _with_reason(decision: Decision, wanted: Callable[[Finding], bool]) -> Decision:
    if decision.fix is None or decision.reason:
        return decision
    why = "not asked for" if not wanted(decision.finding) else "its fix touches the same text as another one"
    return Decision(decision.finding, decision.fix, why, decision.evidence)
