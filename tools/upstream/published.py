"""What projects publish, and where the same program is in Debian."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass


def _as_it_is(_name: str, data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Asset:
    """A file that a project publishes. ``member`` is the file in Debian's package of that version, or empty for the
    package itself; ``pack`` makes the published file of it."""

    folder: str
    names: dict[str, tuple[str, ...]]
    package: str
    member: str = ""
    pack: Callable[[str, bytes], bytes] = _as_it_is


def _tarball(program: str) -> Callable[[str, bytes], bytes]:
    """A .tar.gz with one folder of its own name that holds the program, as Go projects publish them."""

    def pack(name: str, data: bytes) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            entry = tarfile.TarInfo(f"{name.removesuffix('.tar.gz')}/{program}")
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
        return gzip.compress(out.getvalue(), compresslevel=1, mtime=0)

    return pack


ASSETS = (
    Asset(
        "github.com/krallin/tini/releases/download/v0.19.0",
        {"amd64": ("tini", "tini-amd64"), "arm64": ("tini-arm64",)},
        "tini",
        "usr/bin/tini",
    ),
    Asset(
        "github.com/Yelp/dumb-init/releases/download/v1.2.5",
        {"amd64": ("dumb-init_1.2.5_x86_64",), "arm64": ("dumb-init_1.2.5_aarch64",)},
        "dumb-init",
        "usr/bin/dumb-init",
    ),
    Asset(
        "github.com/tianon/gosu/releases/download/1.14",
        {"amd64": ("gosu-amd64",), "arm64": ("gosu-arm64",)},
        "gosu",
        "usr/sbin/gosu",
    ),
    Asset(
        "github.com/muesli/duf/releases/download/v0.8.1",
        {"amd64": ("duf_0.8.1_linux_amd64.deb",), "arm64": ("duf_0.8.1_linux_arm64.deb",)},
        "duf",
    ),
    Asset(
        "github.com/prometheus/node_exporter/releases/download/v1.5.0",
        {
            "amd64": ("node_exporter-1.5.0.linux-amd64.tar.gz",),
            "arm64": ("node_exporter-1.5.0.linux-arm64.tar.gz",),
        },
        "prometheus-node-exporter",
        "usr/bin/prometheus-node-exporter",
        _tarball("node_exporter"),
    ),
)
