"""The nodes of a builder, as the planner takes them."""

from __future__ import annotations

from crossdock.builders.state import look
from crossdock.plan.model import BuilderNode
from crossdock.process import Runner


def builder_nodes(name: str, runner: Runner) -> tuple[BuilderNode, ...]:
    """What the nodes of a builder are, and which platforms are pinned on each. Raises EngineError when there is no such
    builder. A node that does not answer is there without a platform of its own."""
    found = look(name, runner, timed=False)
    return tuple(
        BuilderNode(node.name, node.own, node.pinned, node.platforms) for state in found for node in state.nodes
    )
