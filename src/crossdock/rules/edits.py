"""Edits that several fixes share: declaring an argument in a stage."""

from __future__ import annotations

from crossdock.read.model import Stage
from crossdock.rules.base import Project
from crossdock.source import Edit, Span


def declare(project: Project, stage: Stage, name: str) -> Edit:
    """``ARG name`` on a line of its own after the stage's FROM."""
    source = project.dockerfile.source
    end = stage.from_.span.end
    keyword = "arg" if source.text(stage.from_.keyword_span).islower() else "ARG"
    return Edit(source.path, Span(end, end), source.newline + f"{keyword} {name}".encode())
