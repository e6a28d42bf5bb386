"""What follows the installation of Docker: it is started, now and at boot, and who asked may use it."""

from __future__ import annotations

from crossdock.doctor.facts import User
from crossdock.host.script import quoted
from crossdock.host.steps import Step

NOBODY_STARTS = "Nothing here starts services, so start dockerd by hand."
_POSTINSTALL = "https://docs.docker.com/engine/install/linux-postinstall/"
_ENABLED = {
    "systemd": "systemctl is-enabled --quiet docker 2>/dev/null",
    "openrc": "rc-update show default 2>/dev/null | grep -q '^ *docker '",
}


def service_step(init: str) -> Step | None:
    """Start Docker and have it started at boot; None where neither systemd nor OpenRC would do that."""
    if init not in _ENABLED:
        return None
    return Step(
        id="docker-service",
        title="Start Docker, now and at every boot",
        why=f"{_POSTINSTALL}; some packages do not start it themselves.",
        done=f"docker version >/dev/null 2>&1\n{_ENABLED[init]}",
        run="service enable docker\nservice start docker",
        check="soon docker version >/dev/null 2>&1",
    )


def group_step(user: User) -> Step | None:
    """Let who asked use Docker without sudo; None for root, or where it is so already."""
    if not user.name or user.uid == 0 or "docker" in user.groups:
        return None
    name = quoted(user.name)
    return Step(
        id="docker-group-user",
        title=f"Let {user.name} use Docker",
        why=f"{_POSTINSTALL}. The group docker may do what root may; it counts from the next login.",
        done=f"id -nG {name} | tr ' ' '\\n' | grep -qx docker",
        run=f"""\
if command -v usermod >/dev/null; then usermod -aG docker {name}; else addgroup {name} docker; fi
note group docker {name}""",
    )
