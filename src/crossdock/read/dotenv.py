"""Compose's ``.env`` file: the variables that the environment does not set.

Source: Compose's documentation of environment files (https://docs.docker.com/compose/how-tos/environment-variables/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from crossdock.errors import InputError
from crossdock.read.interpolate import InterpolationError, interpolate

MAX_SIZE = 1 << 20
"""Bytes of a .env file."""
_ENTRY = re.compile(
    r"""^[ \t]*+(?:export[ \t]++)?(?P<name>[A-Za-z_][\w.-]*+)[ \t]*+[=:][ \t]*+
    (?:'(?P<single>(?:[^'\\]|\\.)*+)'|"(?P<double>(?:[^"\\]|\\.)*+)"|(?P<bare>[^\r\n]*+))""",
    re.MULTILINE | re.DOTALL | re.VERBOSE,
)
_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "$": "$$"}


def with_dotenv(folder: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    """``environ`` with what only the ``.env`` file of ``folder`` sets, if there is one. Raises InputError for one that
    cannot be read."""
    path = folder / ".env"
    if not path.is_file():  # nothing there, or a folder: Python's virtual environments are often called so
        return environ
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise InputError("this file is too large to hold variables", where=str(path), hint="Move it elsewhere.")
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"the variables for the compose file cannot be read: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            hint="Make it a readable UTF-8 file, or move it away.",
        ) from error
    return parse_dotenv(text, environ)


def parse_dotenv(text: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variables of a ``.env`` file, below those of ``environ``. A value that cannot be told, because it needs a
    variable that is not set, is left out: whoever needs it then says that it has no value."""
    found = dict(environ)
    for entry in _ENTRY.finditer(text):
        name = entry["name"]
        if name in environ:
            continue
        if entry["single"] is not None:
            found[name] = entry["single"].replace("\\'", "'")
            continue
        raw = _COMMENT.sub("", entry["bare"]).rstrip() if entry["double"] is None else _unescaped(entry["double"])
        try:
            found[name] = interpolate(raw, found)
        except InterpolationError:
            found.pop(name, None)
    return found


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)
