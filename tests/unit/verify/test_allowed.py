"""Exceptions that a project's configuration names: skipped with the project's reason, and nothing else is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from made_images import ARM64, MemoryImage, Parts, elf, layer

from crossdock.config import Allowed
from crossdock.verify.image import verify_image
from crossdock.verify.model import CheckResult, Status, VerifyResult
from crossdock.verify.remembered import Remembered
from crossdock.verify.root import verify_root

VENDOR = Allowed("opt/vendor/**", "sold for amd64 only")


def verify(files: dict[str, bytes], *allow: Allowed) -> VerifyResult:
    return verify_image(MemoryImage(Parts((layer({"app": elf(), **files}),), ("/app",))), allow=allow)


def told(result: VerifyResult, status: Status) -> list[CheckResult]:
    return [entry for entry in result.results if entry.check == "binaries" and entry.status is status]


def test_what_is_allowed_is_skipped_with_the_reason() -> None:
    files = {"opt/vendor/bin/a": elf("amd64"), "opt/vendor/lib/b.so": elf("amd64")}
    assert not verify(files).passed
    result = verify(files, VENDOR)
    assert result.passed
    (skipped,) = told(result, Status.SKIPPED)
    assert skipped.message == (
        "allowed by this project's configuration, sold for amd64 only: /opt/vendor/bin/a and 1 more"
    )
    (passed,) = told(result, Status.PASSED)
    assert passed.message == "1 binary for arm64, none that is not (but 2 that this project allows)"


def test_what_is_elsewhere_still_fails() -> None:
    result = verify({"opt/vendor/a": elf("amd64"), "srv/a": elf("amd64")}, VENDOR)
    assert [entry.path for entry in told(result, Status.FAILED)] == ["/srv/a"]


def test_an_entrypoint_is_never_allowed_to_be_wrong() -> None:
    image = MemoryImage(Parts((layer({"opt/vendor/a": elf("amd64")}),), ("/opt/vendor/a",)))
    result = verify_image(image, allow=(VENDOR,))
    assert [entry.check for entry in result.results if entry.status is Status.FAILED] == ["entrypoint"]


@pytest.mark.parametrize("pattern", ["*.jar", "opt/a.jar", "opt/a.jar!/x/b.so", "/opt/", "b.so"])
def test_a_package_is_allowed_with_all_that_is_in_it(pattern: str) -> None:
    assert verify({"opt/a.jar": jar("x/b.so", elf("amd64"))}, Allowed(pattern, "r")).passed
    assert not verify({"opt/a.jar": jar("x/b.so", elf("amd64"))}, Allowed("other/*.jar", "r")).passed


def jar(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


def test_a_root_file_system_has_the_same_exceptions(tmp_path: Path) -> None:
    (tmp_path / "opt/vendor").mkdir(parents=True)
    (tmp_path / "opt/vendor/a").write_bytes(elf("amd64"))
    assert not verify_root(tmp_path, ARM64).passed
    assert verify_root(tmp_path, ARM64, allow=(VENDOR,)).passed


def test_a_result_is_remembered_for_its_exceptions_only(tmp_path: Path) -> None:
    memory = Remembered(tmp_path)
    result = verify({"opt/vendor/a": elf("amd64")}, VENDOR)
    memory.keep(result, (ARM64,), None, (VENDOR,))
    assert memory.find(result.digest, (ARM64,), None, (VENDOR,))
    assert memory.find(result.digest, (ARM64,), None) is None
    assert memory.find(result.digest, (ARM64,), None, (Allowed("opt/vendor/**", "other"),)) is None
