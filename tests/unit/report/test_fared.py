"""Builders and their nodes, for people."""

import pytest
import report_samples as sample
from syrupy.assertion import SnapshotAssertion

from crossdock.report.fared import builders_text
from crossdock.report.style import Style


@pytest.mark.parametrize("style", [Style(100), Style(40, unicode=False)], ids=["wide", "narrow"])
def test_builders(style: Style, snapshot: SnapshotAssertion) -> None:
    assert builders_text(sample.BUILDERS, style) == snapshot
