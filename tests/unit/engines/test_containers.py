"""Running one container: the commands that each engine gets, and which words on standard error are whose."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import ScriptedRunner

from crossdock.engines import buildah_run, docker_run
from crossdock.engines.buildah import BuildahFacts
from crossdock.engines.buildah_run import BuildahRun, inherit_commands, real_path, run_command, run_config
from crossdock.engines.buildah_store import PrivateStore, StoreFacts
from crossdock.engines.choose import choose_to_run
from crossdock.engines.containers import EngineFacts, EngineWords, Pull, RunRequest, StandardError
from crossdock.engines.docker_run import (
    DockerRun,
    container_config,
    create_command,
    podman_limits,
    pull_command,
    start_command,
)
from crossdock.errors import EngineError, UsageError
from crossdock.image.model import ImageConfig
from crossdock.platforms import AMD64, ARM64
from crossdock.process import Command

DOCKER = EngineFacts("docker", (28, 2, 2), AMD64)
OLD = EngineFacts("docker", (19, 3, 15), AMD64)
REQUEST = RunRequest(
    "app:1",
    ARM64,
    ("sh", "-c", "id"),
    interactive=True,
    tty=True,
    env=("A=b c", "HOME"),
    volumes=("/a:/b:ro",),
    publish=("80:80",),
    network="none",
    workdir="/w",
    user="1:2",
    entrypoint="",
)
CONFIG = ImageConfig(ARM64, ("/entry",), ("serve",), {"PATH": "/bin"}, "/srv", "", ())


# --- commands ---------------------------------------------------------------------------------------------------------


def test_docker_gets_the_flags_as_they_were_given() -> None:
    assert create_command(DOCKER, REQUEST, "app:1", "n").argv == (
        *("docker", "create", "--name", "n", "--platform=linux/arm64", "--pull=never", "--interactive", "--tty"),
        *("--network=none", "--workdir=/w", "--user=1:2", "--entrypoint=", "--env=A=b c", "--env=HOME"),
        *("--volume=/a:/b:ro", "--publish=80:80", "app:1", "sh", "-c", "id"),
    )
    assert start_command(DOCKER, REQUEST, "n").argv == ("docker", "start", "--attach", "--interactive", "n")
    assert start_command(DOCKER, RunRequest("x", ARM64), "n").argv == ("docker", "start", "--attach", "n")


def test_podman_is_told_limits_that_root_may_have(tmp_path: Path) -> None:
    (tmp_path / "pid_max").write_text("32768\n")
    limits = podman_limits({"nofile": 20000, "nproc": 96364}, tmp_path / "pid_max")
    assert limits == {"nofile": 20000, "nproc": 32768}
    argv = create_command(replace(DOCKER, name="podman"), RunRequest("x", ARM64), "x", "n", limits).argv
    assert argv[-3:] == ("--ulimit=nofile=20000:20000", "--ulimit=nproc=32768:32768", "x")
    assert podman_limits({"nofile": -1, "nproc": 1 << 22}, tmp_path / "pid_max") == {}


def test_old_docker_has_platforms_only_with_experimental_features() -> None:
    request = RunRequest("app:1", ARM64)
    assert create_command(OLD, request, "app:1", "n").argv == ("docker", "create", "--name", "n", "app:1")
    with pytest.raises(EngineError, match=r"Docker 19\.03\.15") as caught:
        pull_command(OLD, request)
    assert "crossdock pull app:1 --platform linux/arm64" in (caught.value.hint or "")
    experimental = replace(OLD, experimental=True)
    assert pull_command(experimental, request).argv == ("docker", "pull", "--platform=linux/arm64", "app:1")
    assert "--platform=linux/arm64" in create_command(experimental, request, "app:1", "n").argv
    assert pull_command(OLD, RunRequest("app:1", AMD64)).argv == ("docker", "pull", "app:1")


def buildah(isolation: str | None) -> BuildahFacts:
    return BuildahFacts((1, 28, 2), StoreFacts("overlay", "/root", ""), isolation, AMD64)


STORE = PrivateStore(Path("/tmp/x"), StoreFacts("overlay", "/root", ""))


def test_buildah_starts_entrypoint_and_command_itself() -> None:
    request = replace(REQUEST, publish=(), network=None, entrypoint=None)
    config = run_config(CONFIG, request)
    assert run_command(buildah("chroot"), request, config, STORE, alone=True).argv == (
        *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "buildah", "run", "--isolation=chroot"),
        *("--terminal", "--workingdir=/w", "--user=1:2", "--env=A=b c", "--volume=/a:/b:ro"),
        *("crossdock-run", "--", "/entry", "sh", "-c", "id"),
    )
    without = run_command(buildah(None), RunRequest("x", ARM64, network="host"), CONFIG, STORE, alone=True)
    assert without.argv == ("buildah", "run", "--network=host", "crossdock-run", "--", "/entry", "serve")


def test_under_buildah_a_variable_without_a_value_comes_from_here_and_not_by_the_command_line() -> None:
    commands = inherit_commands(
        RunRequest("x", ARM64, env=("A=b", "TOKEN", "UNSET")), STORE, {"TOKEN": "s3cret", "A": "x"}
    )
    assert [command.argv for command in commands] == [("buildah", "config", "--env=TOKEN", "crossdock-run")]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (RunRequest("x", ARM64), ("/entry", "serve")),
        (RunRequest("x", ARM64, ("a",)), ("/entry", "a")),
        (RunRequest("x", ARM64, entrypoint="sh"), ("sh",)),
        (RunRequest("x", ARM64, ("a",), entrypoint="sh"), ("sh", "a")),
        (RunRequest("x", ARM64, ("a",), entrypoint=""), ("a",)),
    ],
)
def test_words_are_put_together_as_docker_run_does(request_: RunRequest, words: tuple[str, ...]) -> None:
    config = run_config(CONFIG, request_)
    assert (*config.entrypoint, *config.command) == words


def test_buildah_says_what_it_cannot_do() -> None:
    def refused(request: RunRequest, *, alone: bool = True) -> str:
        with pytest.raises((EngineError, UsageError)) as caught:
            run_command(buildah("chroot"), request, run_config(CONFIG, request), STORE, alone=alone)
        assert caught.value.hint
        return caught.value.what

    assert "--publish" in refused(RunRequest("x", ARM64, publish=("80",)))
    assert "'bridge'" in refused(RunRequest("x", ARM64, network="bridge"))
    assert "'none'" in refused(RunRequest("x", ARM64, network="none"), alone=False)
    assert "names no program" in refused(RunRequest("x", ARM64, entrypoint=""))
    alone = run_command(buildah("chroot"), RunRequest("x", ARM64, network="none"), CONFIG, STORE, alone=True)
    assert alone.argv[:2] == ("unshare", "--net")


def test_a_path_is_followed_as_if_the_container_were_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/real").touch()
    for link, target in {
        "bin": "usr/bin",
        "usr/bin/a": "/bin/real",
        "usr/bin/up": "../../../../bin/a",
        "x": "x",
    }.items():
        (tmp_path / link).symlink_to(target)
    assert real_path(tmp_path, "/bin/a") == "/usr/bin/real"
    assert real_path(tmp_path, "/bin/./up") == "/usr/bin/real"
    assert real_path(tmp_path, "/bin/none/there") == "/usr/bin/none/there"
    with pytest.raises(OSError, match="links"):
        real_path(tmp_path, "/x")


# --- whose words ------------------------------------------------------------------------------------------------------

WORDS = EngineWords(("Error: ", "exec "), re.compile(r"Error: own.*|exec \S+: no"), re.compile(r"Error: noise"))


@given(st.lists(st.sampled_from(["Error: own", "Error: noise", "exec /a: no", "exec", "Err", "x\r", "é\n", "\n", "y"])))
def test_only_whole_lines_of_the_engine_are_kept_back_wherever_the_pieces_begin(pieces: list[str]) -> None:
    out: list[bytes] = []
    stderr = StandardError(WORDS, out.append)
    for piece in pieces:
        stderr.feed(piece.encode())
    stderr.close()
    lines = re.findall(r"[^\n]*\n|[^\n]+$", "".join(pieces))
    own = [line.rstrip("\r\n") for line in lines if WORDS.whole.fullmatch(line.rstrip("\r\n"))]
    noise = [line.rstrip("\r\n") for line in lines if line.rstrip("\r\n") == "Error: noise"]
    others = [line for line in lines if line.rstrip("\r\n") not in {*own, *noise}]
    assert (stderr.held, stderr.noise) == (own, noise)
    assert b"".join(out) == "".join(others).encode()


@pytest.mark.parametrize(
    "pieces", [("no endsubprocess exited with status 7\n",), ("no end", "subprocess exited on killed", "\n")]
)
def test_buildahs_words_after_a_line_without_an_end_are_its_own(pieces: tuple[str, ...]) -> None:
    out: list[bytes] = []
    stderr = StandardError(buildah_run._WORDS, out.append)
    for piece in (*pieces, "it says: subprocess exited by itself\n", "Error: exit status 7\n"):
        stderr.feed(piece.encode())
    stderr.close()
    assert b"".join(out) == b"no endit says: subprocess exited by itself\n"
    assert len(stderr.noise) == 2


def test_a_prompt_does_not_wait_for_its_line_to_end() -> None:
    out: list[bytes] = []
    stderr = StandardError(WORDS, out.append)
    stderr.feed(b"Er")
    assert out == []
    stderr.feed(b"ase? ")
    assert out == [b"Erase? "]
    stderr.feed(b"Error: own")
    assert out[-1] == b"Error: own", "it is not the beginning of a line"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (docker_run._WORDS["docker"], "exec /wrong: exec format error"),
        (docker_run._WORDS["docker"], 'standard_init_linux.go:211: exec user process caused "exec format error"'),
        (docker_run._WORDS["docker"], "Error response from daemon: failed to create task for container: …"),
        (docker_run._WORDS["docker"], "Error: failed to start containers: crossdock-run-0a1b"),
        (docker_run._WORDS["podman"], '{"msg":"exec container process `/wrong`: Exec format error","level":"error"}'),
        (docker_run._WORDS["podman"], "Error: unable to start container 0aca: runc: runc create failed: …"),
        (docker_run._WORDS["podman"], "Error: OCI runtime error: unable to start container 0aca: crun: cgroups …"),
        (
            buildah_run._WORDS,
            (
                "process failed to start with error: fork/exec /wrong: exec format error"
                "process exited with error: exec: not startedsubprocess exited with status 1"
            ),
        ),
    ],
)
def test_what_real_engines_said_is_theirs(words: EngineWords, line: str) -> None:
    out: list[bytes] = []
    stderr = StandardError(words, out.append)
    stderr.feed(f"{line}\nexec failed: the program's own\n".encode())
    assert stderr.held == [line]
    assert out == [b"exec failed: the program's own\n"]


# --- the dialogue -----------------------------------------------------------------------------------------------------

INFO = {"ServerVersion": "28.2.2", "Architecture": "x86_64", "KernelVersion": "not-this-one"}


class Guarded(ScriptedRunner):
    """Also keeps what would be run if this process were killed."""

    @contextlib.contextmanager
    def guard(self, commands: list[Command]) -> Iterator[None]:
        self.guarded = [str(command) for command in commands]
        yield


def docker(**answers: tuple[int, str, str]) -> Guarded:
    known = {
        "docker info": (0, json.dumps(INFO), ""),
        "docker create": (0, "id\n", ""),
        "docker rm": (0, "", ""),
        "docker pull": (0, "", ""),
        "docker image inspect": (1, "[]", "No such image"),
    }
    return Guarded(("docker",), {**known, **{name.replace("_", " "): answer for name, answer in answers.items()}})


def steps(runner: Guarded) -> list[str]:
    """The first two words of each command."""
    return [" ".join(line.split()[:2]) for line in runner.started]


def test_what_is_there_is_not_pulled_and_the_container_is_removed() -> None:
    runner = docker()
    with DockerRun("docker", runner).create(RunRequest("app", ARM64), contextlib.nullcontext) as container:
        name = container.command.argv[-1]
        assert runner.guarded == [f"docker rm --force --volumes {name}"]
    assert steps(runner) == ["docker info", "docker create", "docker rm"]


@pytest.mark.parametrize(
    "said",
    [
        "Error response from daemon: No such image: bb:1",
        (
            "Error response from daemon: image with reference bb:1 was found but does not match the specified platform:"
            " wanted linux/arm64, actual: linux/amd64"
        ),
        "Error: localhost/layout: image not known",
    ],
)
def test_what_is_missing_is_pulled_unless_never(said: str) -> None:
    class Once(Guarded):
        def _answer(self, command: Command) -> tuple[int, str, str]:
            answer = super()._answer(command)
            first = "docker pull" not in " ".join(self.started)
            return (125, "", said) if command.argv[1] == "create" and first else answer

    runner = Once(("docker",), docker().answers)
    with DockerRun("docker", runner).create(RunRequest("app", ARM64), contextlib.nullcontext):
        pass
    assert steps(runner) == ["docker info", "docker create", "docker pull", "docker create", "docker rm"]
    assert runner.started[2] == "docker pull --platform=linux/arm64 app"
    runner = Once(("docker",), docker().answers)
    with (
        pytest.raises(EngineError),
        DockerRun("docker", runner).create(RunRequest("app", ARM64, pull=Pull.NEVER), contextlib.nullcontext),
    ):
        pass
    assert steps(runner) == ["docker info", "docker create", "docker rm"]


def test_an_image_that_is_here_for_this_machine_only_is_said() -> None:
    inspected = json.dumps([{"Os": "linux", "Architecture": "amd64", "Variant": ""}])
    runner = docker(
        docker_create=(125, "", "Error response from daemon: No such image: app:1"),
        docker_pull=(1, "", "Error response from daemon: pull access denied for app"),
        docker_image_inspect=(0, inspected, ""),
    )
    with (
        pytest.raises(EngineError) as caught,
        DockerRun("docker", runner).create(RunRequest("app:1", ARM64), contextlib.nullcontext),
    ):
        pass
    assert "under this name is for linux/amd64" in caught.value.what
    assert "--platform linux/amd64" in (caught.value.hint or "")


def test_a_pulled_image_of_another_platform_is_said() -> None:
    said = (
        "Error response from daemon: image with reference a was found but does not match the specified platform:"
        " wanted linux/arm64, actual: linux/amd64"
    )
    runner = docker(docker_create=(1, "", said))
    with (
        pytest.raises(EngineError, match="the image is for linux/amd64, not for linux/arm64") as caught,
        DockerRun("docker", runner).create(RunRequest("a", ARM64), contextlib.nullcontext),
    ):
        pass
    assert "crossdock platforms a" in (caught.value.hint or "")


def test_an_old_docker_with_an_image_of_this_machine_is_not_just_run() -> None:
    inspected = json.dumps([{"Os": "linux", "Architecture": "amd64"}])
    info = json.dumps({**INFO, "ServerVersion": "19.03.15"})
    runner = docker(docker_info=(0, info, ""), docker_image_inspect=(0, inspected, ""))
    with (
        pytest.raises(EngineError, match="experimental features") as caught,
        DockerRun("docker", runner).create(RunRequest("a", ARM64), contextlib.nullcontext),
    ):
        pass
    assert "crossdock pull a" in (caught.value.hint or "")
    assert "docker create" not in steps(runner)


def test_docker_tells_where_its_containers_run() -> None:
    facts = DockerRun("docker", docker()).probe()
    assert (facts.version, facts.host, facts.shares_kernel) == ((28, 2, 2), AMD64, False)


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "socket",
        ),
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "does not answer"),
    ],
)
def test_why_docker_does_not_answer(said: str, what: str) -> None:
    runner = ScriptedRunner(("docker",), {"docker info": (1, json.dumps({"ServerErrors": [said]}), "")})
    with pytest.raises(EngineError, match=what):
        DockerRun("docker", runner).probe()


def test_the_first_engine_that_answers_runs_it() -> None:
    podman = {"host": {"os": "linux", "arch": "arm64", "kernel": "x"}, "version": {"Version": "4.3.1"}}
    answers = {
        "docker info": (1, "", "Cannot connect to the Docker daemon"),
        "podman info": (0, json.dumps(podman), ""),
    }
    chosen = choose_to_run("auto", ScriptedRunner(("docker", "podman"), answers))
    assert (chosen.name, chosen.probe().host) == ("podman", ARM64)
    with pytest.raises(EngineError, match="no engine") as caught:
        choose_to_run("auto", ScriptedRunner(("apt-get",), answers))
    assert [line.partition(":")[0] for line in caught.value.log] == ["docker", "podman", "buildah"]
    assert "apt-get install podman" in (caught.value.hint or "")
    with pytest.raises(UsageError):
        choose_to_run("nerdctl", ScriptedRunner(()))


def test_entrypoint_and_command_of_a_container_are_told_apart() -> None:
    inspected = {
        "Path": "/entry",
        "Args": ["--flag", "serve", "now"],
        "Config": {"Entrypoint": ["/entry", "--flag"], "Cmd": ["serve", "now"], "Env": ["A=b=c"], "WorkingDir": "/w"},
    }
    config = container_config(inspected, ARM64)
    assert (config.entrypoint, config.command) == (("/entry", "--flag"), ("serve", "now"))
    assert (config.env, config.working_directory) == ({"A": "b=c"}, "/w")
    # podman says "" for no entrypoint, and Docker null
    for none in ("", None):
        plain = container_config(
            {"Path": "sh", "Args": ["-c"], "Config": {"Entrypoint": none, "Cmd": ["sh", "-c"]}}, ARM64
        )
        assert (plain.entrypoint, plain.command) == (("sh", "-c"), ())
    assert container_config({}, ARM64).entrypoint == ()


@pytest.mark.parametrize(
    ("exit_code", "noise", "started", "code"),
    [
        (7, ("subprocess exited with status 7", "Error: exit status 7"), True, 7),
        (1, ("subprocess exited on segmentation fault", "subprocess exited with status 1"), True, 139),
        (125, ("subprocess exited with status 125", "Error: exit status 125"), True, 125),
        (125, (), False, 0),
        (-15, (), True, 143),
        (1, ("Close_Fd sealing memfd copy: Device or resource busy",), False, 0),
    ],
)
def test_how_a_program_under_buildah_ended(exit_code: int, noise: tuple[str, ...], started: bool, code: int) -> None:
    container = buildah_run._Container(Command(("x",)), CONFIG, "", STORE, ScriptedRunner(()))  # type: ignore[arg-type]
    outcome = container.outcome(exit_code, noise)
    assert (outcome.started, outcome.exit_code) == (started, code)
    assert outcome.again is ("busy" in "".join(noise))


def test_buildahs_local_images_have_a_platform() -> None:
    said = json.dumps({"OCIv1": {"os": "linux", "architecture": "arm", "variant": "v7"}})
    found = BuildahRun(ScriptedRunner(("buildah",), {"buildah inspect": (0, said, "")})).local_platform("x")  # type: ignore[arg-type]
    assert str(found) == "linux/arm/v7"
    assert BuildahRun(ScriptedRunner((), {"buildah inspect": (125, "", "no")})).local_platform("x") is None  # type: ignore[arg-type]
