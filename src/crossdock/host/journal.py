"""What steps changed on this machine, as their shell functions noted it, and taking back exactly that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from crossdock.errors import CrossdockError, InputError
from crossdock.host.change import run_program
from crossdock.host.script import PLACES, Places, program_to_undo
from crossdock.process import Runner

_LEFT = "left: "
_LEFT_CODE = 3
_FIELDS = {"file": 4, "folder": 1, "binfmt": 2, "group": 2, "packages": 1, "enabled": 1, "restarted": 1}


class Kind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    BINFMT = "binfmt"
    GROUP = "group"
    PACKAGES = "packages"
    ENABLED = "enabled"
    """A service is started at boot."""
    RESTARTED = "restarted"
    """A service runs with settings that the same step changed; taken back last."""


@dataclass(frozen=True)
class Change:
    """One line of the journal. ``run`` begins with the time (UTC) and is the same for all that was changed by one
    program; ``step`` is the step's id; ``fields`` as functions.sh says."""

    number: int
    run: str
    step: str
    kind: Kind
    fields: tuple[str, ...]

    @property
    def undoing(self) -> str:
        """What taking it back means, as an imperative: ``Put back /etc/docker/daemon.json``."""
        first = self.fields[0]
        match self.kind:
            case Kind.FILE:
                return f"Remove {first}" if self.fields[1] == "-" else f"Put back {first}"
            case Kind.FOLDER:
                return f"Remove the folder {first}, if nothing is in it"
            case Kind.BINFMT:
                return f"Remove the entry {first} of binfmt_misc"
            case Kind.GROUP:
                return f"Take {self.fields[1]} out of the group {first}"
            case Kind.PACKAGES:
                return f"Remove the packages {first}"
            case Kind.ENABLED:
                return f"Do not start {first} at boot"
            case Kind.RESTARTED:
                return f"Restart {first}, for its former settings"


@dataclass(frozen=True)
class Undone:
    """What became of a change: ``done`` if it is no more, else ``what`` says why it was left."""

    change: Change
    done: bool
    what: str


def read_changes(places: Places = PLACES) -> tuple[Change, ...]:
    """What was changed and not taken back, oldest first. Raises InputError for a journal that is not understood."""
    try:
        lines = places.journal.read_text().splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the journal of changes cannot be read: {error}", where=str(places.journal)) from error
    changes: list[Change] = []
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        run, step, kind, fields = [*line.split("\t", 3), "", "", ""][:4]
        if not fields or len(fields.split("\t")) != _FIELDS.get(kind):
            raise InputError(
                "this line of the journal is not understood",
                where=f"{places.journal}:{number}",
                hint="Take back by hand what it says, and remove the line.",
            )
        changes.append(Change(number, run, step, Kind(kind), tuple(fields.split("\t"))))
    return tuple(changes)


def undo(
    runner: Runner,
    *,
    confirm: Callable[[Change], bool],
    tell: Callable[[Change, str], None] = lambda _change, _line: None,
    places: Places = PLACES,
) -> tuple[Undone, ...]:
    """Take back what the journal holds, newest first: files that still are as they were left (by their checksum), files
    and folders that were made, entries of binfmt_misc, memberships, services, packages. Services that were restarted
    for new settings are restarted once more at the end.

    ``confirm`` decides about each change; what is declined or cannot be taken back stays, also in the journal, so that
    it can be tried again. ``tell`` gets each line that is printed meanwhile. Raises InputError for a broken journal,
    CrossdockError if a command fails.
    """
    undone: list[Undone] = []
    for restarts in (False, True):
        for change in reversed(read_changes(places)):
            if (change.kind is Kind.RESTARTED) is restarts:
                undone.append(_undo(change, runner, confirm, tell, places))
    return tuple(undone)


def _undo(
    change: Change,
    runner: Runner,
    confirm: Callable[[Change], bool],
    tell: Callable[[Change, str], None],
    places: Places,
) -> Undone:
    if not confirm(change):
        return Undone(change, False, "declined")
    said: list[str] = []

    def on_line(line: str) -> None:
        said.append(line)
        tell(change, line)

    exit_code = run_program(program_to_undo(change.number, places), runner, on_line)
    last = said[-1] if said else ""
    if exit_code == 0:
        return Undone(change, True, last)
    if exit_code == _LEFT_CODE:
        return Undone(change, False, last.removeprefix(_LEFT))
    raise CrossdockError(
        f"this could not be taken back: {change.undoing}" + (f" ({last})" if last else ""),
        where=f"{places.journal}:{change.number}",
        hint="Mend that and run it again; what was taken back already is left alone.",
    )
