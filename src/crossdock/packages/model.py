"""What is asked of package indexes and what they answer: requests, repositories, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from crossdock.read.values import Origin


class Ecosystem(StrEnum):
    """Whose packages they are; the value is what people call it."""

    APT = "apt"
    APK = "apk"
    RPM = "rpm"
    PIP = "pip"
    NPM = "npm"
    MAVEN = "Maven"
    GEM = "RubyGems"
    ANDROID = "Android SDK"


@dataclass(frozen=True)
class System:
    """What the image is, as far as the name of its base tells; empty where it tells nothing.

    ``distribution`` and ``release`` as os-release has them (ID; VERSION_ID without what follows Alpine's second
    number, and with openEuler's service pack, for Kylin V10 that alone), ``codename`` for Debian and Ubuntu.
    ``python`` is the two-part version of the image's own Python.
    """

    distribution: str = ""
    release: str = ""
    codename: str = ""
    python: str = ""

    @property
    def libc(self) -> str:
        return "musl" if self.distribution == "alpine" else "glibc"


@dataclass(frozen=True)
class Repository:
    """A further place that packages come from: the URL as written, and for apt its suite and components.

    For dnf and its kin it is the URL of a repository or of a .repo file, or the name of the package that brings it.
    """

    url: str
    suite: str = ""
    components: tuple[str, ...] = ()


class Status(StrEnum):
    AVAILABLE = "available"
    MISSING = "missing"
    """amd64 has it and arm64 has not."""
    SOURCE = "source"
    """amd64 has it compiled; for arm64 it is compiled while installing."""
    UNKNOWN = "unknown"
    """It could not be looked up; ``detail`` says why. Never to be read as available or missing."""


@dataclass(frozen=True)
class Answer:
    """Whether a package exists for arm64.

    ``detail`` is a clause for people (``PyPI has wheels of 2.3.0 for x86_64 only``), ``nearest`` the version to take
    instead, ``instead`` what else to do, as a sentence without a full stop, ``source`` where it was seen. ``certain``
    is false where the answer is about a likely but not an exact match.
    """

    status: Status
    detail: str = ""
    nearest: str = ""
    instead: str = ""
    source: str = ""
    certain: bool = True
    dispensable: bool = False
    """Nothing is lost on arm64 without it, and nothing is built with it: a driver or tool for x86 machines."""


@dataclass(frozen=True)
class PackageRequest:
    """A package that a command installs on the target platform.

    ``version`` is the constraint as written with its operator (``==2.3.0``, ``=1.2-3``, ``^4.1``), empty for the
    newest. ``origin`` is the word that names it; with ``certain`` false the command may not be reached. ``system`` is
    the image. ``repositories`` were added in it before; ``opaque`` says that there are others, which could not be read.
    ``stated`` is the answer that a lock file itself gives. Maven: ``name`` is ``group:artifact``, and ``classifier``.
    """

    ecosystem: Ecosystem
    name: str
    origin: Origin
    version: str = ""
    system: System = System()
    certain: bool = True
    repositories: tuple[Repository, ...] = ()
    opaque: bool = False
    classifier: str = ""
    environment: frozenset[str] = frozenset()
    """The environment variables that are set when the command runs."""
    direct: bool = True
    """Named by a command or as a dependency of the project itself, not only somewhere in a lock file."""
    stated: Answer | None = None

    @property
    def exact(self) -> str:
        """The version without its operator, where it is one version and no range."""
        text = self.version.strip()
        for operator in ("===", "==", "="):
            if text.startswith(operator):
                text = text.removeprefix(operator)
                return "" if any(c in text for c in "*,<>~^| ") else text
        return text if text[:1].isdigit() and not any(c in text for c in "*,<>~^| xX") else ""


NOT_ASKED = "not looked up"
"""How the detail of an UNKNOWN answer begins when the index itself was not asked, whatever the package is."""

Ask = Callable[[Sequence[PackageRequest]], Mapping[PackageRequest, Answer]]
"""Looks packages up. Never raises for trouble on the network: that is an UNKNOWN answer with its reason."""


@dataclass(frozen=True)
class PackageFact:
    """What is known of one requested package."""

    request: PackageRequest
    answer: Answer
