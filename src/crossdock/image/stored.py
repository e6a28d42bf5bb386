"""Images in the stores of engines on this machine, by skopeo's names for them: docker-daemon:, containers-storage:."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from crossdock.errors import EngineError
from crossdock.image.archive import ArchiveImage
from crossdock.process import Command, Runner

_SECONDS = 3600.0
_SAVERS: dict[str, tuple[tuple[str, Callable[[str, str], tuple[str, ...]]], ...]] = {
    "docker-daemon:": (("docker", lambda image, file: ("save", "--output", file, image)),),
    "containers-storage:": (
        ("podman", lambda image, file: ("save", "--quiet", "--format=oci-archive", "--output", file, image)),
        ("buildah", lambda image, file: ("push", "--quiet", image, f"oci-archive:{file}")),
    ),
    "containerd:": (("ctr", lambda image, file: ("images", "export", "--all-platforms", file, image)),),
}
"""Prefix → the programs that can write such an image into an archive, the first that is there."""


def is_stored(text: str) -> bool:
    """Whether ``text`` names an image in a store."""
    return text.startswith(tuple(_SAVERS))


def open_stored(text: str, runner: Runner) -> ArchiveImage:
    """The image that ``text`` names, copied out of its store into a temporary file without a name. Raises EngineError
    when there is no program to do so, or no such image."""
    prefix = next(prefix for prefix in _SAVERS if text.startswith(prefix))
    name = text.removeprefix(prefix)
    programs = [program for program, _ in _SAVERS[prefix]]
    found = next(((program, words) for program, words in _SAVERS[prefix] if runner.which(program)), None)
    if found is None:
        hint = "Install it, or name the image by its reference in a registry."
        raise EngineError(f"{' or '.join(programs)} is needed to read it, and is not installed", where=text, hint=hint)
    program, words = found
    with tempfile.TemporaryDirectory(prefix="crossdock-") as folder:
        file = Path(folder) / "image.tar"
        done = runner.run(Command((program, *words(name, str(file)))), timeout=_SECONDS, check=False)
        if done.exit_code != 0 or not file.exists():
            said = tuple(done.stderr.decode("utf-8", "replace").splitlines())
            hint = f"`{program} images` lists what is there."
            raise EngineError(f"{program} could not give the image", where=text, hint=hint, log=said)
        image = ArchiveImage(file)
        image.name = text
        image.root()  # from here on it is open
        return image
