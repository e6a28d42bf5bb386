"""``--secret``: where a secret comes from, and what must never be shown because of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crossdock.errors import UsageError

_MAX_FILE = 64 << 10
_MIN_LINE = 8
"""Shorter lines of a file with several (``}``, ``true``) would redact half of the log."""


@dataclass(frozen=True)
class Secret:
    """A secret by its id. Exactly one of ``variable`` (of the environment) and ``file`` is set; never the value."""

    id: str
    variable: str | None
    file: Path | None

    def __str__(self) -> str:
        """As both engines take it."""
        return f"id={self.id},src={self.file}" if self.file else f"id={self.id},env={self.variable}"


def parse_secret(text: str, environment: Mapping[str, str] = os.environ) -> Secret:
    """``id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]`` as ``docker buildx build --secret`` reads it.

    Without a source it is the variable of that name, else the file. Raises UsageError.
    """
    fields: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or name.strip().lower() not in {"id", "src", "source", "env", "type"}:
            raise UsageError(f"--secret {text!r} is not understood", hint="Write --secret id=NAME,src=FILE.")
        fields[name.strip().lower()] = value
    name, kind = fields.get("id", ""), fields.get("type", "")
    source = fields.get("src") or fields.get("source")
    variable = fields.get("env")
    if not name or kind not in {"", "file", "env"} or (source and variable):
        raise UsageError(
            f"--secret {text!r} is not understood", hint="Write --secret id=NAME,src=FILE or id=NAME,env=VARIABLE."
        )
    if kind == "env" and not variable:
        variable, source = source or name, None
    elif not source and not variable:
        variable, source = (name, None) if kind != "file" and name in environment else (None, name)
    if variable is not None:
        if variable not in environment:
            raise UsageError(
                f"the secret {name!r} is to come from ${variable}, which is not set", hint=f"Set {variable}."
            )
        return Secret(name, variable, None)
    file = Path(source or name)
    if not file.is_file():
        raise UsageError(f"the file of the secret {name!r} does not exist", where=str(file), hint="Check the path.")
    return Secret(name, None, file.absolute())


def hidden_values(secrets: Iterable[Secret], environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The strings that must not appear in any log: values, and the longer lines of files, longest first."""
    found: set[str] = set()
    for secret in secrets:
        if secret.variable is not None:
            text = environment.get(secret.variable, "")
        else:
            assert secret.file is not None
            try:
                with secret.file.open("rb") as file:
                    text = file.read(_MAX_FILE).decode("utf-8", "replace")
            except OSError as error:
                raise UsageError(
                    f"the file of the secret {secret.id!r} cannot be read: {error.strerror}", where=str(secret.file)
                ) from error
        lines = [line.strip() for line in text.splitlines()]
        found.update(lines if len(lines) == 1 else [line for line in lines if len(line) >= _MIN_LINE])
    return tuple(sorted((text for text in found if text), key=len, reverse=True))
