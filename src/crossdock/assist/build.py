"""Building with assistance: launcher registered and packs mounted, watched; emulated where that comes to nothing."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from crossdock.assist.dockerfile import CONTEXT, STAGE, Assisted, assisted, without_mounts
from crossdock.assist.packs import MAKERS
from crossdock.assist.registration import registered
from crossdock.assist.watch import UNLIMITED, Hung, Limits, Watch, ends_with
from crossdock.engines.buildah_dockerfile import given_arguments
from crossdock.engines.model import BuildEvent, BuildRequest, Engine, EventHandler, StepState
from crossdock.errors import CrossdockError, EngineError
from crossdock.plan.model import BuildPlan
from crossdock.platforms import Platform
from crossdock.process import Runner
from crossdock.read.dockerfile import parse
from crossdock.read.model import Dockerfile, Instruction
from crossdock.source import Source

_WHERE = re.compile(r"Dockerfile:(\d+)")


@dataclass(frozen=True)
class Fallback:
    """A build that was begun again because it failed, or hung, with native programs. ``step`` is the instruction that
    runs emulated from then on; empty when all do. ``where`` is its place in the Dockerfile."""

    reason: str
    hung: bool = False
    step: str = ""
    where: str = ""
    stage: str = ""
    platform: Platform | None = None

    def __str__(self) -> str:
        how = "hung" if self.hung else "failed"
        if not self.step:
            return f"The build with native programs {how}; building again, everything emulated. It said: {self.reason}"
        stage = f" in stage {self.stage}" if self.stage else ""
        return (
            f"`{self.step}`{stage} on {self.platform} {how} with native programs; building again, this step emulated. "
            f"It said: {self.reason}"
        )


def build_assisted(
    engine: Engine,
    request: BuildRequest,
    plan: BuildPlan,
    work: Path,
    runner: Runner,
    on_event: EventHandler,
    on_fallback: Callable[[Fallback], object],
    *,
    host: Platform,
    limits: Limits = UNLIMITED,
) -> Path:
    """As ``Engine.build``, with native programs for the stages that the plan wants assisted, and with ``limits`` for
    steps that hang.

    A RUN instruction that fails or hangs with native programs is run again emulated, the others with them as before.
    When anything else fails, the build is done again with everything emulated. Each is told by ``on_fallback``. So an
    error of it is one that a step has without native programs, too. Raises what ``Engine.build`` raises, and
    EngineError for a step that hangs.
    """
    dockerfile = parse(Source("Dockerfile", request.dockerfile))
    spared: list[Instruction] = []
    while plan.assisted():
        made = _made(request, dockerfile, plan, host, spared)
        attempt = _Attempt(limits, on_event, made)
        try:
            with tempfile.TemporaryDirectory(prefix="crossdock-assist-", ignore_cleanup_errors=True) as folder:
                context = Path(folder) / "context"
                _write(made, context)
                with registered(plan.assisted(), runner):
                    return attempt.build(engine, _assisted_request(request, made, context), work)
        except CrossdockError as error:
            step = attempt.instruction(dockerfile)
            if step in spared or not _may_be_to_blame(attempt.stopped_at, plan):
                raise attempt.as_written(error) from error
            on_fallback(attempt.fallback(error, step, dockerfile))
            if step is None:
                break
            spared.append(step)
    attempt = _Attempt(limits, on_event)
    try:
        return attempt.build(engine, request, work)
    except CrossdockError as error:
        if attempt.hung is None:
            raise
        raise attempt.as_written(error) from error


class _Attempt:
    """One way of building, what its steps do, and which of them it ended with. ``made`` is None for a plain build."""

    def __init__(self, limits: Limits, on_event: EventHandler, made: Assisted | None = None) -> None:
        self._made = made
        self._on_event = on_event
        self._watch = Watch(limits)
        self._failed: BuildEvent | None = None

    @property
    def hung(self) -> Hung | None:
        return self._watch.hung

    @property
    def stopped_at(self) -> BuildEvent | None:
        return self.hung.step if self.hung else self._failed

    def build(self, engine: Engine, request: BuildRequest, work: Path) -> Path:
        with self._watch.watching():
            return engine.build(replace(request, stop=self._watch.stop), work, self._see)

    def _see(self, event: BuildEvent) -> None:
        event = self._made.as_written(event) if self._made else event
        self._watch(event)
        if event.state is StepState.FAILED:
            self._failed = self._failed or event
        self._on_event(event)

    def instruction(self, dockerfile: Dockerfile) -> Instruction | None:
        """The RUN instruction of the Dockerfile that it ended with, if it was one."""
        event = self.stopped_at
        if event is None:
            return None
        found = [
            (stage.label, instruction)
            for stage in dockerfile.stages
            for instruction in stage.instructions
            if instruction.keyword == "RUN" and _is_called(instruction, event.name, dockerfile)
        ]
        label = event.stage.removeprefix("stage-")
        return next((run for stage, run in found if stage == label), found[0][1] if found else None)

    def fallback(self, error: CrossdockError, step: Instruction | None, dockerfile: Dockerfile) -> Fallback:
        event = self.stopped_at
        if self.hung:
            reason = self.hung.why
        else:
            last = error.log[-1] if isinstance(error, EngineError) and error.log else ""
            reason = without_mounts(f"{error.what} ({last})" if last else error.what)
        if step is None or event is None:
            return Fallback(reason, self.hung is not None)
        line = dockerfile.source.position(step.span.start).line
        return Fallback(reason, self.hung is not None, event.name, f"Dockerfile:{line}", event.stage, event.platform)

    def as_written(self, error: CrossdockError) -> CrossdockError:
        """The error as it would be without packs in the Dockerfile; for a step that hangs, that."""
        if self.hung:
            return _hung(self.hung)
        line = _WHERE.fullmatch(error.where or "")
        where = f"Dockerfile:{self._made.line(int(line[1]))}" if line and self._made else error.where
        log = tuple(map(without_mounts, error.log)) if isinstance(error, EngineError) else ()
        return EngineError(without_mounts(error.what), where=where, hint=error.hint, log=log)


def _hung(hung: Hung) -> EngineError:
    step = hung.step
    stage = f" in stage {step.stage}" if step.stage else ""
    platform = f" on {step.platform}" if step.platform else ""
    return EngineError(
        f"the build hung{platform}{stage} at `{step.name}`: {hung.why}",
        hint="Build it on an Arm machine (`crossdock builder create`), or give it more time: --idle-timeout, "
        "--step-timeout.",
        log=hung.lines,
    )


def _is_called(instruction: Instruction, name: str, dockerfile: Dockerfile) -> bool:
    """Whether engines call the instruction by this name. Of a heredoc they show as much as they like."""
    flags = [dockerfile.source.text(flag.span) for flag in instruction.flags]
    if not name.startswith("RUN "):
        return False
    text = " ".join(["RUN", *flags, instruction.arguments.text])
    if instruction.heredocs:
        return " ".join(name.split()).startswith(" ".join(text.split()))
    return ends_with(name, text)


def _may_be_to_blame(step: BuildEvent | None, plan: BuildPlan) -> bool:
    """Whether it may be due to native programs, run by this step or before it, that a build ended with it."""
    if step is None or step.platform is None or step.stage.startswith(STAGE):
        return True
    takes_from_context = step.name.startswith(("COPY ", "ADD ")) and "--from=" not in step.name
    return step.platform in plan.assisted() and not takes_from_context


def as_planned(request: BuildRequest, plan: BuildPlan, context: Path, host: Platform) -> BuildRequest:
    """The request as an engine gets it, for a dry run; ``context`` is the folder that would hold the recipes."""
    if not plan.assisted():
        return request
    dockerfile = parse(Source("Dockerfile", request.dockerfile))
    return _assisted_request(request, _made(request, dockerfile, plan, host, ()), context)


def _made(
    request: BuildRequest, dockerfile: Dockerfile, plan: BuildPlan, host: Platform, spared: Collection[Instruction]
) -> Assisted:
    return assisted(dockerfile, plan, host, given_arguments(request.build_args, os.environ), spared)


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
