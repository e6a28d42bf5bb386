"""When a step counts as hung: it does nothing for long, or takes too long; and what is known of its processes."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, replace

import pytest

from crossdock.assist.watch import Limits, Watch, Work, bytes_written, ends_with, work_of
from crossdock.engines.model import BuildEvent, StepState
from crossdock.host.processes import Process
from crossdock.platforms import ARM64

STEP = BuildEvent(StepState.STARTED, "7", ARM64, "build", "RUN make all &&     make install")


def process(pid: int, parent: int, *words: str, cpu: float = 0.0, ended: float = 0.0) -> Process:
    return Process(pid, parent, words, "S", cpu, 1.0, cpu_of_ended=ended)


def container(pid: int, text: str, cpu: float) -> list[Process]:
    """A step in BuildKit, as Docker 26 starts it."""
    bundle = "/var/lib/docker/buildkit/executor/uqz9x5h26rwi4667git0hlz5y"
    runc = process(pid, 1, "runc", "--log", f"{bundle}/../log", "run", "--bundle", bundle, "--keep", "uqz9", cpu=1.0)
    return [runc, process(pid + 1, pid, "/bin/sh", "-c", text, cpu=cpu, ended=2.0), process(pid + 2, pid + 1, "cc1")]


def one(_: int) -> int:
    return 1


@dataclass
class Scene:
    """A build that is looked at by hand."""

    limits: Limits
    now: float = 0.0
    cpu: float | None = 0.0
    state: str = "S"
    written: int = 0

    def __post_init__(self) -> None:
        self.watch = Watch(
            self.limits, clock=lambda: self.now, processes=self._processes, written=lambda _: self.written
        )
        self.watch(STEP)

    def _processes(self) -> list[Process]:
        if self.cpu is None:
            return []
        first, *rest = container(10, "make all && \\\n    make install", self.cpu)
        return [replace(first, state=self.state), *rest]

    def after(self, seconds: float, cpu: float = 0.0) -> str:
        self.now += seconds
        self.cpu = None if self.cpu is None else self.cpu + cpu
        self.watch.look()
        return self.watch.hung.why if self.watch.hung else ""


def test_a_step_that_does_nothing_for_long() -> None:
    scene = Scene(Limits(idle=100))
    assert [scene.after(5), scene.after(60), scene.after(30)] == ["", "", ""]
    assert scene.after(10) == "for 100 s it printed nothing, wrote nothing and used no processor time"
    assert scene.watch.stop.is_set()


def test_who_prints_or_works_is_not_idle() -> None:
    scene = Scene(Limits(idle=100))
    scene.after(5)
    scene.after(90, cpu=50.0)
    assert scene.after(90) == ""
    scene.watch(replace(STEP, state=StepState.OUTPUT, text="CC main.o"))
    assert scene.after(50) == ""
    assert scene.after(90) == ""
    assert scene.after(90, cpu=0.1), "a moment now and then is no work"
    assert scene.watch.hung
    assert (scene.watch.hung.step, scene.watch.hung.lines) == (STEP, ("CC main.o",))


def test_a_silent_download_is_not_idle() -> None:
    scene = Scene(Limits(idle=100))
    scene.after(5)
    for _ in range(5):
        scene.written += 1 << 20
        assert scene.after(60) == ""
    assert [scene.after(60), bool(scene.after(60))] == ["", True]


def test_what_a_process_writes_is_known() -> None:
    before = bytes_written(os.getpid())
    with tempfile.TemporaryFile() as file:
        file.write(bytes(100_000))
    assert bytes_written(os.getpid()) >= before + 100_000
    assert bytes_written(2**22 + 1) == 0


def test_who_waits_for_a_processor_is_not_idle() -> None:
    scene = Scene(Limits(idle=100))
    scene.state = "R"
    assert [scene.after(5), scene.after(200), scene.after(200)] == ["", "", ""]
    scene.state = "S"
    assert [scene.after(99), bool(scene.after(1))] == ["", True]


def test_what_cannot_be_seen_is_not_called_idle_but_may_take_too_long() -> None:
    scene = Scene(Limits(idle=100, step=1000), cpu=None)
    assert [scene.after(500), scene.after(499)] == ["", ""]
    assert scene.after(1) == "it was not done after 1000 s"


def test_only_running_steps_count() -> None:
    scene = Scene(Limits(idle=100, step=200))
    scene.after(5)
    scene.watch(replace(STEP, state=StepState.DONE))
    scene.watch(BuildEvent(StepState.STARTED, "8", ARM64, "build", "COPY . ."))
    assert scene.after(900) == ""
    assert Scene(Limits(idle=0)).after(900) == ""


def test_the_processor_time_is_that_of_the_step_s_container() -> None:
    mine, other = container(10, "make all && \\\n make install", 3.0), container(20, "cargo build", 50.0)
    assert work_of(STEP, [process(1, 0, "init"), *mine, *other], one) == Work(1.0 + 3.0 + 2.0, 3, False)
    assert work_of(replace(STEP, name="RUN <<EOF (cargo build)"), [*mine, *other], one) == Work(6.0 + 53.0, 6, False)
    assert work_of(STEP, [process(1, 0, "init"), process(2, 1, "/bin/sh", "-c", "make")], one) is None


@pytest.mark.parametrize(
    ("shown", "text", "same"),
    [
        ("RUN make all &&     make install", "make all && \\\n  make install", True),
        ("RUN curl -O http://a/1.2.tgz && x $y", "curl -O http://a/${VERSION}.tgz && x $y", True),
        ("RUN remake", "make", True),  # of two that are running, both count
        ("RUN make", "make install", False),
        ("RUN a.c", "abc", False),
        ("RUN aXbYc", "a${x}b$y", True),
        ("RUN a" + "b" * 50_000, "${a}b" * 5_000 + "c", False),
    ],
)
def test_what_an_engine_shows_is_known_again(shown: str, text: str, *, same: bool) -> None:
    assert ends_with(shown, text) is same


def test_buildah_s_step_is_below_the_buildah_that_runs_for_this_build() -> None:
    own = [process(30, os.getpid(), "buildah", "build"), process(31, 30, "/bin/sh", "-c", "make", cpu=4.0)]
    somebody_s = [process(40, 1, "buildah", "build"), process(41, 40, "cc1", cpu=9.0)]
    assert work_of(STEP, [process(os.getpid(), 1, "python"), *own, *somebody_s], one) == Work(4.0, 2, False)


def test_the_build_is_watched_while_it_lasts() -> None:
    watch = Watch(Limits(idle=0, step=0.05))
    watch(STEP)
    with watch.watching():
        assert watch.stop.wait(20)
    assert watch.hung
