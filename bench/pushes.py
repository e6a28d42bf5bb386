"""Pushing one big OCI archive into an empty registry: crossdock and its peers."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from pathlib import Path

from contest import Contestant, Environment, empty_home, fetch, print_row, run
from images import MEGABYTE, Archive, make_archive
from peers import Program
from servers import registry

PUSHED = "team/service:1.0"


def push(options: argparse.Namespace, work: Path, programs: dict[str, Program]) -> None:
    needed, free = 5 * options.size * MEGABYTE, shutil.disk_usage(work).free
    if free < needed:
        raise SystemExit(
            f"{work.parent} has {free / 1e9:.1f} GB free, and pushing {options.size} MB needs {needed / 1e9:.1f} GB; "
            "choose another folder with --folder, or a smaller --size"
        )
    archive = make_archive(work, options.size * MEGABYTE)
    contestants = push_contestants(options, archive, programs)
    present = [contestant for contestant in contestants if not contestant.missing]
    times: dict[str, list[float]] = {contestant.name: [] for contestant in present}
    # The first run is not counted: until caches and disk have settled it takes up to three times as long.
    for counted in [False, *[True] * options.runs]:
        for contestant in present:
            with registry(work / "registry") as host, empty_home(work) as env:
                # What the last one left to be written must not slow this one down.
                os.sync()
                began = time.perf_counter()
                contestant.work(env, host)
                if counted:
                    times[contestant.name].append(time.perf_counter() - began)
                check_pushed(contestant, host, archive)
    print(f"\npush: {archive.size / 1e6:,.0f} MB, two platforms with four layers each, {options.runs} runs")
    print(f"  {'':36} {'seconds':>9}   crossdock's time is")
    for contestant in contestants:
        print_row(contestant, times, contestant.goal, least=False)


def push_contestants(options: argparse.Namespace, archive: Archive, programs: dict[str, Program]) -> list[Contestant]:
    """crossdock first: the others are compared with it."""

    def crossdock(env: Environment, host: str) -> bytes:
        return run([*options.crossdock, "push", str(archive.archive), f"{host}/{PUSHED}"], env)

    def crane(env: Environment, host: str) -> bytes:
        return run([*programs["crane"].command, "push", "--insecure", str(archive.layout), f"{host}/{PUSHED}"], env)

    def skopeo(env: Environment, host: str) -> bytes:
        # It unpacks the archive first, and would do so in /var/tmp whatever TMPDIR says.
        program = [*programs["skopeo"].command, "--insecure-policy", "--tmpdir", env["TMPDIR"]]
        copy = ["copy", "--quiet", "--all", "--dest-tls-verify=false"]
        return run([*program, *copy, f"oci-archive:{archive.archive}", f"docker://{host}/{PUSHED}"], env)

    return [
        Contestant("crossdock push", crossdock),
        Contestant("crane push, of the unpacked layout", crane, goal=1.2, missing=programs["crane"].missing),
        Contestant("skopeo copy --all", skopeo, goal=1.2, missing=programs["skopeo"].missing),
    ]


def check_pushed(contestant: Contestant, host: str, archive: Archive) -> None:
    """Raises SystemExit if the registry does not have the archive's image. It takes no manifest whose parts are
    missing, so the index's digest says enough."""
    repository, _, tag = PUSHED.partition(":")
    digest, _ = fetch(host, f"/v2/{repository}/manifests/{tag}")
    if digest != archive.digest:
        raise SystemExit(f"{contestant.name} left {digest} in the registry, not {archive.digest}")
