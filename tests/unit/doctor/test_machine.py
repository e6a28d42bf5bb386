"""What the doctor says of machine, network and Docker: each line is right for the machine it is about."""

from __future__ import annotations

from dataclasses import replace

import pytest

from crossdock.doctor.diagnosis import Check, State, Topic
from crossdock.doctor.distribution import Base, Distribution
from crossdock.doctor.docker import check_docker, check_other_engines
from crossdock.doctor.examine import examine
from crossdock.doctor.facts import BuilderFacts, Cpu, Disk, DockerFacts, Facts, Program, User
from crossdock.doctor.install import InstallPlan, Source
from crossdock.doctor.machine import check_machine, check_network
from crossdock.platforms import ARM64, parse_platform

GIB = 1 << 30
DEBIAN = Distribution("debian", "Debian 12", "12", "bookworm", Base("debian", "12", "bookworm"), known=True)
NO_PLAN = InstallPlan(Source.AUTO, "Docker is there.")
KYLIN = Distribution("kylin", "Kylin V10 server", "V10", base=Base("openeuler", "20.03"), known=True)
DOCKER = DockerFacts(
    Program("/usr/bin/docker", "26.1.5"), "26.1.5", storage_driver="overlay2", buildx="0.13.1", images=3,
    builders=(BuilderFacts("default", "docker", "running", platforms=("linux/amd64",), current=True),),
)  # fmt: skip
FACTS = Facts(
    ARM64, cpu=Cpu("FT-2000+/64", "Phytium", 0x70, (0x662,), 64, frozenset({"fp"}), "armv8.0"), page_size=65536,
    memory=32 * GIB, swap=0, disks=(Disk("/", 100 * GIB, 50 * GIB, "xfs"),), kernel="4.19.90", cgroup=1,
    init="systemd", docker=DOCKER, user=User("wang", 1000, ("wang", "docker")),
)  # fmt: skip


def said(checks: tuple[Check, ...], id: str) -> Check:
    return next(check for check in checks if check.id == id)


def test_a_machine_of_the_kind_that_surprises_people() -> None:
    checks = check_machine(FACTS)
    cpu = said(checks, "cpu")
    assert cpu.state is State.NOTE
    assert cpu.what == "Phytium FT-2000+/64, 64 cores, ARMv8.0 without atomic instructions (LSE)."
    assert "Illegal instruction" in cpu.hint
    pages = said(checks, "page-size")
    assert (pages.state, pages.what) == (State.NOTE, "Memory pages of 64 KiB.")
    assert {check.state for check in checks} == {State.GOOD, State.NOTE}


@pytest.mark.parametrize(
    ("changes", "id", "state", "words"),
    [
        ({"disks": (Disk("/", 20 * GIB, GIB),)}, "disk", State.PROBLEM, "Only 1.0 GiB of 20 GiB free on /"),
        ({"disks": (Disk("/", 20 * GIB, 5 * GIB),)}, "disk", State.WARNING, "5.0 GiB of 20 GiB free"),
        ({"disks": (Disk("/var/lib/docker", 9, GIB),)}, "disk-var-lib-docker", State.PROBLEM, "Only"),
        ({"memory": GIB // 2}, "memory", State.WARNING, "0.5 GiB of memory, no swap"),
        ({"kernel": "4.4.0-1"}, "kernel", State.WARNING, "Linux 4.4.0-1"),
        ({"kernel": "3.9.0"}, "kernel", State.PROBLEM, "too old for containers"),
        ({"kernel": ""}, "kernel", State.UNKNOWN, "could not be found out"),
        ({"page_size": None}, "page-size", State.UNKNOWN, "could not be found out"),
        ({"page_size": 4096}, "page-size", State.GOOD, "4 KiB"),
        ({"userland": parse_platform("linux/arm")}, "userland", State.WARNING, "programs here are for linux/arm"),
        ({"cgroup": 0}, "cgroup", State.NOTE, "No control groups"),
        ({"cgroup": 2, "docker": replace(DOCKER, server="19.03.15")}, "cgroup", State.PROBLEM, "does not know"),
        ({"container": "docker"}, "container", State.NOTE, "inside of a container (docker)"),
        ({"wsl": 1}, "wsl", State.PROBLEM, "first version of WSL"),
        ({"wsl": 2}, "wsl", State.NOTE, "WSL 2"),
        ({"virtual": "kvm"}, "virtual", State.GOOD, "virtual machine (kvm)"),
    ],
)  # fmt: skip
def test_each_line(changes: dict[str, object], id: str, state: State, words: str) -> None:
    check = said(check_machine(replace(FACTS, **changes)), id)  # type: ignore[arg-type]
    assert check.state is state
    assert words in check.what
    assert check.topic is Topic.MACHINE
    assert check.hint or state in (State.GOOD, State.UNKNOWN, State.NOTE)


@pytest.mark.parametrize(
    ("proxy", "daemon", "state"),
    [({}, "", None), ({"https_proxy": "http://p:1"}, "", State.WARNING), ({}, "http://p:1", State.GOOD)],
)
def test_a_proxy_that_the_daemon_does_not_have(proxy: dict[str, str], daemon: str, state: State | None) -> None:
    checks = check_network(replace(FACTS, proxy=proxy, docker=replace(DOCKER, proxy=daemon)))
    assert [check.state for check in checks] == ([state] if state else [])


@pytest.mark.parametrize(
    ("docker", "id", "state", "words", "steps"),
    [
        ({}, "docker", State.GOOD, "Docker 26.1.5 answers.", ()),
        ({"server": "18.06.1"}, "docker", State.PROBLEM, "too old", ()),
        ({"server": "19.03.15"}, "docker-experimental", State.WARNING, "experimental", ("docker-daemon-experimental",)),
        ({"server": "", "trouble": "cannot connect"}, "docker", State.PROBLEM, "does not answer", ("docker-service",)),
        ({"server": "", "trouble": "Permission denied"}, "docker-permission", State.PROBLEM, "wang may not use", ()),
        ({"socket_writable": False}, "docker-permission", State.PROBLEM, "wang may not use", ()),
        ({"buildx": ""}, "buildx", State.PROBLEM, "no plugin", ()),
        ({"buildx": "", "client": Program("/d", "19.03.15")}, "buildx", State.PROBLEM, "experimental",
         ("docker-client-experimental",)),
        ({"daemon_json": "{"}, "daemon-json", State.PROBLEM, "daemon.json:1:2 is not in order", ()),
        ({"config_json": "invalid"}, "docker-config", State.WARNING, "no valid JSON", ()),
        ({"storage_driver": "vfs"}, "storage-driver", State.WARNING, "vfs", ()),
        ({"containerd_store": True}, "image-store", State.GOOD, "several platforms can be loaded", ()),
        ({"images": 0}, "image-store", State.NOTE, "one platform", ("docker-containerd-store",)),
        ({"images": 3}, "image-store", State.NOTE, "one platform", ()),
        ({"builders": (BuilderFacts("b", "", "error", error="no such host"),)}, "builder-b", State.WARNING,
         "no such host", ()),
        ({"builders": (BuilderFacts("b", "remote", "running", 2, ("linux/amd64",)),)}, "builder-b", State.WARNING,
         "2 nodes without platforms", ()),
    ],
)  # fmt: skip
def test_docker(docker: dict[str, object], id: str, state: State, words: str, steps: tuple[str, ...]) -> None:
    facts = replace(FACTS, docker=replace(DOCKER, **docker))  # type: ignore[arg-type]
    check = said(check_docker(facts, KYLIN, NO_PLAN), id)
    assert (check.state, tuple(step.id for step in check.steps)) == (state, steps)
    assert words in check.what


def test_one_who_is_not_in_the_group_is_put_into_it() -> None:
    facts = replace(FACTS, docker=replace(DOCKER, socket_writable=False), user=User("li", 1001, ("li",)))
    (step,) = said(check_docker(facts, DEBIAN, NO_PLAN), "docker-permission").steps
    assert step.title == "Let li use Docker"
    assert "note group docker li" in step.run


def test_other_engines() -> None:
    programs = {name: Program(f"/usr/bin/{name}", version) for name, version in
                (("buildah", "1.23.1"), ("podman", "4.3.1"), ("newuidmap", ""))}  # fmt: skip
    old, podman = check_other_engines(replace(FACTS, programs=programs))
    assert (old.state, podman.state) == (State.WARNING, State.GOOD)
    del programs["newuidmap"]
    assert check_other_engines(replace(FACTS, programs=programs))[1].state is State.WARNING


def test_all_of_it_in_the_order_in_which_it_is_told() -> None:
    diagnosis = examine(replace(FACTS, os_release={"ID": "debian", "VERSION_ID": "12"}))
    assert diagnosis.distribution.base == Base("debian", "12", "bookworm")
    topics = [check.topic for check in diagnosis.checks]
    assert topics == sorted(topics, key=list(Topic).index)
    assert len({check.id for check in diagnosis.checks}) == len(diagnosis.checks)
