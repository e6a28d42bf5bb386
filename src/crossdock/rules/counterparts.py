"""What is known of names for arm64 in paths, triples and targets: catalogue/counterparts.toml, which says what its
fields mean."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parents[1] / "catalogue/counterparts.toml"


@dataclass(frozen=True)
class Known:
    """One entry of the catalogue."""

    text: re.Pattern[str]
    arm64: str
    programs: frozenset[str]
    doubt: str
    example: tuple[str, str]
    source: str


@dataclass(frozen=True)
class Counterpart:
    """The name at the characters ``start:end`` of a text, and what it is for arm64. ``doubt`` is a clause that says
    why it may be another; empty where it is certain."""

    start: int
    end: int
    arm64: str
    doubt: str


def counterpart(text: str, start: int, end: int, program: str) -> Counterpart | None:
    """What is known of the name that holds, or is held by, the characters ``start:end`` of a text that ``program``
    takes."""
    for known in catalogue():
        if known.programs and program not in known.programs:
            continue
        for match in known.text.finditer(text):
            low, high = match.span(1)
            if low < end and start < high:
                return Counterpart(low, high, known.arm64, known.doubt)
    return None


@cache
def catalogue() -> tuple[Known, ...]:
    """Every entry, in the order of the file."""
    return tuple(
        Known(
            re.compile(entry["text"]),
            entry["arm64"],
            frozenset(entry.get("programs", ())),
            entry.get("doubt", ""),
            (entry["example"][0], entry["example"][1]),
            entry["source"],
        )
        for entry in tomllib.loads(_FILE.read_text("utf-8"))["name"]
    )
