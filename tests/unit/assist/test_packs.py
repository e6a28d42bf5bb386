"""What packs are composed of, and the recipes that builds make them by."""

from __future__ import annotations

import re

import pytest

from crossdock.assist.packs import HOSTS, MAKERS, TARGETS, Module, Pack, compose, modules
from crossdock.platforms import AMD64, ARM64

LAUNCHER_WORDS = re.compile(r"(unless-env|unless-arg|if-arg|same-file|first-arg|add-arg|set-env=[A-Z_a-z0-9]+)=\S+")
PAIRS = [(target, host) for target in sorted(TARGETS) for host in sorted(HOSTS) if target != host]


def names(*scripts: str) -> list[str]:
    return [module.name for module in compose(ARM64, AMD64, scripts).modules]


def lines(pack: Pack, command: str) -> list[list[str]]:
    found = [line.split(" ") for line in pack.recipe().splitlines()]
    return [words[1:] for words in found if words[0] == command]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_each_module_says_what_it_does_and_why_that_is_neutral(module: Module) -> None:
    assert module.programs or module.paths
    assert module.what
    assert len(module.source) > 40
    for rule in module.rules:
        assert all(LAUNCHER_WORDS.fullmatch(word) for word in rule.words), rule
    patterns = [*module.programs, *module.emulated, *module.compiler, *(rule.path for rule in module.rules)]
    assert not [pattern for pattern in patterns if set(pattern) & set("[]")], "make-pack knows * and ? in these"


@pytest.mark.parametrize(("target", "host"), PAIRS)
def test_recipes_are_lines_of_words_that_make_pack_knows(target: str, host: str) -> None:
    pack = Pack(target, host, modules())
    text = pack.recipe()
    assert "{" not in text
    assert "  " not in text
    maker = (MAKERS / "make-pack.pl").read_text()
    known = {*re.findall(r"\$command eq '(\w+)'", maker), "triplet", "target", "loader"}
    assert {line.split(" ")[0] for line in text.splitlines()} <= known
    for _, before, after in lines(pack, "rename"):
        assert len(after) <= len(before)


@pytest.mark.parametrize(("target", "host"), PAIRS)
def test_the_parts_of_a_recipe_are_for_its_architectures(target: str, host: str) -> None:
    pack = Pack(target, host, modules())
    packages = {"arm64": "gcc-aarch64-linux-gnu", "amd64": "gcc-x86-64-linux-gnu"}
    fetched = [word for line in lines(pack, "fetch") for word in line]
    assert packages[target] in fetched
    assert packages[host] not in fetched
    loaders = {"arm64": "/lib/ld-linux-aarch64.so.1", "amd64": "/lib64/ld-linux-x86-64.so.2"}
    assert lines(pack, "loader") == [[loaders[host]]]


def test_what_tells_the_machine_stays_emulated() -> None:
    pack = Pack("arm64", "amd64", modules())
    assert ["*/arch", "*/uname"] in lines(pack, "emulated")
    programs = {word for line in lines(pack, "programs") for word in line}
    assert programs.isdisjoint({"libc-bin", "python3", "perl", "cmake", "*"})


def test_compilers_are_fetched_for_those_who_compile() -> None:
    assert names("RUN apt-get update && apt-get install -y curl") != []
    assert "compiler" not in names("RUN echo hello > /greeting && rm -rf /var/lib/apt/lists/*")
    assert "compiler" in names("RUN ./configure && make -j4")
    assert "compiler" in names("RUN echo one", "RUN /usr/bin/gcc -o a a.c")
    assert "compiler" in names("RUN /opt/setup.sh")
    assert names("RUN true") == ["shell", "apt", "go"]


def test_packages_that_instructions_name_are_fetched_and_no_others() -> None:
    def fetched(script: str) -> set[str]:
        return {word for line in lines(compose(ARM64, AMD64, [script]), "fetch") for word in line}

    assert "golang-1.22-go" in fetched("RUN apt-get install -y golang-1.22-go golang-github-spf13-cobra-dev")
    assert not [name for name in fetched("RUN go build ./...") if name.startswith("golang")]
    assert not [name for name in fetched("RUN apt-get install golang-github-spf13-cobra-dev") if "golang" in name]


def test_scripts_that_recipes_name_are_there() -> None:
    commands = [line[1] for line in lines(Pack("arm64", "amd64", modules()), "remake")]
    assert commands
    assert all((MAKERS / name).is_file() for name in commands)
