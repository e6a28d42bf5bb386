"""Where this machine's configuration says that packages come from; else each ecosystem's public index.

Sources: pip's "Configuration", npm's "npmrc", Maven's settings reference ("mirrors"), Bundler's "mirror" setting,
sources.list(5), apk-repositories(5), dnf.conf(5), os-release(5). Only addresses are read; a login that stands inside of
one stays in it.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from crossdock.packages.indexes.apt import Mirrors
from crossdock.packages.repo_files import is_list, repository_addresses
from crossdock.packages.rpm_distributions import RpmMirrors

_DEB = re.compile(r"^\s*(?:deb(?:\s+\[[^\]]*\])?\s+|URIs:\s*)(https?://\S+)", re.MULTILINE)
_APK = re.compile(r"^\s*(https?://\S+?)/(?:v\d+\.\d+|edge|latest-stable)/\w+\s*$", re.MULTILINE)
_FAMILY = {"opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse"}
"""What catalogue/rpm.toml calls a distribution whose ID in os-release is another one."""
_MIRROR = re.compile(r"<mirror>(.*?)</mirror>", re.DOTALL)


@dataclass(frozen=True)
class Places:
    """The address of each index."""

    pypi: str = "https://pypi.org/simple"
    npm: str = "https://registry.npmjs.org"
    maven: str = "https://repo.maven.apache.org/maven2"
    rubygems: str = "https://rubygems.org"
    alpine: str = "https://dl-cdn.alpinelinux.org/alpine"
    mirrors: Mirrors = field(default_factory=Mirrors)
    rpm: RpmMirrors = field(default_factory=RpmMirrors)


def read_places(environ: Mapping[str, str], root: Path = Path("/")) -> Places:
    """What the configuration below ``root`` and the environment say. What cannot be read is as good as not there."""
    home = root / environ["HOME"].lstrip("/") if environ.get("HOME") else root / "root"
    usual = Places()
    return Places(
        pypi=_pypi(environ, home, root) or usual.pypi,
        npm=_npm(environ, home, root) or usual.npm,
        maven=_maven(home) or usual.maven,
        rubygems=_rubygems(environ) or usual.rubygems,
        alpine=_first(_APK.findall(_text(root / "etc/apk/repositories"))) or usual.alpine,
        mirrors=_mirrors(root),
        rpm=_rpm(root),
    )


def _pypi(environ: Mapping[str, str], home: Path, root: Path) -> str:
    found = ""
    files = [
        root / "etc/xdg/pip/pip.conf",
        root / "etc/pip.conf",
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
    ]
    if environ.get("PIP_CONFIG_FILE"):
        files.append(Path(environ["PIP_CONFIG_FILE"]))
    for path in files:
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read_string(_text(path))
            found = parser.get("global", "index-url", fallback=found)
        except configparser.Error:
            continue
    return _address(environ.get("PIP_INDEX_URL") or environ.get("UV_DEFAULT_INDEX") or found)


def _npm(environ: Mapping[str, str], home: Path, root: Path) -> str:
    found = ""
    for path in (root / "usr/etc/npmrc", root / "etc/npmrc", home / ".npmrc"):
        lines = re.findall(r"^\s*registry\s*=\s*(\S+)", _text(path), re.MULTILINE)
        found = lines[-1] if lines else found
    return _address(environ.get("npm_config_registry") or environ.get("NPM_CONFIG_REGISTRY") or found)


def _maven(home: Path) -> str:
    text = re.sub(r"<!--.*?-->", "", _text(home / ".m2/settings.xml"), flags=re.DOTALL)
    for mirror in _MIRROR.findall(text):
        of, url = (re.search(rf"<{tag}>\s*([^<]*?)\s*</{tag}>", mirror) for tag in ("mirrorOf", "url"))
        if of and url and set(of[1].split(",")) & {"*", "central", "external:*"}:
            return _address(url[1])
    return ""


def _rubygems(environ: Mapping[str, str]) -> str:
    return _address(environ.get("BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/") or "")


def _mirrors(root: Path) -> Mirrors:
    """The mirror of the machine's own distribution; a vendor's repository is none."""
    found = Mirrors()
    for url in reversed(list(_apt_sources(root))):
        path = urlsplit(url).path.rstrip("/")
        if path.endswith("/debian"):
            found = replace(found, debian=url)
        elif path.endswith("/ubuntu-ports"):
            found = replace(found, ubuntu_ports=url)
        elif path.endswith("/ubuntu"):
            found = replace(found, ubuntu=url)
    return found


def _rpm(root: Path) -> RpmMirrors:
    files = [*(root / "etc/yum.repos.d").glob("*.repo"), *(root / "etc/zypp/repos.d").glob("*.repo")]
    found = (address for path in sorted(files) for address in repository_addresses(_text(path)))
    addresses = tuple(address for address in found if not is_list(address))
    identity = re.search(r"^ID=[\"']?([\w-]+)", _text(root / "etc/os-release"), re.MULTILINE)
    return RpmMirrors(_FAMILY.get(identity[1], identity[1]), addresses) if addresses and identity else RpmMirrors()


def _apt_sources(root: Path) -> Iterator[str]:
    folder = root / "etc/apt/sources.list.d"
    for path in (root / "etc/apt/sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))):
        yield from (_address(url) for url in _DEB.findall(_text(path)))


def _first(found: list[str]) -> str:
    return found[0] if found else ""


def _address(text: str) -> str:
    text = text.strip().strip("\"'").rstrip("/")
    return text if text.startswith(("http://", "https://")) else ""


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
