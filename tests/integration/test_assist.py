"""Assisted builds with the real engines: native programs where there are some, and an image as if there were none."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from debian_image import write_debian_layout
from registry import Registry

from crossdock.assist.build import build_assisted
from crossdock.assist.registration import available
from crossdock.engines.choose import choose
from crossdock.engines.model import BuildEvent, BuildRequest, StepState
from crossdock.errors import EngineError
from crossdock.host.binfmt import BINFMT
from crossdock.image.layout import LayoutImage
from crossdock.plan.planner import make_plan
from crossdock.platforms import AMD64, ARM64, DEFAULT_TARGETS, Platform, host_platform
from crossdock.process import SystemRunner
from crossdock.read.dockerfile import parse
from crossdock.source import Source

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation"), pytest.mark.timeout(1200)]

PROGRAM = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


@dataclass
class Site:
    """An engine, and what it said."""

    engine: str
    context: Path
    work: Path
    output: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def build(self, text: str, platforms: tuple[Platform, ...] = (ARM64,), *, assist: bool = True) -> Path:
        host, runner = host_platform(), SystemRunner()
        able = available(platforms, host)
        assert able.missing == ""
        dockerfile = parse(Source("Dockerfile", text.encode()))
        assisted: frozenset[Platform] = able.platforms if assist else frozenset()
        plan = make_plan(dockerfile, platforms, host=host, assisted=assisted)
        request = BuildRequest(self.context, text.encode(), b"", platforms, network="host")

        def see(event: BuildEvent) -> None:
            if event.state is StepState.OUTPUT:
                self.output.append(event.text)
            if event.state is StepState.STARTED:
                self.steps.append(event.name)

        work = self.work / str(len(list(self.work.iterdir())))
        work.mkdir()
        engine = choose(self.engine, runner)
        return build_assisted(engine, request, plan, work, runner, see, self.said.append, host=host)


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory, image_registry: Registry) -> str:
    """The reference of a Debian image of both platforms."""
    folder = tmp_path_factory.mktemp("debian")
    write_debian_layout(folder)
    reference = f"{image_registry.host}/debian:latest"
    copy = ["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false"]
    subprocess.run([*copy, f"oci:{folder}/layout:latest", f"docker://{reference}"], check=True)
    return reference


@pytest.fixture(params=["buildx", "buildah"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    request.getfixturevalue({"buildx": "docker", "buildah": "buildah_store"}[request.param])
    (tmp_path / "context").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "context/hello.c").write_text(PROGRAM)
    yield Site(request.param, tmp_path / "context", tmp_path / "work")
    assert not list(BINFMT.glob("crossdock-assist-*-" + str(os.getpid())))


def history(layout: Path, platform: Platform = ARM64) -> list[str]:
    image = LayoutImage(layout)
    entry = next(one for one in image.index().images if one.platform == platform)
    config = json.loads(image.read(image.manifest(entry).config))
    return [one.get("created_by", "") for one in config["history"]]


def paths(layout: Path, platform: Platform = ARM64) -> set[str]:
    """The files of the layers that the build made."""
    image = LayoutImage(layout)
    entry = next(one for one in image.index().images if one.platform == platform)
    found: set[str] = set()
    for layer in image.manifest(entry).layers:
        blob = layout / "blobs" / layer.digest.replace(":", "/")
        listed = subprocess.run(["tar", "-tf", blob], check=True, capture_output=True, text=True)
        found |= set(listed.stdout.splitlines())
    return found


WORK = """\
FROM {base} AS build
RUN readlink /proc/self/exe && uname -m && dpkg --print-architecture
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make
COPY hello.c /src/
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN set -o | grep pipefail && readlink /proc/self/exe
RUN ["/usr/bin/gcc", "-O2", "-o", "/hello", "/src/hello.c"]
RUN /hello
USER nobody
RUN <<EOF
readlink /proc/self/exe
id -u
EOF

FROM {base}
COPY --from=0 /hello /usr/bin/hello
RUN --mount=type=tmpfs,target=/scratch hello > /said && readlink /proc/self/exe
CMD ["hello"]
"""


def test_an_unchanged_dockerfile_builds_with_native_programs(site: Site, debian: str) -> None:
    text = WORK.format(base=debian)
    layout = site.build(text, DEFAULT_TARGETS)
    assert site.said == []
    assert site.output.count("/.crossdock/root/usr/bin/readlink") == 4
    for line in ("aarch64", "arm64", "hello", "65534"):
        assert line in site.output
    assert not [step for step in site.steps if "from=crossdock-pack" in step]
    assert not [path for path in paths(layout) | paths(layout, AMD64) if "crossdock" in path]
    assert "crossdock" not in "".join(history(layout) + history(layout, AMD64))
    if site.engine == "buildx":
        plain = site.build(text, assist=False)
        assert history(layout) == history(plain)
        assert paths(layout) == paths(plain)


def test_an_image_without_debian_is_built_emulated_and_that_is_said(site: Site, base_image: str) -> None:
    site.build(f"FROM {base_image}\nRUN uname -m && echo built\n")
    assert "built" in site.output
    assert "aarch64" in site.output
    assert any("no native programs for this stage: its base image has no apt-get" in line for line in site.output)
    assert site.said == []


def test_what_fails_is_built_again_without_assistance(site: Site, base_image: str) -> None:
    with pytest.raises(EngineError) as caught:
        site.build(f"FROM {base_image}\nRUN echo tried; exit 7\n")
    assert site.output.count("tried") == 2
    assert "building again, everything emulated" in site.said[0]
    assert "crossdock" not in str(caught.value)
