"""The catalogue of what goes wrong under QEMU, and which versions it is told of."""

from __future__ import annotations

import re

import pytest

from crossdock.doctor.arm32 import runs_arm32
from crossdock.doctor.facts import Cpu, Facts
from crossdock.doctor.qemu import all_troubles, troubles, troubles_of
from crossdock.doctor.version import version_number
from crossdock.host.binfmt import MACHINES
from crossdock.platforms import ARM64, parse_platform

SOURCE = re.compile(r"https://\S+|changelog of Debian's qemu")


def ids(version: str, guest: str = "arm64") -> set[str]:
    return {one.id for one in troubles(version, guest)}


def test_every_entry_says_where_it_is_from_and_what_to_do() -> None:
    entries = all_troubles()
    assert len({one.id for one in entries}) == len(entries)
    for one in entries:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", one.id)
        assert SOURCE.match(one.source), one.id
        assert all(also.startswith("https://") for also in one.also), one.id
        assert set(one.guests) <= set(MACHINES), one.id
        for sentence in (one.looks, one.remedy):
            assert sentence, one.id
            assert not sentence.endswith("."), one.id
        for first, fixed in one.versions:
            assert not fixed or version_number(first) < version_number(fixed), one.id


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7.2.22", (7, 2, 22)),
        ("qemu-aarch64 version 8.2.2 (Debian 1:8.2.2+ds)", (8, 2, 2)),
        ("10.0", (10, 0)),
        ("", ()),
    ],
)
def test_a_version_is_read_from_what_the_program_says(text: str, number: tuple[int, ...]) -> None:
    assert version_number(text) == number


@pytest.mark.parametrize(
    ("version", "has", "has_not"),
    [
        ("4.2.1", {"ldconfig-before-5", "faccessat2"}, {"threads-6-1", "fixed-address-build"}),
        ("5.0.1", {"systemd-netlink"}, {"ldconfig-before-5", "guest-memory-5"}),
        ("5.2.0", {"guest-memory-5", "fixed-address-build"}, {"systemd-netlink"}),
        ("6.1.0", {"threads-6-1"}, {"guest-memory-5"}),
        ("6.2.0", {"fixed-address-build"}, {"threads-6-1"}),
        ("7.2.0", {"fixed-address-build", "node-illegal-instruction"}, {"faccessat2"}),
        ("7.2.22", {"node-illegal-instruction", "openat2"}, {"fixed-address-build"}),
        ("8.1.5", {"fixed-address-build"}, {"zero-bss-8-1", "jit-before-8-1"}),
        ("8.1.0", {"zero-bss-8-1"}, {"jvm-8-1-0"}),
        ("9.2.0", {"libc-bin-segfault"}, {"openat2", "signals-and-threads"}),
        ("9.2.2", {"libc-bin-segfault"}, {"node-illegal-instruction"}),
        ("10.0.13", set(), {"libc-bin-segfault"}),
    ],
)
def test_versions(version: str, has: set[str], has_not: set[str]) -> None:
    assert has <= ids(version)
    assert not has_not & ids(version)


def test_nothing_is_known_to_be_mended_by_another_version_than_10_0() -> None:
    assert troubles("10.0.13", "arm64") == ()
    assert troubles("", "arm64") == ()


def test_the_worst_and_surest_comes_first() -> None:
    found = troubles("5.2.0", "arm64")
    assert (found[0].warning, found[0].certain) == (True, True)
    assert [one.warning for one in found] == sorted((one.warning for one in found), reverse=True)


def test_what_concerns_one_architecture_is_told_of_it_alone() -> None:
    assert "jvm-8-1-0" in ids("8.1.0", "riscv64")
    assert "libc-bin-segfault" not in ids("9.2.0", "amd64")


def test_what_is_known_of_a_program_comes_with_every_version() -> None:
    assert "jvm-hangs" in {one.id for one in troubles_of("/opt/java/bin/java", "arm64", "10.0.13")}
    assert "jvm-2-8" not in {one.id for one in troubles_of("java", "arm64", "10.0.13")}
    assert {"jvm-2-8", "jvm-hangs"} <= {one.id for one in troubles_of("java", "arm64")}
    assert "go-lfstack" in {one.id for one in troubles_of("go", "amd64")}
    assert troubles_of("ls", "arm64") == ()


def arm(implementer: int | None, *parts: int, page_size: int = 4096, userland: str = "") -> Facts:
    return Facts(
        platform=ARM64,
        cpu=Cpu(implementer=implementer, parts=parts),
        page_size=page_size,
        userland=parse_platform(userland) if userland else None,
    )


@pytest.mark.parametrize(
    ("facts", "runs", "why"),
    [
        (arm(0x41, 0xD0C), True, "Neoverse N1"),
        (arm(0x41, 0xD0C, page_size=65536), False, "64 KiB"),
        (arm(0x48, 0xD01), False, "Kunpeng 920"),
        (arm(0x61, 0x022, 0x023), False, "Apple"),
        (arm(0x70, 0x663), True, "FTC663"),
        (arm(0x70, 0x303, 0x664), None, "not known"),
        (arm(0x41, 0xD03, 0xD99), None, "not known"),
        (arm(None), None, "not known"),
        (arm(None, userland="linux/arm/v7"), True, "32-bit ones themselves"),
    ],
)
def test_which_arm_machines_run_32_bit_programs(facts: Facts, runs: bool | None, why: str) -> None:
    answer, reason = runs_arm32(facts)
    assert answer is runs
    assert why in reason
