"""Nodes of a builder: what their addresses mean, which platform is pinned where, and the commands that make them."""

from __future__ import annotations

import pytest

from crossdock.builders.builder import NewBuilder, check_name, create_commands, script
from crossdock.builders.nodes import Answer, Driver, Node, NodeOption, one_driver, parse_node, pin
from crossdock.builders.state import parse_builder_state
from crossdock.errors import UsageError
from crossdock.platforms import AMD64, ARM64, Platform, parse_platform

HERE, ARM = NodeOption(""), NodeOption("ssh://me@arm-1")
ON_AMD64, ON_ARM64 = Answer(Driver.CONTAINER, AMD64, (AMD64,)), Answer(Driver.CONTAINER, ARM64, (ARM64,))
INSPECTED = """\
Name:          both
Driver:        remote
Last Activity: 2026-11-25 05:00:00 +0000 UTC

Nodes:
Name:             both0
Endpoint:         tcp://127.0.0.1:1
Status:           running
BuildKit version: v0.12.5
Platforms:        linux/amd64*, linux/arm64

Name:      both1
Endpoint:  tcp://127.0.0.1:2
Error:     no such host
Platforms: linux/arm64*
"""


@pytest.mark.parametrize(
    ("text", "address", "platforms"),
    [
        ("ssh://me@arm-1", "ssh://me@arm-1", ()),
        (
            "tcp://10.0.0.7:1234,platform=linux/arm64,linux/arm/v7",
            "tcp://10.0.0.7:1234",
            ("linux/arm64", "linux/arm/v7"),
        ),
        ("unix:///run/docker.sock", "unix:///run/docker.sock", ()),
        ("my-context", "my-context", ()),
        ("kubernetes://ci/build", "k8s://ci/build", ()),
    ],
)
def test_an_address(text: str, address: str, platforms: tuple[str, ...]) -> None:
    option = parse_node(text)
    assert (option.address, option.platforms) == (address, tuple(map(parse_platform, platforms)))


@pytest.mark.parametrize(
    "text", ["", "http://x", "tcp://x", "ssh://", "a b", "ssh://me:geheim@x", "x,what=1", "k8s://CI/Build", "tcp://x:y"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_node(text)
    assert "geheim" not in str(raised.value)


def pinned(*nodes: Node) -> list[tuple[Platform, ...]]:
    return [node.platforms for node in nodes]


def test_every_node_gets_the_platform_of_its_machine() -> None:
    nodes, notes = pin([(HERE, ON_AMD64), (ARM, ON_ARM64)])
    assert pinned(*nodes) == [(AMD64,), (ARM64,)]
    assert notes == (
        "the Docker in use is linux/amd64: linux/amd64 is pinned on it",
        "ssh://me@arm-1 is linux/arm64: linux/arm64 is pinned on it",
    )


def test_what_nobody_has_is_emulated_and_said() -> None:
    nodes, notes = pin([(HERE, ON_AMD64)], (AMD64, ARM64))
    assert pinned(*nodes) == [(AMD64, ARM64)]
    assert "linux/arm64 is emulated on the Docker in use: no node has it natively" in notes


@pytest.mark.parametrize(
    ("answers", "wanted", "words"),
    [
        ([(HERE, ON_AMD64), (ARM, ON_AMD64)], (), "would be built on two nodes"),
        ([(HERE, ON_AMD64), (HERE, ON_AMD64)], (), "is given twice"),
        ([(NodeOption("tcp://x:1", (ARM64,)), ON_ARM64)], (AMD64,), "no node has linux/amd64"),
        ([(HERE, ON_AMD64), (ARM, ON_ARM64)], (AMD64,), "has none of the platforms"),
    ],
)
def test_what_cannot_be_pinned(
    answers: list[tuple[NodeOption, Answer]], wanted: tuple[Platform, ...], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        pin(answers, wanted)


def test_one_builder_has_one_driver() -> None:
    assert one_driver([(HERE, ON_AMD64), (ARM, ON_ARM64)]) is Driver.CONTAINER
    with pytest.raises(UsageError, match="have several"):
        one_driver([(HERE, ON_AMD64), (NodeOption("tcp://x:1"), Answer(Driver.REMOTE, ARM64, (ARM64,)))])


def test_the_commands_that_make_it() -> None:
    nodes = (Node("", (AMD64,)), Node("ssh://me@arm-1", (ARM64,)))
    new = NewBuilder("both", Driver.CONTAINER, nodes, "# toml\n", host_network=True, use=True, boot=True)
    words, more = "docker buildx create --name=both", "--driver-opt=network=host --config=buildkitd.toml"
    assert [" ".join(command.argv) for command in create_commands(new)] == [
        f"{words} --driver=docker-container --platform=linux/amd64 {more}",
        f"{words} --append --platform=linux/arm64 {more} ssh://me@arm-1",
        "docker buildx inspect --bootstrap both",
        "docker buildx use both",
    ]
    assert script(new).startswith("cat >buildkitd.toml <<'EOF'\n# toml\nEOF\ndocker buildx create")


def test_the_commands_for_a_cluster() -> None:
    """Each deployment gets its machines by the architecture that is pinned on it, unless the address selects others."""
    addresses = ("k8s://ci/arm?replicas=2,platform=linux/arm64", "k8s://ci/x?nodeselector=a=1,platform=linux/amd64")
    nodes, notes = pin([(parse_node(address), Answer(Driver.KUBERNETES)) for address in addresses])
    commands = create_commands(NewBuilder("pods", Driver.KUBERNETES, nodes, driver_options=("image=r.lan/buildkit:1",)))
    selected = "--driver-opt=nodeselector=kubernetes.io/arch=arm64"
    words, image = "docker buildx create --name=pods", "--driver-opt=image=r.lan/buildkit:1 --driver-opt=namespace=ci"
    assert [" ".join(command.argv) for command in commands] == [
        f"{words} --driver=kubernetes --node=arm --platform=linux/arm64 {image} --driver-opt=replicas=2 {selected}",
        f"{words} --append --node=x --platform=linux/amd64 {image} --driver-opt=nodeselector=a=1",
    ]
    assert notes == ()
    with pytest.raises(UsageError, match="cannot be asked which platform"):
        pin([(parse_node("k8s://ci/arm"), Answer(Driver.KUBERNETES))])


@pytest.mark.parametrize("name", ["default", "Upper", "-x", ""])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


def test_a_running_buildkit_has_its_settings_where_it_runs() -> None:
    with pytest.raises(UsageError, match="configured where it runs"):
        NewBuilder("x", Driver.REMOTE, (Node("tcp://x:1", (ARM64,)),), "# toml\n")


def test_what_buildx_tells_of_a_builder() -> None:
    state = parse_builder_state(INSPECTED)
    first, second = state.nodes
    assert (state.name, state.driver, first.buildkit, first.pinned, first.platforms) == (
        "both", "remote", "v0.12.5", (AMD64,), (AMD64, ARM64),
    )  # fmt: skip
    assert (second.trouble, second.pinned, second.status) == ("no such host", (ARM64,), "")
    assert state.notes == ()
