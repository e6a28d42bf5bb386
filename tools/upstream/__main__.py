"""A stand-in for Docker Hub and GitHub, for machines that reach neither: what the example downloads, from Debian.

``prepare FOLDER`` fetches packages of Debian 12 for amd64 and arm64 from the mirror that apt on this machine is set up
to use, verified by apt against its signed indexes, and lays out below FOLDER

- ``www/``: the programs under the names that their projects publish them by (``tini``, ``tini-arm64``, …);
- ``images/NAME/TAG``: base images of both platforms, each an OCI layout.

``serve FOLDER ANNOUNCE`` serves both on the loopback interface, files by their path and images as a registry, until it
is stopped or its parent ends. It writes its address to the file ANNOUNCE as soon as it answers.

Nothing outside FOLDER is touched: apt works with folders of its own, and this machine's packages and architectures
stay as they are. Needs apt-get, Debian's archive keyring and Python's standard library; no root.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import shutil
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from archive import RELEASE, Apt, Unavailable, mirror, program
from images import Layout, base_layer, store, toolchain_layer
from published import ASSETS
from server import serve

ARCHITECTURES = ("amd64", "arm64")
BASE = ("?essential", "apt", "ca-certificates")
TOOLCHAIN = ("gcc", "libc6-dev", "make", "zlib1g-dev", "curl")


@dataclass(frozen=True)
class Made:
    """The two layers that were made for one architecture."""

    architecture: str
    base: Path
    toolchain: Path


def prepare(folder: Path, say: Callable[[str], None]) -> None:
    """Fill the folder, or leave it as it is when these very scripts have filled it before."""
    scripts = sorted(Path(__file__).parent.glob("*.py"))
    stamp = hashlib.sha256(b"".join(script.read_bytes() for script in scripts)).hexdigest()
    ready = folder / "ready"
    if ready.exists() and ready.read_text() == stamp:
        say("everything is there already")
        return
    address = mirror()
    partial = folder.with_name(folder.name + ".partial")
    for leftover in (partial, folder):
        if leftover.exists():
            shutil.rmtree(leftover)
    partial.mkdir(parents=True)
    try:
        say(f"fetching Debian packages for {' and '.join(ARCHITECTURES)} from {address}")
        # Ctrl-C reaches the workers too; they just end, and this process cleans up.
        with ProcessPoolExecutor(initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_DFL)) as pool:
            made = list(pool.map(functools.partial(_make, partial, address=address), ARCHITECTURES))
        source = f"Debian {RELEASE}, unpacked from packages of {address}"
        base, toolchain = (f"{source}: {', '.join(names)}" for names in (BASE, TOOLCHAIN))
        slim = Layout(partial / "images/debian/12-slim")
        slim.close([slim.image(one.architecture, {base: one.base}) for one in made], "12-slim")
        full = Layout(partial / "images/buildpack-deps/bookworm")
        full.close(
            [full.image(one.architecture, {base: one.base, toolchain: one.toolchain}) for one in made], "bookworm"
        )
        shutil.rmtree(partial / "layers")
        shutil.rmtree(partial / "apt")
        (partial / "ready").write_text(stamp)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"made {len(ASSETS)} published tools and 2 base images for each architecture")


def _make(folder: Path, architecture: str, address: str) -> Made:
    apt = Apt(folder / "apt" / architecture, architecture, address)
    for asset in ASSETS:
        deb = apt.fetch_only(asset.package)
        data = program(deb, asset.member) if asset.member else deb.read_bytes()
        for name in asset.names[architecture]:
            target = folder / "www" / asset.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(asset.pack(name, data))

    essential = apt.fetch(*BASE)
    further = apt.fetch(*BASE, *TOOLCHAIN)
    layers = folder / "layers" / architecture
    seen: set[str] = set()
    sources = f"deb {address} {RELEASE} main\n"
    base, status = store(layers, lambda file: base_layer(file, seen, essential, sources))
    toolchain, _ = store(layers, lambda file: toolchain_layer(file, seen, further, status))
    return Made(architecture, base, toolchain)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="upstream", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("prepare", help="fetch and lay out; does nothing when that was done")
    one.add_argument("folder", type=Path)
    two = verbs.add_parser("serve", help="serve on loopback until stopped")
    two.add_argument("folder", type=Path)
    two.add_argument("announce", type=Path)
    given = parser.parse_args()
    try:
        if given.verb == "prepare":
            prepare(given.folder.resolve(), lambda line: print(f"    {line}", flush=True))
        else:
            serve(given.folder.resolve(), given.announce)
    except (Unavailable, OSError) as problem:
        print(f"upstream: {problem}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
