"""Programs that start on most machines and fail on some: small pages, later processors, older C libraries."""

from __future__ import annotations

import tomllib

import pytest
from made_images import AMD64, LOADERS, MemoryImage, Parts, elf, go, layer

from crossdock.errors import UsageError
from crossdock.verify.image import verify_image
from crossdock.verify.machines import _TABLE, machine_named
from crossdock.verify.model import CheckResult, Status

STATIC = elf()


def checked(files: dict[str, bytes], machine: str = "", **settings: object) -> list[CheckResult]:
    parts = Parts((layer(files),), entrypoint=("/app",), **settings)  # type: ignore[arg-type]
    found = verify_image(MemoryImage(parts), machine=machine_named(machine) if machine else None)
    return [entry for entry in found.results if entry.check == "machine"]


def test_small_pages_are_a_warning_and_a_failure_where_they_are_too_small() -> None:
    files = {"app": STATIC, "usr/lib/libjemalloc.so.2": elf(page_size=4096, soname="libjemalloc.so.2")}
    (warning,) = checked(files)
    assert (warning.status, warning.path) == (Status.WARNING, "/usr/lib/libjemalloc.so.2")
    assert (
        warning.message == "/usr/lib/libjemalloc.so.2 needs pages of at most 4 KiB, and does not start on some machines"
    )
    (failed,) = checked(files, "kunpeng-920")
    assert failed.status is Status.FAILED
    assert "does not start on kunpeng-920" in failed.message
    assert checked(files, "raspberry-pi-4")[0].status is Status.PASSED
    assert checked({"app": elf(page_size=16384)}, "raspberry-pi-5")[0].status is Status.PASSED


@pytest.mark.parametrize(
    ("setting", "machine", "status"),
    [
        ("GOARM64=v8.1", "", Status.WARNING),
        ("GOARM64=v8.1", "ft-2000", Status.FAILED),
        ("GOARM64=v8.1", "kunpeng", Status.PASSED),
        ("GOARM64=v8.0,lse", "raspberry-pi-4", Status.FAILED),
        ("GOARM64=v8.0,lse", "graviton2", Status.PASSED),
        ("GOARM64=v9.0", "graviton3", Status.FAILED),
        ("GOARM64=v8.0", "ft-1500a", Status.PASSED),
    ],
)
def test_later_processors(setting: str, machine: str, status: Status) -> None:
    (found,) = checked({"app": go(setting)}, machine)
    assert found.status is status


def test_only_arm_has_such_machines() -> None:
    assert checked({"app": elf("amd64", page_size=4096)}, platform=AMD64) == []


def test_an_unknown_machine() -> None:
    with pytest.raises(UsageError, match="no machine is called 'pdp-11'"):
        machine_named("pdp-11")


def test_each_machine_has_a_source() -> None:
    entries = tomllib.loads(_TABLE.read_text("utf-8"))["machine"]
    assert all(entry["source"] and entry["page_size"] for entry in entries)
    names = [name for entry in entries for name in (entry["name"], *entry.get("known_as", ()))]
    assert len(names) == len(set(names))


LIBC = "lib/aarch64-linux-gnu/libc.so.6"


def started(app: bytes, libc: bytes) -> list[CheckResult]:
    files = {"app": app, "lib/ld-linux-aarch64.so.1": elf(soname="ld-linux-aarch64.so.1"), LIBC: libc}
    parts = Parts((layer(files),), entrypoint=("/app",))
    return [entry for entry in verify_image(MemoryImage(parts)).results if entry.check == "entrypoint"]


def program(*versions: str) -> bytes:
    return elf(interpreter=LOADERS["arm64"], needed=("libc.so.6",), wants={"libc.so.6": versions})


def test_a_c_library_that_is_too_old_is_told_as_the_loader_would() -> None:
    (found,) = started(program("GLIBC_2.17", "GLIBC_2.34"), elf(soname="libc.so.6", offers=("GLIBC_2.9", "GLIBC_2.31")))
    assert found.status is Status.FAILED
    assert found.message == f"/app needs GLIBC_2.34 of libc.so.6, and /{LIBC} has none newer than GLIBC_2.31"


@pytest.mark.parametrize("offers", [("GLIBC_2.17", "GLIBC_2.34"), ()])
def test_a_library_that_has_the_versions_or_none_at_all(offers: tuple[str, ...]) -> None:
    (found,) = started(program("GLIBC_2.34"), elf(soname="libc.so.6", offers=offers))
    assert found.status is Status.PASSED
