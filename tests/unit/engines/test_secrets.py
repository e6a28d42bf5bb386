"""--secret, read as docker buildx build reads it; and what of it must never be shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.engines.secrets import Secret, hidden_values, parse_secret
from crossdock.errors import UsageError

ENVIRONMENT = {"TOKEN": "value of token"}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "note"
    path.write_text("from the file\n")
    return path


@pytest.mark.parametrize("text", ["id=x,src=note", "id=x,source=note,type=file", "src=note,id=x"])
def test_a_file(file: Path, text: str) -> None:
    secret = parse_secret(text, ENVIRONMENT)
    assert secret == Secret("x", None, file)
    assert str(secret) == f"id=x,src={file}"
    assert hidden_values((secret,), ENVIRONMENT) == ("from the file",)


@pytest.mark.parametrize("text", ["id=x,env=TOKEN", "id=x,type=env,env=TOKEN", "id=x,type=env,src=TOKEN"])
def test_a_variable(text: str) -> None:
    secret = parse_secret(text, ENVIRONMENT)
    assert str(secret) == "id=x,env=TOKEN"
    assert hidden_values((secret,), ENVIRONMENT) == ("value of token",)


def test_an_id_alone_is_the_variable_or_else_the_file_of_that_name(file: Path) -> None:
    assert parse_secret("id=TOKEN", ENVIRONMENT).variable == "TOKEN"
    assert parse_secret("id=note", ENVIRONMENT).file == file


@pytest.mark.parametrize(
    "text",
    ["", "x", "id=", "src=note", "id=x,src=a,env=b", "id=x,mode=1", "id=x,src=gone", "id=x,env=UNSET", "id=gone"],
)
def test_what_has_no_meaning_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_secret(text, ENVIRONMENT)


def test_of_several_lines_the_telling_ones_are_hidden(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text('{\n  "password": "hunter2hunter2",\n  "on": 1\n}\n')
    hidden = hidden_values((Secret("k", None, path),), ENVIRONMENT)
    assert hidden == ('"password": "hunter2hunter2",',)


@given(st.text())
def test_any_text_is_a_secret_or_a_usage_error(text: str) -> None:
    try:
        parse_secret(text, {})
    except UsageError:
        return
