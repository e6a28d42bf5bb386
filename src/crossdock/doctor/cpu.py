"""What /proc/cpuinfo says of the processor: what people call it, and which version of Arm's architecture it has."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from crossdock.doctor.facts import Cpu
from crossdock.platforms import Platform

_CATALOGUE = Path(__file__).parents[1] / "catalogue/cpus.toml"
_BASELINES = (
    # What the kernel names as features (Documentation/arch/arm64/elf_hwcaps.rst of Linux) and which version of the
    # architecture made it mandatory (Arm ARM, section A2 of DDI 0487).
    ("armv9.0", {"sve2"}),
    ("armv8.4", {"flagm", "ilrcpc", "uscat"}),
    ("armv8.3", {"jscvt", "fcma", "lrcpc"}),
    ("armv8.2", {"dcpop"}),
    ("armv8.1", {"atomics", "asimdrdm"}),
)
_BOARD = re.compile(r"Raspberry Pi|Rockchip|Radxa|Orange Pi|Jetson|ROCK|Khadas")
_PLAIN = re.compile(r"AArch64|ARMv8 Processor|\(aarch64\)", re.IGNORECASE)
"""What old kernels write as model name: it tells nothing."""


def read_cpu(cpuinfo: str, platform: Platform, hardware: str = "", cores: int | None = None) -> Cpu:
    """``cpuinfo`` may be cut to one of each kind of core; ``hardware`` is the device tree's model, or the firmware's
    vendor and product; ``cores`` counts the processors that the kernel shows."""
    fields = _fields(cpuinfo)
    count = cores or max(1, len(fields.get("processor", ())))
    named = next(iter(fields.get("model name", fields.get("Model", fields.get("Hardware", ())))), "")
    if platform.architecture not in ("arm64", "arm"):
        features = frozenset(" ".join(fields.get("flags", fields.get("Features", ()))).split())
        vendor = next(iter(fields.get("vendor_id", ())), "")
        return Cpu(" ".join(named.split()), vendor, cores=count, features=features)
    implementers = _numbers(fields.get("CPU implementer", ()))
    implementer = implementers[0] if implementers else None
    parts = _numbers(fields.get("CPU part", ()))
    # Of several kinds of cores only what all of them have counts.
    kinds = [frozenset(line.split()) for line in fields.get("Features", ())]
    features = frozenset.intersection(*kinds) if kinds else frozenset()
    return Cpu(
        model=_model(implementer, parts, "" if _PLAIN.search(named) else named, hardware, count),
        vendor=_table()["vendors"].get(f"{implementer:#04x}", "") if implementer is not None else "",
        implementer=implementer,
        parts=parts,
        cores=count,
        features=features,
        baseline=_baseline(features) if platform.architecture == "arm64" else "",
    )


def _fields(cpuinfo: str) -> dict[str, list[str]]:
    """Each name with its different values, in the order in which they come; ``processor`` with all of them."""
    found: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        values = found.setdefault(name.strip(), [])
        if colon and value.strip() and value.strip() not in values:
            values.append(value.strip())
    return found


def _numbers(texts: Any) -> tuple[int, ...]:
    return tuple(int(text, 0) for text in texts if re.fullmatch(r"0x[0-9a-fA-F]+|[1-9]\d*|0", text))


def _baseline(features: frozenset[str]) -> str:
    """The newest version of which all that shows is there; the features that are missing tell more than those there."""
    if not features:
        return ""
    for version, wanted in _BASELINES:
        if wanted <= features:
            return version
    return "armv8.0"


def _model(implementer: int | None, parts: tuple[int, ...], named: str, hardware: str, count: int) -> str:
    """``Kunpeng 920``; ``Neoverse N1`` where that is all that is known; what the kernel names, else."""
    if _BOARD.search(hardware):
        return hardware
    known = list(_cores(implementer, parts))
    machines = dict.fromkeys(filter(None, (_machine(core, hardware, count) for core in known)))
    if machines:
        return " + ".join(machines)
    names = dict.fromkeys(core["core"] for core in known)
    return " + ".join(names) or re.sub(r"[\s,]+", " ", named).strip()


def _machine(core: Mapping[str, Any], hardware: str, count: int) -> str:
    for pattern, machine in core.get("hardware", {}).items():
        if re.search(pattern, hardware):
            return str(machine)
    return str(core.get("cores", {}).get(str(count)) or core.get("machine", ""))


def _cores(implementer: int | None, parts: tuple[int, ...]) -> Iterator[Mapping[str, Any]]:
    for part in parts:
        fitting = [core for core in _table()["core"] if core["implementer"] == implementer]
        exact = [core for core in fitting if core.get("part") == part]
        yield from (exact or [core for core in fitting if "part" not in core])[:1]


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(_CATALOGUE.read_text())
