"""Sending a verified OCI layout to where the user wants it. Every byte comes from that layout."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from crossdock.cli.options import registries
from crossdock.cli.output import Progress
from crossdock.cli.outputs import Destination, Output
from crossdock.errors import CrossdockError, UsageError

if TYPE_CHECKING:
    from crossdock.engines.model import Engine, EngineInfo
    from crossdock.platforms import Platform

Pushing = Callable[[str], AbstractContextManager[Progress]]
"""Takes a name; while it is pushed, what comes of it hears the bytes sent so far and the bytes in all."""


def check_outputs(outputs: Sequence[Output], tags: Sequence[str]) -> None:
    """Everything that can be said before a long build: names that are none, files that cannot be written.

    Raises UsageError or CrossdockError.
    """
    from crossdock.image.reference import parse_reference

    for tag in tags:
        parse_reference(tag)
    for output in outputs:
        if output.destination is Destination.REGISTRY and not (output.names or tags):
            raise UsageError("--push needs a name", hint="Add -t REGISTRY/NAME:TAG.")
        if output.path is None:
            continue
        if output.destination is Destination.ARCHIVE and output.path.is_dir():
            raise UsageError(
                f"{output.path} is a folder", hint=f"Name a file: -o type=oci,dest={output.path / 'image.tar'}"
            )
        if output.destination is Destination.ARCHIVE and output.path.exists() and not output.path.is_file():
            raise UsageError(f"{output.path} is no regular file", hint="Name a file that can be replaced.")
        if output.destination is Destination.LAYOUT and output.path.exists():
            raise UsageError(f"{output.path} exists already", hint="Name a folder that does not exist yet.")
        if not os.access(output.path.absolute().parent, os.W_OK):
            raise CrossdockError(
                "cannot write there", where=str(output.path), hint="Create the folder, or make it writable."
            )


def publish(
    output: Output,
    layout: Path,
    *,
    tags: tuple[str, ...],
    platforms: tuple[Platform, ...],
    engine: Engine,
    plain_http: bool,
    pushing: Pushing,
) -> tuple[str, ...]:
    """Serve one output; returns what it made, in words for the report. Raises CrossdockError."""
    names = output.names or tags
    match output.destination:
        case Destination.REGISTRY:
            return _push(layout, names, plain_http=plain_http, pushing=pushing)
        case Destination.ENGINE:
            loaded = engine.load(layout, platforms, names)
            return tuple(f"{name} in {engine.name} ({', '.join(map(str, loaded))})" for name in names)
        case Destination.ARCHIVE:
            from crossdock.image.archive import write_oci_archive

            assert output.path is not None
            write_oci_archive(layout, output.path, names)
            return (str(output.path),)
        case Destination.LAYOUT:
            assert output.path is not None
            _copy_layout(layout, output.path, names)
            return (str(output.path),)


def load_warning(info: EngineInfo, platforms: Sequence[Platform], outputs: Sequence[Output]) -> str | None:
    """What to tell before the build when the engine's store cannot hold every platform."""
    loads = any(output.destination is Destination.ENGINE for output in outputs)
    if not loads or info.loads_index or len(platforms) == 1:
        return None
    return (
        f"{info.name}'s image store holds one platform per name, so only this machine's will be loaded. "
        "To keep all of them add -o type=oci,dest=FILE or --push."
    )


def _push(layout: Path, names: Sequence[str], *, plain_http: bool, pushing: Pushing) -> tuple[str, ...]:
    from crossdock.image.layout import LayoutImage
    from crossdock.image.publish import push
    from crossdock.image.reference import parse_reference

    pushed = []
    with registries(plain_http) as reached:
        for name in names:
            reference = parse_reference(name)
            with pushing(name) as on_progress:
                descriptor = push(LayoutImage(layout), reference, reached, on_progress=on_progress)
            pushed.append(f"{reference.familiar}@{descriptor.digest}")
    return tuple(pushed)


def _copy_layout(layout: Path, destination: Path, names: Sequence[str]) -> None:
    """Beside the destination first, then renamed: a reader never sees half a layout."""
    from crossdock.image.layout import LayoutImage, LayoutWriter

    temporary = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.absolute().parent))
    try:
        shutil.copytree(layout / "blobs", temporary / "blobs")
        LayoutWriter(temporary).finish(LayoutImage(layout).root(), names)
        temporary.chmod(0o755)
        temporary.replace(destination)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
