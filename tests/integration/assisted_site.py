"""Assisted builds in tests: an engine that builds with native programs, and what came out."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from crossdock.assist.build import build_assisted
from crossdock.assist.registration import available
from crossdock.engines.choose import choose
from crossdock.engines.model import BuildEvent, BuildRequest, StepState
from crossdock.image.layout import LayoutImage
from crossdock.plan.planner import make_plan
from crossdock.platforms import ARM64, Platform, host_platform
from crossdock.process import SystemRunner
from crossdock.read.dockerfile import parse
from crossdock.source import Source


@dataclass
class Site:
    """An engine, and what it said."""

    engine: str
    context: Path
    work: Path
    output: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def build(self, text: str, platforms: tuple[Platform, ...] = (ARM64,), *, assist: bool = True) -> Path:
        host, runner = host_platform(), SystemRunner()
        able = available(platforms, host, runner)
        assert able.missing == ""
        dockerfile = parse(Source("Dockerfile", text.encode()))
        assisted: frozenset[Platform] = able.platforms if assist else frozenset()
        plan = make_plan(dockerfile, platforms, host=host, assisted=assisted)
        request = BuildRequest(self.context, text.encode(), b"", platforms, network="host")

        def see(event: BuildEvent) -> None:
            if event.state is StepState.OUTPUT:
                self.output.append(event.text)
            if event.state is StepState.STARTED:
                self.steps.append(event.name)

        work = self.work / str(len(list(self.work.iterdir())))
        work.mkdir()
        engine = choose(self.engine, runner)
        return build_assisted(engine, request, plan, work, runner, see, self.said.append, host=host)


def history(layout: Path, platform: Platform = ARM64) -> list[str]:
    image = LayoutImage(layout)
    entry = next(one for one in image.index().images if one.platform == platform)
    config = json.loads(image.read(image.manifest(entry).config))
    return [one.get("created_by", "") for one in config["history"]]


def paths(layout: Path, platform: Platform = ARM64) -> set[str]:
    """The files of the layers that the build made."""
    image = LayoutImage(layout)
    entry = next(one for one in image.index().images if one.platform == platform)
    found: set[str] = set()
    for layer in image.manifest(entry).layers:
        blob = layout / "blobs" / layer.digest.replace(":", "/")
        listed = subprocess.run(["tar", "-tf", blob], check=True, capture_output=True, text=True)
        found |= set(listed.stdout.splitlines())
    return found
