"""Results for programs: one JSON object per verb, each with a published schema (docs/schemas).

Lines and columns count from 1; an end line is inclusive, an end column exclusive. Byte offsets count from 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:  # a verb needs the types of its own results only
    from crossdock.assist.build import Fallback
    from crossdock.builders.state import BuilderState, NodeState
    from crossdock.doctor.diagnosis import Diagnosis
    from crossdock.findings import Fix, Skipped
    from crossdock.fixes.decide import Decision
    from crossdock.fixes.port import PortResult
    from crossdock.host.registry import Place
    from crossdock.image.availability import ImagePlatforms
    from crossdock.image.binary import Binary
    from crossdock.image.inspect import Inspection
    from crossdock.plan.model import BuildPlan, StagePlan
    from crossdock.report.checked import Checked
    from crossdock.report.looked import Looked
    from crossdock.report.proved import Proof
    from crossdock.report.sent import Sent
    from crossdock.rules.base import Rule
    from crossdock.verify.model import VerifyResult


class EditObject(msgspec.Struct, frozen=True):
    """Replace the bytes from ``start`` to ``end`` (exclusive) of the file ``path`` by the UTF-8 text."""

    path: str
    start: int
    end: int
    replacement: str


class FixObject(msgspec.Struct, frozen=True):
    title: str
    safety: Literal["safe", "unsafe"]
    edits: tuple[EditObject, ...]


class FindingObject(msgspec.Struct, frozen=True):
    """``explain`` is the command that prints the rule's page, which is docs/rules/RULE.md."""

    rule: str
    severity: Literal["error", "warning", "info"]
    confidence: Literal["high", "medium", "low"]
    path: str
    line: int
    end_line: int
    column: int
    end_column: int
    message: str
    fix: FixObject | None
    explain: str


class SkippedObject(msgspec.Struct, frozen=True):
    what: str
    why: str


class CheckReport(msgspec.Struct, frozen=True):
    """What ``crossdock check --format json`` prints."""

    schema: Literal["crossdock.check/v1"]
    findings: tuple[FindingObject, ...]
    skipped: tuple[SkippedObject, ...]


class RuleObject(msgspec.Struct, frozen=True):
    """``finds``, ``why`` and ``help`` are one paragraph each; ``page`` is Markdown and has them and the examples."""

    rule: str
    finds: str
    why: str
    help: str
    page: str


class ExplainReport(msgspec.Struct, frozen=True):
    """What ``crossdock explain --format json`` prints: one rule, or all."""

    schema: Literal["crossdock.explain/v1"]
    rules: tuple[RuleObject, ...]


class LeftObject(msgspec.Struct, frozen=True):
    finding: FindingObject
    reason: str


class ChangeObject(msgspec.Struct, frozen=True):
    path: str
    diff: str


class PortReport(msgspec.Struct, frozen=True):
    """What ``crossdock port --format json`` prints. ``written`` tells whether the files were changed."""

    schema: Literal["crossdock.port/v1"]
    written: bool
    changes: tuple[ChangeObject, ...]
    applied: tuple[FindingObject, ...]
    left: tuple[LeftObject, ...]
    skipped: tuple[SkippedObject, ...]


class EvidenceObject(msgspec.Struct, frozen=True):
    """One command that shows what a stage does. ``work`` is the name of an entry of catalogue/work.toml, or unknown;
    ``file`` the file of the context that told more; ``certain`` is false in a branch that could not be decided."""

    path: str
    line: int
    command: str
    work: str
    what: str
    native: bool
    certain: bool
    file: str | None


class EstimateObject(msgspec.Struct, frozen=True):
    """Multiples of the native time, from and to: as planned, and if all were emulated."""

    planned: tuple[float, float]
    emulated: tuple[float, float]


class StageObject(msgspec.Struct, frozen=True):
    """``runs_on`` is the platform of the programs that the stage runs, where it is not ``platform``; ``node`` the node
    of the builder that builds it. ``opportunity`` says what would make it quicker. ``evidence`` are the commands that
    take time; ``estimate`` is null where none does."""

    stage: str
    platform: str
    strategy: Literal["native", "neutral", "cross", "assist", "emulate"]
    reason: str
    runs_on: str | None
    node: str | None
    opportunity: str | None
    estimate: EstimateObject | None
    evidence: tuple[EvidenceObject, ...]


class PlanReport(msgspec.Struct, frozen=True):
    """What ``crossdock plan --format json`` prints."""

    schema: Literal["crossdock.plan/v1"]
    targets: tuple[str, ...]
    stages: tuple[StageObject, ...]


class ResultObject(msgspec.Struct, frozen=True):
    check: str
    status: Literal["passed", "warning", "failed", "skipped"]
    platform: str | None
    message: str
    path: str | None
    created_by: str | None
    hint: str | None


class VerifyReport(msgspec.Struct, frozen=True):
    """What ``crossdock verify --format json`` prints. ``digest`` is of exactly what was looked at."""

    schema: Literal["crossdock.verify/v1"]
    reference: str
    digest: str
    platforms: tuple[str, ...]
    passed: bool
    results: tuple[ResultObject, ...]


class BinaryObject(msgspec.Struct, frozen=True):
    format: str
    kind: str
    bits: int
    architectures: tuple[str, ...]
    description: str


class MemberObject(msgspec.Struct, frozen=True):
    """A binary inside an archive; ``path`` is relative to it."""

    path: str
    binary: BinaryObject


class FileObject(msgspec.Struct, frozen=True):
    """``members`` are the binaries in an archive, ``note`` what a file is that is neither, ``notes`` what could not be
    looked at inside."""

    path: str
    binary: BinaryObject | None
    members: tuple[MemberObject, ...]
    note: str
    notes: tuple[str, ...]


class ArchReport(msgspec.Struct, frozen=True):
    """What ``crossdock arch --format json`` prints."""

    schema: Literal["crossdock.arch/v1"]
    files: tuple[FileObject, ...]


class FallbackObject(msgspec.Struct, frozen=True):
    """A build that was begun again because it failed (or hung) with native programs; ``reason`` is what it said.
    ``step`` is the instruction that ran emulated from then on, ``where`` its line; both are null when all did."""

    reason: str
    hung: bool
    step: str | None
    where: str | None
    stage: str | None
    platform: str | None


class DifferenceObject(msgspec.Struct, frozen=True):
    """``nature`` is what differs; ``counts`` tells whether it makes both images different, which build ids, times and
    caches do not. ``path`` is a file, or a field of the config; ``created_by`` the instruction of the file's layer."""

    nature: Literal["code", "data", "attributes", "config", "build name", "time", "record"]
    counts: bool
    path: str
    what: str
    created_by: str | None


class ProofObject(msgspec.Struct, frozen=True):
    """A platform built with native programs, compared with the same built emulated. ``seconds`` are those of the RUN
    instructions that ran both times: with native programs, emulated; and those of making the packs, if not cached."""

    platform: str
    same: bool
    files: int
    layers: int
    equal_layers: int
    differences: tuple[DifferenceObject, ...]
    seconds: dict[Literal["assisted", "emulated", "packs"], float]


class BuildReport(msgspec.Struct, frozen=True):
    """What ``crossdock build --format json`` prints. ``verified`` is null when nothing was built (--dry-run); then
    ``commands`` are what would have run. ``published`` names where the verified image went; ``fallback`` what was built
    again emulated; ``proof`` is filled by --prove."""

    schema: Literal["crossdock.build/v1"]
    engine: str
    port: PortReport | None
    plan: PlanReport
    commands: tuple[str, ...]
    digest: str | None
    verified: VerifyReport | None
    published: tuple[str, ...]
    fallback: tuple[FallbackObject, ...]
    proof: tuple[ProofObject, ...]


class ProjectObject(msgspec.Struct, frozen=True):
    """One of several projects. ``report`` is null when its build came to no report; ``exit_code`` tells why."""

    name: str
    path: str
    exit_code: int
    report: BuildReport | None


class BuildsReport(msgspec.Struct, frozen=True):
    """What ``crossdock build --format json`` prints for several projects, or with {name} in an option."""

    schema: Literal["crossdock.builds/v1"]
    projects: tuple[ProjectObject, ...]


class PlatformObject(msgspec.Struct, frozen=True):
    """One platform's manifest. ``size`` are the bytes that pulling it takes, null where that was not asked for."""

    platform: str
    digest: str
    size: int | None


class AlternativeObject(msgspec.Struct, frozen=True):
    """An image that has the platforms that are missing; ``reference`` ends with its digest. ``source`` is the address
    of a page about it, empty for tags of the same repository."""

    reference: str
    digest: str
    reason: str
    source: str


class ErrorObject(msgspec.Struct, frozen=True):
    """``kind`` is one of crossdock.errors.Kind; ``message`` and ``hint`` are for people."""

    kind: str
    message: str
    hint: str


class ImageObject(msgspec.Struct, frozen=True):
    """``reference`` as it was asked for; ``digest`` of the index, or of the only manifest."""

    reference: str
    digest: str | None
    platforms: tuple[str, ...]
    manifests: tuple[PlatformObject, ...]
    alternatives: tuple[AlternativeObject, ...]
    error: ErrorObject | None


class LimitObject(msgspec.Struct, frozen=True):
    """How many pulls a registry allows in ``seconds``, and how many are left."""

    registry: str
    allowed: int
    left: int
    seconds: int | None


class PlatformsReport(msgspec.Struct, frozen=True):
    """What ``crossdock platforms --format json`` prints, images in the order asked for."""

    schema: Literal["crossdock.platforms/v1"]
    images: tuple[ImageObject, ...]
    skipped: tuple[SkippedObject, ...]
    limits: tuple[LimitObject, ...]


class SentReport(msgspec.Struct, frozen=True):
    """What ``crossdock push``, ``pull`` and ``index create`` print with ``--format json``: ``source`` are references or
    files, ``destination`` is one."""

    schema: Literal["crossdock.push/v1", "crossdock.pull/v1", "crossdock.index/v1"]
    source: tuple[str, ...]
    destination: str
    digest: str
    platforms: tuple[str, ...]


class RegistryReport(msgspec.Struct, frozen=True):
    """What ``crossdock registry serve --format json`` prints, on one line, as soon as the registry answers. ``address``
    is what references to its images begin with on this machine, ``url`` the same with its scheme."""

    schema: Literal["crossdock.registry/v1"]
    address: str
    url: str
    data: str


class BaseObject(msgspec.Struct, frozen=True):
    id: str
    version: str
    codename: str


class DistributionObject(msgspec.Struct, frozen=True):
    """``base`` is the distribution whose packages fit; ``known`` tells whether the catalogue has this one, or whether
    it was concluded, for the given reasons."""

    id: str
    name: str
    version: str
    base: BaseObject | None
    known: bool
    reasons: tuple[str, ...]


class MachineObject(msgspec.Struct, frozen=True):
    """``page_size``, ``memory`` are bytes; null is what could not be found out."""

    platform: str
    kernel: str
    cpu: str
    cores: int
    page_size: int | None
    memory: int | None
    distribution: DistributionObject


class CheckedObject(msgspec.Struct, frozen=True):
    """``steps`` are the ids of the steps that would mend it."""

    id: str
    topic: str
    state: Literal["good", "note", "warning", "problem", "unknown"]
    message: str
    evidence: tuple[str, ...]
    hint: str
    steps: tuple[str, ...]


class StepObject(msgspec.Struct, frozen=True):
    """One change: ``run`` is shell for root; ``done`` succeeds when there is nothing to do."""

    id: str
    title: str
    why: str
    done: str
    run: str
    restarts: str


class DoctorReport(msgspec.Struct, frozen=True):
    """What ``crossdock doctor --format json`` prints. ``healthy`` is false when a check's state is problem."""

    schema: Literal["crossdock.doctor/v1"]
    healthy: bool
    machine: MachineObject
    checks: tuple[CheckedObject, ...]
    steps: tuple[StepObject, ...]
    unread: tuple[SkippedObject, ...]


class NodeObject(msgspec.Struct, frozen=True):
    """A node of a builder. ``platforms`` are all that it can build for, of which ``pinned`` are its own by choice;
    ``native`` those of its machine and ``emulated`` the others, both empty where the machine could not be asked.
    ``latency_ms`` is null where it could not be measured."""

    name: str
    endpoint: str
    status: str
    buildkit: str
    platforms: tuple[str, ...]
    pinned: tuple[str, ...]
    native: tuple[str, ...]
    emulated: tuple[str, ...]
    latency_ms: float | None
    error: str


class BuilderObject(msgspec.Struct, frozen=True):
    """A builder of buildx; ``notes`` are for people."""

    name: str
    driver: str
    current: bool
    nodes: tuple[NodeObject, ...]
    notes: tuple[str, ...]
    error: str


class BuilderReport(msgspec.Struct, frozen=True):
    """What ``crossdock builder show --format json`` prints, and ``builder create`` of what it made."""

    schema: Literal["crossdock.builder/v1"]
    builders: tuple[BuilderObject, ...]


REPORTS: dict[str, type[msgspec.Struct]] = {
    "check": CheckReport,
    "explain": ExplainReport,
    "port": PortReport,
    "plan": PlanReport,
    "build": BuildReport,
    "builds": BuildsReport,
    "verify": VerifyReport,
    "platforms": PlatformsReport,
    "push": SentReport,
    "pull": SentReport,
    "index": SentReport,
    "arch": ArchReport,
    "registry": RegistryReport,
    "doctor": DoctorReport,
    "builder": BuilderReport,
}
"""Verb → the type of its report."""


def encode(report: msgspec.Struct) -> str:
    """The report as indented JSON with a line end."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n"


def encode_line(report: msgspec.Struct) -> str:
    """The report as one line, for whoever reads a program's output while it runs."""
    return msgspec.json.encode(report).decode() + "\n"


def schema(verb: str) -> str:
    """The JSON Schema (2020-12) of a verb's report."""
    found = msgspec.json.schema(REPORTS[verb])
    root = found["$defs"][REPORTS[verb].__name__]
    root["properties"]["schema"]["enum"] = [f"crossdock.{verb}/v1"]  # several verbs may share a report
    for definition in found["$defs"].values():
        if "description" in definition:
            definition["description"] = " ".join(definition["description"].split())
    found = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Generated by tools/docs.py",
        **found,
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"


def check_report(checked: Checked) -> CheckReport:
    return CheckReport("crossdock.check/v1", tuple(map(_finding, checked.decisions)), _skipped(checked.skipped))


def explain_report(rules: Iterable[type[Rule]]) -> ExplainReport:
    from crossdock.report.rule_page import rule_page

    found = tuple(RuleObject(rule.id, *rule.paragraphs(), rule_page(rule)) for rule in rules)
    return ExplainReport("crossdock.explain/v1", found)


def port_report(result: PortResult, *, written: bool) -> PortReport:
    return PortReport(
        "crossdock.port/v1",
        written,
        tuple(ChangeObject(_text(change.after.path), _text(change.diff())) for change in result.changes),
        tuple(map(_finding, result.applied)),
        tuple(LeftObject(_finding(decision), _text(decision.reason)) for decision in result.left),
        _skipped(result.skipped),
    )


def plan_report(plan: BuildPlan) -> PlanReport:
    return PlanReport("crossdock.plan/v1", tuple(map(str, plan.targets)), tuple(map(_stage, plan.stages)))


def _stage(entry: StagePlan) -> StageObject:
    from crossdock.plan.estimate import estimate

    found = estimate(entry)
    evidence = tuple(
        EvidenceObject(
            _text(one.path),
            one.line,
            _text(one.text),
            one.work.name,
            _text(one.says),
            entry.is_native(one),
            one.certain,
            _text(one.file) or None,
        )
        for one in entry.weighty
    )
    return StageObject(
        _text(entry.stage),
        str(entry.platform),
        entry.strategy.value,
        _text(entry.reason),
        str(entry.runs_on) if entry.runs_on and entry.runs_on != entry.platform else None,
        _text(entry.node) or None,
        _text(entry.opportunity) or None,
        EstimateObject(found.planned, found.emulated) if found else None,
        evidence,
    )


def verify_report(result: VerifyResult) -> VerifyReport:
    return VerifyReport(
        "crossdock.verify/v1",
        _text(result.reference),
        result.digest,
        tuple(map(str, result.platforms)),
        result.passed,
        tuple(
            ResultObject(
                check=entry.check,
                status=entry.status.value,
                platform=str(entry.platform) if entry.platform else None,
                message=_text(entry.message),
                path=_text(entry.path) or None,
                created_by=_text(entry.created_by) or None,
                hint=_text(entry.hint) or None,
            )
            for entry in result.results
        ),
    )


def build_report(
    *,
    engine: str,
    port: PortResult | None,
    plan: BuildPlan,
    commands: Sequence[str] = (),
    digest: str | None = None,
    verified: VerifyResult | None = None,
    published: Sequence[str] = (),
    fallbacks: Sequence[Fallback] = (),
    proofs: Sequence[Proof] = (),
) -> BuildReport:
    return BuildReport(
        "crossdock.build/v1",
        engine=engine,
        port=port_report(port, written=False) if port else None,
        plan=plan_report(plan),
        commands=tuple(map(_text, commands)),
        digest=digest,
        verified=verify_report(verified) if verified else None,
        published=tuple(map(_text, published)),
        fallback=tuple(map(_fallback, fallbacks)),
        proof=tuple(map(_proof, proofs)),
    )


def _fallback(one: Fallback) -> FallbackObject:
    return FallbackObject(
        reason=_text(one.reason),
        hung=one.hung,
        step=_text(one.step) or None,
        where=one.where or None,
        stage=_text(one.stage) or None,
        platform=str(one.platform) if one.platform else None,
    )


def _proof(proof: Proof) -> ProofObject:
    found, gain = proof.comparison, proof.gain
    return ProofObject(
        platform=str(found.platform),
        same=found.same,
        files=found.files,
        layers=found.layers,
        equal_layers=found.equal_layers,
        differences=tuple(
            DifferenceObject(
                one.nature.value, one.nature.counts, _text(one.path), _text(one.what), _text(one.created_by) or None
            )
            for one in found.differences
        ),
        seconds={"assisted": gain.assisted, "emulated": gain.emulated, "packs": gain.packs},
    )


def builds_report(projects: Iterable[tuple[str, str, int, bytes]]) -> BuildsReport:
    """Of each project its name, path, exit code, and the report that its own build has printed."""
    found = tuple(
        ProjectObject(_text(name), _text(path), code, msgspec.json.decode(data, type=BuildReport) if data else None)
        for name, path, code, data in projects
    )
    return BuildsReport("crossdock.builds/v1", found)


def platforms_report(looked: Looked) -> PlatformsReport:
    return PlatformsReport(
        "crossdock.platforms/v1",
        tuple(map(_image, looked.images)),
        _skipped(looked.skipped),
        tuple(LimitObject(host, limit.allowed, limit.left, limit.seconds) for host, limit in looked.limits),
    )


def _image(image: ImagePlatforms) -> ImageObject:
    from crossdock.image.lookup import error_kind

    error = image.error
    return ImageObject(
        reference=_text(image.asked),
        digest=image.digest,
        platforms=tuple(dict.fromkeys(str(entry.platform) for entry in image.platforms)),
        manifests=tuple(PlatformObject(str(entry.platform), entry.digest, entry.size) for entry in image.platforms),
        alternatives=tuple(
            AlternativeObject(other.reference, other.digest, _text(other.reason), other.source)
            for other in image.alternatives
        ),
        error=ErrorObject(error_kind(error).value, _text(error.what), _text(error.hint or "")) if error else None,
    )


def sent_report(sent: Sent, verb: Literal["push", "pull", "index"]) -> SentReport:
    return SentReport(
        schema=f"crossdock.{verb}/v1",  # type: ignore[arg-type]
        source=tuple(map(_text, sent.source)),
        destination=_text(sent.destination),
        digest=sent.digest,
        platforms=tuple(map(str, sent.platforms)),
    )


def arch_report(inspections: Sequence[Inspection]) -> ArchReport:
    return ArchReport(
        "crossdock.arch/v1",
        tuple(
            FileObject(
                path=_text(str(found.path)),
                binary=_binary(found.binary) if found.binary else None,
                members=tuple(MemberObject(_text(member.path), _binary(member.binary)) for member in found.members),
                note=_text(found.note),
                notes=tuple(map(_text, found.notes)),
            )
            for found in inspections
        ),
    )


def registry_report(place: Place) -> RegistryReport:
    return RegistryReport("crossdock.registry/v1", place.address, place.url, _text(str(place.data)))


def doctor_report(diagnosis: Diagnosis) -> DoctorReport:
    facts, found = diagnosis.facts, diagnosis.distribution
    base = BaseObject(found.base.id, found.base.version, found.base.codename) if found.base else None
    distribution = DistributionObject(
        found.id, _text(found.name), _text(found.version), base, found.known, tuple(map(_text, found.reasons))
    )
    return DoctorReport(
        "crossdock.doctor/v1",
        healthy=diagnosis.healthy,
        machine=MachineObject(
            platform=str(facts.platform),
            kernel=facts.kernel,
            cpu=_text(facts.cpu.model),
            cores=facts.cpu.cores,
            page_size=facts.page_size,
            memory=facts.memory,
            distribution=distribution,
        ),
        checks=tuple(
            CheckedObject(
                id=check.id,
                topic=check.topic.value,
                state=check.state.value,
                message=_text(check.what),
                evidence=tuple(map(_text, check.evidence)),
                hint=_text(check.hint),
                steps=tuple(step.id for step in check.steps),
            )
            for check in diagnosis.checks
        ),
        steps=tuple(
            StepObject(step.id, step.title, step.why, step.done, step.run, step.restarts) for step in diagnosis.steps
        ),
        unread=tuple(SkippedObject(_text(what), _text(why)) for what, why in facts.unread.items()),
    )


def builder_report(builders: Sequence[BuilderState]) -> BuilderReport:
    return BuilderReport(
        "crossdock.builder/v1",
        tuple(
            BuilderObject(
                _text(each.name),
                each.driver,
                each.current,
                tuple(map(_node, each.nodes)),
                tuple(map(_text, each.notes)),
                _text(each.trouble),
            )
            for each in builders
        ),
    )


def _node(node: NodeState) -> NodeObject:
    return NodeObject(
        name=_text(node.name),
        endpoint=_text(node.endpoint),
        status=node.status,
        buildkit=node.buildkit,
        platforms=tuple(map(str, node.platforms)),
        pinned=tuple(map(str, node.pinned)),
        native=tuple(map(str, node.native)),
        emulated=tuple(map(str, node.emulated)),
        latency_ms=None if node.latency is None else round(node.latency, 1),
        error=_text(node.trouble),
    )


def _binary(binary: Binary) -> BinaryObject:
    return BinaryObject(binary.format.value, binary.kind, binary.bits, binary.architectures, _text(binary.describe()))


def _finding(decision: Decision) -> FindingObject:
    finding = decision.finding
    place = finding.location
    return FindingObject(
        rule=finding.rule,
        severity=finding.severity.value,
        confidence=finding.confidence.value,
        path=_text(place.path),
        line=place.line,
        end_line=place.end_line,
        column=place.column,
        end_column=place.end_column,
        message=_text(finding.message),
        fix=_fix(decision.fix) if decision.fix else None,
        explain=f"crossdock explain {finding.rule}",
    )


def _fix(fix: Fix) -> FixObject:
    edits = tuple(
        EditObject(_text(e.path), e.span.start, e.span.end, e.replacement.decode("utf-8", "replace")) for e in fix.edits
    )
    return FixObject(_text(fix.title), fix.safety.value, edits)


def _skipped(skipped: tuple[Skipped, ...]) -> tuple[SkippedObject, ...]:
    return tuple(SkippedObject(_text(item.what), _text(item.why)) for item in skipped)


def _text(text: str) -> str:
    """JSON is UTF-8: bytes of a file or its name that are none become the replacement character."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
