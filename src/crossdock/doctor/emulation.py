"""What is said of emulation: whether programs of other platforms run on this machine and in its containers, why or why
not, and what would mend it.

Two things are compared: what is registered with binfmt_misc, and whether a real program ran. Where they contradict each
other, that is said. Source: Documentation/admin-guide/binfmt-misc.rst and fs/binfmt_misc.c of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from crossdock.doctor.arm32 import runs_arm32
from crossdock.doctor.diagnosis import Check, State, Topic, sentence
from crossdock.doctor.distribution import Distribution
from crossdock.doctor.emulation_steps import at_boot_by_hand, boot_steps, by_hand, emulation_steps
from crossdock.doctor.facts import Facts
from crossdock.doctor.guest import Guest
from crossdock.doctor.qemu import Trouble, troubles
from crossdock.doctor.version import version_number
from crossdock.host.binfmt import BINFMT, EXPECTS_P, MACHINES, Handler, Machine
from crossdock.host.binfmt_steps import enable_step
from crossdock.host.steps import Step
from crossdock.platforms import Platform

_TELLS_P = (5, 12)
"""From this kernel on an interpreter is told that flag P is set (commit 2347961b11d4); before, only one that expects it
can know."""
_GNU_LINUX = 3
"""EI_OSABI of static glibc programs with indirect functions, ldconfig for one (gABI, "ELF Identification")."""


def check_emulation(
    facts: Facts, wanted: Sequence[Platform], distribution: Distribution | None = None, *, interpreter: str = ""
) -> tuple[Check, ...]:
    """Some lines for each wanted platform that this machine does not run by itself, and one for each other entry of
    binfmt_misc that something is wrong with. ``interpreter`` is an emulator on that machine that is to be registered;
    it is for the platforms whose name its own bears (``qemu-aarch64-custom``), or else for all."""
    checks: list[Check] = []
    named = any(machine.qemu in PurePosixPath(interpreter).name for machine in MACHINES.values())
    for platform in dict.fromkeys(wanted):
        if platform.runs_natively_on(facts.platform):
            continue
        machine = MACHINES.get(platform.architecture)
        if machine is None or platform.os != "linux":
            what = f"There is no emulator for {platform} programs."
            hint = "Build and run them on a machine of their own."
            checks.append(_line(f"emulation-{platform.architecture}", State.PROBLEM, what, hint=hint))
            continue
        given = interpreter if not named or machine.qemu in PurePosixPath(interpreter).name else ""
        guest = Guest(facts, platform, machine, distribution, given)
        if (platform.architecture, facts.platform.architecture) == ("arm", "arm64"):
            checks.extend(_arm_on_arm64(guest))
        else:
            checks.extend(_guest(guest))
    checks.extend(_other_entries(facts, {platform.architecture for platform in wanted}))
    return tuple(checks)


def _line(
    id: str, state: State, what: str, evidence: Sequence[str] = (), *, hint: str = "", steps: Sequence[Step] = ()
) -> Check:
    return Check(id, Topic.EMULATION, state, what, tuple(filter(None, evidence)), hint, tuple(steps))


def _arm_on_arm64(guest: Guest) -> Iterator[Check]:
    """32-bit programs on a 64-bit Arm machine, which some processors run by themselves."""
    native, why = runs_arm32(guest.facts)
    if guest.ran is None and not guest.handlers and native is not False:
        state = State.GOOD if native else State.UNKNOWN
        what = f"This machine runs {guest.platform} programs itself, without emulation."
        if native is None:
            what = f"Whether this machine runs {guest.platform} programs itself is not known, and no entry takes them."
        hint = "Look what `lscpu` says of it: CPU op-mode(s) has to name 32-bit." if native is None else ""
        yield _line(_id(guest), state, what, [sentence(why)], hint=hint)
        return
    first, *rest = _guest(guest)
    yield replace(first, evidence=(*first.evidence, sentence(why)))
    yield from rest


def _guest(guest: Guest) -> Iterator[Check]:
    verdict = _verdict(guest)
    yield verdict
    if not guest.handlers:
        return
    yield from _coverage(guest)
    yield from _several(guest)
    if verdict.state in (State.GOOD, State.NOTE):
        yield from _reboot(guest)
        yield from _credentials(guest)
    yield from _argument(guest)
    yield from _version(guest)


def _id(guest: Guest, subject: str = "") -> str:
    return "-".join(filter(None, ("emulation", guest.platform.architecture, subject)))


def _say(
    guest: Guest, state: State, what: str, evidence: Sequence[str] = (), *, hint: str = "", mend: bool = False
) -> Check:
    """The verdict on a platform, with its entries as evidence and, if asked for, what would mend it."""
    steps = emulation_steps(guest) if mend else ()
    if mend and not steps and not hint:
        hint = by_hand(guest)
    seen = [_described(guest, entry) for entry in guest.handlers]
    boot = guest.at_boot
    if boot and guest.handlers:
        seen.append(f"An entry for them is registered at every boot by {boot.file}.")
    return _line(_id(guest), state, what, [*evidence, *seen], hint=hint, steps=steps)


def _described(guest: Guest, handler: Handler) -> str:
    file = guest.interpreter(handler)
    if file is None:
        about = "not on this machine" + (", the kernel holds it open" if handler.fixed else "")
    else:
        linked = {True: "static", False: "dynamically linked", None: ""}[file.static]
        about = ", ".join(filter(None, (f"QEMU {file.version}" if file.version else "", linked, file.package)))
    flags = f"flags {handler.flags}" if handler.flags else "no flags"
    return f"{handler.name}: {handler.interpreter}{f' ({about})' if about else ''}, {flags}"


def _verdict(guest: Guest) -> Check:
    facts, binfmt, platform = guest.facts, guest.facts.binfmt, guest.platform
    if facts.wsl == 1:
        what = f"{platform} programs do not run: WSL 1 has no Linux kernel."
        return _say(guest, State.PROBLEM, what, hint="Change to WSL 2: `wsl --set-version DISTRIBUTION 2`.")
    if guest.ran:
        return _it_ran(guest)
    if binfmt.mounted and not binfmt.enabled:
        steps = () if facts.container else (enable_step(), *(() if guest.handlers else emulation_steps(guest)))
        what = f"{platform} programs do not run: binfmt_misc is switched off as a whole."
        seen = [_described(guest, entry) for entry in guest.handlers]
        hint = "" if steps else f"Run `echo 1 > {BINFMT}/status` as root, on the host."
        return _line(_id(guest), State.PROBLEM, what, seen, hint=hint, steps=steps)
    return _by_entries(guest) if guest.handlers else _nothing(guest)


def _it_ran(guest: Guest) -> Check:
    """A real program ran; whether what is registered agrees."""
    facts, platform, handlers, empty = guest.facts, guest.platform, guest.handlers, guest.facts.runs_in_empty_root
    tried = "a real program ran in an empty root" if empty else "a real program ran"
    faulty = [entry for entry in handlers if guest.fault(entry)]
    if not handlers:
        place = f"this {facts.container} container" if facts.container else "what could be read"
        what = f"{platform} programs run here ({tried}), though no entry for them is visible in {place}."
        also = "The host's entries are in force in containers without being visible there." if facts.container else ""
        return _say(guest, State.GOOD if empty else State.NOTE, what, [also])
    if empty and len(faulty) < len(handlers):
        return _say(guest, State.GOOD, f"{platform} programs run here and in containers: {tried}.")
    if empty:
        what = f"{platform} programs run here ({tried}), though by the entry {handlers[0].name} they should not: "
        return _say(guest, State.NOTE, f"{what}{guest.fault(handlers[0])}.")
    if not faulty:
        what = f"{platform} programs run here ({tried}), and by flag F in containers too."
        return _say(guest, State.GOOD, what, ["An empty root could not be tried, which takes root."])
    what = f"{platform} programs run here but not in containers: of the entry {faulty[0].name}, "
    return _say(guest, State.PROBLEM, f"{what}{guest.fault(faulty[0])}.", mend=True)


def _by_entries(guest: Guest) -> Check:
    """No program ran, or none was tried, and there are entries."""
    facts, platform = guest.facts, guest.platform
    handlers = [guest.first] if guest.first else list(guest.handlers)
    bad = next((entry for entry in handlers if guest.fault(entry)), None)
    if bad:
        kernel = "" if guest.kernel_has_f else f" (flag F needs Linux 4.8, this is {facts.kernel})"
        sure = guest.ran is False or all(guest.fault(entry) for entry in handlers)
        what = f"{platform} programs {'do' if sure else 'may'} not run in containers: of the entry {bad.name}, "
        what += f"{guest.fault(bad)}{kernel}."
        return _say(guest, State.PROBLEM if sure else State.UNKNOWN, what, mend=True)
    if guest.ran is None:
        why = facts.unread.get("runs", "") or "none was tried"
        what = f"{platform} programs should run, also in containers, by what is registered; {why}."
        return _say(guest, State.GOOD, what)
    entry = handlers[0]
    what = (
        f"The entry {entry.name} for {platform} looks right, and yet a real program did not run: the emulator itself "
    )
    hint = f"Try `$(readlink -f {entry.interpreter}) --version` and look into `dmesg`; then install QEMU anew, or name "
    return _say(
        guest,
        State.PROBLEM,
        f"{what}may be broken, or something forbids it.",
        hint=f"{hint}another one with --interpreter.",
        mend=bool(guest.given),
    )


def _nothing(guest: Guest) -> Check:
    """No entry takes its programs, and none ran."""
    facts, binfmt, platform = guest.facts, guest.facts.binfmt, guest.platform
    docker = facts.docker
    if docker and not facts.wsl and any(builder.name.startswith("desktop-linux") for builder in docker.builders):
        what = (
            f"Docker Desktop runs containers in a virtual machine of its own, so that whether {platform} programs run "
        )
        hint = f"Try it: `docker run --rm --platform {platform} IMAGE uname -m`."
        return _say(guest, State.UNKNOWN, f"{what}in them does not show here.", hint=hint)
    if facts.container and not binfmt.mounted and guest.ran is None:
        what = f"Whether {platform} programs run cannot be seen in this {facts.container} container."
        return _say(guest, State.UNKNOWN, what, hint="Run `crossdock doctor` on the host.")
    if not binfmt.supported:
        what = f"{platform} programs do not run: this kernel ({facts.kernel}) has no binfmt_misc."
        hint = "Load it with `modprobe binfmt_misc`, or take a kernel that has CONFIG_BINFMT_MISC."
        return _say(guest, State.PROBLEM, what, hint=hint)
    off = guest.switched_off
    if off:
        what = f"{platform} programs do not run: the entry {off[0].name} is switched off."
        hint = f"Switch it on with `echo 1 > {BINFMT}/{off[0].name}` as root, or let another one be registered."
        return _say(guest, State.PROBLEM, what, hint=hint, mend=True)
    why = "nothing is registered for them" if binfmt.mounted else "binfmt_misc is not mounted"
    missing = "" if guest.chosen else ", and QEMU is not installed"
    found = guest.on_disk
    there = f"{found.path}{f' (QEMU {found.version})' if found.version else ''} could be registered." if found else ""
    return _say(guest, State.PROBLEM, f"{platform} programs do not run: {why}{missing}.", [there], mend=True)


def _coverage(guest: Guest) -> Iterator[Check]:
    """Programs of the platform that its entries do not take, though they take others."""
    kinds = {
        "position-independent ones (ET_DYN), as most are": guest.machine.header(3),
        "those marked as GNU/Linux, such as ldconfig": _marked(guest.machine),
    }
    for kind, header in kinds.items():
        if not any(entry.takes(header) for entry in guest.handlers):
            names = " and ".join(entry.name for entry in guest.handlers)
            what = f"Some {guest.platform} programs do not run: {names} takes none of {kind}."
            yield _line(_id(guest, "match"), State.PROBLEM, what, hint=_remove(guest.handlers[0]))
            return


def _remove(handler: Handler) -> str:
    return f"Remove it (`echo -1 > {BINFMT}/{handler.name}` as root) and run this again, which registers a right one."


def _marked(machine: Machine) -> bytes:
    header = machine.header()
    return header[:7] + bytes([_GNU_LINUX]) + header[8:]


def _several(guest: Guest) -> Iterator[Check]:
    """Which one of several entries counts."""
    handlers, first = guest.handlers, guest.first
    if len(handlers) < 2:
        return
    names = ", ".join(entry.name for entry in handlers)
    bad = [entry for entry in handlers if guest.fault(entry)]
    what = f"{len(handlers)} entries take {guest.platform} programs ({names}); the kernel takes "
    what += f"{first.name}." if first else "the one registered last, which does not show."
    wrong = bool(guest.fault(first)) if first else bool(bad) and not guest.ran
    hint = f"Remove the one that does not work: `echo -1 > {BINFMT}/{bad[0].name}` as root." if wrong else ""
    yield _line(
        _id(guest, "several"),
        State.WARNING if wrong else State.NOTE,
        what,
        [f"{entry.name}: {guest.fault(entry)}" for entry in bad],
        hint=hint,
    )


def _reboot(guest: Guest) -> Iterator[Check]:
    """Whether what works now will work after a reboot."""
    facts, boot = guest.facts, guest.at_boot
    if facts.container or (boot and boot.handler.fixed):
        return
    evidence: list[str] = []
    if boot:
        what = f"After a reboot {guest.platform} programs will not run in containers: {boot.file} has no flag F."
    else:
        end = "when WSL stops" if facts.wsl == 2 and facts.init != "systemd" else "at the next reboot"
        what = f"What runs {guest.platform} programs is lost {end}: nothing registers it at boot."
        own = guest.first is not None and guest.first.name.startswith("crossdock-")
        others = "by hand or by a container, such as tonistiigi/binfmt"
        evidence.append(f"It was registered {'by crossdock' if own else others}.")
        if facts.init == "systemd":
            evidence.append(
                "`systemctl restart systemd-binfmt` removes it too, as it does all it does not know (systemd#30892)."
            )
    steps = boot_steps(guest)
    hint = "" if steps else at_boot_by_hand(guest)
    yield _line(_id(guest, "reboot"), State.WARNING, what, evidence, hint=hint, steps=steps)


def _credentials(guest: Guest) -> Iterator[Check]:
    """Flag C: setuid programs."""
    handler = guest.first or guest.handlers[0]
    containers = f"emulated {guest.platform} containers"
    if "C" in handler.flags:
        what = f"The entry {handler.name} has flag C: sudo works in {containers}, and any user who can start a foreign "
        what += "setuid program can become root of this machine."
        why = "Debian dropped the flag for that reason (qemu 1:10.0.2+ds-2+deb13u1 and 1:7.2+dfsg-7+deb12u15)."
    else:
        what = (
            f"The entry {handler.name} has no flag C, the safe way: sudo and other setuid programs get no more rights "
        )
        what += f"in {containers}."
        why = "It shows as `sudo: effective uid is not 0` (https://github.com/multiarch/qemu-user-static/issues/17)."
    yield _line(_id(guest, "credentials"), State.NOTE, what, [why])


def _argument(guest: Guest) -> Iterator[Check]:
    """Flag P with an interpreter that may not know of it."""
    for handler in guest.handlers:
        file = guest.interpreter(handler)
        if "P" not in handler.flags or handler.interpreter.endswith(EXPECTS_P) or file is None:
            continue
        kernel, qemu = version_number(guest.facts.kernel), version_number(file.version)
        if (kernel and kernel < _TELLS_P) or (qemu and qemu < (6,)):
            what = (
                f"The entry {handler.name} has flag P, which {handler.interpreter} does not know of here: programs get "
            )
            why = "QEMU 6.0 or newer is told of it by Linux 5.12 or newer; only Debian's …-binfmt-P expects it always."
            what += "one argument too many."
            yield _line(_id(guest, "argument"), State.WARNING, what, [why], hint=_remove(handler))


def _version(guest: Guest) -> Iterator[Check]:
    handler = guest.first or guest.handlers[0]
    file = guest.interpreter(handler)
    found = troubles(file.version, guest.platform.architecture) if file else ()
    if file is None or not found:
        return
    count = "one thing is" if len(found) == 1 else f"{len(found)} things are"
    what = f"Of QEMU {file.version}, which runs {guest.platform} programs here, {count} known to go wrong."
    yield _line(
        _id(guest, "version"),
        State.WARNING if found[0].warning else State.NOTE,
        what,
        [_told(trouble) for trouble in found],
        hint=sentence(found[0].remedy),
    )


def _told(trouble: Trouble) -> str:
    return f"{sentence(trouble.looks)[:-1]}{'' if trouble.certain else ' (reported)'}: {trouble.source}"


def _other_entries(facts: Facts, wanted: set[str]) -> Iterator[Check]:
    """Entries that take what they should not, or that are for a platform nobody asked about and do not work."""
    own, there = facts.platform.architecture, {one.path for one in facts.binfmt.interpreters}
    for handler in facts.binfmt.handlers:
        taken = [
            name
            for name, machine in MACHINES.items()
            if handler.takes(machine.header()) or handler.takes(machine.header(3))
        ]
        if own in taken:
            what = f"The entry {handler.name} takes {own} programs, this machine's own, so that an emulator runs them."
        elif len(taken) > 1:
            what = f"The entry {handler.name} is too wide: it takes programs of {', '.join(taken)}."
        elif taken and taken[0] not in wanted and not handler.fixed and handler.interpreter not in there:
            what = f"The entry {handler.name} for {taken[0]} names {handler.interpreter}, which is not there."
        else:
            continue
        hint = f"Remove it with `echo -1 > {BINFMT}/{handler.name}` as root."
        yield _line(f"binfmt-{handler.name.lower()}", State.WARNING, what, hint=hint)
