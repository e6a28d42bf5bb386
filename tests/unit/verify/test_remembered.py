"""Results that are kept by digest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_images import AMD64, ARM64, MemoryImage, Parts, elf, layer

from crossdock.verify import remembered
from crossdock.verify.image import verify_image
from crossdock.verify.machines import machine_named
from crossdock.verify.remembered import Remembered, default_memory


def test_a_result_comes_back_as_it_was_with_the_time(tmp_path: Path) -> None:
    memory = Remembered(tmp_path / "verified")
    result = verify_image(MemoryImage(Parts((layer({"app": elf("amd64")}),), ("/app",))))
    assert memory.find(result.digest, (ARM64,), None) is None
    memory.keep(result, (ARM64,), None)
    found = memory.find(result.digest, (ARM64,), None)
    assert found
    assert found.remembered.endswith(" UTC")
    assert replace(found, remembered="") == result
    assert not found.passed


def test_it_counts_for_the_same_question_and_code_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Remembered(tmp_path)
    result = verify_image(MemoryImage(Parts((layer({"app": elf()}),), ("/app",))))
    memory.keep(result, (ARM64,), None)
    assert memory.find(result.digest, (ARM64, AMD64), None) is None
    assert memory.find(result.digest, (ARM64,), machine_named("kunpeng-920")) is None
    assert memory.find("sha256:other", (ARM64,), None) is None
    monkeypatch.setattr(remembered, "_code", lambda: "other")
    assert memory.find(result.digest, (ARM64,), None) is None


def test_what_is_damaged_or_cannot_be_written_is_not_there(tmp_path: Path) -> None:
    memory = Remembered(tmp_path / "file" / "below")
    result = verify_image(MemoryImage(Parts((layer({"app": elf()}),), ("/app",))))
    (tmp_path / "file").write_text("")
    memory.keep(result, (ARM64,), None)
    whole = Remembered(tmp_path)
    whole.keep(result, (ARM64,), None)
    (kept,) = [path for path in tmp_path.iterdir() if path.name != "file"]
    kept.write_bytes(kept.read_bytes()[:-10])
    assert whole.find(result.digest, (ARM64,), None) is None
    assert default_memory({}) is None
