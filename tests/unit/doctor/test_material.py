"""What the collector printed is read as facts, and what is no facts is refused with the next step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.doctor.examine import examine
from crossdock.doctor.facts import BuilderFacts, Disk
from crossdock.doctor.material import SCHEMA, read_facts
from crossdock.errors import InputError
from crossdock.platforms import AMD64, ARM64, parse_platform

INFO = {
    "ServerVersion": "20.10.24",
    "Driver": "overlay2",
    "DriverStatus": [["Backing Filesystem", "extfs"]],
    "DockerRootDir": "/var/lib/docker",
    "ContainersRunning": 3,
    "Images": 12,
    "SecurityOptions": ["name=seccomp,profile=default"],
    "HttpsProxy": "http://***@proxy:3128",
}
VERSION = {
    "Client": {"Version": "20.10.24", "Experimental": True},
    "Server": {"Version": "20.10.24", "ApiVersion": "1.41"},
}
BUILDERS = """\
NAME/NODE    DRIVER/ENDPOINT             STATUS  BUILDKIT PLATFORMS
both *       docker-container
  both0      unix:///var/run/docker.sock running v0.12.5  linux/amd64*, linux/386
  both1      ssh://arm-1                 inactive         linux/arm64*
default      docker
  default    default                     running 20.10.24 linux/amd64
gone                                     error
"""
CPUINFO = "Features\t: fp asimd aes\nCPU implementer\t: 0x70\nCPU variant\t: 0x1\nCPU part\t: 0x662\n"


def answer(output: str, exit_code: int = 0, errors: str = "") -> dict[str, Any]:
    return {"exit": exit_code, "output": output, "errors": errors}


def material(**parts: Any) -> str:
    values = {"machine": "aarch64", "kernel": "4.19.90", "cores": "64", "page-size": "65536", "uid": "0"}
    return json.dumps({"schema": SCHEMA, "values": {**values, **parts.pop("values", {})}, "commands": {}, **parts})


def test_a_machine() -> None:
    facts = read_facts(
        material(
            values={"user": "wang", "user-uid": "1000", "groups": "wang docker", "systemd": "yes",
                    "manager yum": "/bin/yum", "shell-header": "7f454c460201010000000000000000000300b700"},
            files={
                "/etc/os-release": "ID=\"kylin\"\nNAME='Kylin Linux'\nVERSION_ID=\"V10\"\n# a comment\nBROKEN=\"x\n",
                "/etc/kylin-release": "Kylin Linux Advanced Server release V10",
                "/proc/version": "Linux version 4.19.90 (gcc 7.3.0)\n",
                "/proc/meminfo": "MemTotal:  1048576 kB\nSwapTotal:  0 kB\n",
                "/proc/cpuinfo": CPUINFO,
                "/proc/mounts": "/ xfs\n/sys/fs/cgroup tmpfs\n/sys/fs/cgroup/cpu cgroup\n",
                "/etc/docker/daemon.json": json.dumps(
                    {"registry-mirrors": ["https://mirror.corp/"], "insecure-registries": ["r:5000"]}
                ),
            },
            commands={"df": answer("Filesystem 1024-blocks Used Available Capacity Mounted\n/d 100 40 60 40% /\n", 1),
                      "rpm": answer("runc\t1.0.0-1\nbash\t5.0-1\n")},
            environment={"https_proxy": "http://***@proxy:3128"},
        ),
        "facts.json",
    )  # fmt: skip
    assert facts.platform == ARM64
    assert facts.userland is None
    assert facts.os_release["ID"] == "kylin"
    assert facts.os_release["NAME"] == "Kylin Linux"
    assert list(facts.release_files) == ["/etc/kylin-release"]
    assert (facts.memory, facts.swap, facts.page_size, facts.cgroup) == (1 << 30, 0, 65536, 1)
    assert facts.disks == (Disk("/", 102400, 61440, "xfs"),)
    assert (facts.cpu.model, facts.cpu.baseline, facts.cpu.cores) == ("FT-2000+/64", "armv8.0", 64)
    assert (facts.user.name, facts.user.groups, facts.user.root) == ("wang", ("wang", "docker"), True)
    assert facts.packages == {"runc": "1.0.0-1"}
    assert facts.registries == ("mirror.corp", "r:5000")
    assert facts.proxy == {"https_proxy": "http://***@proxy:3128"}
    assert facts.docker is None


def test_docker_and_its_builders() -> None:
    commands = {
        "docker --version": answer("Docker version 20.10.24, build 1"),
        "docker version": answer(json.dumps(VERSION)),
        "docker info": answer(json.dumps(INFO)),
        "docker buildx version": answer("github.com/docker/buildx v0.10.4 c513d34"),
        "docker buildx ls": answer(BUILDERS, errors="Cannot load builder gone: no such host"),
    }
    socket = {"socket-mode": "srw-rw---- 0 998", "group-ids": "1000 998", "user-uid": "1000"}
    docker = read_facts(
        material(commands=commands, values={"program docker": "/usr/bin/docker", **socket}), "facts.json"
    ).docker
    assert docker is not None
    assert (docker.client.version, docker.server, docker.buildx) == ("20.10.24", "20.10.24", "0.10.4")
    assert (docker.storage_driver, docker.containerd_store, docker.images) == ("overlay2", False, 12)
    assert docker.client_experimental
    assert docker.socket_writable is True
    assert docker.proxy == "http://***@proxy:3128"
    platforms = ("linux/amd64*", "linux/386", "linux/arm64*")
    assert docker.builders == (
        BuilderFacts("both", "docker-container", "inactive", 2, platforms, current=True),
        BuilderFacts("default", "docker", "running", 1, ("linux/amd64",)),
        BuilderFacts("gone", "", "error", 1, (), error="no such host"),
    )


def test_a_daemon_that_does_not_answer() -> None:
    said = "permission denied while trying to connect to the Docker daemon socket"
    commands = {
        "docker --version": answer("Docker version 19.03.15, build 9"),
        "docker info": answer("ERROR: in words", 1, said),
    }
    docker = read_facts(material(commands=commands, values={"program docker": "/usr/bin/docker"}), "facts.json").docker
    assert docker is not None
    assert (docker.server, docker.trouble, docker.images) == ("", said, None)


def test_emulation() -> None:
    entry = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\noffset 0\nmagic 7f45\nmask ffff\n"
    facts = read_facts(
        material(
            values={"machine": "x86_64"},
            handlers={"status": "enabled", "qemu-z": entry, "qemu-a": entry, "odd": "magic zz"},
            interpreters={"/usr/bin/qemu-aarch64-static": "qemu-aarch64 version 7.2.22 (x)\n7f45\nqemu-user-static\n"},
            runs={"arm64": "126", "amd64": "0 in an empty root"},
            commands={"systemd-binfmt enabled": answer("static")},
        ),
        "facts.json",
    )  # fmt: skip
    assert facts.platform == AMD64
    assert [handler.name for handler in facts.binfmt.handlers] == ["qemu-a", "qemu-z"]
    assert "odd" in facts.unread["binfmt_misc/odd"]
    assert facts.binfmt.newest_first[:2] == ("qemu-z", "qemu-a")
    (interpreter,) = facts.binfmt.interpreters
    assert (interpreter.version, interpreter.static, interpreter.package) == ("7.2.22", None, "qemu-user-static")
    assert facts.runs == {"arm64": False, "amd64": True}
    assert facts.runs_in_empty_root
    assert (facts.binfmt.mounted, facts.binfmt.enabled, facts.binfmt.service) == (True, True, "systemd-binfmt")


def test_where_nothing_may_be_run_the_trial_tells_nothing() -> None:
    assert read_facts(material(runs={"arm64": "126", "amd64": "126"}), "f").runs == {}


@pytest.mark.parametrize(
    ("values", "environment", "commands", "container"),
    [
        ({"dockerenv": "yes", "namespaces": "pid:[4026531836] uts:[4026531838] cgroup:[4026531835] "}, {}, {}, ""),
        ({"dockerenv": "yes", "namespaces": "pid:[4026532185] uts:[4026532183] "}, {}, {}, "docker"),
        ({"containerenv": "yes"}, {}, {}, "podman"),
        ({"container": "lxc"}, {}, {}, "lxc"),
        ({}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {}, "kubernetes"),
        ({}, {}, {"in container": answer("systemd-nspawn\n")}, "systemd-nspawn"),
        ({}, {}, {"in container": answer("none\n", 1)}, ""),
    ],
)
def test_what_is_a_container(
    values: dict[str, str], environment: dict[str, str], commands: dict[str, Any], container: str
) -> None:
    facts = read_facts(material(values=values, environment=environment, commands=commands), "f")
    assert facts.container == container


def test_a_32_bit_userland() -> None:
    header = "7f454c46010101000000000000000000" + "03002800"
    assert read_facts(material(values={"shell-header": header}), "f").userland == parse_platform("linux/arm")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no facts of a machine"),
        ("[]", "no facts of a machine"),
        ('{"schema": "other"}', "no facts of a machine"),
        ('{"schema": "crossdock.facts/v2"}', "of the form crossdock.facts/v2"),
        (json.dumps({"schema": SCHEMA, "values": {"machine": 1}}), "part 'values'"),
        (json.dumps({"schema": SCHEMA, "values": {}, "commands": {"df": {}}}), "part 'commands'"),
        (json.dumps({"schema": SCHEMA, "values": {}}), "do not say what machine"),
    ],
)
def test_what_is_no_facts_is_refused(text: str, what: str) -> None:
    with pytest.raises(InputError, match=r"facts\.json") as raised:
        read_facts(text, "facts.json")
    assert what in raised.value.what


PARTS = st.sampled_from(["files", "handlers", "interpreters", "at-boot", "folders", "runs"])
NAMES = st.sampled_from(["/etc/os-release", "/proc/cpuinfo", "/proc/mounts", "a.toml", "/etc/docker/daemon.json"])


def test_numbers_without_end_and_halves_of_characters_are_read() -> None:
    """Python refuses to convert numbers of more than 4300 digits, and to encode surrogates, which JSON can hold."""
    long = "9" * 5000
    facts = read_facts(
        material(
            values={"machine": "x86_64", "page-size": long, "cores": long, "kernel": f"{long}.{long}", "uid": "\ud800"},
            files={"/proc/meminfo": f"MemTotal: {long} kB\n", "/proc/version": "a\udfffb"},
            **{"at-boot": {"/etc/binfmt.d/a.conf": f":a:M:{long}:\\x7f::/i:F\n:b:M::\ud800::/i:F\n"}},
            commands={"df": {"exit": 0, "output": f"\n/dev/a {long} 1 {long} 1% /\n\ud800", "errors": "\ud800"}},
        ),
        "f",
    )
    assert (facts.page_size, facts.memory, facts.disks) == (None, None, ())
    assert facts.proc_version == "a?b"
    assert "\ud800" not in repr(examine(facts))


@given(st.dictionaries(PARTS, st.dictionaries(NAMES, st.text())))
def test_any_text_in_it_is_read(parts: dict[str, dict[str, str]]) -> None:
    read_facts(material(**parts), "f")
