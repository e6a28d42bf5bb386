"""Images in memory for the tests of verify: layers of real tar and gzip, ELF files with real dynamic sections."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from crossdock.errors import InputError
from crossdock.image.model import (
    ATTESTATION_TYPE,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
    Descriptor,
    Healthcheck,
    ImageConfig,
    Index,
    Manifest,
)
from crossdock.platforms import AMD64, ARM64, Platform

MACHINES = {"amd64": 62, "arm64": 183, "386": 3, "arm": 40, "bpf": 247, "s390x": 22, "riscv64": 243}
LOADERS = {"amd64": "/lib64/ld-linux-x86-64.so.2", "arm64": "/lib/ld-linux-aarch64.so.1"}


def elf(
    architecture: str = "arm64",
    *,
    interpreter: str = "",
    needed: tuple[str, ...] = (),
    rpath: str = "",
    runpath: str = "",
    soname: str = "",
    wants: Mapping[str, tuple[str, ...]] | None = None,
    offers: tuple[str, ...] = (),
    page_size: int = 65536,
    kind: int = 3,
    gap: int = 0,
    flags: int = 0,
    apart: bool = False,
    code: int = 0,
) -> bytes:
    """A 64-bit little-endian ELF file with program headers, an interpreter and a dynamic section as a linker writes
    them; ``gap`` bytes lie between the strings and the dynamic section, which with ``apart`` is in a segment of its
    own. With ``code``, so many bytes of it come first, and names and versions in the second segment, as Go has it."""
    strings = b"\0"

    def string(text: str) -> int:
        nonlocal strings
        strings += text.encode() + b"\0"
        return len(strings) - len(text) - 1

    entries: list[tuple[int, int]] = []
    for tag, text in [*((1, name) for name in needed), (15, rpath), (29, runpath), (14, soname)]:
        if text:
            entries.append((tag, string(text)))
    interp = interpreter.encode() + b"\0" if interpreter else b""
    dynamic = bool(entries or offers)
    needs, defines = _versions_wanted(wants or {}, string), _versions_offered(offers, string)
    count = 1 + apart + bool(code) + bool(interp) + dynamic
    at_interp = 64 + 56 * count
    at_needs = at_interp + len(interp) + code
    at_defines = at_needs + len(needs)
    at_strings = at_defines + len(defines)
    at_dynamic = at_strings + len(strings) + gap
    base = 0x400000
    entries += [(0x6FFFFFFE, base + at_needs), (0x6FFFFFFF, len(wants))] if wants else []
    entries += [(0x6FFFFFFC, base + at_defines), (0x6FFFFFFD, len(offers) + 1)] if offers else []
    entries += [(5, base + at_strings), (10, len(strings)), (0, 0)]
    table = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    end = at_dynamic + len(table)

    def segment(number: int, offset: int, size: int, flags: int = 4) -> bytes:
        return struct.pack("<IIQQQQQQ", number, flags, offset, base + offset, base + offset, size, size, page_size)

    before = at_dynamic - gap if apart else end
    headers = segment(1, 0, at_needs, 5) + segment(1, at_needs, before - at_needs) if code else segment(1, 0, before)
    if apart:
        headers += segment(1, at_dynamic, len(table), 6)
    if interp:
        headers += segment(3, at_interp, len(interp))
    if dynamic:
        headers += segment(2, at_dynamic, len(table))
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHI", kind, MACHINES[architecture], 1)
    head += struct.pack("<QQQIHHHHHH", base, 64, 0, flags, 64, 56, count, 0, 0, 0)
    return head + headers + interp + bytes(code) + needs + defines + strings + bytes(gap) + (table if dynamic else b"")


def go(setting: str) -> bytes:
    """A program with Go's note and its settings."""
    note = struct.pack("<III", 4, 4, 4) + b"Go\0\0id\0\0"
    info = note + b"\xff Go buildinf:" + bytes(18) + f"build\t{setting}\n".encode()
    at = 64 + 2 * 56
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    headers = struct.pack("<IIQQQQQQ", 4, 4, at, at, at, len(note), len(note), 4)
    headers += struct.pack("<IIQQQQQQ", 1, 6, at, at, at, len(info), len(info), 65536)
    return head + headers + info


def _versions_wanted(wants: Mapping[str, tuple[str, ...]], string: Callable[[str], int]) -> bytes:
    data = b""
    for number, (library, versions) in enumerate(wants.items(), 1):
        size = 16 + 16 * len(versions)
        data += struct.pack("<HHIII", 1, len(versions), string(library), 16, size if number < len(wants) else 0)
        for place, version in enumerate(versions, 1):
            data += struct.pack("<IHHII", 0, 0, 2, string(version), 16 if place < len(versions) else 0)
    return data


def _versions_offered(offers: tuple[str, ...], string: Callable[[str], int]) -> bytes:
    data = b""
    names = ("libmade.so", *offers) if offers else ()
    for number, version in enumerate(names):
        following = 28 if number < len(offers) else 0
        data += struct.pack("<HHHHIII", 1, 0 if number else 1, number + 1, 1, 0, 20, following)
        data += struct.pack("<II", string(version), 0)
    return data


@dataclass(frozen=True)
class Link:
    target: str
    hard: bool = False


FOLDER = None
Content = bytes | str | Link | None


def layer(files: Mapping[str, Content], modes: Mapping[str, int] | None = None) -> bytes:
    """A packed layer. Text becomes UTF-8; files are executable unless ``modes`` says otherwise."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = (modes or {}).get(name, 0o755)
            body = b""
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, Link):
                info.type = tarfile.LNKTYPE if content.hard else tarfile.SYMTYPE
                info.linkname = content.target
            else:
                body = content.encode() if isinstance(content, str) else content
                info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return gzip.compress(out.getvalue(), 1)


@dataclass(frozen=True)
class Parts:
    """One platform of an image to make."""

    layers: tuple[bytes, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = ""
    platform: Platform = ARM64
    says: Platform | None = None
    """What the config says, if it is not ``platform``."""
    created_by: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None


def descriptor(media_type: str, data: bytes, platform: Platform | None = None) -> Descriptor:
    return Descriptor(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data), platform)


def _diff_id(data: bytes) -> str:
    with suppress(EOFError, OSError):
        data = gzip.decompress(data)  # some are damaged
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class MemoryImage:
    """An image that counts how often each layer is opened."""

    name = "memory"

    def __init__(self, *parts: Parts, broken: bytes = b"") -> None:
        self.opened: Counter[str] = Counter()
        self._parts = {}
        self._blobs: dict[str, bytes] = {}
        self._broken = broken
        for number, part in enumerate(parts):
            entry = descriptor(OCI_MANIFEST, f"manifest {number}".encode(), part.platform)
            self._parts[entry.digest] = (entry, part)
        attestation = Descriptor(OCI_MANIFEST, "sha256:0", 1, Platform("unknown", "unknown"), {ATTESTATION_TYPE: "x"})
        entries = [entry for entry, _ in self._parts.values()]
        self._index = Index(descriptor(OCI_INDEX, b"index"), (*entries, attestation))

    def root(self) -> Descriptor:
        return self._index.descriptor

    def index(self) -> Index:
        return self._index

    def manifest(self, descriptor_: Descriptor) -> Manifest:
        entry, part = self._parts[descriptor_.digest]
        layers = []
        for data in part.layers:
            found = descriptor(OCI_LAYER_GZIP, data)
            self._blobs[found.digest] = data
            layers.append(found)
        return Manifest(entry, descriptor(OCI_CONFIG, b"config"), tuple(layers))

    def config(self, manifest: Manifest) -> ImageConfig:
        _, part = self._parts[manifest.descriptor.digest]
        return ImageConfig(
            platform=part.says or part.platform,
            entrypoint=part.entrypoint,
            command=part.command,
            env=part.env,
            working_directory=part.working_directory,
            user="",
            created_by=part.created_by or tuple(f"COPY layer{number}" for number in range(len(part.layers))),
            diff_ids=tuple(map(_diff_id, part.layers)),
            healthcheck=part.healthcheck,
        )

    def read(self, descriptor_: Descriptor) -> bytes:
        return self._blobs[descriptor_.digest]

    @contextmanager
    def open(self, descriptor_: Descriptor) -> Iterator[BinaryIO]:
        data = self._blobs[descriptor_.digest]
        if data == self._broken:
            raise InputError("the blob is missing", where=descriptor_.digest)
        self.opened[descriptor_.digest] += 1
        yield io.BytesIO(data)


__all__ = ["AMD64", "ARM64", "FOLDER", "LOADERS", "Link", "MemoryImage", "Parts", "descriptor", "elf", "layer"]
