"""Sources of apt that name an archive without packages for the machine, and the step that corrects them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from crossdock.doctor.apt_sources import check_apt_sources
from crossdock.doctor.diagnosis import State
from crossdock.doctor.distribution import Base, Distribution
from crossdock.doctor.facts import Facts
from crossdock.doctor.mirrors import named
from crossdock.platforms import AMD64, ARM64, Platform, parse_platform

FOCAL = Distribution("ubuntu", "Ubuntu 20.04", "20.04", "focal", Base("ubuntu", "20.04", "focal"), known=True)
NOBLE = Distribution("ubuntu", "Ubuntu 24.04", "24.04", "noble", Base("ubuntu", "24.04", "noble"), known=True)
LISTS = """\
# deb http://archive.ubuntu.com/ubuntu bionic main
deb http://archive.ubuntu.com/ubuntu focal main universe
deb-src [signed-by=/k.gpg] https://mirrors.tuna.tsinghua.edu.cn/ubuntu/ focal main
deb [arch=amd64] http://security.ubuntu.com/ubuntu/ focal-security main
deb http://cn.archive.ubuntu.com/ubuntu/ focal-updates main
deb http://archive.kylinos.cn/kylin/KYLIN-ALL 10.1 main
deb http://mirror.corp/ubuntu focal main
"""
RIGHT = """\
# deb http://archive.ubuntu.com/ubuntu bionic main
deb {ports}/ focal main universe
deb-src [signed-by=/k.gpg] https://mirrors.tuna.tsinghua.edu.cn/ubuntu-ports/ focal main
deb [arch=amd64] http://security.ubuntu.com/ubuntu/ focal-security main
deb {ports}/ focal-updates main
deb http://archive.kylinos.cn/kylin/KYLIN-ALL 10.1 main
deb http://mirror.corp/ubuntu focal main
"""
SOURCES = "Types: deb\nURIs: http://ports.ubuntu.com/ubuntu-ports https://archive.ubuntu.com/ubuntu\nSuites: focal\n"


def facts(path: str, text: str, platform: Platform = ARM64) -> Facts:
    return Facts(platform=platform, apt_sources={path: text})


@pytest.mark.parametrize("mirror", ["official", "aliyun"])
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("sources.list", LISTS, RIGHT),
        ("ubuntu.sources", SOURCES, SOURCES.replace("https://archive.ubuntu.com/ubuntu", "{ports}/")),
    ],
)
def test_the_step_changes_what_is_wrong_and_nothing_else(
    mirror: str, name: str, before: str, after: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(before)
    (check,) = check_apt_sources(facts(str(file), before), FOCAL, named(mirror))
    assert (check.id, check.state) == ("apt-sources", State.WARNING)
    assert "packages of Ubuntu 20.04 (focal) for linux/arm64 are in ubuntu-ports" in check.what
    (step,) = check.steps
    without_apt = step.run.removesuffix("apt-get update")
    shell = ["sh", "-euc", f"keep() {{ :; }}\n{without_apt}\n{step.done}"]
    assert subprocess.run(["sh", "-euc", step.done], check=False).returncode == 1
    subprocess.run(shell, check=True)
    assert file.read_text() == after.format(ports=named(mirror).ports)
    assert check_apt_sources(facts(str(file), file.read_text()), FOCAL, named(mirror)) == ()


@pytest.mark.parametrize(
    ("platform", "distribution"),
    [
        (AMD64, FOCAL),
        (ARM64, NOBLE),
        (ARM64, replace(FOCAL, base=Base("debian", "10", "buster"))),
        (ARM64, replace(FOCAL, base=None)),
    ],
)
def test_nothing_is_said_where_the_archive_is_right_or_may_be(platform: Platform, distribution: Distribution) -> None:
    assert check_apt_sources(facts("/etc/apt/sources.list", LISTS, platform), distribution, named("official")) == ()


def test_other_processors_are_never_in_the_archive() -> None:
    (check,) = check_apt_sources(
        facts("/etc/apt/sources.list", LISTS, parse_platform("linux/riscv64")), NOBLE, named("official")
    )
    assert len(check.evidence) == 3


@pytest.mark.parametrize("path", ["/etc/apt/sources.list.d/a.sources"])
def test_a_source_for_named_architectures_is_for_others(path: str) -> None:
    text = f"{SOURCES}Architectures: amd64\n"
    assert check_apt_sources(facts(path, text), FOCAL, named("official")) == ()
