"""What the dynamic loader finds: a program's interpreter and all the libraries it needs, as glibc and musl search.

Sources: ld.so(8), ldconfig(8); musl's ldso/dynlink.c for its order of search and the names it answers itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from posixpath import dirname

from crossdock.image.elf import Dynamic
from crossdock.platforms import MULTIARCH
from crossdock.verify.filesystem import FileSystem, Found

MAX_LIBRARIES = 4096

_MUSL_OWN = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\.(so|musl-.*)")
_ORIGIN = re.compile(r"\$(?:\{ORIGIN\}|ORIGIN)")
_LIB = re.compile(r"\$(?:\{LIB\}|LIB)")


@dataclass(frozen=True)
class Problem:
    """Something that keeps a program from starting. ``path`` is the file that has it (relative to the root; empty when
    there is none), ``layer`` that file's layer.

    ``foreign`` is true when code for another machine is the cause.
    """

    message: str
    path: str
    layer: int | None
    hint: str
    foreign: bool = False


@dataclass(frozen=True)
class Loading:
    """The outcome: how many libraries are loaded, and what is wrong."""

    libraries: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Object:
    """A file to load. ``inherited`` are the RPATHs of what loads it, which go down the chain (RUNPATHs do not)."""

    path: str
    layer: int | None
    dynamic: Dynamic
    inherited: tuple[str, ...]


def load(system: FileSystem, program: Found, architecture: str, env: Mapping[str, str]) -> Loading:
    """Follow a dynamic ELF program's interpreter and libraries through the image.

    ``program`` has to be an ELF file of ``architecture``; ``env`` is the image's, for LD_LIBRARY_PATH.
    """
    dynamic = program.file.dynamic if program.file else None
    if dynamic is None or not dynamic.interpreter:
        return Loading(0, ())
    interpreter = system.find(dynamic.interpreter)
    if not isinstance(interpreter, Found) or interpreter.file is None:
        return Loading(0, (_no_interpreter(system, program.path, program.layer, dynamic.interpreter),))
    binary = interpreter.file.binary
    if binary is None or not binary.runs_on(architecture):
        what = binary.describe() if binary else "no ELF file"
        text = f"the loader {dynamic.interpreter} of /{program.path} is {what}"
        hint = f"Install the C library for {architecture}."
        return Loading(0, (Problem(text, interpreter.path, interpreter.layer, hint, foreign=True),))
    search = _Search(system, architecture, env, dynamic.interpreter, interpreter.path)
    return search.closure(_Object(program.path, program.layer, dynamic, ()))


class _Search:
    def __init__(
        self, system: FileSystem, architecture: str, env: Mapping[str, str], interpreter: str, interpreter_path: str
    ) -> None:
        self._system = system
        self._architecture = architecture
        self._musl = "ld-musl-" in interpreter
        self._environment = [part for part in re.split("[:;]", env.get("LD_LIBRARY_PATH", "")) if part]
        self._default = _musl_folders(system) if self._musl else _glibc_folders(system, architecture)
        self._default.append(dirname(interpreter_path))

    def closure(self, program: _Object) -> Loading:
        loaded: dict[str, _Object] = {}
        names: dict[str, _Object | None] = {}
        problems: list[Problem] = []
        pending = [program]
        while pending and len(loaded) < MAX_LIBRARIES:
            item = pending.pop()
            for name in item.dynamic.needed:
                if self._musl and _MUSL_OWN.match(name):
                    continue
                if name not in names:
                    found, rejected = self._find(name, item)
                    names[name] = found
                    if found is None:
                        problems.append(self._missing(name, item, rejected))
                    elif found.path not in loaded:
                        loaded[found.path] = found
                        pending.append(found)
                if (library := names[name]) and not self._musl:
                    problems += _too_old(item, name, library)
        return Loading(len(loaded), tuple(problems))

    def _find(self, name: str, by: _Object) -> tuple[_Object | None, str]:
        """The library, else the last file of that name that is for another machine."""
        rejected = ""
        for path in [name] if "/" in name else self._paths(name, by):
            found = self._system.find(path)
            if not isinstance(found, Found) or found.file is None:
                continue
            binary = found.file.binary
            if binary is None or not binary.runs_on(self._architecture):
                rejected = f"/{found.path} is {binary.describe() if binary else 'no ELF file'}"
                continue
            # glibc passes over the RPATH of a file that has a RUNPATH.
            own = tuple(self._expand(part, by) for part in by.dynamic.rpath if not by.dynamic.runpath)
            return _Object(
                found.path,
                found.layer,
                found.file.dynamic or Dynamic(),
                (*own, *by.inherited),
            ), ""
        return None, rejected

    def _paths(self, name: str, by: _Object) -> Iterator[str]:
        own = [self._expand(part, by) for part in by.dynamic.rpath]
        run = [self._expand(part, by) for part in by.dynamic.runpath]
        if self._musl:
            folders = [*self._environment, *run, *own, *by.inherited, *self._default]
        elif run:
            folders = [*self._environment, *run, *self._default]
        else:
            folders = [*own, *by.inherited, *self._environment, *self._default]
        for folder in folders:
            yield f"{folder}/{name}"

    def _expand(self, path: str, by: _Object) -> str:
        library = f"lib/{MULTIARCH.get(self._architecture, '')}"
        path = _ORIGIN.sub(lambda _: f"/{dirname(by.path)}", path)
        return _LIB.sub(lambda _: library, path)

    def _missing(self, name: str, by: _Object, rejected: str) -> Problem:
        if rejected:
            text = f"/{by.path} needs {name}, but {rejected}"
            return Problem(text, by.path, by.layer, f"Bring {name} for {self._architecture}.", foreign=True)
        text = f"/{by.path} needs {name}, which is in none of the folders that the loader searches"
        hint = f"Install the package that holds {name} in the final stage, or copy it with the program."
        return Problem(text, by.path, by.layer, hint)


def _too_old(by: _Object, name: str, library: _Object) -> Iterator[Problem]:
    """What the loader says as ``version `GLIBC_2.34' not found``; musl does not look at versions."""
    offered = library.dynamic.offers
    missing = [version for version in dict(by.dynamic.wants).get(name, ()) if version not in offered]
    if not offered or not missing:
        return
    newest = max(missing, key=_ordered)
    family = newest.rpartition("_")[0]
    there = [version for version in offered if version.rpartition("_")[0] == family and _ordered(version)]
    has = f"has none newer than {max(there, key=_ordered)}" if there else "does not have it"
    text = f"/{by.path} needs {newest} of {name}, and /{library.path} {has}"
    hint = "Build it on the release of the final image or on an older one, or take a newer base image."
    yield Problem(text, by.path, by.layer, hint)


def _ordered(version: str) -> tuple[int, ...]:
    """``GLIBC_2.34`` → (2, 34)."""
    return tuple(int(part) for part in re.findall(r"\d+", version.rpartition("_")[2]))


def _no_interpreter(system: FileSystem, path: str, layer: int | None, interpreter: str) -> Problem:
    text = f"/{path} needs the loader {interpreter}, which is not in the image"
    if "ld-musl" in interpreter:
        hint = "It was built for Alpine (musl). Build it in the final image's distribution, or link it statically."
    elif any(name.startswith("ld-musl-") for name in _names(system, "lib")):
        hint = (
            "It was built for glibc, but this is Alpine (musl). Build it on Alpine, link it statically"
            " (for Go: CGO_ENABLED=0), or take a Debian base."
        )
    else:
        hint = "Link it statically (for Go: CGO_ENABLED=0), or take a base image that has a C library."
    return Problem(text, path, layer, hint)


def _musl_folders(system: FileSystem) -> list[str]:
    for name in _names(system, "etc"):
        if name.startswith("ld-musl-") and name.endswith(".path"):
            found = system.find(f"etc/{name}")
            if isinstance(found, Found) and found.file is not None:
                return [part for part in re.split(r"[:\n]", found.file.text) if part]
    return ["lib", "usr/local/lib", "usr/lib"]


def _glibc_folders(system: FileSystem, architecture: str) -> list[str]:
    folders = list(_configured(system, "etc/ld.so.conf", 0))
    triple = MULTIARCH.get(architecture)
    if triple:
        folders += [f"lib/{triple}", f"usr/lib/{triple}"]
    return [*folders, "lib64", "usr/lib64", "lib", "usr/lib"]


def _configured(system: FileSystem, path: str, depth: int) -> Iterator[str]:
    """The folders that ld.so.conf lists; ``include`` takes one pattern in the last part of the path."""
    found = system.find(path)
    if depth > 4 or not isinstance(found, Found) or found.file is None:
        return
    for line in found.file.text.splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("include "):
            for pattern in line.split()[1:]:
                pattern = pattern if pattern.startswith("/") else f"etc/{pattern}"
                folder, _, last = pattern.rpartition("/")
                match = re.compile(re.escape(last).replace(r"\*", ".*").replace(r"\?", ".")).fullmatch
                for name in sorted(_names(system, folder)):
                    if match(name):
                        yield from _configured(system, f"{folder}/{name}", depth + 1)
        elif line.startswith("/"):
            yield line.partition("=")[0].strip()


def _names(system: FileSystem, folder: str) -> list[str]:
    found = system.find(folder)
    return found.names() if isinstance(found, Found) else []
