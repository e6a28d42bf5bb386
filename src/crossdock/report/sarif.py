"""Results as SARIF 2.1.0, which code hosts show beside the lines (OASIS, "Static Analysis Results Interchange Format").

Lines and columns count from 1 and an end column is exclusive, as in this project; columns are code points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from crossdock import __version__

if TYPE_CHECKING:
    from crossdock.findings import Finding
    from crossdock.report.checked import Checked
    from crossdock.verify.model import CheckResult, VerifyResult

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "failed": "error", "warning": "warning", "info": "note"}


class Message(msgspec.Struct, frozen=True):
    text: str


class Region(msgspec.Struct, frozen=True, rename="camel"):
    start_line: int
    start_column: int = 1
    end_line: int | None = None
    end_column: int | None = None


class Artifact(msgspec.Struct, frozen=True):
    uri: str


class Physical(msgspec.Struct, frozen=True, rename="camel"):
    artifact_location: Artifact
    region: Region


class Logical(msgspec.Struct, frozen=True, rename="camel"):
    fully_qualified_name: str


class Where(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    physical_location: Physical
    logical_locations: tuple[Logical, ...] = ()


class Result(msgspec.Struct, frozen=True, rename="camel"):
    rule_id: str
    level: str
    message: Message
    locations: tuple[Where, ...]


class RuleObject(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    short_description: Message


class Driver(msgspec.Struct, frozen=True):
    name: str
    version: str
    rules: tuple[RuleObject, ...]


class Tool(msgspec.Struct, frozen=True):
    driver: Driver


class Run(msgspec.Struct, frozen=True, rename="camel"):
    tool: Tool
    results: tuple[Result, ...]
    column_kind: str = "unicodeCodePoints"


class Log(msgspec.Struct, frozen=True):
    schema: str = msgspec.field(name="$schema")
    version: str
    runs: tuple[Run, ...]


def check_sarif(checked: Checked) -> Log:
    """The findings of ``crossdock check``."""
    findings = [decision.finding for decision in checked.decisions]
    rules = {finding.rule: finding.why for finding in findings}
    return _log(rules, tuple(map(_finding, findings)))


def verify_sarif(result: VerifyResult) -> Log:
    """The failures and warnings of ``crossdock verify``. They lie in files of an image, which no repository has, so
    each points to the file's path there and names the image."""
    told = [entry for entry in result.results if entry.status in ("failed", "warning")]
    rules = {f"verify-{entry.check}": f"The check {entry.check} of crossdock verify" for entry in told}
    return _log(rules, tuple(_checked(entry, result.reference) for entry in told))


def _log(rules: dict[str, str], results: tuple[Result, ...]) -> Log:
    described = tuple(RuleObject(id, Message(text)) for id, text in sorted(rules.items()))
    return Log(_SCHEMA, "2.1.0", (Run(Tool(Driver("crossdock", __version__, described)), results),))


def _finding(finding: Finding) -> Result:
    at = finding.location
    region = Region(at.line, at.column, at.end_line, at.end_column)
    where = Where(Physical(Artifact(quote(at.path)), region))
    text = f"{finding.message}. {finding.why} {finding.help}".replace("..", ".")
    return Result(finding.rule, _LEVELS[finding.severity], Message(text), (where,))


def _checked(entry: CheckResult, reference: str) -> Result:
    platform = f"{entry.platform}: " if entry.platform else ""
    brought = f" It came with `{entry.created_by}`." if entry.created_by else ""
    text = f"{platform}{entry.message}.{brought} {entry.hint}".strip()
    path = quote(entry.path.lstrip("/")) or quote(reference, safe="/:@")
    image = Logical(f"{reference} {entry.platform or ''}".strip())
    where = Where(Physical(Artifact(path), Region(1)), (image,))
    return Result(f"verify-{entry.check}", _LEVELS[entry.status], Message(text), (where,))
