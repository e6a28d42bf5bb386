"""Steps that install and remove packages of the distribution; those that were not there before are noted."""

from __future__ import annotations

from collections.abc import Sequence

from crossdock.host.steps import Step

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
    id: str, why: str, packages: Sequence[str], words: Sequence[str], *, title: str = "", check: str = ""
) -> Step:
    """``words`` are the package manager's own, ``("apt-get", "install", "-y")``; ``check`` is a test of what the
    packages bring."""
    names = " ".join(packages)
    missing = "\n".join(f'is_installed {package} || missing="$missing {package}"' for package in packages)
    return Step(
        id=id,
        title=title or f"Install {names}",
        why=why,
        done=" && ".join(f"is_installed {package}" for package in packages),
        run=f"""\
missing=''
{missing}
{_LISTS.get(words[0], "")}{" ".join(words)} {names}
# shellcheck disable=SC2086 # a list of names
note packages $missing""",
        check=check,
    )


def remove_step(id: str, why: str, packages: Sequence[str], words: Sequence[str], *, stops: str) -> Step:
    """Remove those of ``packages`` that are installed; ``words`` are those that install, and ``stops`` says what ends
    by it. It is not taken back by --undo."""
    present = "\n".join(f'if is_installed {package}; then present="$present {package}"; fi' for package in packages)
    return Step(
        id=id,
        title=f"Remove {' '.join(packages)}",
        why=why,
        done=" && ".join(f"! is_installed {package}" for package in packages),
        run=f"""\
present=''
{present}
# shellcheck disable=SC2086 # a list of names
{_REMOVE[words[0]]} $present""",
        restarts=stops,
    )
