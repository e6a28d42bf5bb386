"""Exits with 0 when Docker Hub and GitHub give what the example is built from, with 1 when they are out of reach."""

from __future__ import annotations

import sys

from crossdock.errors import CrossdockError
from crossdock.http.client import Http
from crossdock.http.evidence import EvidenceStatus, WebProber
from crossdock.http.model import Patience
from crossdock.image.locate import open_image
from crossdock.image.registries import Registries

IMAGE = "docker://debian:12-slim"
FILE = "https://github.com/krallin/tini/releases/download/v0.19.0/tini-arm64"


def main() -> int:
    with Http(patience=Patience(connect=5, read=10, document=10, attempts=1)) as http:
        if WebProber(http).exists(FILE).status is not EvidenceStatus.FOUND:
            return 1
        try:
            open_image(IMAGE, Registries(http)).root()
        except CrossdockError:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
