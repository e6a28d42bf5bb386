"""PyPI and its mirrors: which wheels and source archives a project has.

Sources: PEP 503 and PEP 691 (the simple API, HTML and JSON), PEP 425 and PEP 427 (tags and names of wheels), PEP 592
(yanked), PEP 600 and PEP 656 (manylinux, musllinux).
"""

from __future__ import annotations

import html
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from crossdock.packages.indexes.documents import Documents
from crossdock.packages.model import Answer, PackageRequest, Status, System
from crossdock.packages.versions import fits, is_prerelease, key

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_ANCHOR = re.compile(r"<a\b([^>]*)>", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s*=\s*["']?([^"'>\s]+)""", re.IGNORECASE)
_WHEEL = re.compile(
    r"(?P<name>[^-]+)-(?P<version>[^-]+)(?:-\d[^-]*)?-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl"
)


@dataclass(frozen=True)
class Wheel:
    """What the name of a wheel says: its version and its compressed tag sets."""

    version: str
    pythons: frozenset[str]
    abis: frozenset[str]
    platforms: frozenset[str]

    def runs_on(self, machine: str, system: System) -> bool:
        """Whether it can be installed on Linux on ``machine`` (``x86_64``, ``aarch64``), with the image's libc and
        Python as far as they are known."""
        return self._fits_python(system.python) and any(
            platform == "any" or self._fits_platform(platform, machine, system) for platform in self.platforms
        )

    @staticmethod
    def _fits_platform(platform: str, machine: str, system: System) -> bool:
        if not platform.endswith(f"_{machine}"):
            return False
        if system.distribution:
            return platform.startswith(("linux_", "musllinux" if system.libc == "musl" else "manylinux"))
        return platform.startswith(("linux_", "manylinux", "musllinux"))

    def _fits_python(self, python: str) -> bool:
        if not python:
            return any(tag.startswith(("cp", "py")) for tag in self.pythons)
        major, minor = (int(part) for part in python.split(".")[:2])
        for tag in self.pythons:
            match = re.fullmatch(r"(cp|py)(\d)(\d*)", tag)
            if not match or int(match[2]) != major:
                continue
            its = int(match[3]) if match[3] else 0
            if match[1] == "py" and its <= minor:
                return True
            if match[1] == "cp" and (its == minor or ("abi3" in self.abis and its <= minor)):
                return True
        return False


def read_wheel(filename: str) -> Wheel | None:
    """The tags of a wheel's name, or None for what is no wheel's."""
    match = _WHEEL.fullmatch(filename)
    if not match:
        return None
    tags = (frozenset(match[group].split(".")) for group in ("python", "abi", "platform"))
    return Wheel(match["version"], *tags)


def sdist_version(filename: str, project: str) -> str | None:
    """The version in the name of a source archive: what follows the project's name, in whatever spelling."""
    match = re.fullmatch(r"(.+?)\.(?:tar\.gz|tar\.bz2|tar\.xz|tgz|zip)", filename)
    if not match:
        return None
    wanted = _normal(project)
    for cut in re.finditer("-", match[1]):
        if _normal(match[1][: cut.start()]) == wanted and match[1][cut.end() : cut.end() + 1].isdigit():
            return match[1][cut.end() :]
    return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def reduce_simple(data: bytes) -> bytes:
    """The names of the files that may be installed, one a line, from either form of the simple API. Raises ValueError
    for what is neither."""
    text = data.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        files = json.loads(text).get("files")
        if not isinstance(files, list):
            raise ValueError("it is no page of the simple API")
        names = [f.get("filename", "") for f in files if isinstance(f, dict) and not f.get("yanked")]
    else:
        names = list(_anchored(text))
        if not names and "<" not in text:
            raise ValueError("it is no page of the simple API")
    return "\n".join(name for name in names if name and "\n" not in name).encode()


def _anchored(text: str) -> Iterable[str]:
    for anchor in _ANCHOR.finditer(text):
        href = _HREF.search(anchor[1])
        if href and not re.search(r"\bdata-yanked\b", anchor[1]):
            yield unquote(urlsplit(html.unescape(href[1])).path.rsplit("/", 1)[-1])


class _Kind:
    """How one version can be installed on one machine."""

    def __init__(self) -> None:
        self.x86 = self.arm = self.source = False


def judge(request: PackageRequest, files: Iterable[str], index: str) -> Answer:
    """Whether pip finds the requested version on arm64. ``index`` is how the index is called."""
    kinds: dict[str, _Kind] = defaultdict(_Kind)
    for filename in files:
        wheel = read_wheel(filename)
        if wheel:
            kinds[wheel.version].x86 |= wheel.runs_on("x86_64", request.system)
            kinds[wheel.version].arm |= wheel.runs_on("aarch64", request.system)
        elif version := sdist_version(filename, request.name):
            kinds[version].source = True
    wanted = request.version
    fitting = [version for version in kinds if fits(version, wanted)]
    usable = [v for v in fitting if kinds[v].x86 or kinds[v].source]
    stable = [v for v in usable if not is_prerelease(v)] or usable
    if not stable:
        return Answer(Status.UNKNOWN, f"{index} has no version that fits")
    chosen = max(stable, key=key)
    kind = kinds[chosen]
    if kind.arm or not kind.x86:
        return Answer(Status.AVAILABLE, source=index)
    nearest = _nearest(chosen, [version for version in kinds if kinds[version].arm and not is_prerelease(version)])
    if kind.source:
        detail = f"{index} has wheels of {chosen} for x86_64 only, so it is compiled"
        return Answer(Status.SOURCE, _with_nearest(detail, nearest), nearest, source=index)
    detail = _with_nearest(f"{index} has wheels of {chosen} for x86_64 only", nearest)
    # Without a pinned version pip takes an older one that it can install.
    older = any(kinds[version].arm or kinds[version].source for version in stable)
    return Answer(Status.MISSING, detail, nearest, source=index, certain=not older)


def _with_nearest(detail: str, nearest: str) -> str:
    return f"{detail}; {nearest} has one for aarch64" if nearest else detail


def _nearest(version: str, having: Iterable[str]) -> str:
    """The next higher version, else the highest of the lower ones."""
    ordered = sorted(having, key=key)
    return next((other for other in ordered if key(other) > key(version)), ordered[-1] if ordered else "")


async def ask(request: PackageRequest, documents: Documents, index: str) -> Answer:
    """Ask an index by the address of its simple API."""
    host = urlsplit(index).hostname or index
    if request.repositories or request.opaque:
        return Answer(Status.UNKNOWN, "it may come from a further index that the command names")
    url = f"{index.rstrip('/')}/{_normal(request.name)}/"
    page = await documents.get(url, reduce_simple, accept=ACCEPT, name="simple-1")
    if page is None:
        return Answer(Status.UNKNOWN, f"{host} has no such package")
    return judge(request, page.decode().split("\n"), host)
