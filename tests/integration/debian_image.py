"""A Debian base image of both architectures with apt, laid out from packages without running a program of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

ARCHITECTURES = ("amd64", "arm64")
PACKAGES = (
    "apt", "base-files", "base-passwd", "bash", "bsdutils", "ca-certificates", "coreutils", "dash", "debconf",
    "debian-archive-keyring", "debianutils", "diffutils", "dpkg", "e2fsprogs", "findutils", "grep", "gzip", "hostname",
    "init-system-helpers", "libc-bin", "login", "mawk", "mount", "ncurses-base", "ncurses-bin", "passwd", "perl-base",
    "sed", "sysvinit-utils", "tar", "util-linux",
)  # fmt: skip


def write_debian_layout(folder: Path, *further: str, tag: str = "latest") -> None:
    """Write an OCI layout ``folder``/layout; ``further`` are packages beyond the essential ones, with what they need.

    tools/upstream knows how to lay out packages. apt in the image uses the archive that apt here uses.
    """
    images, archive = _upstream("images"), _upstream("archive")
    address = archive.mirror()
    made = []
    for architecture in ARCHITECTURES:
        apt = archive.Apt(folder / "apt" / architecture, architecture, address)
        debs = apt.fetch(*PACKAGES, *further)
        seen: set[str] = set()
        base, status = images.store(
            folder / "layers", lambda file, debs=debs, seen=seen: images.base_layer(file, seen, debs)
        )
        settings, _ = images.store(
            folder / "layers",
            lambda file, seen=seen, status=status: _settings(
                images.Layer(file, seen), address, archive.RELEASE, status
            ),
        )
        made.append((architecture, {"packages": base, "settings": settings}))
    layout = images.Layout(folder / "layout")
    layout.close([layout.image(architecture, layers) for architecture, layers in made], tag)


def _settings(layer: object, address: str, release: str, status: str) -> str:
    """What an installation would have made: apt's source, and root to fetch, as there is no user _apt."""
    layer.write("etc/apt/sources.list", f"deb {address} {release} main\n".encode())  # type: ignore[attr-defined]
    layer.write("etc/apt/apt.conf.d/10sandbox", b'APT::Sandbox::User "root";\n')  # type: ignore[attr-defined]
    layer.write("var/lib/dpkg/info/format", b"1\n")  # type: ignore[attr-defined]
    return layer.finish(status, [])  # type: ignore[attr-defined, no-any-return]


def _upstream(name: str) -> ModuleType:
    folder = str(Path(__file__).parents[2] / "tools/upstream")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)
