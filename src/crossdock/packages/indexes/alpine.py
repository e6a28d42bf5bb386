"""Alpine's APKINDEX: which packages a release has for an architecture.

Source: the Alpine wiki's "Apk spec" (APKINDEX: a gzipped tar, in it a text of paragraphs with one-letter fields; P is
the name, V the version, p what it provides).
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib

from crossdock.packages.indexes.control import PackagesIndex
from crossdock.packages.indexes.documents import Documents
from crossdock.packages.model import Answer, PackageRequest, Status

_FIELD = re.compile(rb"^([PVp]):([^\n]*)", re.MULTILINE)
_LARGEST = 64 << 20


def reduce_apkindex(data: bytes) -> bytes:
    """The text of an APKINDEX.tar.gz, its fields P, V and p alone. Raises ValueError for what is none."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
            plain = unpacked.read(_LARGEST)
        with tarfile.open(fileobj=io.BytesIO(plain), ignore_zeros=True) as archive:
            member = archive.extractfile("APKINDEX")
            text = member.read() if member else b""
    except (OSError, EOFError, zlib.error, tarfile.TarError, KeyError) as error:
        raise ValueError("it is no APKINDEX.tar.gz") from error
    return b"".join(b"%b:%b\n" % match.groups() for match in _FIELD.finditer(text))


def read_apkindex(text: bytes) -> PackagesIndex:
    """The packages of an APKINDEX. What is no field that counts here is passed over."""
    versions: dict[str, set[str]] = {}
    provided: set[str] = set()
    name = ""
    for match in _FIELD.finditer(text):
        value = match[2].decode("utf-8", "replace").strip()
        if match[1] == b"P":
            name = value
            versions.setdefault(name, set())
        elif match[1] == b"V" and name:
            versions[name].add(value)
        elif match[1] == b"p":
            provided.update(re.split(r"[<>=~]", word, maxsplit=1)[0] for word in value.split())
    return PackagesIndex({name: frozenset(found) for name, found in versions.items()}, frozenset(provided))


async def ask(request: PackageRequest, documents: Documents, mirror: str) -> Answer:
    """Ask a mirror of Alpine by its address."""
    if request.repositories or request.opaque:
        return Answer(Status.UNKNOWN, "it may come from a further repository")
    if request.system.distribution != "alpine":
        return Answer(Status.UNKNOWN, "which release of Alpine the image is cannot be told from its name")
    branch = f"v{request.system.release}" if request.system.release else "latest-stable"

    async def has(architecture: str) -> bool:
        known = False
        for repository in ("main", "community"):
            url = f"{mirror.rstrip('/')}/{branch}/{repository}/{architecture}/APKINDEX.tar.gz"
            index = await documents.once(f"read {url}", lambda url=url: _index(url, documents))  # type: ignore[misc]
            known = known or index is not None
            if index and index.has(request.name):
                return True
        if not known:
            raise _Absent
        return False

    try:
        if await has("aarch64"):
            return Answer(Status.AVAILABLE, source=f"Alpine {branch}")
        if await has("x86_64"):
            return Answer(Status.MISSING, f"Alpine {branch} has it for x86_64 only", source=f"Alpine {branch}")
    except _Absent:
        return Answer(Status.UNKNOWN, f"the mirror has no Alpine {branch}")
    return Answer(Status.UNKNOWN, f"Alpine {branch} has no such package")


class _Absent(Exception):
    """The mirror has neither repository."""


async def _index(url: str, documents: Documents) -> PackagesIndex | None:
    text = await documents.get(url, reduce_apkindex, name="apkindex-1")
    return None if text is None else read_apkindex(text)
