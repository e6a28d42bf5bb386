"""RubyGems and its mirrors: for which platforms a gem is compiled.

Source: the compact index that Bundler reads (rubygems/guides, "Compact Index API"): ``/info/NAME`` has a line for each
version, ``NUMBER[-PLATFORM] DEPENDENCIES|REQUIREMENTS``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from crossdock.packages.indexes.documents import Documents
from crossdock.packages.model import Answer, PackageRequest, Status
from crossdock.packages.versions import fits, is_prerelease, key

_LINE = re.compile(r"(\d[\w.]*?)(?:-(\S+))? ")


def read_info(data: bytes) -> Mapping[str, frozenset[str]]:
    """Version → platforms; ``ruby`` is the one that is compiled, if need be, while installing."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in data.decode("utf-8", "replace").splitlines():
        match = _LINE.match(line + " ")
        if match:
            found[match[1]].add(match[2] or "ruby")
    return {version: frozenset(platforms) for version, platforms in found.items()}


def judge(request: PackageRequest, versions: Mapping[str, frozenset[str]], index: str) -> Answer:
    """Whether the requested version installs on arm64."""
    fitting = [version for version in versions if fits(version, request.version)]
    chosen = max([v for v in fitting if not is_prerelease(v)] or fitting, key=key, default=None)
    if chosen is None:
        return Answer(Status.UNKNOWN, f"{index} has no version that fits")
    compiled = {machine: _for(machine, versions[chosen]) for machine in ("x86_64", "aarch64")}
    if compiled["aarch64"] or not compiled["x86_64"]:
        return Answer(Status.AVAILABLE, source=index)
    having = sorted((v for v in versions if _for("aarch64", versions[v]) and not is_prerelease(v)), key=key)
    nearest = next((v for v in having if key(v) > key(chosen)), "")
    detail = f"{index} has {chosen} compiled for x86_64 only"
    detail = f"{detail}; {nearest} has aarch64" if nearest else detail
    status = Status.SOURCE if "ruby" in versions[chosen] else Status.MISSING
    return Answer(status, detail, nearest, source=index)


def _for(machine: str, platforms: frozenset[str]) -> bool:
    names = (machine, "arm64") if machine == "aarch64" else (machine,)
    return any(platform.startswith(f"{name}-linux") for platform in platforms for name in names)


def _whole(data: bytes) -> bytes:
    return data


async def ask(request: PackageRequest, documents: Documents, source: str) -> Answer:
    """Ask a source of gems by its address."""
    host = urlsplit(source).hostname or source
    if request.repositories:
        return Answer(Status.UNKNOWN, "it comes from another source that the command names")
    page = await documents.get(f"{source.rstrip('/')}/info/{quote(request.name)}", _whole, name="gem-1")
    if page is None:
        return Answer(Status.UNKNOWN, f"{host} has no such gem")
    return judge(request, read_info(page), host)
