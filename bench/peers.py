"""The programs that crossdock is measured beside: where they are, and an environment without the user's logins."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

GO_SOURCES = Path("/usr/share/gocode")
CRANE = "github.com/google/go-containerregistry/cmd/crane"


@dataclass(frozen=True)
class Program:
    """A program, or why it cannot be measured."""

    name: str
    command: tuple[str, ...] = ()
    version: str = ""
    missing: str = ""


def environment(home: Path, source: dict[str, str]) -> dict[str, str]:
    """``source`` without what a user may have set up for registries: logins, settings, caches, proxies, builders.

    ``home`` is a folder that is created; everything that a program keeps goes there.
    """
    prefixes = ("DOCKER_", "BUILDX_", "BUILDKIT_", "CROSSDOCK_", "CONTAINERS_", "REGISTRY_", "STORAGE_", "XDG_")
    kept = {
        name: value
        for name, value in source.items()
        if not name.startswith(prefixes) and not name.lower().endswith("_proxy")
    }
    folders = {f"XDG_{kind}": home / kind.lower() for kind in ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "RUNTIME_DIR")}
    folders |= {"DOCKER_CONFIG": home / "docker", "TMPDIR": home / "tmp", "HOME": home}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    plugins = Path(source.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    if plugins.is_dir():
        (home / "docker/cli-plugins").symlink_to(plugins.resolve())
    files = {"REGISTRY_AUTH_FILE": (home / "auth.json", "{}"), "CONTAINERS_REGISTRIES_CONF": (home / "registries", "")}
    for path, content in [*files.values(), (home / "docker/config.json", "{}")]:
        path.write_text(content)
    return {
        **kept,
        **{name: str(folder) for name, folder in folders.items()},
        **{name: str(path) for name, (path, _) in files.items()},
        # Run by root, skopeo keeps what it knows of blobs in /var/lib/containers, unless it takes itself for another's.
        "_CONTAINERS_ROOTLESS_UID": "1000",
    }


def find(command: list[str], version: str, package: str) -> Program:
    """A program on PATH. ``version`` is the argument that makes it say its version; ``package`` is Debian's."""
    name = " ".join(command)
    if not shutil.which(command[0]):
        return Program(name, missing=f"not installed; run: apt-get install {package}")
    said = subprocess.run([*command, version], capture_output=True, text=True, check=False)
    if said.returncode:
        return Program(name, missing=f"does not start ({said.stderr.strip()}); run: apt-get install {package}")
    return Program(name, tuple(command), said.stdout.strip().partition("\n")[0][:60])


def find_crane(folder: Path) -> Program:
    """crane from PATH, else built in ``folder`` from Debian's sources: as a program it is not packaged."""
    if shutil.which("crane"):
        return find(["crane"], "version", "golang-github-google-go-containerregistry-dev")
    if not shutil.which("go") or not (GO_SOURCES / "src" / CRANE).is_dir():
        packages = "golang-go golang-github-google-go-containerregistry-dev"
        return Program(
            "crane", missing=f"not on PATH, and cannot be built; on Debian 13 run: apt-get install {packages}"
        )
    crane = folder / "crane"
    settings = {"GOPATH": str(GO_SOURCES), "GO111MODULE": "off", "GOFLAGS": "", "GOCACHE": str(folder / "go-cache")}
    built = subprocess.run(
        ["go", "build", "-o", str(crane), CRANE], env=os.environ | settings, capture_output=True, text=True, check=False
    )
    if built.returncode:
        return Program("crane", missing=f"not on PATH, and cannot be built from {GO_SOURCES}:\n{built.stderr.strip()}")
    shutil.rmtree(folder / "go-cache", ignore_errors=True)
    return Program("crane", (str(crane),), f"built from {GO_SOURCES}")
