"""Errors and notes on standard error, in one form."""

from __future__ import annotations

import contextlib
import sys

from crossdock.errors import CrossdockError, EngineError


def say_error(error: CrossdockError) -> None:
    """What happened, where, the engine's last lines, and what to do next."""
    lines = [f"crossdock: {error.where}: {error.what}" if error.where else f"crossdock: {error.what}"]
    if isinstance(error, EngineError):
        lines += [f"  | {line}" for line in error.log]
    if error.hint:
        lines += [f"  {line}" for line in error.hint.splitlines()]
    say("\n".join(lines))


def say(text: str) -> None:
    """To stderr, with everything a terminal could take for a command made visible."""
    visible = "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with contextlib.suppress(OSError):  # nobody is left to tell
        print(visible.encode(encoding, "backslashreplace").decode(encoding), file=sys.stderr, flush=True)
