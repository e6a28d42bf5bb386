"""Running a container with Docker, or with podman, which takes the same commands: create, start in the foreground, and
look at what became of it before it is removed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets as random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from signal import Signals
from typing import Any, BinaryIO

from crossdock.engines.buildah_store import hard_limits, low_limits
from crossdock.engines.containers import Container, EngineFacts, EngineWords, Outcome, Pull, RunRequest, shell_code
from crossdock.engines.docker_archive import write_docker_archive
from crossdock.engines.packages import Wanted, install_command
from crossdock.engines.trouble import daemon_trouble, failure
from crossdock.errors import EngineError
from crossdock.image.model import OCI_LAYER, Descriptor, ImageConfig
from crossdock.platforms import Platform, host_platform, normalise, parse_platform
from crossdock.process import Command, Runner, uninterrupted

_ASK_SECONDS = 30.0
_MOVE_SECONDS = 3600.0
"""For pulling, loading and exporting an image."""
_FLAGS_FROM = (20, 10)
"""The first Docker whose ``--platform`` is not experimental, and whose ``create`` knows ``--pull``."""
_NEXT = "Check the image's name and the flags; the engine's own words above say which."
_NOT_HERE = re.compile(
    r"no such image|image not known|does not match the specified platform|unable to find image", re.IGNORECASE
)
_ACTUAL = re.compile(r"does not match the specified platform: wanted \S+, actual: (\S+)")
_RUNTIME = (
    r"exec [^ ].*: (exec format error|no such file or directory|permission denied)"  # runc
    r"|standard_init_linux\.go:\d+: exec user process caused.*"  # runc before 1.1
    r'|\{"msg":"exec container process .*'  # crun
)
_RUNTIME_STARTS = ("exec ", "standard_init_linux.go:", '{"msg":"exec container process ')
_WORDS = {
    "docker": EngineWords(
        (*_RUNTIME_STARTS, "Error response from daemon: ", "failed to start containers: ", "Error: failed to start"),
        re.compile(
            rf"{_RUNTIME}|Error response from daemon: .*|(Error: )?failed to start containers: crossdock-run-\w+"
        ),
    ),
    "podman": EngineWords(
        (*_RUNTIME_STARTS, "Error: unable to start container ", "Error: OCI runtime error: "),
        re.compile(rf"{_RUNTIME}|Error: (OCI runtime error: )?unable to start container .*"),
    ),
}


def create_command(
    facts: EngineFacts, request: RunRequest, image: str, name: str, limits: Mapping[str, int] | None = None
) -> Command:
    """``docker create`` of a request, from an image that is there under the name ``image``.

    ``limits`` are this process's hard ones where they are lower than what podman sets by itself.
    """
    argv = [*facts.words, "create", "--name", name]
    if _has_flags(facts):
        argv += [f"--platform={request.platform}", "--pull=never"]
    elif facts.experimental:
        argv.append(f"--platform={request.platform}")
    argv += ["--interactive"] * request.interactive + ["--tty"] * request.tty
    argv += [] if request.healthcheck else ["--no-healthcheck"]
    given = {"network": request.network, "workdir": request.workdir, "user": request.user}
    argv += [f"--{flag}={value}" for flag, value in given.items() if value is not None]
    if request.entrypoint is not None:
        argv.append(f"--entrypoint={request.entrypoint}")
    argv += [f"--env={text}" for text in request.env]
    argv += [f"--volume={text}" for text in request.volumes]
    argv += [f"--publish={text}" for text in request.publish]
    argv += [f"--ulimit={limit}={value}:{value}" for limit, value in (limits or {}).items()]
    return Command((*argv, image, *request.command))


def start_command(facts: EngineFacts, request: RunRequest, name: str) -> Command:
    """In the foreground."""
    return Command((*facts.words, "start", "--attach", *(["--interactive"] * request.interactive), name))


def pull_command(facts: EngineFacts, request: RunRequest) -> Command:
    """Raises EngineError where an old Docker cannot pull this platform."""
    argv = [*facts.words, "pull"]
    if _has_flags(facts) or facts.experimental:
        argv.append(f"--platform={request.platform}")
    elif request.platform != facts.host:
        raise too_old(facts, request)
    return Command((*argv, request.image))


def too_old(facts: EngineFacts, request: RunRequest) -> EngineError:
    version = ".".join(f"{part:02}" for part in facts.version)
    return EngineError(
        f"Docker {version} pulls images of another platform only with experimental features",
        where=request.image,
        hint=f"Run `crossdock pull {request.image} --platform {request.platform} -o image.tar`, and then run image.tar;"
        ' or set "experimental": true in /etc/docker/daemon.json and restart Docker.',
    )


def _has_flags(facts: EngineFacts) -> bool:
    return facts.name != "docker" or facts.version >= _FLAGS_FROM


class DockerRun:
    """``docker`` or ``podman``, by its name. One instance asks it about itself once. ``program`` is the beginning of
    each command where that is more: a Docker elsewhere (``docker --host ssh://arm``)."""

    def __init__(self, name: str, runner: Runner, program: tuple[str, ...] = ()) -> None:
        self.name = name
        self._program = program or (name,)
        self._runner = runner
        self._facts: EngineFacts | None = None

    def probe(self) -> EngineFacts:
        if self._facts is None:
            asked = _ask_docker(self._runner, self._program) if self.name == "docker" else _ask_podman(self._runner)
            self._facts = replace(asked, program=self._program)
        return self._facts

    def local_platform(self, image: str) -> Platform | None:
        command = Command((*self._program, "image", "inspect", image))
        done = self._runner.run(command, timeout=_ASK_SECONDS, check=False)
        return _platform(done.text) if done.exit_code == 0 else None

    @contextlib.contextmanager
    def create(self, request: RunRequest, on_pull: Callable[[], AbstractContextManager[None]]) -> Iterator[Container]:
        facts = self.probe()
        name = f"crossdock-run-{random.token_hex(6)}"
        clean = [Command((*self._program, "rm", "--force", "--volumes", name))]
        if request.content is not None:
            clean.append(Command((*self._program, "image", "rm", "--force", _loaded(self.name, name))))
        with self._runner.guard(clean):
            try:
                image = self._image(request, name, on_pull)
                if image is None:
                    self._create_or_pull(facts, request, name, on_pull)
                else:
                    self._create(facts, request, image, name)
                yield _Container(facts, name, start_command(facts, request, name), request.platform, self._runner)
            finally:
                with uninterrupted():
                    for command in clean:
                        # What is not there any more is no error, and nothing here may hide the error that led to it.
                        with contextlib.suppress(EngineError):
                            self._runner.run(command, timeout=_ASK_SECONDS, check=False)

    def _image(self, request: RunRequest, name: str, on_pull: Callable[[], AbstractContextManager[None]]) -> str | None:
        """The name of an image that was loaded for this run, if it was."""
        if request.content is None:
            return None
        image = _loaded(self.name, name)
        with on_pull(), tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
            archive = Path(folder) / "image.tar"
            write_docker_archive(request.content, request.platform, (image,), archive)
            self._do(Command((*self._program, "load", "--input", str(archive))), "could not load the image", request)
        return image

    def _create_or_pull(
        self,
        facts: EngineFacts,
        request: RunRequest,
        name: str,
        on_pull: Callable[[], AbstractContextManager[None]],
    ) -> None:
        if request.pull is not Pull.ALWAYS:
            here = self._is_here(facts, request)
            if here is not False:
                try:
                    self._create(facts, request, request.image, name)
                    return
                except EngineError as error:
                    if not any(map(_NOT_HERE.search, error.log)) or request.pull is Pull.NEVER:
                        raise
            elif request.pull is Pull.NEVER:
                raise EngineError(f"there is no {request.platform} of this image here", where=request.image)
        pull = pull_command(facts, request)
        with on_pull():
            try:
                self._do(pull, "could not pull the image", request)
            except EngineError as error:
                raise self._not_pulled(error, request) from error
        self._create(facts, request, request.image, name)

    def _is_here(self, facts: EngineFacts, request: RunRequest) -> bool | None:
        """Whether an old Docker, which would just run what it has, has this platform; None where ``create`` tells."""
        if _has_flags(facts):
            return None
        return self.local_platform(request.image) == request.platform

    def _not_pulled(self, error: EngineError, request: RunRequest) -> EngineError:
        """What else there is of an image that could not be pulled."""
        local = self.local_platform(request.image)
        if local is None or local == request.platform:
            return error
        return EngineError(
            f"{error.what}; what {self.name} has under this name is for {local}",
            where=error.where,
            hint=f"To run that one, add --platform {local}; to get one for {request.platform}, build it"
            " (crossdock build) or check the name.",
            log=error.log,
        )

    def _create(self, facts: EngineFacts, request: RunRequest, image: str, name: str) -> None:
        limits = podman_limits(hard_limits()) if self.name == "podman" and os.geteuid() == 0 else {}
        self._do(create_command(facts, request, image, name, limits), "could not make a container", request)

    def _do(self, command: Command, what: str, request: RunRequest) -> None:
        lines: list[str] = []
        if self._runner.stream(command, lines.append, timeout=_MOVE_SECONDS) == 0:
            return
        lines = [line for line in lines if line and not line.startswith("Run 'docker ")]
        actual = next((match[1] for match in map(_ACTUAL.search, lines) if match), None)
        if actual:
            raise EngineError(
                f"the image is for {actual}, not for {request.platform}",
                where=request.image,
                hint=f"`crossdock platforms {request.image}` shows what there is of it; --platform {actual} runs this.",
                log=tuple(lines[-1:]),
            )
        raise failure(f"{self.name} {what}", lines, where=request.image, hint=_NEXT)


def podman_limits(hard: Mapping[str, int], pid_max: Path = Path("/proc/sys/kernel/pid_max")) -> dict[str, int]:
    """What podman has to be told where root may not have as much as it asks for (in a container or sandbox, without
    CAP_SYS_RESOURCE). It lowers its own limit of processes to the highest process number before that."""
    low = low_limits(hard)
    with contextlib.suppress(OSError, ValueError):
        if "nproc" in low:
            low["nproc"] = min(low["nproc"], int(pid_max.read_text()))
    return low


def _loaded(engine: str, name: str) -> str:
    """podman puts what has no registry in its name under ``localhost``."""
    return f"localhost/{name}:latest" if engine == "podman" else f"{name}:latest"


class _Container:
    wrappers: frozenset[str] = frozenset()

    def __init__(self, facts: EngineFacts, name: str, command: Command, platform: Platform, runner: Runner) -> None:
        self.command = command
        self.engine_words = _WORDS[facts.name]
        self._engine = facts.name
        self._program = facts.words
        self._name = name
        self._platform = platform
        self._runner = runner

    def main_process(self, attached: int) -> int | None:  # noqa: ARG002 (buildah's is found by it)
        pid = (self._inspect().get("State") or {}).get("Pid")
        return pid if isinstance(pid, int) and pid > 0 else None

    def signal(self, number: Signals) -> bool:
        """`docker start --attach` of Docker 28 passes none on, but ends by them, with 0."""
        with contextlib.suppress(EngineError):
            command = Command((*self._program, "kill", f"--signal={number.name}", self._name))
            self._runner.run(command, timeout=_ASK_SECONDS, check=False)
        return True

    def execute(self, words: tuple[str, ...]) -> Command | None:
        return Command((*self._program, "exec", self._name, *words))

    def outcome(self, exit_code: int, noise: tuple[str, ...]) -> Outcome:  # noqa: ARG002
        state = self._inspect().get("State") or {}
        if state.get("Status") in ("created", "configured"):
            return Outcome(started=False, trouble=state.get("Error") or "")
        return Outcome(started=True, exit_code=shell_code(exit_code), out_of_memory=bool(state.get("OOMKilled")))

    def config(self) -> ImageConfig:
        return container_config(self._inspect(), self._platform)

    def head(self, path: str, size: int) -> tuple[str, bytes] | None:
        follow = ("--follow-link",) if self._engine == "docker" else ()  # podman always does
        with contextlib.suppress(EngineError, OSError), tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
            copy = Path(folder) / "copy"
            command = Command((*self._program, "cp", *follow, f"{self._name}:{path}", str(copy)))
            self._runner.run(command, timeout=_ASK_SECONDS)
            with copy.open("rb") as file:
                return path, file.read(size)
        return None

    def layers(self, folder: Path) -> Iterator[tuple[Descriptor, BinaryIO]]:
        file = folder / "container.tar"
        command = Command((*self._program, "export", "--output", str(file), self._name))
        self._runner.run(command, timeout=_MOVE_SECONDS)
        with file.open("rb") as stream:
            yield Descriptor(OCI_LAYER, f"of container {self._name}", file.stat().st_size), stream

    def _inspect(self) -> dict[str, Any]:
        command = Command((*self._program, "container", "inspect", self._name))
        try:
            found = json.loads(self._runner.run(command, timeout=_ASK_SECONDS, check=False).text or "[]")
        except (ValueError, EngineError):
            return {}
        return found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}


def container_config(inspected: Mapping[str, Any], platform: Platform) -> ImageConfig:
    """What ``docker container inspect`` says is started. CMD is told from ENTRYPOINT by standing last."""
    config = inspected.get("Config") or {}
    words = (str(inspected.get("Path") or ""), *map(str, inspected.get("Args") or ()))
    words = words if words[0] else ()
    command = tuple(map(str, config.get("Cmd") or ()))
    if config.get("Entrypoint") and command and words[-len(command) :] == command and len(words) > len(command):
        entrypoint = words[: -len(command)]
    else:
        entrypoint, command = words, ()
    pairs = (str(item).partition("=") for item in config.get("Env") or ())
    return ImageConfig(
        platform=platform,
        entrypoint=entrypoint,
        command=command,
        env={name: value for name, _, value in pairs},
        working_directory=str(config.get("WorkingDir") or ""),
        user=str(config.get("User") or ""),
        created_by=(),
    )


def _platform(text: str) -> Platform | None:
    try:
        found = json.loads(text)[0]
        return normalise(found["Os"], found["Architecture"], found.get("Variant") or "")
    except (ValueError, LookupError, TypeError):
        return None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _ask_docker(runner: Runner, program: tuple[str, ...]) -> EngineFacts:
    if not runner.which("docker"):
        raise EngineError("Docker is not installed", hint="Install it, or use --engine podman or --engine buildah.")
    info = runner.run(Command((*program, "info", "--format", "{{json .}}")), timeout=_ASK_SECONDS, check=False)
    try:
        answer = json.loads(info.text)
    except ValueError:
        answer = {}
    if not isinstance(answer, dict) or not answer.get("ServerVersion"):
        said = [*info.text.splitlines(), *info.stderr.decode("utf-8", "replace").splitlines()]
        if known := daemon_trouble([*said, *map(str, answer.get("ServerErrors") or ())]):
            raise EngineError(known.what, hint=known.hint)
        raise EngineError(
            "`docker info` gave no answer that Docker would give",
            hint="If `docker` is podman's, use --engine podman.",
            log=tuple(said[-5:]),
        )
    return EngineFacts(
        "docker",
        _version(answer["ServerVersion"]),
        normalise("linux", answer.get("Architecture") or host_platform().architecture),
        shares_kernel=answer.get("KernelVersion") == os.uname().release,
        experimental=bool(answer.get("ExperimentalBuild")),
    )


def _ask_podman(runner: Runner) -> EngineFacts:
    if not runner.which("podman"):
        install = install_command(Wanted.PODMAN, runner)
        raise EngineError("podman is not installed", hint=f"Run `{install}`." if install else "Install podman.")
    info = runner.run(Command(("podman", "info", "--format", "json")), timeout=_ASK_SECONDS, check=False)
    try:
        answer = json.loads(info.text)
        host = answer["host"]
        return EngineFacts(
            "podman",
            _version(answer["version"]["Version"]),
            parse_platform(f"{host['os']}/{host['arch']}"),
            shares_kernel=host.get("kernel") == os.uname().release,
        )
    except (ValueError, LookupError, TypeError) as error:
        lines = info.stderr.decode("utf-8", "replace").splitlines()
        raise failure("podman does not work", lines, hint="`podman info` shows the same; mend it first.") from error
