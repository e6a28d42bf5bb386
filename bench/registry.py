#!/usr/bin/env python3
"""How quickly crossdock asks a registry and pushes to it, beside crane, skopeo, docker buildx and curl.

    python bench/registry.py [lookups|push|all] [--runs N] [--latency MS] [--tags N] [--size MB]

Both parts use a `docker-registry` of their own on this machine. All contestants are whole processes, without the
user's logins and settings. In each run all of them take their turn, so that a busy machine slows all of them; the
median of the runs' ratios is the figure.

lookups: which platforms has each of N tags? Half of them are indexes of two platforms, half single manifests, whose
config has to be read as well. A relay makes every request take MS milliseconds longer. `crossdock platforms` is asked
for all tags at once and knows nothing yet; each of its answers is checked. The peers only fetch the manifest, which is
less: crane, skopeo and buildx once per image, for some of the tags; crane by `xargs -P 16` for all. The limit is one
curl that knows every address beforehand and fetches the same bytes by 50 connections. The goals at 50 ms are at least
20 times the rate of one process per image, 3 times that of crane by xargs, and half that of curl.

push: an image of two platforms with four layers each, MB megabytes of random bytes in all, into an empty registry,
without latency. crane cannot push an OCI archive and gets the unpacked layout instead. What is in the registry
afterwards is checked. The goal is at most 1.2 times the time of each peer.

It needs docker-registry and five times MB on the disk. A peer that is missing is named and left out.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from lookups import LATENCY, lookups
from peers import Program, find, find_crane
from pushes import push


def find_programs(work: Path) -> dict[str, Program]:
    programs = {
        "crane": find_crane(work),
        "skopeo": find(["skopeo"], "--version", "skopeo"),
        "buildx": find(["docker", "buildx"], "version", "docker-cli docker-buildx"),
        "curl": find(["curl"], "--version", "curl"),
        "xargs": find(["xargs"], "--version", "findutils"),
    }
    for program in programs.values():
        print(f"{program.name:14} {program.version or f'left out: {program.missing}'}")
    return programs


def ended(*_: object) -> None:
    raise SystemExit(143)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["lookups", "push", "all"], default="all")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--latency", type=float, default=LATENCY, metavar="MS", help="of a lookup (default: 50)")
    parser.add_argument("--tags", type=int, default=300, metavar="N", help="to look up (default: 300)")
    parser.add_argument("--sample", type=int, default=20, metavar="N", help="for one process per image (default: 20)")
    parser.add_argument("--size", type=int, default=1024, metavar="MB", help="to push (default: 1024)")
    parser.add_argument(
        "--folder", type=Path, default=Path("/var/tmp"), help="for what is temporary (default: /var/tmp)"
    )
    parser.add_argument(
        "--crossdock",
        type=shlex.split,
        default=[str(Path(sys.executable).with_name("crossdock"))],
        metavar="COMMAND",
        help="default: the one beside this Python",
    )
    options = parser.parse_args()
    if not shutil.which(options.crossdock[0]):
        raise SystemExit(f"{options.crossdock[0]} is not there; install crossdock, or name it with --crossdock")
    signal.signal(signal.SIGTERM, ended)
    # Not in /tmp, which is memory on many machines.
    with tempfile.TemporaryDirectory(prefix="crossdock-bench-", dir=options.folder) as folder:
        work = Path(folder)
        programs = find_programs(work)
        if options.part in {"lookups", "all"}:
            lookups(options, work, programs)
        if options.part in {"push", "all"}:
            push(options, work, programs)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
