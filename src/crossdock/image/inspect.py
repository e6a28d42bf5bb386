"""What a file on disk says about the machine it is for: the verb ``arch``."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from crossdock.errors import InputError
from crossdock.image.binary import HEAD_BYTES, LIBRARY_HEAD_BYTES, Binary, Format, identify
from crossdock.image.bundles import Member, is_bundle, look_into


@dataclass(frozen=True)
class Inspection:
    """``binary`` for a binary, ``members`` for the binaries in a bundle. ``note`` says what a file is that is neither,
    ``notes`` what could not be looked at inside of a bundle."""

    path: Path
    binary: Binary | None = None
    members: tuple[Member, ...] = ()
    note: str = ""
    notes: tuple[str, ...] = ()

    @property
    def architectures(self) -> tuple[str, ...]:
        """Every architecture found, in order."""
        found = self.binary.architectures if self.binary else ()
        inside = (name for member in self.members for name in member.binary.architectures)
        return tuple(dict.fromkeys((*found, *inside)))


def inspect_file(path: Path) -> Inspection:
    """Look at one file; symbolic links are followed. Raises InputError when it cannot be read."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            return Inspection(path, note="a folder" if stat.S_ISDIR(mode) else "not a regular file")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            binary = identify(head)
            if binary is not None:
                if binary.format is Format.STATIC_LIBRARY and not binary.architectures:
                    binary = identify(head + file.read(LIBRARY_HEAD_BYTES)) or binary
                return Inspection(path, binary)
            if is_bundle(path.name, head):
                file.seek(0)
                bundle = look_into(path.name, file)
                note = "" if bundle.members else "a package or archive without binaries"
                return Inspection(path, None, bundle.members, note, bundle.notes)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror or error}",
            where=str(path),
            hint="Give the path of a file that exists and that you may read.",
        ) from error
    return Inspection(path, note=_other(head))


def _other(head: bytes) -> str:
    if not head:
        return "empty"
    if head[:2] == b"#!":
        interpreter = head[2:].partition(b"\n")[0].strip().decode("utf-8", "replace")
        return f"a script for {interpreter}"
    if head[:4] == b"\xca\xfe\xba\xbe":
        return "a Java class, for any architecture"
    if head[:4] == b"\x7fELF":
        return "a damaged ELF file: its header is cut off"
    if head[:2] == b"MZ":
        return "a DOS program"
    return "no binary" if b"\0" in head else "text"
