"""The doctor's lines about the machine itself, and about the network that it is in."""

from __future__ import annotations

from collections.abc import Iterator

from crossdock.doctor.diagnosis import Check, State, Topic, sentence
from crossdock.doctor.facts import Disk, Facts
from crossdock.doctor.version import version_number
from crossdock.host.binfmt import FLAG_F_SINCE

_GIB = 1 << 30
_LEAST_DISK, _LITTLE_DISK = 2 * _GIB, 10 * _GIB
_LEAST_MEMORY = _GIB
_KIB = 1024
_DOCKER_KERNEL = (3, 10)
_BOTH_CGROUPS_DOCKER = (20, 10)


def check_machine(facts: Facts) -> tuple[Check, ...]:
    """Processor, userland, pages, memory, disk, kernel, control groups, and where the machine itself runs."""
    return tuple(
        check
        for part in (_cpu, _userland, _pages, _memory, _disks, _kernel, _cgroup, _surroundings)
        for check in part(facts)
    )


def check_network(facts: Facts) -> tuple[Check, ...]:
    """Proxies and registries, as far as they are set; nothing where nothing is."""
    return (*_proxy(facts), *_registries(facts))


def _line(id: str, state: State, what: str, *, evidence: tuple[str, ...] = (), hint: str = "") -> Check:
    return Check(id, Topic.MACHINE, state, sentence(what), evidence, hint)


def _cpu(facts: Facts) -> Iterator[Check]:
    cpu = facts.cpu
    number = f"{cpu.cores} core{'s' if cpu.cores != 1 else ''}"
    maker = f"{cpu.vendor} " if cpu.vendor and facts.platform.architecture.startswith("arm") else ""
    name = cpu.model if cpu.vendor in ("", "Arm") or cpu.model.startswith(cpu.vendor) else f"{maker}{cpu.model}"
    words = f"{name or 'a processor that does not say what it is'}, {number}"
    evidence = []
    if cpu.implementer is not None:
        parts = ", ".join(f"{part:#05x}" for part in cpu.parts)
        evidence.append(f"/proc/cpuinfo: CPU implementer {cpu.implementer:#04x}, CPU part {parts}")
    if not cpu.baseline:
        yield _line("cpu", State.GOOD, words, evidence=tuple(evidence))
        return
    version = cpu.baseline.replace("armv", "ARMv")
    evidence.append(f"/proc/cpuinfo: Features {'with' if 'atomics' in cpu.features else 'without'} atomics (LSE)")
    if cpu.baseline == "armv8.0":
        yield _line(
            "cpu", State.NOTE, f"{words}, {version} without atomic instructions (LSE)", evidence=tuple(evidence),
            hint="Programs that are built for ARMv8.1 or later (-march=armv8.1-a and up) end here with "
            " `Illegal instruction`; build with -march=armv8-a.",
        )  # fmt: skip
        return
    yield _line("cpu", State.GOOD, f"{words}, {version}", evidence=tuple(evidence))


def _userland(facts: Facts) -> Iterator[Check]:
    if facts.userland is None:
        return
    yield _line(
        "userland", State.WARNING,
        f"the kernel is for {facts.platform}, but the programs here are for {facts.userland}",
        evidence=("/bin/sh is such a program",),
        hint=f"Docker here takes images for {facts.userland}. For {facts.platform} images install the 64-bit edition "
        "of this system.",
    )  # fmt: skip


def _pages(facts: Facts) -> Iterator[Check]:
    if facts.page_size is None:
        yield _line("page-size", State.UNKNOWN, "the size of its memory pages could not be found out")
        return
    size = facts.page_size // _KIB
    if size <= 4:
        yield _line("page-size", State.GOOD, f"memory pages of {size} KiB")
        return
    yield _line(
        "page-size", State.NOTE, f"memory pages of {size} KiB",
        hint="Programs with pages of 4 KiB built in do not start here: old jemalloc (as in old Redis), old Chrome and "
        f"Electron, and files whose segments are aligned to less than {size} KiB. Try each image here.",
    )  # fmt: skip


def _memory(facts: Facts) -> Iterator[Check]:
    if facts.memory is None:
        return
    swap = f", {_size(facts.swap)} of swap" if facts.swap else ", no swap" if facts.swap == 0 else ""
    words = f"{_size(facts.memory)} of memory{swap}"
    if facts.memory + (facts.swap or 0) < _LEAST_MEMORY:
        hint = "Builds are likely to be killed; add swap, or build on another machine."
        yield _line("memory", State.WARNING, words, hint=hint)
    else:
        yield _line("memory", State.GOOD, words)


def _disks(facts: Facts) -> Iterator[Check]:
    for disk in _for_images(facts):
        words = f"{_size(disk.free)} of {_size(disk.total)} free on {disk.path}"
        kind = f" ({disk.file_system})" if disk.file_system else ""
        name = "disk" if disk.path == "/" else f"disk-{disk.path.strip('/').replace('/', '-')}"
        if disk.free < _LEAST_DISK:
            hint = "Free some space: `docker system prune`, `buildah prune`, old logs; or move Docker's data-root."
            yield _line(name, State.PROBLEM, f"only {words}{kind}, too little for a build", hint=hint)
        elif disk.free < _LITTLE_DISK:
            hint = "Images for two platforms fill this soon; `docker system df` tells what takes the space."
            yield _line(name, State.WARNING, f"{words}{kind}", hint=hint)
        else:
            yield _line(name, State.GOOD, f"{words}{kind}")


def _for_images(facts: Facts) -> list[Disk]:
    """The file systems that images and builds go to: all that were asked about, but for a temporary one in memory."""
    return [disk for disk in facts.disks if disk.file_system not in ("tmpfs", "devtmpfs") or disk.path == "/"]


def _kernel(facts: Facts) -> Iterator[Check]:
    version = version_number(facts.kernel)
    words = f"Linux {facts.kernel}"
    if not version:
        yield _line("kernel", State.UNKNOWN, "the kernel's version could not be found out")
    elif version < _DOCKER_KERNEL:
        hint = "Docker needs Linux 3.10 or later; update the system."
        yield _line("kernel", State.PROBLEM, f"{words} is too old for containers", hint=hint)
    elif version < FLAG_F_SINCE:
        hint = (
            "It cannot keep an emulator open for containers (flag F of binfmt_misc came with Linux 4.8), so that "
            "images for other platforms do not run here; build them on a machine of that platform."
        )
        yield _line("kernel", State.WARNING, words, hint=hint)
    else:
        yield _line("kernel", State.GOOD, words)


def _cgroup(facts: Facts) -> Iterator[Check]:
    docker = facts.docker.server if facts.docker else ""
    if facts.cgroup == 2 and version_number(docker) and version_number(docker) < _BOTH_CGROUPS_DOCKER:
        hint = "Update Docker to 20.10 or later, or start the kernel with systemd.unified_cgroup_hierarchy=0."
        words = f"control groups version 2, which Docker {docker} does not know"
        yield _line("cgroup", State.PROBLEM, words, hint=hint)
    elif facts.cgroup:
        yield _line("cgroup", State.GOOD, f"control groups version {facts.cgroup}")
    elif facts.cgroup == 0:
        hint = "Container runtimes need them; buildah with chroot isolation, which crossdock uses then, does not."
        yield _line("cgroup", State.NOTE, "no control groups are mounted", hint=hint)


def _surroundings(facts: Facts) -> Iterator[Check]:
    if facts.container:
        yield _line(
            "container", State.NOTE, f"this is the inside of a container ({facts.container})",
            hint="Docker and emulation belong to its host: run the doctor there too. Here buildah can build.",
        )  # fmt: skip
    if facts.wsl == 1:
        yield _line(
            "wsl", State.PROBLEM, "this is the first version of WSL, which has no Linux kernel",
            hint="Change to the second one in Windows: `wsl --set-version NAME 2`.",
        )  # fmt: skip
    elif facts.wsl == 2:
        yield _line("wsl", State.NOTE, "this is WSL 2: Docker Desktop, if it is used, brings emulators of its own")
    elif facts.virtual and not facts.container:
        yield _line("virtual", State.GOOD, f"a virtual machine ({facts.virtual})")


# --- network ---------------------------------------------------------------------------------------------------------


def _proxy(facts: Facts) -> Iterator[Check]:
    """Docker's daemon pulls images, and does not see the shell's variables."""
    named = {name.lower(): value for name, value in facts.proxy.items()}
    servers = {named[name] for name in ("http_proxy", "https_proxy", "all_proxy") if name in named}
    docker = facts.docker
    evidence = tuple(f"{name}={value}" for name, value in facts.proxy.items())
    if docker and docker.proxy:
        yield Check("proxy", Topic.NETWORK, State.GOOD, f"Docker pulls through the proxy {docker.proxy}.", evidence)
    elif servers and docker and docker.server and not docker.is_podman:
        yield Check(
            "proxy",
            Topic.NETWORK,
            State.WARNING,
            f"This shell has a proxy ({', '.join(sorted(servers))}); Docker's daemon, which pulls images, has none.",
            evidence,
            "Set it in /etc/docker/daemon.json (`proxies`, from Docker 23.0 on) or in a drop-in of its systemd unit "
            "(Environment=HTTPS_PROXY=…), and restart Docker.",
        )
    elif servers:
        what = f"This shell has a proxy: {', '.join(sorted(servers))}."
        yield Check("proxy", Topic.NETWORK, State.GOOD, what, evidence)


def _registries(facts: Facts) -> Iterator[Check]:
    if facts.registries:
        words = f"registries that are configured here: {', '.join(facts.registries)}"
        yield Check("registries", Topic.NETWORK, State.GOOD, sentence(words))


def _size(number: int | None) -> str:
    """GiB as people say it: one digit after the point below ten."""
    gib = (number or 0) / _GIB
    return f"{gib:.1f} GiB" if gib < 10 else f"{gib:.0f} GiB"
