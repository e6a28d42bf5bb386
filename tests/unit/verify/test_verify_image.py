"""verify_image on made images: what is wrong is stopped with file and instruction, what is right passes."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Mapping

import pytest
from made_images import AMD64, ARM64, FOLDER, LOADERS, Content, Link, MemoryImage, Parts, elf, layer

from crossdock.engines.model import SmokeResult, SmokeVerdict
from crossdock.platforms import Platform, parse_platform
from crossdock.verify.image import verify_image
from crossdock.verify.model import CheckResult, Status, VerifyResult
from crossdock.verify.smoke import smoke_check, with_smoke_runs

STATIC = elf()


def jar(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return out.getvalue()


def image(*layers: Mapping[str, Content], **settings: object) -> MemoryImage:
    parts = {"entrypoint": ("/app",), **settings}
    return MemoryImage(Parts(tuple(layer(files) for files in layers), **parts))  # type: ignore[arg-type]


def verify(*layers: Mapping[str, Content], **settings: object) -> VerifyResult:
    return verify_image(image(*layers, **settings))


def failures(result: VerifyResult, check: str = "") -> list[CheckResult]:
    return [entry for entry in result.results if entry.status is Status.FAILED and check in ("", entry.check)]


def skipped(result: VerifyResult) -> list[str]:
    return [entry.message for entry in result.results if entry.status is Status.SKIPPED]


def passed(result: VerifyResult, check: str) -> str:
    (entry,) = [entry for entry in result.results if entry.check == check and entry.status is Status.PASSED]
    return entry.message


def test_right_image() -> None:
    result = verify({"app": STATIC})
    assert result.passed
    assert [(entry.check, entry.message) for entry in result.results] == [
        ("platforms", "linux/arm64 is in the image"),
        ("config", "the config says linux/arm64"),
        ("layers", f"1 layer, {len(layer({'app': STATIC})) / 1e6:,.1f} MB packed, read to the end"),
        ("binaries", "1 binary for arm64, none that is not"),
        ("entrypoint", "/app (arm64)"),
        ("machine", "all programs can be loaded with pages of up to 64 KiB, and say to need no later processor"),
    ]


def test_two_platforms_share_layers() -> None:
    data = layer({"etc/x": "data"})
    two = MemoryImage(
        Parts((data, layer({"app": elf("amd64")})), ("/app",), platform=AMD64),
        Parts((data, layer({"app": STATIC})), ("/app",)),
    )
    result = verify_image(two, require=(AMD64, ARM64))
    assert result.passed
    assert result.platforms == (AMD64, ARM64)
    assert set(two.opened.values()) == {1}


def test_missing_platform() -> None:
    result = verify_image(image({"app": STATIC}), require=(AMD64, ARM64))
    (failure,) = failures(result)
    assert failure.message == "linux/amd64 is not in the image; it has linux/arm64"
    assert failure.platform == AMD64
    assert "--platform linux/amd64" in failure.hint


def test_platforms_not_asked_for() -> None:
    result = verify_image(
        MemoryImage(
            Parts((layer({"app": STATIC}),), ("/app",)),
            Parts((layer({"app": elf("amd64")}),), ("/app",), platform=Platform("linux", "s390x")),
        ),
        require=(ARM64,),
    )
    assert result.passed
    assert "linux/s390x in the image as well, not asked for and not looked at" in skipped(result)


def test_best_variant_is_taken() -> None:
    v6, v7 = parse_platform("linux/arm/v6"), parse_platform("linux/arm/v7")
    two = MemoryImage(*(Parts((layer({"app": elf("arm")}),), ("/app",), platform=one) for one in (v6, v7)))
    assert verify_image(two, require=(v7,)).platforms == (v7,)
    only = MemoryImage(Parts((layer({"app": elf("arm")}),), ("/app",), platform=v6))
    assert verify_image(only, require=(v7,)).platforms == (v6,)
    assert verify_image(only, require=(v7, v6)).platforms == (v6,)
    assert failures(verify_image(MemoryImage(Parts((), platform=v7)), require=(v6,)))


def test_config_differs() -> None:
    (failure,) = failures(verify({"app": STATIC}, says=AMD64))
    assert failure.message == "the index says linux/arm64, but the image's config says linux/amd64"


def test_broken_layer() -> None:
    data = layer({"app": STATIC})
    result = verify_image(MemoryImage(Parts((data,), ("/app",)), broken=data))
    (failure,) = failures(result)
    assert failure.check == "layers"
    assert "the blob is missing" in failure.message
    assert failure.created_by == "COPY layer0"
    cut = verify_image(MemoryImage(Parts((data[:-20],), ("/app",))))
    (failure,) = failures(cut)
    assert "layer sha256:" in failure.message
    assert "cut off" in failure.message


def test_escaping_file() -> None:
    (failure,) = failures(verify({"app": STATIC, "../../etc/cron.d/x": "evil"}))
    assert failure.check == "layers"
    assert failure.path == "../../etc/cron.d/x"


# ---------------------------------------------------------------- binaries


def test_wrong_binary() -> None:
    result = verify({"app": STATIC}, {"usr/local/bin/tool": elf("amd64")}, created_by=("FROM x", "RUN curl tool"))
    (failure,) = failures(result)
    assert failure.check == "binaries"
    assert failure.message == "/usr/local/bin/tool is ELF 64-bit LSB shared object, amd64"
    assert failure.path == "/usr/local/bin/tool"
    assert failure.created_by == "RUN curl tool"
    assert "arm64" in failure.hint


def test_removed_and_replaced_binaries_do_not_count() -> None:
    assert verify({"app": STATIC, "bad": elf("amd64")}, {".wh.bad": ""}).passed
    assert verify({"app": elf("amd64")}, {"app": STATIC}).passed


def test_hard_links_are_told_once() -> None:
    result = verify({"app": STATIC, "a": elf("amd64"), "b": Link("a", hard=True)})
    assert len(failures(result, "binaries")) == 1


def test_many_wrong_files_are_summed_up() -> None:
    result = verify({f"usr/bin/{number:03}": elf("amd64") for number in range(50)}, entrypoint=())
    found = failures(result, "binaries")
    assert len(found) == 4
    assert found[-1].message == "47 more files of the same layer are not arm64"
    assert "Nothing in this image is arm64" in found[0].hint


def test_wrong_files_among_right_ones_are_told_one_by_one() -> None:
    found = failures(verify({"app": STATIC, **{f"usr/bin/{number:03}": elf("amd64") for number in range(50)}}))
    assert len(found) == 11
    assert found[-1].message == "40 more files of the same layer are not arm64"
    assert "port mends" in found[0].hint


def test_history_that_does_not_fit_is_not_used() -> None:
    (failure,) = failures(verify({"app": STATIC, "bad": elf("amd64")}, created_by=("a", "b", "c")))
    assert failure.created_by == ""


@pytest.mark.parametrize(
    "files",
    [
        {"a.jar": jar(**{"linux-x64/a.so": elf("amd64"), "linux-arm64/a.so": STATIC})},
        {"lib/firmware/x.elf": elf("amd64")},
        {"usr/bin/qemu-aarch64-static": elf("amd64")},
        {"usr/x86_64-linux-gnu/lib/libc.so.6": elf("amd64")},
        {"usr/lib/gcc-cross/x86_64-linux-gnu/12/crtbegin.o": elf("amd64")},
        {"usr/local/go/src/debug/elf/testdata/x": elf("amd64")},
        {"probe.bpf.o": elf("bpf")},
        {"setup.exe": b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0\x64\x86" + bytes(60)},
        {"opt/runtimes/linux-x64/native/a.so": elf("amd64"), "opt/runtimes/linux-arm64/native/b.so": STATIC},
        {"m/prebuilds/linux-x64/node.node": elf("amd64"), "m/prebuilds/linux-arm64/node.armv8.node": STATIC},
        {"lib/netty-linux-x86_64.jar": jar(a=elf("amd64")), "lib/netty-linux-aarch_64.jar": jar(a=STATIC)},
        {"go/pkg/tool/linux_amd64/asm": elf("amd64"), "go/pkg/tool/linux_arm64/asm": STATIC},
        {
            "usr/lib/x86_64-linux-gnu/libc.so.6": elf("amd64"),
            "var/lib/dpkg/info/libc6:amd64.list": "/usr/lib",
            "var/lib/dpkg/info/libc6:arm64.list": "/usr/lib",
        },
    ],
)
def test_expected_exceptions(files: dict[str, Content]) -> None:
    result = verify({"app": STATIC, **files})
    assert result.passed, failures(result)
    assert len(skipped(result)) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"a.jar": jar(**{"linux-x64/a.so": elf("amd64")})},
        {"opt/a.war": jar(**{"lib/a.jar": jar(x=elf("amd64"))})},
        {"usr/lib/x86_64-linux-gnu/liba.so": elf("amd64"), "usr/lib/aarch64-linux-gnu/liba.so": STATIC},
        {"opt/runtimes/linux-x64/native/a.so": elf("amd64")},
        {"usr/bin/tool-x86_64": elf("amd64"), "usr/bin/other-aarch64": STATIC},
        {"usr/lib/libx.a": b"!<arch>\n" + b"x.o/".ljust(16) + b"0".ljust(32) + b"64".ljust(10) + b"`\n" + elf("amd64")},
        {"armhf": elf("arm")},
        {
            "usr/bin/tool": elf("amd64"),
            "var/lib/dpkg/info/libc6:amd64.list": "/",
            "var/lib/dpkg/info/x:arm64.list": "/",
        },
        {"usr/lib/x86_64-linux-gnu/libc.so.6": elf("amd64"), "var/lib/dpkg/info/libc6:amd64.list": "/usr/lib"},
    ],
)
def test_no_exceptions(files: dict[str, Content]) -> None:
    assert len(failures(verify({"app": STATIC, **files}), "binaries")) == 1


def test_32_bit_on_amd64() -> None:
    files = {"app": elf("386"), "lib": elf("amd64")}
    result = verify_image(MemoryImage(Parts((layer(files),), ("/app",), platform=AMD64)))
    assert result.passed
    assert "32-bit x86 code, which amd64 machines run: /app" in skipped(result)


def test_damaged_parts_are_told() -> None:
    result = verify({"app": STATIC, "a.jar": jar(a=b"x" * 99)[:-9], "b.so": elf(needed=("c",))[:-9]})
    assert result.passed
    assert len(skipped(result)) == 2


# ---------------------------------------------------------------- entrypoint

LOADER = elf()
LIBC = elf(soname="libc.so.6")
SYSTEM: dict[str, Content] = {
    "lib": Link("usr/lib"),
    "usr/lib/ld-linux-aarch64.so.1": Link("aarch64-linux-gnu/ld-linux-aarch64.so.1"),
    "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1": LOADER,
    "usr/lib/aarch64-linux-gnu/libc.so.6": LIBC,
    "usr/bin/dash": elf(interpreter=LOADERS["arm64"], needed=("libc.so.6",)),
    "bin": Link("usr/bin"),
    "usr/bin/sh": Link("dash"),
    "usr/bin/env": elf(interpreter=LOADERS["arm64"], needed=("libc.so.6",)),
}


def program(**settings: object) -> bytes:
    return elf(**{"interpreter": LOADERS["arm64"], "needed": ("libc.so.6",), **settings})  # type: ignore[arg-type]


def entry(files: Mapping[str, Content], *words: str, **settings: object) -> VerifyResult:
    return verify(SYSTEM, files, entrypoint=words or ("/app",), **settings)


@pytest.mark.parametrize(
    ("files", "words", "chain"),
    [
        ({"app": program()}, ("/app",), "/app (arm64, 1 library)"),
        ({"usr/local/bin/app": program()}, ("app",), "/usr/local/bin/app (arm64, 1 library)"),
        ({"app": "#!/bin/sh\nexit"}, ("/app",), "/app (#!) /usr/bin/dash (arm64, 1 library)"),
        ({"app": "#! /bin/sh -e\nexit"}, ("/app",), "/app (#!) /usr/bin/dash (arm64, 1 library)"),
        (
            {"app": "#!/usr/bin/env node\n", "usr/bin/node": program()},
            ("/app",),
            "/app (#!) /usr/bin/node (arm64, 1 library)",
        ),
        (
            {"app": "#!/usr/bin/env -S node --x\n", "usr/bin/node": program()},
            ("/app",),
            "/app (#!) /usr/bin/node (arm64, 1 library)",
        ),
        (
            {"srv/x": program()},
            ("/bin/sh", "-c", "exec ./x --port $PORT"),
            "/usr/bin/dash (arm64, 1 library) → /srv/x (arm64, 1 library)",
        ),
        (
            {"usr/bin/tini": program(), "srv/x": program()},
            ("tini", "--", "/srv/x"),
            "/usr/bin/tini (arm64, 1 library) → /srv/x (arm64, 1 library)",
        ),
        ({"srv/x": program()}, ("./x",), "/srv/x (arm64, 1 library)"),
        ({}, ("sh", "-c", "cd /x && if true; then y; fi"), "/usr/bin/dash (arm64, 1 library)"),
    ],
)
def test_chains(files: dict[str, Content], words: tuple[str, ...], chain: str) -> None:
    result = entry(files, *words, working_directory="/srv")
    assert result.passed, failures(result)
    assert passed(result, "entrypoint") == chain


def test_custom_entrypoint_script_and_command() -> None:
    files: dict[str, Content] = {"entry.sh": '#!/bin/sh\nexec "$@"', "usr/bin/serve": program()}
    result = verify(SYSTEM, files, entrypoint=("/entry.sh",), command=("serve", "-x"))
    assert passed(result, "entrypoint").endswith("→ /usr/bin/serve (arm64, 1 library)")
    assert verify(SYSTEM, files, entrypoint=("/entry.sh",), command=("start",)).passed
    lacking = {**files, "usr/bin/serve": program(needed=("libgone.so",))}
    result = verify(SYSTEM, lacking, entrypoint=("/entry.sh",), command=("serve",))
    assert result.passed
    assert "a script starts it and may know better" in skipped(result)[0]


@pytest.mark.parametrize(
    ("files", "words", "message", "path"),
    [
        ({}, ("/app",), "/app is not in the image", "app"),
        ({"app": Link("/opt/app")}, ("/app",), "/app is not in the image (/app is a link to /opt/app)", "opt/app"),
        ({}, ("app",), "app is in no folder of the image's PATH", ""),
        ({"app": elf("amd64")}, ("/app",), "/app is ELF 64-bit LSB shared object, amd64: exec format error", "app"),
        ({"app": "echo"}, ("/app",), "/app is neither a program nor a script with a #! line", "app"),
        ({"app": "#!/bin/sh\r\nexit\r\n"}, ("/app",), "/app has Windows line ends", "app"),
        ({"app": "#!/bin/bash\n"}, ("/app",), "/app asks for /bin/bash, which is not in the image", "app"),
        ({"app": "#!/usr/bin/env node\n"}, ("/app",), "/app asks env for 'node'", "app"),
        ({"app": "#!/usr/bin/env sh -e\n"}, ("/app",), "/app asks env for 'sh -e'", "app"),
        ({"app": "#!/app\n"}, ("/app",), "/app has too many #! lines in a row", "app"),
        ({"app/": FOLDER}, ("/app",), "/app is no file", "app"),
        ({"app": elf(kind=1)}, ("/app",), "/app is a relocatable object", "app"),
        ({"app": program(interpreter="/lib/ld-musl-aarch64.so.1")}, ("/app",), "needs the loader /lib/ld-musl", "app"),
        ({"app": program(needed=("libgone.so",))}, ("/app",), "app needs libgone.so, which is in none", "app"),
        (
            {"app": program(needed=("libx.so",)), "usr/lib/libx.so": elf("amd64")},
            ("/app",),
            "app needs libx.so, but /usr/lib/libx.so is ELF 64-bit LSB shared object, amd64",
            "app",
        ),
        (
            {"app": program(needed=("libx.so",)), "usr/lib/libx.so": elf(needed=("liby.so",))},
            ("/app",),
            "/usr/lib/libx.so needs liby.so",
            "usr/lib/libx.so",
        ),
        (
            {"usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1": elf("amd64"), "app": program()},
            ("/app",),
            "the loader /lib/ld-linux-aarch64.so.1 of /app is",
            "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
        ),
        ({"usr/bin/tini": program()}, ("tini", "--", "/x"), "/x is not in the image", "x"),
        ({}, ("/bin/sh", "-c", "exec ./x"), "./x is not in the image", "x"),
    ],
)
def test_broken_chains(files: dict[str, Content], words: tuple[str, ...], message: str, path: str) -> None:
    found = failures(entry(files, *words), "entrypoint")
    assert len(found) == 1, found
    assert message in found[0].message
    assert found[0].path == (f"/{path}" if path else "")
    assert found[0].hint


def test_a_program_that_a_later_layer_only_carries_again_is_blamed_on_the_first() -> None:
    tool = {"bin/tool": elf("amd64")}
    result = verify({"app": STATIC}, tool, tool, created_by=("FROM x", "ADD tool", "RUN chmod 755 tool"))
    (failure,) = failures(result)
    assert failure.created_by == "ADD tool"


def test_instruction_of_a_broken_chain() -> None:
    result = entry({"app": program(needed=("libgone.so",))}, created_by=("FROM debian", "COPY app /"))
    assert failures(result)[0].created_by == "COPY app /"


def test_not_executable() -> None:
    data = layer({"app": STATIC}, modes={"app": 0o644})
    (failure,) = failures(verify_image(MemoryImage(Parts((data,), ("/app",)))))
    assert "permission denied" in failure.message
    assert "chmod" in failure.hint


def test_glibc_program_on_alpine_is_explained() -> None:
    result = verify({"lib/ld-musl-aarch64.so.1": LOADER, "app": program()})
    assert "this is Alpine" in failures(result)[0].hint


def test_musl() -> None:
    files: dict[str, Content] = {
        "lib/ld-musl-aarch64.so.1": LOADER,
        "app": elf(interpreter="/lib/ld-musl-aarch64.so.1", needed=("libc.so", "libc.musl-aarch64.so.1", "libz.so.1")),
        "lib/libz.so.1": elf(),
    }
    assert passed(verify(files), "entrypoint") == "/app (arm64, 1 library)"
    other = {**files, "opt/libz.so.1": elf(), "etc/ld-musl-aarch64.path": "/opt:/opt2\n"}
    del other["lib/libz.so.1"]
    assert verify(other).passed


@pytest.mark.parametrize(
    ("settings", "files", "env"),
    [
        ({"rpath": "/opt/lib"}, {"opt/lib/libx.so": elf()}, {}),
        ({"runpath": "$ORIGIN/../lib"}, {"lib/libx.so": elf()}, {}),
        ({"runpath": "${ORIGIN}/lib"}, {"srv/lib/libx.so": elf()}, {}),
        ({}, {"opt/libx.so": elf()}, {"LD_LIBRARY_PATH": "/x:/opt"}),
        (
            {},
            {
                "opt/x/libx.so": elf(),
                "etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n",
                "etc/ld.so.conf.d/x.conf": "# c\n/opt/x\n",
            },
            {},
        ),
        ({}, {"usr/lib/libx.so": elf("amd64"), "lib64/libx.so": elf()}, {}),
    ],
)
def test_library_search(settings: dict[str, object], files: dict[str, Content], env: dict[str, str]) -> None:
    app = program(needed=("libx.so", "libc.so.6"), **settings)
    result = entry({"srv/app": app, **files}, "/srv/app", env=env)
    assert failures(result, "entrypoint") == []
    assert passed(result, "entrypoint") == "/srv/app (arm64, 2 libraries)"


def test_rpath_is_inherited_and_runpath_is_not() -> None:
    inner: dict[str, Content] = {"opt/libx.so": elf(needed=("liby.so",)), "opt/liby.so": elf()}
    assert entry({"app": program(needed=("libx.so",), rpath="/opt"), **inner}).passed
    assert not entry({"app": program(needed=("libx.so",), runpath="/opt"), **inner}).passed


def test_libraries_that_need_each_other_end() -> None:
    files: dict[str, Content] = {
        "app": program(needed=("liba.so",)),
        "usr/lib/liba.so": elf(needed=("libb.so",)),
        "usr/lib/libb.so": elf(needed=("liba.so",)),
    }
    assert entry(files).passed


def test_nothing_to_start() -> None:
    result = verify({"data": "x"}, entrypoint=())
    assert result.passed
    assert any("names no program to start" in text for text in skipped(result))


# ---------------------------------------------------------------- smoke


def smoke(verdict: SmokeVerdict, code: int | None = 1) -> SmokeResult:
    return SmokeResult(ARM64, verdict, code, 1.25, ("starting", "exec /app: exec format error", ""))


def test_smoke_results() -> None:
    ran = smoke_check(smoke(SmokeVerdict.RAN, 0))
    assert (ran.status, ran.message) == (Status.PASSED, "started and ended with 0 after 1.2 s")
    assert smoke_check(smoke(SmokeVerdict.RAN, None)).message == "started and still running after 1.2 s"
    for verdict in SmokeVerdict:
        found = smoke_check(smoke(verdict))
        if verdict is not SmokeVerdict.RAN:
            assert found.status is Status.FAILED
            assert "exec format error" in found.message
            assert found.hint


def test_smoke_is_asked_for_each_platform() -> None:
    asked: list[Platform] = []

    def run(platform: Platform) -> tuple[CheckResult, ...]:
        asked.append(platform)
        return (smoke_check(smoke(SmokeVerdict.HUNG)),)

    result = with_smoke_runs(verify_image(image({"app": STATIC})), run)
    assert asked == [ARM64]
    assert [entry.check for entry in failures(result)] == ["smoke"]


def test_what_has_failed_is_not_started() -> None:
    def run(platform: Platform) -> tuple[CheckResult, ...]:
        raise AssertionError("started")

    failed = with_smoke_runs(verify_image(image({"app": STATIC}), require=(parse_platform("amd64"),)), run)
    assert [entry.check for entry in failures(failed)] == ["platforms"]


def test_layer_that_is_no_archive() -> None:
    result = verify_image(MemoryImage(Parts((gzip.compress(b"x" * 1000),), ("/app",))))
    assert "no tar archive" in failures(result)[0].message
