"""Debian's archive: packages of any architecture, fetched by apt with folders of its own and opened here."""

from __future__ import annotations

import io
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

RELEASE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Unavailable(Exception):
    """Something this machine does not offer; the message says what."""


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


def _members(deb: Path) -> Iterator[tuple[str, bytes]]:
    """The members of a .deb, which is an ar archive (deb(5))."""
    with deb.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise Unavailable(f"{deb.name} is no Debian package")
        while header := file.read(60):
            size = int(header[48:58])
            yield header[:16].decode().strip().rstrip("/"), file.read(size)
            file.read(size % 2)


def part(deb: Path, wanted: str) -> tarfile.TarFile:
    """``control`` or ``data`` of a package."""
    for name, data in _members(deb):
        if name.startswith(f"{wanted}.tar"):
            if name.endswith(".xz"):
                data = lzma.decompress(data)
            return tarfile.open(fileobj=io.BytesIO(data))
    raise Unavailable(f"{deb.name} has no {wanted}.tar")


def program(deb: Path, path: str) -> bytes:
    with part(deb, "data") as data:
        file = data.extractfile(f"./{path}")
        if file is None:
            raise Unavailable(f"{deb.name} has no {path}")
        return file.read()
