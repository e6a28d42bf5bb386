"""Options that several verbs share."""

from pathlib import Path

import click
import pytest

from crossdock.cli.options import build_arguments, locate_dockerfile, near, platform_option, read_source
from crossdock.errors import InputError, UsageError
from crossdock.platforms import AMD64, ARM64


def test_build_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "yes")
    monkeypatch.delenv("NOT_THERE", raising=False)
    found = build_arguments(["A=1", "B=x=y", "C=", "FROM_OUTSIDE", "NOT_THERE", "A=2"])
    assert found == {"A": "2", "B": "x=y", "C": "", "FROM_OUTSIDE": "yes"}


def test_a_build_argument_needs_a_name() -> None:
    with pytest.raises(UsageError):
        build_arguments(["=1"])


def test_platforms() -> None:
    @click.command()
    @platform_option("--platform", help="")
    def command(platform: object) -> object:
        return platform

    def run(*arguments: str) -> object:
        return command.main(list(arguments), standalone_mode=False)

    assert run() == ()
    assert run("--platform", "linux/amd64,aarch64,arm64") == (AMD64, ARM64)
    for wrong in (",", "linux/vax"):
        with pytest.raises(UsageError):
            run("--platform", wrong)


def test_finds_the_dockerfile_of_a_project(tmp_path: Path) -> None:
    containerfile = tmp_path / "Containerfile"
    containerfile.write_text("FROM x\n")
    assert locate_dockerfile(tmp_path, None) == (containerfile, tmp_path)
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM x\n")
    assert locate_dockerfile(tmp_path, None) == (dockerfile, tmp_path)
    assert locate_dockerfile(containerfile, None) == (containerfile, tmp_path)
    assert locate_dockerfile(tmp_path, Path("other/Dockerfile")) == (Path("other/Dockerfile"), tmp_path)


def test_absolute_paths_below_the_current_folder_are_shortened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/Dockerfile").write_text("FROM x\n")
    monkeypatch.chdir(tmp_path)
    assert locate_dockerfile(tmp_path / "a", None) == (Path("a/Dockerfile"), Path("a"))
    monkeypatch.chdir(tmp_path / "a")
    assert locate_dockerfile(tmp_path / "a", None) == (Path("Dockerfile"), Path())
    monkeypatch.chdir("/")
    assert near(Path("relative")) == Path("relative")


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_says_where_there_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as error:
        locate_dockerfile(tmp_path / name, None)
    assert error.value.where == str(tmp_path / name)
    assert error.value.hint


def test_an_unreadable_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_source(tmp_path)
    assert error.value.where == str(tmp_path)


@pytest.mark.parametrize("text", ["-", "https://github.com/team/app.git", "git@github.com:team/app.git"])
def test_contexts_that_are_no_folder_are_refused_with_the_next_step(text: str) -> None:
    with pytest.raises(UsageError, match="Clone or unpack it"):
        locate_dockerfile(Path(text), None)
