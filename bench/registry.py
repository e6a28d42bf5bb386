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
import contextlib
import http.client
import json
import os
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from images import INDEX, MANIFEST, MEGABYTE, Archive, Tagged, fill, make_archive
from peers import Program, environment, find, find_crane
from servers import registry, relay

LATENCY = 50.0
"""Milliseconds for which the goals of lookups are meant."""

ACCEPTED = f"{INDEX}, {MANIFEST}"

Environment = dict[str, str]


@dataclass(frozen=True)
class Contestant:
    """One way to do the work."""

    name: str
    work: Callable[[Environment, str], bytes]
    """What is timed; gets the registry's ``HOST:PORT``. Its answer goes to ``check``."""
    check: Callable[[bytes], None] = lambda _: None
    """Raises SystemExit if the answer is wrong. Most programs' exit code says enough."""
    images: int = 1
    """How many images the work is about."""
    goal: float | None = None
    """What crossdock's ratio to it should be: of rates at least, of times at most."""
    missing: str = ""
    """Why it is left out."""


def run(command: Sequence[str], env: Environment, said: str = "", accepted: Sequence[int] = (0,)) -> bytes:
    """Run a program and return its standard output. Raises SystemExit if it fails; interrupted, ends all of it."""
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.PIPE if said else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, errors = process.communicate(said.encode() or None)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode not in accepted:
        raise SystemExit(
            f"{shlex.join(command)} ended with {process.returncode}:\n{errors.decode(errors='replace').strip()}"
        )
    return out


@contextlib.contextmanager
def empty_home(work: Path) -> Iterator[Environment]:
    with tempfile.TemporaryDirectory(prefix="home-", dir=work) as home:
        yield environment(Path(home), dict(os.environ))


# --- lookups ---------------------------------------------------------------------------------------------------------


def lookups(options: argparse.Namespace, work: Path, programs: dict[str, Program]) -> None:
    with registry(work / "registry") as near:
        images = fill(near, options.tags)
        with relay(near, options.latency, work / "relay") as far:
            contestants = lookup_contestants(options, images, programs)
            present = [contestant for contestant in contestants if not contestant.missing]
            with empty_home(work) as env:
                for name in ("crane", "skopeo", "buildx"):
                    check_peer(programs[name], images[0], near, env)
            times: dict[str, list[float]] = {contestant.name: [] for contestant in present}
            for _ in range(options.runs):
                # One home for all, which is empty at the beginning of a run: only crossdock is asked twice.
                with empty_home(work) as env:
                    for contestant in present:
                        began = time.perf_counter()
                        answer = contestant.work(env, far)
                        times[contestant.name].append(time.perf_counter() - began)
                        contestant.check(answer)
    indexes = sum(len(image.platforms) > 1 for image in images)
    singles = len(images) - indexes
    print(
        f"\nlookups: {len(images)} tags ({indexes} indexes, {singles} single manifests), "
        f"{options.latency:g} ms a request, {options.runs} runs"
    )
    rates = {
        contestant.name: [contestant.images / seconds for seconds in times[contestant.name]] for contestant in present
    }
    print(f"  {'':36} {'images/s':>9}   crossdock's rate is")
    for contestant in contestants:
        goal = contestant.goal if options.latency == LATENCY else None
        print_row(contestant, rates, goal, least=True)


def lookup_contestants(
    options: argparse.Namespace, images: list[Tagged], programs: dict[str, Program]
) -> list[Contestant]:
    """crossdock first: the others are compared with it."""
    some = random.Random(len(images)).sample(images, min(options.sample, len(images)))

    def crossdock(env: Environment, host: str) -> bytes:
        # 1: some image has no arm64, which is so here.
        references = "".join(f"{host}/{image.name}\n" for image in images)
        return run([*options.crossdock, "platforms", "--format", "json", "-"], env, references, (0, 1))

    def one_per_image(name: str, program: Program) -> Contestant:
        def work(env: Environment, host: str) -> bytes:
            for image in some:
                run(peer_lookup(program, f"{host}/{image.name}"), env)
            return b""

        return Contestant(name, work, images=len(some), goal=20, missing=program.missing)

    def by_xargs(env: Environment, host: str) -> bytes:
        command = ["xargs", "-P", "16", "-n", "1", *programs["crane"].command, "manifest", "--insecure"]
        return run(command, env, "".join(f"{host}/{image.name}\n" for image in images))

    def curl(env: Environment, host: str) -> bytes:
        addresses = [f'url = "http://{host}{path}"\noutput = /dev/null\n' for image in images for path in image.paths]
        parallel = ["--parallel", "--parallel-immediate", "--parallel-max", "50"]
        reported = ["--fail", "--silent", "--show-error", "--write-out", "%{size_download}\n"]
        command = [*programs["curl"].command, "-q", *parallel, *reported, "-H", f"Accept: {ACCEPTED}", "--config", "-"]
        return run(command, env, "".join(addresses))

    def all_fetched(sizes: bytes) -> None:
        got, expected = [int(size) for size in sizes.split()], sum(image.size for image in images)
        if len(got) != sum(len(image.paths) for image in images) or sum(got) != expected:
            raise SystemExit(f"curl fetched {len(got)} documents of {sum(got)} bytes, not all {expected} bytes")

    count = len(images)
    missing = programs["crane"].missing or programs["xargs"].missing
    return [
        Contestant("crossdock platforms", crossdock, lambda answer: check_platforms(answer, images), count),
        Contestant(
            "crossdock platforms, asked again", crossdock, lambda answer: check_platforms(answer, images), count
        ),
        one_per_image("crane, one per image", programs["crane"]),
        one_per_image("skopeo, one per image", programs["skopeo"]),
        one_per_image("docker buildx, one per image", programs["buildx"]),
        Contestant("crane, xargs -P 16", by_xargs, images=count, goal=3, missing=missing),
        Contestant("curl, 50 connections", curl, all_fetched, count, 0.5, programs["curl"].missing),
    ]


def peer_lookup(program: Program, reference: str) -> list[str]:
    """The command that writes an image's manifest as it is."""
    arguments = {
        "crane": ["manifest", "--insecure", reference],
        "skopeo": ["inspect", "--raw", "--tls-verify=false", f"docker://{reference}"],
        "docker buildx": ["imagetools", "inspect", "--raw", reference],
    }
    return [*program.command, *arguments[program.name]]


def check_peer(program: Program, image: Tagged, host: str, env: Environment) -> None:
    """Raises SystemExit if a peer's answer is not the document that it is measured with."""
    if program.missing:
        return
    command = peer_lookup(program, f"{host}/{image.name}")
    documents = json.loads(run(command, env)), json.loads(request(host, "GET", image.paths[0])[1])
    if documents[0] != documents[1]:
        raise SystemExit(f"{shlex.join(command)} printed another document than the registry has")


def check_platforms(answer: bytes, images: list[Tagged]) -> None:
    """Raises SystemExit if `crossdock platforms --format json` did not say what is right of every image."""
    said = json.loads(answer)["images"]
    if len(said) != len(images):
        raise SystemExit(f"crossdock answered for {len(said)} images of {len(images)}")
    for given, image in zip(said, images, strict=True):
        expected = {"digest": image.digest, "platforms": sorted(image.platforms), "error": None}
        got = {"digest": given["digest"], "platforms": sorted(given["platforms"]), "error": given["error"]}
        if got != expected or not given["reference"].endswith(f"/{image.name}"):
            raise SystemExit(f"crossdock said of {image.name}: {given}\nright is: {expected}")


# --- push ------------------------------------------------------------------------------------------------------------


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
    for _ in range(options.runs):
        for contestant in present:
            with registry(work / "registry") as host, empty_home(work) as env:
                # What the last one left to be written must not slow this one down.
                os.sync()
                began = time.perf_counter()
                contestant.work(env, host)
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
        copy = ["--insecure-policy", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
        command = [*programs["skopeo"].command, *copy, f"oci-archive:{archive.archive}", f"docker://{host}/{PUSHED}"]
        return run(command, env)

    return [
        Contestant("crossdock push", crossdock),
        Contestant("crane push, of the unpacked layout", crane, goal=1.2, missing=programs["crane"].missing),
        Contestant("skopeo copy --all", skopeo, goal=1.2, missing=programs["skopeo"].missing),
    ]


PUSHED = "team/service:1.0"


def check_pushed(contestant: Contestant, host: str, archive: Archive) -> None:
    """Raises SystemExit if the registry does not have the archive's image. It takes no manifest whose parts are
    missing, so the index's digest says enough."""
    repository, _, tag = PUSHED.partition(":")
    digest, _ = request(host, "GET", f"/v2/{repository}/manifests/{tag}")
    if digest != archive.digest:
        raise SystemExit(f"{contestant.name} left {digest} in the registry, not {archive.digest}")


# --- both ------------------------------------------------------------------------------------------------------------


def request(host: str, method: str, path: str) -> tuple[str, bytes]:
    """A manifest's digest, and the manifest. Raises SystemExit if the registry does not have it."""
    connection = http.client.HTTPConnection(host, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, headers={"Accept": ACCEPTED})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise SystemExit(f"the registry answered {method} {path} with {response.status}: {content.decode()}")
        return response.headers["Docker-Content-Digest"], content


def print_row(contestant: Contestant, figures: dict[str, list[float]], goal: float | None, *, least: bool) -> None:
    """One line of a table: the median, and the median ratio of crossdock's figure (the first) to it."""
    if contestant.missing:
        print(f"  {contestant.name:36} left out: {contestant.missing}")
        return
    own, mine = figures[contestant.name], next(iter(figures.values()))
    line = f"  {contestant.name:36} {statistics.median(own):9.2f}"
    if contestant.name.startswith("crossdock"):
        print(line)
        return
    ratios = sorted(first / other for first, other in zip(mine, own, strict=True))
    ratio = statistics.median(ratios)
    line += f"   {ratio:6.2f} of it (from {ratios[0]:.2f} to {ratios[-1]:.2f}"
    if goal is not None:
        reached = ratio >= goal if least else ratio <= goal
        line += f"; goal: at {'least' if least else 'most'} {goal:g}, {'reached' if reached else 'MISSED'}"
    print(f"{line})")


def find_programs(work: Path) -> dict[str, Program]:
    programs = {
        "crane": find_crane(work),
        "skopeo": find("skopeo", ["--version"], "skopeo"),
        "buildx": find("docker buildx", ["version"], "docker-cli docker-buildx", "docker", "buildx"),
        "curl": find("curl", ["--version"], "curl"),
        "xargs": find("xargs", ["--version"], "findutils"),
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
