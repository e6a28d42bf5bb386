"""A store of containers/storage for one build, apart from the user's, and removed with everything in it.

Source: containers-storage.conf(5). The user's store is named as an additional one, so that base images in it need no
pulling; it is only read.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossdock.errors import EngineError
from crossdock.process import Command, Runner, uninterrupted

_CLEANUP_SECONDS = 60.0
_WANTED_LIMIT = 1048576
"""What buildah sets nofile and nproc to by default (containers.conf(5), default_ulimits)."""


@dataclass(frozen=True)
class StoreFacts:
    """What ``buildah info`` says of the user's store."""

    driver: str
    graph_root: str
    mount_program: str

    @classmethod
    def parse(cls, info: bytes) -> StoreFacts:
        """Raises EngineError for output that is not buildah's."""
        try:
            store: dict[str, Any] = json.loads(info)["store"]
            options = store.get("GraphOptions")
            program = options.get("overlay.mount_program") if isinstance(options, dict) else None
            executable = program.get("Executable", "") if isinstance(program, dict) else program or ""
            return cls(str(store["GraphDriverName"]), str(store["GraphRoot"]), str(executable))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(
                "`buildah info` did not describe its store", hint="Install buildah anew, or use --engine buildx."
            ) from error


@dataclass(frozen=True)
class PrivateStore:
    folder: Path
    facts: StoreFacts

    @property
    def environment(self) -> dict[str, str]:
        """What makes every buildah command use this store. TMPDIR holds what is pulled and the cache mounts."""
        return {
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "CONTAINERS_CONF_OVERRIDE": str(self.folder / "containers.conf"),
            "TMPDIR": str(self.folder / "tmp"),
        }

    def configuration(self, file_system: str, *, base_images: bool) -> str:
        """storage.conf. Overlays cannot lie on an overlay (inside containers), so ``vfs`` is used there."""
        overlay = self.facts.driver == "overlay"
        driver = "vfs" if overlay and not self.facts.mount_program and file_system == "overlay" else self.facts.driver
        lines = [
            "[storage]",
            f"driver = {json.dumps(driver)}",
            f"graphroot = {json.dumps(str(self.folder / 'root'))}",
            f"runroot = {json.dumps(str(self.folder / 'run'))}",
            "[storage.options]",
        ]
        if base_images and driver == self.facts.driver:
            lines.append(f"additionalimagestores = [{json.dumps(self.facts.graph_root)}]")
        if self.facts.mount_program and driver == "overlay":
            lines += ["[storage.options.overlay]", f"mount_program = {json.dumps(self.facts.mount_program)}"]
        return "\n".join(lines) + "\n"

    @contextlib.contextmanager
    def open(self, runner: Runner) -> Iterator[None]:
        """The store exists inside this block, and nothing of it afterwards."""
        mounts = Path("/proc/self/mounts").read_text(errors="replace")
        images = Path(self.facts.graph_root) / f"{self.facts.driver}-images" / "images.json"
        try:
            try:
                (self.folder / "tmp").mkdir(parents=True)
                text = self.configuration(file_system_of(self.folder, mounts), base_images=images.exists())
                (self.folder / "storage.conf").write_text(text)
                (self.folder / "containers.conf").write_text(limits(hard_limits()))
            except OSError as error:
                raise EngineError(
                    f"cannot make a store for buildah: {error.strerror}",
                    where=str(self.folder),
                    hint="Free some space, or point TMPDIR at a larger disk.",
                ) from error
            yield
        finally:
            with uninterrupted():
                self._remove(runner)

    def _remove(self, runner: Runner) -> None:
        def quietly(*argv: str, environment: Mapping[str, str] | None = None) -> None:
            with contextlib.suppress(EngineError):
                runner.run(Command(argv, environment or {}), timeout=_CLEANUP_SECONDS, check=False)

        if (self.folder / "root").exists():
            quietly("buildah", "rm", "--all", environment=self.environment)
        for mount in mounts_below(self.folder, Path("/proc/self/mounts").read_text(errors="replace")):
            quietly("umount", "--lazy", mount)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists() and os.geteuid() != 0:  # files of other users of the user namespace
            quietly("buildah", "unshare", "rm", "-rf", str(self.folder))


def limits(hard: Mapping[str, int]) -> str:
    """containers.conf(5) that keeps RUN within this process's own hard limits. Newer buildah asks for 1048576 files and
    processes, which root may not have in a container or sandbox (no CAP_SYS_RESOURCE), and then no RUN starts."""
    low = low_limits(hard)
    if not low:
        return ""
    listed = ", ".join(json.dumps(f"{name}={limit}:{limit}") for name, limit in low.items())
    return f"[containers]\ndefault_ulimits = [{listed}]\n"


def low_limits(hard: Mapping[str, int]) -> dict[str, int]:
    """Those of a process's hard limits that are lower than what buildah and podman ask for."""
    return {name: limit for name, limit in hard.items() if 0 <= limit < _WANTED_LIMIT}


def hard_limits() -> dict[str, int]:
    """This process's own: the highest that it may ask for without CAP_SYS_RESOURCE (getrlimit(2))."""
    kinds = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
    return {name: resource.getrlimit(kind)[1] for name, kind in kinds.items()}


def file_system_of(path: Path, mounts: str) -> str:
    """The type of the file system that holds ``path``, from /proc/mounts (proc(5))."""
    best, found = -1, ""
    for point, kind in _mounts(mounts):
        inside = path.resolve() == Path(point) or Path(point) in path.resolve().parents
        if inside and len(point) >= best:
            best, found = len(point), kind
    return found


def mounts_below(folder: Path, mounts: str) -> tuple[str, ...]:
    """Mount points in a folder, the innermost first."""
    inside = [point for point, _ in _mounts(mounts) if folder in Path(point).parents]
    return tuple(sorted(inside, key=len, reverse=True))


def _mounts(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) >= 3:
            yield fields[1].encode().decode("unicode_escape"), fields[2]
