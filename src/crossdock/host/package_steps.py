"""A step that installs packages of the distribution, and notes those that were not there before."""

from __future__ import annotations

from collections.abc import Sequence

from crossdock.host.steps import Step

_INSTALLED = {
    "apt-get": "dpkg-query -W -f '${db:Status-Status}' %s 2>/dev/null | grep -qx installed",
    "apk": "apk info -e %s >/dev/null 2>&1",
    "pacman": "pacman -Q %s >/dev/null 2>&1",
}
_RPM = "rpm -q %s >/dev/null 2>&1"


def install_step(id: str, why: str, packages: Sequence[str], words: Sequence[str], *, check: str = "") -> Step:
    """``words`` are the package manager's own, ``("apt-get", "install", "-y")``; ``check`` is a test of what the
    packages bring."""
    installed = _INSTALLED.get(words[0], _RPM)
    names = " ".join(packages)
    lists = "apt-get update\n" if words[0] == "apt-get" else ""
    missing = "\n".join(f'{installed % package} || missing="$missing {package}"' for package in packages)
    return Step(
        id=id,
        title=f"Install {names}",
        why=why,
        done=" && ".join(installed % package for package in packages),
        run=f"""\
missing=''
{missing}
{lists}{" ".join(words)} {names}
# shellcheck disable=SC2086 # a list of names
note packages $missing""",
        check=check,
    )
