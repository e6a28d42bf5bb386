"""Assisted builds with the real engines: native programs where there are some, and an image as if there were none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from assisted_site import Site, history, paths
from daemon import Daemon

from crossdock.assist.registrars import DockerRegistrar
from crossdock.assist.registration import launcher_entry
from crossdock.errors import EngineError
from crossdock.host.binfmt import BINFMT, find_interpreter, parse_handler, register, tiny_program
from crossdock.platforms import AMD64, ARM64, DEFAULT_TARGETS
from crossdock.process import Command, SystemRunner

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation"), pytest.mark.timeout(1200)]

PROGRAM = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


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
    (site.context / "hello.c").write_text(PROGRAM)
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


def test_native_programs_are_told_the_machine_that_the_build_is_for(site: Site, debian: str) -> None:
    site.build(f"FROM {debian}\nRUN /.crossdock/root/usr/bin/uname -m && arch && uname -m\n")
    assert site.output.count("aarch64") == 3
    assert site.said == []


def test_an_image_without_debian_is_built_emulated_and_that_is_said(site: Site, base_image: str) -> None:
    site.build(f"FROM {base_image}\nRUN uname -m && echo built\n")
    assert "built" in site.output
    assert "aarch64" in site.output
    assert any("no native programs for this stage: its base image has no apt-get" in line for line in site.output)
    assert site.said == []


def test_who_may_use_docker_need_not_be_root(docker: Daemon, tmp_path: Path) -> None:
    """In a real privileged container; a build does not differ in anything else."""
    runner = SystemRunner()
    by = DockerRegistrar(runner, BINFMT)
    assert by.obstacle() == ""
    entry = launcher_entry(ARM64, runner, BINFMT)
    program = tmp_path / "exit"
    program.write_bytes(tiny_program("arm64") or b"")
    program.chmod(0o755)
    with by.registered(entry):
        handler = parse_handler(entry.name, (BINFMT / entry.name).read_text())
        assert (handler.interpreter, handler.fixed) == (f"/{entry.file}", True)
        assert runner.run(Command((str(program),))).exit_code == 0
    assert not (BINFMT / entry.name).exists()
    listed = runner.run(Command(("docker", "image", "ls", "--all", "--quiet", f"{entry.name}:launcher")))
    assert listed.stdout == b""


def test_an_emulator_whose_file_is_elsewhere_is_read_from_a_process(tmp_path: Path) -> None:
    """As after docker run --privileged tonistiigi/binfmt: the entry names a file of a container that is gone."""
    runner = SystemRunner()
    installed = find_interpreter(ARM64)
    assert installed
    file = tmp_path / installed.name
    shutil.copy(installed, file)
    registration = register(ARM64, runner, interpreter=file, name=f"crossdock-gone-{os.getpid()}")
    try:
        there = launcher_entry(ARM64, runner, BINFMT)
        file.unlink()
        assert launcher_entry(ARM64, runner, BINFMT).launcher == there.launcher
    finally:
        registration.undo()


def test_what_fails_is_built_again_without_assistance(site: Site, base_image: str) -> None:
    with pytest.raises(EngineError) as caught:
        site.build(f"FROM {base_image}\nRUN echo tried; exit 7\n")
    assert site.output.count("tried") == 2
    assert "building again, this step emulated" in site.said[0]
    assert "crossdock" not in str(caught.value)
