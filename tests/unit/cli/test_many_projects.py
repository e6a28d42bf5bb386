"""Several projects in one build: their names, what each build is given, what is refused."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from crossdock.cli.build import command
from crossdock.cli.build_many import arguments_again, name_projects, wants_many
from crossdock.cli.main import main
from crossdock.errors import ExitCode, UsageError


def parsed(*arguments: str) -> click.Context:
    return command.make_context("build", list(arguments))


def test_projects_are_called_as_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("api", "Web UI", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "jobs/Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(tmp_path / "api")
    paths = (Path(), tmp_path / "Web UI", tmp_path / "jobs/Dockerfile")
    assert [project.name for project in name_projects(paths)] == ["api", "web-ui", "jobs"]
    with pytest.raises(UsageError, match="two projects are called api"):
        name_projects((Path(), tmp_path / "api"))


def test_each_build_gets_the_options_that_were_given() -> None:
    context = parsed(
        "--port", "-t", "host/{name}:1", "--tag=host/{name}:2", "--platform", "linux/amd64,linux/arm64/v8", "-o",
        "type=oci,dest={name}.tar", "--smoke-timeout", "3", "--build-arg", "X={name} y", "-f", "{name}/Dockerfile",
        "--push", "a", "b",
    )  # fmt: skip
    again = list(arguments_again(context, "api"))
    assert again == [
        "--port", "--platform=linux/amd64,linux/arm64", "--smoke-timeout=3.0", "--tag=host/api:1", "--tag=host/api:2",
        "--file=api/Dockerfile", "--build-arg=X={name} y", "--push", "--output=type=oci,dest=api.tar",
    ]  # fmt: skip
    once_more = parsed(*again, "--", "a")
    assert {name: value for name, value in once_more.params.items() if name != "paths"} == {
        **{name: value for name, value in context.params.items() if name != "paths"},
        "tags": ("host/api:1", "host/api:2"),
        "outputs": ("type=oci,dest=api.tar",),
        "file": Path("api/Dockerfile"),
    }


def test_one_project_is_many_where_the_command_line_is_for_many() -> None:
    assert wants_many(parsed("a", "b"))
    assert wants_many(parsed("-t", "host/{name}:1", "a"))
    assert not wants_many(parsed("-t", "host/a:1", "a"))
    assert not wants_many(parsed())


@pytest.mark.parametrize(
    "options", [("-t", "app:1"), ("-o", "type=oci,dest=app.tar"), ("--metadata-file", "m.json", "-t", "{name}:1")]
)
def test_results_that_would_overwrite_each_other_are_refused(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert main(["build", *options, str(tmp_path / "a"), str(tmp_path / "b")]) == ExitCode.USAGE
    assert "would be the same for 2 projects" in capsys.readouterr().err
