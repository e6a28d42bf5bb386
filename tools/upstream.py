"""A stand-in for Docker Hub and GitHub, for machines that reach neither: what the example downloads, from Debian.

``prepare FOLDER`` fetches packages of Debian 12 for amd64 and arm64 from the mirror that apt on this machine is set up
to use, verified by apt against its signed indexes, and lays out below FOLDER

- ``www/``: the programs under the names that their projects publish them by (``tini``, ``tini-arm64``, …);
- ``images/NAME``: base images of both platforms, each an OCI layout, made from the packages without running any.

``serve FOLDER`` serves ``www/`` on a free port of the loopback interface until it is stopped or its parent ends.

Nothing outside FOLDER is touched: apt works with folders of its own, and this machine's packages and architectures
stay as they are. Needs apt-get, Debian's archive keyring and Python's standard library; no root.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import hashlib
import http.server
import io
import json
import lzma
import os
import posixpath
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

RELEASE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
ARCHITECTURES = ("amd64", "arm64")

BASE = ("?essential",)
TOOLCHAIN = ("gcc", "libc6-dev", "make", "zlib1g-dev", "curl", "ca-certificates")

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Folders that are links into /usr since Debian 12; packages still name files by the old paths."""

LEFT_OUT = tuple(f"usr/share/{name}/" for name in ("doc", "man", "locale", "info", "groff", "lintian", "linda"))
"""What Debian's slim images leave out as well."""

FOLDERS = tuple(f"usr/local/{name}" for name in ("", "bin", "etc", "include", "lib", "sbin", "share", "src"))
"""Folders that maintainer scripts would have made."""

LINKS = {"usr/bin/awk": "mawk", "usr/bin/cc": "gcc", "usr/bin/c99": "gcc"}
"""Links that maintainer scripts would have made, where their target is there."""


class Unavailable(Exception):
    """Something this machine does not offer; the message says what."""


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


# --- apt -------------------------------------------------------------------------------------------------------------


def mirror() -> str:
    """The address of the Debian archive that apt here uses. Raises Unavailable when it uses none."""
    if not shutil.which("apt-get"):
        raise Unavailable("there is no apt-get here, so Debian's archive cannot be reached through its settings")
    listed = _run(
        "apt-get", "indextargets", "--format", "$(ORIGIN)|$(RELEASE)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"
    )
    names = {RELEASE, "trixie", "forky", "sid", "stable", "testing", "unstable", "oldstable"}
    for line in listed.splitlines():
        origin, release, component, address = line.split("|", 3)
        # ORIGIN comes from the signed index and is not known before the first `apt-get update`.
        if component == "main" and release in names and (origin == "Debian" or not origin or origin.startswith("$")):
            return address
    raise Unavailable("apt on this machine is not set up for Debian's archive (no `main` of a Debian release)")


class Apt:
    """apt-get for one architecture in folders of its own."""

    def __init__(self, folder: Path, architecture: str, address: str) -> None:
        for name in ("state/lists/partial", "cache/archives/partial", "etc"):
            (folder / name).mkdir(parents=True)
        (folder / "state/status").touch()
        signed = f"signed-by={KEYRING}" if KEYRING.exists() else ""
        source = f"deb [{signed} arch={architecture}] {address} {RELEASE} main\n"
        (folder / "etc/sources.list").write_text(source)
        self.archives = folder / "cache/archives"
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "root",
            "APT::Install-Recommends": "false",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "true",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::SourceList": folder / "etc/sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State": folder / "state",
            "Dir::State::status": folder / "state/status",
        }
        self._options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        self.get("update")

    def get(self, *words: str, cwd: Path | None = None) -> str:
        return _run("apt-get", "-q", "-y", *self._options, *words, cwd=cwd)

    def fetch(self, *wanted: str) -> list[Path]:
        """The packages and all they depend on, as files that are new since the last call."""
        before = set(self.archives.glob("*.deb"))
        self.get("install", "--download-only", *wanted)
        return sorted(set(self.archives.glob("*.deb")) - before)

    def fetch_only(self, package: str) -> Path:
        """One package without what it depends on."""
        folder = self.archives / "alone" / package
        folder.mkdir(parents=True)
        self.get("download", package, cwd=folder)
        return next(folder.glob("*.deb"))


def _run(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        tail = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise Unavailable(f"`{argv[0]}` failed:\n  {tail}")
    return done.stdout


# --- packages --------------------------------------------------------------------------------------------------------


def _members(deb: Path) -> Iterator[tuple[str, bytes]]:
    """The members of a .deb, which is an ar archive (deb(5))."""
    with deb.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise Unavailable(f"{deb.name} is no Debian package")
        while header := file.read(60):
            size = int(header[48:58])
            yield header[:16].decode().strip().rstrip("/"), file.read(size)
            file.read(size % 2)


def _part(deb: Path, wanted: str) -> tarfile.TarFile:
    """``control`` or ``data`` of a package."""
    for name, data in _members(deb):
        if name.startswith(f"{wanted}.tar"):
            if name.endswith(".xz"):
                data = lzma.decompress(data)
            return tarfile.open(fileobj=io.BytesIO(data))
    raise Unavailable(f"{deb.name} has no {wanted}.tar")


def _program(deb: Path, path: str) -> bytes:
    with _part(deb, "data") as data:
        file = data.extractfile(f"./{path}")
        if file is None:
            raise Unavailable(f"{deb.name} has no {path}")
        return file.read()


def _merged(name: str) -> str:
    """The path of a package's file in a system whose /bin, /lib and /sbin are links into /usr."""
    name = posixpath.normpath(name).lstrip("/")
    return f"usr/{name}" if name.split("/", 1)[0] in MERGED else name


# --- images ----------------------------------------------------------------------------------------------------------


class Layer:
    """A layer that is being written: packages unpacked one over the other, as plain tar (image-spec, layer.md)."""

    def __init__(self, file: BinaryIO, seen: set[str]) -> None:
        self._tar = tarfile.TarFile(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)
        self.seen = seen

    def close(self) -> None:
        self._tar.close()

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
        with _part(deb, "data") as data:
            for entry in data:
                listed.append("/" + posixpath.normpath(entry.name).lstrip("/"))
                self._add(data, entry)
        with _part(deb, "control") as control:
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


def _base_layer(layer: Layer, debs: list[Path]) -> str:
    """Debian's essential packages with the few things that their maintainer scripts would have made."""
    for name in MERGED:
        layer.link(name, f"usr/{name}")
        layer.folder(f"usr/{name}")
    for name in FOLDERS:
        layer.folder(name.rstrip("/"))
    status = "".join(layer.unpack(deb) for deb in debs)
    passwd = next(deb for deb in debs if deb.name.startswith("base-passwd_"))
    layer.write("etc/passwd", _program(passwd, "usr/share/base-passwd/passwd.master"))
    layer.write("etc/group", _program(passwd, "usr/share/base-passwd/group.master"))
    return status


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

    def image(self, architecture: str, layers: list[Path], notes: list[str]) -> dict[str, object]:
        config = {
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": ["bash"],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{path.name}" for path in layers]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": note} for note in notes],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": self.add("application/vnd.oci.image.config.v1+json", config),
            "layers": [self.add_layer(path) for path in layers],
        }
        descriptor = self.add("application/vnd.oci.image.manifest.v1+json", manifest)
        return {**descriptor, "platform": {"os": "linux", "architecture": architecture}}

    def close(self, images: list[dict[str, object]]) -> None:
        kind = "application/vnd.oci.image.index.v1+json"
        index = self.add(kind, {"schemaVersion": 2, "mediaType": kind, "manifests": images})
        named = {**index, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
        self._index.write_text(json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": [named]}))


def _store(folder: Path, fill: Callable[[BinaryIO], None]) -> Path:
    """A file named by the SHA-256 of what ``fill`` writes."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "unfinished"
    with temporary.open("wb") as file:
        fill(file)
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return temporary.rename(folder / digest)


# --- the two verbs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Made:
    """What was made for one architecture: the two layers."""

    architecture: str
    base: Path
    toolchain: Path


def _make(folder: Path, architecture: str, address: str) -> Made:
    apt = Apt(folder / "apt" / architecture, architecture, address)
    for asset in ASSETS:
        deb = apt.fetch_only(asset.package)
        data = _program(deb, asset.member) if asset.member else deb.read_bytes()
        for name in asset.names[architecture]:
            target = folder / "www" / asset.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(asset.pack(name, data))

    essential = apt.fetch(*BASE)
    further = apt.fetch(*BASE, *TOOLCHAIN)
    seen: set[str] = set()
    status = ""

    def base(file: BinaryIO) -> None:
        nonlocal status
        layer = Layer(file, seen)
        status = _base_layer(layer, essential)
        _finish(layer, status)

    def toolchain(file: BinaryIO) -> None:
        layer = Layer(file, seen)
        _finish(layer, status + "".join(layer.unpack(deb) for deb in further))

    layers = folder / "layers" / architecture
    made = Made(architecture, _store(layers, base), _store(layers, toolchain))
    shutil.rmtree(folder / "apt" / architecture)
    return made


def _finish(layer: Layer, status: str) -> None:
    layer.write("var/lib/dpkg/status", status.encode())
    for name, target in LINKS.items():
        if f"usr/bin/{target}" in layer.seen and name not in layer.seen:
            layer.link(name, target)
    layer.close()


def prepare(folder: Path, say: Callable[[str], None]) -> None:
    """Fill the folder, or leave it as it is when it was filled by this very script before."""
    stamp = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    ready = folder / "ready"
    if ready.exists() and ready.read_text() == stamp:
        say("already there")
        return
    address = mirror()
    partial = folder.with_name(folder.name + ".partial")
    for leftover in (partial, folder):
        if leftover.exists():
            shutil.rmtree(leftover)
    partial.mkdir(parents=True)
    try:
        say(f"fetching Debian packages for {' and '.join(ARCHITECTURES)} from {address}")
        with ProcessPoolExecutor(len(ARCHITECTURES)) as pool:
            made = list(pool.map(functools.partial(_make, partial, address=address), ARCHITECTURES))
        note = f"Debian {RELEASE}, unpacked from packages of {address}"
        for name, parts in {
            "debian-12-slim": ("base",),
            "buildpack-deps-bookworm": ("base", "toolchain"),
        }.items():
            layout = Layout(partial / "images" / name)
            notes = [f"{note}: {', '.join(BASE if part == 'base' else TOOLCHAIN)}" for part in parts]
            layout.close([layout.image(one.architecture, [getattr(one, p) for p in parts], notes) for one in made])
        shutil.rmtree(partial / "layers")
        shutil.rmtree(partial / "apt")
        (partial / "ready").write_text(stamp)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"{len(ASSETS)} published tools and 2 base images, for both architectures")


def serve(folder: Path, announce: Path) -> None:
    """Serve until stopped; writes the address to ``announce`` once requests are answered."""

    class Files(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the build tells what it downloads."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Nothing: a client that goes away is the client's business."""

    parent = os.getppid()
    handler = functools.partial(Files, directory=str(folder / "www"))
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        temporary = announce.with_name(announce.name + ".new")
        temporary.write_text(f"http://127.0.0.1:{server.server_address[1]}\n")
        temporary.rename(announce)
        while os.getppid() == parent:
            time.sleep(0.5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("prepare", help="fetch and lay out; does nothing when that was done")
    one.add_argument("folder", type=Path)
    two = verbs.add_parser("serve", help="serve on loopback until stopped")
    two.add_argument("folder", type=Path)
    two.add_argument("announce", type=Path, help="a file to write the address to")
    given = parser.parse_args()
    try:
        if given.verb == "prepare":
            prepare(given.folder.resolve(), lambda line: print(f"    {line}", flush=True))
        else:
            serve(given.folder.resolve(), given.announce)
    except Unavailable as problem:
        print(f"upstream: {problem}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
