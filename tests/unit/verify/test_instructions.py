"""Which instruction made which layer: histories as builders have written them for one Dockerfile."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from made_images import MemoryImage, Parts, elf, layer

from crossdock.image.model import ImageConfig, Manifest
from crossdock.platforms import ARM64
from crossdock.read.dockerfile import parse
from crossdock.source import Source
from crossdock.verify.image import verify_image
from crossdock.verify.instructions import tell_instructions, with_true_makers
from crossdock.verify.model import CheckResult, Status

DOCKERFILE = r"""FROM busyb AS build
ARG V=1
RUN echo $V > /built
FROM busyb
ARG VERSION=2
ENV DIR=/opt
WORKDIR /srv
COPY app.txt other.txt /app/
COPY --from=build --chmod=644 /built $DIR/built
ADD app.txt /added/
# comment
RUN set -e; \
    # inner
    echo $VERSION \
      > /x && \
    echo done
RUN ["touch", "/y"]
USER root
CMD ["sh"]
"""
LINES = [
    "8: COPY app.txt other.txt /app/",
    "9: COPY --from=build --chmod=644 /built $DIR/built",
    "10: ADD app.txt /added/",
]
LINES += ["12: RUN set -e;", '17: RUN ["touch", "/y"]']
BUILDKIT = (
    "busybox-static",
    "WORKDIR /srv",
    "COPY app.txt other.txt /app/ # buildkit",
    "COPY --chmod=644 /built /opt/built # buildkit",
    "ADD app.txt /added/ # buildkit",
    "RUN |1 VERSION=2 /bin/sh -c set -e;     echo $VERSION       > /x &&     echo done # buildkit",
    "RUN |1 VERSION=2 touch /y # buildkit",
)
"""Docker 26 with BuildKit."""
CLASSIC = (
    "busybox-static",
    "/bin/sh -c #(nop) WORKDIR /srv",
    "/bin/sh -c #(nop) COPY multi:d4ca2de29309ab5623b69afb6051c1a3f54262af80181e8267aff144805de30c in /app/ ",
    "/bin/sh -c #(nop) COPY file:64c60477fcaac00ea2010d76b723fc97433cde3904fe3b93b10e51819ef8e40d in /opt/built ",
    "/bin/sh -c #(nop) ADD file:186e25b151b18f6aa4051e30011e69f7041bc8f52ca1686d1c79046e6798d48c in /added/ ",
    "|1 VERSION=2 /bin/sh -c set -e;     echo $VERSION       > /x &&     echo done",
    "|1 VERSION=2 touch /y",
)
"""The same Docker with DOCKER_BUILDKIT=0."""
BUILDAH = (
    "busybox-static",
    "/bin/sh -c #(nop) COPY multi:a9da1951db862cfb20c10c5b077f7f761b391b3aaecac29df4c478000ec83368 in /app/ ",
    "/bin/sh -c #(nop) COPY file:f5ab9222f93d1ec7b624dd7e30fc60437a9d48da52e4fb58f53c9ca63c7dc460 in $DIR/built ",
    "/bin/sh -c #(nop) ADD file:54513d22df9369dbaa2665f0166b7ee32c79d60a261c953a46f9b76f7aa1df67 in /added/ ",
    "|1 VERSION=2 /bin/sh -c set -e;     echo $VERSION       > /x &&     echo done",
    '|1 VERSION=2 /bin/sh -c ["touch", "/y"]',
)
"""buildah 1.28 with --layers, which makes none for WORKDIR."""
ONE_LAYER = ("busybox-static", '/bin/sh -c #(nop) CMD ["sh"]')
"""buildah 1.28 without --layers."""


def told(
    history: Sequence[str], text: str = DOCKERFILE, layers: int | None = None
) -> tuple[tuple[str, ...], CheckResult]:
    config = ImageConfig(ARM64, (), (), {}, "", "", tuple(history))
    count = len(history) if layers is None else layers
    image = MemoryImage(Parts(tuple(layer({f"{number}": "x"}) for number in range(count))))
    manifest: Manifest = image.manifest(image.index().images[0])
    found, result = tell_instructions(parse(Source("Dockerfile", text.encode())), manifest, config, ARM64)
    return found.created_by, result


@pytest.mark.parametrize(("history", "workdir"), [(BUILDKIT, True), (CLASSIC, True), (BUILDAH, False)])
def test_each_layer_gets_file_line_and_instruction(history: tuple[str, ...], workdir: bool) -> None:
    created_by, result = told(history)
    own = [f"Dockerfile:{line}" for line in ((["7: WORKDIR /srv"] if workdir else []) + LINES)]
    assert created_by == ("busybox-static", *own)
    assert result.status is Status.PASSED
    assert result.message == f"the last {len(own)} of {len(history)} layers are those of Dockerfile"


def test_layers_of_the_stage_below_and_of_heredocs() -> None:
    text = "FROM x AS tool-arm64\nADD a.tar /\nFROM tool-${TARGETARCH}\nRUN <<EOF\necho a\nEOF\nCOPY . .\n"
    history = ("base", "ADD a.tar / # buildkit", "RUN /bin/sh -c echo a\n # buildkit", "COPY . . # buildkit")
    assert told(history, text)[0] == (
        *("base", "Dockerfile:2: ADD a.tar /", "Dockerfile:4: RUN <<EOF", "Dockerfile:7: COPY . ."),
    )


def test_an_earlier_stage_that_was_the_target() -> None:
    text = "FROM x AS run\nRUN make\nFROM run AS test\nRUN make test\n"
    created_by, result = told(("base", "RUN /bin/sh -c make # buildkit"), text)
    assert created_by == ("base", "Dockerfile:2: RUN make")
    assert result.status is Status.PASSED


@pytest.mark.parametrize(
    ("history", "layers", "message"),
    [
        ((), 3, "does not say what made each layer"),
        (("x", "y"), 3, "does not say what made each layer"),
        (ONE_LAYER, None, "squashed, or buildah without --layers"),
        (("base", "RUN /bin/sh -c other # buildkit"), None, "it may have changed since"),
        ((*BUILDKIT[:-2], "RUN /bin/sh -c echo else # buildkit", BUILDKIT[-1]), None, "is not in it: RUN /bin/sh"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_said(history: tuple[str, ...], layers: int | None, message: str) -> None:
    created_by, result = told(history, layers=layers)
    assert result.status is Status.SKIPPED
    assert message in result.message
    assert result.hint
    assert [text for text in created_by if text.startswith("Dockerfile:")] == (
        ['Dockerfile:17: RUN ["touch", "/y"]'] if "not in it" in message else []
    )


def test_an_instruction_that_makes_no_layer_is_not_blamed_for_one() -> None:
    config = ImageConfig(ARM64, (), (), {}, "", "", ONE_LAYER)
    assert with_true_makers(config).created_by == (
        *("busybox-static", 'several instructions in one layer, up to /bin/sh -c #(nop) CMD ["sh"]'),
    )


def test_a_wrong_file_is_told_with_its_line() -> None:
    files = layer({"app": elf()}), layer({"opt/tool": elf("amd64")})
    image = MemoryImage(
        Parts(files, ("/app",), created_by=("COPY app /app # buildkit", "ADD tool /opt/tool # buildkit"))
    )
    dockerfile = parse(Source("docker/Dockerfile", b"FROM scratch\nCOPY app /app\n\nADD tool /opt/tool\n"))
    failed = [entry for entry in verify_image(image, dockerfile=dockerfile).results if entry.status is Status.FAILED]
    assert [(entry.path, entry.created_by) for entry in failed] == [
        ("/opt/tool", "docker/Dockerfile:4: ADD tool /opt/tool")
    ]
