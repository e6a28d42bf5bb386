"""What looking up images gave, and its text for people: image × platform with sizes and digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from crossdock.errors import CrossdockError
from crossdock.findings import Skipped
from crossdock.image.lookup import ImagePlatforms
from crossdock.image.registry import Limit
from crossdock.platforms import Platform
from crossdock.report.canvas import Cell, hanging, indented, render, table, text
from crossdock.report.style import Style


@dataclass(frozen=True)
class Looked:
    """Images in the order asked for; ``require`` are the platforms that each must have; ``limits`` what registries
    still allow, by host."""

    images: tuple[ImagePlatforms, ...]
    require: tuple[Platform, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    limits: tuple[tuple[str, Limit], ...] = ()

    @property
    def failures(self) -> tuple[CrossdockError, ...]:
        return tuple(image.error for image in self.images if image.error)

    @property
    def lacking(self) -> tuple[ImagePlatforms, ...]:
        return tuple(image for image in self.images if image.lacks(self.require))


def looked_text(looked: Looked, style: Style) -> str:
    """A table, then what could be used instead, what was not looked at, and a summary."""
    rows: list[tuple[Cell, ...]] = []
    for image in looked.images:
        rows += _rows(image, looked.require)
    parts: list[RenderableType] = table(style, ("image", "platform", "size", "digest"), rows) if rows else []
    for image in looked.images:
        parts += _instead(image)
    if looked.skipped:
        parts += ["", text(("Not looked at", "bold"))]
        parts += [hanging("-", text((item.what, "bold"), f": {item.why}"), label_width=2) for item in looked.skipped]
    parts += ["", *_summary(looked), *map(_limit, looked.limits)]
    return render(style, parts)


def _rows(image: ImagePlatforms, require: Sequence[Platform]) -> list[tuple[Cell, ...]]:
    name: Cell = (image.asked, "bold")
    if image.error:
        return [(name, ("✗ not known", "bold red"), "", image.error.what)]
    rows: list[tuple[Cell, ...]] = []
    if len(image.platforms) != 1 or image.platforms[0].digest != image.digest:
        rows.append((name, "index", "", (image.digest or "", "dim")))
        name = ""
    for entry in image.platforms:
        rows.append((name, str(entry.platform), _size(entry.size), (entry.digest, "dim")))
        name = ""
    rows += [(name, (f"✗ no {platform}", "bold red"), "", "") for platform in image.lacks(require)]
    return rows


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
    total, failed, lacking = len(looked.images), len(looked.failures), len(looked.lacking)
    images = f"{total} image" if total == 1 else f"{total} images"
    words = [f"{failed} could not be looked up"] * bool(failed)
    if looked.require:
        wanted = ", ".join(map(str, looked.require))
        good = total - failed - lacking
        words = [f"{good} of {images} {'has' if good == 1 else 'have'} {wanted}", *words]
        look = ("✗ ", "bold red") if lacking or failed else ("✓ ", "bold green")
        return [text(look, "; ".join(words))]
    return [text("; ".join([images, *words]))]


def _limit(entry: tuple[str, Limit]) -> Text:
    host, limit = entry
    window = f" in {limit.seconds / 3600:g} h" if limit.seconds else ""
    look = "yellow" if limit.left * 10 < limit.allowed else "dim"
    return text((f"{host} allows {limit.allowed} pulls{window}; {limit.left} are left", look))
