"""Steps that install and remove packages, by whatever package manager there is."""

from __future__ import annotations

from collections.abc import Sequence

from crossdock.host.steps import Step

_INSTALLED = {
    "apt-get": "dpkg-query -W -f '${db:Status-Status}' %s 2>/dev/null | grep -qx installed",
    "apk": "apk info -e %s >/dev/null 2>&1",
    "pacman": "pacman -Q %s >/dev/null 2>&1",
}
_RPM = "rpm -q %s >/dev/null 2>&1"
_LISTS = {"apt-get": "apt-get update\n", "apk": "apk update\n"}
"""The others fetch their lists of packages themselves, when they are old."""
_REMOVE = {
    "apt-get": "apt-get remove -y",
    "dnf": "dnf remove -y",
    "yum": "yum remove -y",
    "zypper": "zypper --non-interactive remove",
    "apk": "apk del",
    "pacman": "pacman -R --noconfirm",
}


def install_step(
    packages: Sequence[str], words: Sequence[str], *, id: str, why: str, title: str = "", check: str = ""
) -> Step:
    """Install ``packages`` by ``words`` (``install_words``). Those that were not there before are noted."""
    names = " ".join(packages)
    missing = "\n".join(f'{_installed(package, words)} || missing="$missing {package}"' for package in packages)
    return Step(
        id=id,
        title=title or f"Install {names}",
        why=why,
        done=" && ".join(_installed(package, words) for package in packages),
        run=f"""\
missing=''
{missing}
{_LISTS.get(words[0], "")}{" ".join(words)} {names}
# shellcheck disable=SC2086 # a list of names
note packages $missing""",
        check=check,
    )


def remove_step(packages: Sequence[str], words: Sequence[str], *, id: str, title: str, why: str, stops: str) -> Step:
    """Remove those of ``packages`` that are installed; ``words`` are those that install."""
    present = "\n".join(
        f'if {_installed(package, words)}; then present="$present {package}"; fi' for package in packages
    )
    return Step(
        id=id,
        title=title,
        why=why,
        done=" && ".join(f"! {{ {_installed(package, words)}; }}" for package in packages),
        run=f"""\
present=''
{present}
# shellcheck disable=SC2086 # a list of names
{_REMOVE[words[0]]} $present""",
        restarts=stops,
    )


def _installed(package: str, words: Sequence[str]) -> str:
    return _INSTALLED.get(words[0], _RPM) % package
