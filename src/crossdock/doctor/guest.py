"""What there is on a machine to run the programs of one platform that its processor does not run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from crossdock.doctor.binfmt_boot import AtBoot, entries_at_boot
from crossdock.doctor.distribution import Distribution
from crossdock.doctor.facts import Facts, Interpreter
from crossdock.doctor.version import version_number
from crossdock.host.binfmt import EXPECTS_P, FLAG_F_SINCE, Handler, Machine, interpreter_places
from crossdock.host.binfmt_steps import BOOT_FOLDERS
from crossdock.platforms import Platform


@dataclass(frozen=True)
class Guest:
    """The platform, how its programs look, and where they are to run. ``given`` is an interpreter to be registered."""

    facts: Facts
    platform: Platform
    machine: Machine
    distribution: Distribution | None = None
    given: str = ""

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """The entries that take its programs, in the order in which the kernel asks them as far as that is known."""
        takers = [entry for entry in self.facts.binfmt.handlers if entry.takes(self.machine.header())]
        order = self.facts.binfmt.newest_first
        return tuple(sorted(takers, key=lambda entry: order.index(entry.name) if entry.name in order else -1))

    @property
    def first(self) -> Handler | None:
        """The one that the kernel takes; None where it is not known which that is."""
        handlers = self.handlers
        known = len(handlers) == 1 or all(entry.name in self.facts.binfmt.newest_first for entry in handlers)
        return handlers[0] if handlers and known else None

    @property
    def switched_off(self) -> tuple[Handler, ...]:
        """The entries that would take its programs if they were switched on."""
        return tuple(
            entry
            for entry in self.facts.binfmt.handlers
            if not entry.enabled and replace(entry, enabled=True).takes(self.machine.header())
        )

    @property
    def ran(self) -> bool | None:
        """Whether a real program of the platform ran."""
        return self.facts.runs.get(self.platform.architecture)

    @property
    def kernel_has_f(self) -> bool:
        version = version_number(self.facts.kernel)
        return not version or version >= FLAG_F_SINCE

    @property
    def on_disk(self) -> Interpreter | None:
        """An emulator on this machine that could be registered, the best first."""
        there = {one.path: one for one in self.facts.binfmt.interpreters if one.static is not False}
        return next((there[place] for place in interpreter_places(self.machine) if place in there), None)

    @property
    def chosen(self) -> str:
        """The interpreter to register; empty where there is none yet."""
        return self.given or (self.on_disk.path if self.on_disk else "")

    def interpreter(self, handler: Handler) -> Interpreter | None:
        """The file of an entry; None where it is not on this machine, as with one that a container registered."""
        found = (one for one in self.facts.binfmt.interpreters if one.path == handler.interpreter)
        return next(found, None)

    def fault(self, handler: Handler) -> str:
        """Why programs handed to this entry do not run in containers; empty where nothing shows."""
        file = self.interpreter(handler)
        if not handler.fixed:
            if file is None:
                return f"its interpreter {handler.interpreter} is not there"
            return "it is registered without flag F, so that it does not work in containers, which do not have its file"
        if handler.interpreter.endswith(EXPECTS_P) and "P" not in handler.flags:
            return f"its interpreter {handler.interpreter} expects flag P and is registered without it"
        if file and file.static is False:
            return f"its interpreter {handler.interpreter} needs libraries, which containers do not have"
        return ""

    @property
    def at_boot(self) -> AtBoot | None:
        """What will take its programs after a reboot; where several do, one that works in containers."""
        found = [one for one in self._in_force_at_boot() if one.handler.takes(self.machine.header())]
        if found:
            return next((one for one in reversed(found) if one.handler.fixed), found[-1])
        # OpenRC's qemu-binfmt holds a table of its own, of which only the name is recognised.
        binfmt = self.facts.binfmt
        if binfmt.service.startswith("openrc") and "(off)" not in binfmt.service:
            for file, text in binfmt.at_boot.items():
                if PurePosixPath(file).parent.name == "init.d" and self.machine.qemu in text:
                    return AtBoot(file, Handler(PurePosixPath(file).name, True, "", "F"))
        return None

    def _in_force_at_boot(self) -> Iterator[AtBoot]:
        """What is registered at boot by the services that there are."""
        service = self.facts.binfmt.service
        systemd = self.facts.init == "systemd" and "systemd-binfmt (off)" not in service
        support = "binfmt-support" in service and "binfmt-support (off)" not in service
        for one in entries_at_boot(self.facts.binfmt.at_boot):
            folder = str(PurePosixPath(one.file).parent)
            if (systemd and folder in BOOT_FOLDERS) or (support and folder.endswith("/binfmts")):
                yield one
