"""What ``crossdock build`` says while it works: the story goes to standard error, the result to standard output."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from crossdock.cli.output import Progress, is_live, style_of, transferring, write
from crossdock.engines.model import EngineInfo, EventHandler
from crossdock.report.built import Built, built_text
from crossdock.report.planned import plan_text
from crossdock.report.progress import BuildProgress
from crossdock.report.terminal import port_text

if TYPE_CHECKING:
    from crossdock.fixes.port import PortResult
    from crossdock.plan.model import BuildPlan
    from crossdock.platforms import Platform


class Talk:
    """Says each step once. ``progress`` is the value of ``--progress``. With ``as_json`` standard output gets exactly
    one JSON object, at the end."""

    def __init__(self, progress: str, *, as_json: bool) -> None:
        self._quiet = progress == "quiet"
        self._plain = progress == "plain"
        self._live = progress == "tty" or (progress == "auto" and is_live(sys.stderr))
        self._json = as_json

    def say(self, text: str) -> None:
        if not self._quiet:
            write(text if text.endswith("\n") else f"{text}\n", sys.stderr)

    def ported(self, result: PortResult, *, wanted: bool) -> None:
        """With --port what was mended; without it, a hint when something could have been."""
        if wanted:
            self.say(port_text(result, style_of(sys.stderr), written=None))
        elif result.found:
            count = "1 place is" if len(result.found) == 1 else f"{len(result.found)} places are"
            self.say(f"{count} tied to amd64: crossdock check shows them, --port mends them here.")

    def planned(self, plan: BuildPlan, info: EngineInfo) -> None:
        self.say("\n" + plan_text(plan, style_of(sys.stderr)))
        self.say(f"\nBuilding with {info.name} {info.version} ({info.detail})")

    def building(self, platforms: Sequence[Platform]) -> AbstractContextManager[EventHandler]:
        if self._quiet:
            return nullcontext(lambda _: None)
        return BuildProgress(
            platforms,
            style_of(sys.stderr),
            lambda text: write(text, sys.stderr),
            live=self._live,
            output=self._plain,
        )

    def pushing(self, name: str) -> AbstractContextManager[Progress]:
        """While ``name`` is pushed; hands over what is to hear of the bytes."""
        return nullcontext(lambda _done, _total: None) if self._quiet else transferring(f"Pushing {name}")

    def finished(self, built: Built) -> None:
        if self._json:
            from crossdock.report.json import build_report, encode

            write(
                encode(
                    build_report(
                        engine=built.engine.name,
                        port=built.ported,
                        plan=built.plan,
                        commands=built.commands,
                        digest=built.verified.digest if built.verified else None,
                        verified=built.verified,
                        published=built.published,
                        fallbacks=built.fallbacks,
                        proofs=built.proofs,
                    )
                )
            )
        elif self._quiet and built.verified and built.passed:
            write(f"{built.verified.digest}\n")
        else:
            write(built_text(built, style_of(sys.stdout)))
