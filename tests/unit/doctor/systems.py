"""Machines of the field, as facts: one TOML file each in ``systems``, which says where it was seen.

A file holds ``source`` (where its facts come from), ``about`` (what is not from there, or not of one machine),
``architecture`` (``uname -m``), ``userland`` where that is another, ``kernel`` (``uname -r``), ``cpu`` (its name),
``package_managers``, ``init`` (else systemd), ``files`` (path → text; of os-release what names the system) and what is
``expected`` of the identification.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from crossdock.doctor.facts import Cpu, Facts
from crossdock.platforms import normalise

SYSTEMS = Path(__file__).parent / "systems"
NAMES = tuple(sorted(path.stem for path in SYSTEMS.glob("*.toml")))


@cache
def system(name: str) -> dict[str, Any]:
    return tomllib.loads((SYSTEMS / f"{name}.toml").read_text("utf-8"))


def load_system(name: str) -> Facts:
    """The facts of ``systems/NAME.toml``."""
    entry = system(name)
    files = dict(entry.get("files", {}))
    return Facts(
        platform=normalise("linux", entry["architecture"]),
        userland=normalise("linux", entry["userland"]) if "userland" in entry else None,
        cpu=Cpu(model=entry.get("cpu", "")),
        kernel=entry.get("kernel", ""),
        proc_version=files.pop("/proc/version", "").strip(),
        os_release=_variables(files.pop("/etc/os-release", "")),
        release_files=files,
        package_managers=tuple(entry["package_managers"]),
        init=entry.get("init", "systemd"),
    )


def _variables(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
