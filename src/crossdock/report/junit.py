"""The results of ``crossdock verify`` as JUnit XML, which CI systems show as tests: a suite for each platform."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from crossdock.verify.model import CheckResult, VerifyResult

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to say."""


def verify_junit(result: VerifyResult) -> str:
    """One ``testsuite`` for each platform and one for what concerns all, with a ``testcase`` for each result."""
    suites: dict[str, list[CheckResult]] = {}
    for entry in result.results:
        suites.setdefault(str(entry.platform or "all platforms"), []).append(entry)
    root = ET.Element("testsuites", name=_clean(f"crossdock verify {result.reference}"))
    for platform, entries in suites.items():
        counts = Counter(str(entry.status) for entry in entries)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=platform,
            tests=str(len(entries)),
            failures=str(counts["failed"]),
            errors="0",
            skipped=str(counts["skipped"]),
        )
        for entry in entries:
            _case(suite, entry)
    ET.indent(root)
    return ET.tostring(root, "unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, entry: CheckResult) -> None:
    name = f"{entry.check} {entry.path}".strip()
    case = ET.SubElement(suite, "testcase", name=_clean(name), classname=f"crossdock.verify.{entry.check}")
    message = _clean(entry.message)
    if entry.status == "failed":
        told = [entry.message, entry.path, entry.created_by, entry.hint]
        ET.SubElement(case, "failure", message=message, type=entry.check).text = _clean("\n".join(filter(None, told)))
    elif entry.status == "skipped":
        ET.SubElement(case, "skipped", message=message)
    else:
        ET.SubElement(case, "system-out").text = f"{'warning: ' if entry.status == 'warning' else ''}{message}"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
