"""The npm registry and its mirrors: which machines a version may be installed on.

Source: npm's registry documentation ("abbreviated metadata"), and package.json's ``os``, ``cpu``, ``libc`` and
``optionalDependencies``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from crossdock.packages.indexes.documents import Documents
from crossdock.packages.manifests import allows, mapping
from crossdock.packages.model import Answer, PackageRequest, Status
from crossdock.packages.versions import fits, is_prerelease, key

ACCEPT = "application/vnd.npm.install-v1+json, application/json;q=0.5"
_PART = re.compile(r"linux")


def reduce_metadata(data: bytes) -> bytes:
    """Of each version what says where it may be installed. Raises ValueError for what is no metadata."""
    document = json.loads(data)
    versions = document.get("versions") if isinstance(document, dict) else None
    if not isinstance(versions, dict):
        raise ValueError("it is no package metadata")
    kept = {
        version: {
            "os": entry.get("os"),
            "cpu": entry.get("cpu"),
            "parts": [name for name in mapping(entry, "optionalDependencies") if _PART.search(name)],
        }
        for version, entry in versions.items()
        if isinstance(entry, dict)
    }
    latest = mapping(document, "dist-tags").get("latest")
    return json.dumps({"latest": latest if isinstance(latest, str) else "", "versions": kept}).encode()


def judge(request: PackageRequest, metadata: Mapping[str, Any], index: str) -> Answer:
    """Whether npm installs the requested version on arm64."""
    versions: Mapping[str, Mapping[str, Any]] = metadata["versions"]
    chosen = _chosen(request.version, versions, metadata["latest"])
    if chosen is None:
        return Answer(Status.UNKNOWN, f"{index} has no version that fits")
    if not runs_on(versions[chosen], "x64") or runs_on(versions[chosen], "arm64"):
        return Answer(Status.AVAILABLE, source=index)
    having = sorted((v for v in versions if runs_on(versions[v], "arm64") and not is_prerelease(v)), key=key)
    nearest = next((v for v in having if key(v) > key(chosen)), having[-1] if having else "")
    detail = f"{index} has {chosen} for {_machines(versions[chosen])} only"
    return Answer(Status.MISSING, f"{detail}; {nearest} has arm64" if nearest else detail, nearest, source=index)


def _chosen(constraint: str, versions: Iterable[str], latest: str) -> str | None:
    known = list(versions)
    if constraint in known:
        return constraint
    if latest in known and fits(latest, constraint):
        return latest
    fitting = [version for version in known if fits(version, constraint)]
    return max([v for v in fitting if not is_prerelease(v)] or fitting, key=key, default=None)


def runs_on(entry: Mapping[str, Any], cpu: str) -> bool:
    """Whether a version is for Linux on ``cpu`` (Node's names), by itself and by the parts that it brings."""
    if not (allows(entry, "os", "linux") and allows(entry, "cpu", cpu)):
        return False
    names = {"x64": r"x64|x86_64|amd64|linux-?64", "arm64": r"arm64|aarch64"}
    parts = entry.get("parts") or []
    known = [part for part in parts if any(re.search(pattern, part) for pattern in names.values())]
    return not known or any(re.search(names[cpu], part) for part in known)


def _machines(entry: Mapping[str, Any]) -> str:
    cpus = entry.get("cpu")
    return ", ".join(map(str, cpus)) if isinstance(cpus, list) and cpus else "x64"


async def ask(request: PackageRequest, documents: Documents, registry: str) -> Answer:
    """Ask a registry by its address."""
    host = urlsplit(registry).hostname or registry
    if request.repositories:
        return Answer(Status.UNKNOWN, "it comes from another registry that the command names")
    url = f"{registry.rstrip('/')}/{quote(request.name, safe='@')}"
    page = await documents.get(url, reduce_metadata, accept=ACCEPT, name="npm-1")
    if page is None:
        return Answer(Status.UNKNOWN, f"{host} has no such package")
    return judge(request, json.loads(page), host)
