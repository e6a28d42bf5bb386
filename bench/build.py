#!/usr/bin/env python3
"""How long arm64 builds take on an x86 machine, natively for amd64, plainly emulated, and by crossdock; what they make.

    python bench/build.py FOLDER [--case NAME]... [--runs N] [--engine buildx|buildah] [--json FILE] [--trace NAME]

Needs root, an emulator registered with the kernel, and what tests/provision installs. FOLDER keeps base images and
sources between runs; sources are those of Debian's archive, by the settings of this machine's apt. Each case is an
ordinary Dockerfile; its last RUN is what is measured, in the three ways one after the other, so that a busy machine
slows all of them. Wall time is what the engine says of the step; processor time is what the shell's `times` says of
itself and its children, which does not depend on what else the machine does. Ratios are medians over pairs of one run.
Making the pack is measured once. Then every file of the emulated and the assisted image is compared, as by
`crossdock build --prove`. The end is a table in Markdown.

`--trace NAME` builds one case with crossdock alone and lists which programs were still emulated, with the number of
their starts and their processor time, as perf(1) has seen them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests/integration"), str(ROOT / "tools/upstream")]

import archive  # noqa: E402
import still_emulated  # noqa: E402
from daemon import Daemon  # noqa: E402
from debian_image import write_debian_layout  # noqa: E402
from registries import MOUNTS, write_settings  # noqa: E402
from registry import Registry  # noqa: E402

from crossdock.assist.build import build_assisted  # noqa: E402
from crossdock.assist.registration import available  # noqa: E402
from crossdock.engines.choose import choose  # noqa: E402
from crossdock.engines.model import BuildEvent, BuildRequest, StepState  # noqa: E402
from crossdock.image.layout import LayoutImage  # noqa: E402
from crossdock.plan.planner import make_plan  # noqa: E402
from crossdock.platforms import AMD64, ARM64, Platform, host_platform  # noqa: E402
from crossdock.process import SystemRunner  # noqa: E402
from crossdock.read.dockerfile import parse  # noqa: E402
from crossdock.source import Source  # noqa: E402
from crossdock.verify.compare import compare  # noqa: E402


@dataclass(frozen=True)
class Case:
    """A Dockerfile whose last RUN is measured; ``sources`` are Debian source packages, files of the context."""

    what: str
    text: str
    sources: tuple[str, ...] = ()


def compiled(packages: str, name: str, commands: str) -> str:
    """The Dockerfile of a project that is compiled from its archive, which is unpacked in the measured RUN."""
    return f"""FROM base
RUN apt-get update && apt-get install -y --no-install-recommends {packages}
COPY {name} /src/
ARG NONCE
RUN mkdir /src/d && tar xf /src/{name} -C /src/d --strip-components=1 && cd /src/d && {commands} && times
"""


C = "bzip2 xz-utils gcc g++ libc6-dev make"
CASES = {
    "zlib": Case(
        "zlib: hand-written configure, make", compiled(C, "zlib", "./configure && make -j2 && make install"), ("zlib",)
    ),
    "lua": Case("Lua: make", compiled(C, "lua5.4", "make -j2 linux && make INSTALL_TOP=/usr install"), ("lua5.4",)),
    "redis": Case(
        "Redis: make", compiled(f"{C} pkg-config", "redis", "make -j2 MALLOC=libc && make install"), ("redis",)
    ),
    "nginx": Case(
        "nginx: hand-written configure, make",
        compiled(f"{C} libpcre2-dev zlib1g-dev", "nginx", "./configure && make -j2 && make install"),
        ("nginx",),
    ),
    "sqlite": Case(
        "SQLite: Autotools, Tcl, one large file",
        compiled(f"{C} tcl zlib1g-dev", "sqlite3", "./configure && make -j2 && make install"),
        ("sqlite3",),
    ),
    "jq": Case(
        "jq: autoreconf, configure, libtool",
        compiled(
            f"{C} autoconf automake bison flex libonig-dev libtool",
            "jq",
            "autoreconf -fi && ./configure --disable-docs && make -j2 && make install",
        ),
        ("jq",),
    ),
    "hello": Case(
        "GNU hello: Autotools, little to compile",
        compiled(C, "hello", "./configure && make -j2 && make install"),
        ("hello",),
    ),
    "cmake": Case(
        "googletest: CMake, make",
        compiled(
            f"{C} cmake", "googletest", "cmake -S . -B b -Dgtest_build_samples=ON && make -C b -j2 && make -C b install"
        ),
        ("googletest",),
    ),
    "ninja": Case(
        "fmt: CMake, ninja",
        compiled(f"{C} cmake ninja-build", "fmtlib", "cmake -G Ninja -DFMT_TEST=OFF . && ninja && ninja install"),
        ("fmtlib",),
    ),
    "autoreconf": Case(
        "GNU hello: autoreconf before configure",
        compiled(f"{C} autoconf automake gettext autopoint", "hello", "autoreconf -fi && ./configure && make -j2"),
        ("hello",),
    ),
    "javac": Case(
        "Commons Lang: javac, jar",
        compiled(
            "openjdk-17-jdk-headless xz-utils",
            "libcommons-lang3-java",
            "find src/main/java -name '*.java' >list && javac -encoding UTF-8 -d out @list"
            " && jar --create --date=2024-01-01T00:00:00Z --file /lang3.jar -C out .",
        ),
        ("libcommons-lang3-java",),
    ),
    "maven": Case(
        "Commons Lang: Maven",
        compiled(
            "openjdk-17-jdk-headless maven xz-utils libmaven-resources-plugin-java libmaven-compiler-plugin-java"
            " libmaven-jar-plugin-java libsurefire-java",
            "libcommons-lang3-java",
            "rm -r src/test && printf '%s' '<project>'"
            " '<modelVersion>4.0.0</modelVersion><groupId>g</groupId><artifactId>lang3</artifactId>'"
            " '<version>1</version>'"
            " '<properties><maven.compiler.source>8</maven.compiler.source>'"
            " '<maven.compiler.target>8</maven.compiler.target>'"
            " '<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>'"
            " '<project.build.outputTimestamp>2024-01-01T00:00:00Z</project.build.outputTimestamp></properties>'"
            " '</project>' >pom.xml && mvn -o -B -Dmaven.repo.local=/usr/share/maven-repo package",
        ),
        ("libcommons-lang3-java",),
    ),
    "go": Case(
        "Go: net/http and cobra, without cgo, with the standard library",
        """FROM base
RUN apt-get update && apt-get install -y --no-install-recommends golang-go golang-github-spf13-cobra-dev
ENV GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=/tmp/go CGO_ENABLED=0
RUN mkdir /src && printf 'package main\\nimport ("net/http"; "github.com/spf13/cobra")\\n\\
func serve(*cobra.Command, []string) { http.ListenAndServe(":80", nil) }\\n\\
func main() { (&cobra.Command{Run: serve}).Execute() }\\n' >/src/main.go
ARG NONCE
RUN cd /src && go build -a -ldflags=-buildid= -o /usr/bin/service . && rm -r /tmp/go && times
""",
    ),
    "go-cgo": Case(
        "Go: SQLite through cgo, with the standard library",
        """FROM base
RUN apt-get update && apt-get install -y --no-install-recommends gcc golang-go libc6-dev \\
    golang-github-mattn-go-sqlite3-dev
ENV GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=/tmp/go
RUN mkdir /src && printf 'package main\\nimport ("database/sql"; _ "github.com/mattn/go-sqlite3")\\n\\
func main() { base, _ := sql.Open("sqlite3", ":memory:"); base.Ping() }\\n' >/src/main.go
ARG NONCE
RUN cd /src && go build -a -ldflags=-buildid= -o /usr/bin/service . && rm -r /tmp/go && times
""",
    ),
    "pip-wheels": Case(
        "pip install: four packages as wheels, with what they need",
        f"""FROM base
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip python3-venv
ARG NONCE
ENV PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=315532800
RUN {MOUNTS} python3 -m venv /venv && /venv/bin/pip install --no-cache-dir flask numpy pandas sqlalchemy && times
""",
    ),
    "pip-source": Case(
        "pip install: an extension in C from its source",
        f"""FROM base
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev python3-dev python3-pip
ARG NONCE
ENV PYTHONHASHSEED=0 SOURCE_DATE_EPOCH=315532800
RUN {MOUNTS} pip install --break-system-packages --no-cache-dir --no-build-isolation --no-binary :all: \\
    markupsafe==2.1.5 && times
""",
    ),
    "npm": Case(
        "npm install: four packages of JavaScript, with what they need",
        f"""FROM base
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm
ARG NONCE
WORKDIR /app
RUN {MOUNTS} npm install --cache=/tmp/npm express@4 lodash@4 typescript@5 webpack@5 && times
""",
    ),
    "npm-source": Case(
        "npm install: two addons in C from their source",
        f"""FROM base
RUN apt-get update && apt-get install -y --no-install-recommends g++ libnode-dev make nodejs npm python3
ARG NONCE
WORKDIR /app
RUN {MOUNTS} npm install --cache=/tmp/npm --nodedir=/usr --build-from-source bufferutil@4 utf-8-validate@6 && times
""",
    ),
    "apt": Case(
        "apt-get install: compilers, make, Python",
        """FROM base
ARG NONCE
RUN apt-get update && apt-get install -y --no-install-recommends gcc g++ libc6-dev make python3 && times
""",
    ),
    "apt-large": Case(
        "apt-get install: build-essential, cmake, git, with recommended packages",
        """FROM base
ARG NONCE
RUN apt-get update && apt-get install -y build-essential cmake git && times
""",
    ),
}


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
        text = CASES[case].text.replace("FROM base", f"FROM {self.base}").encode()
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
        say = lambda fallback: print(f"  {fallback}", file=sys.stderr)  # noqa: E731
        found.layout = build_assisted(engine, request, plan, work, runner, see, say, host=host)
        found.processor = processor_seconds(found.said)
        return found


def processor_seconds(lines: list[str]) -> float:
    """What ``times`` printed: minutes and seconds of the shell and of its children, user and system."""
    found = [re.findall(r"(\d+)m([\d.]+)s", line) for line in lines]
    last = [pairs for pairs in found if len(pairs) == 2][-2:]
    return sum(int(minutes) * 60 + float(seconds) for pairs in last for minutes, seconds in pairs)


def compared(before: Path, after: Path) -> tuple[int, list[str]]:
    """How many files there are, and which differences count, as ``crossdock build --prove`` judges."""
    found = compare(LayoutImage(before), LayoutImage(after), ARM64)
    return found.files, [f"{one.path} ({one.nature}: {one.what})" for one in found.differences if one.nature.counts]


def fetch_sources(folder: Path) -> None:
    """The archives that upstream made, as Debian has them, from the archive that apt here uses."""
    wanted = {name for case in CASES.values() for name in case.sources if not (folder / "sources" / name).exists()}
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as place:
        apt = archive.Apt(Path(place) / "apt", "amd64", archive.mirror())
        settings = Path(place) / "apt/etc/sources.list"
        settings.write_text(
            settings.read_text() + settings.read_text().replace("deb ", "deb-src ", 1).replace(" arch=amd64", "")
        )
        apt.get("update")
        apt.get("source", "--download-only", "--only-source", *wanted, cwd=Path(place))
        for name in wanted:
            (found,) = Path(place).glob(f"{name}_*.orig.tar.*[!c]")
            found.rename(folder / "sources" / name)


@contextlib.contextmanager
def bench(folder: Path, engine: str) -> Iterator[Bench]:
    """Base image, sources, a registry and an engine of its own."""
    if not (folder / "debian/layout/index.json").exists():
        write_debian_layout(folder / "debian")
    (folder / "sources").mkdir(exist_ok=True)
    write_settings(folder / "sources")
    fetch_sources(folder)
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


WAYS = {"native": (AMD64, False), "crossdock": (ARM64, True), "emulated": (ARM64, False)}


@dataclass(frozen=True)
class Row:
    """What came out for a case; ratios are medians over pairs, and None where a way was not measured."""

    case: str
    seconds: dict[str, dict[str, float]]
    """Way → wall and processor, medians."""
    to_native: dict[str, float | None]
    gain: dict[str, float | None]
    pack: float
    files: int
    differing: list[str]


def row(case: str, results: dict[str, list[Measured]]) -> Row:
    def ratio(one: str, other: str, what: str) -> float | None:
        pairs = list(zip(results[one], results[other], strict=False))
        return statistics.median(getattr(a, what) / getattr(b, what) for a, b in pairs) if pairs else None

    kinds = ("wall", "processor")
    medians = {
        way: {kind: statistics.median(getattr(one, kind) for one in done) for kind in kinds}
        for way, done in results.items()
        if done
    }
    files, differing = 0, []
    if results["emulated"] and results["crossdock"]:
        files, differing = compared(results["emulated"][0].layout, results["crossdock"][0].layout)
    return Row(
        case,
        medians,
        {kind: ratio("crossdock", "native", kind) for kind in kinds},
        {kind: ratio("emulated", "crossdock", kind) for kind in kinds},
        max((one.pack for one in results["crossdock"]), default=0.0),
        files,
        differing,
    )


def table(rows: list[Row]) -> str:
    """The rows in Markdown, with the median over all cases at the end."""

    def seconds(one: Row, way: str) -> str:
        found = one.seconds.get(way)
        return f"{found['wall']:.1f} / {found['processor']:.1f}" if found else "–"

    def ratios(found: dict[str, float | None], digits: int) -> str:
        return " / ".join("–" if value is None else f"{value:.{digits}f}" for value in found.values())

    def middle(values: list[dict[str, float | None]], kind: str) -> float | None:
        known = [value[kind] for value in values if value[kind] is not None]
        return statistics.median(known) if known else None  # type: ignore[type-var]

    lines = [
        "| case | native amd64 | emulated arm64 | crossdock arm64 | × native | gain | result |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        result = "–" if not one.files else "identical" if not one.differing else f"{len(one.differing)} files differ"
        cells = [CASES[one.case].what, *(seconds(one, way) for way in ("native", "emulated", "crossdock"))]
        cells += [ratios(one.to_native, 2), ratios(one.gain, 1), f"{result} ({one.files})" if one.files else result]
        lines.append(f"| {' | '.join(cells)} |")
    medians = [
        {kind: middle([getattr(one, name) for one in rows], kind) for kind in ("wall", "processor")}
        for name in ("to_native", "gain")
    ]
    lines.append(f"| median | | | | {ratios(medians[0], 2)} | {ratios(medians[1], 1)} | |")
    return "\n".join(lines)


def measure(setup: Bench, case: str, ways: list[str], runs: int, work: Path) -> Row:
    results: dict[str, list[Measured]] = {way: [] for way in WAYS}
    for run in range(runs):
        for way in ways:
            platform, assist = WAYS[way]
            place = work / f"{case}-{run}-{way}"
            measured = setup.build(case, platform, f"{os.getpid()}-{run}", place, assist=assist)
            results[way].append(measured)
            print(f"{case} {way}: {measured.wall:.1f} s, processor {measured.processor:.1f} s", file=sys.stderr)
    found = row(case, results)
    print(f"{case}: pack {found.pack:.1f} s, {found.files} files, differing:", *found.differing, file=sys.stderr)
    return found


def trace(setup: Bench, case: str, work: Path) -> None:
    """Builds a case twice, the second time with only the measured step to do, and lists what was emulated in that."""
    setup.build(case, ARM64, f"{os.getpid()}-first", work / "first", assist=True)
    with still_emulated.recording(work / "perf"):
        setup.build(case, ARM64, f"{os.getpid()}-traced", work / "traced", assist=True)
    print(*still_emulated.usage(work / "perf").rows()[:40], sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--way", action="append", choices=WAYS)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--engine", choices=("buildx", "buildah"), default="buildx")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--trace", action="append", choices=CASES)
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with bench(folder, given.engine) as setup, tempfile.TemporaryDirectory() as work:
        for number, case in enumerate(given.trace or ()):
            trace_folder = Path(work) / str(number)
            trace_folder.mkdir()
            print(f"{case}:")
            trace(setup, case, trace_folder)
        if given.trace:
            return
        rows = []
        for case in given.case or CASES:
            rows.append(measure(setup, case, given.way or list(WAYS), given.runs, Path(work)))
            if given.json:
                given.json.write_text(json.dumps([asdict(one) for one in rows], indent=2) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
