"""Assisted builds when something goes wrong: what fails or hangs is run again emulated, and a build ends with the plain
error or none. And that the image is the plain one, whatever the Dockerfile holds."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from assisted_site import Site

from crossdock.assist.watch import Limits
from crossdock.errors import EngineError
from crossdock.image.layout import LayoutImage
from crossdock.platforms import ARM64
from crossdock.verify.compare import compare

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("emulation"), pytest.mark.timeout(600)]

ALL = """\
FROM {base} AS build
ARG NAME=value
RUN --mount=type=tmpfs,target=/scratch echo $NAME > /made
RUN ["/bin/busybox", "touch", "-d", "2020-01-01 00:00", "/exec"]

FROM {base}
LABEL one=two
ENV A=b
SHELL ["/bin/sh", "-e", "-c"]
COPY --from=build /made /made
COPY --from=0 /exec /exec
RUN true && \\
    # a comment
    echo "two  blanks" > /text
RUN <<EOF
echo heredoc > /heredoc
EOF
RUN --network=none true
WORKDIR /srv
USER 1000:1000
RUN id -u > /tmp/id || true
HEALTHCHECK CMD true
ONBUILD RUN true
CMD ["true"]
"""


def sleeping(mark: str) -> bool:
    return mark in subprocess.run(["ps", "axww", "-o", "args"], check=True, capture_output=True, text=True).stdout


def test_config_history_and_layers_are_those_of_the_plain_image(site: Site, base_image: str) -> None:
    text = ALL.format(base=base_image)
    if site.engine == "buildah":
        text = text.replace("RUN --network=none true\n", "")  # it has no network of its own here
    assisted, plain = site.build(text), site.build(text, assist=False)
    assert site.said == []
    found = compare(LayoutImage(plain), LayoutImage(assisted), ARM64)
    assert found.differences == ()
    assert found.files > 5 or found.equal_layers == found.layers
    assert "crossdock" not in json.dumps(_config(assisted))


def _config(layout: Path) -> object:
    image = LayoutImage(layout)
    return json.loads(image.read(image.manifest(image.index().images[0]).config))


def test_a_step_that_fails_with_native_programs_alone_runs_again_emulated(site: Site, base_image: str) -> None:
    mark = secrets.token_hex(8)
    site.build(
        f"FROM {base_image}\nENV NAME=value\nRUN echo first {mark}; ls -d /.crossdock\n"
        "RUN echo second $NAME; ! [ -e /.crossdock ]\n"
        "RUN echo third; [ -e /.crossdock ]\n"
    )
    (said,) = site.said
    assert "! [ -e /.crossdock ]`" in said
    assert "on linux/arm64 failed with native programs; building again, this step emulated" in said
    assert site.output.count("second value") == 2
    assert site.output.count("third") == 1
    # BuildKit keeps what was built; each build of buildah's is in a store of its own.
    assert site.output.count(f"first {mark}") == (1 if site.engine == "buildx" else 2)


def test_a_step_that_hangs_with_native_programs_runs_again_emulated(site: Site, base_image: str) -> None:
    mark = f"4{secrets.randbelow(10**8):08}"
    site.limits = Limits(idle=6)
    site.build(f"FROM {base_image}\nRUN echo begun {mark}; if [ -e /.crossdock ]; then sleep {mark}; fi; echo ended\n")
    (said,) = site.said
    assert "hung with native programs" in said
    assert "for 6 s it printed nothing, wrote nothing and used no processor time" in said
    assert (site.output.count(f"begun {mark}"), site.output.count("ended")) == (2, 1)
    assert not sleeping(mark)


def test_a_step_that_hangs_emulated_too_is_the_error(site: Site, base_image: str) -> None:
    mark = f"4{secrets.randbelow(10**8):08}"
    site.limits = Limits(idle=6)
    with pytest.raises(EngineError) as caught:
        site.build(f"FROM {base_image}\nRUN echo waiting; mkfifo /f; read x </f; echo {mark}\n", assist=False)
    assert "hung on linux/arm64" in caught.value.what
    assert "RUN echo waiting; mkfifo /f; read x </f" in caught.value.what
    assert caught.value.log == ("waiting",)
    assert "crossdock builder" in (caught.value.hint or "")
    assert not sleeping(mark)
    assert not any((path / "layout").exists() for path in site.work.iterdir())


def test_a_step_that_works_for_long_is_stopped_by_its_limit_alone(site: Site, base_image: str) -> None:
    site.limits = Limits(idle=2, step=12)
    with pytest.raises(EngineError, match="was not done after 12 s"):
        site.build(f"FROM {base_image}\nRUN while true; do true; done\n", assist=False)


def test_the_command_proves_and_reports(site: Site, base_image: str) -> None:
    """A file that holds the time differs, which the report names; without it, both are the same."""

    def proved(run: str) -> tuple[int, dict[str, object]]:
        (site.context / "Dockerfile").write_text(f"FROM {base_image}\nRUN {run}\nRUN ! [ -e /.crossdock ]\n")
        argv = ["--engine", site.engine, "--platform", "linux/arm64", "--no-smoke", "--prove", "--format", "json"]
        done = subprocess.run(
            [sys.executable, "-m", "crossdock", "build", *argv, str(site.context)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    mark = secrets.token_hex(8)
    code, report = proved(f"echo {mark} > /same")
    (proof,) = report["proof"]  # type: ignore[misc]
    assert (code, proof["same"], proof["differences"]) == (0, True, [])  # type: ignore[index]
    assert report["fallback"][0]["step"] == "RUN ! [ -e /.crossdock ]"  # type: ignore[index]
    code, report = proved(f"echo {mark}; cat /proc/uptime > /other")
    (proof,) = report["proof"]  # type: ignore[misc]
    assert (code, proof["same"]) == (1, False)  # type: ignore[index]
    (difference,) = proof["differences"]  # type: ignore[index]
    assert (difference["nature"], difference["path"]) == ("data", "other")
    assert "/proc/uptime" in difference["created_by"]
