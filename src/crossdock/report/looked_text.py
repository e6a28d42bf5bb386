"""What looking up images gave, for people: image × platform with sizes and digests."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from crossdock.image.availability import ImagePlatforms
from crossdock.image.registry import Limit
from crossdock.report.canvas import Cell, indented, not_looked_at, render, text
from crossdock.report.looked import Looked
from crossdock.report.style import Style


def looked_text(looked: Looked, style: Style) -> str:
    """Each image with its platforms, then what could be used instead, what was not looked at, and a summary."""
    parts: list[RenderableType] = []
    entries = [entry for image in looked.images for entry in image.platforms]
    widths = (
        max((len(str(entry.platform)) for entry in entries), default=0),
        max((len(_size(entry.size)) for entry in entries), default=0),
    )
    for image in looked.images:
        parts += _image(image, looked, widths)
    for image in looked.images:
        parts += _instead(image)
    parts += ["", *not_looked_at(looked.skipped), *_summary(looked), *map(_limit, looked.limits)]
    return render(style, parts)


def _image(image: ImagePlatforms, looked: Looked, widths: tuple[int, int]) -> list[RenderableType]:
    """The name, with the digest of an index; below it a line for each platform."""
    name: Cell = (image.asked, "bold")
    if image.error:
        hint = [indented(text((image.error.hint, "dim")), 4)] if image.error.hint else []
        return [text(name), indented(text(("✗ ", "bold red"), image.error.what)), *hint]
    single = len(image.platforms) == 1 and image.platforms[0].digest == image.digest
    head: list[Cell] = [name] if single else [name, "  ", (image.digest or "", "dim")]
    parts: list[RenderableType] = [text(*head)]
    for entry in image.platforms:
        columns = (f"{entry.platform!s:{widths[0]}}", f"{_size(entry.size):>{widths[1]}}")
        parts.append(indented(text("  ".join(filter(None, columns)), "  ", (entry.digest, "dim"))))
    mark, look = ("✗", "bold red") if looked.require else ("–", "yellow")
    return parts + [indented(text((f"{mark} no {platform}", look))) for platform in image.lacks(looked.wanted)]


def _size(size: int | None) -> str:
    if size is None:
        return ""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"


def _instead(image: ImagePlatforms) -> list[RenderableType]:
    if not image.alternatives:
        return []
    parts: list[RenderableType] = ["", text("Instead of ", (image.asked, "bold"))]
    for other in image.alternatives:
        parts.append(indented(text((other.reference, "green"))))
        parts.append(indented(text(other.reason, *([(f" ({other.source})", "dim")] if other.source else [])), 4))
    return parts


def _summary(looked: Looked) -> list[Text]:
    total, failed = len(looked.images), len(looked.failures)
    lacking = sum(bool(image.lacks(looked.wanted)) for image in looked.images)
    images = f"{total} image" if total == 1 else f"{total} images"
    words = [f"{failed} could not be looked up"] * bool(failed)
    good = total - failed - lacking
    words = [
        f"{good} of {images} {'has' if 1 in (good, total) else 'have'} {', '.join(map(str, looked.wanted))}",
        *words,
    ]
    if not looked.require:
        return [text("; ".join(words))]
    look = ("✗ ", "bold red") if lacking or failed else ("✓ ", "bold green")
    return [text(look, "; ".join(words))]


def _limit(entry: tuple[str, Limit]) -> Text:
    host, limit = entry
    window = f" in {limit.seconds / 3600:g} h" if limit.seconds else ""
    look = "yellow" if limit.left * 10 < limit.allowed else "dim"
    return text((f"{host} allows {limit.allowed} pulls{window}; {limit.left} are left", look))
