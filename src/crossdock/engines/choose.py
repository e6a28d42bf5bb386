"""Choosing the engine, to build or to run with: the one that was asked for, or the first that answers."""

from __future__ import annotations

from crossdock.engines.buildah import Buildah
from crossdock.engines.buildah_run import BuildahRun
from crossdock.engines.buildx import Buildx
from crossdock.engines.containers import ContainerEngine
from crossdock.engines.docker_run import DockerRun
from crossdock.engines.model import Engine
from crossdock.engines.packages import Wanted, install_command
from crossdock.errors import EngineError, UsageError
from crossdock.process import Runner

NAMES = ("auto", "buildx", "buildah")
RUN_NAMES = ("auto", "docker", "podman", "buildah")


def choose(name: str, runner: Runner, *, builder: str = "") -> Engine:
    """An engine that has answered. ``auto`` takes buildx where a Docker daemon with buildx answers, else buildah; with
    a ``builder`` it is buildx, whose builder that is.

    Raises EngineError with the next step for this distribution, UsageError for a name that is none.
    """
    if builder and name == "buildah":
        raise UsageError("--builder names a builder of buildx", hint="Leave --builder or --engine buildah out.")
    if name == "buildx" or (builder and name == "auto"):
        return _probed(Buildx(runner, builder))
    if name == "buildah":
        return _probed(Buildah(runner))
    if name != "auto":
        raise UsageError(f"there is no engine {name!r}", hint=f"Choose one of {', '.join(NAMES)}.")
    reasons: list[str] = []
    hint = "Install buildah, or Docker with buildx."
    engines: tuple[Engine, ...] = (Buildx(runner), Buildah(runner))
    for engine in engines:
        try:
            return _probed(engine)
        except EngineError as error:
            reasons.append(f"{engine.name}: {error.what}. {error.hint or ''}".strip())
            hint = error.hint or hint
    install = install_command(Wanted.BUILDAH, runner)
    if install and not runner.which("buildah"):
        hint = f"Run `{install}`, which needs no daemon."
    raise EngineError(
        "there is no engine to build with",
        hint=hint,
        log=tuple(reasons),
    )


def _probed(engine: Engine) -> Engine:
    engine.probe()
    return engine


def choose_to_run(name: str, runner: Runner) -> ContainerEngine:
    """An engine that has answered and runs containers. ``auto`` takes the first of Docker, podman and buildah.

    Raises EngineError with the next step, UsageError for a name that is none.
    """
    engines: dict[str, ContainerEngine] = {
        "docker": DockerRun("docker", runner),
        "podman": DockerRun("podman", runner),
        "buildah": BuildahRun(runner),
    }
    if name in engines:
        engines[name].probe()
        return engines[name]
    if name != "auto":
        raise UsageError(f"there is no engine {name!r}", hint=f"Choose one of {', '.join(RUN_NAMES)}.")
    reasons: list[str] = []
    for engine in engines.values():
        try:
            engine.probe()
        except EngineError as error:
            reasons.append(f"{engine.name}: {error.what}. {error.hint or ''}".strip())
        else:
            return engine
    install = install_command(Wanted.PODMAN, runner) or "the package podman"
    hint = f"Install one (`{install}`), or mend one of these; `crossdock doctor` looks into it."
    raise EngineError("there is no engine to run containers with", hint=hint, log=tuple(reasons))
