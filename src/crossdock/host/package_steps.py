"""A step that installs packages of the distribution, and notes those that were not there before."""

from __future__ import annotations

from collections.abc import Sequence

from crossdock.host.steps import Step


def install_step(id: str, why: str, packages: Sequence[str], words: Sequence[str], *, check: str = "") -> Step:
    """``words`` are the package manager's own, ``("apt-get", "install", "-y")``; ``check`` is a test of what the
    packages bring."""
    names = " ".join(packages)
    lists = "apt-get update\n" if words[0] == "apt-get" else ""
    missing = "\n".join(f'is_installed {package} || missing="$missing {package}"' for package in packages)
    return Step(
        id=id,
        title=f"Install {names}",
        why=why,
        done=" && ".join(f"is_installed {package}" for package in packages),
        run=f"""\
missing=''
{missing}
{lists}{" ".join(words)} {names}
# shellcheck disable=SC2086 # a list of names
note packages $missing""",
        check=check,
    )
