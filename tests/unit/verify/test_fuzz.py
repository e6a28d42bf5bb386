"""Damaged files, layers and documents: 20,000 of the million that bench/fuzz.py reads."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from made_images import LOADERS, elf, go

INPUTS = 20_000


@pytest.fixture(scope="module")
def fuzz(bench_program: Callable[[str], ModuleType]) -> ModuleType:
    return bench_program("fuzz")


def test_nothing_crashes_or_takes_memory_without_bound(fuzz: ModuleType) -> None:
    wants = {"libc.so.6": ("GLIBC_2.34",), "libm.so.6": ("GLIBC_2.29",)}
    program = elf(
        interpreter=LOADERS["arm64"], needed=("libc.so.6",), wants=wants, offers=("X_1",), gap=500, apart=True
    )
    files = [("usr/bin/app", program), ("usr/bin/go", go("GOARM64=v8.1,lse")), ("opt/x.o", elf("amd64", kind=1))]
    before = fuzz.peak()
    report = fuzz.fuzz(fuzz.made_seeds(files), INPUTS, 7)
    assert report.crashes == []
    assert report.inputs == INPUTS
    assert report.slowest < 2
    assert fuzz.peak() - before < 100 << 20
    assert min(report.kinds[kind] for kind in ("file", "layer", "layer, refused", "document", "document, refused")) > 50
