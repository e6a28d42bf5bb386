"""verify --dockerfile on what real builders make: their histories lead back to the lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from crossdock.image.locate import open_local
from crossdock.platforms import AMD64
from crossdock.read.dockerfile import parse
from crossdock.source import Source
from crossdock.verify.instructions import tell_instructions

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]
DOCKERFILE = r"""FROM base AS build
RUN echo built > /built
FROM base
ARG VERSION=2
ENV DIR=/opt
WORKDIR /srv
COPY app.txt other.txt /app/
COPY --from=build /built $DIR/built
# a comment
RUN set -e; \
    # and one inside
    echo $VERSION > /version
RUN ["touch", "/y"]
CMD ["sh"]
"""
LINES = ["7: COPY app.txt other.txt /app/", "8: COPY --from=build /built $DIR/built", "10: RUN set -e;"]
LINES += ['13: RUN ["touch", "/y"]']


@pytest.mark.parametrize("engine", ["buildx", "buildah"])
def test_each_layer_leads_back_to_its_line(
    engine: str, request: pytest.FixtureRequest, base_layout: Path, tmp_path: Path
) -> None:
    request.getfixturevalue({"buildx": "docker", "buildah": "buildah_store"}[engine])
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    for name in ("app.txt", "other.txt"):
        (tmp_path / name).write_text(name)
    layout = tmp_path / "image.tar"
    crossdock = [sys.executable, "-m", "crossdock"]
    build = ["build", "--engine", engine, "--platform", "linux/amd64", "--no-smoke", "--network", "host", "-o"]
    build += [f"type=oci,dest={layout}", "--build-context", f"base=oci-layout://{base_layout}:latest", str(tmp_path)]
    subprocess.run([*crossdock, *build], check=True, timeout=150)
    image = open_local(str(layout))
    assert image
    manifest = image.manifest(image.index().images[0])
    dockerfile = parse(Source("Dockerfile", DOCKERFILE.encode()))
    config, result = tell_instructions(dockerfile, manifest, image.config(manifest), AMD64)
    created_by, message = config.created_by, result.message
    own = [text.removeprefix("Dockerfile:") for text in created_by if text.startswith("Dockerfile:")]
    assert [text for text in own if "WORKDIR" not in text] == LINES, (created_by, message)
    assert message == f"the last {len(own)} of {len(created_by)} layers are those of Dockerfile"
