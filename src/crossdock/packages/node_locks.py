"""The lock files of yarn and pnpm: which version of each dependency is installed, and what they say of arm64.

Sources: yarn's ``@yarnpkg/lockfile`` and the yarn.lock that Berry writes; pnpm's spec, lockfile versions 5 to 9; all as
yarn 1 and 4 and pnpm 7, 8 and 9 write them. Programs write them, so they are read line by line: a YAML parser takes
seconds for what has megabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from crossdock.packages.manifests import Listed, allows, read_package_json
from crossdock.packages.model import Answer, Status
from crossdock.source import Span

_YARN = re.compile(rb"^(?P<heads>[^\s#].*):\r?\n(?P<body>(?:[ \t]+.*\r?\n?)+)", re.MULTILINE)
_YARN_VERSION = re.compile(rb'^  version:?[ ]"?(\d[^"\s]*)', re.MULTILINE)
_SECTION = re.compile(rb"^([A-Za-z]+):[^\n]*\n((?:[ \t]+.*\n?|\r?\n)*)", re.MULTILINE)
_NESTED = re.compile(rb"^  (?P<key>\S.*?):(?P<value>[^\n]*)\n(?P<body>(?:    .*\n?|\r?\n)*)", re.MULTILINE)
_OPTIONAL = b"\n    optional: true"
_X64 = re.compile("x64|x86_64|amd64")
_DIRECT = ("dependencies", "devDependencies")


def read_yarn_lock(data: bytes, package_json: bytes, *, production: bool = False) -> tuple[Listed, ...]:
    """The dependencies of a package.json in the versions that a yarn.lock beside it holds."""
    wanted = {f"{one.name}@{one.version}": one.name for one in read_package_json(package_json, production=production)}
    found: list[Listed] = []
    for entry in _YARN.finditer(data):
        version = _YARN_VERSION.search(entry["body"])
        for head in re.finditer(rb'[^\s",][^",]*', entry["heads"]):
            name = wanted.get(head[0].decode("utf-8", "replace").strip().replace("@npm:", "@"))
            if name and version:
                start = entry.start("heads") + head.start()
                span = Span(start, start + len(name.encode()))
                found.append(Listed(name, f"={version[1].decode()}", span))
    return tuple(found)


def read_pnpm_lock(data: bytes, *, production: bool = False) -> tuple[Listed, ...]:
    """The dependencies of a pnpm-lock.yaml's own project in their versions, and every package that is not for arm64 and
    has no counterpart beside it. pnpm installs those all the same (tried with pnpm 7 and 9)."""
    sections = {match[1].decode(): (match.start(2), match[2]) for match in _SECTION.finditer(data)}
    direct = set(_direct(sections, production=production))
    optional = {_name(entry["key"]) for entry in _entries(sections, "snapshots") if _OPTIONAL in _body(entry)}
    start = sections.get("packages", (0, b""))[0]
    entries = [(*_name(entry["key"]), entry) for entry in _entries(sections, "packages")]
    names = {name for name, _, _ in entries}
    found: list[Listed] = []
    for name, version, entry in entries:
        body = _body(entry)
        counterpart = _X64.sub("arm64", name)
        spared = _OPTIONAL in body or (name, version) in optional or (counterpart != name and counterpart in names)
        stated = None if spared or (production and b"\n    dev: true" in body) else _stated(body)
        if name and (stated or (name, version) in direct):
            at = start + entry.start("key") + entry["key"].find(name.encode())
            listed = Span(at, at + len(name.encode()))
            found.append(Listed(name, f"={version}", listed, (name, version) in direct, stated=stated))
    return tuple(found)


def _entries(sections: Mapping[str, tuple[int, bytes]], section: str) -> Iterator[re.Match[bytes]]:
    return _NESTED.finditer(sections.get(section, (0, b""))[1])


def _body(entry: re.Match[bytes]) -> bytes:
    return b"\n" + entry["body"].replace(b"\r\n", b"\n")


def _direct(sections: Mapping[str, tuple[int, bytes]], *, production: bool) -> Iterator[tuple[str, str]]:
    """Name and version of what the project itself depends on: at the top, or below ``importers`` and ``.``."""
    groups = _DIRECT[:1] if production else _DIRECT
    for group in groups:
        for entry in _entries(sections, group):
            yield _dependency(entry["key"], entry["value"] + b"\n" + entry["body"])
    for importer in _entries(sections, "importers"):
        if importer["key"] == b".":
            inner = re.sub(rb"^    ", b"", importer["body"], flags=re.MULTILINE)
            nested = {match[1].decode(): (0, match[2]) for match in _SECTION.finditer(inner)}
            yield from _direct(nested, production=production)


def _dependency(key: bytes, text: bytes) -> tuple[str, str]:
    version = re.search(rb"^\s+version: *(\S+)", text, re.MULTILINE) or re.match(rb" *(\S+)", text)
    return _plain(key), _without_peers(_plain(version[1])) if version else ""


def _name(key: bytes) -> tuple[str, str]:
    """``/@s/x/1.0.0_peer``, ``/@s/x@1.0.0(peer@2)`` and ``@s/x@1.0.0`` are @s/x in version 1.0.0."""
    match = re.match(r"/?((?:@[^/@]+/)?[^/@(]+)[/@](\d[^/]*)", _plain(key))
    return (match[1], _without_peers(match[2])) if match else ("", "")


def _plain(text: bytes) -> str:
    return text.decode("utf-8", "replace").strip().strip("'\"")


def _without_peers(version: str) -> str:
    return re.split(r"[(_]", version, maxsplit=1)[0]


def _stated(body: bytes) -> Answer | None:
    entry = {
        name.decode(): [_plain(word) for word in listed.split(b",")]
        for name, listed in re.findall(rb"\n    (os|cpu): *\[([^\]]*)\]", body)
    }
    if not allows(entry, "os", "linux") or allows(entry, "cpu", "arm64"):
        return None
    return Answer(
        Status.MISSING,
        f"the lock file has it for {', '.join(entry['cpu'])} only, and pnpm installs it all the same",
        instead="Move it to optionalDependencies, beside its counterpart for arm64",
        certain=False,
    )
