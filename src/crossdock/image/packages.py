"""The packages that an image's own databases list: dpkg, apk, and rpm's SQLite.

Sources: deb-control(5) and dpkg-query(1) (status); apk-tools' doc/apk-installed.5; rpm's docs/manual/hregions.md and
lib/rpmtag.h (headers). rpm's older databases (Berkeley DB, ndb) are not read.
"""

from __future__ import annotations

import re
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from pathlib import PurePosixPath

MAX_BYTES = 256 << 20
"""The largest database that is read."""
UNREAD = re.compile(r"(?:var/lib/rpm|usr/lib/sysimage/rpm|usr/share/rpm)/(?:Packages|Packages\.db)$")
"""Databases of rpm that are known and not read."""
_STATUS = re.compile(r"var/lib/dpkg/(?:status|status\.d/[^/]+)$")
_INSTALLED = re.compile(r"(?:usr/)?lib/apk/db/installed$")
_RPM = re.compile(r"(?:var/lib/rpm|usr/lib/sysimage/rpm|usr/share/rpm)/rpmdb\.sqlite$")
_REBUILT = re.compile(r"\+b\d+$")
"""Debian's mark of a package that was only compiled again, for one architecture (deb-version(7))."""
_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003


def is_package_database(path: str) -> bool:
    """Whether a file at this path (relative to the root) is one that ``read_packages`` understands."""
    return bool(_STATUS.match(path) or _INSTALLED.match(path) or _RPM.match(path))


def read_packages(path: str, data: bytes) -> dict[str, str]:
    """Installed packages → versions. Empty for what is damaged."""
    if _RPM.match(path):
        return dict(_rpm(data))
    text = data.decode("utf-8", "replace")
    if _INSTALLED.match(path):
        return dict(_apk(text))
    return dict(_dpkg(text, whole=PurePosixPath(path).name != "status"))


def _dpkg(text: str, *, whole: bool) -> Iterator[tuple[str, str]]:
    """``whole``: a file of its own in status.d (distroless), which has no Status."""
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): *(.*)$", stanza, re.MULTILINE))
        if "Package" in fields and (whole or fields.get("Status", "").endswith(" installed")):
            yield fields["Package"].strip(), _REBUILT.sub("", fields.get("Version", "").strip())


def _apk(text: str) -> Iterator[tuple[str, str]]:
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([PV]):(.*)$", stanza, re.MULTILINE))
        if "P" in fields:
            yield fields["P"], fields.get("V", "")


def _rpm(data: bytes) -> Iterator[tuple[str, str]]:
    with tempfile.NamedTemporaryFile(prefix="crossdock-", suffix=".sqlite") as file:
        file.write(data)
        file.flush()
        try:
            database = sqlite3.connect(f"file:{file.name}?mode=ro&immutable=1", uri=True)
            try:
                rows = [blob for (blob,) in database.execute("SELECT blob FROM Packages") if isinstance(blob, bytes)]
            finally:
                database.close()
        except sqlite3.Error:
            return
    for blob in rows:
        tags = _header(blob)
        if _NAME in tags:
            epoch = f"{tags[_EPOCH]}:" if _EPOCH in tags else ""
            yield tags[_NAME], f"{epoch}{tags.get(_VERSION, '')}-{tags.get(_RELEASE, '')}"


def _header(blob: bytes) -> dict[int, str]:
    """The texts, and the first numbers, of a package's header that say what it is."""
    found: dict[int, str] = {}
    try:
        count, _ = struct.unpack_from(">II", blob)
        store = 8 + 16 * count
        for number in range(count):
            tag, kind, offset, _ = struct.unpack_from(">IIII", blob, 8 + 16 * number)
            if tag not in (_NAME, _VERSION, _RELEASE, _EPOCH):
                continue
            at = store + offset
            if kind == 6:  # a string
                found[tag] = blob[at : blob.index(b"\0", at)].decode("utf-8", "replace")
            elif kind == 4:  # 32-bit numbers
                found[tag] = str(struct.unpack_from(">I", blob, at)[0])
    except (struct.error, ValueError):
        return {}
    return found
