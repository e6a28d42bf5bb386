"""Whether a 64-bit Arm machine runs 32-bit Arm programs itself, which not every one does."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from crossdock.doctor.facts import Facts

_CATALOGUE = Path(__file__).parents[1] / "catalogue/arm32.toml"
_LARGE_PAGE = 65536


def runs_arm32(facts: Facts) -> tuple[bool | None, str]:
    """The answer, or None where it is not known, and what it is concluded from."""
    if facts.userland and facts.userland.architecture == "arm":
        return True, "the programs of this system are 32-bit ones themselves"
    cores = [_core(facts.cpu.implementer, part) for part in facts.cpu.parts]
    for core in cores:
        if core and not core["runs"]:
            return False, f"{core['cores']} cores have no 32-bit mode ({core['source']})"
    if facts.page_size == _LARGE_PAGE:
        return False, "kernels with pages of 64 KiB are built without 32-bit programs (CONFIG_COMPAT)"
    known = [core for core in cores if core]
    if known and len(known) == len(cores):
        return True, f"{known[0]['cores']} cores have a 32-bit mode ({known[0]['source']})"
    return None, "it is not known whether these cores have a 32-bit mode"


def _core(implementer: int | None, part: int) -> dict[str, Any] | None:
    return next(
        (
            core
            for core in cores()
            if core["implementer"] == implementer and (not core["parts"] or part in core["parts"])
        ),
        None,
    )


@cache
def cores() -> tuple[dict[str, Any], ...]:
    return tuple(tomllib.loads(_CATALOGUE.read_text("utf-8"))["core"])
