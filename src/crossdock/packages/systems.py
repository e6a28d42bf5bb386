"""Which distribution an image is, from its name alone: ``python:3.11-slim-bookworm`` is Debian 12 with Python 3.11."""

from __future__ import annotations

import re
import tomllib
from functools import cache, lru_cache
from pathlib import Path

from crossdock.packages.model import System
from crossdock.packages.rpm_distributions import rpm_system

_CATALOGUE = Path(__file__).parents[1] / "catalogue/distributions.toml"
_NAMES = {
    "debian": "debian",
    "ubuntu": "ubuntu",
    "alpine": "alpine",
}
"""What images of distributions are called, and the distribution's ID in os-release; for those of RPMs
catalogue/rpm.toml says it."""
_ON_DEBIAN = frozenset("buildpack-deps gcc golang haskell julia node openjdk perl php python ruby rust".split())
"""Official images that are Debian where their tag names no other distribution (docker-library/official-images)."""
_TAG_WORD = re.compile(r"(alpine|ubuntu|fedora|rockylinux|rocky|almalinux|centos|stream|ubi|el)-?(\d+(?:\.\d+)?)?$")
_SAME = {"ubi": "rhel", "el": "rhel", "rockylinux": "rocky", "stream": "centos"}
_OTHER = re.compile("nano|windows|oracle|alpine")
_VERSION = re.compile(r"(\d+(?:\.\d+)?)(?![\w])")


@cache
def _codenames() -> dict[str, tuple[str, str]]:
    """Codename → distribution and version, of Debian and Ubuntu."""
    bases = tomllib.loads(_CATALOGUE.read_text("utf-8"))["base"]
    return {b["codename"]: (b["id"], b["version"]) for b in bases if b["id"] in {"debian", "ubuntu"}}


@lru_cache(maxsize=1024)
def system_of(image: str) -> System:
    """The distribution of an image; empty fields where its name does not tell."""
    name, _, tag = image.partition("@")[0].rpartition(":")
    if not name or "/" in tag:
        name, tag = image.partition("@")[0], ""
    base = name.rsplit("/", 1)[-1]
    python = _VERSION.match(tag) if base == "python" else None
    found = _distribution(name, tag)
    version = python[1] if python and "." in python[1] else ""
    return System(found.distribution, found.release, found.codename, version)


def _distribution(name: str, tag: str) -> System:
    base = name.rsplit("/", 1)[-1]
    number = _VERSION.match(tag)
    first = tag.partition("-")[0]
    if base in _NAMES and (first in _codenames() or number):
        return _released(_NAMES[base], number[1] if number else "", first)
    if of_rpms := rpm_system(name, tag):
        return System(*of_rpms)
    for word in (*tag.split("-"), *base.split("-")):
        if word in _codenames():
            distribution, version = _codenames()[word]
            return System(distribution, version, word)
    for part in tag.split("-"):
        match = _TAG_WORD.fullmatch(part)
        if match and (match[2] or match[1] == "alpine"):
            return _released(_SAME.get(match[1], match[1]), match[2] or "", "")
    if base in _NAMES or (name in _ON_DEBIAN and not _OTHER.search(tag)):
        return System(_NAMES.get(base, "debian"))
    return System()


def _released(distribution: str, number: str, codename: str) -> System:
    known = _codenames()
    if codename in known and known[codename][0] == distribution:
        return System(distribution, known[codename][1], codename)
    if distribution == "debian":
        number = number.partition(".")[0]
    for name, pair in known.items():
        if pair == (distribution, number):
            return System(distribution, number, name)
    return System(distribution, number)
