"""The check ``structure``: what the files of an image and its config have to be, as assertions say. Nothing runs."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator, Mapping
from posixpath import normpath
from typing import Any

from crossdock.errors import InputError
from crossdock.image.layers import walk
from crossdock.image.model import Image, Manifest
from crossdock.image.tar import Kind
from crossdock.platforms import Platform
from crossdock.verify.assertions import Assertions, ContentTest, FileTest, MetadataTest
from crossdock.verify.filesystem import FileSystem, Found
from crossdock.verify.model import CheckResult, Status

CHECK = "structure"
MAX_CONTENT = 16 << 20
"""Bytes of a file that are looked through."""
_EXECUTABLE = {"owner": 0o100, "group": 0o010, "other": 0o001, "any": 0o111}


def check_structure(
    image: Image, manifest: Manifest, system: FileSystem, wanted: Assertions, platform: Platform
) -> Iterator[CheckResult]:
    """A failure for each assertion that does not hold, and one passed result with the number of those that do."""
    failed: list[tuple[str, str, str]] = []
    for test in wanted.files:
        if problem := _file(system, test):
            failed.append((test.name, test.path, problem))
    for content in wanted.contents:
        if problem := _content(image, manifest, system, content):
            failed.append((content.name, content.path, problem))
    for metadata in wanted.metadata:
        failed += (("metadata", "", problem) for problem in _metadata(image, manifest, metadata))
    for name, path, problem in failed:
        yield CheckResult(CHECK, Status.FAILED, f"{name}: {problem}", platform, path=path)
    for text in (*wanted.left_out, *(f"{test.name}: uid and gid" for test in wanted.files if test.owned)):
        yield CheckResult(CHECK, Status.SKIPPED, f"not looked at: {text}", platform)
    count = len(wanted.files) + len(wanted.contents) + len(wanted.metadata)
    if count and not failed:
        text = f"{count} {'assertion' if count == 1 else 'assertions'} on files and config hold"
        yield CheckResult(CHECK, Status.PASSED, text, platform)


def _file(system: FileSystem, test: FileTest) -> str:
    found = system.find(test.path)
    if not isinstance(found, Found):
        return f"{test.path} is not there" if test.exists else ""
    if not test.exists:
        return f"{test.path} is there"
    mode = found.file.mode if found.file else None
    if mode is None:
        return "" if not test.permissions and not test.executable_by else f"{test.path} is a folder"
    shown = stat.filemode(mode)[1:]
    if test.permissions and shown != test.permissions:
        return f"{test.path} has the permissions {shown}, not {test.permissions}"
    if test.executable_by and not mode & _EXECUTABLE.get(test.executable_by, 0):
        return f"{test.path} is not executable by {test.executable_by} ({shown})"
    return ""


def _content(image: Image, manifest: Manifest, system: FileSystem, test: ContentTest) -> str:
    found = system.find(test.path)
    if not isinstance(found, Found) or found.file is None or found.layer is None:
        return f"{test.path} is not there"
    text = _read(image, manifest, found.layer, found.path)
    for pattern in test.expected:
        if not re.search(pattern, text, re.MULTILINE):
            return f"{test.path} does not have {pattern!r}"
    for pattern in test.excluded:
        if re.search(pattern, text, re.MULTILINE):
            return f"{test.path} has {pattern!r}"
    return ""


def _read(image: Image, manifest: Manifest, layer: int, path: str) -> str:
    """The text of a file, from the layer that brought it."""
    descriptor = manifest.layers[layer]
    text = ""
    with image.open(descriptor) as stream:
        for entry, content in walk(stream, descriptor):
            if normpath(entry.name) == path and entry.kind is Kind.FILE:
                text = content.take(MAX_CONTENT).decode("utf-8", "replace")
    return text


def _metadata(image: Image, manifest: Manifest, test: MetadataTest) -> Iterator[str]:
    config = _config(image, manifest)
    env = dict(item.partition("=")[::2] for item in config.get("Env") or ())
    yield from _pairs("the environment", env, test.env)
    yield from (f"the environment has {name}" for name in test.unset if name in env)
    yield from _pairs("the labels", config.get("Labels") or {}, test.labels)
    ports = {str(port).partition("/")[0] for port in config.get("ExposedPorts") or ()}
    volumes = set(config.get("Volumes") or ())
    yield from (f"port {port} is not exposed" for port in test.ports if port.partition("/")[0] not in ports)
    yield from (f"port {port} is exposed" for port in test.no_ports if port.partition("/")[0] in ports)
    yield from (f"{volume} is no volume" for volume in test.volumes if volume not in volumes)
    yield from (f"{volume} is a volume" for volume in test.no_volumes if volume in volumes)
    asked: tuple[tuple[str, object, object], ...] = (
        ("Entrypoint", test.entrypoint, tuple(config.get("Entrypoint") or ())),
        ("Cmd", test.command, tuple(config.get("Cmd") or ())),
        ("WorkingDir", test.workdir, config.get("WorkingDir") or ""),
        ("User", test.user, config.get("User") or ""),
    )
    for name, wanted, there in asked:
        if wanted is not None and wanted != there:
            yield f"{name} is {_shown(there)}, not {_shown(wanted)}"


def _config(image: Image, manifest: Manifest) -> Mapping[str, Any]:
    try:
        document = json.loads(image.read(manifest.config))
    except ValueError as error:
        raise InputError("the image's config is no JSON", where=manifest.config.digest) from error
    found = document.get("config") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _pairs(what: str, there: Mapping[str, str], wanted: tuple[tuple[str, str, bool], ...]) -> Iterator[str]:
    for name, value, is_pattern in wanted:
        if name not in there:
            yield f"{what} has no {name}"
        elif not (re.search(value, there[name]) if is_pattern else there[name] == value):
            yield f"{what} has {name}={there[name]}, not {value}"


def _shown(value: object) -> str:
    return json.dumps(value) if isinstance(value, tuple) else repr(value)
