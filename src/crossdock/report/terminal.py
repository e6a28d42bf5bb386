"""Results as text for people. Every function returns the whole text; nothing here prints."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from crossdock.findings import Finding, Safety, Severity
from crossdock.http.evidence import EvidenceStatus
from crossdock.plan.model import BuildPlan, Strategy
from crossdock.report.canvas import Cell, hanging, indented, not_looked_at, render, table, text
from crossdock.report.excerpt import excerpt
from crossdock.report.style import Style, harmless
from crossdock.verify.model import CheckResult, Status, VerifyResult

if TYPE_CHECKING:  # a verb needs the types of its own results only
    from crossdock.fixes.decide import Decision
    from crossdock.fixes.port import PortResult
    from crossdock.image.inspect import Inspection
    from crossdock.report.checked import Checked
    from crossdock.source import Source

_SEVERITY = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold cyan"}
_STRATEGY = {
    Strategy.NATIVE: "green",
    Strategy.NEUTRAL: "green",
    Strategy.CROSS: "green",
    Strategy.ASSIST: "cyan",
    Strategy.EMULATE: "yellow",
}
_STATUS: dict[Status, Cell] = {
    Status.PASSED: ("✓ passed", "green"),
    Status.WARNING: ("! warning", "yellow"),
    Status.FAILED: ("✗ failed", "bold red"),
    Status.SKIPPED: ("– skipped", "yellow"),
}


MOST_EVIDENCE = 4
"""Of the addresses that were tried, so many are named."""
MOST_FAILURES = 20
"""An image whose every file is wrong is told by its first files."""


# ---------------------------------------------------------------- check


def check_text(checked: Checked, style: Style) -> str:
    """Every finding with its source, why it breaks and what to do; then a summary, and what was not looked at."""
    parts: list[RenderableType] = []
    explained: set[str] = set()
    for decision in checked.decisions:
        parts += _finding(decision, checked.sources.get(decision.finding.location.path), style, explained)
        parts.append("")
    parts += not_looked_at(checked.skipped)
    parts += _check_summary(checked, style)
    return render(style, parts)


def _finding(decision: Decision, source: Source | None, style: Style, explained: set[str]) -> list[RenderableType]:
    finding = decision.finding
    parts: list[RenderableType] = [
        text((str(finding.location), "bold"), "  ", (finding.severity, _SEVERITY[finding.severity]), "  ", finding.rule)
    ]
    parts.append(indented(text(finding.message)))
    if source is not None:
        parts += _excerpt(source, finding, style)
    if finding.rule not in explained:
        explained.add(finding.rule)
        parts += [
            hanging(("why", "bold"), text(finding.why)),
            hanging(("do", "bold"), text(finding.help)),
            hanging(("more", "bold"), text(f"crossdock explain {finding.rule}")),
        ]
    parts.append(hanging(("fix", "bold"), _fix(decision)))
    return [*parts, *_evidence(decision, 8)]


def _excerpt(source: Source, finding: Finding, style: Style) -> list[RenderableType]:
    gutter = len(str(finding.location.end_line))
    room = max(10, style.width - gutter - 5)
    rows: list[RenderableType] = []
    for line in excerpt(source, finding.location, room):
        if line.number is None:
            rows.append(_row(gutter, "", Text(f"… {line.skipped} more lines", "dim")))
            continue
        shown = Text(line.text)
        shown.stylize(_SEVERITY[finding.severity], *_characters(line.text, line.mark_start, line.mark_end))
        marker = Text(" " * line.mark_start + "^" * (line.mark_end - line.mark_start), _SEVERITY[finding.severity])
        rows += [_row(gutter, str(line.number), shown), _row(gutter, "", marker)]
    return rows


def _row(gutter: int, number: str, content: Text) -> Text:
    row = Text(f"  {number:>{gutter}} │ ", "dim", no_wrap=True, overflow="ignore")
    plain = Text(no_wrap=True, overflow="ignore")
    plain.append_text(row)
    plain.append_text(content)
    return plain


def _characters(line: str, start: int, end: int) -> tuple[int, int]:
    """Cells to characters: a wide character takes two cells."""
    cell, first, last = 0, len(line), len(line)
    for index, char in enumerate(line):
        if cell >= start:
            first = min(first, index)
        if cell >= end:
            last = index
            break
        cell += cell_len(char)
    return first, last


def _fix(decision: Decision) -> Text:
    if decision.fix is None and decision.main and decision.main.fix:
        return text(decision.reason)
    if decision.fix is None:
        return text(f"none: {decision.reason}")
    if decision.fix.safety is Safety.SAFE:
        return text(decision.fix.title, (" (safe: crossdock port)", "green"))
    return text(decision.fix.title, (f" (unsafe, only with crossdock port --unsafe: {decision.reason})", "yellow"))


def _evidence(decision: Decision, indent: int) -> list[RenderableType]:
    """What was seen for the fix that was chosen; where there is none, what was tried. (What could not be looked up is
    in the decision's reason.)"""
    wanted, word = (EvidenceStatus.FOUND, "seen") if decision.fix else (EvidenceStatus.MISSING, "not there")
    urls = [item.url for item in decision.evidence if item.status is wanted]
    more = [f"and {len(urls) - MOST_EVIDENCE} more"] if len(urls) > MOST_EVIDENCE else []
    lines = [f"{word}: {url}" for url in urls[:MOST_EVIDENCE]] + more
    return [indented(text((line, "dim")), indent) for line in lines]


def _check_summary(checked: Checked, style: Style) -> list[RenderableType]:
    looked = _count(len(checked.files), "file") if len(checked.files) != 1 else checked.files[0]
    if not checked.files:
        return [text(("Nothing was checked.", "bold"))]
    if not checked.decisions:
        return [text(("✓ ", "green"), f"{looked}: nothing found that is tied to amd64")]
    findings = [decision.finding for decision in checked.decisions]
    parts: list[RenderableType] = [text((_severities(findings), "bold"), f" in {looked}")]
    rules = Counter(finding.rule for finding in findings)
    safe = Counter(d.finding.rule for d in checked.decisions if d.fix and d.fix.safety is Safety.SAFE)
    unsafe = Counter(d.finding.rule for d in checked.decisions if d.fix and d.fix.safety is Safety.UNSAFE)
    along = Counter(d.finding.rule for d in checked.decisions if not d.fix and d.main and d.main.fix)
    rows = [(rule, str(total), _fixable(safe[rule], unsafe[rule], along[rule])) for rule, total in rules.most_common()]
    parts += table(style, ("rule", "found", "fixable"), rows)
    if safe or unsafe:
        command = "crossdock port" if safe else "crossdock port --unsafe"
        parts.append(text("Next: ", (f"{command}{_to_port(checked)}", "bold"), " shows the fixes as a diff"))
    return parts


def _to_port(checked: Checked) -> str:
    """The argument of `port` where all fixes are in one file that it would not find by itself."""
    paths = {decision.finding.location.path for decision in checked.decisions if decision.fix}
    path = next(iter(paths)) if len(paths) == 1 else ""
    found = path in checked.files and path not in ("Dockerfile", "Containerfile")
    return f" {shlex.quote(path)}" if found else ""


def _fixable(safe: int, unsafe: int, along: int) -> str:
    """``along`` have no fix of their own, but one of another finding mends them."""
    counts = {"safe": safe, "unsafe": unsafe, "with another": along}
    return ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "by hand"


def _severities(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    words = [_count(counts[severity], severity) for severity in (Severity.ERROR, Severity.WARNING) if counts[severity]]
    return ", ".join([*words, f"{counts[Severity.INFO]} for information"] if counts[Severity.INFO] else words)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


# ---------------------------------------------------------------- port


def diff_text(diff: str, style: Style) -> str:
    """A unified diff in colours, for a terminal. (For a pipe the diff itself is written, byte for byte.)"""
    looks = {"+++": "bold", "---": "bold", "@@ ": "cyan"}
    lines = []
    for line in diff.splitlines():
        look = looks.get(line[:3]) or {"+": "green", "-": "red"}.get(line[:1], "")
        lines.append(Text(harmless(line), look, no_wrap=True, overflow="ignore"))
    return render(style, lines)


def port_text(result: PortResult, style: Style, *, written: bool | None) -> str:
    """What was mended, what was not and why, and what was not looked at. ``written``: whether the files were changed;
    None for a build, which uses the changes without writing them."""
    parts: list[RenderableType] = []
    if result.applied:
        parts.append(text(("Fixed", "bold")))
        parts += [part for decision in result.applied for part in _applied(decision)]
        parts.append("")
    left = [decision for decision in result.left if decision.finding.severity is not Severity.INFO]
    if left:
        parts.append(text(("Not fixed", "bold")))
        parts += [part for decision in left for part in _left(decision)]
        parts.append("")
    parts += not_looked_at(result.skipped)
    parts.append(_port_summary(result, left, written=written))
    return render(style, parts)


def _applied(decision: Decision) -> list[RenderableType]:
    assert decision.fix is not None
    finding = decision.finding
    line = text(f"{finding.location} ", (finding.rule, "bold"), f": {decision.fix.title}")
    return [hanging(("✓", "green"), line, 2, 2), *_evidence(decision, 4)]


def _left(decision: Decision) -> list[RenderableType]:
    finding = decision.finding
    look = _SEVERITY[finding.severity]
    head = text(f"{finding.location} ", (finding.rule, "bold"), f": {finding.message}")
    reason = decision.reason
    if decision.fix and decision.fix.safety is Safety.UNSAFE:
        reason = f"only with --unsafe: {decision.fix.title} ({decision.reason})"
    return [hanging(("✗", look), head, 2, 2), indented(text((reason, "dim")), 4), *_evidence(decision, 4)]


def _port_summary(result: PortResult, left: Sequence[Decision], *, written: bool | None) -> Text:
    if not result.applied and not left:
        return text(("✓ ", "green"), "nothing is tied to amd64; nothing to do")
    files = _count(len(result.changes), "file")
    done = f"{len(result.applied)} fixed in {files}" if result.applied else "nothing could be fixed"
    rest = f", {len(left)} left" if left else ""
    tail = ""
    if result.changes:
        tail = {True: "; written", False: "; not written: --write applies the diff", None: ", for this build only"}[
            written
        ]
    return text((f"{done}{rest}{tail}", "bold"))


# ---------------------------------------------------------------- plan


def plan_text(plan: BuildPlan, style: Style) -> str:
    """Stage × platform → strategy and reason."""
    rows: list[tuple[Cell, ...]] = [
        (entry.stage, str(entry.platform), (entry.strategy, _STRATEGY[entry.strategy]), entry.reason)
        for entry in plan.stages
    ]
    return render(style, table(style, ("stage", "platform", "strategy", "reason"), rows))


# ---------------------------------------------------------------- verify


def verify_text(result: VerifyResult, style: Style) -> str:
    """Check × platform → verdict; then each failure with the file, the instruction that brought it and what to do."""
    parts: list[RenderableType] = [text((result.reference, "bold")), text((result.digest, "dim")), ""]
    if result.remembered:
        when = f"This digest was looked at before, {result.remembered}; --no-cache looks again."
        parts += [text((when, "dim")), ""]
    groups: dict[tuple[str, str], list[CheckResult]] = {}
    for entry in result.results:
        groups.setdefault((entry.check, str(entry.platform or "all")), []).append(entry)
    rows: list[tuple[Cell, ...]] = []
    for (check, platform), entries in groups.items():
        worst = min((entry.status for entry in entries), key=_WORST_FIRST.index)
        shown = [entry for entry in entries if entry.status is worst]
        rows.append((check, platform, _STATUS[worst], _summary(shown)))
    parts += table(style, ("check", "platform", "verdict", "what was seen"), rows)
    failures = [entry for entry in result.results if entry.status in (Status.FAILED, Status.WARNING)]
    for entry in failures[:MOST_FAILURES]:
        parts += _failure(entry)
    if len(failures) > MOST_FAILURES:
        parts += ["", text(f"… and {len(failures) - MOST_FAILURES} more; --format json lists them all")]
    parts += ["", _verdict(result)]
    return render(style, parts)


_WORST_FIRST = (Status.FAILED, Status.WARNING, Status.PASSED, Status.SKIPPED)


def _summary(entries: Sequence[CheckResult]) -> str:
    first = entries[0].message
    return first if len(entries) == 1 else f"{first} (and {len(entries) - 1} more)"


_SIGN: dict[Status, Cell] = {Status.FAILED: ("✗ ", "bold red"), Status.WARNING: ("! ", "yellow")}


def _failure(entry: CheckResult) -> list[RenderableType]:
    where = f"{entry.check} {entry.platform or ''}".strip()
    parts: list[RenderableType] = ["", text(_SIGN[entry.status], (f"{where}: ", "bold"), entry.message)]
    for label, value in (("file", entry.path), ("from", entry.created_by), ("do", entry.hint)):
        if value:
            parts.append(hanging((label, "bold"), text(value)))
    return parts


def _verdict(result: VerifyResult) -> Text:
    platforms = ", ".join(map(str, result.platforms)) or "no platform"
    if result.passed:
        warnings = result.count(Status.WARNING)
        return text(
            ("✓ verified: ", "bold green"), platforms + (f", {_count(warnings, 'warning')}" if warnings else "")
        )
    failures = result.count(Status.FAILED)
    return text(("✗ not verified: ", "bold red"), f"{_count(failures, 'check')} failed for {platforms}")


# ---------------------------------------------------------------- arch


def arch_text(inspections: Sequence[Inspection], style: Style) -> str:
    """One line per file, and one below it per binary inside."""
    parts: list[RenderableType] = []
    for found in inspections:
        if found.binary:
            said = found.binary.describe()
        elif found.members:
            said = f"{len(found.members)} {'binary' if len(found.members) == 1 else 'binaries'} inside, "
            said += " and ".join(found.architectures)
        else:
            said = found.note
        parts.append(text((str(found.path), "bold"), f": {said}"))
        parts += [indented(text(f"{member.path}: {member.binary.describe()}")) for member in found.members]
        parts += [indented(text((note, "yellow"))) for note in found.notes]
    return render(style, parts)
