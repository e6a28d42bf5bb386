"""The build context: what COPY can see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crossdock.errors import InputError
from crossdock.read.context import Context, ContextFile, load_context


def tree(root: Path, *paths: str) -> Context:
    for path in paths:
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    return load_context(root, root / "Dockerfile")


def names(context: Context) -> list[str]:
    return [entry.path for entry in context.files()]


def test_files_are_sorted_and_described(tmp_path: Path) -> None:
    context = tree(tmp_path, "b/run.sh", "a.txt", "b.txt")
    (tmp_path / "b/run.sh").chmod(0o755)
    (tmp_path / "link").symlink_to("b")
    (tmp_path / "out").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    assert list(context.files()) == [
        ContextFile("a.txt", 5, False, None),
        ContextFile("b.txt", 5, False, None),
        ContextFile("b/run.sh", 8, True, None),
        ContextFile("link", 1, False, "b"),
        ContextFile("out", 11, False, "/etc/passwd"),
    ]


def test_what_is_ignored_is_not_there(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("*\n!src\nsrc/*.log\n!deep/er/keep\n")
    context = tree(tmp_path, "src/a", "src/a.log", "other/x", "deep/er/keep", "deep/er/no", "top")
    assert names(context) == ["deep/er/keep", "src/a"]
    assert context.read("top") is None
    assert context.match("*") == ("deep/er/keep", "src/a")


def test_an_ignored_folder_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dockerignore").write_text("node_modules\n!keep/x\n")
    context = tree(tmp_path, "node_modules/a/b", "c")
    opened: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: opened.append(str(path)) or scan(path))
    assert names(context) == [".dockerignore", "c"]
    assert len(opened) == 1


def test_read(tmp_path: Path) -> None:
    context = tree(tmp_path, "dir/file")
    (tmp_path / "link").symlink_to("dir/file")
    (tmp_path / "out").symlink_to("/etc/passwd")
    (tmp_path / "round").symlink_to("round")
    assert context.read("dir/file") == b"dir/file"
    assert context.read("/dir/../dir/file", limit=3) == b"dir"
    assert context.read("link") == b"dir/file"
    for path in ("dir", "none", "out", "../../etc/passwd", "round", "x" * 5000, "a\0b", ".", ""):
        assert context.read(path) is None


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (".", ["a.sh", "bin/tool", "bin/sub/x.sh", "c.sh"]),
        ("/", ["a.sh", "bin/tool", "bin/sub/x.sh", "c.sh"]),
        ("a.sh", ["a.sh"]),
        ("./a.sh", ["a.sh"]),
        ("/../a.sh", ["a.sh"]),
        ("*.sh", ["a.sh", "c.sh"]),
        ("[^a].sh", ["c.sh"]),
        ("bin", ["bin/tool", "bin/sub/x.sh"]),
        ("bin/", ["bin/tool", "bin/sub/x.sh"]),
        ("bin/*", ["bin/tool", "bin/sub/x.sh"]),
        ("b?n/t*", ["bin/tool"]),
        ("*/*/*.sh", ["bin/sub/x.sh"]),
        ("bin/tool/x", []),
        ("none", []),
        ("[", []),
    ],
)
def test_match_finds_what_copy_takes(tmp_path: Path, pattern: str, found: list[str]) -> None:
    context = tree(tmp_path, "a.sh", "bin/tool", "bin/sub/x.sh", "c.sh")
    assert context.match(pattern) == tuple(sorted(found))


def test_files_that_were_ported_in_memory_lie_over_the_folder(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text(".dockerignore\nno\n")
    before = tree(tmp_path, "run.sh")
    (tmp_path / "run.sh").chmod(0o755)
    context = before.with_files({"run.sh": b"new!", "more": b"1", "no": b"x"}).with_files({"more": b"22"})
    assert list(context.files()) == [ContextFile("more", 2, False, None), ContextFile("run.sh", 4, True, None)]
    assert (context.read("run.sh"), context.read("more", limit=1), context.read("no")) == (b"new!", b"2", None)
    assert before.read("run.sh") == b"run.sh"


def test_a_context_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, says in ((tmp_path / "none", "does not exist"), (tmp_path / "file", "not a folder")):
        with pytest.raises(InputError, match=says) as caught:
            load_context(path, path / "Dockerfile")
        assert caught.value.where == str(path)


def test_a_bad_ignore_file_is_told_at_once_and_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile.dockerignore").write_text("a\nb[\n")
    with pytest.raises(InputError) as caught:
        load_context(tmp_path, tmp_path / "Dockerfile")
    assert caught.value.where == f"{tmp_path}/Dockerfile.dockerignore:2:1"


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tree(tmp_path, "shut/x")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="Permission denied") as caught:
        list(context.files())
    assert caught.value.where == str(tmp_path / "shut")
    assert ".dockerignore" in (caught.value.hint or "")
