"""What packs are composed of, and the recipes that builds make them by."""

from __future__ import annotations

import ctypes
import os
import re

import pytest

from crossdock.assist.packs import HOSTS, MAKERS, TARGETS, Module, Pack, compose, modules
from crossdock.platforms import AMD64, ARM64, host_platform

LAUNCHER_WORDS = re.compile(
    r"(unless-env|unless-arg|if-args?|same-line|same-file|first-arg|add-arg|set-env=[A-Z_a-z0-9]+)=\S+"
)
PAIRS = [(target, host) for target in sorted(TARGETS) for host in sorted(HOSTS) if target != host]


def names(*scripts: str) -> list[str]:
    return [module.name for module in compose(ARM64, AMD64, scripts).modules]


def lines(pack: Pack, command: str) -> list[list[str]]:
    found = [line.split(" ") for line in pack.recipe().splitlines()]
    return [words[1:] for words in found if words[0] == command]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_each_module_says_what_it_does_and_why_that_is_neutral(module: Module) -> None:
    assert module.programs or module.paths or module.fetch
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
    assert not re.search(r"\{[\w-]+\}", text)
    assert "  " not in text
    maker = (MAKERS / "make-pack.pl").read_text()
    known = {*re.findall(r"\$command eq '(\w+)'", maker), "triplet", "target", "loader", "machine"}
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


@pytest.mark.skipif(host_platform().architecture not in HOSTS, reason="it is loaded by this machine")
def test_programs_of_a_pack_are_told_the_target_by_uname() -> None:
    host = host_platform().architecture
    (target,) = TARGETS - {host}
    ((name,),) = lines(Pack(target, host, modules()), "machine")
    names = ctypes.create_string_buffer(6 * 65)
    assert ctypes.CDLL(str(MAKERS / name)).uname(names) == 0
    fields = [names.raw[at : at + 65].split(b"\0", 1)[0].decode() for at in range(0, 6 * 65, 65)]
    assert fields[:4] == list(os.uname())[:4]
    assert fields[4] == {"arm64": "aarch64", "amd64": "x86_64"}[target]


def test_what_tells_the_machine_in_other_ways_stays_emulated() -> None:
    pack = Pack("arm64", "amd64", modules())
    programs = {word for line in lines(pack, "programs") for word in line}
    assert programs.isdisjoint({"libc-bin", "python3", "perl", "util-linux", "*"})


def test_interpreters_run_natively_only_for_what_is_known() -> None:
    rules = lines(Pack("arm64", "amd64", modules()), "rule")
    for path in ("/usr/bin/bash", "/usr/bin/perl*", "/usr/bin/python3*"):
        found = [words for pattern, *words in rules if pattern == path]
        assert found
        assert all(any(word.startswith("if-arg=") for word in words) for words in found)


def test_compilers_are_fetched_for_those_who_compile() -> None:
    assert names("RUN apt-get update && apt-get install -y curl") != []
    assert "compiler" not in names("RUN echo hello > /greeting && rm -rf /var/lib/apt/lists/*")
    assert "compiler" in names("RUN ./configure && make -j4")
    assert "compiler" in names("RUN echo one", "RUN /usr/bin/gcc -o a a.c")
    assert "compiler" in names("RUN /opt/setup.sh")
    assert names("RUN true") == ["shell", "apt", "go"]


def test_further_programs_are_fetched_where_they_are_called() -> None:
    assert {"cmake", "compiler"} <= set(names("RUN cmake -S . -B b"))
    assert {"scripts", "compiler"} <= set(names("RUN ./autogen.sh && make"))
    assert "git" in names("RUN apt-get install -y git")
    assert "download" in names("RUN wget -q https://example.org/a")


def test_a_jdk_is_fetched_for_those_who_install_that_one() -> None:
    assert {"java", "jdk-17"} <= set(names("RUN apt-get install -y openjdk-17-jdk-headless"))
    assert {"java", "jdk-default"} <= set(names("RUN apt-get install -y maven"))
    of_the_image = names("RUN ./mvnw -B package")
    assert "java" in of_the_image
    assert not [name for name in of_the_image if name.startswith("jdk-")]


@pytest.mark.parametrize(("target", "host", "said"), [("arm64", "amd64", "aarch64"), ("amd64", "arm64", "amd64")])
def test_java_says_the_targets_architecture_and_home(target: str, host: str, said: str) -> None:
    rules = [line for line in lines(Pack(target, host, modules()), "rule") if "/bin/j" in line[0]]
    assert len(rules) > 3
    for path, *words in rules:
        arguments = [word.removeprefix("first-arg=").removeprefix("-J") for word in words]
        assert f"-Dos.arch={said}" in arguments
        assert "-Djava.home=%home" in arguments
        assert any(word.startswith("same-line=release:") for word in words)
        if path.endswith("/java"):
            # Any other start of a JVM, be it an application or a test, is the image's own.
            assert any(word.startswith("if-arg=") for word in words)


def test_languages_are_there_for_their_package_managers() -> None:
    assert "python" in names("RUN /venv/bin/pip install flask")
    assert "python-packages" not in names("RUN pip install flask")
    assert "python-packages" in names("RUN apt-get install -y python3-pip")
    assert "node" in names("RUN npm ci")
    assert "node-packages" in names("RUN apt-get install -y nodejs npm")
    assert {"python", "node"}.isdisjoint(names("RUN make"))


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
