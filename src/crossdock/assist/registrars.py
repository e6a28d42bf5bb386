"""Who may register the launcher with the kernel: root, or somebody who may start containers of Docker."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from crossdock.errors import CrossdockError, EngineError
from crossdock.host.binfmt import BINFMT, Registration, check_interpreter
from crossdock.platforms import host_platform
from crossdock.process import Command, Runner, uninterrupted

_PROGRAMS = Path(__file__).with_name("launcher")
_ASK_SECONDS = 20.0
_SECONDS = 120.0
"""How long Docker may take to start a container of a few megabytes."""


@dataclass(frozen=True)
class Entry:
    """A launcher to register. ``match`` is the line up to the interpreter, ``file`` what its file has to be called."""

    name: str
    match: str
    launcher: bytes = field(repr=False)
    file: str
    flags: str


class Registrar(Protocol):
    def obstacle(self) -> str:
        """Why it cannot register anything, in words; empty if nothing is known to hinder it."""
        ...

    def registered(self, entry: Entry) -> AbstractContextManager[None]:
        """The entry is in force while the context lasts. Raises CrossdockError."""
        ...


def registrar(runner: Runner, *, root: Path = BINFMT) -> Registrar:
    """The one for whoever runs crossdock."""
    return RootRegistrar(runner, root) if os.geteuid() == 0 else DockerRegistrar(runner, root)


class RootRegistrar:
    """Writes into binfmt_misc itself."""

    def __init__(self, runner: Runner, root: Path) -> None:
        self._runner, self._root = runner, root

    def obstacle(self) -> str:
        return ""

    @contextlib.contextmanager
    def registered(self, entry: Entry) -> Iterator[None]:
        # The file stays as long as the entry: one that names a file which is not there would look broken to people.
        remove = Command(("sh", "-c", f"echo -1 >{shlex.quote(str(self._root / entry.name))}"))
        with tempfile.TemporaryDirectory(prefix="crossdock-") as folder, self._runner.guard((remove,)):
            Path(folder).chmod(0o755)
            file = Path(folder) / entry.file
            try:
                file.write_bytes(entry.launcher)
                file.chmod(0o755)
                check_interpreter(file)
                (self._root / "register").write_bytes(f"{entry.match}:{file}:{entry.flags}".encode())
            except OSError as error:
                why = f"the launcher could not be registered: {error.strerror}"
                raise CrossdockError(why, where=str(file)) from error
            try:
                yield
            finally:
                Registration(entry.name, str(file), self._root).undo()


class DockerRegistrar:
    """Has a privileged container do it, whose image is made of the launcher and the registrar and removed again."""

    def __init__(self, runner: Runner, root: Path) -> None:
        self._runner, self._root = runner, root

    def obstacle(self) -> str:
        only = "only root may register the launcher of native programs with the kernel"
        if not self._runner.which("docker"):
            return only
        words = ("docker", "info", "--format", "{{.KernelVersion}} {{json .SecurityOptions}}")
        try:
            answer = self._runner.run(Command(words), timeout=_ASK_SECONDS, check=False).text.strip()
        except EngineError:
            answer = ""
        kernel, _, options = answer.partition(" ")
        if not options:
            return f"{only}, or who may use Docker"
        if kernel != os.uname().release:
            return f"{only}, and Docker runs on another machine"
        if "rootless" in options or "userns" in options:
            return f"{only}, and this Docker has not its rights"
        return ""

    @contextlib.contextmanager
    def registered(self, entry: Entry) -> Iterator[None]:
        tag = f"{entry.name}:launcher"
        run = ("docker", "run", "--rm", "--privileged", "--network", "none", tag, "/registrar")
        remove = (Command((*run, entry.name, "-1")), Command(("docker", "image", "rm", "--force", tag)))
        line = f"{entry.match}:/{entry.file}:{entry.flags}"
        with self._runner.guard(remove):
            try:
                self._runner.run(Command(("docker", "import", "-", tag)), input=_image(entry), timeout=_SECONDS)
                self._runner.run(Command((*run, "register", line)), timeout=_SECONDS)
                if not (self._root / entry.name).exists():
                    raise CrossdockError("the launcher was registered with another kernel than this one")
                yield
            finally:
                with uninterrupted():
                    for command in remove:
                        self._runner.run(command, timeout=_SECONDS, check=False)


def _image(entry: Entry) -> bytes:
    """The root file system of the container, as a tar archive."""
    program = (_PROGRAMS / f"{host_platform().architecture}.registrar").read_bytes()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folder = tarfile.TarInfo("binfmt")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for name, content in (("registrar", program), (entry.file, entry.launcher)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()
