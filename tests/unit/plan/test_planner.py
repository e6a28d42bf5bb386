"""Which strategy each stage gets, and the reason given."""

from collections.abc import Iterable

import pytest

from crossdock.errors import UsageError
from crossdock.plan.model import BuilderNode, BuildPlan, Strategy
from crossdock.plan.planner import make_plan, node_for
from crossdock.platforms import AMD64, ARM64
from crossdock.read.dockerfile import parse
from crossdock.source import Source


def plan(text: str, *, target: str | None = None, host: object = AMD64) -> BuildPlan:
    assert host in (AMD64, ARM64)
    dockerfile = parse(Source("Dockerfile", text.encode()))
    return make_plan(dockerfile, (AMD64, ARM64), host=AMD64 if host == AMD64 else ARM64, target=target)


def strategies(found: BuildPlan) -> list[tuple[str, str, str]]:
    return [(entry.stage, entry.platform.architecture, entry.strategy.value) for entry in found.stages]


TWO_STAGES = """\
FROM debian:12 AS build
RUN make
FROM debian:12-slim
COPY --from=build /x /x
"""


def test_each_stage_and_platform_has_an_entry_in_the_order_of_the_file() -> None:
    assert strategies(plan(TWO_STAGES)) == [
        ("build", "amd64", "native"),
        ("build", "arm64", "emulate"),
        ("1", "amd64", "neutral"),
        ("1", "arm64", "neutral"),
    ]


def test_the_reason_names_the_line_and_both_architectures() -> None:
    entry = plan(TWO_STAGES).stages[1]
    assert entry.reason == "compiles with make on line 2: arm64 programs on this amd64 machine"
    assert plan("FROM a\nRUN true\nRUN true\n").stages[1].reason.startswith("RUN on line 2 and 1 more: arm64 programs")


def test_on_an_arm_machine_it_is_the_other_way_round() -> None:
    assert strategies(plan(TWO_STAGES, host=ARM64))[:2] == [("build", "amd64", "emulate"), ("build", "arm64", "native")]


def test_a_stage_on_the_build_platform_is_cross_or_neutral() -> None:
    found = plan(
        "FROM --platform=$BUILDPLATFORM golang AS go\nARG TARGETARCH\nRUN GOARCH=$TARGETARCH go build\n"
        "FROM --platform=$BUILDPLATFORM node AS web\nRUN npm run build\n"
        "FROM scratch\nCOPY --from=go /a /a\nCOPY --from=web /b /b\n"
    )
    assert strategies(found)[1] == ("go", "arm64", "cross")
    assert strategies(found)[3] == ("web", "arm64", "neutral")
    assert found.emulated() == ()


def test_stages_that_the_image_does_not_need_are_left_out() -> None:
    text = "FROM a AS unused\nRUN x\nFROM b AS used\nRUN y\nFROM c AS later\nCOPY --from=used / /\n"
    assert {entry.stage for entry in plan(text).stages} == {"used", "later"}
    assert {entry.stage for entry in plan(text, target="used").stages} == {"used"}


def test_stages_chosen_by_architecture_are_planned_for_theirs_only() -> None:
    text = "FROM a AS tool-amd64\nRUN x\nFROM a AS tool-arm64\nRUN y\nFROM tool-${TARGETARCH}\nRUN z\n"
    assert strategies(plan(text)) == [
        ("tool-amd64", "amd64", "native"),
        ("tool-arm64", "arm64", "emulate"),
        ("2", "amd64", "native"),
        ("2", "arm64", "emulate"),
    ]


def test_a_pinned_stage_runs_what_it_is_pinned_to() -> None:
    found = plan("FROM --platform=linux/arm64 a\nRUN x\n")
    assert [entry.strategy for entry in found.stages] == [Strategy.EMULATE, Strategy.EMULATE]
    assert found.emulated() == (ARM64,)
    pinned = plan("FROM --platform=linux/amd64 a\nRUN x\n").stages[1]
    assert pinned.reason == "this machine is amd64 and FROM is pinned to linux/amd64, whatever the target"


def test_an_unknown_target_names_the_stages_there_are() -> None:
    with pytest.raises(UsageError, match="build, 1"):
        plan(TWO_STAGES, target="nope")


def natively(scripts: Iterable[str]) -> dict[str, str]:
    assert list(scripts)
    return {"shell": "shell tools", "make": "gcc, make", "cc": "gcc, make", "apt": "apt"}


def assisted(text: str) -> list[tuple[str, str]]:
    found = make_plan(
        parse(Source("Dockerfile", text.encode())), (AMD64, ARM64), host=AMD64, assisted=frozenset({ARM64}),
        natively=natively,
    )  # fmt: skip
    assert found.assisted() in ((), (ARM64,))
    return [(one.strategy.value, one.reason) for one in found.stages if one.platform == ARM64]


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        ("make", "compiles with make on line 2; natively run gcc, make"),
        ("true", "RUN on line 2; shell tools run natively"),
        ("./server", "runs server on line 2; natively run shell tools alone"),
        (
            "apt-get install x && make && ruby x.rb",
            (
                "compiles with make on line 2 and installs packages with apt on line 2; natively run gcc, make, apt; "
                "emulated stays: runs Ruby on line 2"
            ),
        ),
    ],
)
def test_emulated_stages_are_assisted_where_the_machine_can(run: str, reason: str) -> None:
    assert assisted(f"FROM debian\nRUN {run}\n")[0] == ("assist", reason)


@pytest.mark.parametrize("command", ["apk add gcc", "dnf install -y gcc", "yum -y install gcc", "microdnf install gcc"])
def test_other_distributions_stay_emulated_and_the_plan_says_why(command: str) -> None:
    strategy, reason = assisted(f"FROM base AS one\nRUN {command}\nFROM one\nRUN make\n")[-1]
    assert strategy == "emulate"
    assert f"{command.split(maxsplit=1)[0]} on line 2 says that its image is no Debian or Ubuntu" in reason


def test_what_is_made_from_nothing_or_pinned_stays_emulated() -> None:
    assert assisted("FROM scratch\nCOPY a /a\nRUN /a\n")[0][0] == "emulate"
    assert assisted("FROM --platform=linux/arm64 debian\nRUN make\n")[0][0] == "assist"
    assert assisted("FROM --platform=linux/s390x debian\nRUN make\n")[0][0] == "emulate"


def test_a_script_for_several_distributions_says_nothing() -> None:
    text = "FROM base\nRUN if command -v apk; then apk add gcc; else apt-get install -y gcc; fi\n"
    assert assisted(text)[0][0] == "assist"


# ---------------------------------------------------------------- nodes of a builder

X86 = BuilderNode("both0", AMD64, (AMD64,), (AMD64, ARM64))
ARM = BuilderNode("both1", ARM64, (ARM64,), (ARM64,))
LOOSE = BuilderNode("loose0", AMD64, (), (AMD64, ARM64))


def on_nodes(text: str, *nodes: BuilderNode) -> list[tuple[str, str, str]]:
    found = make_plan(parse(Source("Dockerfile", text.encode())), (AMD64, ARM64), host=AMD64, nodes=nodes)
    return [(one.strategy.value, one.node, one.reason) for one in found.stages]


def test_a_node_of_the_platform_builds_natively_and_is_named() -> None:
    assert on_nodes("FROM debian\nRUN make\n", X86, ARM) == [
        ("native", "both0", "the node both0 is amd64"),
        ("native", "both1", "the node both1 is arm64"),
    ]


def test_a_node_that_emulates_is_told() -> None:
    assert on_nodes("FROM debian\nRUN make\n", LOOSE, BuilderNode("loose1", ARM64, (), (ARM64,)))[1] == (
        "emulate",
        "loose0",
        "compiles with make on line 2: arm64 programs on the node loose0, which is amd64",
    )


def test_nodes_that_say_nothing_or_are_not_there() -> None:
    pod = BuilderNode("pod0", None, (ARM64,), (ARM64,))
    assert (
        on_nodes("FROM debian\nRUN make\n", X86, pod)[1][2] == "is built on the node pod0, which did not say what it is"
    )
    assert on_nodes("FROM debian\nRUN make\n", BuilderNode("x", AMD64, (), (AMD64,)))[1] == (
        "emulate", "", "no node of the builder has linux/arm64",
    )  # fmt: skip


def test_the_build_platform_is_each_nodes_own() -> None:
    text = (
        "FROM --platform=$BUILDPLATFORM golang AS b\nARG TARGETARCH\nRUN go build\nFROM scratch\nCOPY --from=b /a /a\n"
    )
    assert on_nodes(text, X86, ARM)[1] == (
        "cross", "both1", "runs on $BUILDPLATFORM of the node both1 and is told its target by TARGETARCH",
    )  # fmt: skip


def test_pinned_platforms_come_first() -> None:
    assert node_for(ARM64, (LOOSE, ARM)) is ARM
    assert node_for(ARM64, (LOOSE,)) is LOOSE
    assert node_for(ARM64, ()) is None
