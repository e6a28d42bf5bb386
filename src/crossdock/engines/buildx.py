"""The engine ``buildx``: Docker with BuildKit, whichever builder is in use."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import secrets as random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from crossdock.engines import inputs, layouts
from crossdock.engines.buildkit_progress import BuildkitProgress
from crossdock.engines.docker_archive import write_docker_archive
from crossdock.engines.model import BuildRequest, EngineInfo, EventHandler, SmokeResult, SmokeVerdict
from crossdock.engines.packages import Wanted, install_command
from crossdock.engines.secrets import hidden_values, parse_secret
from crossdock.engines.smoke import OUTPUT_LINES, judge
from crossdock.engines.trouble import daemon_trouble, failed_step, failure
from crossdock.errors import EngineError
from crossdock.image.archive import write_oci_archive
from crossdock.platforms import Platform, host_platform, normalise
from crossdock.process import Command, CommandTimeout, Runner, uninterrupted

_PROBE_SECONDS = 30.0
_LOAD_SECONDS = 600.0


class Export(Enum):
    """How a finished build leaves the builder."""

    INDEX = "all platforms at once, as one OCI layout"
    LAYOUTS = "one platform at a time, as OCI layouts"
    """Several nodes: BuildKit joins their results only when it pushes."""
    STORE = "one platform at a time, through Docker's image store"
    """Docker's own builder without the containerd image store exports nothing else (19.03 to 28)."""


@dataclass(frozen=True)
class DockerFacts:
    """What decides how to build: the daemon's store, the plugin's version, the builder in use."""

    server: str
    containerd_store: bool
    buildx: tuple[int, ...]
    builder: str
    driver: str
    nodes: int
    host: Platform
    kernel: str = ""
    """The release of the kernel that the daemon runs on."""
    chosen: str = ""
    """The builder that ``--builder`` names, to be named to buildx as well."""

    @property
    def export(self) -> Export:
        if self.driver == "docker" and not self.containerd_store:
            return Export.STORE
        return Export.LAYOUTS if self.nodes > 1 else Export.INDEX

    @property
    def exports_folders(self) -> bool:
        """``tar=false`` came with buildx 0.10; before that an OCI layout always arrives as an archive."""
        return self.buildx >= (0, 10)


def build_commands(facts: DockerFacts, request: BuildRequest, work: Path) -> tuple[Command, ...]:
    """The commands of a build, in order. Pure but for reading secrets, whose values are only kept for redaction."""
    return tuple(command for together in _rounds(facts, request) for command in _round(facts, request, work, together))


def _rounds(facts: DockerFacts, request: BuildRequest) -> tuple[tuple[Platform, ...], ...]:
    """Which platforms are built together."""
    if facts.export is Export.INDEX:
        return (request.platforms,)
    return tuple((platform,) for platform in request.platforms)


def _round(
    facts: DockerFacts, request: BuildRequest, work: Path, platforms: tuple[Platform, ...]
) -> tuple[Command, ...]:
    """A build, and what brings its result into the work folder where the build does not."""
    if facts.export is Export.INDEX:
        return (_build(facts, request, work, platforms, f"--output={_oci(facts, work / 'layout')}"),)
    part = work / "parts" / inputs.slug(platforms[0])
    if facts.export is Export.LAYOUTS:
        return (_build(facts, request, work, platforms, f"--output={_oci(facts, part)}"),)
    name = _temporary_name(work, platforms[0])
    return (
        _build(facts, request, work, platforms, "--load", f"--tag={name}"),
        Command(("docker", "save", "--output", f"{part}.tar", name)),
        Command(("docker", "image", "rm", "--force", name)),
    )


def _oci(facts: DockerFacts, folder: Path) -> str:
    return f"type=oci,tar=false,dest={folder}" if facts.exports_folders else f"type=oci,dest={folder}.tar"


def _temporary_name(work: Path, platform: Platform) -> str:
    token = hashlib.sha256(str(work).encode()).hexdigest()[:12]
    return f"crossdock-build-{token}:{inputs.slug(platform)}"


def _build(
    facts: DockerFacts, request: BuildRequest, work: Path, platforms: tuple[Platform, ...], *output: str
) -> Command:
    secrets = tuple(parse_secret(text) for text in request.secrets)
    argv = ["docker", "buildx", "build", "--progress=plain", f"--file={work / inputs.DOCKERFILE}"]
    argv += [f"--builder={facts.chosen}"] * bool(facts.chosen)
    argv.append(f"--platform={','.join(map(str, platforms))}")
    if request.target is not None:
        argv.append(f"--target={request.target}")
    argv += [f"--build-arg={text}" for text in request.build_args]
    argv += [f"--secret={secret}" for secret in secrets]
    argv += [f"--ssh={text}" for text in request.ssh]
    argv += [f"--label={text}" for text in request.labels]
    argv += ["--no-cache"] * request.no_cache + ["--pull"] * request.pull
    if request.network is not None:
        argv.append(f"--network={request.network}")
    argv += [f"--cache-from={text}" for text in request.cache_from]
    argv += [f"--cache-to={text}" for text in request.cache_to]
    argv += [f"--build-context={text}" for text in request.build_contexts]
    # Attestations would be entries of the index that are no platform. The variable, and not --provenance=false,
    # because a plugin older than 0.10 knows neither and only minds the flag.
    return Command(
        (*argv, *output, str(request.context)),
        {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"},
        secrets=hidden_values(secrets),
        stop=request.stop,
    )


class Buildx:
    """``docker buildx``, with the builder in use or the one that is named. One instance asks Docker about itself
    once."""

    name = "buildx"

    def __init__(self, runner: Runner, builder: str = "") -> None:
        self._runner = runner
        self._builder = builder
        self._facts: DockerFacts | None = None

    def probe(self) -> EngineInfo:
        facts = self._known()
        store = "containerd image store" if facts.containerd_store else "classic image store"
        nodes = f", {facts.nodes} nodes" if facts.nodes > 1 else ""
        return EngineInfo(
            self.name,
            ".".join(map(str, facts.buildx)),
            f"Docker {facts.server}, {store}, builder {facts.builder} ({facts.driver}{nodes})",
            facts.containerd_store,
            shares_kernel=facts.kernel == os.uname().release,
            builds_here=facts.nodes == 1 and facts.driver in {"docker", "docker-container"},
            builder=facts.builder,
        )

    def commands(self, request: BuildRequest, work: Path) -> tuple[Command, ...]:
        return build_commands(self._known(), request, work)

    def build(self, request: BuildRequest, work: Path, on_event: EventHandler) -> Path:
        facts = self._known()
        rounds = [(platforms, _round(facts, request, work, platforms)) for platforms in _rounds(facts, request)]
        try:
            inputs.write(request, work)
            for platforms, (build, *rest) in rounds:
                self._run_build(build, platforms, on_event)
                for command in rest:
                    self._docker(command, "Docker could not hand over the image it built")
            return _collect(facts, request, work)
        except BaseException:
            with uninterrupted():
                layouts.remove(work / "layout")
            raise
        finally:
            with uninterrupted():
                if facts.export is Export.STORE:
                    for platform in request.platforms:
                        self._forget(_temporary_name(work, platform))
                layouts.remove(work / "parts")
                inputs.remove(work)

    def _run_build(self, command: Command, platforms: tuple[Platform, ...], on_event: EventHandler) -> None:
        progress = BuildkitProgress(platforms[0] if len(platforms) == 1 else None)

        def read(line: str) -> None:
            for event in progress.feed(line):
                on_event(event)

        exit_code = self._runner.stream(command, read)
        if exit_code == 0:
            return
        where = f"Dockerfile:{progress.line}" if progress.line else None
        if progress.failed:
            raise failure(failed_step(progress.failed), progress.log(), where=where)
        said = next((line for line in reversed(progress.tail) if line.startswith(("ERROR: ", "error: "))), "")
        reason = said.partition(": ")[2] or f"docker buildx ended with exit code {exit_code}"
        raise failure(f"the build failed: {reason}", progress.log(), where=where)

    def smoke(self, layout: Path, platform: Platform, command: tuple[str, ...] | None, timeout: float) -> SmokeResult:
        facts = self._known()
        name = f"crossdock-smoke-{random.token_hex(6)}"
        image = f"{name}:latest"
        argv = ["docker", "create", "--name", name, "--network", "none"]
        if facts.containerd_store:  # elsewhere the image itself says its platform, and Docker 19.03 has no such flag
            argv += ["--platform", str(platform)]
        argv += [f"--entrypoint={command[0]}", image, *command[1:]] if command else [image]
        try:
            with tempfile.TemporaryDirectory(prefix="crossdock-", dir=layout.parent) as folder:
                archive = Path(folder) / "image.tar"
                write_docker_archive(layouts.open_layout(layout), platform, (image,), archive)
                self._docker(Command(("docker", "load", "--input", str(archive))), "Docker could not load the image")
            self._docker(Command(tuple(argv)), "Docker could not make a container of the image")
            return self._run_container(name, platform, timeout, must_end=command is not None)
        finally:
            with uninterrupted():
                self._quiet(Command(("docker", "rm", "--force", "--volumes", name)))
                self._forget(image)

    def _run_container(self, name: str, platform: Platform, timeout: float, *, must_end: bool) -> SmokeResult:
        began = time.monotonic()

        def result(verdict: SmokeVerdict, exit_code: int | None, output: tuple[str, ...]) -> SmokeResult:
            return SmokeResult(platform, verdict, exit_code, time.monotonic() - began, output[-OUTPUT_LINES:])

        try:
            started = self._runner.run(Command(("docker", "start", name)), timeout=timeout, check=False)
        except CommandTimeout:
            return result(SmokeVerdict.HUNG, None, ("the container did not start",))
        if started.exit_code != 0:
            output = tuple(started.stderr.decode("utf-8", "replace").splitlines())
            return result(judge(started.exit_code, output), started.exit_code, output)
        left = max(1.0, timeout - (time.monotonic() - began))
        try:
            waited = self._runner.run(Command(("docker", "wait", name)), timeout=left)
        except CommandTimeout:
            verdict = SmokeVerdict.HUNG if must_end else SmokeVerdict.RAN
            return result(verdict, None, self._logs(name))
        exit_code = int(waited.text.strip() or "-1")
        output = self._logs(name)
        return result(judge(exit_code, output), exit_code, output)

    def _logs(self, name: str) -> tuple[str, ...]:
        lines: list[str] = []
        with contextlib.suppress(CommandTimeout):
            command = Command(("docker", "logs", "--tail", str(OUTPUT_LINES), name))
            self._runner.stream(command, lines.append, timeout=_PROBE_SECONDS)
        return tuple(lines)

    def load(self, layout: Path, platforms: tuple[Platform, ...], tags: tuple[str, ...]) -> tuple[Platform, ...]:
        """Docker's classic store holds one platform under a tag: of several it gets this machine's own."""
        facts = self._known()
        chosen = platforms
        if not facts.containerd_store and len(platforms) > 1:
            chosen = tuple(p for p in platforms if p == facts.host) or platforms[:1]
        with tempfile.TemporaryDirectory(prefix="crossdock-", dir=layout.parent) as folder:
            archive = Path(folder) / "image.tar"
            image = layouts.open_layout(layout)
            if len(chosen) == 1:
                write_docker_archive(image, chosen[0], tags, archive)
            else:
                write_oci_archive(layout, archive, tags)
            self._docker(Command(("docker", "load", "--input", str(archive))), "Docker could not load the image")
        return chosen

    def _docker(self, command: Command, what: str) -> None:
        lines: list[str] = []
        if self._runner.stream(command, lines.append, timeout=_LOAD_SECONDS) != 0:
            raise failure(what, lines)

    def _forget(self, image: str) -> None:
        self._quiet(Command(("docker", "image", "rm", "--force", image)))

    def _quiet(self, command: Command) -> None:
        """Clean up; what is not there any more is no error, and nothing here may hide the error that led to it."""
        with contextlib.suppress(EngineError):
            self._runner.run(command, timeout=_PROBE_SECONDS, check=False)

    def _known(self) -> DockerFacts:
        if self._facts is None:
            self._facts = ask_docker(self._runner, self._builder)
        return self._facts


def _collect(facts: DockerFacts, request: BuildRequest, work: Path) -> Path:
    """One OCI layout with one index from what the builder exported."""
    layout = work / "layout"
    if facts.export is Export.INDEX:
        if not facts.exports_folders:
            layouts.unpack(work / "layout.tar", layout)
        layouts.as_index(layout)
        return layout
    parts = []
    for platform in request.platforms:
        part = work / "parts" / inputs.slug(platform)
        archived = facts.export is Export.STORE or not facts.exports_folders
        parts.append((platform, Path(f"{part}.tar") if archived else part))
    return layouts.assemble(parts, layout)


_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def ask_docker(runner: Runner, chosen: str = "") -> DockerFacts:
    """The facts about the Docker in use, and the builder ``chosen`` or else in use. Raises EngineError with the next
    step: not installed, no permission, daemon down, no buildx plugin, no such builder."""
    if not runner.which("docker"):
        raise EngineError("Docker is not installed", hint="Install Docker, or use --engine buildah.")
    info = runner.run(Command(("docker", "info", "--format", "{{json .}}")), timeout=_PROBE_SECONDS, check=False)
    said = [*info.text.splitlines(), *info.stderr.decode("utf-8", "replace").splitlines()]
    try:
        answer = json.loads(info.text)
    except ValueError:
        answer = None
    server = answer.get("ServerVersion") if isinstance(answer, dict) else None
    if not server:
        known = daemon_trouble(said)
        if known:
            raise EngineError(known.what, hint=known.hint)
        raise EngineError(
            "`docker info` gave no answer that Docker would give",
            hint="If `docker` is podman's, use --engine buildah.",
            log=tuple(said[-5:]),
        )
    status = answer.get("DriverStatus") or []
    containerd = ["driver-type", "io.containerd.snapshotter.v1"] in status
    host = normalise("linux", answer.get("Architecture") or host_platform().architecture)
    builder, driver, nodes = _builder(runner, chosen)
    kernel = answer.get("KernelVersion") or ""
    return DockerFacts(server, containerd, plugin_version(runner), builder, driver, nodes, host, kernel, chosen)


def plugin_version(runner: Runner) -> tuple[int, ...]:
    """The version of buildx. Raises EngineError with the way to install it."""
    done = runner.run(Command(("docker", "buildx", "version")), timeout=_PROBE_SECONDS, check=False)
    version = _VERSION.search(done.text)
    if done.exit_code != 0 or not version:
        install = install_command(Wanted.BUILDX, runner) or "the package docker-buildx-plugin"
        raise EngineError(
            "Docker has no buildx plugin",
            hint=f"Install it (`{install}`), or use --engine buildah.",
        )
    return tuple(int(part or 0) for part in version.groups())


def _builder(runner: Runner, chosen: str) -> tuple[str, str, int]:
    """Name, driver and number of nodes of the builder ``chosen``, or else in use."""
    command = ("docker", "buildx", "inspect", *([chosen] if chosen else []))
    done = runner.run(Command(command), timeout=_PROBE_SECONDS, check=False)
    said = done.text.splitlines() + done.stderr.decode("utf-8", "replace").splitlines()
    if done.exit_code != 0:
        plugin_version(runner)  # a missing plugin is the likelier reason, and says so
        raise failure(
            f"the builder {chosen!r} cannot be asked" if chosen else "the builder in use cannot be asked",
            said,
            hint="`crossdock builder show` lists those there are; choose one with --builder or `docker buildx use`.",
        )
    return parse_builder(done.text)


def parse_builder(text: str) -> tuple[str, str, int]:
    """Name, driver and number of nodes in what ``docker buildx inspect`` prints."""
    fields = list(inspect_fields(text))
    names = [value for name, value in fields if name == "Name"]
    driver = next((value for name, value in fields if name == "Driver"), "docker")
    return (names[0] if names else "default"), driver, max(1, len(names) - 1)


def inspect_fields(text: str) -> Iterator[tuple[str, str]]:
    """Every ``Name: value`` that stands at the beginning of a line of ``docker buildx inspect``, in order."""
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and not line.startswith(" "):
            yield name, value.strip()


def inspect_parts(text: str) -> list[dict[str, str]]:
    """The fields of the builder that ``docker buildx inspect`` shows, then those of each node: each part begins with a
    name. Of a field that is there twice, the first counts."""
    parts: list[dict[str, str]] = []
    for name, value in inspect_fields(text):
        if name == "Name" or not parts:
            parts.append({})
        parts[-1].setdefault(name, value)
    return parts
