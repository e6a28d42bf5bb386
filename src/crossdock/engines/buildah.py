"""The engine ``buildah``: builds without a daemon, in a store of its own that is removed afterwards."""

from __future__ import annotations

import json
import os
import re
import secrets as random
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossdock.engines import inputs, layouts
from crossdock.engines.buildah_dockerfile import HEREDOCS, Prepared, given_arguments, prepare
from crossdock.engines.buildah_progress import BuildahProgress
from crossdock.engines.buildah_store import PrivateStore, StoreFacts
from crossdock.engines.model import (
    BuildEvent,
    BuildRequest,
    EngineInfo,
    EventHandler,
    SmokeResult,
    SmokeVerdict,
    StepState,
)
from crossdock.engines.packages import Wanted, install_command
from crossdock.engines.secrets import hidden_values, parse_secret
from crossdock.engines.smoke import OUTPUT_LINES, judge
from crossdock.engines.trouble import failed_step, failure
from crossdock.errors import EngineError, UsageError
from crossdock.image.assemble import assemble_index
from crossdock.image.given import OCI_CONTEXT
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.reference import parse_reference
from crossdock.platforms import Platform, host_platform
from crossdock.process import Command, CommandTimeout, Runner, uninterrupted

_OLDEST = (1, 27)
"""The first with ``--build-context``; inline ``--platform`` came with 1.24."""
_PROBE_SECONDS = 30.0
_STORE_SECONDS = 1800.0
_OWN_WORDS = re.compile(r"subprocess exited with status \d+|Error: exit status \d+")
"""What buildah says after a program that failed, which is told by the exit code already."""
COULD_NOT_COPY = re.compile(r"(?:Close_Fd|Error) sealing memfd copy: Device or resource busy")
"""Before a program that it isolates by chroot buildah starts a sealed copy of itself, which the kernel now and then
refuses (EBUSY of F_ADD_SEALS, fcntl(2)). Nothing of the image has run then, and the next try succeeds."""
_TRIES = 3
_MOUNTS = re.compile(r"^(/bin/sh -c )(?:--mount=\S+ )+")
_VERSION = re.compile(r"buildah version (\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class BuildahFacts:
    """What decides how to build. ``isolation`` is None where buildah's own default is right."""

    version: tuple[int, ...]
    store: StoreFacts
    isolation: str | None
    host: Platform


def choose_isolation(environment: Mapping[str, str], *, root: bool, container: bool, systemd: bool) -> str | None:
    """How RUN is to be isolated. What the user chose (BUILDAH_ISOLATION) stands; as root a container runtime needs
    cgroups that someone manages, so without systemd, and inside a container, it is ``chroot``."""
    if chosen := environment.get("BUILDAH_ISOLATION"):
        return chosen
    if container or (root and not systemd):
        return "chroot"
    return None


def build_commands(
    facts: BuildahFacts, request: BuildRequest, work: Path, environment: Mapping[str, str] = os.environ
) -> tuple[Command, ...]:
    """The commands of a build, in order: per platform a build, and a push into the common OCI layout.

    Pure but for reading secrets, which are only kept for redaction. Raises EngineError for what buildah cannot do,
    UsageError for what has no meaning.
    """
    store = PrivateStore(work / "storage", facts.store)
    commands: list[Command] = []
    for platform in request.platforms:
        name = _temporary_name(platform)
        build = _build(facts, request, platform, work, environment)
        commands.append(Command(build.argv, store.environment, work, build.secrets))
        push = ("buildah", "push", "--quiet", "--format=oci", name, f"oci:{work / 'layout'}:{inputs.slug(platform)}")
        commands.append(Command(push, store.environment))
    return tuple(commands)


def _build(
    facts: BuildahFacts, request: BuildRequest, platform: Platform, work: Path, environment: Mapping[str, str]
) -> Command:
    secrets = tuple(parse_secret(text, environment) for text in request.secrets)
    # Docker's format, because SHELL, HEALTHCHECK and ONBUILD have no effect in the other one.
    argv = ["buildah", "build", f"--platform={platform}", "--format=docker", "--layers", "--identity-label=false"]
    if facts.isolation:
        argv.append(f"--isolation={facts.isolation}")
    argv += [f"--file={work / _dockerfile(platform)}", f"--ignorefile={work / inputs.IGNORE}"]
    if request.target is not None:
        argv.append(f"--target={request.target}")
    given = given_arguments(request.build_args, environment)
    argv += [f"--build-arg={argument}={value}" for argument, value in given.items()]
    argv += [f"--secret={secret}" for secret in secrets]
    argv += [f"--ssh={_ssh(text)}" for text in request.ssh]
    argv += [f"--label={text}" for text in request.labels]
    argv += ["--no-cache"] * request.no_cache + ["--pull-always"] * request.pull
    argv += _network(request.network, facts.isolation)
    argv += [f"--cache-from={_cache('--cache-from', text)}" for text in request.cache_from]
    argv += [f"--cache-to={_cache('--cache-to', text)}" for text in request.cache_to]
    argv += [f"--build-context={_context(text, number)}" for number, text in enumerate(request.build_contexts)]
    argv.append(f"--build-context={HEREDOCS}={work / _heredocs(platform)}")
    argv += [f"--tag={_temporary_name(platform)}", str(request.context.absolute())]
    return Command(tuple(argv), secrets=hidden_values(secrets, environment))


def _temporary_name(platform: Platform) -> str:
    return f"localhost/crossdock-build:{inputs.slug(platform)}"


def _tagged(name: str) -> str:
    reference = parse_reference(name)
    return name if reference.tag else f"{name}:latest"


def _dockerfile(platform: Platform) -> str:
    return f"{inputs.DOCKERFILE}.{inputs.slug(platform)}"


def _heredocs(platform: Platform) -> str:
    return f"heredocs.{inputs.slug(platform)}"


def _network(network: str | None, isolation: str | None) -> list[str]:
    if network in (None, "default"):
        return []
    if network not in ("none", "host"):
        raise UsageError(f"--network {network!r} is not known", hint="Choose default, none or host.")
    if isolation == "chroot" and network == "none":
        raise EngineError(
            "buildah cannot take the network away here: its RUN steps are isolated by chroot only",
            hint="Use --engine buildx, or set BUILDAH_ISOLATION=oci where a container runtime works.",
        )
    return [] if isolation == "chroot" else [f"--network={network}"]


def _cache(flag: str, text: str) -> str:
    """buildah keeps its cache in a repository: ``type=registry,ref=REPOSITORY``, or just the repository."""
    if "=" not in text:
        return text
    fields = dict(part.partition("=")[::2] for part in text.split(","))
    if fields.get("type") != "registry" or not fields.get("ref"):
        raise EngineError(
            f"buildah has no cache of the kind {flag} {text}",
            hint="Write type=registry,ref=REPOSITORY, or use --engine buildx.",
        )
    return fields["ref"]


_CONTEXTS = "contexts"
_CONTEXT_TAG = "base"


def _ssh(text: str) -> str:
    """``default`` or ``ID=SOCKET|KEY[,KEY]``; the files are meant from here, not from where buildah is started."""
    name, equals, files = text.partition("=")
    return f"{name}={','.join(str(Path(file).absolute()) for file in files.split(','))}" if equals else name


def _context(text: str, number: int) -> str:
    """``--build-context NAME=VALUE`` as buildah says it; a relative folder is meant from here, as with Docker.

    buildah names an image after the path of its layout, and refuses a path that is no image name (``/home/Me/.work``).
    So it gets a layout of links instead, by a path relative to the work folder that it is started in.
    """
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise UsageError(f"--build-context {text!r} is not understood", hint="Write --build-context NAME=FOLDER.")
    if OCI_CONTEXT.fullmatch(value):
        return f"{name}=container-image://oci:{_CONTEXTS}/{number}:{_CONTEXT_TAG}"
    if "://" in value or value.startswith("git@"):
        return text
    return f"{name}={Path(value).absolute()}"


def _write_contexts(request: BuildRequest, work: Path) -> None:
    """Make the layouts that ``_context`` names. Raises InputError for what is none."""
    for number, text in enumerate(request.build_contexts):
        if layout := OCI_CONTEXT.fullmatch(text.partition("=")[2]):
            folder = work / _CONTEXTS / str(number)
            layouts.one_image(Path(layout["path"]).absolute(), layout["digest"] or layout["tag"], folder, _CONTEXT_TAG)


class Buildah:
    """``buildah``. Each build, smoke run has a store of its own below its work folder; what the user's store holds is
    read, never changed."""

    name = "buildah"

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._facts: BuildahFacts | None = None

    def probe(self) -> EngineInfo:
        facts = self._known()
        version = ".".join(map(str, facts.version))
        isolation = facts.isolation or "default"
        return EngineInfo(self.name, version, f"store {facts.store.driver}, isolation {isolation}", loads_index=True)

    def commands(self, request: BuildRequest, work: Path) -> tuple[Command, ...]:
        facts = self._known()
        for platform in request.platforms:  # what it cannot build is said in a dry run too
            prepare(request, platform, facts.host, facts.version, os.environ)
        return build_commands(facts, request, work)

    def build(self, request: BuildRequest, work: Path, on_event: EventHandler) -> Path:
        facts = self._known()
        commands = iter(build_commands(facts, request, work))
        prepared = {p: prepare(request, p, facts.host, facts.version, os.environ) for p in request.platforms}
        store = PrivateStore(work / "storage", facts.store)
        layout = work / "layout"
        try:
            with store.open(self._runner):
                inputs.write(request, work)
                _write_contexts(request, work)
                for platform, entry in prepared.items():
                    _write_inputs(work, platform, entry)
                    for note in entry.notes:
                        on_event(BuildEvent(StepState.OUTPUT, f"{platform} note", platform, text=note))
                    self._run_build(next(commands), platform, entry, on_event)
                    self._buildah(next(commands), "buildah could not write the image it built")
                    self._keep_docker_settings(store, layout, platform)
            images = [(LayoutImage(layout, inputs.slug(platform)), platform) for platform in request.platforms]
            assemble_index(LayoutWriter(layout), images, unverified=True)
            return layout
        except BaseException:
            with uninterrupted():
                layouts.remove(layout)
            raise
        finally:
            with uninterrupted():
                for platform in request.platforms:
                    (work / _dockerfile(platform)).unlink(missing_ok=True)
                    layouts.remove(work / _heredocs(platform))
                layouts.remove(work / "parts")
                layouts.remove(work / _CONTEXTS)
                inputs.remove(work)

    def _run_build(self, command: Command, platform: Platform, prepared: Prepared, on_event: EventHandler) -> None:
        def read(line: str) -> None:
            for event in progress.feed(line):
                on_event(event)

        for _ in range(_TRIES):  # what was built stays in the store: the next try goes on from there
            progress = BuildahProgress(platform, prepared)
            exit_code = self._runner.stream(command, read)
            if exit_code == 0:
                for event in progress.finish():
                    on_event(event)
                return
            if not _could_not_start(progress.log()):
                break
            again = "buildah could not start a copy of itself; trying again"
            on_event(BuildEvent(StepState.OUTPUT, f"{platform} note", platform, text=again))
        where = f"Dockerfile:{progress.line}" if progress.line else None
        if progress.failed:
            raise failure(failed_step(progress.failed), progress.log(), where=where)
        raise failure(f"buildah ended with exit code {exit_code} on {platform}", progress.log(), where=where)

    def _keep_docker_settings(self, store: PrivateStore, layout: Path, platform: Platform) -> None:
        """Put HEALTHCHECK, ONBUILD and SHELL back into the config: converting to OCI drops them, BuildKit keeps them
        there, and Docker reads them from there (image-spec leaves room for such fields)."""
        name = _temporary_name(platform)
        done = self._runner.run(Command(("buildah", "inspect", "--type=image", name), store.environment))
        settings = json.loads(done.stdout).get("Docker", {}).get("config") or {}
        kept = {field: settings[field] for field in ("Healthcheck", "OnBuild", "Shell") if settings.get(field)}
        _mend_config(layout, inputs.slug(platform), kept)

    def smoke(self, layout: Path, platform: Platform, command: tuple[str, ...] | None, timeout: float) -> SmokeResult:
        facts = self._known()
        image = LayoutImage(layout)
        chosen = next((entry for entry in image.index().images if entry.platform == platform), None)
        if chosen is None:
            raise EngineError(f"the image has no {platform}", where=str(layout))
        config = image.config(image.manifest(chosen))
        argv = command or (*config.entrypoint, *config.command)
        if not argv:
            return SmokeResult(platform, SmokeVerdict.FAILED, None, 0.0, ("the image has neither ENTRYPOINT nor CMD",))
        with tempfile.TemporaryDirectory(prefix="crossdock-", dir=layout.parent, ignore_cleanup_errors=True) as folder:
            store = PrivateStore(Path(folder) / "storage", facts.store)
            with store.open(self._runner):
                name = "crossdock-smoke"
                layouts.one_platform(layout, platform, Path(folder) / "image", name, triggers=False)
                make = ("buildah", "from", "--quiet", f"--platform={platform}", f"--name={name}", f"oci:image:{name}")
                self._buildah(
                    Command(make, store.environment, Path(folder)), "buildah could not make a container of the image"
                )
                # Killed at once when its time is over: its store is thrown away, and nothing in it is worth saving.
                run = Command((*_smoke_run(facts, self._runner), name, "--", *argv), store.environment, grace=0)
                result = self._run_container(run, platform, timeout, must_end=command is not None)
                if result.verdict is SmokeVerdict.MISSING_LOADER and not self._has_file(store, name, argv[0]):
                    return replace(result, verdict=SmokeVerdict.FAILED)
                return result

    def _has_file(self, store: PrivateStore, container: str, path: str) -> bool:
        """Whether a container has this file. Only root can look; for others, and for a name that was found in PATH,
        it counts as there."""
        if os.geteuid() != 0 or not path.startswith("/"):
            return True
        done = self._runner.run(Command(("buildah", "mount", container), store.environment), check=False)
        return done.exit_code != 0 or os.path.lexists(f"{done.text.strip()}{path}")

    def _run_container(self, command: Command, platform: Platform, timeout: float, *, must_end: bool) -> SmokeResult:
        began = time.monotonic()
        lines: list[str] = []

        def keep(line: str) -> None:
            if not _OWN_WORDS.fullmatch(line):
                lines.append(line)
            del lines[:-OUTPUT_LINES]

        def result(verdict: SmokeVerdict, exit_code: int | None) -> SmokeResult:
            return SmokeResult(platform, verdict, exit_code, time.monotonic() - began, tuple(lines))

        for _ in range(_TRIES):
            lines.clear()
            try:
                exit_code = self._runner.stream(command, keep, timeout=timeout)
            except CommandTimeout:
                return result(SmokeVerdict.HUNG if must_end else SmokeVerdict.RAN, None)
            if exit_code == 0 or not _could_not_start(lines):
                break
        return result(judge(exit_code, tuple(lines)), exit_code)

    def load(self, layout: Path, platforms: tuple[Platform, ...], tags: tuple[str, ...]) -> tuple[Platform, ...]:
        """The user's own store gets the image under each tag. Several platforms become a manifest list, and each is
        there by itself as well: ``NAME:TAG-linux-arm64``."""
        names = [_tagged(tag) for tag in tags]
        ids = []
        for platform in platforms:
            suffix = f"-{inputs.slug(platform)}" if len(platforms) > 1 else ""
            ids.append(self._pull(layout, platform, [f"{name}{suffix}" for name in names]))
        if len(ids) > 1:
            # What had the name before gives it up to the image, and the image to the list.
            self._do("tag", ids[0], names[0])
            self._do("rmi", names[0])
            self._do("manifest", "create", names[0])
            for image in ids:
                self._do("manifest", "add", names[0], image)
            for name in names[1:]:
                self._do("tag", names[0], name)
        return platforms

    def _pull(self, layout: Path, platform: Platform, names: list[str]) -> str:
        """Take an image over under these names only. Pulling names it after the layout's path or tag, so both are valid
        names and nobody else's."""
        token = f"crossdock-load-{random.token_hex(6)}"
        with tempfile.TemporaryDirectory(prefix="crossdock-", dir=layout.parent) as folder:
            layouts.one_platform(layout, platform, Path(folder) / token, token)
            image = self._do("pull", "--quiet", f"--platform={platform}", f"oci:{token}:{token}", folder=Path(folder))
        before = self._names(image)
        self._do("tag", image, *names)
        for name in before:
            if token in name:
                self._do("rmi", name)
        return image

    def _names(self, image: str) -> list[str]:
        listed = json.loads(self._do("images", "--json", "--no-trunc") or "null") or []
        return [name for entry in listed if image in entry["id"] for name in entry.get("names") or []]

    def _do(self, *argv: str, folder: Path | None = None) -> str:
        done = self._runner.run(Command(("buildah", *argv), cwd=folder), timeout=_STORE_SECONDS, check=False)
        if done.exit_code != 0:
            lines = done.stderr.decode("utf-8", "replace").splitlines()
            raise failure(f"`buildah {argv[0]}` failed while loading the image", lines)
        return done.text.strip()

    def _buildah(self, command: Command, what: str) -> None:
        lines: list[str] = []
        if self._runner.stream(command, lines.append, timeout=_STORE_SECONDS) != 0:
            raise failure(what, lines)

    def _known(self) -> BuildahFacts:
        if self._facts is None:
            self._facts = ask_buildah(self._runner)
        return self._facts


def _write_inputs(work: Path, platform: Platform, prepared: Prepared) -> None:
    folder = work / _heredocs(platform)
    folder.mkdir()
    (work / _dockerfile(platform)).write_bytes(prepared.dockerfile)
    for file in prepared.files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        target.chmod(file.mode)
        os.utime(target, (0, 0))  # the same text is the same layer


def _could_not_start(lines: list[str]) -> bool:
    return any(COULD_NOT_COPY.fullmatch(line) for line in lines)


def _smoke_run(facts: BuildahFacts, runner: Runner) -> tuple[str, ...]:
    """Without network, and so that everything ends with it. Chroot isolation has no namespaces, so where root may make
    some, the command itself goes into an empty network and a new process namespace: what the image starts in process
    groups of its own (tini, service managers) would otherwise outlive the run."""
    if facts.isolation != "chroot":
        return ("buildah", "run", "--network=none")
    alone: tuple[str, ...] = ()
    if os.geteuid() == 0 and runner.which("unshare"):
        alone = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
    return (*alone, "buildah", "run", "--isolation=chroot")


def _mend_config(layout: Path, tag: str, settings: dict[str, Any]) -> None:
    """Add settings to an image's config, and take the mounts of RUN out of its history, where BuildKit does not have
    them either: they are no part of the image."""
    image = LayoutImage(layout, tag)
    root = image.root()
    manifest = json.loads(image.read(root))
    config = json.loads(image.read(image.manifest(root).config))
    said = [entry.get("created_by", "") for entry in config.get("history", [])]
    plain = [_MOUNTS.sub(r"\1", text) for text in said]
    if not settings and plain == said:
        return
    config.setdefault("config", {}).update(settings)
    for entry, text in zip(config.get("history", []), plain, strict=True):
        if "created_by" in entry:
            entry["created_by"] = text
    writer = LayoutWriter(layout)
    data = json.dumps(config, separators=(",", ":")).encode()
    added = writer.add_document(data, manifest["config"]["mediaType"])
    manifest["config"] |= {"digest": added.digest, "size": added.size}
    new = writer.add_document(json.dumps(manifest, separators=(",", ":")).encode(), root.media_type)
    index_file = layout / "index.json"
    index = json.loads(index_file.read_text())
    for entry in index["manifests"]:
        if entry["digest"] == root.digest:
            entry |= {"digest": new.digest, "size": new.size}
    index_file.write_text(json.dumps(index))


def ask_buildah(runner: Runner) -> BuildahFacts:
    """The facts about buildah. Raises EngineError with the next step: not installed, too old, no usable store."""
    install = install_command(Wanted.BUILDAH, runner)
    next_step = f"Run `{install}`." if install else "Install the package buildah."
    if not runner.which("buildah"):
        raise EngineError("buildah is not installed", hint=next_step)
    said = runner.run(Command(("buildah", "--version")), timeout=_PROBE_SECONDS).text
    found = _VERSION.search(said)
    if not found:
        raise EngineError("`buildah --version` did not say its version", hint=next_step, log=(said.strip(),))
    version = tuple(int(part or 0) for part in found.groups())
    if version < _OLDEST:
        raise EngineError(
            f"buildah {'.'.join(map(str, version))} is too old",
            hint=f"Install buildah {'.'.join(map(str, _OLDEST))} or newer, or use --engine buildx.",
        )
    done = runner.run(Command(("buildah", "info")), timeout=_PROBE_SECONDS, check=False)
    if done.exit_code != 0:
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        raise failure("buildah cannot open its store", lines, hint="`buildah info` shows the same; mend it first.")
    isolation = choose_isolation(
        os.environ,
        root=os.geteuid() == 0,
        container=Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() or "container" in os.environ,
        systemd=Path("/run/systemd/system").is_dir(),
    )
    store = StoreFacts.parse(done.stdout)
    _try_store(store, runner)
    return BuildahFacts(version, store, isolation, host_platform())


def _try_store(facts: StoreFacts, runner: Runner) -> None:
    """Make an empty container. What is missing for that (a helper program, the right to mount) shows only there."""
    with tempfile.TemporaryDirectory(prefix="crossdock-", ignore_cleanup_errors=True) as folder:
        store = PrivateStore(Path(folder) / "storage", facts)
        with store.open(runner):
            command = Command(("buildah", "from", "--quiet", "scratch"), store.environment)
            done = runner.run(command, timeout=_PROBE_SECONDS, check=False)
            lines = done.stderr.decode("utf-8", "replace").splitlines()
    if done.exit_code == 0:
        return
    if any('could not find "netavark"' in line for line in lines):
        install = install_command(Wanted.NETAVARK, runner) or "the package netavark"
        raise EngineError(
            "buildah lacks its helper program netavark", hint=f"Install it (`{install}`).", log=tuple(lines)
        )
    raise failure("buildah cannot make a container", lines, hint="Try `buildah from scratch`, and mend that first.")
