"""Making a builder: nothing half-made stays, and nothing of others is touched."""

from __future__ import annotations

import pytest

from crossdock.builders.builder import NewBuilder, bootstrap, create, not_running, remove
from crossdock.builders.nodes import Driver, Node
from crossdock.errors import EngineError
from crossdock.platforms import AMD64, ARM64
from crossdock.process import Command, Completed

HERE, FAR = Node("", (AMD64,)), Node("ssh://me@arm-1", (ARM64,))
BOTH = NewBuilder("both", Driver.CONTAINER, (HERE, FAR), boot=True, use=True)
GONE = (1, "", 'ERROR: no builder "both" found\n')
RUNNING = "Name: both\nDriver: docker-container\n\nNodes:\nName: both0\nStatus: running\n\nName: both1\nStatus: {}\n"


class Buildx:
    """A runner that stands for buildx and two Dockers. ``fails`` is the beginning of the command that fails (or raises
    ``error``), ``taken`` the containers that are there before."""

    def __init__(
        self, *, fails: str = "", error: BaseException | None = None, taken: str = "", status: str = "running"
    ):
        self.fails, self.error, self.taken, self.status = fails, error, taken, status
        self.made = False
        self.started: list[str] = []

    def which(self, program: str) -> str | None:
        return f"/usr/bin/{program}"

    def run(self, command: Command, **_: object) -> Completed:
        code, out, err = self._answer(command)
        return Completed(command, code, out.encode(), err.encode(), 0.0)

    def stream(self, command: Command, on_line: object, **_: object) -> int:
        code, out, err = self._answer(command)
        for line in (out + err).splitlines():
            on_line(line)  # type: ignore[operator]
        return code

    def _answer(self, command: Command) -> tuple[int, str, str]:
        line = " ".join(command.argv)
        self.started.append(line)
        if self.fails and line.startswith(self.fails):
            if self.error:
                raise self.error
            return 1, "", "ERROR: pulling image moby/buildkit: no route to host\n"
        if "container inspect" in line:
            return (
                (0, "id\n", "") if self.taken and line.endswith(self.taken) else (1, "", "Error: No such container\n")
            )
        if line.startswith("docker buildx create"):
            self.made = True
        elif line.startswith("docker buildx inspect"):
            return (0, RUNNING.format(self.status), "") if self.made else GONE
        elif line == "docker buildx rm both":
            self.made = False
        return 0, "", ""


def test_a_builder_is_made() -> None:
    buildx = Buildx()
    create(BOTH, buildx, lambda _: None)  # type: ignore[arg-type]
    assert buildx.made
    assert buildx.started[-1] == "docker buildx use both"


@pytest.mark.parametrize(
    "fails", ["docker buildx create --name=both --append", "docker buildx inspect --bootstrap", "docker buildx use"]
)
def test_what_was_made_is_removed_when_something_fails(fails: str) -> None:
    buildx = Buildx(fails=fails)
    with pytest.raises(EngineError) as raised:
        create(BOTH, buildx, lambda _: None)  # type: ignore[arg-type]
    assert "could not be made" in raised.value.what
    assert "copy moby/buildkit:buildx-stable-1 into your registry" in (raised.value.hint or "")
    assert not buildx.made


def test_what_was_made_is_removed_on_ctrl_c() -> None:
    buildx = Buildx(fails="docker buildx inspect --bootstrap", error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        create(BOTH, buildx, lambda _: None)  # type: ignore[arg-type]
    assert not buildx.made


def test_containers_are_removed_one_by_one_when_buildx_cannot() -> None:
    buildx = Buildx(fails="docker buildx use")
    refused = buildx._answer

    def answer(command: Command) -> tuple[int, str, str]:
        said = refused(command)
        return (1, "", "ERROR: no route to host\n") if command.argv[2] == "rm" else said

    buildx._answer = answer  # type: ignore[method-assign]
    with pytest.raises(EngineError):
        create(BOTH, buildx, lambda _: None)  # type: ignore[arg-type]
    assert buildx.started[-4:] == [
        "docker rm --force --volumes buildx_buildkit_both0",
        "docker volume rm --force buildx_buildkit_both0_state",
        "docker --host ssh://me@arm-1 rm --force --volumes buildx_buildkit_both1",
        "docker --host ssh://me@arm-1 volume rm --force buildx_buildkit_both1_state",
    ]


def removing(buildx: Buildx, *silent: str, driver: str = "docker-container") -> None:
    """buildx forgets the builder and fails; what is done with Docker itself fails for the ``silent`` nodes."""
    before = buildx._answer

    def answer(command: Command) -> tuple[int, str, str]:
        code, out, err = before(command)
        if command.argv[1:3] == ("buildx", "rm"):
            return 1, "", "failed to remove both: no route to host\n"
        if any(address in command.argv for address in silent):
            return 1, "", "no route to host\n"
        return (
            code,
            out.replace("docker-container", driver).replace("both1\n", "both1\nEndpoint: ssh://me@arm-1\n"),
            err,
        )

    buildx._answer = answer  # type: ignore[method-assign]
    buildx.made = True
    remove("both", buildx)


def test_the_nodes_after_one_that_is_gone_are_cleaned() -> None:
    """buildx forgets the builder, and does nothing more once a node has not answered."""
    buildx = Buildx()
    removing(buildx)
    assert buildx.started[-1] == "docker --host ssh://me@arm-1 volume rm --force buildx_buildkit_both1_state"


def test_what_could_not_be_removed_is_told() -> None:
    buildx = Buildx()
    with pytest.raises(
        EngineError, match="has forgotten the builder 'both', but not all of it could be removed"
    ) as raised:
        removing(buildx, "ssh://me@arm-1")
    assert "docker volume rm --force buildx_buildkit_both0_state" in buildx.started
    hint = raised.value.hint or ""
    assert "`docker --host ssh://me@arm-1 rm --force --volumes buildx_buildkit_both1 && docker --host" in hint
    assert "both0" not in hint


def test_deployments_are_named_when_the_cluster_is_gone() -> None:
    with pytest.raises(EngineError) as raised:
        removing(Buildx(), driver="kubernetes")
    assert raised.value.hint == "Remove what it has started there: both0, both1."


def test_a_builder_that_is_there_is_left() -> None:
    buildx = Buildx()
    buildx.made = True
    with pytest.raises(EngineError, match="left as it is") as raised:
        create(BOTH, buildx, lambda _: None)  # type: ignore[arg-type]
    assert buildx.made
    assert "crossdock builder remove both" in (raised.value.hint or "")


def test_the_container_of_another_user_is_left() -> None:
    """buildx does not know their builder, and would go on with its container."""
    buildx = Buildx(taken="buildx_buildkit_both1")
    with pytest.raises(EngineError, match="buildx_buildkit_both1") as raised:
        create(BOTH, buildx, lambda _: None)  # type: ignore[arg-type]
    assert raised.value.where == "ssh://me@arm-1"
    assert not any("create" in line or " rm " in line for line in buildx.started)


def test_a_node_that_did_not_start_is_an_error_though_buildx_finds_none() -> None:
    buildx = Buildx(status="inactive")
    with pytest.raises(EngineError, match="both1 is inactive"):
        create(BOTH, buildx, lambda _: None)  # type: ignore[arg-type]
    assert not buildx.made
    buildx.made = True
    with pytest.raises(EngineError, match="both1 is inactive"):
        bootstrap("both", buildx, lambda _: None)  # type: ignore[arg-type]
    assert buildx.made, "what was there before is not removed"


def test_nodes_that_do_not_run() -> None:
    assert not_running(RUNNING.format("running")) == ()
    text = RUNNING.format("stopped").replace("both1\nStatus: stopped", "both1\nError: no such host")
    assert not_running(text) == ("both1 is not running: no such host",)
    assert not_running("") == ()
