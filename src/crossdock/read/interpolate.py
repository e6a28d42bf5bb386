"""Compose's variables in text: ``$NAME``, ``${NAME:-default}`` and their like.

Source: the Compose specification, 12-interpolation.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crossdock.errors import InputError

MAX_LENGTH = 1 << 16
"""Characters; variables that double each other end here."""
_MAX_DEPTH = 20
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACES = re.compile(r"\$\$|\$\{|\}")


class InterpolationError(InputError):
    """Text that cannot be told: a variable without a value, or a substitution that Compose refuses."""


def interpolate(text: str, variables: Mapping[str, str], depth: int = 0) -> str:
    """The text with variables replaced. Raises InterpolationError, also for a variable that is not set and has no
    default: Compose would warn and take nothing, which is hardly what is meant."""
    out: list[str] = []
    at = 0
    while (dollar := text.find("$", at)) != -1:
        out.append(text[at:dollar])
        at = dollar + 1
        if text.startswith("$", at):
            out.append("$")
            at += 1
        elif text.startswith("{", at):
            end = _closing(text, dollar)
            out.append(_substitution(text[at + 1 : end], variables, depth))
            at = end + 1
        elif match := _NAME.match(text, at):
            out.append(_value(match[0], variables))
            at = match.end()
        else:
            out.append("$")
    out.append(text[at:])
    if sum(map(len, out)) > MAX_LENGTH:
        raise InterpolationError(f"it becomes longer than {MAX_LENGTH} characters when variables are replaced")
    return "".join(out)


def _closing(text: str, opened: int) -> int:
    """Where the brace ends that ``${`` at ``opened`` begins."""
    depth = 0
    for match in _BRACES.finditer(text, opened):
        depth += {"${": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    raise InterpolationError(f"`{text[opened : opened + 40]}` has no closing brace")


def _substitution(inner: str, variables: Mapping[str, str], depth: int) -> str:
    """What ``${inner}`` stands for. The part after the operator counts only when it is needed."""
    match = _NAME.match(inner)
    if match is None or depth > _MAX_DEPTH:
        raise InterpolationError(f"`${{{inner[:40]}}}` is no substitution that Compose knows")
    name, rest = match[0], inner[match.end() :]
    if not rest:
        return _value(name, variables)
    colon = rest.startswith(":")
    operator, word = rest[colon : colon + 1], rest[colon + 1 :]
    value = variables.get(name)
    there = value is not None and not (colon and not value)
    match operator:
        case "-":
            return value if there and value is not None else interpolate(word, variables, depth + 1)
        case "+":
            return interpolate(word, variables, depth + 1) if there else ""
        case "?":
            if there and value is not None:
                return value
            raise InterpolationError(f"{name} has no value: {word}" if word else f"{name} has no value")
    raise InterpolationError(f"`${{{inner[:40]}}}` is no substitution that Compose knows")


def _value(name: str, variables: Mapping[str, str]) -> str:
    value = variables.get(name)
    if value is None:
        raise InterpolationError(f"{name} has no value; set it in the environment, or in .env beside the file")
    return value
