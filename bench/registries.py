"""The package registries that this machine's pip and npm are set up for, as files that builds mount."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

MOUNTS = " ".join(
    f"--mount=type=bind,source={name},target={target}"
    for name, target in (
        ("certificates", "/etc/ssl/certs/ca-certificates.crt"),
        ("pip.conf", "/etc/pip.conf"),
        ("npmrc", "/root/.npmrc"),
    )
)
"""What a RUN that installs from them says; so nothing of them comes into a layer."""


def write_settings(folder: Path) -> None:
    """Write what ``MOUNTS`` mounts into a build context: addresses, and the authorities that this machine trusts."""
    trusted = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    (folder / "certificates").write_bytes(Path(trusted).read_bytes())
    index, registry = _said("pip", "config", "get", "global.index-url"), _said("npm", "config", "get", "registry")
    (folder / "pip.conf").write_text("[global]\n" + (f"index-url = {index}\n" if index else ""))
    cafile = "cafile=/etc/ssl/certs/ca-certificates.crt\naudit=false\nfund=false\nupdate-notifier=false\n"
    (folder / "npmrc").write_text(cafile + (f"registry={registry}\n" if registry else ""))


def _said(*command: str) -> str:
    """What a program prints; nothing where it is missing or has no such setting."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout.strip()
    except OSError:
        return ""
