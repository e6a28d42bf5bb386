"""Versions as package managers of languages write them: order, and whether one fits a constraint.

A subset that is enough to say which release a project takes: PEP 440's and semantic versioning's operators over
numbers. What cannot be read fits nothing, so that nothing is concluded from it.
"""

from __future__ import annotations

import re

_PRE = re.compile(
    r"(?:^|[\d._-])(?:a|b|c|rc|alpha|beta|dev|pre|canary|next|nightly|snapshot)(?:[\d._-]|$)", re.IGNORECASE
)
_CLAUSE = re.compile(r"(===?|~=|!=|<=|>=|<|>|\^|~>|~|=)?\s*v?(\d[\w.+!*-]*)$")


def key(version: str) -> tuple[int, ...]:
    """The numbers of a release, to be compared: ``1.10`` is more than ``1.9``. Trailing zeros do not count, and what
    is not a number ends it."""
    match = re.match(r"v?(?:\d+[!:])?(\d+(?:\.\d+)*)", version.strip())
    numbers = [int(part) for part in match[1].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def is_prerelease(version: str) -> bool:
    return _PRE.search(version.partition("+")[0]) is not None


def fits(version: str, constraint: str) -> bool:
    """Whether a version satisfies a constraint: clauses that all hold, divided by commas or spaces; ``||`` divides
    alternatives."""
    if "||" in constraint:
        return any(fits(version, part) for part in constraint.split("||"))
    text = re.sub(r"([=~<>!^])\s+", r"\1", constraint.strip())
    return all(_holds(version, clause) for clause in re.split(r"[,\s]+", text) if clause not in {"", "*", "x"})


def _holds(version: str, clause: str) -> bool:
    match = _CLAUSE.match(clause)
    if not match:
        return False
    operator, text = match[1] or "", match[2]
    if text.endswith((".*", ".x")):
        prefix = _numbers(text[:-2])
        inside = _numbers(version)[: len(prefix)] == prefix
        return inside if operator in {"", "=", "==", "~", "^"} else (operator == "!=" and not inside)
    mine, its = key(version), key(text)
    match operator:
        case "" | "=" | "==" | "===":
            return mine == its and is_prerelease(version) == is_prerelease(text)
        case "!=":
            return mine != its
        case "<":
            return mine < its
        case "<=":
            return mine <= its
        case ">":
            return mine > its
        case ">=":
            return mine >= its
    numbers = _numbers(text)
    if operator in {"~=", "~>"}:
        kept = max(1, len(numbers) - 1)
    elif operator == "~":
        kept = min(2, len(numbers))
    else:  # ^: what is left of the first number that is not zero does not change
        kept = next((index + 1 for index, number in enumerate(numbers) if number), len(numbers))
    return mine >= its and (_numbers(version) + (0,) * kept)[:kept] == numbers[:kept]


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"v?(?:\d+[!:])?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in match[1].split(".")) if match else ()
