"""Docker's installation in a throwaway Debian 12 and 13: from the distribution, and from a repository like Docker's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from debian_root import VERSIONS, Root, make_archive, serving, signing, unpack, write_repository, write_static

from crossdock.doctor.distribution import Distribution, identify, install_words
from crossdock.doctor.docker_table import Offer, offer, static
from crossdock.doctor.facts import Facts
from crossdock.doctor.install import Source, install_plan
from crossdock.doctor.mirrors import named
from crossdock.doctor.repository_steps import APT_SOURCE, KEYRING, repository_steps
from crossdock.doctor.static_steps import static_steps
from crossdock.host.script import script_of
from crossdock.host.steps import Step
from crossdock.platforms import AMD64

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STALE = "/etc/apt/sources.list.d/old.list"


@dataclass(frozen=True)
class Stage:
    """A release of Debian, and a repository for it: its address, and the fingerprint of its key."""

    archive: Path
    codename: str
    address: str
    fingerprint: str


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp(request.param)
    make_archive(request.param, folder / "root.tar")
    with signing(folder / "gnupg") as signer, serving(folder / "served") as address:
        write_repository(folder / "served", request.param, signer)
        yield Stage(folder / "root.tar", request.param, address, signer.fingerprint)


@pytest.fixture
def root(stage: Stage, tmp_path: Path) -> Root:
    return unpack(stage.archive, tmp_path / "root")


def facts_of(root: Root) -> Facts:
    lines = root.path("/etc/os-release").read_text().splitlines()
    release = {name: value.strip('"') for name, _, value in (line.partition("=") for line in lines)}
    listed = root.run("dpkg-query", "-W", "-f", "${Package} ${Version}\n").stdout.splitlines()
    packages = dict(line.split(" ", 1) for line in listed)
    return Facts(platform=AMD64, os_release=release, package_managers=("apt-get",), packages=packages)


def ours(root: Root, stage: Stage) -> tuple[Distribution, Offer]:
    """Docker's offer for this release, but with the test's key."""
    distribution = identify(facts_of(root))
    found = offer(distribution.base, AMD64)
    assert found
    assert found.base.codename == stage.codename
    return distribution, replace(found, key=replace(found.key, fingerprint=stage.fingerprint))


def from_docker(root: Root, stage: Stage, *, the_real_key: bool = False) -> tuple[Step, ...]:
    distribution, found = ours(root, stage)
    facts = facts_of(root)
    if the_real_key:
        return install_plan(facts, distribution, mirror=named(stage.address), source=Source.DOCKER).steps
    return repository_steps(found, AMD64, stage.address, install_words(distribution), tuple(facts.packages))


def test_from_the_distribution_and_then_from_docker(root: Root, stage: Stage) -> None:
    facts = facts_of(root)
    plan = install_plan(facts, identify(facts), mirror=named(stage.address), source=Source.DISTRIBUTION)
    assert [step.id for step in plan.steps] == ["install-docker"]
    ran = root.script(script_of(plan.steps, title=plan.what))
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert root.run("docker", "--version").stdout.startswith("Docker version 2")
    changes_nothing(root, plan.steps)

    # And now Docker's own, in the place of that.
    steps = from_docker(root, stage)
    ids = ["docker-other-sources", "remove-old-docker", "docker-prerequisites", "docker-key", "docker-source"]
    assert [step.id for step in steps] == [*ids, "install-docker"]
    root.path(STALE).write_text("# kept\ndeb https://download.docker.com/linux/debian nowhere stable\n")
    ran = root.script(script_of(steps, title="Docker from a repository like Docker's"))
    assert ran.returncode == 0, ran.stdout[-3000:]
    installed = facts_of(root).packages
    assert {name: installed[name] for name in VERSIONS} == VERSIONS
    assert root.run("docker", "buildx", "version").stdout == "v0.99.0\n"
    assert root.path(APT_SOURCE).read_text() == (
        f"deb [arch=amd64 signed-by={KEYRING}] {stage.address}/linux/debian {stage.codename} stable\n"
    )
    assert root.path(STALE).read_text() == "# kept\n# deb https://download.docker.com/linux/debian nowhere stable\n"
    changes_nothing(root, steps)

    undone = root.script(script_of(steps, title="the same"), "--undo")
    assert undone.returncode == 0, undone.stdout[-3000:]
    assert not root.path(APT_SOURCE).exists()
    assert not root.path(KEYRING).exists()
    assert "\ndeb https://download.docker.com" in root.path(STALE).read_text()


def test_another_key_is_not_trusted(root: Root, stage: Stage) -> None:
    ran = root.script(script_of(from_docker(root, stage, the_real_key=True), title="Docker"))
    assert ran.returncode == 1
    assert (
        f"{stage.address}/linux/debian/gpg is not Docker's key: its fingerprint is {stage.fingerprint}, not "
        "9DC858229FC7DD38854AE2D88D81803C0EBFCD88. Nothing was trusted"
    ) in ran.stdout
    assert "stopped at step 3 (Trust the key that Docker signs its packages with)" in ran.stdout
    assert not root.path(APT_SOURCE).exists()
    assert not root.path(KEYRING).exists()
    assert "docker-ce" not in facts_of(root).packages


def test_static_programs_need_a_checksum(root: Root, tmp_path: Path) -> None:
    programs = static(AMD64)
    assert programs
    ready = root.run("sh", "-c", "apt-get update && apt-get install -y --no-install-recommends curl iptables passwd")
    assert ready.returncode == 0, ready.stdout[-3000:]
    sum = write_static(tmp_path / "served" / programs.path, programs.version)
    with serving(tmp_path / "served") as address:
        steps = static_steps(programs, address)
        script = script_of(steps, title="Static programs")
        ran = root.script(script)
        assert ran.returncode == 1
        assert f"run this again with DOCKER_SHA256={sum}" in ran.stdout
        ran = root.script(script, environment={"DOCKER_SHA256": "0" * 64})
        assert ran.returncode == 1
        assert f"has the SHA-256 {sum}, not the one in DOCKER_SHA256. Nothing was installed" in ran.stdout
        assert not list(root.path("/usr/local/bin").iterdir())
        ran = root.script(script, environment={"DOCKER_SHA256": sum})
        assert ran.returncode == 0, ran.stdout
        names = sorted(path.name for path in root.path("/usr/local/bin").iterdir())
        assert names == ["containerd", "docker", "dockerd", "runc"]
        assert root.path("/etc/systemd/system/docker.service").exists()
        changes_nothing(root, steps)


def changes_nothing(root: Root, steps: tuple[Step, ...]) -> None:
    before = root.state()
    ran = root.script(script_of(steps, title="The same again"))
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert ran.stdout.count("  - nothing to do\n") == len(steps)
    after = root.state()
    assert after == before, sorted(path for path in {*after, *before} if after.get(path) != before.get(path))[:20]
