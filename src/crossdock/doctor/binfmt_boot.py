"""What is registered with binfmt_misc at boot, read from the files of those who do it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from crossdock.host.binfmt import Handler
from crossdock.host.binfmt_steps import BOOT_FOLDERS

_BYTE = re.compile(rb"\\x([0-9a-fA-F]{2})")


@dataclass(frozen=True)
class AtBoot:
    """One entry, and the file that it comes from."""

    file: str
    handler: Handler


def entries_at_boot(files: Mapping[str, str]) -> tuple[AtBoot, ...]:
    """What systemd-binfmt (binfmt.d), binfmt-support (/usr/share/binfmts, /var/lib/binfmts) and lines of the kernel's
    own form in other files (OpenRC's qemu-binfmt) register; what is not understood is left out."""
    found: list[AtBoot] = []
    for file in sorted(_in_force(files), key=lambda file: PurePosixPath(file).name):
        folder = str(PurePosixPath(file).parent)
        if folder.endswith("/binfmts"):
            found.extend(AtBoot(file, handler) for handler in _of_binfmt_support(file, files[file]))
        else:
            found.extend(AtBoot(file, handler) for handler in _of_lines(files[file]))
    return tuple(found)


def _in_force(files: Mapping[str, str]) -> Iterator[str]:
    """A file of binfmt.d hides those of its name in folders that count less (binfmt.d(5))."""
    names: set[str] = set()
    for folder in BOOT_FOLDERS:
        for file in files:
            path = PurePosixPath(file)
            if str(path.parent) == folder and path.name not in names:
                names.add(path.name)
                yield file
    yield from (file for file in files if str(PurePosixPath(file).parent) not in BOOT_FOLDERS)


def _of_lines(text: str) -> Iterator[Handler]:
    """``:name:type:offset:magic:mask:interpreter:flags``; the first character is the one that separates."""
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "#;" or line[0].isalnum():
            continue
        fields = line[1:].split(line[0])
        if len(fields) != 7 or fields[1] != "M":
            continue
        name, _, offset, magic, mask, interpreter, flags = fields
        handler = _handler(name, offset, magic, mask, interpreter, flags)
        if handler:
            yield handler


def _of_binfmt_support(file: str, text: str) -> Iterator[Handler]:
    """``key value`` lines of /usr/share/binfmts, as update-binfmts(8) imports them; /var/lib/binfmts holds the values
    alone, one a line, in a fixed order (package, type, offset, magic, mask, interpreter, detector, and flags)."""
    lines = text.splitlines()
    pairs = {key: value for key, _, value in (line.partition(" ") for line in lines)}
    if not pairs.get("magic") and len(lines) >= 6 and lines[1] == "magic":
        yes_or_no = [*lines[7:], *("",) * 3]
        pairs = dict(zip(("offset", "magic", "mask", "interpreter"), lines[2:6], strict=True))
        pairs |= dict(zip(("credentials", "preserve", "fix_binary"), yes_or_no, strict=False))
    flags = "".join(
        letter
        for letter, key in (("P", "preserve"), ("C", "credentials"), ("F", "fix_binary"))
        if pairs.get(key) == "yes"
    )
    name = PurePosixPath(file).name
    handler = _handler(
        name,
        pairs.get("offset", ""),
        pairs.get("magic", ""),
        pairs.get("mask", ""),
        pairs.get("interpreter", ""),
        flags,
    )
    if handler:
        yield handler


def _handler(name: str, offset: str, magic: str, mask: str, interpreter: str, flags: str) -> Handler | None:
    start, bits, which = _number(offset), _bytes(magic), _bytes(mask)
    if start is None or not bits or (which and len(which) != len(bits)):
        return None
    return Handler(name, True, interpreter, flags, start, bits, which)


def _number(text: str) -> int | None:
    if not text:
        return 0
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _bytes(text: str) -> bytes:
    return _BYTE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode("utf-8", "replace"))
