"""The Dockerfile of an assisted build: packs are made and mounted, and everything else stays what it was."""

from __future__ import annotations

import pytest

from crossdock.assist.dockerfile import Assisted, assisted
from crossdock.engines.model import BuildEvent, StepState
from crossdock.plan.planner import make_plan
from crossdock.platforms import AMD64, ARM64, Platform
from crossdock.read.dockerfile import parse
from crossdock.read.model import Dockerfile
from crossdock.source import Source

MOUNT = "--mount=type=bind,from=crossdock-pack-{},source=/.crossdock,target=/.crossdock"


def read(text: str | bytes) -> Dockerfile:
    return parse(Source("Dockerfile", text if isinstance(text, bytes) else text.encode()))


def made(text: str, targets: tuple[Platform, ...] = (AMD64, ARM64)) -> Assisted:
    dockerfile = read(text)
    plan = make_plan(dockerfile, targets, host=AMD64, assisted=frozenset({ARM64}))
    return assisted(dockerfile, plan, AMD64, {})


def own_part(result: Assisted) -> str:
    """What follows the stages that were added."""
    return result.dockerfile.decode().split("AS crossdock-pack-", 1)[1].split("${TARGETARCH} AS ")[-1].split("\n", 1)[1]


def test_a_pack_is_made_on_the_build_platform_from_the_same_base() -> None:
    result = made("ARG BASE=debian:12\nFROM ${BASE} AS one\nRUN make\nFROM one\nRUN make install\n")
    stages = read(result.dockerfile).stages
    assert [stage.label for stage in stages] == [
        "crossdock-pack-0-arm64", "crossdock-pack-0-amd64", "crossdock-pack-0", "one", "4",
    ]  # fmt: skip
    assert stages[0].base.text == "${BASE}"
    assert stages[0].platform is not None
    assert stages[0].platform.value == "$BUILDPLATFORM"
    assert stages[1].base.text == "scratch"
    assert result.recipes.keys() == {"0-arm64"}
    assert result.added == 3


def test_runs_get_the_pack_and_keep_all_else() -> None:
    result = made(
        "FROM debian\n"
        "RUN --mount=type=cache,target=/c --network=none make\n"
        'RUN ["make"]\n'
        "RUN <<EOF\nmake\nEOF\n"
        "COPY a /a\n"
    )
    mount = MOUNT.format(0)
    assert own_part(result) == (
        "FROM debian\n"
        f"RUN {mount} --mount=type=cache,target=/c --network=none make\n"
        f'RUN {mount} ["make"]\n'
        f"RUN {mount} <<EOF\nmake\nEOF\n"
        "COPY a /a\n"
    )


def test_stages_that_are_not_assisted_are_left_alone() -> None:
    text = "FROM --platform=$BUILDPLATFORM node AS web\nRUN npm ci\nFROM alpine AS small\nRUN apk add a\nFROM debian\n"
    result = made(text + "RUN make\nCOPY --from=web /a /a\nCOPY --from=small /b /b\n")
    runs = [line for line in own_part(result).splitlines() if line.startswith("RUN")]
    assert runs == ["RUN npm ci", "RUN apk add a", f"RUN {MOUNT.format(0)} make"]


def test_a_stage_that_is_chosen_by_the_target_is_followed_to_its_image() -> None:
    result = made(
        "FROM debian:12 AS for-amd64\nFROM debian:12 AS for-arm64\nFROM for-${TARGETARCH}\nRUN make\n", (ARM64,)
    )
    assert read(result.dockerfile).stages[0].base.text == "debian:12"


def test_each_base_has_its_pack() -> None:
    result = made("FROM debian:11 AS a\nRUN make\nFROM debian:12\nRUN make\nCOPY --from=a /a /a\n")
    assert own_part(result).count(MOUNT.format(0)) == own_part(result).count(MOUNT.format(1)) == 1
    assert result.recipes.keys() == {"0-arm64", "1-arm64"}


def test_numbers_of_stages_stay_right() -> None:
    result = made(
        "FROM debian\nRUN make\nFROM debian\nRUN --mount=type=bind,from=0,id=0,target=/x make\nCOPY --from=0 /a /a\n"
    )
    assert ",from=3,id=0,target=/x" in own_part(result)
    assert "COPY --from=3 /a /a" in own_part(result)
    assert result.target("1") == "4"
    assert result.target("build") == "build"
    assert result.target(None) is None


def test_without_a_platform_that_needs_none_there_is_no_empty_pack() -> None:
    assert b"scratch" not in made("FROM debian\nRUN make\n", (ARM64,)).dockerfile


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (f"RUN {MOUNT.format(0)} make all", "RUN make all"),
        (f"RUN {MOUNT.format(12)} --network=none make", "RUN --network=none make"),
        ("COPY a b", "COPY a b"),
    ],
)
def test_progress_is_told_in_the_words_of_the_dockerfile(name: str, shown: str) -> None:
    result = made("FROM debian\nRUN make all\n")
    event = BuildEvent(StepState.STARTED, "1", ARM64, "stage-3", name)
    assert result.as_written(event).name == shown
    assert result.as_written(event).stage == "", "the only stage has no name in BuildKit's words"
    two = made("FROM scratch\nFROM debian\nRUN make all\n")
    assert two.as_written(event).stage == "stage-0"


def test_the_step_that_makes_a_pack_is_told_in_two_words() -> None:
    result = made("FROM debian\nRUN make\n")
    (making,) = (line for line in result.dockerfile.decode().splitlines() if "make-pack" in line)
    event = BuildEvent(StepState.STARTED, "1", ARM64, "crossdock-pack-0-arm64", making)
    assert result.as_written(event).name == "RUN make-pack"
