"""The command itself: help, dispatch, messages, exit codes, the Docker plugin protocol."""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from crossdock import __version__
from crossdock.cli import main as cli
from crossdock.errors import CrossdockError, EngineError, ExitCode

VERB = """
import click, sys, time
from crossdock.errors import EngineError, UsageError

@click.command()
@click.argument("what")
@click.option("--number", type=int)
def command(what, number):
    if what == "findings":
        return 1
    if what == "engine":
        raise EngineError("it broke", where="Dockerfile:3:1", hint="Mend it.", log=("cc: error", "\\x1b[31mred"))
    if what == "defect":
        return {}["missing"]
    if what == "full":
        raise OSError(28, "No space left on device")
    if what == "wait":
        try:
            print("waiting", flush=True)
            time.sleep(30)
        finally:
            print("cleaned up", flush=True)
    if what == "flood":
        for _ in range(100_000):
            print("x" * 100)
    print("done")
"""


@pytest.fixture
def run(tmp_path: Path):
    """Runs `crossdock try …` in a process of its own, with a verb that does what it is told."""
    (tmp_path / "try_verb.py").write_text(VERB)
    program = (
        # The tests themselves may run under nohup, which their children would inherit.
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_DFL);"
        "from crossdock.cli import main; main.VERBS['try'] = ('try_verb', 'for this test');"
        "sys.exit(main.main())"
    )

    def start(*arguments: str, **more: object) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": str(tmp_path)}
        env.pop("CROSSDOCK_DEBUG", None)
        env.update(more.pop("env", {}))
        return subprocess.Popen(
            [sys.executable, "-c", program, "try", *arguments],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": env, **more},
        )

    return start


def test_a_verb_returns_its_exit_code(run) -> None:
    process = run("findings")
    assert process.communicate() == ("", "")
    assert process.returncode == ExitCode.FINDINGS


def test_a_verb_that_returns_nothing_is_done(run) -> None:
    process = run("nothing")
    assert process.communicate() == ("done\n", "")
    assert process.returncode == ExitCode.DONE


def test_an_error_says_what_where_and_what_to_do(run) -> None:
    process = run("engine")
    _, stderr = process.communicate()
    assert stderr == "crossdock: Dockerfile:3:1: it broke\n  | cc: error\n  | \\x1b[31mred\n  Mend it.\n"
    assert process.returncode == ExitCode.CANNOT


def test_a_wrong_command_line_is_told_in_the_same_form(run) -> None:
    process = run("x", "--number", "many")
    _, stderr = process.communicate()
    assert stderr.startswith("crossdock: Invalid value for '--number'")
    assert "See crossdock try --help" in stderr
    assert process.returncode == ExitCode.USAGE


def test_a_defect_is_one_clear_line_without_a_traceback(run) -> None:
    process = run("defect")
    _, stderr = process.communicate()
    assert "internal error: KeyError: 'missing'" in stderr
    assert "Traceback" not in stderr
    assert process.returncode == ExitCode.CANNOT


def test_a_defect_shows_its_traceback_on_request(run) -> None:
    _, stderr = run("defect", env={"CROSSDOCK_DEBUG": "1"}).communicate()
    assert "Traceback" in stderr


def test_the_systems_refusal_is_no_defect(run) -> None:
    process = run("full")
    _, stderr = process.communicate()
    assert "No space left on device" in stderr
    assert "internal" not in stderr
    assert process.returncode == ExitCode.CANNOT


def test_output_that_cannot_be_written_is_told(run) -> None:
    with Path("/dev/full").open("w") as full:
        process = run("nothing", stdout=full)
        _, stderr = process.communicate()
    assert "No space left on device" in stderr
    assert "Exception ignored" not in stderr
    assert process.returncode == ExitCode.CANNOT


def test_a_reader_that_has_seen_enough_is_no_error(run) -> None:
    process = run("flood")
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(10)
    process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_cleans_up_and_says_so(run, number: signal.Signals) -> None:
    process = run("wait")
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=10)
    assert (stdout, stderr.strip()) == ("cleaned up\n", "crossdock: interrupted")
    assert process.returncode == ExitCode.INTERRUPTED


def test_works_with_closed_standard_streams(run) -> None:
    process = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m crossdock --help >&-"], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in process.stderr


# in this process


def test_help_names_every_verb_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in cli.VERBS)
    assert all(f"  {code.value} " in text for code in ExitCode)
    assert text.isascii()
    assert all(len(line) <= 80 for line in text.splitlines())


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from crossdock.cli.main import main; main(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('click', 'rich', 'dataclasses', 'msgspec', 'pycurl')))"
    )
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_no_arguments_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == ExitCode.USAGE
    assert "Usage: crossdock VERB" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"crossdock {__version__}\n"


def test_an_unknown_verb_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["chek"]) == ExitCode.USAGE
    assert "Did you mean 'check'?" in capsys.readouterr().err


def test_an_option_before_the_verb_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--offline", "check"]) == ExitCode.USAGE
    assert "Options follow the verb" in capsys.readouterr().err


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: crossdock {verb}")
    assert f"  crossdock {verb} " in text
    command = importlib.import_module(cli.VERBS[verb][0]).command
    if isinstance(command, click.Group):
        assert {cli.main([verb, name, "--help"]) for name in command.commands} == {0}
        text = capsys.readouterr().out
    # The output of `run` is the program's, byte for byte.
    assert ("--format" in text) is (verb != "run")


def test_metadata_for_docker(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["docker-cli-plugin-metadata"]) == 0
    metadata = json.loads(capsys.readouterr().out)
    assert metadata["SchemaVersion"] == "0.1.0"
    assert metadata["Vendor"]
    assert metadata["Version"] == __version__
    assert metadata["ShortDescription"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["crossdock", "--help"],
        ["--context", "arm", "crossdock", "--help"],
        ["--context=arm", "-D", "crossdock", "--help"],
        ["--help"],
        ["help", "crossdock"],
    ],
)
def test_as_a_plugin_it_takes_dockers_words(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/root/.docker/cli-plugins/docker-crossdock"])
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.startswith("Usage: docker crossdock VERB")
    if "arm" in " ".join(arguments):
        assert os.environ["DOCKER_CONTEXT"] == "arm"


def test_as_a_plugin_it_says_which_docker_option_it_cannot_pass_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["docker-crossdock"])
    assert cli.main(["--tlsverify", "crossdock", "check"]) == ExitCode.USAGE
    assert "--tlsverify" in capsys.readouterr().err


def test_messages_carry_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    from crossdock.cli.messages import say_error

    say_error(CrossdockError("bad \x1b]0;title\x07", where="a\rb"))
    say_error(EngineError("x", log=("\x9b31m",)))
    text = capsys.readouterr().err
    assert all(char == "\n" or char.isprintable() for char in text)
