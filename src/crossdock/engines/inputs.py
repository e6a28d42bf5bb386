"""The files an engine builds from, written into its work folder so that the user's tree stays untouched."""

from __future__ import annotations

from pathlib import Path

from crossdock.engines.model import BuildRequest
from crossdock.errors import EngineError
from crossdock.platforms import Platform

DOCKERFILE = "Dockerfile"
IGNORE = "Dockerfile.dockerignore"
"""BuildKit takes the ignore file of this name before the context's own .dockerignore."""


def slug(platform: Platform) -> str:
    """``linux-arm64``: a platform as a file name or a tag."""
    return str(platform).replace("/", "-")


def write(request: BuildRequest, work: Path) -> None:
    """Write Dockerfile and ignore file. The ignore file is never empty, so that it counts as given."""
    try:
        (work / "parts").mkdir(parents=True, exist_ok=True)
        (work / DOCKERFILE).write_bytes(request.dockerfile)
        (work / IGNORE).write_bytes(request.ignore or b"# nothing is ignored\n")
    except OSError as error:
        raise EngineError(
            f"cannot write the files to build from: {error.strerror}",
            where=str(work),
            hint="Free some space, or point TMPDIR at a folder on a larger disk.",
        ) from error


def remove(work: Path) -> None:
    for name in (DOCKERFILE, IGNORE):
        (work / name).unlink(missing_ok=True)
