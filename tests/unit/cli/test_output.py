"""What the streams can show decides about colour, width and characters."""

import io

import pytest

from crossdock.cli.output import WITHOUT_TERMINAL, style_of, waiting_for, write
from crossdock.report.style import GLYPHS, Style, fit, harmless


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "CLICOLOR_FORCE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def file() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8")


def test_colour_only_on_a_terminal() -> None:
    assert style_of(Terminal()).colour
    assert not style_of(file()).colour


@pytest.mark.parametrize(
    ("environment", "on_terminal", "in_file"),
    [
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR_FORCE": "0"}, True, False),
        ({"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_the_environment_decides_about_colour(
    environment: dict[str, str], on_terminal: bool, in_file: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert style_of(Terminal()).colour is on_terminal
    assert style_of(file()).colour is in_file


def test_width(monkeypatch: pytest.MonkeyPatch) -> None:
    assert style_of(file()).width == WITHOUT_TERMINAL
    monkeypatch.setenv("COLUMNS", "47")
    assert style_of(file()).width == 47
    monkeypatch.setenv("COLUMNS", "nonsense")
    assert style_of(file()).width == WITHOUT_TERMINAL


@pytest.mark.parametrize(("encoding", "unicode"), [("utf-8", True), ("ascii", False), ("gb18030", True)])
def test_characters(encoding: str, unicode: bool) -> None:
    assert style_of(Terminal(encoding)).unicode is unicode


def test_what_is_waited_for_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, log = Terminal(), file()
    for stream in (terminal, log):
        monkeypatch.setattr("sys.stderr", stream)
        with waiting_for("Looking"):
            pass
    assert terminal.buffer.getvalue() == b"Looking ...\r\x1b[2K"  # type: ignore[attr-defined]
    assert log.buffer.getvalue() == b""  # type: ignore[attr-defined]


def test_what_cannot_be_encoded_keeps_its_width() -> None:
    stream = Terminal("ascii")
    write("COPY 中文/é \udcff", stream)
    assert stream.buffer.getvalue() == b"COPY ????/? ?"  # type: ignore[attr-defined]


def test_own_glyphs_in_ascii_keep_their_width() -> None:
    text = fit(GLYPHS, Style(unicode=False))
    assert text.isascii()
    assert len(text) == len(GLYPHS)


def test_text_that_could_command_the_terminal_becomes_visible() -> None:
    assert harmless("a\x1b]0;x\x07b\r\u202e\u2028\tc") == "a\ufffd]0;x\ufffdb\ufffd\ufffd\ufffd\tc"
    assert harmless("中文 é ✓") == "中文 é ✓"
