"""The doctor's report for people."""

import dataclasses

import pytest
import report_samples as sample
from syrupy.assertion import SnapshotAssertion

from crossdock.doctor.diagnosis import Check, State, Topic
from crossdock.host.journal import Change, Kind, Undone
from crossdock.report.examined import examined_text, step_text, undone_text
from crossdock.report.style import Style


@pytest.mark.parametrize("style", [Style(100), Style(40), Style(80, unicode=False)], ids=["wide", "narrow", "ascii"])
def test_a_diagnosis(style: Style, snapshot: SnapshotAssertion) -> None:
    assert examined_text(sample.DIAGNOSIS, style) == snapshot


def test_verbose_tells_what_it_was_concluded_from(snapshot: SnapshotAssertion) -> None:
    assert examined_text(sample.DIAGNOSIS, Style(100), verbose=True, here=False) == snapshot


def test_a_healthy_machine_has_nothing_to_do() -> None:
    good = (Check("cpu", Topic.MACHINE, State.GOOD, "2 cores"),)
    text = examined_text(dataclasses.replace(sample.DIAGNOSIS, checks=good), Style(100))
    assert text.endswith("✓ Arm images can be built and run here.\n")


def test_a_step_is_shown_before_it_is_taken(snapshot: SnapshotAssertion) -> None:
    step = dataclasses.replace(sample.KEY, restarts="Docker, and with it its containers")
    assert step_text(step, 2, 5, Style(80)) == snapshot


def test_undoing() -> None:
    assert "changed nothing here" in undone_text((), Style(80))
    made = Change(1, "run", "step", Kind.FILE, ("/etc/x", "-", "0644", "sum"))
    undone = (Undone(made, True, ""), Undone(made, False, "it was changed since"))
    assert undone_text(undone, Style(80)).splitlines() == [
        "✓ Remove /etc/x",
        "! left: Remove /etc/x (it was changed since)",
    ]
