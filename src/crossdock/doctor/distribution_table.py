"""Reads catalogue/distributions.toml, which says what its fields mean: releases, how distributions are recognised, and
what their own archives call the container engines."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from crossdock.doctor.facts import Facts

_TABLE = Path(__file__).parents[1] / "catalogue/distributions.toml"
"""Not by importlib.resources, which takes 5 ms to import."""
_KERNEL = "kernel"
_NAMES = {
    "alpine": "Alpine",
    "amzn": "Amazon Linux",
    "anolis": "Anolis OS",
    "arch": "Arch Linux",
    "centos": "CentOS",
    "debian": "Debian",
    "fedora": "Fedora",
    "opencloudos": "OpenCloudOS",
    "openeuler": "openEuler",
    "opensuse": "openSUSE",
    "raspbian": "Raspbian",
    "rhel": "RHEL",
    "sles": "SLES",
    "ubuntu": "Ubuntu",
}
_MANAGERS = {
    "debian": ("apt-get",),
    "raspbian": ("apt-get",),
    "ubuntu": ("apt-get",),
    "opensuse": ("zypper",),
    "sles": ("zypper",),
    "alpine": ("apk",),
    "arch": ("pacman",),
}


@dataclass(frozen=True)
class Release:
    """A release that others derive from. ``ends`` is the last day of its free security updates, where known."""

    id: str
    version: str = ""
    codename: str = ""
    ends: date | None = None
    moved: str = ""
    """The host that has its packages now; empty where the usual mirrors still do."""
    source: str = ""


@dataclass(frozen=True)
class Found:
    """An entry of the table that fits a machine. ``words`` are what its texts may name; ``evidence`` one sentence for
    each thing that it was recognised by, the most telling first."""

    entry: Entry
    words: Mapping[str, str]
    evidence: tuple[str, ...]

    def text(self, template: str) -> str:
        return _filled(template, self.words)


@dataclass(frozen=True)
class Entry:
    id: str
    name: str
    version: str
    codename: str
    base: str
    compatible: str
    why: str
    source: str
    when: tuple[Mapping[str, re.Pattern[str]], ...]

    def recognise(self, facts: Facts) -> Found | None:
        for conditions in self.when:
            words = dict(facts.os_release)
            evidence = []
            for key, pattern in conditions.items():
                place, text = _look(facts, key)
                match = pattern.fullmatch(text) if _is_variable(place) else pattern.search(text)
                if match is None:
                    break
                words.update({name: group for name, group in match.groupdict().items() if group})
                evidence.append(_said(place, match))
            else:
                words.setdefault("version", facts.os_release.get("VERSION_ID", ""))
                return Found(self, words, tuple(reversed(evidence)))
        return None


@dataclass(frozen=True)
class KernelMark:
    """What a kernel's text gives away of who built it."""

    pattern: re.Pattern[str]
    base: str
    says: str

    def read(self, text: str) -> tuple[str, str] | None:
        """The base and the sentence for this text, None where it says nothing."""
        match = self.pattern.search(text)
        if match is None:
            return None
        words = {name: group for name, group in match.groupdict().items() if group}
        return _filled(self.base, words), _filled(self.says, words)


@dataclass(frozen=True)
class Names:
    """Of one archive: what is meant (``engine``, ``podman``, ``buildah``, ``buildx``, ``emulation``) → its packages."""

    of: tuple[str, ...]
    names: Mapping[str, str | Mapping[str, str]]
    source: str

    def name(self, what: str, architecture: str) -> str:
        name = self.names.get(what, "")
        return name if isinstance(name, str) else name.get(architecture, "")


@dataclass(frozen=True)
class Table:
    releases: tuple[Release, ...]
    entries: tuple[Entry, ...]
    kernels: tuple[KernelMark, ...]
    names: tuple[Names, ...]

    def release(self, text: str) -> Release:
        """``debian 10`` or ``debian buster`` → its release; one that the table does not have is made up of the text."""
        id, _, rest = text.partition(" ")
        for release in self.releases:
            if release.id == id and rest and rest in (release.version, release.codename):
                return release
        is_codename = rest.isalpha() and id in ("debian", "raspbian", "ubuntu")
        return Release(id, "" if is_codename else rest, rest if is_codename else "")

    def by_codename(self, codename: str, ids: Sequence[str]) -> Release | None:
        return next((one for one in self.releases if codename and one.codename == codename and one.id in ids), None)

    def names_of(self, wanted: Sequence[str]) -> tuple[str, Names | None]:
        """The first of ``wanted`` that the table has package names of, and those names."""
        for key in wanted:
            for names in self.names:
                if key in names.of:
                    return key, names
        return "", None


@cache
def table() -> Table:
    """The table, read when first asked for."""
    data = tomllib.loads(_TABLE.read_text("utf-8"))
    return Table(
        releases=tuple(Release(**entry) for entry in data["base"]),
        entries=tuple(_entry(entry) for entry in data["distribution"]),
        kernels=tuple(
            KernelMark(re.compile(entry["pattern"], re.IGNORECASE), entry["base"], entry["says"])
            for entry in data["kernel"]
        ),
        names=tuple(Names(tuple(entry.pop("of")), entry, entry.pop("source")) for entry in data["packages"]),
    )


def called(id: str) -> str:
    """What people call the distribution with this ID."""
    return _NAMES.get(id, id)


def takes_packages_of(id: str) -> tuple[str, ...]:
    """The package managers that packages of this base are for, the usual one first."""
    return _MANAGERS.get(id, ("dnf", "yum"))


def kernel_text(facts: Facts) -> str:
    """What the kernel says of itself. Inside a container it is the host's, and says nothing of what is installed."""
    return "" if facts.container else (facts.proc_version or facts.kernel).strip()


def _entry(entry: Mapping[str, Any]) -> Entry:
    return Entry(
        id=entry["id"],
        name=entry["name"],
        version=entry.get("version", "{version}"),
        codename=entry.get("codename", ""),
        base=entry.get("base", ""),
        compatible=entry.get("compatible", ""),
        why=entry.get("why", ""),
        source=entry["source"],
        when=tuple(
            {key: re.compile(pattern, re.IGNORECASE) for key, pattern in conditions.items()}
            for conditions in entry["when"]
        ),
    )


def _look(facts: Facts, key: str) -> tuple[str, str]:
    """Where a condition's key points to, and the text there. Of ``A|B`` it is the first that there is."""
    for place in key.split("|"):
        if place == _KERNEL:
            text = kernel_text(facts)
        elif _is_variable(place):
            text = facts.os_release.get(place, "")
        else:
            text = facts.release_files.get(place, "")
        if text:
            return place, text
    return place, ""


def _is_variable(place: str) -> bool:
    return place != _KERNEL and not place.startswith("/")


def _said(place: str, match: re.Match[str]) -> str:
    if _is_variable(place):
        return f"os-release says {place}={match.string}"
    start = match.string.rfind("\n", 0, match.start()) + 1
    line = match.string[start:].partition("\n")[0].strip()
    return f"the kernel says “{line}”" if place == _KERNEL else f"{place} says “{line}”"


def _filled(template: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], ""), template).strip()
