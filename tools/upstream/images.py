"""Base images from Debian packages: layers and OCI layouts, written without running a program of the packages."""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from archive import part, program

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Folders that are links into /usr since Debian 12; packages still name files by the old paths."""

LEFT_OUT = tuple(f"usr/share/{name}/" for name in ("doc", "man", "locale", "info", "groff", "lintian", "linda"))
"""What Debian's slim images leave out as well."""

FOLDERS = tuple(f"usr/local/{name}" for name in ("", "bin", "etc", "include", "lib", "sbin", "share", "src"))
"""Folders that maintainer scripts would have made."""

LINKS = {"usr/bin/awk": "mawk", "usr/bin/cc": "gcc", "usr/bin/c99": "gcc"}
"""Links that maintainer scripts would have made, where their target is there."""


def _merged(name: str) -> str:
    """The path of a package's file in a system whose /bin, /lib and /sbin are links into /usr."""
    name = posixpath.normpath(name).lstrip("/")
    return f"usr/{name}" if name.split("/", 1)[0] in MERGED else name


class Layer:
    """A layer that is being written: packages unpacked one over the other, as plain tar (image-spec, layer.md)."""

    def __init__(self, file: BinaryIO, seen: set[str]) -> None:
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
        self.seen = seen

    def finish(self, status: str, debs: list[Path]) -> str:
        """Unpack the packages, make the links that belong to them, write dpkg's status file and end the layer."""
        status += "".join(self.unpack(deb) for deb in debs)
        self.write("var/lib/dpkg/status", status.encode())
        for name, target in LINKS.items():
            if f"usr/bin/{target}" in self.seen and name not in self.seen:
                self.link(name, target)
        self._tar.close()
        return status

    def write(self, name: str, data: bytes, mode: int = 0o644) -> None:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(data), mode
        self._tar.addfile(entry, io.BytesIO(data))

    def folder(self, name: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        self._tar.addfile(entry)
        self.seen.add(name)

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        self._tar.addfile(entry)
        self.seen.add(name)

    def unpack(self, deb: Path) -> str:
        """Add a package's files and its entry in dpkg's database; returns the paragraph for dpkg's status file."""
        listed = ["/."]
        with part(deb, "data") as data:
            for entry in data:
                listed.append("/" + posixpath.normpath(entry.name).lstrip("/"))
                self._add(data, entry)
        with part(deb, "control") as control:
            parts = {Path(entry.name).name: file.read() for entry in control if (file := control.extractfile(entry))}
        fields = parts.pop("control").decode().rstrip("\n")
        name, architecture = _field(fields, "Package"), _field(fields, "Architecture")
        owner = f"{name}:{architecture}" if _field(fields, "Multi-Arch") == "same" else name
        for kind, content in parts.items():
            self.write(f"var/lib/dpkg/info/{owner}.{kind}", content, 0o644 if "." in kind or kind.islower() else 0o755)
        self.write(f"var/lib/dpkg/info/{owner}.list", "".join(f"{path}\n" for path in listed).encode())
        return fields.replace("\n", "\nStatus: install ok installed\n", 1) + "\n\n"

    def _add(self, data: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        entry.name = _merged(entry.name)
        if entry.name.startswith(LEFT_OUT) or (entry.isdir() and entry.name in self.seen):
            return
        if entry.islnk():
            entry.linkname = _merged(entry.linkname)
        self.seen.add(entry.name)
        entry.pax_headers = {}
        self._tar.addfile(entry, data.extractfile(entry) if entry.isreg() else None)


def _field(paragraph: str, name: str) -> str:
    for line in paragraph.splitlines():
        if line.startswith(f"{name}: "):
            return line.split(": ", 1)[1]
    return ""


def base_layer(file: BinaryIO, seen: set[str], debs: list[Path], archive: str = "") -> str:
    """Debian's essential packages with the few things that their maintainer scripts would have made; with a line for
    apt's sources.list also what apt needs.

    Returns dpkg's status file; ``seen`` gets the paths."""
    layer = Layer(file, seen)
    for name in MERGED:
        layer.link(name, f"usr/{name}")
        layer.folder(f"usr/{name}")
    for name in FOLDERS:
        layer.folder(name.rstrip("/"))
    passwd = next(deb for deb in debs if deb.name.startswith("base-passwd_"))
    layer.write("etc/passwd", program(passwd, "usr/share/base-passwd/passwd.master"))
    layer.write("etc/group", program(passwd, "usr/share/base-passwd/group.master"))
    if archive:
        layer.write("etc/apt/sources.list", archive.encode())
        # There is no user _apt, who fetches elsewhere: it is apt's maintainer script that makes it.
        layer.write("etc/apt/apt.conf.d/10sandbox", b'APT::Sandbox::User "root";\n')
        layer.write("var/lib/dpkg/info/format", b"1\n")
    return layer.finish("", debs)


def toolchain_layer(file: BinaryIO, seen: set[str], debs: list[Path], status: str) -> str:
    """Further packages above that."""
    return Layer(file, seen).finish(status, debs)


class Layout:
    """An OCI image layout (image-spec, image-layout.md) that is being written."""

    def __init__(self, folder: Path) -> None:
        self.blobs = folder / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        self._index = folder / "index.json"

    def add(self, media_type: str, document: object) -> dict[str, object]:
        data = json.dumps(document).encode()
        hexdigest = hashlib.sha256(data).hexdigest()
        (self.blobs / hexdigest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{hexdigest}", "size": len(data)}

    def add_layer(self, path: Path) -> dict[str, object]:
        target = self.blobs / path.name
        if not target.exists():
            os.link(path, target)
        return {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": f"sha256:{path.name}",
            "size": path.stat().st_size,
        }

    def image(self, architecture: str, layers: dict[str, Path]) -> dict[str, object]:
        """Add the image of one architecture; ``layers`` by what made them."""
        config = {
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": ["bash"],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{path.name}" for path in layers.values()]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": note} for note in layers],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.add("application/vnd.oci.image.config.v1+json", config),
            "layers": [self.add_layer(path) for path in layers.values()],
        }
        descriptor = self.add("application/vnd.oci.image.manifest.v1+json", manifest)
        return {**descriptor, "platform": {"os": "linux", "architecture": architecture}}

    def close(self, images: list[dict[str, object]], tag: str) -> None:
        kind = "application/vnd.oci.image.index.v1+json"
        index = self.add(kind, {"schemaVersion": 2, "mediaType": kind, "manifests": images})
        named = {**index, "annotations": {"org.opencontainers.image.ref.name": tag}}
        self._index.write_text(json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [named]}))


def store(folder: Path, fill: Callable[[BinaryIO], str]) -> tuple[Path, str]:
    """A file named by the SHA-256 of what ``fill`` writes, and what ``fill`` returns."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "unfinished"
    with temporary.open("wb") as file:
        returned = fill(file)
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return temporary.rename(folder / digest), returned
