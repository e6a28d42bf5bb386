"""Whether a 64-bit Arm machine runs 32-bit Arm programs itself, which not every one does."""

from __future__ import annotations

from crossdock.doctor.cpu import Core, matching
from crossdock.doctor.facts import Facts

_LARGE_PAGE = 65536


def runs_arm32(facts: Facts) -> tuple[bool | None, str]:
    """The answer, or None where it is not known, and what it is concluded from."""
    if facts.userland and facts.userland.architecture == "arm":
        return True, "the programs of this system are 32-bit ones themselves"
    cores = list(matching(facts.cpu.implementer, facts.cpu.parts))
    for core in cores:
        if core.get("arm32") is False:
            return False, f"{_name(core)} cores have no 32-bit mode ({core['arm32_source']})"
    if facts.page_size == _LARGE_PAGE:
        return False, "kernels with pages of 64 KiB are built without 32-bit programs (CONFIG_COMPAT)"
    if cores and len(cores) == len(facts.cpu.parts) and all("arm32" in core for core in cores):
        return True, f"{_name(cores[0])} cores have a 32-bit mode ({cores[0]['arm32_source']})"
    return None, "it is not known whether these cores have a 32-bit mode"


def _name(core: Core) -> str:
    """Of the core, and of the machine where that is another."""
    return " of ".join(dict.fromkeys(filter(None, (core["core"], core.get("machine")))))
