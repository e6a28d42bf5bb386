"""The nodes of a builder: what ``--node`` says, what the machine behind it is, and which platforms are pinned on it.

BuildKit gives a platform to the first node that has it pinned, and only then to the first that can do it, by emulation
as well as by itself (buildx, ``driver resolution``). So every platform is pinned, on the node that has it natively.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qsl, urlsplit

from crossdock.engines.buildx import inspect_fields
from crossdock.engines.trouble import daemon_trouble, ssh_trouble
from crossdock.errors import EngineError, UsageError
from crossdock.platforms import Platform, normalise, parse_platform
from crossdock.process import Command, CommandTimeout, Runner

ASK_SECONDS = 30.0
"""How long a node may take to answer."""
_FORM = "Write ssh://user@host, tcp://host:port, unix:///path, the name of a docker context, or k8s://namespace/name."
_SCHEMES = ("ssh", "tcp", "unix", "k8s", "kubernetes", "docker-container", "kube-pod", "npipe")
_CONTEXT = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.+-]+")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class Driver(StrEnum):
    """Those of buildx that take nodes."""

    CONTAINER = "docker-container"
    """BuildKit in a container that buildx starts on a Docker."""
    REMOTE = "remote"
    """A BuildKit that runs already, and is configured where it runs."""
    KUBERNETES = "kubernetes"
    """BuildKit in pods that buildx starts."""


@dataclass(frozen=True)
class NodeOption:
    """One ``--node``. ``address`` is empty for the Docker in use; ``platforms`` are those that were said."""

    address: str
    platforms: tuple[Platform, ...] = ()

    def __str__(self) -> str:
        return self.address or "the Docker in use"

    @property
    def scheme(self) -> str:
        """Empty for the Docker in use and for a docker context."""
        return self.address.partition("://")[0] if "://" in self.address else ""


@dataclass(frozen=True)
class Answer:
    """What a node said of itself. ``own`` is the platform of its machine, None where nobody could be asked;
    ``platforms`` are all that it can run programs of, emulated ones included."""

    driver: Driver
    own: Platform | None = None
    platforms: tuple[Platform, ...] = ()

    def native(self, platform: Platform) -> bool:
        return self.own is not None and platform.runs_natively_on(self.own)


@dataclass(frozen=True)
class Node:
    """A node as it is made. ``endpoint`` is what buildx is given (empty: the Docker in use), ``platforms`` are pinned;
    ``name`` and ``options`` are the deployment and the driver's options on Kubernetes."""

    endpoint: str
    platforms: tuple[Platform, ...]
    name: str = ""
    options: tuple[str, ...] = ()


def parse_node(text: str) -> NodeOption:
    """``ADDRESS[,platform=linux/arm64[,linux/arm/v7]]``. Raises UsageError for what is no address of a node."""
    address, *fields = text.split(",")
    platforms: list[Platform] = []
    for number, field in enumerate(fields):
        key, equals, value = field.partition("=")
        if equals and key == "platform":
            platforms.append(parse_platform(value))
        elif not equals and number:
            platforms.append(parse_platform(field))
        else:
            raise UsageError(f"--node {address}: {field!r} has no meaning", hint="Write ADDRESS,platform=linux/arm64.")
    option = NodeOption(_address(address), tuple(dict.fromkeys(platforms)))
    if option.scheme == "k8s":
        kubernetes_node(option)
    return option


def _address(text: str) -> str:
    try:
        parts = urlsplit(text)
        known = parts.scheme in _SCHEMES and "://" in text
        whole = {
            "tcp": bool(parts.hostname and parts.port),
            "ssh": bool(parts.hostname),
        }.get(parts.scheme, bool(parts.netloc or parts.path))
    except ValueError:
        known = whole = False
    if "://" not in text and _CONTEXT.fullmatch(text):
        return text
    if not known or not whole or any(char.isspace() or not char.isprintable() for char in text):
        raise UsageError(f"{_without_password(text)!r} is no address of a node", hint=_FORM)
    if parts.password:
        raise UsageError(
            f"{_without_password(text)!r} holds a password, which everyone on this machine could read",
            hint="Use a key: ssh-copy-id user@host.",
        )
    return "k8s" + text.removeprefix("kubernetes") if parts.scheme == "kubernetes" else text


def _without_password(text: str) -> str:
    return re.sub(r":[^/@]*@", ":***@", text)


def kubernetes_node(option: NodeOption) -> tuple[str, tuple[str, ...]]:
    """Deployment and driver options of ``k8s://namespace/deployment?replicas=2&requests.cpu=4``. Pods go to machines of
    the architecture that is pinned, unless the address selects its machines by itself."""
    parts = urlsplit(option.address)
    deployment = parts.path.strip("/")
    if not _LABEL.fullmatch(parts.netloc) or not _LABEL.fullmatch(deployment):
        raise UsageError(
            f"{option.address} names no deployment", hint="Write k8s://namespace/deployment, in Kubernetes' own names."
        )
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    architectures = {platform.architecture for platform in option.platforms}
    if "nodeselector" not in options and len(architectures) == 1:
        options["nodeselector"] = f"kubernetes.io/arch={architectures.pop()}"
    return deployment, (f"namespace={parts.netloc}", *(_csv(f"{name}={value}") for name, value in options.items()))


def _csv(field: str) -> str:
    """A field of the comma-separated list that buildx makes of each --driver-opt (RFC 4180)."""
    return '"' + field.replace('"', '""') + '"' if re.search(r'[",]', field) else field


# ---------------------------------------------------------------- asking


def ask(option: NodeOption, runner: Runner, *, driver: Driver | None = None, options: tuple[str, ...] = ()) -> Answer:
    """Find out what is behind an address. ``driver`` says what it must be; ``options`` are the driver's (certificates
    of a remote BuildKit). Nothing is left behind. Raises EngineError when nobody answers."""
    if option.scheme == "k8s":
        return Answer(Driver.KUBERNETES)
    if driver is Driver.REMOTE or option.scheme in {"docker-container", "kube-pod"}:
        return _ask_buildkit(option.address, runner, options)
    try:
        return _ask_docker(option.address, runner)
    except EngineError as error:
        if driver is Driver.CONTAINER or option.scheme not in {"tcp", "unix"}:
            raise
        try:
            return _ask_buildkit(option.address, runner, options)
        except EngineError as other:
            raise EngineError(
                "neither a Docker nor a BuildKit answers there",
                where=option.address,
                hint="Check that it runs and listens at this address; BuildKit needs --addr tcp://0.0.0.0:PORT.",
                log=(*error.log, *other.log),
            ) from other


def docker_words(address: str) -> tuple[str, ...]:
    """The beginning of a docker command that is meant for this address."""
    if not address:
        return ("docker",)
    return ("docker", "--host" if "://" in address else "--context", address)


def _ask_docker(address: str, runner: Runner) -> Answer:
    command = Command((*docker_words(address), "info", "--format", "{{json .}}"))
    try:
        done = runner.run(command, timeout=ASK_SECONDS, check=False)
    except CommandTimeout as error:
        raise _silent(address, (f"no answer within {ASK_SECONDS:.0f} s",)) from error
    said = (*done.text.splitlines(), *done.stderr.decode("utf-8", "replace").splitlines())
    try:
        info = json.loads(done.text)
        machine = info["Architecture"] if info.get("ServerVersion") else None
    except (ValueError, KeyError, TypeError, AttributeError):
        machine = None
    if not isinstance(machine, str):
        raise _silent(address, said)
    own = normalise(str(info.get("OSType") or "linux"), machine)
    return Answer(Driver.CONTAINER, own, (own,))


def _silent(address: str, said: tuple[str, ...]) -> EngineError:
    known = daemon_trouble(said)
    lines = tuple(line for line in said if line.strip() and not line.startswith("{"))[-3:]
    if not address:
        return EngineError(known.what, hint=known.hint) if known else EngineError("Docker does not answer", log=lines)
    scheme = address.partition("://")[0] if "://" in address else ""
    if known and scheme == "ssh":
        hint = known.hint if ssh_trouble(said) else f"On that machine: {known.hint}"
        return EngineError(known.what, where=address, hint=hint)
    hint = f"`{shlex.join(docker_words(address))} version` has to work."
    if not scheme:
        hint = "See `docker context ls` for the contexts there are; addresses begin with ssh://, tcp:// or unix://."
    return EngineError("the node does not answer as a Docker", where=address, hint=hint, log=lines)


def _ask_buildkit(address: str, runner: Runner, options: tuple[str, ...]) -> Answer:
    """By a builder in a folder of its own, because buildx is what can speak with BuildKit."""
    with tempfile.TemporaryDirectory(prefix="crossdock-", ignore_cleanup_errors=True) as folder:
        environment = {"BUILDX_CONFIG": folder}
        create = ("docker", "buildx", "create", "--name=asked", "--driver=remote")
        given = (f"--driver-opt={text}" for text in options)
        runner.run(Command((*create, *given, address), environment), timeout=ASK_SECONDS)
        inspect = Command(("docker", "buildx", "inspect", "--bootstrap", "asked"), environment)
        done = runner.run(inspect, timeout=ASK_SECONDS, check=False)
    said = (*done.text.splitlines(), *done.stderr.decode("utf-8", "replace").splitlines())
    fields = dict(inspect_fields(done.text))
    platforms = listed(fields.get("Platforms", ""))
    if done.exit_code or not platforms:
        lines = tuple(line for line in said if line.strip())[-3:]
        raise EngineError("the node does not answer as a BuildKit", where=address, log=lines)
    # BuildKit names its machine's own platform first.
    return Answer(Driver.REMOTE, platforms[0], platforms)


def listed(text: str) -> tuple[Platform, ...]:
    """The platforms of a line of ``buildx inspect``, without the stars of those that are pinned. What crossdock does
    not know as a platform is left out: this is shown, not decided upon."""
    found = []
    for word in text.split(","):
        with contextlib.suppress(UsageError):
            found.append(parse_platform(word.strip().rstrip("*")))
    return tuple(dict.fromkeys(found))


def latency(address: str, runner: Runner) -> float | None:
    """Milliseconds until the node answers: connecting to it, or over ssh a question to its Docker; the quickest of
    three. None where that cannot be measured (a pod, a node that is down)."""
    parts = urlsplit(address)
    times = []
    with contextlib.suppress(OSError, EngineError, ValueError):
        for _ in range(3):
            began = time.monotonic()
            if parts.scheme == "tcp":
                socket.create_connection((parts.hostname, parts.port), 5).close()
            elif parts.scheme == "unix":
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.settimeout(5)
                    connection.connect(parts.path)
            elif parts.scheme == "ssh":
                runner.run(Command((*docker_words(address), "version", "--format={{.Server.Version}}")), timeout=15)
            else:
                return None
            times.append((time.monotonic() - began) * 1000)
    return min(times) if times else None


# ---------------------------------------------------------------- choosing


def one_driver(answers: Iterable[tuple[NodeOption, Answer]]) -> Driver:
    """The driver that all nodes have. Raises UsageError when they differ: a builder of buildx has one."""
    found: dict[Driver, list[str]] = {}
    for option, answer in answers:
        found.setdefault(answer.driver, []).append(str(option))
    if len(found) == 1:
        return next(iter(found))
    groups = "; ".join(f"{driver}: {', '.join(names)}" for driver, names in found.items())
    raise UsageError(
        f"the nodes of one builder have one driver, and these have several ({groups})",
        hint="Give the address of the Docker on each machine (ssh://user@host), or a BuildKit on each; or make two "
        "builders, and join what they build with `crossdock index create`.",
    )


def pin(
    answers: Sequence[tuple[NodeOption, Answer]], wanted: tuple[Platform, ...] = ()
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The nodes with the platforms that are pinned on each, and what people should know of the choice.

    A node gets what was said of it; else its own platform; of ``wanted`` what nobody has natively goes to the first
    node that can emulate it. Raises UsageError for a platform at two nodes, for a node without any, and for a wanted
    platform that no node can do.
    """
    seen: set[str] = set()
    chosen: list[list[Platform]] = []
    taken: dict[Platform, str] = {}
    for option, answer in answers:
        if option.address in seen:
            raise UsageError(f"the node {option} is given twice", hint="Name all its platforms in one --node.")
        seen.add(option.address)
        platforms = option.platforms or _natives(option, answer, wanted)
        for platform in platforms:
            if platform in taken:
                raise UsageError(
                    f"{platform} would be built on two nodes, {taken[platform]} and {option}",
                    hint="Say which builds what: --node ADDRESS,platform=OS/ARCH.",
                )
            taken[platform] = str(option)
        chosen.append(list(platforms))
    notes = list(_notes(answers, chosen))
    for platform in wanted:
        if platform in taken:
            continue
        index = next((index for index, entry in enumerate(answers) if _could(*entry, platform)), None)
        if index is None:
            raise UsageError(
                f"no node has {platform}",
                hint=f"Add a node that has it, or say which one emulates it: --node ADDRESS,platform={platform}.",
            )
        chosen[index].append(platform)
        notes.append(f"{platform} is emulated on {answers[index][0]}: no node has it natively")
    for (option, _), pinned in zip(answers, chosen, strict=True):
        if not pinned:
            raise UsageError(
                f"the node {option} has none of the platforms that are asked for",
                hint="Leave it out, add its platform to --platform, or write --node ADDRESS,platform=OS/ARCH.",
            )
    nodes = tuple(_node(option, tuple(pinned)) for (option, _), pinned in zip(answers, chosen, strict=True))
    return nodes, tuple(notes)


def _natives(option: NodeOption, answer: Answer, wanted: tuple[Platform, ...]) -> tuple[Platform, ...]:
    if answer.own is None:
        raise UsageError(
            f"{option} cannot be asked which platform its machines have", hint=f"Write {option},platform=linux/arm64."
        )
    if not wanted:
        return (answer.own,)
    return tuple(platform for platform in wanted if answer.native(platform))


def _could(option: NodeOption, answer: Answer, platform: Platform) -> bool:
    """Whether a node may be given a platform that nobody has. A Docker says nothing of what its machine emulates; that
    is seen when something is built. A node of which it was said what it builds gets nothing more."""
    return not option.platforms and (answer.driver is Driver.CONTAINER or platform in answer.platforms)


def _notes(answers: Sequence[tuple[NodeOption, Answer]], chosen: Sequence[Sequence[Platform]]) -> Iterator[str]:
    for (option, answer), platforms in zip(answers, chosen, strict=True):
        if not option.platforms and answer.own and platforms:
            yield f"{option} is {answer.own}: {', '.join(map(str, platforms))} is pinned on it"
        for platform in option.platforms:
            if answer.own and not answer.native(platform):
                yield f"{platform} is emulated on {option}, which is {answer.own}"


def _node(option: NodeOption, platforms: tuple[Platform, ...]) -> Node:
    if option.scheme != "k8s":
        return Node(option.address, platforms)
    name, options = kubernetes_node(NodeOption(option.address, platforms))
    return Node("", platforms, name, options)
