"""The command that installs something on this distribution, by the package manager that is there."""

from __future__ import annotations

from enum import StrEnum

from crossdock.process import Runner


class Wanted(StrEnum):
    BUILDAH = "buildah"
    BUILDX = "buildx"
    EMULATION = "emulation"
    NETAVARK = "netavark"
    PODMAN = "podman"
    REGISTRY = "registry"


_INSTALL = {
    "apt-get": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "yum": "sudo yum install",
    "zypper": "sudo zypper install",
    "apk": "sudo apk add",
    "pacman": "sudo pacman -S",
    "brew": "brew install",
}
_PACKAGES = {
    Wanted.BUILDX: {
        "apt-get": "docker-buildx",
        "zypper": "docker-buildx",
        "apk": "docker-cli-buildx",
        "pacman": "docker-buildx",
        "brew": "docker-buildx",
    },
    Wanted.EMULATION: {
        "apt-get": "qemu-user-static",
        "dnf": "qemu-user-static-aarch64",
        "yum": "qemu-user-static",
        "zypper": "qemu-linux-user",
        "apk": "qemu-aarch64",
        "pacman": "qemu-user-static",
    },
    Wanted.REGISTRY: {
        "apt-get": "docker-registry",
        "dnf": "docker-distribution",
        "yum": "docker-distribution",
        "zypper": "distribution-registry",
        "apk": "docker-registry",
    },
}
_DEFAULT = {
    Wanted.BUILDAH: "buildah",
    Wanted.BUILDX: "docker-buildx-plugin",
    Wanted.EMULATION: "qemu-user-static",
    Wanted.NETAVARK: "netavark",
    Wanted.PODMAN: "podman",
}


def install_command(wanted: Wanted, runner: Runner) -> str | None:
    """``sudo apt-get install buildah``; None where no known package manager is installed, or none that has it."""
    for manager, install in _INSTALL.items():
        if runner.which(manager):
            package = _PACKAGES.get(wanted, {}).get(manager) or _DEFAULT.get(wanted)
            return f"{install} {package}" if package else None
    return None
