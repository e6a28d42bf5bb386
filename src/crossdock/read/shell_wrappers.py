"""Programs that start another program: ``sudo``, ``env``, ``timeout``."""

from __future__ import annotations

import re

from crossdock.read.shell_model import Assignment, ShellWord

_WRAPPERS: dict[str, str] = {
    "sudo": "ugph",
    "exec": "a",
    "command": "",
    "builtin": "",
    "nice": "n",
    "nohup": "",
    "time": "fo",
    "env": "uC",
    "gosu": "",
    "timeout": "sk",
    "stdbuf": "ioe",
    "eatmydata": "",
    "xvfb-run": "nes",
    "retry": "",
    "setarch": "",
    "linux32": "",
    "linux64": "",
}
"""Programs that start the program named after them, with their options that take a value."""


def unwrapped(words: list[ShellWord]) -> tuple[list[ShellWord], list[Assignment]]:
    """The command that is really run, without ``sudo``, ``env X=y`` and the like before it."""
    assignments: list[Assignment] = []
    while len(words) > 1:
        name = words[0].text.rsplit("/", 1)[-1]
        if name not in _WRAPPERS or (name == "command" and words[1].text.startswith("-")):
            break
        at = 1
        while at < len(words) and words[at].text.startswith("-"):
            at += 2 if words[at].text[-1:] in _WRAPPERS[name] and not words[at].text.startswith("--") else 1
        if name in {"timeout", "gosu", "setarch"}:
            at += 1
        while at < len(words) and name in {"env", "sudo"} and (match := re.match(r"([A-Za-z_]\w*)=", words[at].text)):
            word = words[at]
            value = word.value.slice(match.end(), len(word.text))
            assignments.append(Assignment(match[1], value, word.origin))
            at += 1
        if at >= len(words):
            break
        words = words[at:]
    return words, assignments
