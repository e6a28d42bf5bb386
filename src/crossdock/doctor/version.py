"""Versions in what programs and kernels say of themselves."""

from __future__ import annotations

import re

_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9})+")


def find_version(text: str) -> str:
    """``Docker version 26.1.5, build 411e817`` → ``26.1.5``; empty where there is none."""
    found = _VERSION.search(text)
    return found[0] if found else ""


def version_number(text: str) -> tuple[int, ...]:
    """``7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)`` → (7, 2, 22), to be compared; nothing for text without one."""
    found = find_version(text)
    return tuple(map(int, found.split("."))) if found else ()
