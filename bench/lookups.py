"""Which platforms has each of many tags: crossdock, its peers and the limit, from a registry that is far away."""

from __future__ import annotations

import argparse
import json
import random
import shlex
import time
from pathlib import Path

from contest import ACCEPTED, Contestant, Environment, empty_home, fetch, print_row, run
from images import Tagged, fill
from peers import Program
from servers import registry, relay

LATENCY = 50.0
"""Milliseconds a request for which the goals are meant."""


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
    documents = json.loads(run(command, env)), json.loads(fetch(host, image.paths[0])[1])
    if documents[0] != documents[1]:
        raise SystemExit(f"{shlex.join(command)} printed another document than the registry has")


def check_platforms(answer: bytes, images: list[Tagged]) -> None:
    """Raises SystemExit if `crossdock platforms --format json` did not say what is right of every image."""
    try:
        said = json.loads(answer)["images"]
        got = [(image["reference"], image["digest"], sorted(image["platforms"]), image["error"]) for image in said]
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(
            f"crossdock answered {answer[:500]!r}, which is not crossdock.platforms/v1: {error!r}"
        ) from None
    if len(got) != len(images):
        raise SystemExit(f"crossdock answered for {len(got)} images of {len(images)}")
    for (reference, *facts), image in zip(got, images, strict=True):
        expected = [image.digest, sorted(image.platforms), None]
        if facts != expected or not reference.endswith(f"/{image.name}"):
            raise SystemExit(f"crossdock said of {image.name}: {reference}, {facts}; right is {expected}")
