"""What is said of an image that was pushed or pulled."""

from dataclasses import replace

import report_samples as sample

from crossdock.report.sent import sent_text
from crossdock.report.style import Style


def test_where_it_is_now_and_what_it_is_called() -> None:
    assert sent_text(sample.SENT, Style()).splitlines() == [
        "✓ registry.example/app:1  linux/amd64, linux/arm64",
        f"  {sample.DIGEST}",
    ]


def test_what_has_no_platform() -> None:
    assert "no platform" in sent_text(replace(sample.SENT, platforms=()), Style())
