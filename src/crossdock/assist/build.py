"""Building with assistance: launcher registered and packs mounted; plainly emulated when that comes to nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from crossdock.assist.dockerfile import CONTEXT, Assisted, assisted, without_mounts
from crossdock.assist.packs import MAKERS
from crossdock.assist.registration import registered
from crossdock.engines.buildah_dockerfile import given_arguments
from crossdock.engines.model import BuildRequest, Engine, EventHandler
from crossdock.errors import CrossdockError, EngineError
from crossdock.plan.model import BuildPlan
from crossdock.platforms import Platform
from crossdock.process import Runner
from crossdock.read.dockerfile import parse
from crossdock.source import Source


def build_assisted(
    engine: Engine,
    request: BuildRequest,
    plan: BuildPlan,
    work: Path,
    runner: Runner,
    on_event: EventHandler,
    say: Callable[[str], object],
    *,
    host: Platform,
) -> Path:
    """As ``Engine.build``, with native programs for the stages that the plan wants assisted.

    When it fails, for whatever reason, that is said, and the build is done again without assistance; so an error of it
    is one that has nothing to do with the assistance. Raises what ``Engine.build`` raises.
    """
    platforms = plan.assisted()
    if not platforms:
        return engine.build(request, work, on_event)

    with tempfile.TemporaryDirectory(prefix="crossdock-assist-", ignore_cleanup_errors=True) as folder:
        context = Path(folder) / "context"
        made = _made(request, plan, host)
        try:
            _write(made, context)
            with registered(platforms, runner):
                return engine.build(
                    _assisted_request(request, made, context), work, lambda event: on_event(made.as_written(event))
                )
        except CrossdockError as error:
            last = error.log[-1] if isinstance(error, EngineError) and error.log else ""
            reason = without_mounts(f"{error.what} ({last})" if last else error.what)
            say(f"The build with native programs failed; building again, everything emulated. It said: {reason}")
    return engine.build(request, work, on_event)


def as_planned(request: BuildRequest, plan: BuildPlan, context: Path, host: Platform) -> BuildRequest:
    """The request as an engine gets it, for a dry run; ``context`` is the folder that would hold the recipes."""
    if not plan.assisted():
        return request
    return _assisted_request(request, _made(request, plan, host), context)


def _made(request: BuildRequest, plan: BuildPlan, host: Platform) -> Assisted:
    arguments = given_arguments(request.build_args, os.environ)
    return assisted(parse(Source("Dockerfile", request.dockerfile)), plan, host, arguments)


def _assisted_request(request: BuildRequest, made: Assisted, context: Path) -> BuildRequest:
    contexts = (*request.build_contexts, f"{CONTEXT}={context}")
    return replace(request, dockerfile=made.dockerfile, target=made.target(request.target), build_contexts=contexts)


def _write(made: Assisted, context: Path) -> None:
    """The recipes and the scripts that carry them out."""
    try:
        shutil.copytree(MAKERS, context)
        for name, recipe in made.recipes.items():
            (context / name).write_text(recipe)
    except OSError as error:
        raise CrossdockError(f"the recipes of packs could not be written: {error.strerror}") from error
