"""What is known of a machine. ``material`` reads it from what the collector printed; nothing here is judged yet.

A fact that could not be found out is empty or None, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crossdock.host.binfmt import Handler
from crossdock.platforms import AMD64, Platform


@dataclass(frozen=True)
class Cpu:
    """``model`` is what people call it (``Kunpeng 920``, ``FT-2000/4``, ``Graviton3``), by the table in ``cpu``;
    ``baseline`` the Arm architecture version that all its cores have (``armv8.0``), where known."""

    model: str = ""
    vendor: str = ""
    implementer: int | None = None
    """``CPU implementer`` of /proc/cpuinfo (MIDR_EL1[31:24])."""
    parts: tuple[int, ...] = ()
    """``CPU part`` of each kind of core, as they come (MIDR_EL1[15:4])."""
    cores: int = 0
    features: frozenset[str] = frozenset()
    """``Features`` on Arm, ``flags`` on x86."""
    baseline: str = ""


@dataclass(frozen=True)
class Disk:
    """Bytes on the file system of ``path``; ``file_system`` as mount(8) calls it (``ext4``, ``overlay``)."""

    path: str
    total: int
    free: int
    file_system: str = ""


@dataclass(frozen=True)
class User:
    """Who asked: with sudo that is who called sudo. ``root`` tells whether the collector itself ran as root."""

    name: str = ""
    uid: int = 0
    groups: tuple[str, ...] = ()
    root: bool = False


@dataclass(frozen=True)
class Program:
    """An installed program."""

    path: str
    version: str = ""


@dataclass(frozen=True)
class DockerFacts:
    """What ``docker`` and its daemon said. ``server`` is empty when no daemon answered, and ``trouble`` holds why."""

    client: Program
    server: str = ""
    trouble: str = ""
    storage_driver: str = ""
    containerd_store: bool = False
    experimental: bool = False
    """The daemon's flag."""
    client_experimental: bool = False
    buildx: str = ""
    """The plugin's version; empty when there is none."""
    builders: tuple[BuilderFacts, ...] = ()
    socket_writable: bool | None = None
    rootless: bool = False
    images: int | None = None
    live_restore: bool = False
    daemon_json: str | None = None
    """/etc/docker/daemon.json, credentials in URLs blanked out; None where there is no such file."""
    config_json: str | None = None
    """How ~/.docker/config.json is: ``valid``, ``invalid`` or ``empty``; None where there is none. Never its text."""
    proxy: str = ""
    """The daemon's own, which it pulls images through; without credentials."""
    is_podman: bool = False
    """``docker`` is podman's imitation of it (podman-docker)."""


@dataclass(frozen=True)
class BuilderFacts:
    """A builder of buildx. ``platforms`` as ``buildx ls`` shows them; those with a star were pinned."""

    name: str
    driver: str
    status: str
    nodes: int = 1
    platforms: tuple[str, ...] = ()
    current: bool = False
    error: str = ""


@dataclass(frozen=True)
class Interpreter:
    """A user-mode emulator on disk. ``static`` is None where that could not be seen."""

    path: str
    version: str = ""
    """``7.2.22``, as its ``--version`` says."""
    static: bool | None = None
    package: str = ""


@dataclass(frozen=True)
class BinfmtFacts:
    """``supported`` whether the kernel knows binfmt_misc, as a file system that is or could be mounted."""

    supported: bool = False
    mounted: bool = False
    enabled: bool = False
    handlers: tuple[Handler, ...] = ()
    """In the order of their names."""
    newest_first: tuple[str, ...] = ()
    """Their names in the folder's own order, which is the one in which the kernel asks them; empty if not known."""
    interpreters: tuple[Interpreter, ...] = ()
    """Those that handlers name, and those that lie where distributions put them."""
    at_boot: Mapping[str, str] = field(default_factory=dict)
    """File that registers handlers at boot (binfmt.d, /usr/share/binfmts, /etc/init.d/qemu-binfmt) → its text."""
    service: str = ""
    """What registers them at boot: ``systemd-binfmt``, ``binfmt-support``, ``openrc``; with ``(off)`` if disabled."""


@dataclass(frozen=True)
class Facts:
    """One machine, as its collector saw it."""

    platform: Platform = AMD64
    """The kernel's own (``uname -m``)."""
    userland: Platform | None = None
    """Where the programs are of another one: a 32-bit userland on a 64-bit kernel (Raspberry Pi OS)."""
    cpu: Cpu = Cpu()
    page_size: int | None = None
    """Bytes."""
    memory: int | None = None
    """Bytes, as are swap and disks."""
    swap: int | None = None
    disks: tuple[Disk, ...] = ()
    """/, /var/lib/docker and /var/lib/containers (or what holds them), the temporary folder."""
    kernel: str = ""
    """``uname -r``."""
    proc_version: str = ""
    cgroup: int | None = None
    """1, 2; 0 where none is mounted."""
    os_release: Mapping[str, str] = field(default_factory=dict)
    release_files: Mapping[str, str] = field(default_factory=dict)
    """Path → text of every other file that tells a release: lsb-release, debian_version, redhat-release, kylin-release,
    .kyinfo, os-version, neokylin-release, openEuler-release, …"""
    init: str = ""
    """``systemd``, ``openrc``, ``sysvinit``, or empty: nothing here starts services (a container)."""
    package_managers: tuple[str, ...] = ()
    """``apt-get``, ``dnf``, ``yum``, ``zypper``, ``apk``, ``pacman``: those that are installed."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """Installed packages that have to do with containers (docker-ce, docker.io, containerd, runc, …) → versions."""
    apt_sources: Mapping[str, str] = field(default_factory=dict)
    """Path → text of /etc/apt/sources.list and what is in its folder, without credentials."""
    programs: Mapping[str, Program] = field(default_factory=dict)
    """Programs by name: docker, podman, buildah, nerdctl, containerd, runc, crun, skopeo, curl, wget, gpg, …"""
    docker: DockerFacts | None = None
    container: str = ""
    """``docker``, ``podman``, ``kubernetes``, ``lxc`` …, empty outside one."""
    wsl: int = 0
    """1 or 2 on the Windows Subsystem for Linux."""
    virtual: str = ""
    """The hypervisor, where it shows (``kvm``, ``vmware``)."""
    user: User = User()
    registries: tuple[str, ...] = ()
    """Registries and mirrors that the machine's settings name."""
    proxy: Mapping[str, str] = field(default_factory=dict)
    """Environment variable → value, without credentials."""
    binfmt: BinfmtFacts = BinfmtFacts()
    runs: Mapping[str, bool] = field(default_factory=dict)
    """Architecture (``arm64``, ``amd64``) → whether a static program for it ran, in an empty root where that could be
    made (as root), so that what runs here runs in containers too."""
    runs_in_empty_root: bool = False
    """Whether ``runs`` was found out in an empty root."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """What should have been read and could not be → why (no permission, timed out)."""
