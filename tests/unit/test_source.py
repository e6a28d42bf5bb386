"""Spans, edits, diffs and atomic writes."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossdock.errors import CrossdockError
from crossdock.source import Edit, OverlappingEdits, Position, Source, Span, apply_edits, unified_diff, write_atomically

SOURCE = Source("Dockerfile", b"FROM debian\nRUN echo \xe4\xbd\xa0\xe5\xa5\xbd\r\nCMD x")


def edit(start: int, end: int, text: bytes, path: str = "Dockerfile") -> Edit:
    return Edit(path, Span(start, end), text)


def test_columns_count_characters_not_bytes() -> None:
    after_two_ideographs = SOURCE.data.index(b"\r")
    assert SOURCE.position(after_two_ideographs) == Position(2, 12)
    assert SOURCE.text(SOURCE.line_span(2)) == "RUN echo 你好"
    assert SOURCE.text(SOURCE.line_span(3)) == "CMD x"


def test_the_line_end_is_that_of_the_first_line() -> None:
    assert SOURCE.newline == b"\n"
    assert Source("x", b"FROM a\r\nRUN b\n").newline == b"\r\n"
    assert Source("x", b"").newline == b"\n"


def test_edits_are_made_at_once_and_leave_the_rest() -> None:
    edits = [edit(12, 15, b"run"), edit(5, 11, b"alpine"), edit(0, 0, b"# a\n")]
    assert apply_edits(SOURCE, edits).data == b"# a\nFROM alpine\nrun" + SOURCE.data[15:]


def test_identical_edits_count_once_and_insertions_keep_their_order() -> None:
    same = edit(12, 12, b"ARG TARGETARCH\n")
    assert (
        apply_edits(SOURCE, [same, same, edit(12, 12, b"ARG B\n")]).data[12:].startswith(b"ARG TARGETARCH\nARG B\nRUN")
    )


def test_edits_of_other_files_are_left_out() -> None:
    assert apply_edits(SOURCE, [edit(0, 4, b"", path="other")]) == SOURCE


def test_overlapping_edits_are_refused_with_their_place() -> None:
    with pytest.raises(OverlappingEdits, match="Dockerfile:1:7"):
        apply_edits(SOURCE, [edit(5, 11, b"a"), edit(6, 8, b"b")])


@given(st.binary(max_size=200), st.data())
def test_applying_no_edit_or_the_same_bytes_changes_nothing(data: bytes, draw: st.DataObject) -> None:
    source = Source("x", data)
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    assert apply_edits(source, []).data == data
    assert apply_edits(source, [Edit("x", Span(start, end), data[start:end])]).data == data


@given(st.binary(max_size=200))
def test_every_offset_has_a_place_and_every_line_a_span(data: bytes) -> None:
    source = Source("x", data)
    for offset in range(len(data) + 1):
        where = source.position(offset)
        assert 1 <= where.line <= source.line_count
        assert where.column >= 1
    for line in range(1, source.line_count + 1):
        source.line_span(line)


def test_a_diff_names_the_file_and_says_when_the_last_line_end_is_missing() -> None:
    after = apply_edits(SOURCE, [edit(len(SOURCE.data) - 1, len(SOURCE.data), b"y")])
    diff = unified_diff(SOURCE, after)
    assert diff.startswith("--- a/Dockerfile\n+++ b/Dockerfile\n")
    assert "-CMD x\n\\ No newline at end of file\n+CMD y\n\\ No newline at end of file\n" in diff
    assert unified_diff(SOURCE, SOURCE) == ""


def test_writing_keeps_the_mode_and_follows_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o751)
    link.symlink_to(real)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o751
    assert {path.name for path in tmp_path.iterdir()} == {"link", "real"}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "Dockerfile"
    file.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CrossdockError, match="No space left"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]


def test_a_diff_has_the_lines_that_git_sees() -> None:
    before = Source("x", "a\fb\u2028c\rd\n".encode())
    after = apply_edits(before, [Edit("x", Span(0, 1), b"A")])
    assert unified_diff(before, after).splitlines(keepends=False)[0] == "--- a/x"
    assert unified_diff(before, after).count("\n") == 5


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    """Root could put a file in the place of /dev/null, and harm the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(CrossdockError, match="no regular file"):
        write_atomically(pipe, b"x")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
