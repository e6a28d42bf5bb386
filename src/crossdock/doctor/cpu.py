"""What /proc/cpuinfo says of the processor: what people call it, and which version of Arm's architecture it has."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from crossdock.doctor.facts import Cpu
from crossdock.platforms import Platform

Core = Mapping[str, Any]

_CATALOGUE = Path(__file__).parents[1] / "catalogue/cpus.toml"
_BASELINES = (
    # What the kernel names as features (Documentation/arch/arm64/elf_hwcaps.rst of Linux) and which version of the
    # architecture made it mandatory (Arm ARM, section A2 of DDI 0487).
    ("armv9.0", {"sve2"}),
    ("armv8.6", {"i8mm", "bf16", "sb", "flagm2", "frint", "bti"}),
    ("armv8.5", {"sb", "flagm2", "frint", "bti"}),
    ("armv8.4", {"flagm", "ilrcpc", "uscat"}),
    ("armv8.3", {"jscvt", "fcma", "lrcpc"}),
    ("armv8.2", {"dcpop"}),
    ("armv8.1", {"atomics", "asimdrdm"}),
)
_BOARD = re.compile(r"Raspberry Pi|Rockchip|Radxa|Orange Pi|Jetson|ROCK|Khadas")
_VIRTUAL = re.compile(r"\b(QEMU|KVM|VMware|VirtualBox|OpenStack|Virtual Machine)\b", re.IGNORECASE)
"""What a virtual machine's firmware calls it: how many processors it has tells nothing of the real one."""
_PLAIN = re.compile(r"AArch64|ARMv8 Processor|\(aarch64\)", re.IGNORECASE)
"""What old kernels write as model name: it tells nothing."""
_MODEL = ("model name", "Model Name", "Model", "Hardware")
"""Which field has the name: of most kernels, of LoongArch in Linux itself, of Raspberry Pi's, of old Arm ones."""
_FEATURES = ("Features", "flags", "features")
"""The second is x86's and that of Kylin 4.0.2 on Arm, the third that of old kernels for LoongArch."""


def read_cpu(cpuinfo: str, platform: Platform, hardware: str = "", cores: int | None = None) -> Cpu:
    """``cpuinfo`` may be cut to one of each kind of core; ``hardware`` is the device tree's model, or the firmware's
    vendor and product; ``cores`` counts the processors that the kernel shows."""
    fields = _fields(cpuinfo)
    count = cores or max(1, len(fields.get("processor", ())))
    named = next((" ".join(fields[name][0].split()) for name in _MODEL if fields.get(name)), "")
    kinds = [frozenset(line.split()) for name in _FEATURES for line in fields.get(name, ())]
    # Of several kinds of cores only what all of them have counts.
    features = frozenset.intersection(*kinds) if kinds else frozenset()
    if platform.architecture not in ("arm64", "arm"):
        return Cpu(named, next(iter(fields.get("vendor_id", ())), ""), cores=count, features=features)
    implementers = _numbers(fields.get("CPU implementer", ()))
    implementer = implementers[0] if implementers else None
    vendor = _table()["vendors"].get(f"{implementer:#04x}", "") if implementer is not None else ""
    parts = _numbers(fields.get("CPU part", ()))
    board = next((name for name in (hardware, *fields.get("Model", ())) if _BOARD.search(name)), "")
    said = "" if _PLAIN.search(named) else re.sub(rf"^{vendor}[\s,]+", "", named, flags=re.IGNORECASE)
    return Cpu(
        model=board or _model(list(matching(implementer, parts)), said, hardware, count),
        vendor=vendor,
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
    if "asimd" not in features:  # some kernels name here what 32-bit programs may use
        return ""
    for version, wanted in _BASELINES:
        if wanted <= features:
            return version
    return "armv8.0"


def _model(cores: Sequence[Core], said: str, hardware: str, count: int) -> str:
    """``Kunpeng 920``; ``Neoverse N1`` where that is all that is known; what the kernel names, where it knows more."""
    machines = list(dict.fromkeys(filter(None, (_machine(core, hardware, count) for core in cores))))
    several = any("cores" in core for core in cores)
    if said and (several or (machines and said.startswith(machines[0]))):
        return said
    names = machines or dict.fromkeys(core["core"] for core in cores)
    return " + ".join(filter(None, names)) or re.sub(r"[\s,]+", " ", said)


def _machine(core: Core, hardware: str, count: int) -> str:
    for pattern, machine in core.get("hardware", {}).items():
        if re.search(pattern, hardware):
            return str(machine)
    by_count = {} if _VIRTUAL.search(hardware) else core.get("cores", {})
    return str(by_count.get(str(count)) or core.get("machine", ""))


def matching(implementer: int | None, parts: Iterable[int]) -> Iterator[Core]:
    """The entry of the table for each part that is in it."""
    maker = [core for core in _table()["core"] if core["implementer"] == implementer]
    for part in parts:
        exact = [core for core in maker if part in core.get("parts", ())]
        yield from (exact or [core for core in maker if "parts" not in core])[:1]


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(_CATALOGUE.read_text())
