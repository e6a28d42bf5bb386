"""What a terminal shows when a registry is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crossdock.report.style import Style, fit, harmless

if TYPE_CHECKING:
    from crossdock.host.registry import Place, RegistrySettings


def served_text(place: Place, settings: RegistrySettings, style: Style) -> str:
    """Where the registry is, where its images are, how to use it and how to end it."""
    if settings.mirror:
        use = ("pull", f"{place.address}/NAME:TAG comes from {settings.mirror} and is kept; it takes no images")
    else:
        use = ("push", f"crossdock push app.tar {place.address}/app:1")
    rows = [("registry", place.url), ("images", str(place.data)), use]
    if settings.htpasswd:
        rows.append(("log in", f"docker login {place.address}"))
    rows.append(("end", "Ctrl-C; the images stay"))
    return fit("".join(f"{name:8}  {harmless(value)}\n" for name, value in rows), style)
