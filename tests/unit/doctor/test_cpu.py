"""Processors by what /proc/cpuinfo says of them. The numbers are those of util-linux's and Linux' own tables."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import systems

import crossdock
from crossdock.doctor.arm32 import runs_arm32
from crossdock.doctor.cpu import read_cpu
from crossdock.doctor.facts import Facts
from crossdock.platforms import AMD64, ARM64

PLAIN = "fp asimd evtstrm aes pmull sha1 sha2 crc32"
LSE = f"{PLAIN} atomics fphp asimdhp cpuid asimdrdm"
V82 = f"{LSE} lrcpc dcpop asimddp"
V84 = f"{V82} jscvt fcma uscat ilrcpc flagm ssbs"


def cpuinfo(implementer: int, *parts: int, features: str = PLAIN, name: str = "") -> str:
    lines = [f"model name\t: {name}"] if name else []
    for part in parts:
        lines += [f"Features\t: {features}", f"CPU implementer\t: {implementer:#04x}", f"CPU part\t: {part:#05x}"]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "hardware", "cores", "model", "baseline"),
    [
        (cpuinfo(0x70, 0x660), "", 16, "FT-1500A", "armv8.0"),
        (cpuinfo(0x70, 0x662, name="Phytium,FT-2000+/64"), "", 64, "FT-2000+/64", "armv8.0"),
        (cpuinfo(0x70, 0x663), "", 4, "FT-2000/4", "armv8.0"),
        (cpuinfo(0x70, 0x663), "", 8, "D2000", "armv8.0"),
        (cpuinfo(0x70, 0x663), "", 6, "FT-2000/4, D2000 or S2500", "armv8.0"),
        (cpuinfo(0x48, 0xD01, features=V82), "Huawei TaiShan 200", 96, "Kunpeng 920", "armv8.2"),
        (cpuinfo(0x41, 0xD08), "Huawei TaiShan 2280", 64, "Kunpeng 916", "armv8.0"),
        (cpuinfo(0x41, 0xD08), "Raspberry Pi 4 Model B Rev 1.4", 4, "Raspberry Pi 4 Model B Rev 1.4", "armv8.0"),
        (cpuinfo(0x41, 0xD0C, features=V82), "Amazon EC2 m6g.large", 2, "Graviton2", "armv8.2"),
        (cpuinfo(0x41, 0xD40, features=V84), "Amazon EC2 m7g.large", 2, "Graviton3", "armv8.4"),
        (cpuinfo(0x41, 0xD4F, features=f"{V84} sve sve2"), "Amazon EC2 m8g.large", 2, "Graviton4", "armv9.0"),
        (cpuinfo(0x41, 0xD0C, features=V82), "", 80, "Neoverse N1", "armv8.2"),
        (cpuinfo(0xC0, 0xAC3, features=V84), "", 192, "AmpereOne", "armv8.4"),
        (cpuinfo(0x61, 0x000, features=V84), "", 8, "Apple silicon", "armv8.4"),
        (cpuinfo(0x41, 0xD03, 0xD08), "rockpro", 6, "Cortex-A53 + Cortex-A72", "armv8.0"),
        (cpuinfo(0x7E, 0x001, name="Some Maker, X1"), "", 1, "Some Maker X1", "armv8.0"),
    ],
)
def test_arm(text: str, hardware: str, cores: int, model: str, baseline: str) -> None:
    cpu = read_cpu(text, ARM64, hardware, cores)
    assert (cpu.model, cpu.baseline, cpu.cores) == (model, baseline, cores)


def test_what_not_all_cores_have_does_not_count() -> None:
    text = cpuinfo(0x41, 0xD05, features=V82) + "\n" + cpuinfo(0x41, 0xD03)
    assert read_cpu(text, ARM64).baseline == "armv8.0"


def test_amd64() -> None:
    text = "vendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R)  CPU\nflags\t: fpu sse2\n"
    cpu = read_cpu(text, AMD64, cores=2)
    assert (cpu.model, cpu.vendor, cpu.cores, cpu.baseline) == ("Intel(R) Xeon(R) CPU", "GenuineIntel", 2, "")
    assert "sse2" in cpu.features


@pytest.mark.parametrize("name", systems.PROCESSOR_NAMES)
def test_processors_of_the_field(name: str) -> None:
    entry, cpu = systems.processor(name), systems.load_processor(name)
    expected = entry["expected"]
    assert (cpu.model, cpu.vendor, cpu.baseline) == (
        expected["model"],
        expected.get("vendor", ""),
        expected.get("baseline", ""),
    )
    assert cpu.features
    if entry["architecture"] == "aarch64":
        assert runs_arm32(Facts(platform=ARM64, cpu=cpu, page_size=4096))[0] is expected.get("arm32")
    assert entry["source"]


def test_how_many_processors_a_virtual_machine_has_tells_nothing() -> None:
    text = cpuinfo(0x70, 0x663)
    assert read_cpu(text, ARM64, "QEMU KVM Virtual Machine", 8).model == "FT-2000/4, D2000 or S2500"


def test_the_table_is_in_order() -> None:
    table = tomllib.loads((Path(crossdock.__file__).parent / "catalogue/cpus.toml").read_text())
    seen = [(core["implementer"], part) for core in table["core"] for part in core.get("parts", [None])]
    assert len(seen) == len(set(seen))
    for core in table["core"]:
        assert core.keys() <= {"implementer", "parts", "core", "machine", "cores", "hardware", "arm32", "arm32_source"}
        assert ("arm32" in core) == ("arm32_source" in core)
        assert core.get("arm32_source", "https://").startswith(("https://", "from memory"))
        assert f"{core['implementer']:#04x}" in table["vendors"]
