"""The gate: images that are wrong, each in one way, are stopped with the message that docs/verify.md explains; images
that are right, each tricky in one way, pass without a failure or a warning."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zstandard
from made_images import AMD64, ARM64, FOLDER, LOADERS, Content, Link, MemoryImage, Parts, elf, go, layer

from crossdock.config import Limits
from crossdock.engines.model import SmokeResult, SmokeVerdict
from crossdock.platforms import Platform
from crossdock.verify.image import verify_image
from crossdock.verify.limits import check_limits, weigh
from crossdock.verify.machines import machine_named
from crossdock.verify.model import CheckResult, Status
from crossdock.verify.smoke import smoke_check

DOCS = Path(__file__).parents[3] / "docs"
LIB = "usr/lib/aarch64-linux-gnu"
SYSTEM: dict[str, Content] = {
    "lib": Link("usr/lib"),
    "usr/lib/ld-linux-aarch64.so.1": Link("aarch64-linux-gnu/ld-linux-aarch64.so.1"),
    f"{LIB}/ld-linux-aarch64.so.1": elf(soname="ld-linux-aarch64.so.1"),
    f"{LIB}/libc.so.6": elf(soname="libc.so.6", offers=("GLIBC_2.17", "GLIBC_2.31")),
    "bin": Link("usr/bin"),
    "usr/bin/dash": elf(interpreter=LOADERS["arm64"], needed=("libc.so.6",)),
    "usr/bin/sh": Link("dash"),
    "usr/bin/env": elf(interpreter=LOADERS["arm64"], needed=("libc.so.6",)),
}


def program(**settings: object) -> bytes:
    return elf(**{"interpreter": LOADERS["arm64"], "needed": ("libc.so.6",), **settings})  # type: ignore[arg-type]


def jar(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


def tar(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return out.getvalue()


def gem(*members: bytes) -> bytes:
    """As RubyGems packs it: a tar with the files in a tar of their own."""
    files = {f"lib/x/{number}.so": body for number, body in enumerate(members)}
    return tar(**{"metadata.gz": gzip.compress(b"name: x"), "data.tar.gz": gzip.compress(tar(**files))})


def alpine_package(program: bytes) -> bytes:
    """As abuild packs it: one tar in several gzip members, all but the last without its end."""
    control = tar(**{".PKGINFO": b"pkgname = x"})[:1024]
    return gzip.compress(control) + gzip.compress(tar(**{"usr/bin/x": program}))


def big_endian(machine: int = 183) -> bytes:
    head = b"\x7fELF\2\2\1" + bytes(9) + struct.pack(">HHI", 2, machine, 1)
    return head + struct.pack(">QQQIHHHHHH", 0, 0, 0, 0, 64, 0, 0, 0, 0, 0)


def ilp32(machine: int = 183) -> bytes:
    head = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHI", 2, machine, 1)
    return head + struct.pack("<IIIIHHHHHH", 0, 0, 0, 0, 52, 0, 0, 0, 0, 0)


RISCV64 = Platform("linux", "riscv64")
RISCV_LOADER = "/lib/ld-linux-riscv64-lp64d.so.1"
RISCV: dict[str, Content] = {
    "lib/ld-linux-riscv64-lp64d.so.1": elf("riscv64", soname="ld-linux-riscv64-lp64d.so.1", flags=5),
    "lib/libc.so.6": elf("riscv64", soname="libc.so.6", flags=5),
    "app": elf("riscv64", interpreter=RISCV_LOADER, needed=("libc.so.6",), flags=5),
}


def static_library(member: bytes) -> bytes:
    header = b"x.o/".ljust(16) + b"0".ljust(32) + str(len(member)).encode().ljust(10) + b"`\n"
    return b"!<arch>\n" + header + member


@dataclass(frozen=True)
class Made:
    """An image of one platform on top of SYSTEM, unless ``bare``."""

    files: Mapping[str, Content] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ("/app",)
    bare: bool = False
    removed: tuple[str, ...] = ()
    modes: Mapping[str, int] = field(default_factory=dict)
    says: Platform | None = None
    require: tuple[Platform, ...] = ()
    machine: str = ""
    cut_off: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    working_directory: str = ""
    beside: Mapping[str, Content] | None = None
    """The same for amd64, where there is one."""
    platform: Platform = ARM64

    def results(self) -> tuple[CheckResult, ...]:
        app: dict[str, Content] = {} if self.bare or "app" in self.files else {"app": program()}
        top: dict[str, Content] = {**app, **self.files, **{f"{name}": "" for name in self.removed}}
        packed = layer(top, self.modes)
        packed = packed[:-20] if self.cut_off else packed
        layers = (packed,) if self.bare else (layer(SYSTEM), packed)
        part = Parts(layers, self.entrypoint, self.command, self.env, self.working_directory, self.platform, self.says)
        parts = [part]
        if self.beside is not None:
            parts.insert(0, Parts((layer(self.beside),), self.entrypoint, platform=AMD64))
        image = MemoryImage(*parts)
        machine = machine_named(self.machine) if self.machine else None
        return verify_image(image, require=self.require, machine=machine).results


WRONG: dict[str, tuple[str, Made]] = {
    "a platform is missing": ("… is not in the image; it has …", Made(require=(AMD64,))),
    "the config says another": ("the index says …, but the image's config says …", Made(says=AMD64)),
    "a layer is damaged": ("layer …: …", Made(cut_off=True)),
    "a name leads outside": (
        "layer … has a file that leads outside of the image: …", Made({"../../etc/cron.d/x": "* * * * *"})
    ),
    "a program for amd64": ("… is ELF …", Made({"usr/local/bin/tool": elf("amd64")})),
    "a kernel module for amd64": ("… is ELF …", Made({"usr/lib/modules/6.1/x.ko": elf("amd64", kind=1)})),
    "a packed kernel module (xz)": (
        "… is ELF …", Made({"usr/lib/modules/6.1/x.ko.xz": lzma.compress(elf("amd64", kind=1))})
    ),
    "a packed kernel module (zstd)": (
        "… is ELF …", Made({"usr/lib/modules/6.1/x.ko.zst": zstandard.compress(elf("amd64", kind=1))})
    ),
    "the other byte order": ("… is ELF …", Made({"usr/local/bin/tool": big_endian()})),
    "32-bit addresses": ("… is ELF …", Made({"usr/local/bin/tool": ilp32()})),
    "only amd64 in a jar in a war": (
        "…!/… is ELF …", Made({"srv/a.war": jar(**{"WEB-INF/lib/a.jar": jar(**{"x64/a.so": elf("amd64")})})})
    ),
    "only amd64 in an egg": (
        "…!/… is ELF …", Made({"opt/x-1.0-py3.11.egg": jar(**{"x/_x.cpython-311.so": elf("amd64")})})
    ),
    "only amd64 in a zip": ("…!/… is ELF …", Made({"opt/tool.zip": jar(**{"bin/tool": elf("amd64")})})),
    "only amd64 in an Alpine package": (
        "…!/… is ELF …",
        Made({"opt/x-1.0-r0.apk": alpine_package(elf("amd64"))}),
    ),
    "only amd64 in an Android package": (
        "…!/… is ELF …", Made({"opt/x.apk": jar(**{"lib/x86_64/libx.so": elf("amd64")})})
    ),
    "a gem for amd64": ("…!/… is ELF …", Made({"opt/cache/x-1.0-x86_64-linux.gem": gem(elf("amd64"))})),
    "prebuilt for amd64 alone in node_modules": (
        "… is ELF …",
        Made({
            "app/node_modules/@esbuild/linux-x64/bin/esbuild": elf("amd64"),
            "app/node_modules/bcrypt/prebuilds/linux-x64/bcrypt.node": elf("amd64"),
            "app/node_modules/bcrypt/prebuilds/darwin-arm64/bcrypt.node": b"\xcf\xfa\xed\xfe\x0c\0\0\1" + bytes(24),
            "app.js": "x",
        }, entrypoint=("sh",)),
    ),
    "floating point passed in another way": (
        "… is for …, and the loader in the image for …: it cannot be loaded",
        Made({**RISCV, "lib/libm.so.6": elf("riscv64", soname="libm.so.6", flags=1)}, bare=True, platform=RISCV64),
    ),
    "only amd64 in a jar": ("…!/… is ELF …", Made({"opt/a.jar": jar(**{"linux-x64/a.so": elf("amd64")})})),
    "a static library": (
        "… is … static library, …", Made({"usr/local/lib/libx.a": static_library(elf("amd64", kind=1))})
    ),
    "a Python module by another name": (
        "… is named for …, so Python for … does not find it",
        Made({"usr/lib/python3/x.cpython-311-x86_64-linux-gnu.so": elf()}),
    ),
    "many of them": (
        "… more files of the same layer are not …", Made({f"opt/{number}": elf("amd64") for number in range(12)})
    ),
    "nothing to start": ("… is not in the image", Made(entrypoint=("/srv/app",))),
    "a link to nothing": (
        "… is not in the image (… is a link to …)", Made({"srv/app": Link("/opt/app")}, entrypoint=("/srv/app",))
    ),
    "not in PATH": ("… is in no folder of the image's PATH (…)", Made(entrypoint=("serve",))),
    "the entrypoint is for amd64": ("… is ELF …: exec format error on …", Made({"app": elf("amd64")})),
    "a script without its first line": (
        "… is neither a program nor a script with a #! line: exec format error", Made({"app": "echo"})
    ),
    "Windows line ends": ("… has Windows line ends: …", Made({"app": "#!/bin/sh\r\nexit\r\n"})),
    "no bash": ("… asks for …, which is not in the image", Made({"app": "#!/bin/bash\n"})),
    "no node": ("… asks env for …, which is not in the image's PATH", Made({"app": "#!/usr/bin/env node\n"})),
    "not executable": ("… is not executable (permission denied)", Made(files={"app": program()}, modes={"app": 0o644})),
    "a circle of scripts": ("… has too many #! lines in a row", Made({"app": "#!/app\n"})),
    "a folder": ("… is no file", Made({"srv/": FOLDER}, entrypoint=("/srv",))),
    "an object file": ("… is a relocatable object, not a program", Made({"app": elf(kind=1)})),
    "glibc on scratch": (
        "… needs the loader …, which is not in the image", Made({"app": program()}, bare=True)
    ),
    "the loader is for amd64": (
        "the loader … of … is …", Made({f"{LIB}/ld-linux-aarch64.so.1": elf("amd64", soname="ld.so")})
    ),
    "a library is missing": (
        "… needs …, which is in none of the folders that the loader searches",
        Made({"app": program(needed=("libx.so",))}),
    ),
    "a library is for amd64": (
        "… needs …, but … is …",
        Made({"app": program(needed=("libx.so",)), f"{LIB}/libx.so": elf("amd64")}),
    ),
    "built on a newer release": (
        "… needs … of …, and … has none newer than …", Made({"app": program(wants={"libc.so.6": ("GLIBC_2.34",)})})
    ),
    "small pages": (
        "… needs pages of at most …, and does not start on …",
        Made({f"{LIB}/libjemalloc.so.2": elf(page_size=4096)}, machine="kunpeng-920"),
    ),
    "a later processor": (
        "… needs arm…, and does not start on …", Made({"app": go("GOARM64=v8.1")}, machine="ft-2000")
    ),
    "a file for one platform only": (
        "files for … that … does not have: …",
        Made(beside={"app": elf("amd64"), "opt/plugin": "a"}, files={"app": elf()}, bare=True),
    ),
    "a package for one platform only": (
        "packages for … that … does not have: …",
        Made(
            beside={"app": elf("amd64"), "lib/apk/db/installed": "P:a\nV:1\n\nP:b\nV:1\n"},
            files={"app": elf(), "lib/apk/db/installed": "P:a\nV:1\n"},
            bare=True,
        ),
    ),
    "a package of another version": (
        "packages of other versions than for …: …",
        Made(
            beside={"app": elf("amd64"), "lib/apk/db/installed": "P:a\nV:1\n"},
            files={"app": elf(), "lib/apk/db/installed": "P:a\nV:2\n"},
            bare=True,
        ),
    ),
    "much larger": (
        "… is … times as large as … (…)",
        Made(beside={"app": elf("amd64"), "var/x": bytes(range(256)) * 40}, files={"app": elf()}, bare=True),
    ),
}  # fmt: skip
SMOKE = {
    "ended with exit code …": SmokeResult(ARM64, SmokeVerdict.FAILED, 1, 0.1, ("no config",)),
    "exec format error…": SmokeResult(ARM64, SmokeVerdict.EXEC_FORMAT_ERROR, 1, 0.1, ("exec format error",)),
    "a program's loader or library is missing…": SmokeResult(ARM64, SmokeVerdict.MISSING_LOADER, 255, 0.1, ("x",)),
    "illegal instruction, after …": SmokeResult(ARM64, SmokeVerdict.ILLEGAL_INSTRUCTION, 132, 0.1, ()),
    "hung: still running after …": SmokeResult(ARM64, SmokeVerdict.HUNG, None, 10, ("waiting for the database",)),
}
LIMITS = {
    "… packed, and at most … are allowed": Limits(size=10),
    "… layers, and at most … are allowed": Limits(layers=1),
    "… larger than … (… against …), and at most … are allowed": Limits(difference=20),
}
HEALTH = {
    "HEALTHCHECK … cannot be run…": "HEALTHCHECK `curl x` cannot be run: sh: curl: not found",
    "HEALTHCHECK … not passed within …": "HEALTHCHECK `curl x` not passed within 10 s, in 9 tries: refused",
}
"""test_smoke_runs wants these of the check itself."""
EMPTY = "there is no platform in the image"


def documented(page: str) -> list[str]:
    """The messages that the tables of a page explain."""
    return re.findall(r"^\| `(.+?)` \|", (DOCS / page).read_text(), re.MULTILINE)


def fits(message: str, explained: str) -> bool:
    pattern = "".join(".*" if part == "…" else re.escape(part) for part in re.split("(…)", explained))
    return re.fullmatch(pattern, message, re.DOTALL) is not None


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_stopped_and_explained(name: str) -> None:
    explained, image = WRONG[name]
    told = [entry for entry in image.results() if entry.status in (Status.FAILED, Status.WARNING)]
    assert any(fits(entry.message, explained) for entry in told), [entry.message for entry in told]
    assert all(entry.hint for entry in told)
    assert explained in documented("verify.md")


@pytest.mark.parametrize("explained", SMOKE)
def test_what_does_not_start_is_explained(explained: str) -> None:
    assert fits(smoke_check(SMOKE[explained]).message, explained)


@pytest.mark.parametrize("explained", LIMITS)
def test_what_is_too_large_is_stopped_and_explained(explained: str) -> None:
    parts = (Parts((layer({}), layer({"app": elf("amd64")})), platform=AMD64), Parts((layer({"app": elf()}),)))
    image = MemoryImage(*parts)
    (told,) = [
        entry
        for entry in check_limits(weigh(image, (AMD64, ARM64)), LIMITS[explained])
        if (entry.status, entry.platform) == (Status.FAILED, AMD64)
    ]
    assert fits(told.message, explained), told.message
    assert told.hint
    assert list(check_limits(weigh(image, (AMD64, ARM64)), Limits())) == []
    within = check_limits(weigh(image, (AMD64, ARM64)), Limits(10**6, 200, 5))
    assert [entry.status for entry in within] == [Status.PASSED, Status.PASSED]


def test_an_empty_index_is_stopped() -> None:
    assert EMPTY in [entry.message for entry in verify_image(MemoryImage()).results if entry.status is Status.FAILED]


@pytest.mark.parametrize("page", ["verify.md", "verify.zh-CN.md"])
def test_the_pages_explain_just_what_is_said(page: str) -> None:
    assert sorted(documented(page)) == sorted(
        {*(explained for explained, _ in WRONG.values()), *SMOKE, *LIMITS, *HEALTH, EMPTY}
    )


RIGHT: dict[str, Made] = {
    "a jar for all machines": Made({"a.jar": jar(**{"linux-x64/a.so": elf("amd64"), "linux-arm64/a.so": elf()})}),
    "a packed kernel module": Made({"usr/lib/modules/6.1/x.ko.xz": lzma.compress(elf(kind=1))}),
    "a packed kernel module that is cut off": Made({"usr/lib/modules/6.1/x.ko.zst": zstandard.compress(elf())[:20]}),
    "a jar for all machines in a war": Made(
        {"a.war": jar(**{"WEB-INF/lib/a.jar": jar(**{"linux-x64/a.so": elf("amd64"), "linux-arm64/a.so": elf()})})}
    ),
    "an Android package for all phones": Made(
        {"opt/x.apk": jar(**{"lib/x86_64/x.so": elf("amd64"), "lib/arm64-v8a/x.so": elf(), "lib/x86/x.so": elf("386")})}
    ),
    "a gem for several machines": Made({"opt/x-1.0.gem": gem(elf("amd64"), elf())}),
    "gems for each machine": Made(
        {"cache/x-1.0-x86_64-linux.gem": gem(elf("amd64")), "cache/x-1.0-aarch64-linux.gem": gem(elf())}
    ),
    "prebuilds for all machines in node_modules": Made(
        {
            "srv/node_modules/x/prebuilds/linux-x64/x.node": elf("amd64"),
            "srv/node_modules/x/prebuilds/linux-x64/x.musl.node": elf("amd64"),
            "srv/node_modules/x/prebuilds/linux-arm/x.armv7.node": elf("arm"),
            "srv/node_modules/x/prebuilds/linux-arm64/x.armv8.node": elf(),
        }
    ),
    "a static program that passes floating point as it likes": Made(
        {**RISCV, "usr/bin/static": elf("riscv64", flags=0)}, bare=True, platform=RISCV64
    ),
    "runtimes beside each other": Made(
        {"opt/runtimes/linux-x64/native/a.so": elf("amd64"), "opt/runtimes/linux-arm64/native/b.so": elf()}
    ),
    "firmware": Made({"usr/lib/firmware/x.elf": elf("amd64")}),
    "a cross toolchain": Made({"usr/x86_64-linux-gnu/lib/libc.so.6": elf("amd64")}),
    "an emulator": Made({"usr/bin/qemu-x86_64-static": elf("amd64")}),
    "eBPF": Made({"opt/probe.bpf.o": elf("bpf", kind=1)}),
    "test data of Go": Made({"usr/local/go/src/debug/elf/testdata/gcc-amd64-linux-exec": elf("amd64")}),
    "a Windows program as data": Made({"opt/setup.exe": b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0\x64\x86" + bytes(60)}),
    "a foreign package of dpkg": Made(
        {
            "usr/lib/x86_64-linux-gnu/libc.so.6": elf("amd64"),
            "var/lib/dpkg/info/libc6:amd64.list": "/usr/lib",
            "var/lib/dpkg/info/libc6:arm64.list": "/usr/lib",
        }
    ),
    "an amd64 file that a later layer replaced": Made({"usr/bin/env": program()}),
    "a Java class, which begins as Mach-O does": Made({"opt/A.class": b"\xca\xfe\xba\xbe\0\0\0\x41" + bytes(40)}),
    "a script by env -S": Made({"app": "#!/usr/bin/env -S sh -e\nexit\n"}),
    "tini and its arguments": Made({"usr/bin/tini": program(), "srv/x": program()}, ("tini", "-g", "--", "/srv/x")),
    "a shell that replaces itself": Made({"srv/x": program()}, ("/bin/sh", "-c", "exec ./x"), working_directory="/srv"),
    "an entrypoint by a link over layers": Made({"srv/now": Link("../app")}, ("/srv/now",)),
    "a library by RUNPATH and $ORIGIN": Made(
        {"opt/bin/app": program(needed=("libx.so",), runpath="$ORIGIN/../lib"), "opt/lib/libx.so": elf()},
        ("/opt/bin/app",),
    ),
    "a library by ld.so.conf": Made(
        {
            "app": program(needed=("libx.so",)),
            "opt/x/libx.so": elf(),
            "etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n",
            "etc/ld.so.conf.d/x.conf": "/opt/x\n",
        }
    ),
    "a library by LD_LIBRARY_PATH": Made(
        {"app": program(needed=("libx.so",)), "opt/libx.so": elf()}, env={"LD_LIBRARY_PATH": "/opt"}
    ),
    "musl": Made(
        {
            "lib/ld-musl-aarch64.so.1": elf(),
            "app": elf(interpreter="/lib/ld-musl-aarch64.so.1", needed=("libc.musl-aarch64.so.1",)),
        },
        bare=True,
    ),
    "static on scratch": Made({"app": elf()}, bare=True),
    "versions that are there": Made({"app": program(wants={"libc.so.6": ("GLIBC_2.17",)})}),
    "small pages where they are right": Made({"opt/x.so": elf(page_size=4096)}, machine="raspberry-pi-4"),
    "Go for the first processors": Made({"app": go("GOARM64=v8.0")}, machine="ft-1500a"),
    "a Python module by its right name": Made({"usr/lib/python3/x.cpython-311-aarch64-linux-gnu.so": elf()}),
    "two platforms with names of their own": Made(
        {"app": elf(), "opt/node-linux-arm64/node": "a"},
        beside={"app": elf("amd64"), "opt/node-linux-x64/node": "a"},
        bare=True,
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_right_passes(name: str) -> None:
    told = [entry for entry in RIGHT[name].results() if entry.status in (Status.FAILED, Status.WARNING)]
    assert told == []
