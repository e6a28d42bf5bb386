#!/usr/bin/env python3
"""Damaged files and layers by the million: nothing may crash what verify reads them with, or take memory without bound.

    python bench/fuzz.py [FILE...] [--inputs 1000000] [--seed 1] [--memory MIB]

Each input is a real file (the FILEs, and small ones of every format that are made here), changed in one to four places
as files break and attackers write: bits, numbers at their limits, pieces cut off, doubled, moved, or taken from another
file; half of those inside of a package are changed before they are packed. It is then read as a file of an image, or
as a layer, a manifest or a configuration. Anything but an error of crossdock's own is a crash; the address space is
limited, so that a length which is believed is one, too. The same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import lzma
import random
import resource
import sys
import tarfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from crossdock.errors import CrossdockError
from crossdock.image.documents import MalformedError, parse_config, parse_index, parse_manifest
from crossdock.image.model import OCI_INDEX, OCI_LAYER, OCI_MANIFEST, Descriptor, ImageConfig
from crossdock.image.tar import Content
from crossdock.platforms import ARM64
from crossdock.verify.binaries import check_binaries
from crossdock.verify.contents import read_file, read_layer
from crossdock.verify.entrypoint import check_entrypoint
from crossdock.verify.filesystem import FileSystem
from crossdock.verify.machines import check_machine

MAX_SEED_BYTES = 72 << 10
"""Of a longer file only this much is used: a million inputs are to take minutes."""
_LIMITS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    2**63 - 1,
    2**63,
    2**64 - 1,
)
_DIGEST = f"sha256:{'0' * 64}"


@dataclass(frozen=True)
class Seed:
    """``pack`` makes the input of the bytes that are changed, where they are inside of something."""

    name: str
    data: bytes
    pack: Callable[[bytes], bytes] = bytes


@dataclass
class Report:
    inputs: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    """How many were read as what, and how many of those were refused."""
    crashes: list[str] = field(default_factory=list)
    slowest: float = 0.0
    """Seconds of processor time for one input."""
    slowest_name: str = ""
    grown: int = 0
    """Bytes by which the highest memory use has grown since a tenth of the inputs was read."""


def fuzz(seeds: Sequence[Seed], inputs: int, number: int) -> Report:
    """Read that many changed seeds; ``number`` is the seed of the random numbers."""
    chance = random.Random(number)
    report = Report()
    early = 0
    for report.inputs in range(1, inputs + 1):
        seed = chance.choice(seeds)
        data = seed.data
        inside = seed.pack is not bytes and chance.random() < 0.5
        data = seed.pack(change(chance, data, seeds)) if inside else change(chance, seed.pack(data), seeds)
        began = time.process_time()
        kind = "?"
        try:
            kind = read(seed.name, data)
        except Exception:  # a crash is what is looked for
            report.crashes.append(f"{seed.name}, input {report.inputs}:\n{traceback.format_exc(limit=-4)}{data[:80]!r}")
            kind = "crash"
        report.kinds[kind] += 1
        took = time.process_time() - began
        if took > report.slowest:
            report.slowest, report.slowest_name = took, seed.name
        if report.inputs == max(1, inputs // 10):
            early = peak()
    report.grown = peak() - early
    return report


def read(name: str, data: bytes) -> str:
    """Read an input as what its name says; what it was, and whether it was refused."""
    try:
        if name.startswith("document "):
            _read_document(name, data)
        elif name.startswith("layer"):
            _read_layer(name, data)
        else:
            read_file(name, 0o100755, len(data), Content(_Forward(data), len(data)))
    except (CrossdockError, MalformedError):
        return f"{name.split(' ', maxsplit=1)[0] if ' ' in name else 'file'}, refused"
    return name.split(" ", maxsplit=1)[0] if " " in name else "file"


def _read_document(name: str, data: bytes) -> None:
    if name.endswith("config"):
        parse_config(data)
    elif name.endswith("index"):
        parse_index(Descriptor(OCI_INDEX, _DIGEST, len(data)), data)
    else:
        parse_manifest(Descriptor(OCI_MANIFEST, _DIGEST, len(data)), data)


def _read_layer(name: str, data: bytes) -> None:
    """Read it, and ask of it all that verify asks."""
    suffix = name.rpartition(" ")[2].replace("tar", "")
    contents = read_layer(io.BytesIO(data), Descriptor(f"{OCI_LAYER}{suffix}", _DIGEST, len(data)))
    system = FileSystem()
    system.add(contents)
    config = ImageConfig(ARM64, ("app", "x"), (), {}, "/", "", ("RUN x",))
    for check in (
        check_binaries(system, ARM64, ("RUN x",)),
        check_entrypoint(system, config, ARM64),
        check_machine(system, ARM64, ("RUN x",), None),
    ):
        list(check)


class _Forward:
    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def exactly(self, size: int) -> bytes:
        return self._file.read(size)

    def skip(self, size: int) -> None:
        self._file.seek(size, io.SEEK_CUR)


def change(chance: random.Random, data: bytes, seeds: Sequence[Seed]) -> bytes:
    """One to four changes, more of them near the beginning, where headers are."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        data = chance.choice(_CHANGES)(chance, data, seeds)
    return data


def _at(chance: random.Random, data: bytes) -> int:
    reach = chance.choice((64, 1024, len(data)))
    return chance.randrange(max(1, min(reach, len(data))))


def _bit(chance: random.Random, data: bytes, _: Sequence[Seed]) -> bytes:
    if not data:
        return data
    at = _at(chance, data)
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _number(chance: random.Random, data: bytes, _: Sequence[Seed]) -> bytes:
    size = chance.choice((1, 2, 4, 8))
    at = _at(chance, data) // size * size
    value = chance.choice((*_LIMITS, len(data), chance.getrandbits(64))) & (1 << 8 * size) - 1
    return data[:at] + value.to_bytes(size, chance.choice(("little", "big"))) + data[at + size :]


def _cut(chance: random.Random, data: bytes, _: Sequence[Seed]) -> bytes:
    return data[: _at(chance, data)]


def _without(chance: random.Random, data: bytes, _: Sequence[Seed]) -> bytes:
    at = _at(chance, data)
    return data[:at] + data[at + chance.randrange(1, 64) :]


def _again(chance: random.Random, data: bytes, _: Sequence[Seed]) -> bytes:
    at, size = _at(chance, data), chance.randrange(1, 512)
    return data[: at + size] + data[at : at + size] * chance.choice((1, 1, 20)) + data[at + size :]


def _of_another(chance: random.Random, data: bytes, seeds: Sequence[Seed]) -> bytes:
    other = chance.choice(seeds).data
    at, start, size = _at(chance, data), _at(chance, other), chance.randrange(1, 2048)
    return data[:at] + other[start : start + size] + data[at + chance.choice((0, size)) :]


_CHANGES = (_bit, _bit, _number, _number, _number, _cut, _without, _again, _of_another)


def made_seeds(files: Sequence[tuple[str, bytes]]) -> list[Seed]:
    """The files, and every kind of package and layer with some of them in it."""
    seeds = [Seed(name, data[:MAX_SEED_BYTES]) for name, data in files]
    for name, data in [(name, data[:4096]) for name, data in files][:6]:
        seeds += _packed(name, data)
    seeds += [
        Seed("usr/bin/script", b"#!/usr/bin/env -S python3 -u\nprint()\n"),
        Seed("etc/ld.so.conf", b"include /etc/ld.so.conf.d/*.conf\n/opt/lib\n"),
        Seed("var/lib/dpkg/status", b"Package: a\nStatus: install ok installed\nVersion: 1:2-3+b1\n\n" * 5),
        Seed("lib/apk/db/installed", b"P:a\nV:1\n\nP:b\nV:2\n\n"),
        Seed(
            "opt/x.exe",
            b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0\x64\x86\1\0" + bytes(12) + b"\xf0\0\2\0\x0b\2" + bytes(300),
        ),
        Seed("opt/fat", b"\xca\xfe\xba\xbe\0\0\0\2\1\0\0\7\0\0\0\3" + bytes(12) + b"\1\0\0\x0c" + bytes(40)),
        Seed("opt/thin", b"\xcf\xfa\xed\xfe\x0c\0\0\1\0\0\0\0\2\0\0\0" + bytes(40)),
        Seed("opt/a.wasm", b"\0asm\1\0\0\0" + bytes(40)),
    ]
    seeds += [Seed(f"document {name}", json.dumps(document).encode()) for name, document in _DOCUMENTS.items()]
    return seeds


def _packed(name: str, data: bytes) -> Iterator[Seed]:
    def ar(body: bytes) -> bytes:
        return b"!<arch>\n" + _ar_member("x.o/", body)

    def deb(body: bytes) -> bytes:
        members = _ar_member("debian-binary", b"2.0\n") + _ar_member(
            "data.tar.xz", lzma.compress(_tar(name, body), preset=0)
        )
        return b"!<arch>\n" + members

    def gem(body: bytes) -> bytes:
        return _tar("data.tar.gz", gzip.compress(_tar(name, body), 1))

    for path, pack in (
        ("lib/libx.a", ar),
        ("opt/x.jar", lambda body: _zip(name, body)),
        ("opt/x.war", lambda body: _zip("lib/a.jar", _zip(name, body))),
        ("opt/x.whl", lambda body: _zip(name, body, zipfile.ZIP_STORED)),
        ("opt/x.deb", deb),
        ("opt/x.gem", gem),
        ("opt/x.apk", lambda body: gzip.compress(_tar(name, body), 1)),
        ("opt/x.tar.bz2", lambda body: bz2.compress(_tar(name, body), 1)),
        ("opt/x.tar.zst", lambda body: zstandard.compress(_tar(name, body), 1)),
        ("lib/modules/x.ko.xz", lambda body: lzma.compress(body, preset=0)),
        ("lib/modules/x.ko.zst", lambda body: zstandard.compress(body, 1)),
        ("lib/modules/x.ko.gz", lambda body: gzip.compress(body, 1)),
        ("layer tar", lambda body: _tar("app", body)),
        ("layer tar+gzip", lambda body: gzip.compress(_tar("app", body), 1)),
        ("layer tar+zstd", lambda body: zstandard.compress(_tar("app", body), 1)),
    ):
        yield Seed(path, data, pack)


def _tar(name: str, body: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, content in ((f"{'long/' * 40}{name}", body), ("lib/.wh.x", b""), (name, body)):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("bin")
        link.type, link.linkname = tarfile.SYMTYPE, "../usr/./bin"
        archive.addfile(link)
    return out.getvalue()


def _zip(name: str, body: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, body)
        archive.writestr("META-INF/x", b"a" * 20)
    return out.getvalue()


def _ar_member(name: str, body: bytes) -> bytes:
    return f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) & 1)


_ENTRY = {"mediaType": OCI_LAYER, "digest": _DIGEST, "size": 7, "platform": {"os": "linux", "architecture": "arm64"}}
_DOCUMENTS: dict[str, object] = {
    "index": {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [_ENTRY, _ENTRY]},
    "manifest": {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": _ENTRY, "layers": [_ENTRY]},
    "config": {
        "os": "linux",
        "architecture": "arm64",
        "config": {
            "Entrypoint": ["/app"],
            "Cmd": ["x"],
            "Env": ["A=b"],
            "WorkingDir": "/",
            "User": "0:0",
            "Shell": ["sh"],
            "Healthcheck": {"Test": ["CMD-SHELL", "x"], "Interval": 10**9, "Retries": 3},
        },
        "rootfs": {"type": "layers", "diff_ids": [_DIGEST]},
        "history": [{"created_by": "RUN x"}, {"created_by": "ENV", "empty_layer": True}],
    },
}


def peak() -> int:
    """The highest memory use so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=[Path("/bin/true"), Path("/bin/sh")])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory", type=int, default=1024, help="the limit of the address space, in MiB")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (given.memory << 20, given.memory << 20))
    seeds = made_seeds([(str(path).lstrip("/"), path.read_bytes()) for path in given.files])
    report = fuzz(seeds, given.inputs, given.seed)
    print(f"{report.inputs:,} inputs of {len(seeds)} seeds: {len(report.crashes):,} crashes")
    for kind, count in sorted(report.kinds.items()):
        print(f"  {count:>9,} {kind}")
    print(f"slowest: {report.slowest:.3f} s of processor time ({report.slowest_name})")
    print(f"memory: at most {peak() / 1e6:,.0f} MB, {report.grown / 1e6:,.0f} MB more since the first tenth")
    for text in report.crashes[:20]:
        print(text)
    return 1 if report.crashes else 0


if __name__ == "__main__":
    sys.exit(main())
