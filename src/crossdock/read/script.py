"""Shell scripts of the build context: whether a file is one, and its text with continuation lines joined."""

from __future__ import annotations

import re

from crossdock.read.model import LogicalText
from crossdock.source import Source

LARGEST = 512 * 1024
"""Bytes; a larger script is generated or carries an archive."""
_SHELLS = rb"(?:ba|da|a|z|k)?sh"
_SHEBANG = re.compile(rb"#!\s*(?:/usr)?/(?:bin|usr/bin|usr/local/bin)/(?:env\s+(?:-\S+\s+)*)?(?:[\w/]*/)?([\w.+-]+)")
_HEREDOC = re.compile(r"<<(-?)\s*(\\?)(['\"]?)([\w.-]+)\3")


def is_shell_script(path: str, data: bytes) -> bool:
    """A text file with a shell's ``#!``, or without any and named like a script."""
    if len(data) > LARGEST or b"\0" in data[:4096]:
        return False
    match = _SHEBANG.match(data)
    if match:
        return re.fullmatch(_SHELLS, match[1]) is not None or match[1] in {b"with-contenv", b"execlineb-sh"}
    return not data.startswith(b"#!") and path.endswith((".sh", ".bash"))


def script_text(source: Source) -> LogicalText:
    """The whole script; a backslash at the end of a line joins it with the next one, comments and the bodies of quoted
    here-documents stay as they are."""
    out: list[str] = []
    offsets: list[int] = []
    at = 0
    waiting: list[tuple[str, bool, bool]] = []
    """Here-documents whose bodies follow: the delimiter, whether tabs are stripped, whether it is quoted."""
    joined = False
    for raw in source.data.decode("utf-8", "surrogateescape").splitlines(keepends=True):
        width = len(raw.encode("utf-8", "surrogateescape"))
        line = raw.rstrip("\r\n")
        verbatim = False
        if waiting and not joined:
            delimiter, tabs, verbatim = waiting[0]
            if (line.lstrip("\t") if tabs else line) == delimiter:
                waiting.pop(0)
        elif not line.lstrip().startswith("#"):
            for found in _HEREDOC.finditer(line):
                if line[max(0, found.start() - 1) : found.start()] != "<" and line[found.end() - 1 :][:1] != "<":
                    waiting.append((found[4], bool(found[1]), bool(found[2] or found[3])))
        comment = line.lstrip().startswith("#") and not joined
        continues = line.endswith("\\") and not line.endswith("\\\\") and not comment and not verbatim
        kept = line[:-1] if continues else line + ("\n" if raw != line else "")
        offset = at
        for char in kept:
            out.append(char)
            offsets.append(offset)
            offset += 1 if char < "\x80" else len(char.encode("utf-8", "surrogateescape"))
        at += width
        joined = continues
    return LogicalText("".join(out), (*offsets, at))
