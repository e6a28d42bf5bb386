"""The catalogue of kinds of work: that it is well formed, and what is recognised in commands and files."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from crossdock.assist.packs import modules
from crossdock.assist.packs import natively as real_natively
from crossdock.plan.estimate import estimate
from crossdock.plan.model import StagePlan, Strategy
from crossdock.plan.planner import make_plan
from crossdock.plan.work import UNKNOWN, Evidence, Kind, Makes, catalogue, costs
from crossdock.platforms import AMD64, ARM64
from crossdock.read.context import load_context
from crossdock.read.dockerfile import parse
from crossdock.source import Source


def test_every_entry_is_whole() -> None:
    for entry in catalogue():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.name)
        assert entry.says
        assert not entry.says.endswith(".")
        assert entry.programs
        assert len(entry.source) > 15, entry.name
        assert (entry.makes is Makes.TARGET) == bool(entry.cross), entry.name
        assert not entry.holds or entry.files, entry.name
        for expression in (entry.arguments, entry.unless):
            re.compile(expression)
        re.compile(entry.holds.encode())
        assert len(set(entry.programs)) == len(entry.programs), entry.name


def test_every_kind_has_its_cost_and_the_cost_its_source() -> None:
    assert costs().keys() == set(Kind)
    for cost in costs().values():
        assert len(cost.source) > 30
        assert 1 <= cost.assisted[0] <= cost.assisted[1]
        assert cost.assisted[1] <= cost.emulated[1]
        assert cost.emulated[0] <= cost.emulated[1]


def test_programs_of_assisted_builds_do_work_that_there_is() -> None:
    names = {entry.name for entry in catalogue()}
    for module in modules():
        assert names.issuperset(module.work), module.name
        assert not module.work or module.natively, module.name


def test_the_pack_of_a_stage_says_what_it_does() -> None:
    assert "make" in real_natively(["RUN make -j4"])
    assert real_natively(["RUN docker-php-ext-install gd"])["php-extension"].startswith("gcc")
    assert "make" not in real_natively(["RUN true"])


def shown(text: str, context: Path | None = None) -> list[Evidence]:
    dockerfile = parse(Source("Dockerfile", text.encode()))
    files = load_context(context, context / "Dockerfile") if context else None
    plan = make_plan(dockerfile, (ARM64,), host=AMD64, context=files)
    return [one for stage in plan.stages for one in stage.evidence]


@pytest.mark.parametrize(
    ("command", "works"),
    [
        ("./configure --prefix=/usr && make -j4 install", "autotools make"),
        ("cmake -S . -B b && cmake --build b", "cmake cmake"),
        ("meson setup b && ninja -C b", "meson ninja"),
        ("gcc -O2 -o a a.c", "cc"),
        ("aarch64-linux-gnu-gcc a.c", "cc"),
        ("CGO_ENABLED=0 go build ./...", "go"),
        ("CGO_ENABLED=1 go build ./...", "go-cgo"),
        ("CGO_ENABLED=0 go test -race ./...", "go-either"),
        ("go build .", "go-either"),
        ("go mod download", "go-modules"),
        ("cargo build --release", "rust"),
        ("cargo fetch", "rust-crates"),
        ("mvn -B package", "maven"),
        ("./mvnw -Pnative package", "maven-native"),
        ("./gradlew build", "gradle"),
        ("gradle nativeCompile", "gradle-native"),
        ("javac A.java", "javac"),
        ("npm ci && npm run build", "node-packages node-bundle"),
        ("yarn --frozen-lockfile && yarn build", "node-packages node-bundle"),
        ("yarn", "node-packages"),
        ("node-gyp rebuild", "node-addons"),
        ("pip install numpy", "python-packages"),
        ("python3 -m pip install --no-cache-dir numpy", "python-packages"),
        ("pip install --no-binary :all: lxml", "python-extension"),
        ("uv pip install numpy", "python-packages"),
        ("dotnet publish -c Release", "dotnet"),
        ("dotnet publish -p:PublishAot=true", "dotnet-native"),
        ("docker-php-ext-install gd && pecl install redis", "php-extension php-extension"),
        ("composer install", "composer"),
        ("gem install nokogiri && bundle install && bundle exec rake x", "ruby-extension ruby-extension ruby-program"),
        ("apt-get update && apt-get install -y gcc", "apt apt"),
        ("apk add gcc", "apk"),
        ("dnf -y install gcc && yum install gcc && microdnf install gcc", "rpm rpm rpm"),
        ("curl -LO https://x/y && git clone https://x/z", "download download"),
        ("mkdir a && cp b c && rm -rf d", "shell shell shell"),
        ("gcc --version && npm -v && anything --version", "shell shell shell"),
        ("/opt/thing run", "unknown"),
    ],
)
def test_commands_are_recognised(command: str, works: str) -> None:
    found = shown(f"FROM base\nRUN {command}\n")
    assert " ".join(one.work.name for one in found) == works
    assert all(one.line == 2 for one in found)


def test_evidence_is_the_command_as_written_in_one_line() -> None:
    found = shown('FROM base\nARG J=4\nRUN make \\\n    -j$J\nRUN ["make", "all"]\n')
    assert [(one.line, one.text, one.certain) for one in found] == [(3, "make -j$J", True), (5, "make all", True)]
    assert shown("FROM base\nRUN if x; then make; fi\n")[-1].certain is False
    assert shown("FROM base\nRUN $TOOL run\n")[0].says == "runs what is not known"
    assert len(shown("FROM base\nRUN for d in a b c; do make -C $d; done\n")) == 1


def test_scripts_of_the_context_are_followed(tmp_path: Path) -> None:
    (tmp_path / "build.sh").write_text("#!/bin/sh\nset -e\nmake\n")
    found = shown("FROM base\nCOPY build.sh /b/\nRUN /b/build.sh\n", tmp_path)
    assert [(one.work.name, one.where) for one in found if one.work.name == "make"] == [
        ("make", "on line 3 of build.sh")
    ]
    assert not any(one.work is UNKNOWN for one in found)
    assert shown("FROM base\nRUN /b/build.sh\n")[0].work is UNKNOWN  # its commands are not known


@pytest.mark.parametrize(
    ("file", "content", "command", "work"),
    [
        ("main.go", 'package main\nimport "C"\n', "go build", "go-cgo"),
        ("main.go", 'package main\nimport (\n\t"fmt"\n\t"C"\n)\n', "go build", "go-cgo"),
        ("main.go", 'package main\nimport "fmt"\n', "go build", "go-either"),
        ("package-lock.json", '{"a": {"hasInstallScript": true}}', "npm ci", "node-addons"),
        ("package-lock.json", '{"a": {}}', "npm ci", "node-packages"),
        ("package-lock.json", '{"a": {"hasInstallScript": true}}', "npm ci --ignore-scripts", "node-packages"),
        ("binding.gyp", "{}", "npm install", "node-addons"),
        ("setup.py", "setup(ext_modules=[])", "pip install .", "python-extension"),
        ("setup.py", "setup()", "pip install .", "python-packages"),
        ("pyproject.toml", '[build-system]\nrequires = ["maturin"]', "pip install .", "python-extension"),
    ],
)
def test_files_of_the_context_tell_more(tmp_path: Path, file: str, content: str, command: str, work: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / file).write_text(content)
    one = shown(f"FROM base\nCOPY . .\nRUN {command}\n", tmp_path)[0]
    assert one.work.name == work
    assert one.file in ("", f"sub/{file}")
    assert shown(f"FROM base\nCOPY other .\nRUN {command}\n", tmp_path)[0].file == ""


# ---------------------------------------------------------------- what would make stages quicker


def ideas(text: str) -> dict[str, str]:
    plan = make_plan(parse(Source("Dockerfile", text.encode())), (AMD64, ARM64), host=AMD64)
    return {entry.stage: entry.opportunity for entry in plan.stages if entry.opportunity}


@pytest.mark.parametrize(
    ("build", "taken", "idea"),
    [
        ("CGO_ENABLED=0 go build -o /app .", "/app", "GOARCH=$TARGETARCH"),
        ("dotnet publish -o /app", "/app", "-a $TARGETARCH"),
        ("mvn package", "/src/target/app.jar", "would run it once, natively"),
        ("npm ci && npm run build", "/src/dist", "would run it once, natively"),
        ("apk add make && CGO_ENABLED=0 go build -o /app .", "/app", "GOARCH=$TARGETARCH"),
    ],
)
def test_what_could_run_on_the_build_platform_is_said(build: str, taken: str, idea: str) -> None:
    found = ideas(f"FROM base AS b\nRUN {build}\nFROM scratch\nCOPY --from=b {taken} /x\n")
    assert idea in found["b"]
    assert "FROM on line 1" in found["b"]


@pytest.mark.parametrize(
    ("build", "taken"),
    [
        ("make", "/app"),
        ("CGO_ENABLED=0 go build -o /app . && make", "/app"),
        ("go build -o /app .", "/app"),
        ("CGO_ENABLED=0 go build -o /app . && ./app test", "/app"),
        ("npm ci && npm run build", "/src/node_modules"),
        ("npm ci && npm run build", "/"),
        ("cp a b", "/b"),
        ("apt-get install x", "/usr/bin/x"),
    ],
)
def test_what_may_not_is_not(build: str, taken: str) -> None:
    assert ideas(f"FROM base AS b\nRUN {build}\nFROM scratch\nCOPY --from=b {taken} /x\n") == {}


def test_the_image_itself_and_pinned_stages_have_no_other_way() -> None:
    assert ideas("FROM golang\nRUN CGO_ENABLED=0 go build -o /app .\n") == {}
    pinned = "FROM --platform=linux/arm64 golang AS b\nRUN CGO_ENABLED=0 go build -o /a .\n"
    assert ideas(f"{pinned}FROM scratch\nCOPY --from=b /a /\n") == {}
    mounted = "FROM base AS b\nRUN npm run build\nFROM base\nRUN --mount=from=b,target=/x cp /x/node_modules /\n"
    assert ideas(mounted)["b"]
    assert ideas(mounted.replace("npm run build", "npm ci && npm run build")) == {}


# ---------------------------------------------------------------- estimates


def one_of(name: str) -> Evidence:
    work = next(entry for entry in catalogue() if entry.name == name)
    return Evidence(work, "Dockerfile", 2, name, name)


def entry(strategy: Strategy, *works: str, natively: tuple[str, ...] = ()) -> StagePlan:
    return StagePlan("b", ARM64, strategy, "", None, tuple(map(one_of, works)), frozenset(natively))


def test_estimates_span_all_that_a_stage_does() -> None:
    compile_, packages = costs()[Kind.COMPILE], costs()[Kind.PACKAGES]
    found = estimate(entry(Strategy.EMULATE, "make", "apt", "shell"))
    assert found
    assert found.planned == found.emulated == (packages.emulated[0], compile_.emulated[1])
    assisted = estimate(entry(Strategy.ASSIST, "make", "apt", natively=("make", "apt")))
    assert assisted
    assert assisted.planned == (1.0, 1.5)
    assert assisted.gain[0] > 4
    half = estimate(entry(Strategy.ASSIST, "make", "ruby-program", natively=("make",)))
    assert half
    assert half.planned == (1.0, costs()[Kind.PROGRAM].emulated[1])
    native = estimate(entry(Strategy.NATIVE, "make"))
    assert native
    assert native.planned == (1.0, 1.0)
    assert native.gain == compile_.emulated


def test_nothing_is_estimated_where_nothing_takes_time() -> None:
    assert estimate(entry(Strategy.EMULATE, "shell", "download")) is None


def test_program_patterns_name_programs_not_paths() -> None:
    for work in catalogue():
        assert all("/" not in pattern and " " not in pattern for pattern in work.programs), work.name
    assert fnmatchcase("gcc-12", "gcc-[0-9]*")
