"""What the collector printed on a machine, read as ``Facts``; and running the collector on this machine."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossdock.doctor.cpu import read_cpu
from crossdock.doctor.facts import BinfmtFacts, Disk, Facts, Interpreter, Program, User
from crossdock.doctor.material_docker import read_docker, read_registries
from crossdock.doctor.version import find_version
from crossdock.errors import CrossdockError, EngineError, InputError
from crossdock.host.binfmt import MACHINES, Handler, needs_loader, parse_handler
from crossdock.platforms import Platform, normalise
from crossdock.process import Command, Runner

SCHEMA = "crossdock.facts/v1"
_COLLECTOR = Path(__file__).with_name("collector.sh")
_SECONDS = 180.0
"""More than all the collector's own limits for a machine on which one or two programs hang."""
_AGAIN = "Collect the facts anew, with the script that `crossdock doctor --collector` prints."
_INITIAL = "pid:[4026531836] uts:[4026531838]"
"""The first namespaces of a kernel have fixed numbers (PROC_PID_INIT_INO in include/linux/proc_ns.h of Linux)."""


@dataclass(frozen=True)
class Answer:
    """What a program said when it was asked."""

    exit_code: int
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


@dataclass(frozen=True)
class Material:
    """The collector's output, in its parts."""

    values: Mapping[str, str]
    files: Mapping[str, str]
    folders: Mapping[str, str]
    environment: Mapping[str, str]
    commands: Mapping[str, Answer]
    handlers: Mapping[str, str]
    at_boot: Mapping[str, str]
    interpreters: Mapping[str, str]
    runs: Mapping[str, str]
    unread: Mapping[str, str]

    def said(self, command: str) -> str:
        """What a program answered; empty if it is not installed or did not succeed."""
        answer = self.commands.get(command)
        return answer.output.strip() if answer and answer.ok else ""

    def version(self, command: str) -> str:
        return find_version(self.said(command))


def collector() -> str:
    """The script that collects facts on a machine without crossdock."""
    return _COLLECTOR.read_text()


def collect(runner: Runner) -> str:
    """The facts of this machine, as the collector prints them. Raises EngineError if it cannot run."""
    done = runner.run(Command(("sh", str(_COLLECTOR))), timeout=_SECONDS)
    if not done.text.strip():
        said = tuple(done.stderr.decode("utf-8", "replace").splitlines())
        raise EngineError("the facts of this machine could not be collected", log=said)
    return done.text


def read_facts(text: str, where: str) -> Facts:
    """Raises InputError for what no collector has printed, and for what a later one has."""
    material = _parse(text, where)
    values = material.values
    architecture = values.get("machine", "")
    if not architecture:
        raise InputError("these facts do not say what machine they are of", where=where, hint=_AGAIN)
    platform = normalise("linux", architecture)
    manager = tuple(name.removeprefix("manager ") for name in values if name.startswith("manager "))
    init = "systemd" if "systemd" in values else "openrc" if "openrc" in values else ""
    container, runs = _container(material), material.runs
    programs = _programs(material)
    handlers, not_understood = _handlers(material)
    return Facts(
        platform=platform,
        userland=_userland(values.get("shell-header", ""), platform),
        cpu=read_cpu(_cpuinfo(material), platform, _hardware(material), _number(values.get("cores"))),
        page_size=_number(values.get("page-size")),
        memory=_kilobytes(material.files.get("/proc/meminfo", ""), "MemTotal"),
        swap=_kilobytes(material.files.get("/proc/meminfo", ""), "SwapTotal"),
        disks=_disks(material),
        kernel=values.get("kernel", ""),
        proc_version=material.files.get("/proc/version", "").strip(),
        cgroup=_cgroup(_mounts(material)),
        os_release=_os_release(material),
        release_files={
            path: content
            for path, content in material.files.items()
            if path.startswith("/etc/") and re.search(r"release|version|kyinfo|kylin-build|rpi-issue|/issue", path)
            and path != "/etc/os-release"
        },
        init=init or ("sysvinit" if values.get("process-1") == "init" else ""),
        package_managers=manager,
        packages=_packages(material),
        apt_sources={path: text for path, text in material.files.items() if path.startswith("/etc/apt/sources.list")},
        programs=programs,
        docker=read_docker(material, programs),
        container=container,
        wsl=_wsl(material),
        virtual=_virtual(material),
        user=User(
            values.get("user", ""),
            _number(values.get("user-uid")) or 0,
            tuple(values.get("groups", "").split()),
            root=values.get("uid") == "0",
        ),
        registries=read_registries(material),
        proxy={name: value for name, value in material.environment.items() if name.lower().endswith("_proxy")},
        binfmt=_binfmt(material, handlers),
        runs={name: ended.startswith("0") for name, ended in runs.items()} if _tells(runs, platform) else {},
        runs_in_empty_root="empty root" in runs.get(platform.architecture, ""),
        unread={**material.unread, **not_understood},
    )  # fmt: skip


def _parse(text: str, where: str) -> Material:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InputError(f"these are no facts of a machine: {error}", where=where, hint=_AGAIN) from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if not isinstance(schema, str) or not schema.startswith("crossdock.facts/"):
        raise InputError("these are no facts of a machine", where=where, hint=_AGAIN)
    if schema != SCHEMA:
        raise InputError(
            f"these facts are of the form {schema}, and this crossdock knows {SCHEMA}",
            where=where,
            hint="Use the crossdock that has printed the collector, or a newer one.",
        )
    return Material(
        commands=_answers(found.get("commands"), where),
        **{
            part.replace("-", "_"): _strings(found.get(part, {}), part, where)
            for part in "values files folders environment handlers at-boot interpreters runs unread".split()
        },
    )


def _strings(part: Any, name: str, where: str) -> dict[str, str]:
    if not isinstance(part, dict) or not all(isinstance(value, str) for value in part.values()):
        raise InputError(f"its part {name!r} is not as a collector writes it", where=where, hint=_AGAIN)
    return {_written(key): _written(value) for key, value in part.items()}


def _written(text: str) -> str:
    """JSON can hold halves of characters, which can neither be compared with bytes nor shown."""
    return text.encode("utf-8", "replace").decode()


def _answers(part: Any, where: str) -> dict[str, Answer]:
    try:
        return {
            name: Answer(int(entry["exit"]), _written(str(entry["output"])), _written(str(entry["errors"])))
            for name, entry in (part or {}).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError("its part 'commands' is not as a collector writes it", where=where, hint=_AGAIN) from error


# --- the machine -----------------------------------------------------------------------------------------------------


def _number(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[0-9]{1,18}", text) else None


def _kilobytes(meminfo: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s+(\d{{1,18}}) kB", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _userland(header: str, platform: Platform) -> Platform | None:
    """What programs here are for, by /bin/sh; None where that is what the kernel is for."""
    for architecture, machine in MACHINES.items():
        wanted = machine.header().hex()
        if header[:12] == wanted[:12] and header[36:40] == wanted[36:40]:
            return None if architecture == platform.architecture else normalise("linux", architecture)
    return None


def _hardware(material: Material) -> str:
    """What the machine calls itself: the device tree's model, or the vendor's names in its firmware."""
    model = material.files.get("/proc/device-tree/model", "")
    names = (material.files.get(f"/sys/class/dmi/id/{name}", "") for name in ("sys_vendor", "product_name"))
    return model.strip() or " ".join(filter(None, map(str.strip, names)))


def _mounts(material: Material) -> dict[str, str]:
    """Mount point → type; of several on one point the last, which is the one that shows."""
    lines = (line.split(" ") for line in material.files.get("/proc/mounts", "").splitlines())
    return {words[0]: words[1] for words in lines if len(words) == 2}


def _disks(material: Material) -> tuple[Disk, ...]:
    """A line of ``df -P -k`` for each file system; df ends with 1 when one of the folders is not there."""
    mounts, disks = _mounts(material), {}
    answer = material.commands.get("df")
    for line in answer.output.splitlines()[1:] if answer else ():
        found = re.fullmatch(r".*\s(\d{1,18})\s+\d+\s+(-?\d{1,18})\s+\S+\s+(/.*)", line)
        if found:
            path = found[3]
            disks[path] = Disk(path, int(found[1]) * 1024, max(0, int(found[2])) * 1024, mounts.get(path, ""))
    return tuple(disks.values())


def _cgroup(mounts: Mapping[str, str]) -> int:
    kinds = set(mounts.values())
    if mounts.get("/sys/fs/cgroup") == "cgroup2":
        return 2
    return 1 if "cgroup" in kinds else 2 if "cgroup2" in kinds else 0


def _os_release(material: Material) -> dict[str, str]:
    """os-release(5): shell assignments. A line that is none is left out."""
    text = material.files.get("/etc/os-release") or material.files.get("/usr/lib/os-release") or ""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or not re.fullmatch(r"\w+", name):
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            words = [value.strip("\"'")]
        found[name] = " ".join(words)
    return found


def _packages(material: Material) -> dict[str, str]:
    found = {}
    answer = material.commands.get("dpkg")
    for line in answer.output.splitlines() if answer else ():
        state, name, version = [*line.split("\t"), "", ""][:3]
        if state.startswith(("ii", "hi")):
            found[name] = version
    for line in material.said("rpm").splitlines():
        name, tab, version = line.partition("\t")
        if tab:
            found[name] = version
    for line in material.said("apk").splitlines():
        if parts := re.fullmatch(r"(.+?)-(\d[^-]*-r\d+)", line.strip()):
            found[parts[1]] = parts[2]
    for line in material.said("pacman").splitlines():
        name, space, version = line.partition(" ")
        if space:
            found[name] = version
    return {name: version for name, version in found.items() if _CONTAINERS.match(name)}


_CONTAINERS = re.compile(
    r"(docker|moby|containerd|runc|crun|podman|buildah|skopeo|nerdctl|qemu-(user|linux-user|.*-static|aarch64|x86_64)"
    r"|binfmt|netavark|fuse-overlayfs|slirp4netns|uidmap|shadow-utils|passt|aardvark)"
)


def _programs(material: Material) -> dict[str, Program]:
    return {
        name.removeprefix("program "): Program(path, material.version(f"{name.removeprefix('program ')} version"))
        for name, path in material.values.items()
        if name.startswith("program ")
    }


def _container(material: Material) -> str:
    """What kind of container this is, if it is one. A kernel's first namespaces are no container's, even when a file
    system that was once a container's image is the root of a virtual machine."""
    values = material.values
    if values.get("namespaces", "").startswith(_INITIAL) and not values.get("container"):
        return ""
    if "KUBERNETES_SERVICE_HOST" in material.environment:
        return "kubernetes"
    said = material.said("in container")
    named = values.get("container") or (said if said not in ("none", "wsl") else "")
    if named:
        return named.split()[0]
    if "containerenv" in values:
        return "podman"
    return "docker" if "dockerenv" in values else ""


def _wsl(material: Material) -> int:
    version = material.files.get("/proc/version", "").lower()
    if "microsoft" not in version:
        return 0
    return 2 if "wsl2" in version or "microsoft-standard" in version else 1


def _virtual(material: Material) -> str:
    said = material.said("virtual")
    if said and said not in ("none", "wsl"):
        return said
    return "unknown hypervisor" if re.search(r"^flags\s*:.*\bhypervisor\b", _cpuinfo(material), re.MULTILINE) else ""


def _cpuinfo(material: Material) -> str:
    return material.files.get("/proc/cpuinfo", "")


# --- emulation -------------------------------------------------------------------------------------------------------


def _tells(runs: Mapping[str, str], platform: Platform) -> bool:
    """Where not even the machine's own program ran (noexec), the trial tells nothing."""
    return runs.get(platform.architecture, "0").startswith("0")


def _binfmt(material: Material, handlers: tuple[Handler, ...]) -> BinfmtFacts:
    status = material.handlers.get("status")
    names = tuple(name for name in material.handlers if name != "status")
    return BinfmtFacts(
        supported=status is not None
        or "binfmt_misc" in material.files.get("/proc/filesystems", "")
        or bool(material.said("modinfo binfmt_misc")),
        mounted=status is not None,
        enabled=(status or "").strip() == "enabled",
        handlers=handlers,
        newest_first=names,
        interpreters=tuple(_interpreter(path, said) for path, said in material.interpreters.items()),
        at_boot=material.at_boot,
        service=_boot_service(material),
    )


def _handlers(material: Material) -> tuple[tuple[Handler, ...], Mapping[str, str]]:
    """The entries of binfmt_misc by name, and those that are not understood, with the reason."""
    handlers: list[Handler] = []
    unread: dict[str, str] = {}
    for name in sorted(material.handlers.keys() - {"status"}):
        try:
            handlers.append(parse_handler(name, material.handlers[name]))
        except CrossdockError as error:
            unread[f"binfmt_misc/{name}"] = error.what
    return tuple(handlers), unread


def _interpreter(path: str, said: str) -> Interpreter:
    """Three lines: its version, the first bytes of its file, its package."""
    version, head, package = [*said.split("\n"), "", "", ""][:3]
    return Interpreter(path, find_version(version), _static(head), package.strip())


def _static(head: str) -> bool | None:
    try:
        data = bytes.fromhex(head)
        return not needs_loader(data) if data.startswith(b"\x7fELF") else None
    except (ValueError, IndexError, ArithmeticError):
        return None


def _boot_service(material: Material) -> str:
    """``binfmt-support`` where it is in force, since it comes after systemd-binfmt."""
    enabled = {name: material.commands.get(f"{name} enabled") for name in ("binfmt-support", "systemd-binfmt")}
    for name, answer in enabled.items():
        if answer and answer.output.strip() in ("enabled", "static", "enabled-runtime", "alias"):
            return name
    if re.search(r"\b(qemu-)?binfmt\b.*\|", material.said("openrc services")):
        return "openrc"
    named = next((name for name, answer in enabled.items() if answer and answer.output.strip()), "")
    return f"{named} (off)" if named else ""
