"""Packs of native programs: what each is composed of, and the recipe by which the build makes it.

A pack is a frozen value: modules of the catalogue, for programs of one architecture that run on another. It becomes a
recipe, a text that ``packs/make-pack`` carries out in a stage of the build, in the sibling of the image that is built.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from crossdock.platforms import DEBIAN, MULTIARCH, Platform

MAKERS = Path(__file__).with_name("packs")
"""The scripts that carry out recipes."""
_CATALOGUE = Path(__file__).parents[1] / "catalogue/assist.toml"
_LOADERS = {"amd64": "/lib64/ld-linux-x86-64.so.2", "arm64": "/lib/ld-linux-aarch64.so.1"}
"""PT_INTERP of programs, as each architecture's ABI for glibc fixes it."""
_OS_ARCH = {"amd64": "amd64", "arm64": "aarch64"}
"""Java's system property os.arch (make/autoconf/platform.m4 of OpenJDK, OPENJDK_TARGET_CPU_OSARCH)."""
HOSTS = frozenset(_LOADERS)
"""Architectures of machines that there are packs for."""
TARGETS = frozenset(_LOADERS)
"""Architectures of programs that are replaced by native ones: those that Debian has cross compilers for on each host,
and whose names are as long as the host's."""
_WORDS = re.compile(r"[^\s\"'`;&|()<>{}\[\],=]+")


@dataclass(frozen=True)
class Rule:
    """When the program at a path (a pattern) runs natively: words that the launcher reads."""

    path: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Rename:
    """Text in the files of packages (a pattern) that is exchanged for other text, which is not longer."""

    package: str
    before: str
    after: str


@dataclass(frozen=True)
class Name:
    """What a part of paths in the sibling is called in the image that is built."""

    native: str
    foreign: str


@dataclass(frozen=True)
class Link:
    """A file of the pack that is a copy of the first one that a pattern finds."""

    name: str
    file: str


@dataclass(frozen=True)
class Check:
    """Programs (a pattern of paths) run natively only if a command of theirs prints a word."""

    path: str
    word: str
    command: str


@dataclass(frozen=True)
class Remake:
    """A program at a path (a pattern), in place of which a script beside make-pack makes another one."""

    path: str
    command: str


@dataclass(frozen=True)
class Module:
    """One entry of catalogue/assist.toml; what its fields hold is said there."""

    name: str
    what: str
    source: str
    work: tuple[str, ...] = ()
    natively: str = ""
    when: tuple[str, ...] = ()
    fetch: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    trees: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    emulated: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    compiler: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    rules: tuple[Rule, ...] = ()
    renames: tuple[Rename, ...] = ()
    names: tuple[Name, ...] = ()
    links: tuple[Link, ...] = ()
    remakes: tuple[Remake, ...] = ()

    def for_words(self, words: Set[str]) -> Module | None:
        """The module for a stage whose RUN instructions have these words; None where they do not call for it."""
        if self.when and words.isdisjoint(self.when):
            return None
        named = sorted(word for word in words if any(fnmatchcase(word, pattern) for pattern in self.named))
        return replace(self, fetch=(*self.fetch, *named))

    def lines(self) -> Iterator[tuple[str, ...]]:
        """What the recipe says of it."""
        yield "fetch", *self.fetch
        yield "programs", *self.programs
        yield "paths", *self.paths
        yield "trees", *self.trees
        yield "gives", *self.gives
        yield "emulated", *self.emulated
        yield "keep", *self.keep
        yield "compiler", *self.compiler
        yield from (("rule", rule.path, *rule.words) for rule in self.rules)
        yield from (("rename", rename.package, rename.before, rename.after) for rename in self.renames)
        yield from (("as", name.native, name.foreign) for name in self.names)
        yield from (("check", check.path, check.word, *check.command.split()) for check in self.checks)
        yield from (("link", link.name, link.file) for link in self.links)
        yield from (("remake", remake.path, *remake.command.split()) for remake in self.remakes)


@dataclass(frozen=True)
class Pack:
    """Programs of ``host`` that stand in for those of ``target``; both are OCI architectures."""

    target: str
    host: str
    modules: tuple[Module, ...]

    def recipe(self) -> str:
        """The text that make-pack carries out."""
        target, host = MULTIARCH[self.target], MULTIARCH[self.host]
        values = {
            "target": target,
            "host": host,
            "target-package": target.replace("_", "-"),
            "target-debian": DEBIAN[self.target],
            "host-debian": DEBIAN[self.host],
            "target-debian-4": DEBIAN[self.target][:4],
            "host-debian-4": DEBIAN[self.host][:4],
            "libraries": f"/usr/lib/{host}",
            "target-java": _OS_ARCH[self.target],
            "host-java": "LINUX_AARCH_64" if self.host == "arm64" else "SYS_V",
            # Only make-pack knows where a program is.
            "home": "%home",
        }
        first = (
            *(("triplet", host), ("target", target), ("loader", _LOADERS[self.host])),
            ("machine", f"machine-{self.host}.so"),
        )
        lines = [*first, *(line for module in self.modules for line in module.lines() if len(line) > 1)]
        return "".join(f"{_filled(' '.join(line), values)}\n" for line in lines)


def compose(target: Platform, host: Platform, scripts: Iterable[str]) -> Pack:
    """The pack for a stage whose RUN instructions say ``scripts``."""
    return Pack(target.architecture, host.architecture, _chosen(scripts))


def natively(scripts: Iterable[str]) -> dict[str, str]:
    """The kinds of work (names of catalogue/work.toml) that native programs do in a stage whose RUN instructions say
    ``scripts``, and these programs, in words."""
    return {work: module.natively for module in _chosen(scripts) for work in module.work}


def _chosen(scripts: Iterable[str]) -> tuple[Module, ...]:
    words = {word for script in scripts for word in _words(script)}
    found = (module.for_words(words) for module in modules())
    return tuple(module for module in found if module)


def _words(script: str) -> Iterator[str]:
    """The words of a script; a program that is called by its path counts by its name too, and what is a script of the
    project's own may do anything, so it counts as compiling."""
    for word in _WORDS.findall(script):
        yield word
        name = word.rpartition("/")[2]
        yield name
        if name.endswith((".sh", ".py", ".pl")):
            yield "build"


@cache
def modules() -> tuple[Module, ...]:
    """All modules, in the order of the catalogue."""
    entries = tomllib.loads(_CATALOGUE.read_text())["module"]
    return tuple(_module(entry) for entry in entries)


def _module(entry: dict[str, object]) -> Module:
    tables = {
        "checks": tuple(Check(one["path"], one["word"], one["command"]) for one in _tables(entry, "check")),
        "rules": tuple(Rule(one["path"], tuple(one["words"])) for one in _tables(entry, "rule")),
        "renames": tuple(Rename(one["package"], one["from"], one["to"]) for one in _tables(entry, "rename")),
        "names": tuple(Name(one["from"], one["to"]) for one in _tables(entry, "as")),
        "remakes": tuple(Remake(one["path"], one["command"]) for one in _tables(entry, "remake")),
        "links": tuple(Link(one["name"], one["file"]) for one in _tables(entry, "link")),
    }
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    return Module(**plain, **tables)  # type: ignore[arg-type]


def _tables(entry: dict[str, object], name: str) -> list[dict[str, str]]:
    return entry.pop(name, [])  # type: ignore[return-value]


def _filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\{([\w-]+)\}", lambda match: values[match[1]], text)
