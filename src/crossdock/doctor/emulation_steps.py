"""What would make a machine run the programs of another platform: steps, and what to do by hand where there are none.

Order: install an emulator if there is none, register it with the kernel, have it registered at every boot.
"""

from __future__ import annotations

from crossdock.doctor.distribution import install_words, own_packages
from crossdock.doctor.guest import Guest
from crossdock.doctor.package_steps import install_step
from crossdock.host.binfmt_steps import BOOT_FOLDERS, boot_step, register_step, service_step
from crossdock.host.steps import Step


def emulation_steps(guest: Guest) -> tuple[Step, ...]:
    """Make its programs run in containers, now and after a reboot; empty where no step can."""
    if guest.facts.container or guest.facts.wsl == 1 or not guest.kernel_has_f:
        return ()
    install = () if guest.chosen else _install(guest)
    if not guest.chosen and not install:
        return ()
    return _each_once(*install, *_service(guest), register_step(guest.platform, guest.chosen), *boot_steps(guest))


def boot_steps(guest: Guest) -> tuple[Step, ...]:
    """Have what runs its programs registered at every boot, if it is not."""
    if guest.facts.container or (guest.at_boot and guest.at_boot.handler.fixed):
        return ()
    install = () if guest.chosen else _install(guest)
    if not guest.chosen and not install:
        return ()
    at_boot = (boot_step(guest.platform, guest.chosen),) if guest.facts.init == "systemd" else _service(guest)
    return _each_once(*install, *at_boot) if at_boot else ()


def by_hand(guest: Guest) -> str:
    """The next thing to do where there are no steps."""
    if guest.facts.container:
        return "Run `crossdock doctor` on the host: a container uses its kernel and cannot register anything."
    if not guest.kernel_has_f:
        return "Take a newer kernel, or build on a machine of that architecture."
    return (
        f"Install QEMU's user emulation for {guest.machine.qemu} (a static one) and run this again, or name one with "
        "--interpreter."
    )


def at_boot_by_hand(guest: Guest) -> str:
    if guest.facts.init == "systemd":
        return f"Install QEMU's user emulation, so that {BOOT_FOLDERS[0]} can name it, and run the doctor again."
    if guest.facts.wsl == 2:
        return "Switch systemd on ([boot] systemd=true in /etc/wsl.conf), or register it at each start of WSL."
    return "Nothing here registers at boot; run `crossdock doctor --fix` again after a reboot."


def _service(guest: Guest) -> tuple[Step, ...]:
    alpine = guest.distribution is not None and "apk" in install_words(guest.distribution)
    return (service_step(),) if guest.facts.init == "openrc" and alpine else ()


def _install(guest: Guest) -> tuple[Step, ...]:
    """QEMU from the distribution, where its package emulates this platform."""
    if guest.distribution is None:
        return ()
    host = guest.facts.platform.architecture
    packages = own_packages(guest.distribution, host).emulation.split()
    words = install_words(guest.distribution)
    usual = "amd64" if host == "arm64" else "arm64"
    for_one = any(name in package for package in packages for name in ("aarch64", "x86"))
    if not packages or not words or (for_one and guest.platform.architecture != usual):
        return ()
    why = "QEMU's user-mode emulation runs programs of other architectures."
    return (install_step(packages, words, id="install-qemu-user", why=why),)


def _each_once(*steps: Step) -> tuple[Step, ...]:
    return tuple({step.id: step for step in steps}.values())
