"""Where a verified image goes: ``--push``, ``--load`` and ``-o``, read as docker buildx build reads them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from crossdock.errors import UsageError


class Destination(StrEnum):
    REGISTRY = "registry"
    ENGINE = "engine"
    ARCHIVE = "archive"
    LAYOUT = "layout"


@dataclass(frozen=True)
class Output:
    """One destination. ``path`` is set for an archive (a file) and a layout (a folder); ``names`` replace the tags of
    ``-t`` where the output brings its own (``name=…``)."""

    destination: Destination
    path: Path | None = None
    names: tuple[str, ...] = ()


_UNSUPPORTED = {
    "local": "Export the image with -o type=oci,dest=FILE and unpack it, or use docker buildx build for this.",
    "tar": "Export the image with -o type=oci,dest=FILE and unpack it, or use docker buildx build for this.",
}


def parse_outputs(texts: Sequence[str], *, push: bool, load: bool) -> tuple[Output, ...]:
    """Every destination asked for, in order, each once. Raises UsageError for one that crossdock cannot serve."""
    found = [_parse(text) for text in texts]
    if push:
        found.append(Output(Destination.REGISTRY))
    if load:
        found.append(Output(Destination.ENGINE))
    return tuple(dict.fromkeys(output for output in found if output))


def parse_pull_output(text: str, name: str) -> Output:
    """Where ``crossdock pull`` writes to: as ``parse_outputs``, or as skopeo writes it (``oci-archive:FILE``,
    ``oci:FOLDER``), or a bare path. ``name`` is the file's name where none is given. Raises UsageError."""
    kind, _, path = text.partition(":")
    if kind in ("oci-archive", "oci") and ":" in path:
        raise UsageError(
            f"-o {text}: a name behind the path is not taken",
            hint="The image keeps its name. To give another: -o type=oci,dest=FILE,name=NAME:TAG",
        )
    if kind == "oci-archive":
        return Output(Destination.ARCHIVE, Path(path or name))
    if kind == "oci" and path:
        return Output(Destination.LAYOUT, Path(path))
    if not text or kind in _NO_FILES:
        raise UsageError(f"crossdock cannot pull to -o {text or repr(text)}", hint=_PULL_HINT)
    if not text.startswith("type="):
        return Output(Destination.LAYOUT if text.endswith("/") else Destination.ARCHIVE, Path(text))
    output = _parse(text)
    if output is None or output.path is None:
        raise UsageError(f"crossdock cannot pull to -o {text}", hint=_PULL_HINT)
    return output


_NO_FILES = frozenset({"-", "oci", "dir", "docker", "docker-archive", "docker-daemon", "containers-storage"})
"""Words that docker and skopeo have for places, and that are hardly meant as names of files."""
_PULL_HINT = "Write -o FILE.tar or -o oci:FOLDER."


def _parse(text: str) -> Output | None:
    fields = _fields(text)
    kind = fields.pop("type", "")
    dest = fields.pop("dest", "")
    names = tuple(name.strip() for name in fields.pop("name", "").split(",") if name.strip())
    if kind == "cacheonly":
        return None
    if kind == "registry" or (kind == "image" and fields.pop("push", "") == "true"):
        output = Output(Destination.REGISTRY, names=names)
    elif kind == "image" or (kind == "docker" and not dest):
        output = Output(Destination.ENGINE, names=names)
    elif kind == "oci":
        if not dest:
            raise UsageError(f"-o {text} does not say where to", hint="Write -o type=oci,dest=FILE.")
        folder = fields.pop("tar", "true") == "false"
        output = Output(Destination.LAYOUT if folder else Destination.ARCHIVE, Path(dest), names)
    else:
        hint = _UNSUPPORTED.get(kind, "Known outputs: type=oci,dest=FILE, type=docker (as --load), type=registry.")
        if kind == "docker":
            hint = "Write -o type=oci,dest=FILE: docker load reads that too."
        raise UsageError(f"crossdock cannot export to -o {text}", hint=hint)
    if fields:
        raise UsageError(f"-o {text}: {', '.join(fields)} is not supported for this output")
    return output


def _fields(text: str) -> dict[str, str]:
    """``type=oci,dest=x`` as BuildKit reads it (CSV, so that quoted commas survive); a bare path means a folder."""
    parts = next(csv.reader([text]))
    if len(parts) == 1 and "=" not in parts[0]:
        return {"type": "local", "dest": parts[0]}
    fields: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"-o {text}: {part!r} is not NAME=VALUE", hint="Write -o type=oci,dest=FILE.")
        fields[name.strip().lower()] = value
    return fields
