"""What the engines print, as events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.engines.buildah_dockerfile import Prepared, Step
from crossdock.engines.buildah_progress import BuildahProgress
from crossdock.engines.buildkit_progress import BuildkitProgress, parse_name
from crossdock.engines.model import BuildEvent, StepState
from crossdock.platforms import AMD64, ARM64, Platform

BUILDKIT = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 719B done
#1 DONE 0.2s

#9 [linux/amd64->arm64 tool 1/2] RUN echo hi
#9 ...

#10 [linux/amd64 tool 1/2] RUN echo hi
#10 0.120 hi
#10 DONE 1.7s

#9 [linux/amd64->arm64 tool 1/2] RUN echo hi
#9 0.130 hi
#9 DONE 1.8s

#11 [linux/arm64 final 1/7] COPY --from=tool /tool /tool
#11 CACHED

#12 [linux/arm64 final 2/7] RUN make
#12 12.30 cc -O2 a.c
#12 12.31 a.c:1: error: what
#12 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2

#13 [linux/amd64 final 2/7] RUN make
#13 CANCELED
------
 > [linux/arm64 final 2/7] RUN make:
12.30 cc -O2 a.c
12.31 a.c:1: error: what
------
Dockerfile:8
--------------------
   8 | >>> RUN make
--------------------
ERROR: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2
"""


def fed(progress: BuildkitProgress | BuildahProgress, text: str) -> list[BuildEvent]:
    return [event for line in text.splitlines() for event in progress.feed(line)]


def test_buildkit_steps_are_told_apart_with_platform_and_stage() -> None:
    progress = BuildkitProgress()
    events = fed(progress, BUILDKIT)
    of_nine = [event for event in events if event.step == "9"]
    assert [event.state for event in of_nine] == [StepState.STARTED, StepState.OUTPUT, StepState.DONE]
    assert {(event.platform, event.stage, event.name) for event in of_nine} == {(ARM64, "tool", "RUN echo hi")}
    assert of_nine[1].text == "hi"
    assert of_nine[-1].seconds == 1.8
    assert [event.state for event in events if event.step == "11"] == [StepState.STARTED, StepState.CACHED]
    assert not [event for event in events if event.step == "0"]


def test_a_failed_buildkit_step_is_remembered_with_its_output_and_line() -> None:
    progress = BuildkitProgress()
    fed(progress, BUILDKIT)
    assert progress.failed
    assert (progress.failed.platform, progress.failed.name) == (ARM64, "RUN make")
    assert progress.line == 8
    assert progress.log()[:2] == ["cc -O2 a.c", "a.c:1: error: what"]
    assert "exit code: 2" in progress.log()[-1]


def test_a_build_of_one_platform_is_told_which() -> None:
    (event,) = BuildkitProgress(ARM64).feed("#5 [build 2/3] RUN true")
    assert (event.platform, event.stage, event.name) == (ARM64, "build", "RUN true")


@pytest.mark.parametrize(
    ("text", "platform", "stage", "name"),
    [
        ("[linux/arm64 2/4] RUN make", ARM64, "", "RUN make"),
        ("[linux/arm/v7 build 2/4] RUN a [b] c", Platform("linux", "arm", "v7"), "build", "RUN a [b] c"),
        ("[stage-1 2/4] COPY a b", None, "stage-1", "COPY a b"),
        ("[2/4] COPY a b", None, "", "COPY a b"),
        ("[internal] load metadata", None, "", "[internal] load metadata"),
        ("exporting to oci image format", None, "", "exporting to oci image format"),
    ],
)
def test_names_of_buildkit_steps(text: str, platform: Platform | None, stage: str, name: str) -> None:
    event = parse_name("1", text)
    assert (event.platform, event.stage, event.name) == (platform, stage, name)


def test_an_early_complaint_is_kept() -> None:
    progress = BuildkitProgress()
    assert fed(progress, "ERROR: OCI exporter is not supported for the docker driver.\n") == []
    assert progress.log() == ["ERROR: OCI exporter is not supported for the docker driver."]


@given(st.lists(st.text()))
def test_no_line_breaks_the_buildkit_reader(lines: list[str]) -> None:
    progress = BuildkitProgress()
    for line in lines:
        list(progress.feed(line))
    progress.log()


PREPARED = Prepared(
    b"",
    (),
    (),
    ("build", "1"),
    ((Step(1, "FROM base AS build"), Step(3, "RUN <<EOF")), (Step(8, "FROM base"), Step(9, "COPY --from=build /a /a"))),
)
BUILDAH = """\
[1/2] STEP 1/2: FROM base AS build
Getting image source signatures
[1/2] STEP 2/2: RUN ["/bin/sh","-c","echo hi"]
hi
--> 9a7ec29d0b9
[2/2] STEP 1/2: FROM base
[2/2] STEP 2/2: COPY --from=build /a /a
--> Using cache 9a7ec29d0b9aaa
[2/2] COMMIT localhost/x
--> 0b61f8f9675
"""


def test_buildah_steps_have_the_names_and_lines_people_wrote() -> None:
    times = iter(range(100))
    progress = BuildahProgress(ARM64, PREPARED, clock=lambda: float(next(times)))
    events = fed(progress, BUILDAH) + list(progress.finish())
    assert [
        (event.state.value, event.stage, event.name) for event in events if event.state is not StepState.OUTPUT
    ] == [
        ("started", "build", "FROM base AS build"),
        ("done", "build", "FROM base AS build"),
        ("started", "build", "RUN <<EOF"),
        ("done", "build", "RUN <<EOF"),
        ("started", "1", "FROM base"),
        ("done", "1", "FROM base"),
        ("started", "1", "COPY --from=build /a /a"),
        ("cached", "1", "COPY --from=build /a /a"),
        ("started", "1", "writing the image"),
        ("done", "1", "writing the image"),
    ]
    assert {event.platform for event in events} == {ARM64}
    assert all(event.seconds == 1.0 for event in events if event.state is StepState.DONE)
    assert [event.text for event in events if event.state is StepState.OUTPUT] == [
        "Getting image source signatures",
        "hi",
    ]


def test_a_buildah_step_that_waits_for_another_stage_goes_on_after_it() -> None:
    """Seen with buildah 1.28: the second stage had begun first, and its RUN mounts the other one."""
    progress = BuildahProgress(ARM64, PREPARED)
    lines = (
        "[2/2] STEP 1/2: FROM base\n[2/2] STEP 2/2: COPY --from=build /a /a\n"
        "[1/2] STEP 1/2: FROM base AS build\n--> 9a7ec29d0b9\n"
        "[1/2] STEP 2/2: RUN <<EOF\nhi\n--> 0a7ec29d0b9\nafter it\n"
    )
    told = [(event.state.value, event.name, event.text) for event in fed(progress, lines)]
    copying = "COPY --from=build /a /a"
    assert told[-4:] == [
        ("started", "RUN <<EOF", ""),
        ("output", "RUN <<EOF", "hi"),
        ("done", "RUN <<EOF", ""),
        ("output", copying, "after it"),
    ]
    assert ("done", copying, "") not in told
    assert (progress.line, progress.log()) == (9, ["after it"])
    assert [event.name for event in progress.finish()] == [copying]


def test_a_failed_buildah_step_is_remembered_with_its_output_and_line() -> None:
    progress = BuildahProgress(AMD64, PREPARED)
    lines = ['[1/2] STEP 2/2: RUN ["x"]', "the reason", "subprocess exited with status 1"]
    events = fed(progress, "\n".join([*lines, 'Error: building at STEP "RUN": exit status 1']))
    assert events[-1].state is StepState.FAILED
    assert progress.failed
    assert progress.failed.name == "RUN <<EOF"
    assert progress.line == 3
    assert progress.log() == ["the reason", 'Error: building at STEP "RUN": exit status 1']


def test_triggers_of_the_base_do_not_mislead() -> None:
    progress = BuildahProgress(AMD64, PREPARED)
    (event,) = progress.feed("[1/2] STEP 2/3: COPY . /app")
    assert event.name == "COPY . /app"
    assert progress.line is None


@given(st.lists(st.text()))
def test_no_line_breaks_the_buildah_reader(lines: list[str]) -> None:
    progress = BuildahProgress(AMD64, PREPARED)
    for line in lines:
        list(progress.feed(line))
    list(progress.finish())
