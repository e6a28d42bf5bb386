"""--base: what is wrong in the base image's layers is told as the base's."""

from __future__ import annotations

import gzip

import pytest
from made_images import AMD64, ARM64, MemoryImage, Parts, elf, layer

from crossdock.verify.image import verify_image
from crossdock.verify.model import CheckResult, Status

BELOW = layer({"usr/bin/old": elf("amd64")})
OWN = layer({"app": elf(), "opt/wrong": elf("amd64")})


def repacked(data: bytes) -> bytes:
    return gzip.compress(gzip.decompress(data), 9, mtime=1)


def verify(image: Parts, base: Parts) -> tuple[CheckResult, dict[str, str]]:
    """What is said of the base, and what is said to have brought each wrong file."""
    results = verify_image(MemoryImage(image), base=MemoryImage(base)).results
    (said,) = [entry for entry in results if entry.check == "base"]
    return said, {entry.path: entry.created_by for entry in results if entry.status is Status.FAILED}


@pytest.mark.parametrize("below", [BELOW, repacked(BELOW)])
def test_files_of_the_base_are_told_apart(below: bytes) -> None:
    said, brought = verify(Parts((below, OWN), ("/app",)), Parts((BELOW,)))
    assert (said.status, said.message) == (Status.PASSED, "the first 1 of 2 layers are those of memory")
    assert brought == {"/usr/bin/old": "the base image memory (COPY layer0)", "/opt/wrong": "COPY layer1"}


def test_without_history_the_base_is_still_named() -> None:
    _, brought = verify(Parts((BELOW, OWN), ("/app",), created_by=("RUN x",)), Parts((BELOW,)))
    assert brought == {"/usr/bin/old": "the base image memory", "/opt/wrong": ""}


def test_another_state_of_the_base_is_not_taken_for_it() -> None:
    newer = layer({"usr/bin/new": elf()})
    said, brought = verify(Parts((BELOW, OWN), ("/app",)), Parts((newer,)))
    assert said.status is Status.SKIPPED
    assert "not built on memory as that is now" in said.message
    assert brought["/usr/bin/old"] == "COPY layer0"


def test_a_base_that_is_longer_is_none() -> None:
    said, _ = verify(Parts((OWN,), ("/app",)), Parts((OWN, BELOW)))
    assert said.status is Status.SKIPPED


def test_a_base_without_the_platform_is_said() -> None:
    said, _ = verify(Parts((BELOW, OWN), ("/app",), platform=ARM64), Parts((BELOW,), platform=AMD64))
    assert said.message == "memory has no linux/arm64, so nothing is told apart as its own"
