"""Platforms (os, architecture, variant) and the names each ecosystem gives an architecture."""

from __future__ import annotations

import platform as _host
from dataclasses import dataclass

from crossdock.errors import UsageError

_ALIASES: dict[str, tuple[str, str]] = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_ARCHITECTURES = frozenset(
    "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x wasm".split()
)
_OPERATING_SYSTEMS = frozenset("linux windows darwin freebsd wasip1".split())


@dataclass(frozen=True, order=True)
class Platform:
    """A normalised platform. Compare with ``==``; print with ``str()``: ``linux/arm64``, ``linux/arm/v7``.

    Normalisation is containerd's (``platforms.Normalize``): arm64/v8 is arm64, arm is arm/v7, amd64/v1 is amd64.
    """

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def satisfies(self, wanted: Platform) -> bool:
        """Whether an image of this platform is what someone asking for ``wanted`` gets.

        Variants are levels: arm/v6 runs where arm/v7 is wanted, amd64 where amd64/v3 is, never the other way round.
        """
        if (self.os, self.architecture) != (wanted.os, wanted.architecture):
            return False
        return self._level() <= wanted._level()

    def runs_natively_on(self, host: Platform) -> bool:
        """Whether ``host``'s processor runs such programs itself. (An Arm server may not run 32-bit ones, so ``arm`` on
        arm64 is not counted on.)"""
        if self.os != host.os:
            return False
        return self.architecture == host.architecture or (self.architecture, host.architecture) == ("386", "amd64")

    def _level(self) -> int:
        digits = self.variant.lstrip("v").split(".")[0]
        default = 8 if self.architecture == "arm64" else 1
        return int(digits) if digits.isdigit() else default


def normalise(os: str, architecture: str, variant: str = "") -> Platform:
    """A platform from the three fields of an OCI image config or descriptor (image-spec, image-index.md)."""
    os = os.lower()
    os = {"macos": "darwin"}.get(os, os)
    architecture, variant = architecture.lower(), variant.lower()
    alias = _ALIASES.get(architecture)
    if alias:
        architecture, variant = alias[0], variant or alias[1]
    if variant.isdigit():
        variant = f"v{variant}"
    if architecture == "arm" and not variant:
        variant = "v7"
    if (architecture, variant) in {("arm64", "v8"), ("amd64", "v1")}:
        variant = ""
    return Platform(os, architecture, variant)


def parse_platform(text: str) -> Platform:
    """``linux/arm64/v8``, ``arm64`` or ``aarch64`` → Platform. Raises UsageError for what is no platform."""
    parts = text.strip().lower().split("/")
    if not all(parts) or len(parts) > 3:
        raise UsageError(f"{text!r} is not a platform", hint="Write os/architecture[/variant], such as linux/arm64.")
    if len(parts) == 1:
        parts = ["linux", parts[0]]
    found = normalise(*parts)
    if found.os not in _OPERATING_SYSTEMS or found.architecture not in _ARCHITECTURES:
        raise UsageError(
            f"{text!r} is not a platform that container engines know",
            hint="Common ones: linux/amd64, linux/arm64, linux/arm/v7.",
        )
    return found


def parse_platforms(text: str) -> tuple[Platform, ...]:
    """A comma-separated list, duplicates dropped, order kept."""
    return tuple(dict.fromkeys(parse_platform(part) for part in text.split(",") if part.strip()))


def host_platform() -> Platform:
    """The platform of Linux containers on this machine."""
    return normalise("linux", _host.machine())


AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
DEFAULT_TARGETS = (AMD64, ARM64)

UNAME: dict[str, str] = {
    "amd64": "x86_64",
    "arm64": "aarch64",
    "arm": "armv7l",
    "386": "i686",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loong64": "loongarch64",
}
"""``uname -m`` and ``arch``, by OCI architecture. rpm's ``%_arch`` agrees for those crossdock targets."""

DEBIAN: dict[str, str] = {
    "amd64": "amd64",
    "arm64": "arm64",
    "arm": "armhf",
    "386": "i386",
    "ppc64le": "ppc64el",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loong64": "loong64",
}
"""``dpkg --print-architecture``."""

ALPINE: dict[str, str] = {**UNAME, "arm": "armv7", "386": "x86"}
"""``apk --print-arch``."""

MULTIARCH: dict[str, str] = {
    "amd64": "x86_64-linux-gnu",
    "arm64": "aarch64-linux-gnu",
    "arm": "arm-linux-gnueabihf",
    "386": "i386-linux-gnu",
    "ppc64le": "powerpc64le-linux-gnu",
    "s390x": "s390x-linux-gnu",
    "riscv64": "riscv64-linux-gnu",
    "loong64": "loongarch64-linux-gnu",
}
"""Debian's multiarch tuples, the directory below /usr/lib."""
