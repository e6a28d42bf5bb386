"""Machines of the field, as facts: one TOML file each in ``systems``, which says where it was seen.

A file holds ``source`` (where its facts come from), ``about`` (what is not from there, or not of one machine),
``architecture`` (``uname -m``), ``userland`` where that is another, ``kernel`` (``uname -r``), ``processor``,
``package_managers``, ``init`` (else systemd), ``files`` (path → text; of os-release what names the system) and what is
``expected`` of the identification.

Processors are in ``processors``: what /proc/cpuinfo says of one core of each kind, ``cores`` (how many), ``hardware``
(what the machine calls itself), and what is ``expected`` to be made of it. A system names one that it runs on in the
field; unless ``about`` says so, the two were not seen on one machine.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from crossdock.doctor.cpu import read_cpu
from crossdock.doctor.facts import Cpu, Facts
from crossdock.platforms import normalise

SYSTEMS = Path(__file__).parent / "systems"
NAMES = tuple(sorted(path.stem for path in SYSTEMS.glob("*.toml")))
PROCESSORS = Path(__file__).parent / "processors"
PROCESSOR_NAMES = tuple(sorted(path.stem for path in PROCESSORS.glob("*.toml")))


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
        cpu=load_processor(entry["processor"]) if "processor" in entry else Cpu(),
        kernel=entry.get("kernel", ""),
        proc_version=files.pop("/proc/version", "").strip(),
        os_release=_variables(files.pop("/etc/os-release", "")),
        release_files=files,
        package_managers=tuple(entry["package_managers"]),
        init=entry.get("init", "systemd"),
    )


@cache
def processor(name: str) -> dict[str, Any]:
    return tomllib.loads((PROCESSORS / f"{name}.toml").read_text("utf-8"))


def load_processor(name: str) -> Cpu:
    """What is made of ``processors/NAME.toml``."""
    entry = processor(name)
    platform = normalise("linux", entry["architecture"])
    return read_cpu(entry["cpuinfo"], platform, entry.get("hardware", ""), entry["cores"])


def _variables(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}
