"""Making, starting and removing builders of buildx; whatever goes wrong, no half of one stays."""

from __future__ import annotations

import contextlib
import re
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossdock.builders.nodes import Driver, Node, docker_words
from crossdock.builders.settings import BUILDKITD_TOML
from crossdock.engines.buildx import inspect_parts, plugin_version
from crossdock.engines.trouble import failure
from crossdock.errors import EngineError, UsageError
from crossdock.process import Command, CommandTimeout, LineHandler, Runner, uninterrupted

_QUESTION_SECONDS = 60.0
_CREATE_SECONDS = 120.0
_BOOT_SECONDS = 900.0
"""The image of BuildKit, 100 MB, may have to be pulled first."""
_NAME = re.compile(r"[a-z][a-z0-9._-]*")


@dataclass(frozen=True)
class NewBuilder:
    """What a builder is made of. ``buildkitd_toml`` is the text of that file, empty where none is needed;
    ``driver_options`` are those of every node, as ``docker buildx create --driver-opt`` takes them."""

    name: str
    driver: Driver
    nodes: tuple[Node, ...]
    buildkitd_toml: str = ""
    host_network: bool = False
    driver_options: tuple[str, ...] = ()
    use: bool = False
    boot: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.driver is Driver.REMOTE and self.buildkitd_toml:
            raise UsageError(
                "a BuildKit that runs already has its registries configured where it runs",
                hint="Leave --registry out; `crossdock builder settings` prints the buildkitd.toml for that machine.",
            )
        if self.driver is not Driver.CONTAINER and self.host_network:
            raise UsageError(
                f"--network host is for BuildKit in Docker's containers, and these nodes are {self.driver}",
                hint="Leave it out; a BuildKit elsewhere has the network that it was started with.",
            )


def check_name(name: str) -> None:
    """Raises UsageError for what buildx does not take as a name, or has for itself."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a builder", hint="Use a-z, 0-9, dot, dash and underscore.")
    if name == "default":
        raise UsageError("the builder 'default' is Docker's own", hint="Choose another name.")


def create_commands(new: NewBuilder, toml: Path = Path(BUILDKITD_TOML)) -> tuple[Command, ...]:
    """The commands that make it, in order; ``toml`` is where the text of buildkitd.toml lies by then. Pure."""
    commands = []
    for number, node in enumerate(new.nodes):
        argv = ["docker", "buildx", "create", f"--name={new.name}"]
        # Without --append, and without --node, buildx refuses a name that is there already.
        argv += ["--append"] if number else [f"--driver={new.driver}"]
        argv += [f"--node={node.name}"] if node.name else []
        argv += [f"--platform={','.join(map(str, node.platforms))}"]
        argv += ["--driver-opt=network=host"] * new.host_network
        argv += [f"--driver-opt={text}" for text in (*new.driver_options, *node.options)]
        argv += [f"--config={toml}"] if new.buildkitd_toml else []
        argv += [node.endpoint] if node.endpoint else []
        commands.append(Command(tuple(argv)))
    if new.boot:
        commands.append(_boot(new.name))
    if new.use:  # last, so that what was in use before stays so when something fails
        commands.append(Command(("docker", "buildx", "use", new.name)))
    return tuple(commands)


def script(new: NewBuilder) -> str:
    """What would be done, to be read or pasted into a shell."""
    parts = []
    if new.buildkitd_toml:
        parts.append(f"cat >{BUILDKITD_TOML} <<'EOF'\n{new.buildkitd_toml}EOF\n")
    parts += [f"{shlex.join(command.argv)}\n" for command in create_commands(new)]
    return "".join(parts)


def create(new: NewBuilder, runner: Runner, on_line: LineHandler) -> None:
    """Make a builder with all its nodes. Raises EngineError when there is one of that name, which is not touched, and
    when something fails; then, as on Ctrl-C, what was made is removed."""
    if exists(new.name, runner):
        raise EngineError(
            f"there is a builder {new.name!r} already; it was left as it is",
            hint=f"See `crossdock builder show {new.name}`; choose another name, or remove it first with "
            f"`crossdock builder remove {new.name}`.",
        )
    _refuse_taken(new, runner)
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        toml = Path(folder) / BUILDKITD_TOML
        toml.write_text(new.buildkitd_toml, encoding="utf-8")
        try:
            for command in create_commands(new, toml):
                said = _run(command, runner, on_line, f"the builder {new.name!r} could not be made")
                if command == _boot(new.name):
                    _require_running(new.name, said, runner)
        except _OthersBuilder:
            raise
        except BaseException:
            with uninterrupted():
                _undo(new, runner)
            raise


class _OthersBuilder(EngineError):
    """Somebody else made a builder of this name meanwhile."""


def _refuse_taken(new: NewBuilder, runner: Runner) -> None:
    """buildx remembers builders for each user, and would go on with the container of another user's builder of this
    name: with that one's settings, and remove it with this one's."""
    for address, container in _containers(new):
        command = (*docker_words(address), "container", "inspect", "--format={{.Id}}", container)
        if runner.run(Command(command), timeout=_QUESTION_SECONDS, check=False).exit_code == 0:
            raise EngineError(
                f"there is a container {container} already, of a builder that buildx does not know here; it was left "
                "as it is",
                where=address or None,
                hint="Somebody else may build with it: choose another name. If it is left over from a builder of "
                f"yours, remove it with `{shlex.join((*docker_words(address), 'rm', '--force', container))}`.",
            )


def _require_running(name: str, said: tuple[str, ...], runner: Runner) -> None:
    """Raise EngineError for a node that did not start: buildx is content when one of several has. ``said`` is what it
    said while it started them."""
    done = runner.run(Command(("docker", "buildx", "inspect", name)), timeout=_QUESTION_SECONDS)
    silent = not_running(done.text)
    if silent:
        lines = [line for line in said if line.startswith("#")]  # the steps; a description of the builder follows them
        what = f"not every node of the builder {name!r} could be started: {'; '.join(silent)}"
        raise failure(what, lines, hint=_hint(lines) or "Look at Docker on that machine, and run it again.")


def not_running(text: str) -> tuple[str, ...]:
    """The nodes of ``docker buildx inspect`` that do not run, each with buildx's word for it, and why if it says so."""
    return tuple(
        ": ".join(
            filter(None, (f"{node.get('Name', 'a node')} is {node.get('Status') or 'not running'}", node.get("Error")))
        )
        for node in inspect_parts(text)[1:]
        if node.get("Status") != "running"
    )


def exists(name: str, runner: Runner) -> bool:
    """Whether buildx knows a builder of this name; contexts of Docker are builders too. Raises EngineError when it
    cannot be asked."""
    if not runner.which("docker"):
        raise EngineError(
            "Docker is not installed, and builders are made with its buildx",
            hint="Install Docker; buildah needs no builder: crossdock build --engine buildah, "
            "and `crossdock builder settings --for podman` for its registries.",
        )
    done = runner.run(Command(("docker", "buildx", "inspect", name)), timeout=_QUESTION_SECONDS, check=False)
    if done.exit_code == 0:
        return True
    said = [*done.text.splitlines(), *done.stderr.decode("utf-8", "replace").splitlines()]
    if any(f'no builder "{name}" found' in line or f"no builder {name} found" in line for line in said):
        return False
    plugin_version(runner)  # a missing plugin is the likelier reason, and says so
    raise failure("buildx cannot be asked for its builders", said)


def bootstrap(name: str, runner: Runner, on_line: LineHandler) -> None:
    """Start BuildKit on every node and wait until it answers. Raises EngineError."""
    require(name, runner)
    said = _run(_boot(name), runner, on_line, f"the builder {name!r} could not be started")
    _require_running(name, said, runner)


def remove(name: str, runner: Runner) -> None:
    """Remove a builder, the BuildKit that buildx started for it, and its cache. Raises EngineError, also when the
    builder is gone, but a node that did not answer still holds a part of it."""
    check_name(name)
    require(name, runner)
    done = runner.run(Command(("docker", "buildx", "inspect", name)), timeout=_QUESTION_SECONDS, check=False)
    try:
        _run(_rm(name), runner, lambda _: None, f"the builder {name!r} could not be removed")
    except EngineError as error:
        if exists(name, runner):
            raise
        _remove_rest(name, inspect_parts(done.text) or [{}], error, runner)


def _remove_rest(name: str, parts: list[dict[str, str]], error: EngineError, runner: Runner) -> None:
    """buildx forgets a builder also when a node does not answer, and leaves those after that one alone. Raises
    EngineError for what cannot be removed now."""
    head, *nodes = parts
    hint = f"Remove what it has started there: {', '.join(node['Name'] for node in nodes)}."
    if head.get("Driver") == Driver.CONTAINER:
        containers = [(node.get("Endpoint", ""), _container(node["Name"])) for node in nodes]
        left = [command for command in _cleaning(containers) if not _does(command, runner)]
        if not left:
            return
        hint = f"When the node answers again: `{' && '.join(shlex.join(command.argv) for command in left)}`"
    raise EngineError(
        f"buildx has forgotten the builder {name!r}, but not all of it could be removed", hint=hint, log=error.log
    ) from error


def _does(command: Command, runner: Runner) -> bool:
    with contextlib.suppress(EngineError):
        return runner.run(command, timeout=_QUESTION_SECONDS, check=False).exit_code == 0
    return False


def require(name: str, runner: Runner) -> None:
    """Raise EngineError when there is no builder of this name."""
    if not exists(name, runner):
        raise EngineError(
            f"there is no builder {name!r}",
            hint=f"`crossdock builder show` lists them; `crossdock builder create {name}` makes it.",
        )


def _boot(name: str) -> Command:
    return Command(("docker", "buildx", "inspect", "--bootstrap", name))


def _rm(name: str) -> Command:
    return Command(("docker", "buildx", "rm", name))


def _run(command: Command, runner: Runner, on_line: LineHandler, what: str) -> tuple[str, ...]:
    """Returns what the command said. Raises EngineError when it failed."""
    lines: list[str] = []

    def take(line: str) -> None:
        lines.append(line)
        on_line(line)

    boots = "--bootstrap" in command.argv
    if runner.stream(command, take, timeout=_BOOT_SECONDS if boots else _CREATE_SECONDS) == 0:
        return tuple(lines)
    if any("existing instance for" in line or "already exists as context" in line for line in lines):
        raise _OthersBuilder(f"{what}: there is one of that name", hint="Choose another name.", log=tuple(lines[-3:]))
    raise failure(what, lines, hint=_hint(lines) or None)


def _hint(lines: Sequence[str]) -> str:
    if any("no configuration has been provided" in line for line in lines):
        return "No cluster is known here: set KUBECONFIG to its file; `kubectl config view` has to show the cluster."
    if any("pulling image" in line for line in lines):
        return (
            "Where Docker Hub cannot be reached, copy moby/buildkit:buildx-stable-1 into your registry and give "
            "--driver-opt image=HOST/moby/buildkit:buildx-stable-1."
        )
    return ""


def _undo(new: NewBuilder, runner: Runner) -> None:
    """Remove what was made. When a node is gone, buildx leaves those after it alone; their containers are removed one
    by one."""
    with contextlib.suppress(EngineError):
        if not exists(new.name, runner):
            return
        with contextlib.suppress(CommandTimeout):
            if runner.run(_rm(new.name), timeout=_QUESTION_SECONDS, check=False).exit_code == 0:
                return
        for command in _cleaning(_containers(new)):
            _does(command, runner)


def _cleaning(containers: Iterable[tuple[str, str]]) -> Iterator[Command]:
    """What removes the containers of nodes and their volumes, by the names that buildx gives them."""
    for address, container in containers:
        yield Command((*docker_words(address), "rm", "--force", "--volumes", container))
        yield Command((*docker_words(address), "volume", "rm", "--force", f"{container}_state"))


def _containers(new: NewBuilder) -> Iterator[tuple[str, str]]:
    """The address of each Docker, and the name of the container there."""
    for number, node in enumerate(new.nodes if new.driver is Driver.CONTAINER else ()):
        yield node.endpoint, _container(f"{new.name}{number}")


def _container(node: str) -> str:
    """The name that buildx gives to the container of a node."""
    return f"buildx_buildkit_{node}"
