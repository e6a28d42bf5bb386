"""Running a container with buildah, which needs no daemon: in a store of its own that is removed afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from crossdock.engines import layouts
from crossdock.engines.buildah import COULD_NOT_COPY, BuildahFacts, ask_buildah
from crossdock.engines.buildah_store import PrivateStore
from crossdock.engines.containers import Container, EngineFacts, EngineWords, Outcome, Pull, RunRequest, shell_code
from crossdock.engines.trouble import failure
from crossdock.errors import EngineError, UsageError
from crossdock.image.assemble import assemble_index
from crossdock.image.documents import MalformedError, parse_config
from crossdock.image.layout import LayoutImage, LayoutWriter
from crossdock.image.model import Descriptor, ImageConfig
from crossdock.platforms import Platform, normalise
from crossdock.process import Command, Runner

_NAME = "crossdock-run"
_ASK_SECONDS = 30.0
_MOVE_SECONDS = 3600.0
_ENDED = re.compile(r"subprocess exited (?:with status (?P<code>\d+)|on (?P<signal>[\w/ ]+))|Error: exit status \d+")
_WORDS = EngineWords(
    (
        "subprocess exited ",
        "Error: exit status ",
        "process failed to start with error: ",
        "Close_Fd ",
        "Error sealing ",
    ),
    re.compile(r"process failed to start with error: .*subprocess exited with status \d+"),
    anywhere=("subprocess exited ",),
    noise=re.compile(rf"{_ENDED.pattern}|{COULD_NOT_COPY.pattern}"),
)
_OWN_FAILURE = 125
_SIGNALS = {(signal.strsignal(number) or "").lower(): number for number in signal.valid_signals()}
"""Go calls signals as the C library does, in small letters."""
_ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""Chroot isolation has no namespaces; with one for processes everything that the image starts ends with it."""


def from_command(request: RunRequest, store: PrivateStore) -> Command:
    """Make the container of an image in a registry or in the user's own store."""
    argv = ("buildah", "from", "--quiet", f"--platform={request.platform}", f"--name={_NAME}")
    policy = {Pull.MISSING: "--pull=false", Pull.ALWAYS: "--pull=always", Pull.NEVER: "--pull=never"}[request.pull]
    return Command((*argv, policy, request.image), store.environment)


def run_command(
    facts: BuildahFacts, request: RunRequest, config: ImageConfig, store: PrivateStore, *, alone: bool
) -> Command:
    """``buildah run`` of a request. Raises EngineError for what buildah cannot do, UsageError where nothing is to be
    started. ``alone``: in a process namespace, which chroot isolation does not make."""
    if request.publish:
        raise EngineError(
            "buildah cannot publish ports (--publish)",
            hint="Use --engine docker or --engine podman, or --network host.",
        )
    words = (*config.entrypoint, *config.command)
    if not words:
        raise UsageError(
            "the image names no program to start", where=request.image, hint="Name one after the image, behind `--`."
        )
    argv = ["buildah", "run"]
    if facts.isolation == "chroot":
        argv = [*(_ALONE if alone else ()), *argv]
        if request.network not in (None, "host"):
            if request.network != "none" or not alone:
                raise EngineError(
                    f"buildah has no network {request.network!r} here: it isolates by chroot only",
                    hint="Use --engine docker or --engine podman, or --network host.",
                )
            argv.insert(1, "--net")
    elif request.network is not None:
        argv.append(f"--network={request.network}")
    if facts.isolation:
        argv.append(f"--isolation={facts.isolation}")
    argv += ["--terminal"] * request.tty
    given = {"workingdir": request.workdir, "user": request.user}
    argv += [f"--{flag}={value}" for flag, value in given.items() if value is not None]
    argv += [f"--env={text}" for text in request.env if "=" in text]
    argv += [f"--volume={text}" for text in request.volumes]
    return Command((*argv, _NAME, "--", *words), store.environment)


def inherit_commands(request: RunRequest, store: PrivateStore, environment: Mapping[str, str]) -> tuple[Command, ...]:
    """What gives the container the variables that are named without a value, without showing the values in a command
    line. ``buildah run --env NAME`` leaves them out (1.28)."""
    names = [text for text in request.env if text in environment]
    return tuple(Command(("buildah", "config", f"--env={name}", _NAME), store.environment) for name in names)


def run_config(config: ImageConfig, request: RunRequest) -> ImageConfig:
    """As ``docker run`` puts them together: words after the image replace CMD, ``--entrypoint`` both."""
    entrypoint, command = config.entrypoint, request.command or config.command
    if request.entrypoint is not None:
        entrypoint, command = ((request.entrypoint,) if request.entrypoint else ()), request.command
    given = dict(text.split("=", 1) for text in request.env if "=" in text)
    return replace(
        config,
        entrypoint=entrypoint,
        command=command,
        env={**config.env, **given},
        working_directory=request.workdir or config.working_directory,
        user=request.user or config.user,
    )


class BuildahRun:
    """``buildah``. Images of the user's own store are used, never changed; what is pulled is not kept."""

    name = "buildah"

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._facts: BuildahFacts | None = None

    def probe(self) -> EngineFacts:
        facts = self._known()
        return EngineFacts(self.name, facts.version, facts.host)

    def local_platform(self, image: str) -> Platform | None:
        command = Command(("buildah", "inspect", "--type=image", image))
        done = self._runner.run(command, timeout=_ASK_SECONDS, check=False)
        try:
            found = json.loads(done.text)["OCIv1"]
            return normalise(found["os"], found["architecture"], found.get("variant") or "")
        except (ValueError, LookupError, TypeError):
            return None

    @contextlib.contextmanager
    def create(self, request: RunRequest, on_pull: Callable[[], AbstractContextManager[None]]) -> Iterator[Container]:
        facts = self._known()
        with tempfile.TemporaryDirectory(prefix="crossdock-", ignore_cleanup_errors=True) as work:
            folder = Path(work)
            store = PrivateStore(folder / "storage", facts.store)
            clean = [
                Command(("sleep", "1")),  # what runs in it is being killed by another guard
                Command(("buildah", "rm", "--all"), store.environment),
                Command(("rm", "-rf", "--one-file-system", str(folder))),
            ]
            with self._runner.guard(clean), store.open(self._runner):
                with on_pull():
                    if request.content is not None:
                        self._load(request, folder, store)
                    else:
                        self._do(from_command(request, store), "could not make a container of the image", request)
                for command in inherit_commands(request, store, os.environ):
                    self._do(command, "could not pass the environment on", request)
                inspected = self._inspect(store)
                config = run_config(_config(inspected, request), request)
                alone = os.geteuid() == 0 and self._runner.which("unshare") is not None
                command = run_command(facts, request, config, store, alone=alone)
                yield _Container(command, config, str(inspected.get("FromImageID") or ""), store, self._runner)

    def _load(self, request: RunRequest, folder: Path, store: PrivateStore) -> None:
        assert request.content is not None
        layout = folder / "layout"
        layout.mkdir()
        assemble_index(LayoutWriter(layout), [(request.content, request.platform)], unverified=True)
        platform = LayoutImage(layout).index().images[0].platform or request.platform
        layouts.one_platform(layout, platform, folder / "image", _NAME, triggers=False)
        make = ("buildah", "from", "--quiet", f"--platform={platform}", f"--name={_NAME}", f"oci:image:{_NAME}")
        self._do(Command(make, store.environment, folder), "could not make a container of the image", request)

    def _do(self, command: Command, what: str, request: RunRequest) -> None:
        lines: list[str] = []
        if self._runner.stream(command, lines.append, timeout=_MOVE_SECONDS) != 0:
            raise failure(
                f"buildah {what}", lines, where=request.image, hint="Check the image's name, and `buildah login`."
            )

    def _inspect(self, store: PrivateStore) -> Mapping[str, Any]:
        command = Command(("buildah", "inspect", "--type=container", _NAME), store.environment)
        found: Mapping[str, Any] = json.loads(self._runner.run(command, timeout=_ASK_SECONDS).text)
        return found

    def _known(self) -> BuildahFacts:
        if self._facts is None:
            self._facts = ask_buildah(self._runner)
        return self._facts


def _config(inspected: Mapping[str, Any], request: RunRequest) -> ImageConfig:
    try:
        return parse_config(json.dumps(inspected["OCIv1"]).encode())
    except (KeyError, MalformedError) as error:
        raise EngineError(f"buildah does not say how the image is started: {error}", where=request.image) from error


class _Container:
    engine_words = _WORDS
    wrappers = frozenset({"unshare", "buildah", "buildah-oci-runtime", "buildah-chroot-runtime", "buildah-chroot-exec"})

    def __init__(self, command: Command, config: ImageConfig, image: str, store: PrivateStore, runner: Runner) -> None:
        self.command = command
        self._config = config
        self._image = image
        self._store = store
        self._runner = runner

    def main_process(self, attached: int) -> int | None:
        return attached

    def signal(self, number: signal.Signals) -> bool:  # noqa: ARG002 (for Docker's)
        return False

    def execute(self, words: tuple[str, ...]) -> Command | None:  # noqa: ARG002 (for Docker's)
        return None

    def outcome(self, exit_code: int, noise: tuple[str, ...]) -> Outcome:
        ended = [match for match in map(_ENDED.fullmatch, noise) if match]
        if exit_code and any(map(COULD_NOT_COPY.fullmatch, noise)):
            return Outcome(started=False, trouble=noise[0], again=True)
        if exit_code == _OWN_FAILURE and not ended:
            return Outcome(started=False)
        name = next((match["signal"] for match in ended if match["signal"]), "")
        number = _SIGNALS.get(name)
        return Outcome(started=True, exit_code=128 + number if number else shell_code(exit_code))

    def config(self) -> ImageConfig:
        return self._config

    def head(self, path: str, size: int) -> tuple[str, bytes] | None:
        if os.geteuid() != 0:  # others cannot mount
            return None
        command = Command(("buildah", "mount", _NAME), self._store.environment)
        done = self._runner.run(command, timeout=_ASK_SECONDS, check=False)
        if done.exit_code != 0:
            return None
        root = Path(done.text.strip())
        with contextlib.suppress(OSError):
            real = real_path(root, path)
            with (root / real.lstrip("/")).open("rb") as file:
                return real, file.read(size)
        return None

    def layers(self, folder: Path) -> Iterator[tuple[Descriptor, BinaryIO]]:
        layout = folder / "layout"
        push = ("buildah", "push", "--quiet", "--format=oci", self._image, f"oci:{layout}:{_NAME}")
        self._runner.run(Command(push, self._store.environment), timeout=_MOVE_SECONDS)
        image = LayoutImage(layout)
        for layer in image.manifest(image.root()).layers:
            with image.open(layer) as stream:
                yield layer, stream


def real_path(root: Path, path: str) -> str:
    """A path in ``root`` with all links followed as if ``root`` were /. Raises OSError where there are too many."""
    pending = [part for part in path.split("/") if part][::-1]
    found: list[str] = []
    for _ in range(1000):
        if not pending:
            return "/" + "/".join(found)
        part = pending.pop()
        if part == "..":
            found = found[:-1]
            continue
        here = root.joinpath(*found, part)
        if part == "." or not here.is_symlink():
            found += [part] if part != "." else []
            continue
        target = str(here.readlink())
        found = [] if target.startswith("/") else found
        pending += [piece for piece in target.split("/") if piece][::-1]
    raise OSError(f"too many links: {path}")
