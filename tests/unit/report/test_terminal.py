"""Reports for people, as snapshots at two widths with and without colour, and what must hold at any width."""

import re

import pytest
import report_samples as sample
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from crossdock.report.looked_text import looked_text
from crossdock.report.planned import estimate_text, explain_text, plan_text
from crossdock.report.style import Style
from crossdock.report.terminal import check_text, diff_text, port_text, verify_text

STYLES = {
    "80": Style(80),
    "40": Style(40),
    "80-colour": Style(80, colour=True),
    "40-colour": Style(40, colour=True),
    "80-ascii": Style(80, unicode=False),
}
TEXTS = {
    "check": lambda style: check_text(sample.CHECKED, style),
    "clean": lambda style: check_text(sample.CLEAN, style),
    "port": lambda style: port_text(sample.PORTED, style, written=False),
    "written": lambda style: port_text(sample.PORTED, style, written=True),
    "diff": lambda style: diff_text(sample.PORTED.changes[0].diff(), style),
    "plan": lambda style: plan_text(sample.PLAN, style),
    "explained": lambda style: explain_text(sample.PLAN, "no emulator for linux/arm64 is registered", style),
    "estimated": lambda style: estimate_text(sample.PLAN, style),
    "verified": lambda style: verify_text(sample.VERIFIED, style),
    "broken": lambda style: verify_text(sample.BROKEN, style),
    "platforms": lambda style: looked_text(sample.LOOKED, style),
    "platforms-required": lambda style: looked_text(sample.LOOKED_WELL, style),
    "platforms-only": lambda style: looked_text(sample.LOOKED_ONLY, style),
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("report", TEXTS)
def test_looks_as_agreed(report: str, style: str, snapshot: SnapshotAssertion) -> None:
    assert TEXTS[report](STYLES[style]) == snapshot


@pytest.mark.parametrize("report", TEXTS)
def test_colour_changes_nothing_but_colour(report: str) -> None:
    plain = TEXTS[report](Style(80))
    coloured = re.sub(r"\x1b\[[\d;]*m", "", TEXTS[report](Style(80, colour=True)))
    assert [line.rstrip() for line in coloured.splitlines()] == plain.splitlines()


@pytest.mark.parametrize("report", TEXTS)
def test_without_colour_there_is_no_escape_sequence(report: str) -> None:
    assert "\x1b" not in TEXTS[report](Style(80))


@pytest.mark.parametrize("report", TEXTS.keys() - {"diff"})
@given(width=st.integers(30, 150))
def test_fits_the_width(report: str, width: int) -> None:
    for line in TEXTS[report](Style(width)).splitlines():
        assert cell_len(line) <= max(width, 36), line


def test_a_rule_is_explained_once() -> None:
    text = check_text(sample.CHECKED, Style(200))
    assert text.count(sample.HELP) == len({decision.finding.rule for decision in sample.CHECKED.decisions})


def test_many_failures_are_cut_short_and_counted() -> None:
    from dataclasses import replace

    failure = sample.BROKEN.results[-1]
    result = replace(sample.BROKEN, results=tuple(replace(failure, path=f"/lib/{n}.so") for n in range(500)))
    text = verify_text(result, Style(80))
    assert len(text.splitlines()) < 100
    assert "480 more" in text
    assert "500 checks failed" in text
