#!/usr/bin/env python3
"""How long reading a layer takes, as a multiple of decompressing it and doing nothing.

    python bench/verify.py [FOLDER...] [--runs N]

The folders (by default /usr/bin and /usr/lib of this machine) become one layer, packed with gzip and with zstd. Each
run reads it as `crossdock verify` does (every header, every ELF file's dynamic section, the members of packages), and
decompresses it with the same library, with `gzip -dc` and, where it is installed, with `igzip -dc` or `zstd -dc`; in
turn, so that a busy machine slows all of them. The median of the pairs' ratios is the figure. The goal is at most 1.15
of the library alone.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from crossdock.image.compression import unpack
from crossdock.image.model import OCI_LAYER, Descriptor
from crossdock.verify.contents import read_layer
from crossdock.verify.filesystem import FileSystem


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def pack(folders: list[Path], work: Path) -> tuple[int, dict[str, Path]]:
    plain = work / "layer.tar"
    with tarfile.open(plain, "w") as tar:
        for folder in folders:
            tar.add(folder, str(folder).lstrip("/"))
    found = {}
    for name, command in (("gzip", ["gzip", "-6", "-k"]), ("zstd", ["zstd", "-q", "-3"])):
        if shutil.which(name):
            subprocess.run([*command, str(plain)], check=True)
            found[name] = plain.with_suffix(".tar.gz" if name == "gzip" else ".tar.zst")
    size = plain.stat().st_size
    plain.unlink()
    return size, found


def scan(path: Path, descriptor: Descriptor) -> None:
    with path.open("rb") as file:
        FileSystem().add(read_layer(file, descriptor))


def decompress(path: Path) -> None:
    with path.open("rb") as file:
        for _ in unpack(file, str(path))[1]:
            pass


def digest(path: Path) -> None:
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("/usr/bin"), Path("/usr/lib")])
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossdock-bench-") as work:
        size, layers = pack(options.folders, Path(work))
        for name, path in layers.items():
            descriptor = Descriptor(f"{OCI_LAYER}+{name}", "sha256:bench", path.stat().st_size)
            others = [tool for tool in (name, "igzip" if name == "gzip" else "") if tool and shutil.which(tool)]
            tasks: dict[str, Callable[[], object]] = {
                "crossdock": lambda path=path, descriptor=descriptor: scan(path, descriptor),
                "library alone": lambda path=path: decompress(path),
                "sha256 alone": lambda path=path: digest(path),
            }
            for tool in others:
                command = [tool, "-dc", str(path)]
                tasks[f"{tool} -dc"] = lambda command=command: subprocess.run(
                    command, stdout=subprocess.DEVNULL, check=True
                )
            times: dict[str, list[float]] = {task: [] for task in tasks}
            for _ in range(options.runs):
                for task, work_ in tasks.items():
                    times[task].append(seconds(work_))
            print(f"{name}: {size / 1e6:,.0f} MB packed to {descriptor.size / 1e6:,.0f} MB, {options.runs} runs")
            for task, taken in times.items():
                ratio = statistics.median(mine / other for mine, other in zip(times["crossdock"], taken, strict=True))
                middle = statistics.median(taken)
                print(
                    f"  {task:14} {middle:7.2f} s {size / middle / 1e6:8,.0f} MB/s   crossdock takes {ratio:.2f} of it"
                )


if __name__ == "__main__":
    main()
