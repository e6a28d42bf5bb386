"""Every rule's examples: they are its specification."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crossdock.findings import Finding
from crossdock.platforms import AMD64
from crossdock.read.context import Context
from crossdock.read.dockerfile import parse
from crossdock.read.files import read_declared
from crossdock.read.trace import trace
from crossdock.rules import RULES
from crossdock.rules.base import Example, Rule
from crossdock.rules.check import CheckReport, check_declared, check_dockerfile
from crossdock.source import Source, Span, apply_edits

VALID = [pytest.param(rule, example, id=f"{rule.id}-{n}") for rule in RULES for n, example in enumerate(rule.VALID)]
INVALID = [pytest.param(rule, example, id=f"{rule.id}-{n}") for rule in RULES for n, example in enumerate(rule.INVALID)]


def report_of(text: str, example: Example, tmp_path: Path) -> CheckReport:
    if example.path != "Dockerfile":
        return check_declared(read_declared(Source(example.path, text.encode()), {}), example.registry or None)
    context = Context(tmp_path, b"").with_files(example.files) if example.files else None
    return check_dockerfile(
        Source("Dockerfile", text.encode()),
        context=context,
        build_args={},
        look_up=(lambda _: example.registry) if example.registry else None,
    )


def of_rule(report: CheckReport, rule: type[Rule]) -> list[Finding]:
    return [finding for finding in report.findings if finding.rule == rule.id]


def unmarked(example: Example) -> tuple[str, list[Span]]:
    text, spans = "", []
    for part in re.split("(⟦.*?⟧)", example.text):
        if part.startswith("⟦"):
            start = len(text.encode())
            text += part[1:-1]
            spans.append(Span(start, len(text.encode())))
        else:
            text += part
    return text, spans


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_its_own_specification(rule: type[Rule]) -> None:
    what, why, how = rule.paragraphs()
    assert what
    assert why
    assert how
    assert rule.VALID
    assert rule.INVALID
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id)


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(("rule", "example"), VALID)
def test_valid_examples_yield_nothing(rule: type[Rule], example: Example, tmp_path: Path) -> None:
    report = report_of(example.text, example, tmp_path)
    assert of_rule(report, rule) == []
    assert report.skipped == ()


@pytest.mark.parametrize(("rule", "example"), INVALID)
def test_invalid_examples_yield_exactly_the_marked_spans(rule: type[Rule], example: Example, tmp_path: Path) -> None:
    text, spans = unmarked(example)
    assert [finding.location.span for finding in of_rule(report_of(text, example, tmp_path), rule)] == spans


@pytest.mark.parametrize(("rule", "example"), INVALID)
def test_the_first_fix_gives_the_file_that_the_example_shows(
    rule: type[Rule], example: Example, tmp_path: Path
) -> None:
    text, _ = unmarked(example)
    source = Source(example.path, text.encode())
    fixes = [finding.fixes[0] for finding in of_rule(report_of(text, example, tmp_path), rule) if finding.fixes]
    if example.fixed is None:
        assert fixes == []
        return
    fixed = apply_edits(source, [edit for fix in fixes for edit in fix.edits])
    assert fixed.data.decode() == example.fixed
    assert of_rule(report_of(example.fixed, example, tmp_path), rule) == []


CHANGES_A_VARIABLE = {"shadowed-platform-argument", "undeclared-platform-argument"}
MENDED = [
    p
    for p in INVALID
    if p.values[1].fixed and p.values[1].path == "Dockerfile" and p.values[0].id not in CHANGES_A_VARIABLE
]


@pytest.mark.parametrize(("rule", "example"), MENDED)
def test_on_amd64_the_fixed_file_runs_the_same_commands(rule: type[Rule], example: Example) -> None:
    text, _ = unmarked(example)
    assert commands(text) == commands(example.fixed or "")


def commands(text: str) -> list[list[str]]:
    """The words of every RUN on amd64, without those that only ask the machine for its name."""
    traced = trace(parse(Source("Dockerfile", text.encode())), target=AMD64)
    return [
        [word.text for word in command.words]
        for _, step in traced.steps
        for command in step.commands
        if command.words and command.name not in {"uname", "dpkg"}
    ]
