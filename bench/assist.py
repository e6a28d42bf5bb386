#!/usr/bin/env python3
"""How long arm64 builds take on an x86 machine, natively for amd64, plainly emulated, and assisted; and what they make.

    python bench/assist.py FOLDER [--case NAME]... [--runs N] [--engine buildx|buildah]

Needs root, an emulator registered with the kernel, and what tests/provision installs. FOLDER keeps base images and
sources between runs. Each case is an ordinary Dockerfile; its last RUN is what is measured, in the three ways one after
the other, so that a busy machine slows all of them. Wall time is what the engine says of the step; processor time is
what the shell's `times` says of itself and its children, which does not depend on what else the machine does. Making
the pack is measured once. Then every file of the emulated and the assisted image is compared: ELF files and members of
archives by section, without the sections that name the build.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from daemon import Daemon  # noqa: E402
from debian_image import write_debian_layout  # noqa: E402
from registry import Registry  # noqa: E402

from crossdock.assist.build import build_assisted  # noqa: E402
from crossdock.assist.registration import available  # noqa: E402
from crossdock.engines.choose import choose  # noqa: E402
from crossdock.engines.model import BuildEvent, BuildRequest, StepState  # noqa: E402
from crossdock.image.compression import unpack  # noqa: E402
from crossdock.image.layout import LayoutImage  # noqa: E402
from crossdock.plan.planner import make_plan  # noqa: E402
from crossdock.platforms import AMD64, ARM64, Platform, host_platform  # noqa: E402
from crossdock.process import SystemRunner  # noqa: E402
from crossdock.read.dockerfile import parse  # noqa: E402
from crossdock.source import Source  # noqa: E402

POOL = "http://deb.debian.org/debian/pool/main"
SOURCES = {
    "zlib": f"{POOL}/z/zlib/zlib_1.2.13.dfsg.orig.tar.bz2",
    "lua": f"{POOL}/l/lua5.4/lua5.4_5.4.4.orig.tar.gz",
    "hello": f"{POOL}/h/hello/hello_2.10.orig.tar.gz",
}
TOOLS = "RUN apt-get update && apt-get install -y --no-install-recommends bzip2 gcc g++ libc6-dev make\n"
CASES = {
    "c": f"""FROM base
{TOOLS}COPY zlib lua /src/
ARG NONCE
RUN cd /src && mkdir z l && tar xf zlib -C z --strip-components=1 && tar xf lua -C l --strip-components=1 \\
    && cd z && ./configure && make -j2 && make install && cd ../l && make -j2 linux INSTALL_TOP=/usr install && times
""",
    "autotools": f"""FROM base
{TOOLS}COPY hello /src/
ARG NONCE
RUN cd /src && mkdir h && tar xf hello -C h --strip-components=1 \\
    && cd h && ./configure && make -j2 && make install && times
""",
    "apt": """FROM base
ARG NONCE
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ libc6-dev make python3 && times
""",
    "go": """FROM base
RUN apt-get update && apt-get install -y --no-install-recommends golang-go golang-github-spf13-cobra-dev
ENV GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=/tmp/go CGO_ENABLED=0
RUN mkdir /src && printf 'package main\\nimport ("net/http"; "github.com/spf13/cobra")\\n\\
func serve(*cobra.Command, []string) { http.ListenAndServe(":80", nil) }\\n\\
func main() { (&cobra.Command{Run: serve}).Execute() }\\n' >/src/main.go
ARG NONCE
RUN cd /src && go build -a -ldflags=-buildid= -o /usr/bin/service . && rm -r /tmp/go && times
""",
    "go-cgo": """FROM base
RUN apt-get update && apt-get install -y --no-install-recommends gcc golang-go libc6-dev \\
    golang-github-mattn-go-sqlite3-dev
ENV GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=/tmp/go
RUN mkdir /src && printf 'package main\\nimport ("database/sql"; _ "github.com/mattn/go-sqlite3")\\n\\
func main() { base, _ := sql.Open("sqlite3", ":memory:"); base.Ping() }\\n' >/src/main.go
ARG NONCE
RUN cd /src && go build -a -ldflags=-buildid= -o /usr/bin/service . && rm -r /tmp/go && times
""",
}
LEFT_OUT = {".comment", ".note.gnu.build-id", ".gnu_debuglink"}
"""Sections that say who built, with the very version of the compiler's package, and no more."""
VOLATILE = re.compile(r"var/(log|cache|lib/apt/lists)/|etc/hosts$|run/|.*\.log$|.*/config\.(log|status)$")
"""Logs and caches with times in them."""


@dataclass
class Measured:
    """One build. Seconds."""

    layout: Path
    wall: float = 0.0
    processor: float = 0.0
    pack: float = 0.0
    said: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    engine: str
    base: str
    folder: Path

    def build(self, case: str, platform: Platform, nonce: str, work: Path, *, assist: bool) -> Measured:
        context = self.folder / "sources"
        text = CASES[case].replace("FROM base", f"FROM {self.base}").encode()
        runner, host = SystemRunner(), host_platform()
        able = available((platform,), host, runner)
        assert not assist or able.platforms, able.missing
        plan = make_plan(
            parse(Source("Dockerfile", text)), (platform,), host=host,
            assisted=able.platforms if assist else frozenset(),
        )  # fmt: skip
        request = BuildRequest(context, text, b"", (platform,), build_args=(f"NONCE={nonce}",), network="host")
        found = Measured(work / "none")
        began: dict[str, float] = {}

        def see(event: BuildEvent) -> None:
            last = event.name.startswith("RUN") and "times" in event.name
            if event.state is StepState.STARTED:
                began[event.step] = time.monotonic()
            if last and event.state is StepState.OUTPUT:
                found.said.append(event.text)
            if event.state is StepState.DONE:
                taken = event.seconds if event.seconds is not None else time.monotonic() - began[event.step]
                if last:
                    found.wall = taken
                elif "make-pack" in event.name:
                    found.pack = taken

        work.mkdir()
        engine = choose(self.engine, runner)
        say = lambda text: print(f"  {text}", file=sys.stderr)  # noqa: E731
        found.layout = build_assisted(engine, request, plan, work, runner, see, say, host=host)
        found.processor = processor_seconds(found.said)
        return found


def processor_seconds(lines: list[str]) -> float:
    """What ``times`` printed: minutes and seconds of the shell and of its children, user and system."""
    found = [re.findall(r"(\d+)m([\d.]+)s", line) for line in lines]
    last = [pairs for pairs in found if len(pairs) == 2][-2:]
    return sum(int(minutes) * 60 + float(seconds) for pairs in last for minutes, seconds in pairs)


def files(layout: Path, platform: Platform) -> dict[str, tuple[object, bytes]]:
    """Path → what is known of a file, and its content, of the last layers that a build made."""
    import tarfile

    image = LayoutImage(layout)
    entry = next(one for one in image.index().images if one.platform == platform)
    found: dict[str, tuple[object, bytes]] = {}
    for layer in image.manifest(entry).layers[2:]:
        with image.open(layer) as packed, tempfile.TemporaryFile() as plain:
            for chunk in unpack(packed, layer.digest)[1]:
                plain.write(chunk)
            plain.seek(0)
            with tarfile.open(fileobj=plain) as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.isreg() else None
                    facts = (member.type, member.mode, member.uid, member.gid, member.linkname)
                    found[member.name] = (facts, file.read() if file else b"")
    return found


def parts(data: bytes) -> object:
    """What counts of a file's content: sections of ELF files, members of archives; else all of it."""
    if data[:6] == b"\x7fELF\x02\x01":
        return {name: content for name, content in sections(data) if name not in LEFT_OUT}
    if data[:8] == b"!<arch>\n":
        return [parts(member) for member in members(data)]
    return data


def sections(data: bytes) -> Iterator[tuple[str, bytes]]:
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names = struct.unpack_from("<HH", data, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table + 64 * index) for index in range(count)]
    for name, kind, _, _, offset, size, *_ in headers:
        at = headers[names][4] + name
        # Offsets of sections behind those left out differ, so the names' table is none of the content.
        if kind not in (0, 8):
            yield data[at : data.index(b"\0", at)].decode(), data[offset : offset + size]


def members(data: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(data):
        size = int(data[at + 48 : at + 58])
        # The index of symbols tells where members begin, which depends on the length of what is left out of them.
        if data[at : at + 16].strip() != b"/":
            yield data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2


def compare(one: Path, other: Path) -> tuple[int, list[str]]:
    """How many files there are, and what differs, in words."""
    before, after = files(one, ARM64), files(other, ARM64)
    differing = [f"{name}: only in one" for name in sorted(before.keys() ^ after.keys()) if not VOLATILE.match(name)]
    for name in sorted(before.keys() & after.keys()):
        if before[name] == after[name] or VOLATILE.match(name):
            continue
        left, right = parts(before[name][1]), parts(after[name][1])
        if before[name][0] == after[name][0] and left == right:
            continue
        which = ""
        if isinstance(left, dict) and isinstance(right, dict):
            which = " in " + ", ".join(
                sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))
            )
        differing.append(name + which)
    return len(after), differing


@contextlib.contextmanager
def bench(folder: Path, engine: str) -> Iterator[Bench]:
    """Base image, sources, a registry and an engine of its own."""
    if not (folder / "debian/layout/index.json").exists():
        write_debian_layout(folder / "debian")
    (folder / "sources").mkdir(exist_ok=True)
    for name, address in SOURCES.items():
        if not (folder / "sources" / name).exists():
            urllib.request.urlretrieve(address, folder / "sources" / name)
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as running:
        registry = running.enter_context(Registry(Path(place) / "registry"))
        base = f"{registry.host}/debian:latest"
        copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
        subprocess.run([*copy, f"oci:{folder}/debian/layout:latest", f"docker://{base}"], check=True)
        if engine == "buildx":
            daemon = running.enter_context(Daemon(Path(place) / "docker", containerd=True))
            os.environ |= {"DOCKER_HOST": daemon.host, "BUILDX_CONFIG": f"{place}/buildx"}
        else:
            (Path(place) / "registries.conf").write_text(
                f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n'
            )
            os.environ["CONTAINERS_REGISTRIES_CONF"] = f"{place}/registries.conf"
        yield Bench(engine, base, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--engine", choices=("buildx", "buildah"), default="buildx")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    ways = {"native": (AMD64, False), "assisted": (ARM64, True), "emulated": (ARM64, False)}
    with bench(folder, given.engine) as setup, tempfile.TemporaryDirectory() as work:
        for case in given.case or CASES:
            results: dict[str, list[Measured]] = {way: [] for way in ways}
            for run in range(given.runs):
                for way, (platform, assist) in ways.items():
                    place = Path(work) / f"{case}-{run}-{way}"
                    measured = setup.build(case, platform, f"{os.getpid()}-{run}", place, assist=assist)
                    results[way].append(measured)
                    print(f"{case} {way}: {measured.wall:.1f} s, processor {measured.processor:.1f} s", flush=True)
            report(case, results)


def report(case: str, results: dict[str, list[Measured]]) -> None:
    def ratio(way: str, to: str, what: str) -> float:
        pairs = zip(results[way], results[to], strict=True)
        return statistics.median(getattr(a, what) / (getattr(b, what) or 0.001) for a, b in pairs)

    for what in ("wall", "processor"):
        print(
            f"{case} {what}: assisted is {ratio('assisted', 'native', what):.2f} × native, "
            f"{ratio('emulated', 'assisted', what):.1f} × faster than emulated"
        )
    if pack := max(one.pack for one in results["assisted"]):
        print(f"{case} making the pack, once: {pack:.1f} s")
    count, differing = compare(results["emulated"][0].layout, results["assisted"][0].layout)
    print(f"{case} files: {count}, differing: {len(differing)}", *differing[:40], sep="\n  ", flush=True)


if __name__ == "__main__":
    main()
