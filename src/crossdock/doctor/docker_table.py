"""Reads catalogue/docker.toml, which says what its fields mean: what Docker offers for a release and architecture."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from crossdock.doctor.distribution import Base
from crossdock.platforms import DEBIAN, UNAME, Platform

_TABLE = Path(__file__).parents[1] / "catalogue/docker.toml"


@dataclass(frozen=True)
class Key:
    """What packages are signed with. ``file`` is where it is below the folder's address; ``fingerprint`` is that of its
    primary key, 40 hexadecimal digits."""

    file: str
    fingerprint: str
    source: str = ""


@dataclass(frozen=True)
class Offer:
    """What Docker's repository has for one release. ``base`` is the distribution that its packages are for; ``last`` is
    the newest Docker there, empty where new ones still come."""

    base: Base
    kind: str
    """``deb`` or ``rpm``."""
    path: str
    """The folder, below a mirror's address: ``linux/debian``."""
    key: Key
    packages: tuple[str, ...]
    replaces: tuple[str, ...]
    architectures: tuple[str, ...]
    """As OCI calls them, without variants."""
    documentation: str
    last: str = ""
    https: str = ""
    """A package without which apt does not speak HTTPS there."""
    source: str = ""

    def metadata(self, platform: Platform) -> str:
        """The file, below a mirror's address, that the package manager asks for first."""
        if self.kind == "deb":
            return f"{self.path}/dists/{self.base.codename}/InRelease"
        return f"{self.rpm_folder(platform)}/repodata/repomd.xml"

    def rpm_folder(self, platform: Platform) -> str:
        """Written out, because ``$releasever`` is not the base's release number on a derivative (``V10``)."""
        return f"{self.path}/{self.base.version}/{UNAME[platform.architecture]}/stable"

    def apt_line(self, platform: Platform, address: str, keyring: str) -> str:
        options = f"arch={DEBIAN[platform.architecture]} signed-by={keyring}"
        return f"deb [{options}] {address}/{self.path} {self.base.codename} stable"


@dataclass(frozen=True)
class Static:
    """Docker as programs for any Linux. Docker publishes no checksums of them."""

    version: str
    path: str
    """Below a mirror's address, for the architecture that was asked for."""
    documentation: str
    source: str


def offer(base: Base | None, platform: Platform) -> Offer | None:
    """What Docker's repository has for this release on this architecture, None for nothing."""
    if base is None:
        return None
    major = base.version.partition(".")[0]
    for one in offers():
        same = one.base.id == base.id and (one.base.version in (base.version, major))
        if same and platform.architecture in one.architectures and platform.variant != "v6":
            return one
    return None


def static(platform: Platform) -> Static | None:
    """Docker's static programs for this architecture, None where there are none."""
    entry = _data()["static"]
    name = entry["architectures"].get(platform.architecture)
    if name is None or platform.variant == "v6":
        return None
    version: str = entry["version"]
    path = entry["path"].format(uname=name, version=version)
    return Static(version, path, entry["documentation"], entry["source"])


def own_comes_first(id: str) -> bool:
    """Whether the distribution's own Docker is to be taken although packages for another one might run."""
    return id in _data()["own"]["of"]


@cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads(_TABLE.read_text("utf-8"))


@cache
def offers() -> tuple[Offer, ...]:
    """All that there are."""
    data = _data()
    keys = {key["kind"]: Key(key["file"], key["fingerprint"], key["source"]) for key in data["key"]}
    folders = {folder["id"]: folder for folder in data["folder"]}
    return tuple(_offer(entry, folders[entry.get("folder", entry["of"])], keys, data) for entry in data["release"])


def _offer(
    entry: Mapping[str, Any], folder: Mapping[str, Any], keys: Mapping[str, Key], data: Mapping[str, Any]
) -> Offer:
    plugins = data["plugins"] if entry.get("plugins", True) else []
    return Offer(
        base=Base(entry["of"], entry["version"], entry.get("codename", "")),
        kind=folder["kind"],
        path=f"linux/{folder['id']}",
        key=keys[folder["kind"]],
        packages=(*data["packages"], *plugins),
        replaces=(*folder["replaces"], *entry.get("replaces", ())),
        architectures=tuple(entry["architectures"]),
        documentation=folder["documentation"],
        last=entry.get("last", ""),
        https=entry.get("https", ""),
        source=entry["source"],
    )
