"""What happens when a build with native programs fails: which step runs again how, and what people are told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from crossdock.assist import build
from crossdock.assist.build import Fallback, build_assisted
from crossdock.assist.watch import Limits
from crossdock.engines.model import BuildEvent, BuildRequest, StepState
from crossdock.errors import EngineError
from crossdock.plan.planner import make_plan
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.process import SystemRunner
from crossdock.read.dockerfile import parse
from crossdock.source import Source

TEXT = """\
FROM debian:12 AS build
RUN make
RUN make \\
    install
COPY --from=other /x /x
COPY . /src
"""
PACK = "--mount=type=bind,from=crossdock-pack-0,source=/.crossdock,target=/.crossdock"


@pytest.fixture(autouse=True)
def unregistered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "registered", lambda *_: contextlib.nullcontext())


@dataclass
class Engine:
    """``fails`` says of a Dockerfile at which step it fails, as the engine shows that step."""

    fails: Callable[[str], str]
    platform: Platform | None = ARM64
    stage: str = "build"
    hangs: bool = False
    built: list[str] = field(default_factory=list)

    def build(self, request: BuildRequest, work: Path, on_event: Callable[[BuildEvent], None]) -> Path:
        text = request.dockerfile.decode()
        self.built.append(text)
        name = self.fails(text)
        if not name:
            return work / "layout"
        step = BuildEvent(StepState.STARTED, "5", self.platform, self.stage, name)
        on_event(step)
        if self.hangs:
            assert request.stop
            assert request.stop.wait(20)
            raise EngineError("`docker` was stopped")
        on_event(BuildEvent(StepState.FAILED, "5", self.platform, self.stage, name))
        line = text[: text.index(name.split()[-1])].count("\n") + 1
        raise EngineError(f"the build failed at `{name}`", where=f"Dockerfile:{line}", log=("cc: error",))

    @property
    def packs(self) -> list[list[bool]]:
        """Of each build, which RUN of the people's had a pack."""
        return [
            [PACK in line for line in text.splitlines() if line.startswith("RUN") and "make-pack" not in line]
            for text in self.built
        ]


def run(engine: Engine, tmp_path: Path, limits: Limits | None = None) -> tuple[list[Fallback], EngineError | None]:
    told: list[Fallback] = []
    plan = make_plan(parse(Source("Dockerfile", TEXT.encode())), (ARM64,), host=AMD64, assisted=frozenset({ARM64}))
    request = BuildRequest(tmp_path, TEXT.encode(), b"", (ARM64,))
    with contextlib.ExitStack() as stack:
        caught = stack.enter_context(_caught())
        build_assisted(
            engine, request, plan, tmp_path, SystemRunner(), lambda _: None, told.append,  # type: ignore[arg-type]
            host=AMD64, limits=limits or Limits(idle=0),
        )  # fmt: skip
    return told, caught[0] if caught else None


@contextlib.contextmanager
def _caught() -> Iterator[list[EngineError]]:
    found: list[EngineError] = []
    try:
        yield found
    except EngineError as error:
        found.append(error)


def install(text: str) -> str:
    """The second RUN fails as long as it has a pack."""
    return f"RUN {PACK} make     install" if f"RUN {PACK} make \\" in text else ""


def test_only_the_step_that_failed_runs_emulated(tmp_path: Path) -> None:
    engine = Engine(install)
    (fallback,), error = run(engine, tmp_path)
    assert error is None
    assert engine.packs == [[True, True], [True, False]]
    assert fallback == Fallback(
        "the build failed at `RUN make     install` (cc: error)", False, "RUN make     install", "Dockerfile:3",
        "build", ARM64,
    )  # fmt: skip
    assert str(fallback).startswith("`RUN make     install` in stage build on linux/arm64 failed with native programs;")


def test_what_fails_emulated_too_is_told_as_if_there_were_no_packs(tmp_path: Path) -> None:
    engine = Engine(lambda text: install(text) or "RUN make     install")
    told, error = run(engine, tmp_path)
    assert (len(told), engine.packs) == (1, [[True, True], [True, False]])
    assert error
    assert (error.what, error.log) == ("the build failed at `RUN make     install`", ("cc: error",))
    assert error.where == "Dockerfile:4", "the line that the engine names, without those of the packs"


def test_anything_else_is_built_again_with_everything_emulated(tmp_path: Path) -> None:
    engine = Engine(lambda text: "COPY --from=other /x /x" if PACK in text else "")
    (fallback,), error = run(engine, tmp_path)
    assert (error, fallback.step, engine.packs) == (None, "", [[True, True], [False, False]])
    assert "building again, everything emulated" in str(fallback)


def test_a_pack_that_cannot_be_made_does_not_fail_the_build(tmp_path: Path) -> None:
    engine = Engine(lambda text: "FROM debian:12" if PACK in text else "", AMD64, "crossdock-pack-0-arm64")
    (fallback,), error = run(engine, tmp_path)
    assert (error, fallback.step, len(engine.built)) == (None, "", 2)


@pytest.mark.parametrize(("name", "platform"), [("COPY . /src", ARM64), ("RUN make", AMD64)])
def test_what_has_nothing_to_do_with_native_programs_is_not_tried_again(
    tmp_path: Path, name: str, platform: Platform
) -> None:
    engine = Engine(lambda _: name, platform)
    told, error = run(engine, tmp_path)
    assert (told, len(engine.built)) == ([], 1)
    assert error
    assert error.what == f"the build failed at `{name}`"


def test_a_step_that_hangs_runs_emulated_and_if_it_hangs_again_that_is_the_error(tmp_path: Path) -> None:
    engine = Engine(install, hangs=True)
    (fallback,), error = run(engine, tmp_path, Limits(idle=0, step=0.1))
    assert (error, fallback.hung, fallback.step) == (None, True, "RUN make     install")
    assert fallback.reason == "it was not done after 0.1 s"
    engine = Engine(lambda text: install(text) or "RUN make     install", hangs=True)
    _, error = run(engine, tmp_path, Limits(idle=0, step=0.1))
    assert error
    assert error.what == (
        "the build hung on linux/arm64 in stage build at `RUN make     install`: it was not done after 0.1 s"
    )
    assert "--step-timeout" in (error.hint or "")
