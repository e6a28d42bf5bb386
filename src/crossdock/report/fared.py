"""What a terminal shows of builders and their nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType

from crossdock.builders.state import BuilderState, NodeState
from crossdock.platforms import Platform
from crossdock.report.canvas import Cell, hanging, indented, render, text
from crossdock.report.style import Style


def builders_text(builders: Sequence[BuilderState], style: Style) -> str:
    """Each builder with its nodes: what each does by itself, and what it would emulate."""
    parts: list[RenderableType] = []
    for number, builder in enumerate(builders):
        parts += ["", *_builder(builder)] if number else _builder(builder)
    return render(style, parts)


def _builder(builder: BuilderState) -> Iterator[RenderableType]:
    words = ", ".join(filter(None, (builder.driver, "in use" if builder.current else "")))
    yield text((builder.name, "bold"), f"  {words}" if words else "")
    if builder.trouble:
        yield indented(text(("✗ ", "bold red"), builder.trouble))
    for node in builder.nodes:
        yield from _node(node)
    for note in builder.notes:
        yield indented(text(("! ", "yellow"), note))


def _node(node: NodeState) -> Iterator[RenderableType]:
    facts: list[Cell] = [(node.name, "bold"), "  ", node.endpoint, "  "]
    facts.append((node.status, "green" if node.status == "running" else "yellow"))
    facts.append(f", BuildKit {node.buildkit}" if node.buildkit else "")
    facts.append(f", answers in {milliseconds(node.latency)}" if node.latency is not None else "")
    yield indented(text(*facts))
    if node.trouble:
        yield indented(text(("✗ ", "bold red"), node.trouble), 4)
    rows = [("pinned", node.pinned), ("native", node.native), ("emulated", node.emulated)]
    if node.own is None:
        rows[1:] = [("has", node.platforms)]
    for label, platforms in rows:
        if platforms:
            yield hanging((label, "dim"), text(_listed(platforms)), 4, 10)


def _listed(platforms: Sequence[Platform]) -> str:
    return ", ".join(map(str, platforms))


def milliseconds(value: float) -> str:
    """``under 0.1 ms``, ``0.3 ms``, ``42 ms``."""
    if value < 0.1:
        return "under 0.1 ms"
    return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
