"""Whether an image's platforms hold the same: packages, versions, programs, size."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_images import AMD64, ARM64, Content, Link, MemoryImage, Parts, elf, layer

from crossdock.image.packages import is_package_database, read_packages
from crossdock.verify.image import verify_image
from crossdock.verify.model import CheckResult, Status

STATUS = """\
Package: bash
Status: install ok installed
Version: {bash}
Description: a shell
 with words

Package: gone
Status: deinstall ok config-files
Version: 1

Package: zlib1g
Status: install ok installed
Version: 1:1.2.13
"""


def compared(amd64: dict[str, Content], arm64: dict[str, Content], **settings: object) -> list[CheckResult]:
    parts = [
        Parts((layer({"app": elf(name), **files}),), ("/app",), platform=platform, **settings)  # type: ignore[arg-type]
        for name, platform, files in (("amd64", AMD64, amd64), ("arm64", ARM64, arm64))
    ]
    return [entry for entry in verify_image(MemoryImage(*parts)).results if entry.check == "parity"]


def test_the_same_but_for_names_of_architectures() -> None:
    one: dict[str, Content] = {
        "usr/bin/x86_64-linux-gnu-ld": "a",
        "opt/node-linux-x64/bin/node": "b",
        "usr/lib/amd64": "",
    }
    two: dict[str, Content] = {"usr/bin/aarch64-linux-gnu-ld": "a", "opt/node-linux-arm64/bin/node": "b"}
    (found,) = compared(
        {**one, "var/lib/dpkg/status": STATUS.format(bash="5.2+b1")},
        {**two, "var/lib/dpkg/status": STATUS.format(bash="5.2+b2")},
    )
    assert (found.status, found.platform) == (Status.PASSED, ARM64)
    assert found.message == "2 packages in the same versions, 2 programs and files of the project as for linux/amd64"


def test_what_a_distribution_has_by_processor_is_no_difference() -> None:
    """As Debian 12 with gcc installed."""
    status = "Package: {}\nStatus: install ok installed\nVersion: 1\n\n"
    one = {"usr/bin/setarch": "s", "usr/bin/i386": Link("setarch"), "usr/bin/x86_64": Link("setarch")}
    two = {"usr/bin/setarch": "s", "usr/bin/linux64": Link("setarch")}
    (found,) = compared(
        {**one, "var/lib/dpkg/status": status.format("binutils-x86-64-linux-gnu") + status.format("libquadmath0")},
        {**two, "var/lib/dpkg/status": status.format("binutils-aarch64-linux-gnu") + status.format("libhwasan0")},
    )
    assert (found.status, found.message.partition(",")[0]) == (Status.PASSED, "1 packages in the same versions")


def test_what_is_missing_on_one_of_them() -> None:
    found = compared(
        {"usr/local/bin/plugin": "a", "srv/x": "b"}, {"srv/x": "b", "data/new": "c"}, working_directory="/data"
    )
    assert [entry.message for entry in found] == [
        "files for linux/amd64 that linux/arm64 does not have: /usr/local/bin/plugin",
        "files for linux/arm64 that linux/amd64 does not have: /data/new",
    ]
    assert {entry.status for entry in found} == {Status.WARNING}


def test_packages_that_are_missing_or_of_another_version() -> None:
    other = STATUS.format(bash="5.3").replace("zlib1g", "zlib-ng")
    found = compared({"var/lib/dpkg/status": STATUS.format(bash="5.2")}, {"var/lib/dpkg/status": other})
    assert [entry.message for entry in found] == [
        "packages for linux/amd64 that linux/arm64 does not have: zlib1g",
        "packages for linux/arm64 that linux/amd64 does not have: zlib-ng",
        "packages of other versions than for linux/amd64: bash 5.2 and 5.3",
    ]


def test_one_platform_that_is_much_larger() -> None:
    large = bytes(range(256)) * 40 + bytes(hash(str(number)) & 255 for number in range(60_000))
    (found,) = compared({"var/big": large}, {})
    assert "linux/amd64 is" in found.message
    assert "times as large as linux/arm64" in found.message


def test_many_are_summed_up() -> None:
    found = compared({f"opt/{number}": "" for number in range(20)}, {})
    assert found[0].message.endswith("/opt/15 and 12 more")


class TestDatabases:
    def test_apk(self) -> None:
        text = "C:Q1\nP:musl\nV:1.2.5-r0\n\nP:busybox\nV:1.37.0-r12\nF:bin\nR:P:x\n\n"
        assert read_packages("lib/apk/db/installed", text.encode()) == {"musl": "1.2.5-r0", "busybox": "1.37.0-r12"}

    def test_distroless(self) -> None:
        text = b"Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n"
        assert read_packages("var/lib/dpkg/status.d/tzdata", text) == {"tzdata": "2024a-0+deb12u1"}

    def test_rpm(self, tmp_path: Path) -> None:
        path = "usr/lib/sysimage/rpm/rpmdb.sqlite"
        assert is_package_database(path)
        database = sqlite3.connect(tmp_path / "rpmdb.sqlite")
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        for values in ({1000: "bash", 1001: "5.2", 1002: "1.fc40"}, {1000: "dbus", 1001: "1", 1002: "2", 1003: 1}):
            database.execute("INSERT INTO Packages (blob) VALUES (?)", (_header(values),))
        database.commit()
        database.close()
        data = (tmp_path / "rpmdb.sqlite").read_bytes()
        assert read_packages(path, data) == {"bash": "5.2-1.fc40", "dbus": "1:1-2"}
        assert read_packages(path, data[:5000]) == {}

    @pytest.mark.parametrize("path", ["var/lib/dpkg/status", "lib/apk/db/installed", "var/lib/rpm/rpmdb.sqlite"])
    @given(data=st.binary(max_size=300))
    def test_any_bytes(self, path: str, data: bytes) -> None:
        assert isinstance(read_packages(path, data), dict)


def _header(values: dict[int, str | int]) -> bytes:
    store = b""
    entries = b""
    for tag, value in values.items():
        kind, data = (6, value.encode() + b"\0") if isinstance(value, str) else (4, struct.pack(">I", value))
        store += bytes(-len(store) % 4) if kind == 4 else b""
        entries += struct.pack(">IIII", tag, kind, len(store), 1)
        store += data
    return struct.pack(">II", len(values), len(store)) + entries + store
