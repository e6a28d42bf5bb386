"""Registering an emulator with the kernel, now and at every boot, as steps that can be read and taken back.

Nothing that others registered is removed or changed: the kernel asks the entry that was registered last first
(``list_add`` in fs/binfmt_misc.c of Linux), so ours comes before one that does not do, and undoing ours brings it back.
systemd-binfmt is never restarted, as that removes every entry that it does not manage (systemd#30892).
"""

from __future__ import annotations

import shlex
from pathlib import Path

from crossdock.host.binfmt import (
    BINFMT,
    EXPECTS_P,
    MACHINES,
    Machine,
    escaped,
    interpreter_places,
    own_name,
    registration_match,
    tiny_program,
)
from crossdock.host.steps import Step
from crossdock.platforms import Platform

BOOT_FOLDERS = ("/etc/binfmt.d", "/run/binfmt.d", "/usr/local/lib/binfmt.d", "/usr/lib/binfmt.d", "/lib/binfmt.d")
"""Where systemd-binfmt reads, the folder that counts most first (binfmt.d(5))."""


def register_step(platform: Platform, interpreter: str = "", *, root: Path = BINFMT) -> Step:
    """Make the kernel run a platform's programs, also in containers, until the next reboot. Without ``interpreter`` it
    is looked for where distributions put QEMU. ``platform`` is one of ``MACHINES``."""
    machine = MACHINES[platform.architecture]
    name = own_name(machine)
    where = shlex.quote(str(root))
    runs = _runs(machine, platform.architecture, root)
    return Step(
        id=f"binfmt-register-{machine.qemu}",
        title=f"Register an emulator for {platform} with the kernel",
        why=(
            f"Flag F makes the kernel hold the emulator open, so that {platform} programs run in containers, which do "
            "not have its file. Other entries stay as they are; the kernel asks this one first."
        ),
        done=runs,
        run=f"""\
{_choose(platform, machine, interpreter)}
if [ ! -e {where}/register ]; then
    modprobe binfmt_misc 2>/dev/null || :
    mount -t binfmt_misc binfmt_misc {where} || fail "binfmt_misc cannot be mounted"
fi
# One of ours that no longer does gives way; every other entry stays.
if [ -e {where}/{name} ]; then echo -1 >{where}/{name}; fi
printf '%s' "$line" >{where}/register || fail "the kernel did not take the emulator $interpreter"
# It would hide every other entry, so it does not stay if it does not do.
if ! {runs}; then
    echo -1 >{where}/{name}
    fail "$interpreter runs no {platform} program in an empty root, as a container is; is it linked statically?"
fi
note binfmt {name}""",
    )


def boot_step(
    platform: Platform, interpreter: str = "", *, folders: tuple[str, ...] = BOOT_FOLDERS, root: Path = BINFMT
) -> Step:
    """Have systemd-binfmt register the emulator at every boot."""
    machine = MACHINES[platform.architecture]
    # systemd-binfmt goes by the files' names, and what is registered last is asked first.
    file = f"{folders[0]}/zz-{own_name(machine)}.conf"
    files = " ".join(f"{folder}/*.conf" for folder in folders)
    entry = shlex.quote(str(root / own_name(machine)))
    return Step(
        id=f"binfmt-boot-{machine.qemu}",
        title=f"Register the emulator for {platform} at every boot",
        why=f"What is registered with the kernel is gone after a reboot; systemd-binfmt registers what {file} says.",
        # Where ours was registered because the others do not do, theirs will not do after a reboot either.
        done=(
            f"grep -hsF {shlex.quote(_marks(machine))} {files} | grep -q ':[COP]*F[COP]*$' && "
            f"{{ [ -e {file} ] || [ ! -e {entry} ]; }}"
        ),
        run=f"""\
{_choose(platform, machine, interpreter)}
printf '%s\\n' '# Made by crossdock doctor: runs {platform} programs by an emulator, also in containers.' "$line" |
    put {file}""",
    )


def service_step() -> Step:
    """Have OpenRC register what QEMU's own service knows of (Alpine's qemu-openrc)."""
    return Step(
        id="binfmt-boot-openrc",
        title="Start qemu-binfmt now and at every boot",
        why="OpenRC's qemu-binfmt registers QEMU with the kernel; what is registered is gone after a reboot.",
        done="rc-update show default 2>/dev/null | grep -q qemu-binfmt",
        run="service enable qemu-binfmt\nservice start qemu-binfmt",
    )


def enable_step(*, root: Path = BINFMT) -> Step:
    where = shlex.quote(str(root))
    return Step(
        id="binfmt-enable",
        title="Switch binfmt_misc on",
        why="It is switched off as a whole, so that no entry counts. A reboot sets it back, --undo does not.",
        done=f"grep -qx enabled {where}/status",
        run=f"echo 1 >{where}/status",
    )


def _choose(platform: Platform, machine: Machine, interpreter: str) -> str:
    """Shell that sets ``interpreter`` and ``line``, what is written to binfmt_misc's ``register``."""
    if interpreter:
        find = f"interpreter={shlex.quote(interpreter)}"
        missing = "there is no program $interpreter"
    else:
        places = " ".join(interpreter_places(machine))
        find = f"""\
interpreter=''
for file in {places}; do
    if [ -x "$file" ]; then
        interpreter=$file
        break
    fi
done"""
        missing = f"QEMU for {platform} is not installed: there is none of {places}"
    match = registration_match(own_name(machine), machine)
    return f"""\
{find}
if [ ! -x "$interpreter" ]; then fail "{missing}"; fi
case $interpreter in
    *{EXPECTS_P}) flags=OPF ;;
    *) flags=F ;;
esac
line={shlex.quote(match)}":$interpreter:$flags\""""


def _runs(machine: Machine, architecture: str, root: Path) -> str:
    """Shell that succeeds when a program runs in an empty root, as it has to in a container; where no program is known
    that could be tried, when the kernel has an entry for it with flag F."""
    program = tiny_program(architecture)
    if program is None:
        header = machine.header()
        magic = f"{header[:7].hex()}.\\{{18\\}}....{header[18:20].hex()}"
        return (
            f'( for entry in {shlex.quote(str(root))}/*; do if grep -qsx enabled "$entry" && '
            f"grep -q '^flags:.*F' \"$entry\" && grep -q '^magic {magic}$' \"$entry\"; then exit 0; fi; done; exit 1 )"
        )
    text = "".join(f"\\{byte:o}" for byte in program)
    return (
        '( folder=$(mktemp -d) && trap \'rm -rf "$folder"\' EXIT && chmod 755 "$folder" && '
        f'printf \'{text}\' >"$folder/exit" && chmod 755 "$folder/exit" && chroot "$folder" /exit >/dev/null 2>&1 )'
    )


def _marks(machine: Machine) -> str:
    """What a line of binfmt.d for the machine holds: the end of an executable's header, and of the magic."""
    return f"{escaped(machine.header()[16:20])}:"
