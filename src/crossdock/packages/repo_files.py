"""Where the packages of a .repo file come from, and of lists of mirrors. Pure.

Sources: dnf.conf(5), "Repository options"; zypper(8); the Metalink 3.0 specification as dnf's mirror managers use it.
"""

from __future__ import annotations

import re

_SECTION = re.compile(r"^\s*\[[^\]\n]*\]", re.MULTILINE)
_KEY = re.compile(r"^\s*(baseurl|mirrorlist|metalink)\s*=\s*(https?://[^\s\"',]+)", re.MULTILINE)
_ASIDE = re.compile(r"debug(?:info)?|SRPMS|/source(?:/|$)|[-/]src(?:/|$)", re.IGNORECASE)
"""Repositories of debugging symbols and of sources, from which nothing is installed by name."""
_LIST = re.compile(r"mirror\.?list|metalink", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://[^\s<>\"']+")


def repository_addresses(text: str) -> tuple[str, ...]:
    """The address of each repository of a .repo file, with its variables: ``baseurl``, else the list of its mirrors.
    The file may also stand in the words of a command, with ``\\n`` for its line ends."""
    plain = text.replace("\\n", "\n").replace("\\$", "$")
    found: list[str] = []
    for section in _SECTION.split(plain):
        addresses: dict[str, str] = dict(reversed(_KEY.findall(section)))
        address = addresses.get("baseurl") or addresses.get("mirrorlist") or addresses.get("metalink")
        if address and not _ASIDE.search(address):
            found.append(address.rstrip("/"))
    return tuple(dict.fromkeys(found))


def is_list(address: str) -> bool:
    """Whether an address is a list of mirrors and no repository."""
    return _LIST.search(address) is not None


def first_mirror(text: str) -> str:
    """The first address of a mirror list or of a metalink; empty where it holds none."""
    found = _ADDRESS.findall(text)
    linked = [address for address in found if address.endswith("/repodata/repomd.xml")]
    if linked:
        return str(linked[0]).removesuffix("/repodata/repomd.xml")
    return "" if not found or text.lstrip().startswith("<") else str(found[0]).rstrip("/")
