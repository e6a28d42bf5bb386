"""An image that was pushed or pulled: what, where to, and what it is called by digest."""

from __future__ import annotations

from dataclasses import dataclass

from crossdock.platforms import Platform
from crossdock.report.canvas import render, text
from crossdock.report.style import Style


@dataclass(frozen=True)
class Sent:
    """``source`` are the images or files that it was made from, ``destination`` the reference or file it is in now."""

    source: tuple[str, ...]
    destination: str
    digest: str
    platforms: tuple[Platform, ...]


def sent_text(sent: Sent, style: Style) -> str:
    platforms = ", ".join(map(str, sent.platforms)) or "no platform"
    return render(
        style,
        [
            text(("✓ ", "green"), (sent.destination, "bold"), f"  {platforms}"),
            text((f"  {sent.digest}", "dim")),
        ],
    )
