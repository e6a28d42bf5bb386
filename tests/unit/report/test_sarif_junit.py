"""What code hosts and CI systems read: SARIF and JUnit XML."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import report_samples as sample

from crossdock.report.json import encode
from crossdock.report.junit import verify_junit
from crossdock.report.sarif import check_sarif, verify_sarif
from crossdock.verify.model import CheckResult, Status, VerifyResult


def test_findings_as_sarif() -> None:
    log = json.loads(encode(check_sarif(sample.CHECKED)))
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    (run,) = log["runs"]
    results = run["results"]
    assert len(results) == len(sample.CHECKED.decisions)
    finding = sample.CHECKED.decisions[0].finding
    first = results[0]
    assert (first["ruleId"], first["level"]) == (finding.rule, "error")
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == finding.location.path
    assert place["region"] == {
        "startLine": finding.location.line,
        "startColumn": finding.location.column,
        "endLine": finding.location.end_line,
        "endColumn": finding.location.end_column,
    }
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {result["ruleId"] for result in results}


def test_what_verify_stops_as_sarif() -> None:
    (run,) = json.loads(encode(verify_sarif(sample.BROKEN)))["runs"]
    failed = [entry for entry in sample.BROKEN.results if entry.status is Status.FAILED]
    assert [result["level"] for result in run["results"]] == ["error"] * len(failed)
    first = run["results"][0]["locations"][0]
    assert first["physicalLocation"]["artifactLocation"]["uri"] == "usr/local/bin/tini"
    assert first["logicalLocations"][0]["fullyQualifiedName"].startswith("registry.example/app:1 linux/")


def test_a_name_with_spaces_is_a_uri() -> None:
    entry = CheckResult("binaries", Status.FAILED, "x", path="/opt/a b%.so")
    (run,) = verify_sarif(VerifyResult("r", "", (), (entry,))).runs
    assert run.results[0].locations[0].physical_location.artifact_location.uri == "opt/a%20b%25.so"


def test_junit() -> None:
    root = ET.fromstring(verify_junit(sample.BROKEN))
    suites = {suite.get("name"): suite for suite in root}
    failed = [entry for entry in sample.BROKEN.results if entry.status is Status.FAILED]
    assert sum(int(suite.get("failures", "")) for suite in root) == len(failed)
    assert sum(len(suite) for suite in root) == len(sample.BROKEN.results)
    failure = suites[str(failed[0].platform)].find(".//failure")
    assert failure is not None
    assert failure.get("message") == failed[0].message
    assert "/usr/local/bin/tini" in (failure.text or "")


def test_what_xml_cannot_say_is_replaced() -> None:
    odd = replace(sample.BROKEN, results=(CheckResult("binaries", Status.FAILED, "a\x00b\ud800", path="/x\x1b"),))
    (suite,) = ET.fromstring(verify_junit(odd))
    assert suite[0].get("name") == "binaries /x\ufffd"
